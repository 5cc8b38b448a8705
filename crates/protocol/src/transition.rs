//! The state machine of a connection as a table: every step there is, when it takes effect, what it sets, and what it
//! means where no row meets its conditions. Nothing else that is shipped builds an [`Update`], so that no reader has to
//! guess a step from its columns.
//!
//! | of | steps |
//! |---|---|
//! | a notification | [`confirm_pending`], [`confirm_current`], [`note_opened_orphan`], [`note_resource`], [`note_change`], [`note_orphan`], [`note_pending`] |
//! | a run | [`claim_run`], [`finish_run`], [`keep_run`], [`leave_run`], [`pause_run`], [`fail_run`], [`refuse_run`], [`doubt_run`], [`lose_run`], [`settle_run`], [`await_consent`], [`hasten_run`] |
//! | a look | [`claim_look`], [`note_unchanged`], [`reconcile`], [`postpone_look`], [`refuse_look`], [`take_refusal_back`] |
//! | a channel | [`claim_renewal`], [`reissue_channel`], [`commit_channel`], [`disown_channel`], [`look_up_channel`], [`fail_renewal`], [`doubt_channel`], [`release_renewal`], [`retire_channel`] |
//! | a consent | [`book_refusal`], [`store_token`] |

use crate::Timestamp;
use crate::connection::{ChannelId, Connection, ConnectionId, RequestId, Source};
use crate::failure::{Mender, Refused, RenewalFailure, RunFailure, consenting};
use crate::grant::{OpenedChannel, RenewedToken};
use crate::look::Look;
use crate::notification::Notification;
use crate::schedule::{self, REFRESH_INTERVAL};
use crate::table::{Column, Filter, Value, google, live};

#[cfg(test)]
mod tests;

