//! That a channel has spoken is noted with its row.

use protocol::receive::Verdict;

use crate::check::checker::{Check, Found};
use crate::check::record::book::Record;
use crate::fact::{Deed, Fact};
use crate::subject::{Purpose, short};
use crate::time::Instant;

#[derive(Default)]
pub(super) struct OpenedChannelsAreConfirmed;

impl Check for OpenedChannelsAreConfirmed {
    fn read(&mut self, record: &Record, _: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        let Fact::Of(instance, Deed::Judges { notification, verdict: Verdict::Opened(_) }) = fact else {
            return;
        };
        let Purpose::Receive(connection) = instance.purpose else { return };
        let Some(row) = record.row_of(connection, notification) else { return };
        let channel = Some(&notification.channel);
        let is_silent = row.webhook_pending_id.as_ref() == channel
            || row.webhook_id.as_ref() == channel && row.webhook_message_number == 0;
        if is_silent && row.webhook_confirmed_id.as_ref() != channel {
            let what = format!("nobody noted that channel {} has spoken", short(&notification.channel));
            found.broken(connection, what);
        }
    }
}
