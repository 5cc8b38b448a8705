//! Stopping channels that no row names any more.

use crate::Timestamp;
use crate::access::renewed_access;
use crate::connection::{AccessToken, ChannelId, Connection, ConnectionId, ResourceId};
use crate::event::Event;
use crate::failure::StopFailure;
use crate::grant::{Access, NoAccess};
use crate::ports::Ports;
use crate::reading::{Unread, read_calendar};
use crate::refused::{book, is_to_be_told};
use crate::schedule::{GOOGLE_TIMEOUT, LONGEST_DUE_LOOK, STOP_TIMEOUT, TOKEN_MARGIN};

/// What it means that Google does not know a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// It has expired, or was never opened, and needs no stopping.
    Gone,
    /// It has just spoken, or has not expired, so it may go on speaking: the channel of another account, or of another
    /// OAuth client.
    Alive,
}

impl Unknown {
    /// For the channel that a row names.
    pub(crate) fn of_current(row: &Connection, now: Timestamp) -> Self {
        let is_over = row.webhook_expiration.is_some_and(|expiration| expiration <= now);
        if is_over { Self::Gone } else { Self::Alive }
    }
}

/// Stops a channel that is not `row`'s any more, with the row's access token, and with a new one where Google does not
/// accept that. Whatever goes wrong, the channel is tried again when it next speaks. What Google refuses a token for is
/// told, and no token is asked for as long as it stays so: a channel may speak often.
pub(crate) async fn stop_with_access<P: Ports>(
    ports: &P,
    row: &Connection,
    channel: &ChannelId,
    resource: &ResourceId,
    unknown: Unknown,
) {
    let known = row.access_token_for(ports.now(), TOKEN_MARGIN);
    let mut access = known.map(|token| Access { token: token.clone(), renewed: None });
    let mut renewed = None;
    let answer = loop {
        let used = match (access.take(), row.token_refusal(ports.now())) {
            (Some(access), _) => access,
            (None, Some(failure)) => break Err(StopFailure::Refused(failure.into())),
            (None, None) => match shared_access(ports, row).await {
                Ok(access) => access,
                Err(NoAccess::Failed(refused)) => {
                    let answer = Err(StopFailure::Refused(refused));
                    return log_stop(ports, row.id, channel, answer, unknown);
                }
                // Somebody reconnected meanwhile.
                Err(NoAccess::Superseded) => return,
            },
        };
        let answer = ports.stop(&used.token, channel, resource, STOP_TIMEOUT).await;
        if used.renewed.is_some() || !matches!(answer, Err(StopFailure::Unauthorized(_))) {
            renewed = used.renewed;
            break answer;
        }
    };
    // Whatever is refused may be about the channel: it may be another account's. Of the consent the calendar tells.
    if let Err(StopFailure::Unauthorized(_)) = &answer {
        let mut row = renewed.unwrap_or_else(|| row.clone());
        let until = ports.now() + LONGEST_DUE_LOOK;
        if let Err(Unread::Refused(refused)) = read_calendar(ports, &mut row, until).await
            && is_to_be_told(&row, &refused, false)
        {
            book(ports, &row, refused).await;
        }
    }
    log_stop(ports, row.id, channel, answer, unknown);
}

/// A new access token, which Google is asked for once for all that need it at the same time: an orphan may speak many
/// times at once.
async fn shared_access<P: Ports>(ports: &P, row: &Connection) -> Result<Access, NoAccess> {
    let renew = async {
        let answer = renewed_access(ports, row).await;
        if let Err(NoAccess::Failed(refused)) = &answer
            && is_to_be_told(row, refused, false)
        {
            book(ports, row, refused.clone()).await;
        }
        answer
    };
    // A timer is made only where there is something to wait for.
    let patience = async { ports.sleep(GOOGLE_TIMEOUT).await };
    ports.waiters().share_renewal(row, renew, patience).await
}

pub(crate) async fn stop<P: Ports>(
    ports: &P,
    connection: ConnectionId,
    access_token: &AccessToken,
    channel: &ChannelId,
    resource: &ResourceId,
    unknown: Unknown,
) -> Result<(), StopFailure> {
    let answer = ports.stop(access_token, channel, resource, STOP_TIMEOUT).await;
    log_stop(ports, connection, channel, answer.clone(), unknown);
    answer
}

fn log_stop<P: Ports>(
    ports: &P,
    connection: ConnectionId,
    channel: &ChannelId,
    answer: Result<(), StopFailure>,
    unknown: Unknown,
) {
    let channel = channel.clone();
    ports.log(match answer {
        Err(StopFailure::Unknown) if unknown == Unknown::Gone => Event::ChannelGone { connection, channel },
        Ok(()) => Event::ChannelStopped { connection, channel },
        Err(failure) => Event::ChannelNotStopped { connection, channel, failure },
    });
}
