//! Giving up the channel of a paused or disconnected connection.

use crate::connection::Connection;
use crate::event::Event;
use crate::ports::Ports;
use crate::schedule::DATABASE_TIMEOUT;
use crate::stop::stop_with_access;
use crate::table::{Column, Filter, Update};

/// Gives up the channel of a connection that `row` shows paused or disconnected: disowned in the database first, or a
/// row resumed in between would name a dead channel. Says whether it did; not where the row was resumed meanwhile.
pub async fn retire<P: Ports>(ports: &P, row: &Connection) -> bool {
    let seen =
        if row.is_active { Filter::IsFalse(Column::SyncEnabled) } else { Filter::NotTrue(Column::IsActive) };
    let update = Update::of(row.id)
        .when_still(Column::WebhookId, row.webhook_id.as_ref())
        .when(seen)
        .set_null(Column::WebhookId)
        .set_null(Column::WebhookExpiration)
        .set_null(Column::WebhookResourceId)
        .set_null(Column::WebhookPendingId)
        .set_null(Column::WebhookError)
        .set(Column::WebhookMessageNumber, 0)
        .set(Column::WebhookAttempts, 0)
        .set_epoch(Column::WebhookOpenedAt)
        .set_epoch(Column::WebhookNotBefore);
    let Ok(Some(retired)) = ports.update(update, DATABASE_TIMEOUT).await else { return false };
    ports.log(Event::ChannelRetired { connection: row.id, channel: row.webhook_id.clone() });
    if let (Some(channel), Some(resource)) = (&row.webhook_id, &row.webhook_resource_id) {
        stop_with_access(ports, &retired, channel, resource).await;
    }
    true
}