macro_rules! transitions {
    ($($variant:ident $name:literal,)*) => {
        /// A step of a connection; each is built by the function of its name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Transition { $($variant,)* }

        impl Transition {
            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As it stands in the log.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

transitions! {
    ConfirmPending "confirm_pending",
    ConfirmCurrent "confirm_current",
    NoteOpenedOrphan "note_opened_orphan",
    NoteResource "note_resource",
    NoteChange "note_change",
    NoteOrphan "note_orphan",
    NotePending "note_pending",
    ClaimRun "claim_run",
    FinishRun "finish_run",
    KeepRun "keep_run",
    LeaveRun "leave_run",
    PauseRun "pause_run",
    FailRun "fail_run",
    RefuseRun "refuse_run",
    DoubtRun "doubt_run",
    LoseRun "lose_run",
    SettleRun "settle_run",
    AwaitConsent "await_consent",
    HastenRun "hasten_run",
    ClaimLook "claim_look",
    NoteUnchanged "note_unchanged",
    Reconcile "reconcile",
    PostponeLook "postpone_look",
    RefuseLook "refuse_look",
    TakeRefusalBack "take_refusal_back",
    ClaimRenewal "claim_renewal",
    ReissueChannel "reissue_channel",
    CommitChannel "commit_channel",
    DisownChannel "disown_channel",
    LookUpChannel "look_up_channel",
    FailRenewal "fail_renewal",
    DoubtChannel "doubt_channel",
    ReleaseRenewal "release_renewal",
    RetireChannel "retire_channel",
    BookRefusal "book_refusal",
    StoreToken "store_token",
}

/// What `webhook_source` is set to where the refresh token rotated: tells the trigger that the consent is the same.
pub const ROTATED: &str = "rotated";

/// A conditional update of the one row that meets every filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// Which step it is.
    pub transition: Transition,
    pub filters: Vec<Filter>,
    pub set: Vec<(Column, Value)>,
}

// Notifications. The row is looked up by the token's hash, which every channel of a connection shares.

/// `sync` of the channel that is being opened. No row: it is not being opened, or not any more.
pub(crate) fn confirm_pending(notification: &Notification, now: Timestamp) -> Update {
    of_token(Transition::ConfirmPending, notification, now)
        .when_eq(Column::WebhookPendingId, &notification.channel)
        .set(Column::WebhookConfirmedId, &notification.channel)
}

/// `sync` of the current channel, as its first word. No row: the channel has spoken before, or no row names it.
pub(crate) fn confirm_current(notification: &Notification, now: Timestamp) -> Update {
    of_token(Transition::ConfirmCurrent, notification, now)
        .when_eq(Column::WebhookId, &notification.channel)
        .when(Filter::Lt(Column::WebhookMessageNumber, 1.into()))
        .set(Column::WebhookMessageNumber, 1)
}

/// `sync` of a channel that is neither current nor being opened. As for [`note_orphan`], Google is told to stop that
/// channel, so a write decides; no run is asked for. No row: the channel is the row's own.
pub(crate) fn note_opened_orphan(notification: &Notification, now: Timestamp) -> Update {
    of_orphan(Transition::NoteOpenedOrphan, notification, now)
}

/// The resource of the channel that is being opened, of which its messages tell: should Google's answer be lost, or not
/// tell of it, the channel can be stopped all the same. No row: there is a current channel, whose resource stays, or
/// the pending one was committed or given up meanwhile.
pub(crate) fn note_resource(notification: &Notification, now: Timestamp) -> Update {
    of_token(Transition::NoteResource, notification, now)
        .when_eq(Column::WebhookPendingId, &notification.channel)
        .when(Filter::IsNull(Column::WebhookId))
        .set(Column::WebhookResourceId, &notification.resource)
}

/// A change told by the current channel with a new number, paused or not: it may be resumed before the row is read
/// again. No row: another channel, or a number that is not new.
pub(crate) fn note_change(notification: &Notification, now: Timestamp, request: RequestId) -> Update {
    of_token(Transition::NoteChange, notification, now)
        .when_eq(Column::WebhookId, &notification.channel)
        .when(Filter::Lt(Column::WebhookMessageNumber, notification.number.into()))
        .set(Column::WebhookMessageNumber, notification.number)
        .set(Column::SyncRequestId, request)
}

/// A change told by a channel that is neither current nor being opened. Google is told to stop that channel on the
/// strength of this, so a write decides, and not a read that may lag. No row: the channel is the row's own.
pub(crate) fn note_orphan(notification: &Notification, now: Timestamp, request: RequestId) -> Update {
    of_orphan(Transition::NoteOrphan, notification, now).set(Column::SyncRequestId, request)
}

/// A change told by the channel that is being opened. No row: it was committed or given up meanwhile.
pub(crate) fn note_pending(notification: &Notification, now: Timestamp, request: RequestId) -> Update {
    of_token(Transition::NotePending, notification, now)
        .when_eq(Column::WebhookPendingId, &notification.channel)
        .set(Column::SyncRequestId, request)
}

// Runs. A lease's exact value is the fencing token: what its holder writes takes effect only while it still stands in
// the row.

/// Takes an owed run that is due. Books the attempt and when the next may start before `recalculate-schedule` is
/// called, so that a run that kills its isolate backs off too. No row: another was faster, the row was paused, or its
/// consent died.
pub(crate) fn claim_run(row: &Connection, now: Timestamp, lease: Timestamp, random: u128) -> Update {
    Update::of(Transition::ClaimRun, row.id)
        .when(Filter::NotNull(Column::SyncRequestId))
        .when(Filter::Lt(Column::SyncLeaseUntil, now.into()))
        .when(Filter::Lte(Column::SyncNotBefore, now.into()))
        .when_eq(Column::SyncAttempts, row.sync_attempts)
        .when_live()
        .when_consenting()
        .set(Column::SyncLeaseUntil, lease)
        .set(Column::SyncAttempts, schedule::one_more(row.sync_attempts))
        .set(Column::SyncNotBefore, schedule::run_retry_after_crash(lease, row.sync_attempts, random))
}

/// What a look found, and with whose consent and in which calendar.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub look: Look,
    pub source: Source,
}

impl Found {
    pub(crate) fn new(row: &Connection, look: Look) -> Self {
        Self { look, source: row.webhook_source.clone() }
    }
}

/// What a run leaves behind that succeeded, or was not needed.
#[derive(Clone)]
pub(crate) struct Success {
    pub(crate) ended_at: Timestamp,
    pub(crate) streak: i64,
    /// What stood in the row when the look was made.
    pub(crate) seen_before: Option<String>,
    /// What the look before the run found. A run without one forgets what an older one found.
    pub(crate) found: Option<Found>,
    /// After a look.
    pub(crate) next_look: Option<Timestamp>,
}

impl Success {
    pub(crate) fn without_look(&self) -> Self {
        Self { found: None, next_look: None, ..self.clone() }
    }

    fn record(&self, update: Update) -> Update {
        let update = update
            .set(Column::LastSyncAt, self.ended_at)
            .set_null(Column::SyncError)
            .set(Column::SyncStreak, self.streak);
        let Some(found) = &self.found else { return update.set_null(Column::SyncSeen) };
        // Of another consent or calendar the look says nothing.
        let update = found
            .name_calendar(update.when_eq(Column::WebhookSource, &found.source))
            .set(Column::SyncSeen, &found.look.seen);
        match self.next_look {
            Some(next_look) => update.set(Column::SyncLookAt, next_look),
            None => update,
        }
    }

    /// While a newer request waits, which may be one that no look settles.
    fn record_before_next(&self, update: Update) -> Update {
        let update = match self.found {
            Some(_) => update.when_still(Column::SyncSeen, self.seen_before.as_deref()),
            None => update,
        };
        self.record(update)
    }

    fn not_before(&self) -> Timestamp {
        self.ended_at + schedule::brake(self.streak)
    }
}

impl Found {
    /// For people; a calendar without a name keeps the one that it had.
    fn name_calendar(&self, update: Update) -> Update {
        match &self.look.calendar_name {
            Some(name) => update.set(Column::CalendarName, name),
            None => update,
        }
    }
}

/// The run that was made is done, and nothing is owed. No row: a newer request came, the consent or the calendar is
/// another than the look's, or the lease was lost.
pub(crate) fn finish_run(held: Held, request: RequestId, success: &Success) -> Update {
    success.record(held.done(Transition::FinishRun, request, success))
}

/// The run need not be made: a look shows the calendar as the last one found it. No row: as of [`finish_run`].
pub(crate) fn settle_run(held: Held, request: RequestId, success: &Success) -> Update {
    success.record(held.done(Transition::SettleRun, request, success))
}

/// Goes on with the newer request under another lease. No row: the lease was lost; after a look also where the consent
/// or the calendar is another, or the newer request is to be run whatever a look shows.
pub(crate) fn keep_run(held: Held, success: &Success, next_lease: Timestamp) -> Update {
    let update = held
        .update(Transition::KeepRun)
        .when(Filter::NotNull(Column::SyncRequestId))
        .set(Column::SyncLeaseUntil, next_lease)
        .set(Column::SyncAttempts, 1)
        .set(Column::SyncNotBefore, success.ended_at);
    success.record_before_next(update)
}

/// Leaves the newer request owed: the brake or the budget forbids another run. No row: as of [`keep_run`].
pub(crate) fn leave_run(held: Held, success: &Success) -> Update {
    let update = held
        .update(Transition::LeaveRun)
        .when(Filter::NotNull(Column::SyncRequestId))
        .set_epoch(Column::SyncLeaseUntil)
        .set(Column::SyncAttempts, 0)
        .set(Column::SyncNotBefore, success.not_before());
    success.record_before_next(update)
}

/// Gives back the lease that [`keep_run`] took, for the connection was paused or its consent died meanwhile. No row:
/// the lease was lost.
pub(crate) fn pause_run(held: Held, ended_at: Timestamp) -> Update {
    held.update(Transition::PauseRun).released(0, ended_at)
}

/// `recalculate-schedule` refused: the request stays owed, and is tried later. No row: the lease was lost.
pub(crate) fn fail_run(held: Held, attempts: i64, retry_at: Timestamp, failure: RunFailure) -> Update {
    held.update(Transition::FailRun)
        .released(attempts, retry_at)
        .set(Column::SyncError, failure.code().as_str())
}

/// Supabase refused the nested call: nothing was called, and the attempt is taken back. No row: the lease was lost.
pub(crate) fn refuse_run(held: Held, attempts: i64, retry_at: Timestamp) -> Update {
    held.update(Transition::RefuseRun).released(attempts.saturating_sub(1), retry_at)
}

/// Google refuses the connection: nothing was called, the attempt is taken back, and the request waits for whatever
/// mends the consent. No row: the lease was lost.
pub(crate) fn await_consent(held: Held, attempts: i64, now: Timestamp, failure: RenewalFailure) -> Update {
    held.update(Transition::AwaitConsent)
        .released(attempts.saturating_sub(1), now)
        .set(Column::SyncError, failure.code())
}

/// The callee may still be working: its lease stays, and only the error is told. No row: the lease was lost.
pub(crate) fn doubt_run(held: Held, failure: RunFailure) -> Update {
    held.update(Transition::DoubtRun).set(Column::SyncError, failure.code().as_str())
}

/// Asks for one more run, whatever the row says and a look shows: another run may have begun under another lease, and
/// our callee may have written after it. No row: the connection was deleted.
pub(crate) fn lose_run(connection: ConnectionId, request: RequestId) -> Update {
    Update::of(Transition::LoseRun, connection).asking_for(request)
}

/// Brings a run forward that waits long for an old failure: a person just changed something. No row: it is under way,
/// or was booked anew.
pub(crate) fn hasten_run(row: &Connection, now: Timestamp) -> Update {
    Update::of(Transition::HastenRun, row.id)
        .when(Filter::Lt(Column::SyncLeaseUntil, now.into()))
        .when_eq(Column::SyncNotBefore, row.sync_not_before)
        .set(Column::SyncNotBefore, now + schedule::longest_wait(row, now))
}

// Looks.

/// Takes a look that is due, and says when it is made again should this worker die. No row: another was faster, a run
/// is owed, the row was paused, or its consent died.
pub(crate) fn claim_look(row: &Connection, retry_at: Timestamp) -> Update {
    Update::of(Transition::ClaimLook, row.id)
        .when_eq(Column::SyncLookAt, row.sync_look_at)
        .when(Filter::IsNull(Column::SyncRequestId))
        .when_live()
        .when_consenting()
        .set(Column::SyncLookAt, retry_at)
}

/// The calendar is as the last run found it, and is looked at again then. No row: a change was told meanwhile, or
/// another look was made.
pub(crate) fn note_unchanged(row: &Connection, found: &Found, now: Timestamp, next: Timestamp) -> Update {
    let update = Update::of(Transition::NoteUnchanged, row.id)
        .when_eq(Column::SyncLookAt, row.sync_look_at)
        .when(Filter::IsNull(Column::SyncRequestId))
        .when_eq(Column::WebhookSource, &found.source)
        .set(Column::LastSyncAt, now)
        .set(Column::SyncLookAt, next);
    found.name_calendar(update.taking_back_look_error(row))
}

/// Asks for a run: a look found the calendar changed, or cannot tell. Renews the channel at `renew_at`, if it ought to
/// have told. `is_read`: Google let it be read. No row: a run is owed already, or the row was paused.
pub(crate) fn reconcile(
    row: &Connection,
    request: RequestId,
    is_read: bool,
    renew_at: Option<Timestamp>,
) -> Update {
    let update = Update::of(Transition::Reconcile, row.id)
        .when(Filter::IsNull(Column::SyncRequestId))
        .when_live()
        .set(Column::SyncRequestId, request);
    let update = if is_read { update.taking_back_look_error(row) } else { update };
    match renew_at {
        Some(renew_at) => update.set(Column::WebhookNotBefore, renew_at),
        None => update,
    }
}

/// Google refused the look, or did not answer. No row: another look was made, or one is due at once.
pub(crate) fn postpone_look(row: &Connection, look_at: Timestamp) -> Update {
    Update::of(Transition::PostponeLook, row.id)
        .when_eq(Column::SyncLookAt, row.sync_look_at)
        .set(Column::SyncLookAt, look_at)
}

/// Tells why Google does not let the calendar be read, and when that is tried again. No row: a renewal
/// was begun meanwhile, or somebody reconnected.
pub(crate) fn refuse_look(row: &Connection, refused: &Refused, look_at: Timestamp) -> Update {
    Update::of(Transition::RefuseLook, row.id)
        .when_eq(Column::WebhookAttempts, 0)
        .refused(&row.webhook_source, refused, row.webhook_error.as_deref())
        .set(Column::SyncLookAt, look_at)
}

/// Google lets the calendar be read again, as a look before a run shows: what a look told of it is over. No row: a
/// renewal was begun meanwhile, or something else is told.
pub(crate) fn take_refusal_back(row: &Connection) -> Update {
    Update::of(Transition::TakeRefusalBack, row.id).taking_back_look_error(row)
}

/// A run's lease, as it stands in the row that it was claimed of.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    pub(crate) connection: ConnectionId,
    pub(crate) lease: Timestamp,
}

