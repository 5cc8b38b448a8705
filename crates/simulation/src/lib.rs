//! A deterministic simulation of the shipped protocol, [`protocol`] itself, in a world that loses requests and
//! answers, crashes instances between any two awaits, skews clocks and delays, doubles and drops notifications.
//!
//! What it takes for granted: a row is updated atomically; a callee lives 140 s at most, so that it ends before the
//! lease of its run, unless the host stands still; clocks are at most 10 s off; a channel token is secret.
//!
//! A seed decides everything. [`play`] plays its history and says which promise it breaks, if any; [`shrink`]
//! looks for a shorter history that breaks the same one. A [`Mutation`] is a deliberate bug that a history has to
//! find.

mod actors;
mod answer;
mod assumption;
mod booking;
mod conduct;
mod database;
mod delivery;
mod dice;
mod ending;
mod executor;
mod fault;
mod google;
mod history;
mod instance;
mod judgement;
mod life;
mod mutation;
mod order;
mod play;
mod promise;
mod recalculation;
mod sequel;
mod settings;
mod shrink;
mod step;
mod time;
mod world;

pub use fault::{Fault, Faults};
pub use mutation::Mutation;
pub use play::{play, trace};
pub use promise::{Promise, Violation};
pub use settings::Settings;
pub use shrink::{Failure, shrink};
