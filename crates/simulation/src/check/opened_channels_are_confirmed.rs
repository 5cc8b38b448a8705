//! That a channel has spoken is noted with its row.

use std::collections::BTreeSet;

use protocol::receive::Verdict;
use protocol::transition::Transition;

use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::fact::{Deed, Fact};
use crate::subject::{Purpose, short};
use crate::time::Instant;

#[derive(Default)]
pub(super) struct OpenedChannelsAreConfirmed {
    /// The invocations that noted it; another channel may have spoken since.
    noted: BTreeSet<usize>,
}

impl Check for OpenedChannelsAreConfirmed {
    fn read(&mut self, record: &Record, _: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        match fact {
            Fact::Applied(step)
                if step.transition == Transition::ConfirmPending
                    && step.after.webhook_confirmed_id == step.after.webhook_pending_id =>
            {
                self.noted.insert(step.invocation.number);
            }
            Fact::Of(invocation, Deed::Judges { notification, verdict: Verdict::Opened(_) }) => {
                let Purpose::Receive(connection) = invocation.purpose else { return };
                let Some(row) = record.row_of(connection, notification) else { return };
                let channel = Some(&notification.channel);
                let is_silent = row.webhook_pending_id.as_ref() == channel
                    || row.webhook_id.as_ref() == channel && row.webhook_message_number == 0;
                let is_noted =
                    row.webhook_confirmed_id.as_ref() == channel || self.noted.contains(&invocation.number);
                if is_silent && !is_noted {
                    let what =
                        format!("nobody noted that channel {} has spoken", short(&notification.channel));
                    found.broken(connection, what);
                }
            }
            _ => {}
        }
    }
}