impl Held {
    fn update(self, transition: Transition) -> Update {
        Update::of(transition, self.connection).when_eq(Column::SyncLeaseUntil, self.lease)
    }

    fn done(self, transition: Transition, request: RequestId, success: &Success) -> Update {
        self.update(transition)
            .when_eq(Column::SyncRequestId, request)
            .set_null(Column::SyncRequestId)
            .set_epoch(Column::SyncLeaseUntil)
            .set(Column::SyncAttempts, 0)
            .set(Column::SyncNotBefore, success.not_before())
    }
}

// Channels. The pending id is the fencing token: an id that is out of both columns never comes back.

/// On whose behalf a channel is renewed: what the claim asks of the row besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// No other channel was opened since the row was read.
    Setup,
    /// No channel was opened in the last 30 s. Owes a run whatever becomes of the renewal.
    Button,
    /// The renewal is due.
    Sweep,
}

/// Takes a renewal over. Books the attempt and when the next is due before Google is asked, so that a crash does not
/// open a channel a minute. No row: another is at it, the row was paused, or what `trigger` asks for does not hold.
pub(crate) fn claim_renewal(
    row: &Connection,
    trigger: Trigger,
    pending: &ChannelId,
    now: Timestamp,
    lease_until: Timestamp,
    mut random: impl FnMut() -> u128,
) -> Update {
    let retry_at = schedule::renewal_retry(now, row.webhook_attempts, None, random());
    let update = Update::of(Transition::ClaimRenewal, row.id)
        .when(Filter::Lt(Column::WebhookLeaseUntil, now.into()))
        .when_live()
        .when_eq(Column::WebhookAttempts, row.webhook_attempts)
        // Proves which abandoned channel the claim replaces, so that it can be stopped.
        .when_still(Column::WebhookPendingId, row.webhook_pending_id.as_ref())
        .set(Column::WebhookPendingId, pending)
        .set(Column::WebhookLeaseUntil, lease_until)
        .set(Column::WebhookNotBefore, lease_until.max(retry_at))
        .set(Column::WebhookAttempts, schedule::one_more(row.webhook_attempts));
    match trigger {
        Trigger::Setup => update.when_eq(Column::WebhookOpenedAt, row.webhook_opened_at),
        Trigger::Button => update
            .when(Filter::Lt(Column::WebhookOpenedAt, (now - REFRESH_INTERVAL).into()))
            .asking_for(RequestId::fresh(now, random()))
            .set(Column::SyncNotBefore, now),
        Trigger::Sweep => update.when(Filter::Lte(Column::WebhookNotBefore, now.into())),
    }
}

