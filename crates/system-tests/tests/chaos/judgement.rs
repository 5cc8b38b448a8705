//! The promises, checked in what happened.
//!
//! Everything runs on one machine, so the times of the database, of the fake Google and of the sample app compare. A
//! later change of the same connection hides a lost one: the run that it causes starts after both. So the requests
//! are followed one by one, too: each answered change has stored one, and none goes before a run for it succeeds.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use system_tests::Run;
use uuid::Uuid;

use crate::history::{History, State};
use crate::population::Habit;

/// A claim's answer may take 5 s until it counts as lost. The call follows it, or the token and the look that prepare
/// it, which take 20 s at most, and another write.
const CLAIM_TO_RUN: TimeDelta = TimeDelta::seconds(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Promise {
    /// Every change whose notification was answered with 2xx is followed by a run that starts later; one of a calendar
    /// that the app writes to at least by a look that settles it, for it may be of the last run's own making.
    ChangeIsRun,
    /// Every such change has stored a request before it was answered.
    ChangeIsRequested,
    /// A request goes only when a run for it, begun after it was stored, has succeeded, or when a look that began after
    /// it was stored shows what the last run found.
    RequestIsKept,
    /// Every new channel is followed by a run, or by a look that settles.
    ChannelIsRun,
    /// No two runs of one connection overlap. Runs are far shorter than the lease of 60 s, which a killed caller's
    /// callee therefore never outlives: there is no exception.
    OneRunAtATime,
    /// A run is for the connection's own user, and for a change of that connection.
    OnlyTheAffected,
    /// A paused or disconnected connection has no run.
    OnlyTheLive,
    /// One live channel, the one that the row names; a paused or disconnected connection has none.
    OneChannel,
    /// A channel that the row names, as current or as pending, is not stopped.
    CurrentIsNotStopped,
    /// Nothing is owed, and a run has succeeded.
    NothingIsOwed,
    /// The session is where the calendar leaves room for it; and so is the one event that the app has written of it.
    SessionIsPlaced,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub promise: Promise,
    pub connection: Uuid,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, connection {}: {}", self.promise, self.connection, self.what)
    }
}

/// What must hold whenever everything has settled.
pub(crate) fn judge(history: &History) -> Vec<Violation> {
    let judge = Judge { history };
    let found = [
        judge.changes(),
        judge.requests(),
        judge.channels(),
        judge.overlaps(),
        judge.strangers(),
        judge.paused(),
        judge.stops(),
        judge.end(),
    ];
    found.into_iter().flatten().collect()
}

/// What must hold besides once every live channel has spoken.
pub(crate) fn judge_channels(history: &History) -> Vec<Violation> {
    let judge = Judge { history };
    let named = history.state().channel.as_deref().filter(|_| history.state().live);
    let (live, expected) = (history.live_channels(), Vec::from_iter(named));
    if live == expected && named.is_some() == history.state().live {
        return Vec::new();
    }
    vec![judge.violation(Promise::OneChannel, format!("Google has {live:?}, the row names {named:?}"))]
}

struct Judge<'a> {
    history: &'a History,
}

