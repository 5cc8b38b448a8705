//! A change that was answered with 2xx, or that no channel could report, is followed by a successful run that started
//! later, or that run is still owed. So every reason to run is a request of its own, and what is owed is tried for
//! ever.

use std::collections::BTreeSet;

use protocol::connection::RequestId;
use protocol::notification::Notification;
use protocol::receive::Verdict;

use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::check::record::connection::{Case, KnownChange};
use crate::check::row::{arose_at, asks_for_a_run, is_live};
use crate::due::is_consenting;
use crate::fact::{Deed, Fact, Moment, Step};
use crate::subject::{Broken, Invocation, Purpose, Row};
use crate::time::{HOUR, Instant, seconds};

#[derive(Default)]
pub(super) struct NoChangeIsLost {
    /// Every sync request that a function ever wrote.
    requests: BTreeSet<RequestId>,
}

impl Check for NoChangeIsLost {
    fn read(&mut self, record: &Record, at: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        match fact {
            Fact::Applied(step) => self.steps(step, found),
            Fact::Of(invocation, Deed::Judges { notification, verdict }) => {
                judges(record, *invocation, notification, verdict, found);
            }
            Fact::Reached(Moment::Calm | Moment::BurstOver { .. }) => {
                record.rows().for_each(|(case, row)| changes_are_seen(record, at, case, row, found));
            }
            Fact::Reached(Moment::Reconciled) => {
                record.rows().for_each(|(case, row)| {
                    is_tried_again(at, record.calm_from, case, row, found);
                });
            }
            _ => {}
        }
    }
}

impl NoChangeIsLost {
    fn steps(&mut self, step: &Step<'_>, found: &mut Found<'_>) {
        if !asks_for_a_run(step) {
            return;
        }
        let request = step.after.sync_request_id;
        let Some(request) = request.filter(|_| request != step.before.sync_request_id) else {
            let what = format!("{} owes no run of its own after {}", step.invocation, step.transition.name());
            return found.broken(step.connection, what);
        };
        if !self.requests.insert(request) {
            let what = format!("{} wrote a request that was there before", step.invocation);
            found.broken(step.connection, what);
        }
    }
}

fn judges(
    record: &Record,
    invocation: Invocation,
    notification: &Notification,
    verdict: &Verdict,
    found: &mut Found<'_>,
) {
    let Purpose::Receive(connection) = invocation.purpose else { return };
    if record.row_of(connection, notification).is_some() && *verdict == Verdict::Unknown {
        found.broken(connection, "a notification that belongs to a connection was answered with 404");
    }
}

fn changes_are_seen(record: &Record, at: Instant, case: &Case, row: &Row, found: &mut Found<'_>) {
    if row.sync_request_id.is_some() {
        return;
    }
    // Without a channel, the next one is followed by a run.
    let to_open = row.webhook_id.is_none() || !record.is_healthy(case) || record.is_excused(case);
    let is_missed = |change: &&KnownChange| !case.seen_since(change.at, at);
    for change in case.changes.iter().filter(is_missed) {
        let when = seconds(change.at);
        if change.acknowledged {
            let what = format!("nobody looked at the change at {when} s, which was answered 2xx");
            found.broken(case.number, what);
        }
        if change.unseen && !to_open {
            let what = format!("nobody looked at the change at {when} s, when there was no channel");
            found.broken(case.number, what);
        }
    }
}

/// However often its runs failed before, what is owed is tried about every hour.
fn is_tried_again(at: Instant, since: Instant, case: &Case, row: &Row, found: &mut Found<'_>) {
    let arose_at = row.sync_request_id.and_then(arose_at);
    let Some(arose_at) = arose_at.filter(|_| is_live(row) && is_consenting(row)) else { return };
    let since = arose_at.max(since);
    let (runs, hours) = (case.runs_after(since), (at - since) / HOUR);
    if case.broken == Some(Broken::RunsFail) && (runs as Instant) < hours / 2 {
        found.broken(case.number, format!("what is owed was tried {runs} times in {hours} hours"));
    }
}