/// Writes another id over one that Google has seen before. No row: the renewal was superseded.
pub(crate) fn reissue_channel(opening: Pending<'_>, fresh: &ChannelId) -> Update {
    opening.update(Transition::ReissueChannel).set(Column::WebhookPendingId, fresh)
}

/// Stores the channel that Google opened, and asks for a run: a change between the old channel's last word and the new
/// one's first would go unseen. No row: paused, reconnected or superseded meanwhile; disown it.
pub(crate) fn commit_channel(
    opening: Pending<'_>,
    source: &Source,
    opened: &OpenedChannel,
    now: Timestamp,
    lease_until: Timestamp,
    request: RequestId,
    random: u128,
) -> Update {
    opening
        .update(Transition::CommitChannel)
        .when_eq(Column::WebhookSource, source)
        .when_live()
        .set(Column::WebhookId, opening.pending)
        .set(Column::WebhookResourceId, &opened.resource_id)
        .set(Column::WebhookExpiration, opened.expiration)
        .set(Column::WebhookOpenedAt, now)
        .set(Column::WebhookMessageNumber, 0)
        .set_null(Column::WebhookPendingId)
        .set(Column::WebhookLeaseUntil, lease_until)
        .set(Column::WebhookAttempts, 0)
        .set_null(Column::WebhookError)
        .set_null(Column::WebhookErrorReason)
        .set(Column::WebhookNotBefore, schedule::renewal_due(now, opened.expiration, random))
        // Until it has been heard of. A run with a look moves this on.
        .set(Column::SyncLookAt, now + schedule::LOOK_INTERVAL_WITHOUT_CHANNEL)
        .set(Column::SyncRequestId, request)
}

