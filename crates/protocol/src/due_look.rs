//! A look that is due: silence is not trusted. What it finds is either that nothing changed, or that a run is owed.

use crate::Timestamp;
use crate::connection::{Connection, RequestId};
use crate::event::Event;
use crate::failure::{Mender, Refused, RenewalFailure};
use crate::look::Look;
use crate::ports::Ports;
use crate::reading::{Unread, read_calendar};
use crate::refused::book;
use crate::schedule::{
    self, BLIND_RUN_AFTER, CHANNEL_IS_YOUNG, DATABASE_TIMEOUT, LONGEST_DUE_LOOK,
    LOOK_INTERVAL_WITHOUT_CHANNEL,
};
use crate::transition::{Found, Update, claim_look, note_unchanged, postpone_look, reconcile};

/// What a look that was due led to.
#[derive(Clone, Debug, PartialEq)]
pub enum DueLook {
    /// Another was faster, a run is owed meanwhile, or the database did not answer.
    NotOurs,
    /// Nothing changed, or it is not known whether anything did.
    NoRun,
    /// A run was asked for.
    RunAsked {
        row: Box<Connection>,
        /// What the look saw, if it saw anything.
        found: Option<Found>,
        /// Google ought to have told, and did not.
        missed: bool,
    },
}

/// Looks at the calendar of `row`, as read, if the claim is granted.
pub async fn look_if_due<P: Ports>(ports: &P, row: &Connection) -> DueLook {
    let now = ports.now();
    let retry_at = schedule::next_look_after_crash(now, ports.random());
    let Some(mut row) = update(ports, claim_look(row, retry_at)).await else { return DueLook::NotOurs };
    match read_calendar(ports, &mut row, now + LONGEST_DUE_LOOK).await {
        Ok(look) => judge(ports, &row, look).await,
        // It may have changed.
        Err(Unread::Unknown) => {
            update(ports, postpone_look(&row, next_look(ports, &row))).await;
            ask_for_run(ports, &row, None, false).await
        }
        Err(Unread::Refused(refused)) => refuse(ports, &row, refused).await,
        // A look at what it is now is due at once: by the trigger, unless only the refresh token rotated.
        Err(Unread::Superseded) => {
            update(ports, postpone_look(&row, ports.now())).await;
            DueLook::NoRun
        }
    }
}

fn next_look<P: Ports>(ports: &P, row: &Connection) -> Timestamp {
    schedule::next_look(row, ports.now(), ports.look_interval(), ports.random())
}

async fn judge<P: Ports>(ports: &P, row: &Connection, look: Look) -> DueLook {
    let seen = row.seen();
    let is_settled = row.sync_streak == 0;
    let found = Found::new(row, look);
    if found.look.shows_no_change(seen.as_ref()) && is_settled {
        update(ports, note_unchanged(row, &found, ports.now(), next_look(ports, row))).await;
        return DueLook::NoRun;
    }
    // From another anchor it is not known whether anything changed.
    let is_compared = seen.is_some_and(|seen| seen.anchor == found.look.seen.anchor);
    let missed = is_compared && is_settled && row.hears_of_changes(ports.now());
    ask_for_run(ports, row, Some(found), missed).await
}

async fn ask_for_run<P: Ports>(ports: &P, row: &Connection, found: Option<Found>, missed: bool) -> DueLook {
    let now = ports.now();
    let is_young = now.signed_duration_since(row.webhook_opened_at) < CHANNEL_IS_YOUNG;
    let renew_at = (missed && !is_young).then_some(now);
    let request = RequestId::fresh(now, ports.random());
    let Some(asked) = update(ports, reconcile(row.id, request, renew_at)).await else {
        return DueLook::NoRun;
    };
    if missed {
        ports.log(Event::NotificationMissed { connection: row.id, channel: row.webhook_id.clone() });
    }
    DueLook::RunAsked { row: Box::new(asked), found, missed }
}

/// What does not pass by itself is told as a failed renewal is, and looked at daily. What does is looked at again soon, and
/// run blindly once a day.
async fn refuse<P: Ports>(ports: &P, row: &Connection, refused: Refused) -> DueLook {
    let now = ports.now();
    let is_rejected = refused.failure == RenewalFailure::GoogleRejected;
    if is_rejected || refused.failure.mender() != Mender::Nobody {
        book(ports, row, refused).await;
        // Whatever heals it, a new channel or a new consent, brings a look of its own.
        update(ports, postpone_look(row, now + schedule::DAILY)).await;
        return if is_rejected { run_blindly(ports, row).await } else { DueLook::NoRun };
    }
    let look_at = now + schedule::asked_to_wait(&refused).max(LOOK_INTERVAL_WITHOUT_CHANNEL);
    ports.log(Event::LookFailed { connection: row.id, refused, look_at: Some(look_at) });
    update(ports, postpone_look(row, look_at)).await;
    run_blindly(ports, row).await
}

/// Where nothing was known of the calendar for a day.
async fn run_blindly<P: Ports>(ports: &P, row: &Connection) -> DueLook {
    let now = ports.now();
    let last_sync = row.last_sync_at.unwrap_or_default();
    if now.signed_duration_since(last_sync) < BLIND_RUN_AFTER {
        return DueLook::NoRun;
    }
    ask_for_run(ports, row, None, false).await
}

async fn update<P: Ports>(ports: &P, update: Update) -> Option<Connection> {
    ports.update(update, DATABASE_TIMEOUT).await.unwrap_or(None)
}
