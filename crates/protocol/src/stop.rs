//! Stopping channels that no row names any more.

use crate::access::{access, renewed_access};
use crate::connection::{AccessToken, ChannelId, Connection, ConnectionId, ResourceId};
use crate::event::Event;
use crate::failure::StopFailure;
use crate::ports::Ports;
use crate::schedule::STOP_TIMEOUT;

/// Stops a channel with the connection's access token, or with a new one where Google no longer
/// accepts that. Whatever goes wrong, the channel is tried again when it next speaks.
pub(crate) async fn stop_with_access<P: Ports>(
    ports: &P,
    row: &Connection,
    channel: &ChannelId,
    resource: &ResourceId,
) {
    let Ok(access) = access(ports, row).await else { return };
    let mut answer = ports.stop(&access.token, channel, resource, STOP_TIMEOUT).await;
    let is_refused = answer == Err(StopFailure { status: Some(401) }) && access.renewed.is_none();
    if is_refused && let Ok(access) = renewed_access(ports, row).await {
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
