//! A look that is due: silence is not trusted. What it finds is either that nothing changed, or that a run is owed.

use crate::Timestamp;
use crate::connection::{Connection, RequestId};
use crate::event::Event;
use crate::failure::{Mender, Refused};
use crate::invocation::Invocation;
use crate::look::{Look, LookFailure};
use crate::ports::Ports;
use crate::reading::{Unread, read_calendar};
use crate::refused::{Remedy, book, is_to_be_told};
use crate::schedule::{
    self, BLIND_RUN_AFTER, CHANNEL_IS_YOUNG, DATABASE_TIMEOUT, LONGEST_DUE_LOOK, LOOK_IS_LATE, asked_to_wait,
    is_look_late,
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
pub async fn look_if_due<P: Ports>(ports: &P, invocation: &Invocation, row: &Connection) -> DueLook {
    let now = ports.now();
    let retry_at = schedule::next_look_after_crash(now, ports.random());
    let Some(mut row) = update(ports, claim_look(row, retry_at)).await else { return DueLook::NotOurs };
    match read_calendar(ports, invocation, &mut row, now + LONGEST_DUE_LOOK).await {
        Ok(look) => judge(ports, &row, look).await,
        Err(Unread::TooLarge) => run_unread(ports, &row, LookFailure::TooLarge.code(), true).await,
        // What nobody can read may be anybody's, and says nothing of the consent.
        Err(Unread::Unknown(code)) => run_unread(ports, &row, code, false).await,
        Err(Unread::Refused(refused)) => refuse(ports, &row, refused).await,
        // A look at what it is now is due at once: by the trigger, unless only the refresh token rotated.
        Err(Unread::Superseded) => {
            update(ports, postpone_look(&row, ports.now())).await;
            DueLook::NoRun
        }
    }
}

/// The calendar may have changed. `is_read`: Google let it be read, and it is only not known how it is.
async fn run_unread<P: Ports>(ports: &P, row: &Connection, code: &'static str, is_read: bool) -> DueLook {
    let look_at = schedule::next_look_of_unread(ports.now(), ports.look_interval(), ports.random());
    ports.log(Event::LookFailed { connection: row.id, code, reason: None, look_at: Some(look_at) });
    update(ports, postpone_look(row, look_at)).await;
    // A look that cannot compare does not find a dead channel either.
    let is_old = ports.now().signed_duration_since(row.webhook_opened_at) > schedule::DAILY;
    let renew_at = (is_old && row.hears_of_changes(ports.now())).then_some(ports.now());
    ask_for_run(ports, row, Asked { is_read, renew_at, ..Asked::default() }).await
}

fn next_look<P: Ports>(ports: &P, row: &Connection) -> Timestamp {
    schedule::next_look(row, ports.now(), ports.look_interval(), ports.random())
}

async fn judge<P: Ports>(ports: &P, row: &Connection, look: Look) -> DueLook {
    let seen = row.seen();
    let found = Found::new(row, look);
    let is_unchanged = found.look.shows_no_change(seen.as_ref());
    if is_unchanged && row.sync_streak == 0 {
        update(ports, note_unchanged(row, &found, ports.now(), next_look(ports, row))).await;
        return DueLook::NoRun;
    }
    // From another anchor it is not known whether anything changed.
    let is_compared = seen.is_some_and(|seen| seen.anchor == found.look.seen.anchor);
    let missed = is_compared && !is_unchanged && row.hears_of_changes(ports.now());
    let now = ports.now();
    let is_young = now.signed_duration_since(row.webhook_opened_at) < CHANNEL_IS_YOUNG;
    let renew_at = (missed && !is_young).then_some(now);
    ask_for_run(ports, row, Asked { found: Some(found), is_read: true, missed, renew_at }).await
}

/// Why a run is asked for.
#[derive(Default)]
struct Asked {
    /// What the look saw, if it saw anything.
    found: Option<Found>,
    /// Google let the calendar be read.
    is_read: bool,
    /// Google ought to have told, and did not.
    missed: bool,
    /// When the channel is replaced, if it is.
    renew_at: Option<Timestamp>,
}

async fn ask_for_run<P: Ports>(ports: &P, row: &Connection, asked: Asked) -> DueLook {
    let Asked { found, is_read, missed, renew_at } = asked;
    let request = RequestId::fresh(ports.now(), ports.random());
    let Some(asked) = update(ports, reconcile(row, request, is_read, renew_at)).await else {
        return DueLook::NoRun;
    };
    if missed {
        ports.log(Event::NotificationMissed { connection: row.id, channel: row.webhook_id.clone() });
    }
    DueLook::RunAsked { row: Box::new(asked), found, missed }
}

/// What does not pass by itself is told, and so is what should have passed long ago.
async fn refuse<P: Ports>(ports: &P, row: &Connection, refused: Refused) -> DueLook {
    let now = ports.now();
    let passes = refused.failure.mender() == Mender::Nobody;
    let look_at = schedule::look_retry(row, now, &refused, ports.random());
    let is_late = is_look_late(row, now, ports.look_interval()) || asked_to_wait(&refused) > LOOK_IS_LATE;
    let is_told = is_to_be_told(row, &refused, is_late);
    let remedy = if is_told {
        book(ports, row, refused).await
    } else {
        let Refused { failure, reason, .. } = refused;
        ports.log(Event::LookFailed {
            connection: row.id,
            code: failure.code(),
            reason,
            look_at: Some(look_at),
        });
        Remedy::Renewal
    };
    if remedy == Remedy::Renewal {
        update(ports, postpone_look(row, look_at)).await;
    }
    if passes { run_blindly(ports, row).await } else { DueLook::NoRun }
}

/// Where nothing was known of the calendar for a day.
async fn run_blindly<P: Ports>(ports: &P, row: &Connection) -> DueLook {
    let now = ports.now();
    let last_sync = row.last_sync_at.unwrap_or_default();
    if now.signed_duration_since(last_sync) < BLIND_RUN_AFTER {
        return DueLook::NoRun;
    }
    ask_for_run(ports, row, Asked::default()).await
}

async fn update<P: Ports>(ports: &P, update: Update) -> Option<Connection> {
    ports.update(update, DATABASE_TIMEOUT).await.unwrap_or(None)
}
