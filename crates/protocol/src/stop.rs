//! Stopping channels that no row names any more.

use crate::Timestamp;
use crate::access::renewed_access;
use crate::connection::{AccessToken, ChannelId, Connection, ConnectionId, ResourceId};
use crate::event::Event;
use crate::failure::{Refused, StopFailure};
use crate::grant::{Access, NoAccess};
use crate::look::Anchor;
use crate::ports::Ports;
use crate::reading::{Unread, read_from};
use crate::refused::{book, is_to_be_told};
use crate::schedule::{GOOGLE_TIMEOUT, LOOK_OF_A_STOP, STOP_TIMEOUT, TOKEN_MARGIN};

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

/// When a channel is stopped that its row does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// Its row has just ceased to name it, which happens once.
    GivenUp,
    /// It has spoken, which may happen at any time and often.
    Spoke,
}

/// Stops a channel that is not `row`'s any more, with the row's access token, and with a new one where Google does not
/// accept that for the calendar either. Whatever goes wrong, the channel is tried again when it next speaks. What Google
/// refuses a token for is told, and no token is asked for as long as it stays so: a channel may speak often.
pub(crate) async fn stop_with_access<P: Ports>(
    ports: &P,
    row: &Connection,
    channel: &ChannelId,
    resource: &ResourceId,
    unknown: Unknown,
    occasion: Occasion,
) {
    let Some(token) = row.access_token_for(ports.now(), TOKEN_MARGIN) else {
        let answer = match new_token(ports, row).await {
            Ok(Some(token)) => ports.stop(&token, channel, resource, STOP_TIMEOUT).await,
            Ok(None) => return,
            Err(refused) => Err(StopFailure::Refused(refused)),
        };
        return log_stop(ports, row.id, channel, answer, unknown);
    };
    let mut answer = ports.stop(token, channel, resource, STOP_TIMEOUT).await;
    let may_be_of_the_consent = match &answer {
        Err(StopFailure::Unauthorized(_)) => true,
        // A new token allows no more, and of a paused connection the calendar is not read.
        Err(StopFailure::Refused(refused)) => refused.failure.is_consent_dead() && row.is_live(),
        _ => false,
    };
    if may_be_of_the_consent {
        match another_token(ports, row, occasion).await {
            Ok(Some(token)) => answer = ports.stop(&token, channel, resource, STOP_TIMEOUT).await,
            Ok(None) => {}
            Err(failure) => answer = Err(failure),
        }
    }
    log_stop(ports, row.id, channel, answer, unknown);
}

/// A token to replace one that Google refuses for a stop, or what the refusal means. None where that is not to be asked:
/// Google does not say that the consent is dead, or the connection is paused and the channel has spoken.
async fn another_token<P: Ports>(
    ports: &P,
    row: &Connection,
    occasion: Occasion,
) -> Result<Option<AccessToken>, StopFailure> {
    if let Some(failure) = row.token_refusal(ports.now()) {
        return Err(StopFailure::Refused(failure.into()));
    }
    // While a user has paused, the calendar is not read, and a token that is asked for at each message of a channel
    // would be asked for without end: there a dead one is replaced once it has expired.
    if !row.is_live() {
        return match occasion {
            Occasion::GivenUp => new_token(ports, row).await.map_err(StopFailure::Refused),
            Occasion::Spoke => Ok(None),
        };
    }
    let (mut read, now) = (row.clone(), ports.now());
    match read_from(ports, &mut read, Anchor::far_ahead(now), now + LOOK_OF_A_STOP).await {
        // The token is good for the calendar: it is the channel that is another's.
        Ok(_) if read.access_token == row.access_token => Err(StopFailure::Unknown),
        Ok(_) => Ok(read.access_token),
        Err(Unread::Refused(refused)) if refused.failure.is_consent_dead() => {
            book(ports, &read, refused.clone()).await;
            Err(StopFailure::Refused(refused))
        }
        // What else a calendar is refused for is told by the looks that are made for its own sake.
        Err(_) => Ok(None),
    }
}

/// None where somebody has reconnected meanwhile.
async fn new_token<P: Ports>(ports: &P, row: &Connection) -> Result<Option<AccessToken>, Refused> {
    if let Some(failure) = row.token_refusal(ports.now()) {
        return Err(failure.into());
    }
    match shared_access(ports, row).await {
        Ok(access) => Ok(Some(access.token)),
        Err(NoAccess::Failed(refused)) => Err(refused),
        Err(NoAccess::Superseded) => Ok(None),
    }
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
