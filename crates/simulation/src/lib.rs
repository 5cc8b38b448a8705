//! A deterministic simulation of the shipped protocol, [`protocol`] itself, in a world that loses requests and
//! answers, crashes invocations between any two awaits, skews clocks and delays, doubles and drops notifications.
//!
//! A seed decides everything. [`play()`] plays its history and says which promise it breaks, if any; [`shrink()`]
//! looks for a shorter history that breaks the same one. A [`Mutation`] is a deliberate bug that a history has to
//! find.
//!
//! It has two halves, and what they share:
//!
//! * `world` plays: the protocol's code in `invocation`, `isolate` and `ports`, over a `database`, a `google` and a
//!   `recalculation`, among `users`, the `host` app and `cron`, along the course of a `history`. It tells facts.
//! * `check` judges: a file for each [`Promise`], named by it. All of them read `check::record`, what the facts have
//!   told so far.
//! * `fact` is what the world tells; `assumption` is what both count on: a callee ends before the lease of its run,
//!   unless its host stands still, and clocks are at most 10 s off. A row is updated atomically, a channel token secret.
//! * `play` brings the halves together, and `trace` prints the facts.
//! * [`model`] stands by itself: the rules of looks in a page, with every state that they lead to.
//!
//! What is not there:
//!
//! * No check knows the world, or another check. A fact holds values, and no way to the world.
//! * The world does not judge, and nothing that it does hangs on a judgement but the end of a history.
//! * No check guesses a step: a fact names its [`Transition`](protocol::transition::Transition). A read has no name, and
//!   is known by the columns that it asks for.
//! * No channel of a deleted row is stopped: the world keeps no [`Farewell`](protocol::connection::Farewell).
//! * No check asks the protocol what is right. Numbers come from [`protocol::schedule`]; rules are written once more.
//! * No two files use each other, not even by way of others.

mod assumption;
mod check;
mod due;
mod fact;
mod fault;
pub mod model;
mod mutation;
mod play;
mod promise;
mod settings;
mod shrink;
mod subject;
mod time;
mod trace;
mod world;

pub use fault::{Fault, Faults};
pub use mutation::Mutation;
pub use play::{play, trace};
pub use promise::{Promise, Violation};
pub use settings::Settings;
pub use shrink::{Failure, shrink};
