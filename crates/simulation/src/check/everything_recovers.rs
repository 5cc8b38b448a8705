//! A connection that nothing is wrong with is well and owes nothing a few hours after the faults stopped. So no lease
//! is left behind or lasts longer than it must, nothing is given up that another try would mend, and nobody complains
//! about nothing.

use std::collections::{BTreeMap, BTreeSet};

use protocol::event::Event;
use protocol::failure::RunFailure;
use protocol::schedule::REFRESH_INTERVAL;
use protocol::transition::Transition;

use crate::assumption::{RUN_LEASE, SKEW};
use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::check::record::connection::Case;
use crate::check::record::invocation::{Conduct, Matter};
use crate::check::row::{arose_at, is_well};
use crate::due::is_consenting;
use crate::fact::{Answer, Deed, Fact, Moment, Step};
use crate::subject::{Row, connection_of};
use crate::time::{HOUR, Instant, SECOND, delta, instant, micros};

#[derive(Default)]
pub(super) struct EverythingRecovers {
    /// Invocations and connections whose last run did not answer.
    hanging: BTreeSet<(usize, usize)>,
    /// When the refresh token of a connection rotated last: what another goes by was superseded then.
    rotated_at: BTreeMap<usize, Instant>,
}

impl Check for EverythingRecovers {
    fn read(&mut self, record: &Record, at: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        match fact {
            Fact::Applied(step) => {
                if let Some(life) = record.life(step.invocation) {
                    steps(life, step, found);
                }
                if step.transition == Transition::StoreToken
                    && step.before.webhook_source != step.after.webhook_source
                {
                    self.rotated_at.insert(step.connection, at);
                }
            }
            Fact::Of(invocation, deed) => {
                if let Some(life) = record.life(*invocation) {
                    self.read_deed(record, life, deed, found);
                }
            }
            Fact::Reached(Moment::Recovered) => {
                for (case, row) in record.healthy() {
                    has_a_channel(record, at, case, row, found);
                    owes_nothing(record, at, case, row, found);
                }
            }
            Fact::Reached(Moment::ButtonsPressed { since }) => {
                // So soon after another renewal the button has nothing to do.
                let too_soon = since - delta(REFRESH_INTERVAL) - 2 * SKEW..*since;
                for (case, _) in record.healthy() {
                    let committed_at = case.committed_at.unwrap_or_default();
                    let opened = committed_at >= *since && case.ran_since(*since, at);
                    if !opened && !too_soon.contains(&committed_at) {
                        let what = "the button brought no new channel and run within a minute";
                        found.broken(case.number, what);
                    }
                }
            }
            _ => {}
        }
    }
}

impl EverythingRecovers {
    fn read_deed(&mut self, record: &Record, life: &Conduct, deed: &Deed<'_>, found: &mut Found<'_>) {
        let invocation = life.invocation;
        match *deed {
            Deed::Hears(Answer::Run { connection, result }) => {
                match result {
                    Err(RunFailure::TimedOut | RunFailure::Unreachable) => {
                        self.hanging.insert((invocation.number, connection))
                    }
                    _ => self.hanging.remove(&(invocation.number, connection)),
                };
            }
            Deed::Logs(
                event @ (Event::RenewalFailed { .. }
                | Event::RenewalSuperseded { .. }
                | Event::RunLeaseLost { .. }),
            ) => {
                let case = connection_of(event).and_then(|connection| record.case(connection));
                let is_rotated = |case: &Case| {
                    matches!(event, Event::RenewalSuperseded { .. })
                        && self.rotated_at.get(&case.number).is_some_and(|at| *at >= life.started_at)
                };
                let is_wrong =
                    |case: &&Case| record.is_quiet(life) && record.is_healthy(case) && !is_rotated(case);
                if let Some(case) = case.filter(is_wrong) {
                    let what = format!("{invocation} reports {}, though nothing is wrong", event.name());
                    found.broken(case.number, what);
                }
            }
            Deed::Ends if !life.frozen => {
                for connection in life.claims.keys() {
                    let row = record.row(*connection);
                    let held = row.is_some_and(|row| life.holds(*connection, instant(row.sync_lease_until)));
                    let hangs = self.hanging.contains(&(invocation.number, *connection));
                    if held && !hangs && !life.doubts(*connection, Matter::Run) {
                        found.broken(*connection, format!("{invocation} ends, and its lease stays behind"));
                    }
                }
            }
            _ => {}
        }
    }
}

fn steps(life: &Conduct, step: &Step<'_>, found: &mut Found<'_>) {
    match step.transition {
        Transition::ClaimRun | Transition::KeepRun => {
            let longest = micros(RUN_LEASE) + SECOND + SKEW;
            if !life.frozen && instant(step.after.sync_lease_until) > step.sent_at + longest {
                let what = format!("{} keeps others out for longer than a lease", step.invocation);
                found.broken(step.connection, what);
            }
        }
        Transition::FailRenewal | Transition::DoubtChannel => {
            let told = step.after.webhook_error.as_deref();
            let last = life.said.get(&step.connection).and_then(|said| said.last());
            let other_id = last.is_some_and(|said| said.wants_another_id && Some(said.code) == told);
            if other_id && life.watches.get(&step.connection) == Some(&1) {
                let what = format!("{} gives up where Google only wants another id", step.invocation);
                found.broken(step.connection, what);
            }
        }
        _ => {}
    }
}

fn has_a_channel(record: &Record, at: Instant, case: &Case, row: &Row, found: &mut Found<'_>) {
    if record.is_excused(case) {
        return;
    }
    let channel = row.webhook_id.as_ref().and_then(|id| record.google.channel(id));
    let is_live = channel.is_some_and(|channel| channel.is_live(at));
    // Where sweeps crash, the renewal of a channel that has hours left may just be tried again.
    if !is_live || !(is_well(row, at) || record.has_crashing()) {
        let error = row.webhook_error.as_deref().unwrap_or("none");
        found.broken(case.number, format!("no channel long after; its error: {error}"));
    }
}

fn owes_nothing(record: &Record, at: Instant, case: &Case, row: &Row, found: &mut Found<'_>) {
    if let Some(request) = row.sync_request_id {
        // Google said of a consent that it is dead, and will be asked again within a day.
        if !is_consenting(row) && record.is_excused(case) {
            return;
        }
        // Where sweeps crash, the day's look at everything may just be tried again.
        let just_asked = arose_at(request).is_some_and(|arose_at| arose_at > at - 4 * HOUR);
        if !(just_asked && record.has_crashing()) {
            found.broken(case.number, "a run is still owed long after");
        }
    } else if row.sync_attempts != 0 {
        found.broken(case.number, "nothing is owed, and attempts are still counted");
    } else if row.sync_error.is_some() {
        found.broken(case.number, "nothing is owed, and an error is still told");
    }
}
