//! No channel is stopped that a row names, as its own or as the one being opened, or that may have been stored; and no
//! renewal that goes on loses its id to another.

use std::collections::BTreeMap;

use protocol::connection::ChannelId;
use protocol::event::Event;
use protocol::transition::Transition;

use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::check::record::connection::ids;
use crate::fact::{Deed, Fact, Request, Step};
use crate::subject::{Invocation, connection_of, short};
use crate::time::Instant;

#[derive(Default)]
pub(super) struct TheCurrentChannelIsNeverStopped {
    /// The channels that invocations are opening, by invocation and connection.
    opening: BTreeMap<(usize, usize), ChannelId>,
}

impl Check for TheCurrentChannelIsNeverStopped {
    fn read(&mut self, record: &Record, _: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        match fact {
            Fact::ChannelStopped { connection, channel } => {
                let row = connection.and_then(|connection| record.row(connection));
                if row.is_some_and(|row| ids(row).any(|id| id == *channel)) {
                    let what = format!("channel {} was stopped while its row named it", short(channel));
                    found.broken(*connection, what);
                }
            }
            Fact::Applied(step) => self.steps(record, step, found),
            Fact::Of(invocation, deed) => self.read_deed(record, *invocation, deed, found),
            _ => {}
        }
    }
}

impl TheCurrentChannelIsNeverStopped {
    fn steps(&mut self, record: &Record, step: &Step<'_>, found: &mut Found<'_>) {
        match step.transition {
            Transition::CommitChannel
            | Transition::DisownChannel
            | Transition::FailRenewal
            | Transition::DoubtChannel
            | Transition::ReleaseRenewal
            | Transition::RetireChannel => {
                self.opening.remove(&(step.invocation.number, step.connection));
            }
            Transition::ClaimRenewal | Transition::ReissueChannel => self.supersedes(record, step, found),
            _ => {}
        }
    }

    /// A renewal that goes on keeps its pending id until it gives it up.
    fn supersedes(&self, record: &Record, step: &Step<'_>, found: &mut Found<'_>) {
        let Some(pending) = &step.before.webhook_pending_id else { return };
        let renewal = record.case(step.connection).and_then(|case| case.renewal(pending));
        let Some(life) = renewal.and_then(|renewal| record.life(renewal.holder)) else { return };
        let holder = life.invocation;
        let is_opening = self.opening.get(&(holder.number, step.connection)) == Some(pending);
        if is_opening && holder != step.invocation && !life.crashed && !life.frozen {
            let what = format!("channel {} was given up while {holder} opens it", short(pending));
            found.broken(step.connection, what);
        }
    }

    fn read_deed(&mut self, record: &Record, invocation: Invocation, deed: &Deed<'_>, found: &mut Found<'_>) {
        match deed {
            Deed::Asks(Request::Watch { connection: Some(connection), channel }) => {
                self.opening.insert((invocation.number, *connection), (*channel).clone());
            }
            Deed::Logs(
                event @ (Event::ChannelOpened { .. }
                | Event::RenewalFailed { .. }
                | Event::RenewalSuperseded { .. }),
            ) => {
                if let Some(connection) = connection_of(event) {
                    self.opening.remove(&(invocation.number, connection));
                }
            }
            Deed::Asks(Request::Stop { channel, .. }) => {
                let Some(life) = record.life(invocation) else { return };
                let pending = life.pending.iter().find(|(_, pending)| *pending == *channel);
                if let Some((connection, _)) = pending
                    && !life.sequel.knows(*connection)
                {
                    let what = format!("{invocation} stops a channel that may have been stored");
                    found.broken(*connection, what);
                }
            }
            _ => {}
        }
    }
}
