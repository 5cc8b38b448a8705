//! Judging a notification from Google: whose calendar changed, and is the channel that says so theirs?
//!
//! One database round trip in the common case, the current channel with a new number. Every verdict that has
//! consequences is reached by a conditional write, never by a read that may be stale.

use std::time::Duration;

use futures_util::join;

use crate::connection::{ChannelId, Connection, RequestId, ResourceId, TokenHash};
use crate::failure::DatabaseUnavailable;
use crate::invocation::Invocation;
use crate::ports::{Ports, Reason};
use crate::retire::retire;
use crate::run::run;
use crate::schedule::{LOOKS, RECEIVE_TIMEOUT};
use crate::stop::stop_with_access;
use crate::table::{Column, Filter, Query, Update, google};

/// One POST from Google, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    pub channel: ChannelId,
    pub token_hash: TokenHash,
    pub resource: ResourceId,
    pub state: State,
    /// 1 to 2^63 − 1, increasing with gaps on one channel.
    pub number: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The channel's first message: it is open.
    Sync,
    /// Anything else: something changed.
    Change,
}

/// What a notification turned out to be. Google is answered by it; [`follow_up`] does the rest.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// A channel opened; none = nobody's, or it has spoken before.
    Opened(Option<Box<Connection>>),
    /// A change, stored. The channel is the connection's own.
    Changed(Box<Connection>),
    /// A change, stored. The channel is nobody's any more, or was never stored.
    Orphan(Box<Connection>),
    /// Nothing new: a duplicate, or overtaken by a later number.
    Late(Box<Connection>),
    /// No connection has this token.
    Unknown,
    /// The database did not say in time: Google is to try again.
    Unavailable,
}

pub async fn receive<P: Ports>(ports: &P, invocation: &Invocation, notification: &Notification) -> Verdict {
    let verdict = match notification.state {
        State::Sync => confirm(ports, invocation, notification).await,
        State::Change => judge(ports, invocation, notification).await,
    };
    verdict.unwrap_or(Verdict::Unavailable)
}

/// What remains to be done once Google is answered.
pub async fn follow_up<P: Ports>(
    ports: &P,
    invocation: &Invocation,
    notification: &Notification,
    verdict: Verdict,
) {
    match verdict {
        Verdict::Changed(row) if row.is_live() => {
            run(ports, invocation, *row, Reason::CalendarChanged).await;
        }
        Verdict::Changed(row) => {
            retire(ports, &row).await;
        }
        Verdict::Orphan(row) => {
            let stop = stop_with_access(ports, &row, &notification.channel, &notification.resource);
            join!(stop, run(ports, invocation, (*row).clone(), Reason::CalendarChanged));
        }
        Verdict::Late(row) => {
            run(ports, invocation, *row, Reason::Owed).await;
        }
        Verdict::Opened(_) | Verdict::Unknown | Verdict::Unavailable => {}
    }
}

async fn confirm<P: Ports>(
    ports: &P,
    invocation: &Invocation,
    notification: &Notification,
) -> Result<Verdict, DatabaseUnavailable> {
    let pending = of_token(notification)
        .when_eq(Column::WebhookPendingId, &notification.channel)
        .set(Column::WebhookConfirmedId, &notification.channel);
    if let Some(row) = update(ports, invocation, pending).await? {
        return Ok(Verdict::Opened(Some(Box::new(row))));
    }
    let current = of_token(notification)
        .when_eq(Column::WebhookId, &notification.channel)
        .when(Filter::Lt(Column::WebhookMessageNumber, 1.into()))
        .set(Column::WebhookMessageNumber, 1);
    Ok(Verdict::Opened(update(ports, invocation, current).await?.map(Box::new)))
}

async fn judge<P: Ports>(
    ports: &P,
    invocation: &Invocation,
    notification: &Notification,
) -> Result<Verdict, DatabaseUnavailable> {
    let request = RequestId::fresh(ports.now(), ports.random());
    let channel = &notification.channel;
    for _ in 0..LOOKS {
        // The request is stored even while the connection is paused: it may be resumed before anybody looks again.
        let current = of_token(notification)
            .when_eq(Column::WebhookId, channel)
            .when(Filter::Lt(Column::WebhookMessageNumber, notification.number.into()))
            .set(Column::WebhookMessageNumber, notification.number)
            .set(Column::SyncRequestId, request);
        if let Some(row) = update(ports, invocation, current).await? {
            return Ok(Verdict::Changed(Box::new(row)));
        }
        let orphan = of_token(notification)
            .when(Filter::IsDistinct(Column::WebhookId, channel.into()))
            .when(Filter::IsDistinct(Column::WebhookPendingId, channel.into()))
            .set(Column::SyncRequestId, request);
        if let Some(row) = update(ports, invocation, orphan).await? {
            return Ok(Verdict::Orphan(Box::new(row)));
        }
        let Some(row) = read(ports, invocation, notification).await? else {
            return Ok(Verdict::Unknown);
        };
        if row.webhook_pending_id.as_ref() == Some(channel) {
            let pending = of_token(notification)
                .when_eq(Column::WebhookPendingId, channel)
                .set(Column::SyncRequestId, request);
            if let Some(row) = update(ports, invocation, pending).await? {
                return Ok(Verdict::Changed(Box::new(row)));
            }
        } else if row.webhook_id.as_ref() == Some(channel)
            && notification.number <= row.webhook_message_number
        {
            return Ok(Verdict::Late(Box::new(row)));
        }
        // The row moved between two looks.
    }
    Err(DatabaseUnavailable)
}

fn of_token(notification: &Notification) -> Update {
    Update::matching(Filter::Eq(Column::WebhookTokenHash, (&notification.token_hash).into())).when(google())
}

async fn update<P: Ports>(
    ports: &P,
    invocation: &Invocation,
    update: Update,
) -> Result<Option<Connection>, DatabaseUnavailable> {
    ports.update(update, time_left(ports, invocation)?).await
}

async fn read<P: Ports>(
    ports: &P,
    invocation: &Invocation,
    notification: &Notification,
) -> Result<Option<Connection>, DatabaseUnavailable> {
    let query = Query { filters: of_token(notification).filters, order: Column::Id, limit: 1 };
    let rows = ports.select(query, time_left(ports, invocation)?).await?;
    rows.into_iter().next().transpose().map_err(|_| DatabaseUnavailable)
}

/// What is left of the time in which Google is answered.
fn time_left<P: Ports>(ports: &P, invocation: &Invocation) -> Result<Duration, DatabaseUnavailable> {
    (RECEIVE_TIMEOUT - invocation.elapsed(ports.now()))
        .to_std()
        .ok()
        .filter(|left| !left.is_zero())
        .ok_or(DatabaseUnavailable)
}
