//! How much work was interrupted: a test in which nothing is proves nothing.

use std::collections::BTreeSet;
use std::fmt;

use chrono::TimeDelta;
use system_tests::Run;

use crate::history::History;

/// A run's end is written at once, or within the 5 s after which the write is given up.
const END_IS_WRITTEN: TimeDelta = TimeDelta::seconds(6);

pub(crate) struct Damage {
    notifications: usize,
    repeated: usize,
    runs: usize,
    unfinished: usize,
    renewals: usize,
    abandoned: usize,
    /// Requests that a look settled.
    pub settled: usize,
}

impl Damage {
    pub(crate) fn total(&self) -> usize {
        self.repeated + self.unfinished + self.abandoned
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { notifications, repeated, runs, unfinished, renewals, abandoned, settled } = self;
        write!(
            f,
            "{repeated} of {notifications} notifications were repeated by Google, {unfinished} of {runs} good runs \
             were not told of by their caller, {abandoned} of {renewals} renewals came to nothing, and looks settled \
             {settled} requests"
        )
    }
}

pub(crate) fn damage(histories: &[History]) -> Damage {
    let count = |of: &dyn Fn(&History) -> usize| histories.iter().map(of).sum::<usize>();
    let renewals = |history: &History| {
        let pending = history.states.iter().filter_map(|state| state.pending.clone());
        pending.collect::<BTreeSet<_>>()
    };
    let abandoned = |history: &History| {
        let committed: BTreeSet<_> =
            history.states.iter().filter_map(|state| state.channel.clone()).collect();
        renewals(history).difference(&committed).count()
    };
    // A run that succeeded and a look that settled end alike, but for the run.
    let settled = |history: &History| {
        let changes = history.states.iter().zip(history.states.iter().skip(1));
        let without_run = changes.filter(|(before, after)| {
            let made = history.runs.iter().any(|run| Some(run.request_id) == before.request);
            !made && history.settling_look(before, after).is_some()
        });
        without_run.count()
    };
    Damage {
        notifications: count(&|history| history.notifications.len()),
        repeated: count(&|history| history.notifications.iter().filter(|each| each.attempts > 1).count()),
        runs: count(&|history| history.runs.iter().filter(|run| run.succeeded()).count()),
        unfinished: count(&|history| {
            history.runs.iter().filter(|run| run.succeeded() && !is_told_of(history, run)).count()
        }),
        renewals: count(&|history| renewals(history).len()),
        abandoned: count(&abandoned),
        settled: count(&settled),
    }
}

/// Whether the caller of the run lived long enough to write that it succeeded.
fn is_told_of(history: &History, run: &Run) -> bool {
    let states = &history.states;
    run.finished_at.is_some_and(|finished_at| {
        states.iter().zip(states.iter().skip(1)).any(|(before, after)| {
            after.last_sync_at != before.last_sync_at
                && after.at >= finished_at
                && after.at <= finished_at + END_IS_WRITTEN
        })
    })
}
