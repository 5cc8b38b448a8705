//! A change in a quiet time is looked at within seconds. So an invocation that asks for a run that may be made at once
//! makes it, and one that gives a lease back waits for the next run where that is due soon. Of several one does.

use std::collections::BTreeMap;

use protocol::Timestamp;
use protocol::connection::{Connection, RequestId};
use protocol::event::Event;
use protocol::receive::Verdict;
use protocol::schedule::{
    ECHO, FREE_ECHOES, INVOCATION_END, LAST_RENEWAL, LAST_RUN_OF_A_SWEEP, LONGEST_SLEEP, RUNS_KEPT_FOR_LOOKS,
    RUNS_PER_INVOCATION, SHORTEST_RUN, SPARE, TOKEN_MARGIN_OF_A_RUN,
};
use protocol::transition::Transition;

use crate::assumption::SKEW;
use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::check::record::connection::Made;
use crate::check::record::invocation::{Conduct, Matter};
use crate::check::row::{asks_for_a_run, is_live, is_owed_and_due};
use crate::due::is_consenting;
use crate::fact::{Answer, Deed, Fact, Moment, Request, Step};
use crate::subject::{Purpose, Row, Writes, connection_of};
use crate::time::{Instant, MINUTE, SECOND, delta, instant, seconds};

#[derive(Default)]
pub(super) struct ChangesAreSeenPromptly {
    /// The runs that invocations asked for and might make at once, by invocation and connection.
    asked: BTreeMap<(usize, usize), Asked>,
    /// When invocations gave back the lease of a run that is still owed, and the row then.
    released: BTreeMap<(usize, usize), (Instant, Connection)>,
    /// The claims of runs that are not answered yet, by invocation and connection. A sweep may have two for one.
    claims: Vec<(usize, usize)>,
    /// When a claim was last not answered, by connection.
    unanswered_claims: BTreeMap<usize, Instant>,
}

struct Asked {
    at: Instant,
    owed: Owed,
    /// When the run is due by its clock.
    due_at: Instant,
}

/// What tells whether a run is owed as it was.
type Owed = (Option<RequestId>, i64, Timestamp);

fn owed(row: &Connection) -> Owed {
    (row.sync_request_id, row.sync_attempts, row.sync_not_before)
}

impl Check for ChangesAreSeenPromptly {
    fn read(&mut self, record: &Record, at: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        match fact {
            Fact::Applied(step) if asks_for_a_run(step) || comes_back_to_a_run(step) => {
                if let Some(life) = record.life(step.invocation) {
                    self.asks(at, life, step.connection, step.after);
                }
            }
            Fact::Applied(step) if step.transition == Transition::ClaimRun => {
                self.released.retain(|asker, _| asker.1 != step.connection);
            }
            Fact::Of(invocation, deed) => {
                if let Some(life) = record.life(*invocation) {
                    self.read_deed(record, at, life, deed, found);
                }
            }
            Fact::Reached(Moment::ChangesSeen { since }) => seen(record, *since, found),
            Fact::Reached(Moment::HiccupOver { since, .. }) => made_up_for(record, *since, found),
            _ => {}
        }
    }
}

impl ChangesAreSeenPromptly {
    fn asks(&mut self, at: Instant, life: &Conduct, connection: usize, row: &Connection) {
        let asker = (life.invocation.number, connection);
        let is_free = is_live(row)
            && is_consenting(row)
            && row.sync_request_id.is_some()
            && instant(row.sync_lease_until) == 0;
        let due_at = at + instant(row.sync_not_before) - life.clock(at);
        self.asked.remove(&asker);
        self.asked.extend(is_free.then(|| (asker, Asked { at, owed: owed(row), due_at })));
    }