/// Gives the pending id up before its channel is stopped. No row: it was committed after all, or another renewal took
/// it over; look it up.
pub(crate) fn disown_channel(opening: Pending<'_>, lease_until: Timestamp) -> Update {
    opening
        .update(Transition::DisownChannel)
        .set_null(Column::WebhookPendingId)
        .set(Column::WebhookLeaseUntil, lease_until)
}

/// Finds the channel committed, by a write that changes nothing: a read may lag. No row: the channel is not stored.
pub(crate) fn look_up_channel(opening: Pending<'_>) -> Update {
    Update::of(Transition::LookUpChannel, opening.connection)
        .when_eq(Column::WebhookId, opening.pending)
        .set(Column::WebhookId, opening.pending)
}

/// Google refused, and there is no channel: tells why, and when it is tried again. No row: the renewal was superseded,
/// or the channel has spoken, whatever was answered.
pub(crate) fn fail_renewal(opening: Pending<'_>, source: &Source, failure: Failed<'_>) -> Update {
    let unheard = Filter::IsDistinct(Column::WebhookConfirmedId, opening.pending.into());
    let update = opening.update(Transition::FailRenewal).when(unheard);
    failure.tell(update, source).set_null(Column::WebhookPendingId)
}

/// The channel may exist, for Google did not answer or the channel has spoken: its id stays pending, for the next claim
/// to stop it. No row: the renewal was superseded.
pub(crate) fn doubt_channel(opening: Pending<'_>, source: &Source, failure: Failed<'_>) -> Update {
    failure.tell(opening.update(Transition::DoubtChannel), source)
}

