//! A channel that has died, a consent that was withdrawn, a calendar that is gone and a notification that never came are
//! noticed within hours, and within minutes while the channel is not well: every connection is looked at.

use protocol::schedule::{LOOK_INTERVAL, LOOK_INTERVAL_WITHOUT_CHANNEL};

use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::check::record::connection::Case;
use crate::check::row::hears;
use crate::due::is_consenting;
use crate::fact::{Fact, Moment};
use crate::subject::Row;
use crate::time::{HOUR, Instant, MINUTE, delta, micros, seconds};

/// Until a sweep comes, and is done.
const SWEEP: Instant = 2 * MINUTE;

#[derive(Default)]
pub(super) struct SilenceIsNoticed;

impl Check for SilenceIsNoticed {
    fn read(&mut self, record: &Record, at: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        match fact {
            Fact::Reached(Moment::Recovered) => {
                for (case, row) in record.healthy() {
                    if row.last_sync_at.is_none() && is_consenting(row) {
                        found.broken(case.number, "nobody ever looked at it");
                    }
                }
            }
            Fact::Reached(Moment::Reconciled) => {
                for (case, row) in record.healthy().filter(|(_, row)| is_consenting(row)) {
                    is_looked_at(record, at, case, row, found);
                    if let Some(change) = case.changes.iter().find(|change| !case.ran_since(change.at, at)) {
                        let when = seconds(change.at);
                        let what = format!("a day later nobody has looked at the change at {when} s");
                        found.broken(case.number, what);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Lately, and again soon.
fn is_looked_at(record: &Record, at: Instant, case: &Case, row: &Row, found: &mut Found<'_>) {
    let usual = if hears(row, at) { micros(LOOK_INTERVAL) } else { delta(LOOK_INTERVAL_WITHOUT_CHANNEL) };
    // What crashes the sweep keeps it from the others' looks, or from what they lead to.
    let slack = if record.has_crashing() { 5 * HOUR } else { SWEEP };
    let since = at - usual / 10 * 11 - slack;
    let looked_at = case.looks.last().copied().max(case.runs.last().map(|made| made.run.start));
    if looked_at.is_none_or(|looked_at| looked_at < since) {
        found.broken(case.number, format!("nobody has looked at it since {} s", seconds(since)));
    }
}
