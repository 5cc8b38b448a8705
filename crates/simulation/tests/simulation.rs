//! The simulation itself: the protocol passes it, every deliberate bug fails it, and a seed is all it hangs on.

use simulation::{Mutation, Promise, Settings, play, shrink, trace};

/// Within how many histories a deliberate bug is to be found.
const SEEDS: u64 = 10_000;

fn first_failure(settings: &Settings, seeds: u64) -> Option<u64> {
    (0..seeds).find(|seed| play(*seed, settings).is_err())
}

#[test]
fn a_thousand_histories_keep_every_promise() {
    let settings = Settings::default();
    for seed in 0..1000 {
        let kept = play(seed, &settings);
        assert!(kept.is_ok(), "seed {seed}: {}", kept.unwrap_err());
    }
}

#[test]
fn every_deliberate_bug_is_found() {
    for mutation in Mutation::ALL {
        let settings = Settings { mutation: Some(*mutation), ..Settings::default() };
        assert!(
            first_failure(&settings, SEEDS).is_some(),
            "{} is not found in {SEEDS} histories",
            mutation.name()
        );
    }
}

#[test]
fn a_seed_decides_everything() {
    let settings = Settings::default();
    let histories: Vec<_> = (0..20).map(|seed| trace(seed, &settings)).collect();
    for (seed, history) in (0..).zip(&histories) {
        assert_eq!(trace(seed, &settings), *history, "seed {seed}");
    }
    assert!(histories.windows(2).all(|two| two[0] != two[1]));
}

#[test]
fn the_known_limit_shows_only_behind_its_switch() {
    // It is rare, and less so with one connection, of which histories are short.
    let usual = Settings { connections: Some(1), ..Settings::default() };
    let settings = Settings { known_limit: true, ..usual.clone() };
    let seed = first_failure(&settings, 10 * SEEDS).unwrap();
    assert_eq!(play(seed, &settings).unwrap_err().promise, Promise::TheLastWordIsNotStale);
    assert!(play(seed, &usual).is_ok());
}

#[test]
fn a_failure_is_told_by_a_shorter_history_that_breaks_the_same_promise() {
    let settings = Settings { mutation: Some(Mutation::StopBeforeCommit), ..Settings::default() };
    let seed = first_failure(&settings, SEEDS).unwrap();
    let failure = shrink(seed, &settings).unwrap();
    assert_eq!(failure.violation.promise, Promise::TheCurrentChannelIsNeverStopped);
    assert_eq!(play(failure.seed, &failure.settings).unwrap_err(), failure.violation);
    assert!(failure.trace.len() <= trace(seed, &settings).len());
    assert!(failure.trace.last().unwrap().contains("BROKEN"), "{:?}", failure.trace.last());
}
