//! Judging a notification from Google: whose calendar changed, and is the channel that says so theirs?
//!
//! One database round trip in the common case, the current channel with a new number. Every verdict that has
//! consequences is reached by a conditional write, never by a read that may be stale.

use std::time::Duration;

use futures_util::join;

use crate::connection::{Connection, RequestId};
use crate::failure::DatabaseUnavailable;
use crate::invocation::Invocation;
use crate::notification::{Notification, State};
use crate::ports::Ports;
use crate::recalculation::Reason;
use crate::retire::retire;
use crate::run::{Beforehand, run};
use crate::schedule::{DATABASE_TIMEOUT, JUDGEMENTS, RECEIVE_TIMEOUT, TOKEN_MARGIN_OF_A_RUN, longest_wait};
use crate::stop::{Occasion, Unknown, stop_with_access};
use crate::table::{Column, Query, google};
use crate::transition::{
    Update, confirm_current, confirm_pending, hasten_run, note_change, note_opened_orphan, note_orphan,
    note_pending, note_resource, of_hash,
};

/// What a notification turned out to be. Google is answered by it; [`follow_up`] does the rest.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// A channel opened; none = no connection has its token.
    Opened(Option<Box<Connection>>),
    /// A channel opened that no row has, or not any more: Google refused it, or another has taken its place.
    OpenedOrphan(Box<Connection>),
    /// A change, stored. The channel is the connection's own.
    Changed(Box<Connection>),
    /// A change, stored. The row has another channel by now, or never stored this one.
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
    if let Verdict::Opened(Some(row)) | Verdict::Changed(row) = &verdict
        && row.webhook_id.is_none()
        && row.webhook_resource_id.as_ref() != Some(&notification.resource)
        && row.webhook_pending_id.as_ref() == Some(&notification.channel)
    {
        let _ = ports.update(note_resource(notification, ports.now()), DATABASE_TIMEOUT).await;
    }
    match verdict {
        Verdict::Changed(row) if row.is_live() => {
            run_for_change(ports, invocation, *row).await;
        }
        Verdict::Changed(row) => {
            retire(ports, &row).await;
        }
        // Its own renewal may have stopped it already.
        Verdict::OpenedOrphan(row) => {
            stop_orphan(ports, &row, notification, Unknown::Gone).await;
        }
        Verdict::Orphan(row) => {
            let stop = stop_orphan(ports, &row, notification, Unknown::Alive);
            let run = run_for_change(ports, invocation, (*row).clone());
            if row.access_token_for(ports.now(), TOKEN_MARGIN_OF_A_RUN).is_some() {
                join!(stop, run);
            } else {
                // One new token does for both, and a dead consent is told once. Who may not stop leaves the run to those
                // that are asking for the token.
                if stop.await {
                    run.await;
                }
            }
        }
        Verdict::Late(row) => {
            run(ports, invocation, *row, Reason::Owed, Beforehand::Nothing).await;
        }
        Verdict::Opened(_) | Verdict::Unknown | Verdict::Unavailable => {}
    }
}

/// Stops the channel that has spoken, unless so many of the connection's have been stopped in this minute: then it is
/// stopped when it speaks again. → whether it was to be stopped
async fn stop_orphan<P: Ports>(
    ports: &P,
    row: &Connection,
    notification: &Notification,
    unknown: Unknown,
) -> bool {
    let may_stop = ports.waiters().may_stop(row.id, ports.now());
    if may_stop {
        let Notification { channel, resource, .. } = notification;
        stop_with_access(ports, row, channel, resource, unknown, Occasion::Spoke).await;
    }
    may_stop
}

async fn run_for_change<P: Ports>(ports: &P, invocation: &Invocation, row: Connection) {
    let now = ports.now();
    let waits_long = row.sync_not_before > now + longest_wait(&row, now);
    if waits_long && row.is_live() && row.dead_consent().is_none() && row.sync_lease_until < now {
        let _ = ports.update(hasten_run(&row, now), DATABASE_TIMEOUT).await;
        return;
    }
    run(ports, invocation, row, Reason::CalendarChanged, Beforehand::Nothing).await;
}

async fn confirm<P: Ports>(
    ports: &P,
    invocation: &Invocation,
    notification: &Notification,
) -> Result<Verdict, DatabaseUnavailable> {
    let now = ports.now();
    let channel = &notification.channel;
    for _ in 0..JUDGEMENTS {
        if let Some(row) = update(ports, invocation, confirm_pending(notification, now)).await? {
            return Ok(Verdict::Opened(Some(Box::new(row))));
        }
        // A stranger costs no third request.
        let Some(row) = read(ports, invocation, notification).await? else {
            return Ok(Verdict::Opened(None));
        };
        if row.webhook_id.as_ref() == Some(channel) {
            if row.webhook_message_number > 0 {
                return Ok(Verdict::Opened(Some(Box::new(row))));
            }
            if let Some(row) = update(ports, invocation, confirm_current(notification, now)).await? {
                return Ok(Verdict::Opened(Some(Box::new(row))));
            }
        } else if row.webhook_pending_id.as_ref() != Some(channel)
            && let Some(row) = update(ports, invocation, note_opened_orphan(notification, now)).await?
        {
            return Ok(Verdict::OpenedOrphan(Box::new(row)));
        }
        // The row moved between two looks.
    }
    Err(DatabaseUnavailable)
}

async fn judge<P: Ports>(
    ports: &P,
    invocation: &Invocation,
    notification: &Notification,
) -> Result<Verdict, DatabaseUnavailable> {
    let now = ports.now();
    let request = RequestId::fresh(now, ports.random());
    let channel = &notification.channel;
    for _ in 0..JUDGEMENTS {
        if let Some(row) = update(ports, invocation, note_change(notification, now, request)).await? {
            return Ok(Verdict::Changed(Box::new(row)));
        }
        // A stranger costs no third request.
        let Some(row) = read(ports, invocation, notification).await? else {
            return Ok(Verdict::Unknown);
        };
        if row.webhook_pending_id.as_ref() == Some(channel) {
            if let Some(row) = update(ports, invocation, note_pending(notification, now, request)).await? {
                return Ok(Verdict::Changed(Box::new(row)));
            }
        } else if row.webhook_id.as_ref() != Some(channel) {
            if let Some(row) = update(ports, invocation, note_orphan(notification, now, request)).await? {
                return Ok(Verdict::Orphan(Box::new(row)));
            }
        } else if notification.number <= row.webhook_message_number {
            return Ok(Verdict::Late(Box::new(row)));
        }
        // The row moved between two looks.
    }
    Err(DatabaseUnavailable)
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
    let filters = vec![of_hash(notification), google()];
    let rows = ports.select(Query::first(1, filters, Column::Id), time_left(ports, invocation)?).await?;
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