    fn read_deed(
        &mut self,
        record: &Record,
        at: Instant,
        life: &Conduct,
        deed: &Deed<'_>,
        found: &mut Found<'_>,
    ) {
        let number = life.invocation.number;
        match *deed {
            Deed::Judges { notification, verdict: Verdict::Late(row) } => {
                let Purpose::Receive(connection) = life.invocation.purpose else { return };
                if record.row_of(connection, notification).is_some() {
                    self.asks(at, life, connection, row);
                }
            }
            // Whatever was faster has it now, the run included.
            Deed::Logs(event @ Event::RenewalSuperseded { .. }) => {
                self.asked.retain(|asker, _| Some(asker.1) != connection_of(event) || asker.0 != number);
            }
            Deed::Asks(Request::Update { connection: Some(connection), transition })
                if transition == Transition::ClaimRun || ends_a_run(transition) =>
            {
                self.released.remove(&(number, connection));
                if transition == Transition::ClaimRun {
                    self.claims.push((number, connection));
                }
            }
            Deed::Hears(Answer::Update {
                connection: Some(connection),
                transition: Transition::ClaimRun,
                row,
            }) => {
                if row.is_none() {
                    self.unanswered_claims.insert(connection, at);
                }
                let answered = self.claims.iter().position(|claim| *claim == (number, connection));
                answered.map(|claim| self.claims.swap_remove(claim));
            }
            Deed::Hears(Answer::Update {
                connection: Some(connection),
                transition,
                row: Some(Some(row)),
            }) if ends_a_run(transition)
                && !matches!(
                    transition,
                    Transition::FinishRun | Transition::SettleRun | Transition::AwaitConsent
                ) =>
            {
                self.released.insert((number, connection), (at, row.clone()));
            }
            Deed::Ends | Deed::Crashes => {
                let of_this = |asker: &(usize, usize)| asker.0 == number;
                self.claims.retain(|claim| !of_this(claim));
                let asked: Vec<_> = self.asked.extract_if(.., |asker, _| of_this(asker)).collect();
                let released: Vec<_> = self.released.extract_if(.., |asker, _| of_this(asker)).collect();
                if life.frozen || matches!(deed, Deed::Crashes) {
                    return;
                }
                for ((_, connection), asked) in asked {
                    if !self.is_anothers(at, connection) {
                        is_made(record, at, life, connection, &asked, found);
                    }
                }
                for ((_, connection), (released_at, row)) in released {
                    // The invocation that waits for all may have met a pause, or a consent that is dead, or no answer.
                    let is_disturbed = record.disturbed_at >= released_at
                        || self.unanswered_claims.get(&connection).is_some_and(|at| *at >= released_at)
                        || !record.row(connection).is_some_and(|row| is_consenting(row));
                    if !is_disturbed && !self.is_anothers(at, connection) {
                        is_waited_for(released_at, life, connection, &row, found);
                    }
                }
            }
            _ => {}
        }
    }
}

impl ChangesAreSeenPromptly {
    /// Whether another invocation that goes on is to make a run of this connection, too, or is about to.
    fn is_anothers(&self, at: Instant, connection: usize) -> bool {
        let waits = |asked: &Asked| asked.due_at - at < delta(LONGEST_SLEEP);
        let asked = self.asked.iter().filter(|(_, asked)| waits(asked)).map(|(asker, _)| asker);
        asked.chain(self.released.keys()).chain(&self.claims).any(|asker| asker.1 == connection)
    }
}

/// A commit whose answer was lost is looked up, and its run made then; the button's is made though its renewal failed.
fn comes_back_to_a_run(step: &Step<'_>) -> bool {
    match step.transition {
        Transition::LookUpChannel => true,
        Transition::FailRenewal | Transition::DoubtChannel => {
            matches!(step.invocation.purpose, Purpose::Button(_))
        }
        _ => false,
    }
}

/// Gives a lease back.
fn ends_a_run(transition: Transition) -> bool {
    matches!(
        transition,
        Transition::FinishRun
            | Transition::SettleRun
            | Transition::LeaveRun
            | Transition::PauseRun
            | Transition::FailRun
            | Transition::RefuseRun
            | Transition::AwaitConsent
    )
}

/// What an invocation may wait for a run to be due: a sweep, for nothing.
fn patience(life: &Conduct) -> Instant {
    if life.invocation.purpose == Purpose::Sweep { 0 } else { delta(LONGEST_SLEEP) - SECOND }
}

