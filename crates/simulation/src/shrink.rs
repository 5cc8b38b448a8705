//! The shortest history found that breaks the same promise: fewer connections, less time, fewer
//! kinds of faults.

use crate::fault::Fault;
use crate::play::{Played, play, played};
use crate::promise::{Promise, Violation};
use crate::settings::Settings;

/// A history that breaks a promise.
#[derive(Clone, Debug)]
pub struct Failure {
    pub seed: u64,
    pub settings: Settings,
    pub violation: Violation,
    /// What happened; of one connection only, where the violation is one connection's.
    pub trace: Vec<String>,
}

/// How many other seeds are tried with each kind of fault left out.
const SEEDS: u64 = 60;

/// Looks for a simpler history that breaks the promise that the one of this seed breaks.
pub fn shrink(seed: u64, settings: &Settings) -> Option<Failure> {
    let promise = play(seed, settings).err()?.promise;
    let mut best = (seed, settings.clone());
    for connections in [1, 2] {
        let fewer = Settings { connections: Some(connections), ..best.1.clone() };
        if let Some(found) = find(best.0, &fewer, promise) {
            best = (found, fewer);
            break;
        }
    }
    for minutes in [1, 2, 4] {
        let shorter = Settings { minutes: Some(minutes), ..best.1.clone() };
        if let Some(found) = find(best.0, &shorter, promise) {
            best = (found, shorter);
            break;
        }
    }
    for fault in Fault::ALL {
        let simpler = Settings { without: best.1.without.with(*fault), ..best.1.clone() };
        if let Some(found) = find(best.0, &simpler, promise) {
            best = (found, simpler);
        }
    }
    let (seed, settings) = best;
    (seed..seed + SEEDS)
        .filter(|seed| breaks(*seed, &settings, promise))
        .filter_map(|seed| tell(seed, &settings))
        .min_by_key(|failure| failure.trace.len())
}

fn find(seed: u64, settings: &Settings, promise: Promise) -> Option<u64> {
    (seed..seed + SEEDS).find(|seed| breaks(*seed, settings, promise))
}

fn breaks(seed: u64, settings: &Settings, promise: Promise) -> bool {
    play(seed, settings).is_err_and(|violation| violation.promise == promise)
}

fn tell(seed: u64, settings: &Settings) -> Option<Failure> {
    let Played { violation, trace } = played(seed, settings, true);
    let violation = violation?;
    let concerns = |connection: Option<usize>| {
        violation.connection.is_none() || connection.is_none() || connection == violation.connection
    };
    let trace = trace.into_iter().filter(|line| concerns(line.connection)).map(|line| line.text).collect();
    Some(Failure { seed, settings: settings.clone(), violation, trace })
}
