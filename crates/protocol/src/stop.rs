//! Stopping channels that no row names any more.

use crate::access::{NoAccess, renewed_access};
use crate::connection::{AccessToken, ChannelId, Connection, ConnectionId, ResourceId};
use crate::event::Event;
use crate::failure::StopFailure;
use crate::ports::Ports;
use crate::refused::book;
use crate::schedule::{STOP_TIMEOUT, TOKEN_MARGIN};

/// Stops a channel that `row` gave up, with the connection's consent. Whatever goes wrong, the channel is tried again
/// when it next speaks.
pub(crate) async fn stop_with_access<P: Ports>(
    ports: &P,
    row: &Connection,
    channel: &ChannelId,
    resource: &ResourceId,
) {
    if let Some(answer) = ask_with_access(ports, row, channel, resource).await {
        log_stop(ports, row.id, channel, known(answer));
    }
}

/// Stops a channel that has just spoken although it is nobody's. One that Google does not know goes on speaking: the
/// channel of another account, or of another OAuth client.
pub(crate) async fn stop_orphan<P: Ports>(
    ports: &P,
    row: &Connection,
    channel: &ChannelId,
    resource: &ResourceId,
) {
    if let Some(answer) = ask_with_access(ports, row, channel, resource).await {
        log_stop(ports, row.id, channel, answer);
    }
}

/// Asks with the row's access token, and with a new one where Google does not accept that. None = somebody reconnected
/// meanwhile. Where the consent is dead it is told, and Google is asked for no token as long as it stays so: a channel
/// may speak often.
async fn ask_with_access<P: Ports>(
    ports: &P,
    row: &Connection,
    channel: &ChannelId,
    resource: &ResourceId,
) -> Option<Result<(), StopFailure>> {
    if let Some(token) = row.access_token_for(ports.now(), TOKEN_MARGIN) {
        match ports.stop(token, channel, resource, STOP_TIMEOUT).await {
            Err(StopFailure::Unauthorized(_)) => {}
            answer => return Some(told(ports, row, answer).await),
        }
    }
    if let Some(failure) = row.dead_consent() {
        return Some(Err(StopFailure::Refused(failure.into())));
    }
    match renewed_access(ports, row).await {
        Ok(access) => {
            let answer = ports.stop(&access.token, channel, resource, STOP_TIMEOUT).await;
            Some(told(ports, access.renewed.as_ref().unwrap_or(row), answer).await)
        }
        Err(NoAccess::Failed(refused)) => Some(told(ports, row, Err(StopFailure::Refused(refused))).await),
        Err(NoAccess::Superseded) => None,
    }
}

/// Books a dead consent that `answer` tells of.
async fn told<P: Ports>(
    ports: &P,
    row: &Connection,
    answer: Result<(), StopFailure>,
) -> Result<(), StopFailure> {
    if let Err(StopFailure::Unauthorized(refused) | StopFailure::Refused(refused)) = &answer
        && refused.failure.is_consent_dead()
    {
        book(ports, row, refused.clone()).await;
    }
    answer
}

/// A channel that Google does not know (any more) needs no stopping.
fn known(answer: Result<(), StopFailure>) -> Result<(), StopFailure> {
    if answer == Err(StopFailure::Unknown) { Ok(()) } else { answer }
}

pub(crate) async fn stop<P: Ports>(
    ports: &P,
    connection: ConnectionId,
    access_token: &AccessToken,
    channel: &ChannelId,
    resource: &ResourceId,
) -> Result<(), StopFailure> {
    let answer = known(ports.stop(access_token, channel, resource, STOP_TIMEOUT).await);
    log_stop(ports, connection, channel, answer.clone());
    answer
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