impl Judge<'_> {
    fn changes(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        let state = self.history.state();
        for change in self.history.notifications.iter().filter(|change| change.is_answered_change()) {
            let name = format!("change {} on channel {}", change.message_number, change.channel_id);
            // Who is paused is run when resumed.
            let still_owed = !state.live && state.request.is_some();
            // What is undone at once is settled. A calendar that is live is run at the next look that is due.
            let may_be_settled = self.history.inhabitant.writes || !state.live;
            let is_settled = may_be_settled && self.history.is_settled_after(change.queued_at);
            if !self.is_run_after(change.queued_at) && !is_settled && !still_owed {
                violations.push(self.violation(Promise::ChangeIsRun, format!("no run after {name}")));
            }
            let stored = self.changes_of_state().any(|(before, after)| {
                after.request.is_some()
                    && after.request != before.request
                    && after.at >= change.queued_at
                    && after.at <= change.answered_at()
            });
            if !stored {
                violations
                    .push(self.violation(Promise::ChangeIsRequested, format!("{name} stored no request")));
            }
        }
        violations
    }

    fn requests(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut stored_at = self.history.states.first().map(|state| state.at).unwrap_or_default();
        for (before, after) in
            self.changes_of_state().filter(|(before, after)| before.request != after.request)
        {
            if let (Some(request), None) = (before.request, after.request) {
                let run = |run: &&Run| {
                    run.request_id == request
                        && run.succeeded()
                        && run.started_at >= stored_at
                        && run.finished_at.is_some_and(|finished_at| finished_at <= after.at)
                };
                let is_settled =
                    self.history.settling_look(before, after).is_some_and(|look| look >= stored_at);
                if !self.history.runs.iter().any(|each| run(&each)) && !is_settled {
                    let what = format!("request {request} went at {} without a run or a look", after.at);
                    violations.push(self.violation(Promise::RequestIsKept, what));
                }
            }
            stored_at = after.at;
        }
        violations
    }

    fn channels(&self) -> Vec<Violation> {
        let opened =
            |(before, after): &(&State, &State)| after.channel.is_some() && after.channel != before.channel;
        let live = self.history.state().live;
        let unseen = self.changes_of_state().filter(opened).filter(|(before, after)| {
            let requested = after.request.is_some() && after.request != before.request;
            let is_seen = self.is_run_after(after.at) || self.history.is_settled_after(after.at);
            !requested || (live && !is_seen)
        });
        let what = |(_, after): (&State, &State)| format!("no run after channel {:?}", after.channel);
        unseen.map(|change| self.violation(Promise::ChannelIsRun, what(change))).collect()
    }

    fn overlaps(&self) -> Vec<Violation> {
        let mut runs: Vec<&Run> = self.history.runs.iter().collect();
        runs.sort_by_key(|run| run.started_at);
        let pairs = runs.iter().zip(runs.iter().skip(1));
        let overlapping = pairs.filter(|(first, second)| {
            first.finished_at.is_none_or(|finished_at| finished_at > second.started_at)
        });
        let what = |first: &Run, second: &Run| {
            let (first, second) = (first.started_at, second.started_at);
            format!("the run of {first} goes on while that of {second} starts")
        };
        overlapping
            .map(|(first, second)| self.violation(Promise::OneRunAtATime, what(first, second)))
            .collect()
    }

    fn strangers(&self) -> Vec<Violation> {
        let inhabitant = &self.history.inhabitant;
        let mut violations = Vec::new();
        for run in self.history.runs.iter().filter(|run| run.user_id != inhabitant.connection.user) {
            violations
                .push(self.violation(Promise::OnlyTheAffected, format!("a run for user {}", run.user_id)));
        }
        if inhabitant.habit == Habit::Quiet {
            let for_no_reason = self.changes_of_state().filter(|(before, after)| {
                let opened = after.channel != before.channel;
                let never_run = before.last_sync_at.is_none();
                // Then a look that is due leads to a run, whatever it sees.
                let in_doubt = before.seen.is_none() || before.streak > 0;
                let asked = after.request.is_some() && after.request != before.request;
                asked && !opened && !never_run && !in_doubt
            });
            violations.extend(for_no_reason.skip(self.history.lost_leases).map(|(_, after)| {
                let what = format!("a run is asked at {} although its calendar has not changed", after.at);
                self.violation(Promise::OnlyTheAffected, what)
            }));
        }
        violations
    }

    fn paused(&self) -> Vec<Violation> {
        let live_lately = |run: &&Run| {
            let since = run.started_at - CLAIM_TO_RUN;
            let states = &self.history.states;
            let at_first = states.iter().rfind(|state| state.at <= since).or(states.first());
            let since_then = states.iter().filter(|state| state.at > since && state.at <= run.started_at);
            at_first.into_iter().chain(since_then).any(|state| state.live)
        };
        let runs = self.history.runs.iter().filter(|run| !live_lately(run));
        runs.map(|run| {
            let what = format!("a run at {} although paused or disconnected", run.started_at);
            self.violation(Promise::OnlyTheLive, what)
        })
        .collect()
    }

    fn stops(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        for channel in &self.history.channels {
            let Some(stopped_at) = channel.stopped_at else { continue };
            let states = &self.history.states;
            let then = states.iter().rposition(|state| state.at <= stopped_at).unwrap_or_default();
            let names =
                |state: &&State| [&state.channel, &state.pending].contains(&&Some(channel.id.clone()));
            if let Some(naming) = states[then..].iter().find(names) {
                let what =
                    format!("channel {} is stopped at {stopped_at}, named at {}", channel.id, naming.at);
                violations.push(self.violation(Promise::CurrentIsNotStopped, what));
            }
        }
        violations
    }

    fn end(&self) -> Vec<Violation> {
        let History { session, events, written, inhabitant, .. } = self.history;
        let state = self.history.state();
        if !state.live {
            return Vec::new();
        }
        let mut violations = Vec::new();
        if state.request.is_some() || state.last_sync_at.is_none() {
            let what = format!("owed {:?}, last run {:?}", state.request, state.last_sync_at);
            violations.push(self.violation(Promise::NothingIsOwed, what));
        }
        let preferred = (inhabitant.preferred, inhabitant.preferred + (session.1 - session.0));
        let in_the_way = |slot: (DateTime<Utc>, DateTime<Utc>)| {
            events.iter().any(|event| event.0 < slot.1 && slot.0 < event.1)
        };
        if in_the_way(*session) || (session.0 != preferred.0 && !in_the_way(preferred)) {
            let what = format!("the session is at {}, the events at {events:?}", session.0);
            violations.push(self.violation(Promise::SessionIsPlaced, what));
        }
        let expected = if inhabitant.writes { vec![*session] } else { Vec::new() };
        if *written != expected {
            let what = format!("the session is at {}, and was written to {written:?}", session.0);
            violations.push(self.violation(Promise::SessionIsPlaced, what));
        }
        violations
    }

    fn is_run_after(&self, time: DateTime<Utc>) -> bool {
        self.history.runs.iter().any(|run| run.succeeded() && run.started_at >= time)
    }

    /// Each state with the one before it.
    fn changes_of_state(&self) -> impl Iterator<Item = (&State, &State)> {
        self.history.states.iter().zip(self.history.states.iter().skip(1))
    }

    fn violation(&self, promise: Promise, what: String) -> Violation {
        Violation { promise, connection: self.history.inhabitant.connection.id, what }
    }
}
