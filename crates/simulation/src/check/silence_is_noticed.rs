//! A channel that has died, a consent that was withdrawn, a calendar that is gone and a notification that never came
//! are noticed within hours, and within minutes while the channel is not well: every connection is looked at.

use std::collections::BTreeSet;

use protocol::schedule::{BLIND_RUN_AFTER, CHANNEL_IS_YOUNG, LOOK_INTERVAL, LOOK_INTERVAL_WITHOUT_CHANNEL};
use protocol::transition::Transition;

use crate::assumption::SKEW;
use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::check::record::connection::{Case, KnownChange};
use crate::check::record::invocation::Conduct;
use crate::check::row::{hears, is_live};
use crate::due::is_consenting;
use crate::fact::{Fact, Moment, Step};
use crate::subject::{Broken, Row};
use crate::time::{HOUR, Instant, MINUTE, SECOND, delta, instant, micros, seconds};

/// Until a sweep comes, and is done.
const SWEEP: Instant = 2 * MINUTE;

#[derive(Default)]
pub(super) struct SilenceIsNoticed {
    gone: BTreeSet<usize>,
    revoked: BTreeSet<usize>,
}

impl Check for SilenceIsNoticed {
    fn read(&mut self, record: &Record, at: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        match fact {
            Fact::Reached(Moment::Recovered) => {
                for (case, row) in record.healthy() {
                    if row.last_sync_at.is_none() && is_consenting(row) && !record.is_excused(case) {
                        found.broken(case.number, "nobody ever looked at it");
                    }
                }
            }
            Fact::Reached(Moment::Reconciled) => {
                let unlisted = |case: &Case| case.broken == Some(Broken::Unlisted);
                for (case, row) in record.rows().filter(|(case, row)| unlisted(case) && is_live(row)) {
                    let since = at - delta(BLIND_RUN_AFTER) - HOUR - SWEEP;
                    if record.google.is_usable(row) && is_consenting(row) && !case.ran_since(since, at) {
                        found.broken(case.number, "no look succeeds, and no run was made for a day");
                    }
                }
                for (case, row) in record.healthy().filter(|(_, row)| is_consenting(row)) {
                    is_looked_at(record, at, case, row, found);
                    // What the host writes while the day ends is for the next look.
                    let is_old =
                        |change: &&KnownChange| change.at < at - micros(LOOK_INTERVAL) / 10 * 11 - SWEEP;
                    let mut old = case.changes.iter().filter(is_old);
                    if let Some(change) = old.find(|change| !case.seen_since(change.at, at)) {
                        let when = seconds(change.at);
                        let what = format!("a day later nobody has looked at the change at {when} s");
                        found.broken(case.number, what);
                    }
                }
            }
            Fact::Applied(step) if step.transition == Transition::Reconcile => {
                if let Some(life) = record.life(step.invocation) {
                    is_replaced(at, life, step, found);
                }
            }
            Fact::CalendarGone { connection, .. } => {
                self.gone.insert(*connection);
            }
            Fact::Revoked { connection: Some(connection), .. } if record.calm_from < at => {
                self.revoked.insert(*connection);
            }
            Fact::Reached(Moment::SilenceOver { since }) => {
                for (case, row) in record.rows().filter(|(_, row)| is_live(row)) {
                    self.is_noticed(record, at, *since, case, row, found);
                }
            }
            _ => {}
        }
    }
}

impl SilenceIsNoticed {
    fn is_noticed(
        &self,
        record: &Record,
        at: Instant,
        since: Instant,
        case: &Case,
        row: &Row,
        found: &mut Found<'_>,
    ) {
        let is_run = case.broken.is_none_or(Broken::is_run);
        let error = row.webhook_error.as_deref().unwrap_or("nothing");
        if !is_run {
            return;
        }
        if self.revoked.contains(&case.number) {
            if is_consenting(row) {
                found.broken(case.number, format!("its consent was withdrawn, and it tells {error}"));
            }
            return;
        }
        // What nobody can read, nobody can miss.
        if self.gone.contains(&case.number) {
            if error != "calendar_not_found" && case.broken != Some(Broken::Unreadable) && is_consenting(row)
            {
                found.broken(case.number, format!("its calendar is gone, and it tells {error}"));
            }
            return;
        }
        if !record.google.is_usable(row) || !is_consenting(row) {
            return;
        }
        is_looked_at(record, at, case, row, found);
        let is_planned = |change: &&KnownChange| change.at >= since && !change.own;
        let planned = case.changes.iter().find(is_planned);
        if let Some(change) = planned.filter(|change| !case.ran_since(change.at, at)) {
            let what = format!(
                "nobody looked at the change at {} s, of which Google did not tell",
                seconds(change.at)
            );
            found.broken(case.number, what);
        }
    }
}

/// A channel that did not tell of a change that a look found is replaced, unless it is so young that Google may only be
/// late.
fn is_replaced(at: Instant, life: &Conduct, step: &Step<'_>, found: &mut Found<'_>) {
    let before = step.before;
    let look = life.look(step.connection, Instant::MIN, Instant::MAX).and_then(|look| look.seen);
    let is_changed = look.zip(before.seen()).is_some_and(|(look, seen)| look != seen);
    let age = at - instant(before.webhook_opened_at);
    let is_missed =
        is_changed && before.sync_streak == 0 && hears(before, at - SKEW) && hears(before, at + SKEW);
    let is_due = instant(step.after.webhook_not_before) <= life.clock(at) + SECOND;
    if is_missed && age > delta(CHANNEL_IS_YOUNG) + SKEW && !is_due && !life.frozen {
        found.broken(step.connection, "a channel that did not tell of a change is kept");
    }
}

/// Lately, and again soon.
fn is_looked_at(record: &Record, at: Instant, case: &Case, row: &Row, found: &mut Found<'_>) {
    let usual = if hears(row, at) { micros(LOOK_INTERVAL) } else { delta(LOOK_INTERVAL_WITHOUT_CHANNEL) };
    // What crashes the sweep keeps it from the others' looks, or from what they lead to.
    let slack = if record.has_crashing() { 5 * HOUR } else { SWEEP };
    let since = at - usual / 10 * 11 - slack;
    let looked_at = case.looks.last().max(case.settled.last()).copied();
    let looked_at = looked_at.max(case.runs.last().map(|made| made.run.start));
    if looked_at.is_none_or(|looked_at| looked_at < since) {
        found.broken(case.number, format!("nobody has looked at it since {} s", seconds(since)));
    }
}
