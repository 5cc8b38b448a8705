//! A row never names a channel that is stopped, and never gives its channel up before it has another: a renewal leaves
//! no gap.

use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::check::row::is_live;
use crate::fact::Fact;
use crate::subject::short;
use crate::time::Instant;

#[derive(Default)]
pub(super) struct NoGap;

impl Check for NoGap {
    fn read(&mut self, record: &Record, at: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        let Fact::Applied(step) = fact else { return };
        let (before, after) = (step.before, step.after);
        if before.webhook_id == after.webhook_id {
            return;
        }
        let Some(id) = &after.webhook_id else {
            if is_live(before) {
                found.broken(step.connection, "the channel of a live connection was given up");
            }
            return;
        };
        if record.google.channel(id).is_none_or(|channel| channel.stopped_at.is_some()) {
            found.broken(step.connection, format!("channel {} was stored, and it is stopped", short(id)));
        }
        let previous = before.webhook_id.as_ref().and_then(|id| record.google.channel(id));
        let is_well = record.case(step.connection).is_some_and(|case| case.broken.is_none());
        let is_late = previous
            .is_some_and(|previous| previous.opened_at > record.quiet_from && previous.expires_at < at);
        if is_well && is_late {
            found.broken(step.connection, "a channel expired before it was replaced");
        }
    }
}
