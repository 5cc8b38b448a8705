//! Plays a history: the world tells, the checks judge.

use crate::history;
use crate::promise::Violation;
use crate::settings::Settings;
use crate::world::{TraceLine, World};

/// Plays one history and returns the promise that it breaks.
pub fn play(seed: u64, settings: &Settings) -> Result<(), Violation> {
    let (violation, _) = played(seed, settings, false);
    violation.map_or(Ok(()), Err)
}

/// Plays one history and tells all that happens in it.
pub fn trace(seed: u64, settings: &Settings) -> Vec<String> {
    played(seed, settings, true).1.into_iter().map(|line| line.text).collect()
}

pub(crate) fn played(seed: u64, settings: &Settings, traced: bool) -> (Option<Violation>, Vec<TraceLine>) {
    let world = World::new(seed, settings, traced);
    history::play(&world);
    world.executor.clear();
    (world.take_violation(), world.take_trace())
}
