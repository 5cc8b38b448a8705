//! Giving up channels: that of a paused or disconnected connection, and any that Google is asked to stop.

use crate::access::{access, refreshed_access};
use crate::connection::{AccessToken, ChannelId, Connection, ConnectionId, ResourceId};
use crate::event::Event;
use crate::failure::StopFailure;
use crate::ports::Ports;
use crate::schedule::{DATABASE_TIMEOUT, STOP_TIMEOUT};
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

/// Stops a channel that no row names, with the connection's access token, or with a new one where Google no longer
/// accepts that. Whatever goes wrong, the channel is tried again when it next speaks.
pub(crate) async fn stop_with_access<P: Ports>(
    ports: &P,
    row: &Connection,
    channel: &ChannelId,
    resource: &ResourceId,
) {
    let Ok(access) = access(ports, row).await else { return };
    let mut answer = ports.stop(&access.token, channel, resource, STOP_TIMEOUT).await;
    let is_refused = answer == Err(StopFailure { status: Some(401) }) && access.refreshed.is_none();
    if is_refused && let Ok(access) = refreshed_access(ports, row).await {
        answer = ports.stop(&access.token, channel, resource, STOP_TIMEOUT).await;
    }
    log_stop(ports, row.id, channel, answer);
}

pub(crate) async fn stop<P: Ports>(
    ports: &P,
    connection: ConnectionId,
    access_token: &AccessToken,
    channel: &ChannelId,
    resource: &ResourceId,
) {
    log_stop(ports, connection, channel, ports.stop(access_token, channel, resource, STOP_TIMEOUT).await);
}

fn log_stop<P: Ports>(
    ports: &P,
    connection: ConnectionId,
    channel: &ChannelId,
    answer: Result<(), StopFailure>,
) {
    let channel = channel.clone();
    ports.log(match answer {
        Ok(()) => Event::ChannelStopped { connection, channel },
        Err(failure) => Event::ChannelNotStopped { connection, channel, failure },
    });
}
