//! Telling on a row what Google refused while something else than a renewal was asked of it.

use crate::Timestamp;
use crate::connection::Connection;
use crate::event::Event;
use crate::failure::Refused;
use crate::ports::Ports;
use crate::schedule::{self, DATABASE_TIMEOUT};
use crate::transition::book_refusal;

/// Books `refused` as a failed renewal does: with the consent that it is about, and when it is tried again. Where there is
/// a channel, that is as late as after the last of many failures: a renewal that succeeds tells nothing of what else is
/// refused, and must not replace the channel every minute for it.
pub(crate) async fn book<P: Ports>(ports: &P, row: &Connection, refused: Refused) -> Timestamp {
    let attempts = if row.webhook_id.is_some() { i64::MAX } else { row.webhook_attempts };
    let retry_at = schedule::renewal_retry(ports.now(), attempts, Some(&refused), ports.random());
    let booked = ports.update(book_refusal(row, &refused, retry_at), DATABASE_TIMEOUT).await;
    if matches!(booked, Ok(Some(_))) {
        let Refused { failure, reason, .. } = refused;
        ports.log(Event::GoogleRefused { connection: row.id, failure, reason, retry_at });
    }
    retry_at
}
