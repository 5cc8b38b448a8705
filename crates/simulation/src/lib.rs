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
mod promise;
mod recalculation;
mod sequel;
mod shrink;
mod step;
mod world;

pub use fault::{Fault, Faults};
pub use mutation::Mutation;
pub use promise::{Promise, Violation};
pub use shrink::shrink;

use world::World;

/// What a history is made of besides its seed.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub mutation: Option<Mutation>,
    /// Kinds of faults that do not happen.
    pub without: Faults,
    /// At most so many connections.
    pub connections: Option<usize>,
    /// Faults end after so many minutes at the latest.
    pub minutes: Option<u32>,
    /// Also judges what the protocol is known not to see: a holder that lost its lease alive and then died.
    pub known_limit: bool,
}

/// A history that breaks a promise.
#[derive(Clone, Debug)]
pub struct Failure {
    pub seed: u64,
    pub settings: Settings,
    pub violation: Violation,
    /// What happened; of one connection only, where the violation is one connection's.
    pub trace: Vec<String>,
}

/// Plays one history and returns the promise that it breaks.
pub fn play(seed: u64, settings: &Settings) -> Result<(), Violation> {
    let (violation, _) = played(seed, settings, false);
    violation.map_or(Ok(()), Err)
}

/// Plays one history and tells all that happens in it.
pub fn trace(seed: u64, settings: &Settings) -> Vec<String> {
    played(seed, settings, true).1.into_iter().map(|line| line.text).collect()
}

fn played(seed: u64, settings: &Settings, traced: bool) -> (Option<Violation>, Vec<world::TraceLine>) {
    let world = World::new(seed, settings, traced);
    history::play(&world);
    world.executor.clear();
    (world.take_violation(), world.take_trace())
}
