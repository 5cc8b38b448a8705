//! Google is answered within 5 s, and after one request where the current channel has a new number. It is told to try
//! again only where something is wrong.

use protocol::receive::Verdict;
use protocol::schedule::{JUDGEMENTS, RECEIVE_TIMEOUT};

use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::check::record::invocation::Conduct;
use crate::fact::{Deed, Fact};
use crate::subject::Purpose;
use crate::time::{Instant, MILLISECOND, SECOND, delta};

/// Of the promise, not of the schedule.
const AT_ONCE: Instant = 5 * SECOND;
/// An update and a read at least.
const REQUESTS_PER_JUDGEMENT: usize = 2;

#[derive(Default)]
pub(super) struct GoogleIsAnsweredAtOnce;

impl Check for GoogleIsAnsweredAtOnce {
    fn read(&mut self, record: &Record, at: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        let Fact::Of(invocation, Deed::Judges { notification, verdict }) = fact else { return };
        let Purpose::Receive(connection) = invocation.purpose else { return };
        let Some(life) = record.life(*invocation) else { return };
        if **verdict == Verdict::Unavailable && record.row_of(connection, notification).is_some() {
            unavailable(record, at, life, connection, found);
        }
        let took = life.age(at);
        if took > AT_ONCE && !life.frozen {
            found.broken(connection, format!("Google was answered after {} ms", took / MILLISECOND));
        }
        if let Verdict::Changed(row) = verdict
            && row.webhook_pending_id.is_none()
            && life.requests > 1
        {
            // A row that moved meanwhile takes more looks.
            let committed_at = record.case(connection).and_then(|case| case.committed_at);
            if committed_at.is_some_and(|at| at < life.started_at) {
                let what = format!("the current channel's message took {} requests", life.requests);
                found.broken(connection, what);
            }
        }
    }
}

fn unavailable(record: &Record, at: Instant, life: &Conduct, connection: usize, found: &mut Found<'_>) {
    if record.is_quiet(life) {
        found.broken(connection, "a notification was answered with 503, though nothing is wrong");
    }
    let in_time = life.age(at) < delta(RECEIVE_TIMEOUT) - SECOND / 2;
    if life.unanswered_at.is_none() && in_time && life.requests < JUDGEMENTS * REQUESTS_PER_JUDGEMENT {
        let what = "a notification was answered with 503 before its last look at a row that moved";
        found.broken(connection, what);
    }
}