/// A run that was asked for and may be made at once is made, and not left to the sweep.
fn is_made(
    record: &Record,
    at: Instant,
    life: &Conduct,
    connection: usize,
    asked: &Asked,
    found: &mut Found<'_>,
) {
    let in_time = asked.due_at - asked.at <= patience(life)
        && match life.invocation.purpose {
            // Less what it takes to ask for it.
            Purpose::Sweep => {
                record.is_quiet(life)
                    && life.runs < (RUNS_PER_INVOCATION - RUNS_KEPT_FOR_LOOKS) as usize
                    && life.age(asked.at) < delta(LAST_RUN_OF_A_SWEEP) - 2 * SECOND
            }
            // From then on renewals are given back.
            _ => life.age(at) < delta(LAST_RENEWAL) - SECOND,
        };
    let is_owed = record.row(connection).is_some_and(|row| {
        owed(row) == asked.owed && is_owed_and_due(row, Instant::MAX) && instant(row.sync_lease_until) == 0
    });
    let doubts = life.doubts(connection, Matter::Run) || life.doubts(connection, Matter::Channel);
    let tried = life.claims.contains_key(&connection) || life.refused_at.is_some();
    // A pause and a resumption meanwhile may have kept it from its claim.
    let undisturbed = record.disturbed_at < asked.at;
    // Of many channels that are not its own, and speak while there is no access token, some leave the run to the others.
    let lacks_token = |row: &Row| {
        row.expires_at.is_none_or(|expires_at| {
            instant(expires_at) < life.clock(asked.at) + delta(TOKEN_MARGIN_OF_A_RUN) + SECOND
        })
    };
    let is_flooded = record.case(connection).is_some_and(|case| case.is_flooded(at))
        && record.row(connection).is_some_and(lacks_token);
    // What opened the channel may learn of it late, and sleep for the same run.
    let relieved = at < life.sleeps_until;
    if in_time && is_owed && undisturbed && !doubts && !tried && !relieved && !is_flooded {
        let what = format!("{} asked for a run that could be made, and made none", life.invocation);
        found.broken(connection, what);
    }
}

/// A run that is due within seconds of another is waited for, and not left to the sweep.
fn is_waited_for(at: Instant, life: &Conduct, connection: usize, row: &Connection, found: &mut Found<'_>) {
    let claim =
        life.claims.get(&connection).filter(|claim| claim.may_run && is_live(row) && is_consenting(row));
    let Some(claim) = claim else { return };
    let wait = instant(row.sync_not_before) - life.clock(at);
    // Twice the run before, or what a wait leaves for a run.
    let run = (2 * (at - claim.sent_at)).max(delta(SHORTEST_RUN) + delta(SPARE));
    let needs = wait.max(0) + run + delta(SPARE) + SECOND;
    let in_time = life.age(at) + needs < delta(INVOCATION_END);
    let may_wait = life.invocation.purpose != Purpose::Sweep && life.refused_at.is_none();
    if wait <= patience(life) && may_wait && in_time {
        let what =
            format!("{} leaves to the sweep a run that is due in {} s", life.invocation, wait / SECOND);
        found.broken(connection, what);
    }
}

fn seen(record: &Record, since: Instant, found: &mut Found<'_>) {
    for (case, row) in record.healthy() {
        // After a sweep whose clock is ahead has made or settled a run, the next may be booked too far ahead to be
        // waited for.
        let is_ending = |made: &Made| made.run.start < since && made.run.end >= since - 2 * SKEW;
        let is_fresh = case.runs.iter().any(is_ending)
            || case.settled_runs.iter().any(|at| (since - 2 * SKEW..since).contains(at));
        // Or the change undid the change before it, for which there was no run yet.
        let mut seen = case.runs.iter().map(|made| &made.run.start).chain(&case.settled_runs);
        if !is_fresh && !seen.any(|seen_at| (since..since + 30 * SECOND).contains(seen_at)) {
            found.broken(case.number, format!("no run 30 s after {} s", seconds(since)));
        }
        // The run that follows a new channel may count as an echo.
        let is_renewed = case.committed_at.is_some_and(|committed_at| committed_at >= since - delta(ECHO));
        if row.sync_streak >= FREE_ECHOES && case.writes == Writes::Nothing && !is_renewed {
            let what = "changes more than a minute apart count as echoes of one another";
            found.broken(case.number, what);
        }
    }
}

/// A run that failed once, or was refused for 40 s, is made up for soon.
fn made_up_for(record: &Record, since: Instant, found: &mut Found<'_>) {
    // More than a sweep makes take another minute.
    if record.cases().len() > RUNS_PER_INVOCATION as usize {
        return;
    }
    for (case, row) in record.healthy() {
        // Settled, it was not made to fail.
        let is_settled = case.settled_runs.iter().any(|at| *at >= since);
        // What the host itself writes put the run off until the last sweep of these two minutes, or longer.
        let is_braked =
            case.writes != Writes::Nothing && instant(row.sync_not_before) >= since + MINUTE - SKEW;
        if !is_settled
            && !is_braked
            && !case.runs.iter().any(|made| made.run.succeeds && made.run.start >= since)
        {
            let what = format!("no run two minutes after one that failed at {} s", seconds(since));
            found.broken(case.number, what);
        }
    }
}
