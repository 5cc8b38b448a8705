//! The channels that a row named when it was deleted are stopped within a day, as long as its consent lives.

use std::rc::Rc;

use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::fact::{Fact, Moment};
use crate::subject::{Row, short};
use crate::time::Instant;

#[derive(Default)]
pub(super) struct DeletedRowsAreSeenOff {
    /// As they were, with the numbers of their connections.
    deleted: Vec<(usize, Rc<Row>)>,
}

impl Check for DeletedRowsAreSeenOff {
    fn read(&mut self, record: &Record, at: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        match fact {
            Fact::Deleted { connection } => {
                let row = record.case(*connection).and_then(|case| case.row.clone());
                self.deleted.extend(row.map(|row| (*connection, row)));
            }
            // What crashes the sweeps may have crashed each that tried.
            Fact::Reached(Moment::Reconciled) if !record.has_crashing() => {
                for (connection, row) in &self.deleted {
                    is_seen_off(record, at, *connection, row, found);
                }
            }
            _ => {}
        }
    }
}

fn is_seen_off(record: &Record, at: Instant, connection: usize, row: &Row, found: &mut Found<'_>) {
    if !record.google.is_usable(row) {
        return;
    }
    for id in row.webhook_id.iter().chain(&row.webhook_pending_id) {
        let Some(channel) = record.google.channel(id).filter(|channel| channel.is_live(at)) else { continue };
        let may_be_stopped = Some(channel.calendar.account) == record.google.account_of(row)
            && Some(channel.calendar.resource()) == row.webhook_resource_id;
        if may_be_stopped {
            found.broken(connection, format!("channel {} of a deleted row is live", short(id)));
        }
    }
}
