//! Giving up the channel of a paused or disconnected connection.

use crate::connection::Connection;
use crate::event::Event;
use crate::ports::Ports;
use crate::schedule::DATABASE_TIMEOUT;
use crate::stop::{Occasion, Unknown, stop_with_access};
use crate::transition::retire_channel;

/// Gives up the channel of a connection that `row` shows paused or disconnected: disowned in the database first, or a
/// row resumed in between would name a dead channel. Says whether it did; not where the row was resumed meanwhile.
pub async fn retire<P: Ports>(ports: &P, row: &Connection) -> bool {
    let disowned = ports.update(retire_channel(row), DATABASE_TIMEOUT).await;
    let Ok(Some(retired)) = disowned else { return false };
    ports.log(Event::ChannelRetired { connection: row.id, channel: row.webhook_id.clone() });
    let Some(resource) = &row.webhook_resource_id else { return true };
    if let Some(channel) = &row.webhook_id {
        let unknown = Unknown::of_current(row, ports.now());
        stop_with_access(ports, &retired, channel, resource, unknown, Occasion::GivenUp).await;
    }
    // While it is being opened, its own renewal stops it.
    if let Some(channel) = row.webhook_pending_id.as_ref().filter(|_| row.webhook_lease_until < ports.now()) {
        stop_with_access(ports, &retired, channel, resource, Unknown::Gone, Occasion::GivenUp).await;
    }
    true
}