/// Gives the claim back as if it had not been: there was no time to ask Google. No row: the renewal was superseded.
pub(crate) fn release_renewal(opening: Pending<'_>, attempts: i64, now: Timestamp) -> Update {
    opening
        .update(Transition::ReleaseRenewal)
        .set_null(Column::WebhookPendingId)
        .set_epoch(Column::WebhookLeaseUntil)
        .set(Column::WebhookAttempts, attempts)
        .set(Column::WebhookNotBefore, now)
}

/// Gives up the channel of a connection that `row` shows paused or disconnected. No row: it was resumed meanwhile, or
/// names another channel.
pub(crate) fn retire_channel(row: &Connection) -> Update {
    let seen =
        if row.is_active { Filter::IsFalse(Column::SyncEnabled) } else { Filter::NotTrue(Column::IsActive) };
    Update::of(Transition::RetireChannel, row.id)
        .when_still(Column::WebhookId, row.webhook_id.as_ref())
        .when(seen)
        .set_null(Column::WebhookId)
        .set_null(Column::WebhookExpiration)
        .set_null(Column::WebhookResourceId)
        .set_null(Column::WebhookPendingId)
        .set_null(Column::WebhookError)
        .set_null(Column::WebhookErrorReason)
        .set(Column::WebhookMessageNumber, 0)
        .set(Column::WebhookAttempts, 0)
        .set_epoch(Column::WebhookOpenedAt)
        .set_epoch(Column::WebhookNotBefore)
}

