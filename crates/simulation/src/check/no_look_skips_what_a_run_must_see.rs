//! A run is settled only where a look of its own shows the calendar exactly as the last successful run's look found it,
//! and never after the button, an attempt that may have left half a schedule, or a lost lease.

use std::collections::BTreeMap;

use protocol::look::Seen;
use protocol::transition::Transition;

use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::check::record::invocation::Conduct;
use crate::fact::{Fact, Step};
use crate::subject::{Calendar, Purpose};
use crate::time::Instant;

#[derive(Default)]
pub(super) struct NoLookSkipsWhatARunMustSee {
    /// By number of the connection.
    known: BTreeMap<usize, Known>,
}

/// What is known of a connection's calendar and schedule.
#[derive(Default)]
struct Known {
    /// What the look before the last successful run found, and where.
    found: Option<(Calendar, Seen)>,
    /// Since when a run must be made whatever a look shows.
    must_run_since: Option<Instant>,
}

impl Check for NoLookSkipsWhatARunMustSee {
    fn read(&mut self, record: &Record, at: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        match fact {
            // It may write half a schedule.
            Fact::RunStarted(run) => {
                let holder = record.life(run.holder);
                let claim = holder.and_then(|life| life.claims.get(&run.connection));
                // Only the holder can know that its callee started after the lease; it then asks for a fresh run.
                let is_late = claim.is_some_and(|claim| claim.lease_until < at);
                if is_late && holder.is_some_and(|life| life.frozen) {
                    return;
                }
                let called_at = claim.and_then(|claim| claim.called_at).unwrap_or(at);
                self.known.entry(run.connection).or_default().must_run_since.get_or_insert(called_at);
            }
            Fact::Applied(step) => self.steps(record, at, step, found),
            _ => {}
        }
    }
}

impl NoLookSkipsWhatARunMustSee {
    fn steps(&mut self, record: &Record, at: Instant, step: &Step<'_>, found: &mut Found<'_>) {
        let Some(life) = record.life(step.invocation) else { return };
        let known = self.known.entry(step.connection).or_default();
        match step.transition {
            Transition::LoseRun => known.must_run_since = Some(at),
            Transition::Reconcile if step.before.sync_request_id.is_some() => {
                // What it is asked for may have come after the look.
                let what =
                    format!("{} asks for a run by what a look saw, though one is owed", step.invocation);
                found.broken(step.connection, what);
            }
            Transition::ClaimRenewal if matches!(step.invocation.purpose, Purpose::Button(_)) => {
                known.must_run_since = Some(at);
            }
            Transition::FinishRun | Transition::KeepRun | Transition::LeaveRun => known.succeeds(life, step),
            Transition::SettleRun | Transition::NoteUnchanged => {
                if let Err(what) = known.may_skip(record, life, step) {
                    found.broken(step.connection, format!("{} {what}", step.invocation));
                }
                if step.transition == Transition::SettleRun && step.after.sync_streak == 0 {
                    found.broken(step.connection, format!("{} settles a run for good", step.invocation));
                }
            }
            _ => {}
        }
    }
}

impl Known {
    /// A run was made, or settled before a newer request.
    fn succeeds(&mut self, life: &Conduct, step: &Step<'_>) {
        let Some(claim) = life.claims.get(&step.connection) else { return };
        let Some(called_at) = claim.called_at else { return };
        // One that was made after the call may have seen more than the callee did.
        let mut looks = life.looks(step.connection, claim.looked_from, called_at).peekable();
        let last = looks.peek().copied();
        // A renewal beside the run may have looked, too, and later.
        let look = looks.find(|look| look.seen == step.after.seen()).or(last);
        self.found = look.and_then(|look| Some((look.calendar?, look.seen?)));
        // What was asked for meanwhile is still to come.
        self.must_run_since = self.must_run_since.filter(|since| *since > called_at);
    }

    fn may_skip(&self, record: &Record, life: &Conduct, step: &Step<'_>) -> Result<(), &'static str> {
        let claim = life.claims.get(&step.connection);
        let since = match step.transition {
            Transition::NoteUnchanged => Instant::MIN,
            _ => claim.map_or(Instant::MAX, |claim| claim.looked_from),
        };
        let look = life.look(step.connection, since, Instant::MAX);
        let Some((calendar, seen)) = look.and_then(|look| look.calendar.zip(look.seen)) else {
            return Err("skips a run without a look that tells what is in the calendar");
        };
        if self.found != Some((calendar, seen)) {
            return Err("skips a run, and its look did not find what the last run's look found");
        }
        if record.google.calendar_of(step.before) != Some(calendar) {
            return Err("skips a run after a look at another calendar");
        }
        if self.must_run_since.is_some() {
            return Err("skips a run that was to be made whatever a look shows");
        }
        if step.transition == Transition::NoteUnchanged && step.before.sync_streak > 0 {
            return Err("leaves a doubt as it is");
        }
        Ok(())
    }
}
