//! What a change missed by every notification left behind is mended within a day: every connection is looked at.

use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::fact::{Fact, Moment};
use crate::subject::Row;
use crate::time::{HOUR, Instant, seconds};

#[derive(Default)]
pub(super) struct EverythingIsReconciled;

impl Check for EverythingIsReconciled {
    fn read(&mut self, record: &Record, at: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        match fact {
            Fact::Reached(Moment::Recovered) => {
                for (case, row) in record.healthy() {
                    if row.last_sync_at.is_none() && !waits_for_its_user(row) {
                        found.broken(case.number, "nobody ever looked at it");
                    }
                }
            }
            Fact::Reached(Moment::Reconciled) => {
                let since = record.calm_from - HOUR;
                for (case, row) in record.healthy() {
                    if !waits_for_its_user(row) && !case.ran_since(since, at) {
                        found.broken(case.number, "nobody looked at it for a day");
                    }
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

fn waits_for_its_user(row: &Row) -> bool {
    row.webhook_error.as_deref() == Some("reconnect_required")
}