/// A channel that is being opened.
#[derive(Clone, Copy)]
pub(crate) struct Pending<'a> {
    pub(crate) connection: ConnectionId,
    pub(crate) pending: &'a ChannelId,
}

impl Pending<'_> {
    fn update(self, transition: Transition) -> Update {
        Update::of(transition, self.connection).when_eq(Column::WebhookPendingId, self.pending)
    }
}

/// What a failed renewal tells.
#[derive(Clone, Copy)]
pub(crate) struct Failed<'a> {
    /// What to write as the row's error; none leaves the error that is there.
    pub(crate) told: Option<&'a Refused>,
    /// The row's error as the claim read it.
    pub(crate) told_before: Option<&'a str>,
    pub(crate) lease_until: Timestamp,
    pub(crate) retry_at: Timestamp,
    /// When the calendar is looked at again, where Google asks not to be asked.
    pub(crate) look_at: Option<Timestamp>,
}

impl Failed<'_> {
    fn tell(self, update: Update, source: &Source) -> Update {
        let update = update
            .set(Column::WebhookLeaseUntil, self.lease_until)
            .set(Column::WebhookNotBefore, self.retry_at);
        let update = match self.told {
            Some(refused) => update.refused(source, refused, self.told_before),
            None => update.when_eq(Column::WebhookSource, source),
        };
        match self.look_at {
            Some(look_at) => update.set(Column::SyncLookAt, look_at),
            None => update,
        }
    }
}

// Consents.

/// Tells what Google refuses this connection whatever is asked for, where something else than a renewal met it, and
/// when the next renewal may find it mended. No row: it is told already, somebody reconnected meanwhile, or a channel
/// was opened, which only a dead consent makes worthless.
pub(crate) fn book_refusal(row: &Connection, refused: &Refused, retry_at: Timestamp) -> Update {
    let update = Update::of(Transition::BookRefusal, row.id);
    // Of a paused connection no renewal books anew when that may be mended.
    let is_told = row.webhook_error.as_deref() == Some(refused.failure.code());
    let update = if is_told && !row.is_live() {
        update.when_eq(Column::WebhookNotBefore, row.webhook_not_before)
    } else {
        update.when(Filter::IsDistinct(Column::WebhookError, refused.failure.code().into()))
    };
    let update = update.refused(&row.webhook_source, refused, row.webhook_error.as_deref());
    let update = update.set(Column::WebhookNotBefore, retry_at);
    if refused.failure.is_consent_dead() {
        update
    } else {
        update.when_eq(Column::WebhookOpenedAt, row.webhook_opened_at)
    }
}

/// Stores a renewed access token, and the refresh token if it rotated. No row: reconnected meanwhile, or deleted.
pub(crate) fn store_token(row: &Connection, token: &RenewedToken, expires_at: Timestamp) -> Update {
    let update = Update::of(Transition::StoreToken, row.id)
        .when_eq(Column::WebhookSource, &row.webhook_source)
        .set(Column::AccessToken, &token.access_token)
        .set(Column::ExpiresAt, expires_at);
    match &token.refresh_token {
        Some(rotated) => update
            .set(Column::RefreshToken, rotated)
            .set(Column::WebhookSource, Value::Text(ROTATED.to_owned())),
        None => update,
    }
}

/// Whatever a notification leads to, Google reached us.
fn of_token(transition: Transition, notification: &Notification, now: Timestamp) -> Update {
    Update::matching(transition, of_hash(notification)).when(google()).set(Column::WebhookNotifiedAt, now)
}

/// The channel that speaks is not the row's.
fn of_orphan(transition: Transition, notification: &Notification, now: Timestamp) -> Update {
    of_token(transition, notification, now)
        .when(Filter::IsDistinct(Column::WebhookId, (&notification.channel).into()))
        .when(Filter::IsDistinct(Column::WebhookPendingId, (&notification.channel).into()))
}

/// The row of a notification's token.
pub(crate) fn of_hash(notification: &Notification) -> Filter {
    Filter::Eq(Column::WebhookTokenHash, (&notification.token_hash).into())
}

// What a step is written with.

impl Update {
    /// Starts an update of the row with this id.
    pub fn of(transition: Transition, id: ConnectionId) -> Self {
        Self::matching(transition, Filter::Eq(Column::Id, id.into()))
    }

    /// Starts an update of the row that meets `filter`, which must name a unique value.
    pub fn matching(transition: Transition, filter: Filter) -> Self {
        Self { transition, filters: vec![filter], set: Vec::new() }
    }

    pub fn when(mut self, filter: Filter) -> Self {
        self.filters.push(filter);
        self
    }

    pub fn when_eq(self, column: Column, value: impl Into<Value>) -> Self {
        self.when(Filter::Eq(column, value.into()))
    }

    /// Only where the column holds this value, null included.
    pub fn when_still(self, column: Column, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.when_eq(column, value),
            None => self.when(Filter::IsNull(column)),
        }
    }

    pub fn when_live(mut self) -> Self {
        self.filters.extend(live());
        self
    }

    pub fn when_consenting(mut self) -> Self {
        self.filters.extend(consenting());
        self
    }

    pub fn set(mut self, column: Column, value: impl Into<Value>) -> Self {
        self.set.push((column, value.into()));
        self
    }

    /// What Google said of this consent and this calendar.
    /// What passes by itself is told only where nothing else was told since the row was read.
    fn refused(self, source: &Source, refused: &Refused, told_before: Option<&str>) -> Self {
        let passes = refused.failure.mender() == Mender::Nobody;
        let update = if passes { self.when_still(Column::WebhookError, told_before) } else { self };
        let update =
            update.when_eq(Column::WebhookSource, source).set(Column::WebhookError, refused.failure.code());
        match &refused.reason {
            Some(reason) => update.set(Column::WebhookErrorReason, reason),
            None => update.set_null(Column::WebhookErrorReason),
        }
    }

    /// Google lets the calendar be read again.
    fn taking_back_look_error(self, row: &Connection) -> Self {
        match row.look_error() {
            Some(error) => self
                .when_eq(Column::WebhookError, error)
                .when_eq(Column::WebhookAttempts, 0)
                .set_null(Column::WebhookError)
                .set_null(Column::WebhookErrorReason),
            None => self,
        }
    }

    pub fn set_null(mut self, column: Column) -> Self {
        self.set.push((column, Value::Null));
        self
    }

    /// Sets a time to PostgreSQL's `epoch`, the "never" of every lease and date.
    pub fn set_epoch(self, column: Column) -> Self {
        self.set(column, Timestamp::default())
    }

    /// Asks for a run that is made whatever a look shows: what the last run found is forgotten, and a run that is going
    /// on sees by the id that its own look does not count.
    fn asking_for(self, request: RequestId) -> Self {
        self.set(Column::SyncRequestId, request).set(Column::SyncSeen, request.0.to_string().as_str())
    }

    /// Gives the lease back; the request stays owed.
    fn released(self, attempts: i64, not_before: Timestamp) -> Self {
        self.set_epoch(Column::SyncLeaseUntil)
            .set(Column::SyncAttempts, attempts)
            .set(Column::SyncNotBefore, not_before)
    }
}
