//! What becomes of the protocol's requests where it has a deliberate bug.

use std::time::Duration;

use protocol::Timestamp;
use protocol::connection::{Connection, RequestId};
use protocol::failure::{Mender, Refused, RenewalFailure, WatchFailure};
use protocol::grant::OpenedChannel;
use protocol::look::{Anchor, Look, LookFailure, Seen};
use protocol::schedule::{ECHO, LEASE_AFTER_WATCH, RUNS_PER_INVOCATION, TOKEN_MARGIN_OF_A_RUN, brake};
use protocol::table::{Column, Filter, Query, Value};
use protocol::transition::{Transition, Update};

use crate::assumption::RUN_LEASE;
use crate::mutation::Mutation;
use crate::subject::Purpose;

const PAUSING: [Column; 2] = [Column::IsActive, Column::SyncEnabled];

impl Mutation {
    /// What takes effect in place of an update; `matching` tells the row that meets filters.
    pub(crate) fn rewrite(
        self,
        update: Update,
        matching: impl Fn(&[Filter]) -> Option<Connection>,
        seen_now: impl Fn(&Seen) -> Option<Seen>,
    ) -> Update {
        let mut update = update;
        match (self, update.transition) {
            (Self::UnfencedRuns, _) => {
                update.filters.retain(|filter| !matches!(filter, Filter::Eq(Column::SyncLeaseUntil, _)));
            }
            (Self::UnconditionalClear, Transition::FinishRun) => {
                drop_filter(&mut update, Column::SyncRequestId)
            }
            (Self::LeaseReleasedAfterTimeout, Transition::DoubtRun) => {
                set(&mut update, Column::SyncLeaseUntil, Value::Time(Timestamp::default()));
                set(&mut update, Column::SyncNotBefore, Value::Time(Timestamp::default()));
            }
            (Self::PausedRuns, Transition::ClaimRun) | (Self::PausedRenewals, Transition::ClaimRenewal) => {
                PAUSING.into_iter().for_each(|column| drop_filter(&mut update, column));
            }
            (Self::ForgottenWhilePaused | Self::ForgottenDuringRun, Transition::NoteChange) => {
                let forgotten = matching(&update.filters).is_some_and(|row| match self {
                    Self::ForgottenWhilePaused => !row.is_live(),
                    _ => row.sync_lease_until > Timestamp::default(),
                });
                if forgotten {
                    drop_set(&mut update, Column::SyncRequestId);
                }
            }
            (Self::HiddenCauses, Transition::FailRenewal | Transition::DoubtChannel)
                if update.set.iter().all(|(column, _)| *column != Column::WebhookError) =>
            {
                let passing = RenewalFailure::GoogleUnavailable.code();
                set(&mut update, Column::WebhookError, passing.into());
            }
            (Self::UnfencedCommit, Transition::CommitChannel) => {
                drop_filter(&mut update, Column::WebhookPendingId)
            }
            (Self::CommitForAnySource, Transition::CommitChannel)
            | (Self::TokenForAnySource, Transition::StoreToken)
            | (
                Self::ErrorForAnySource,
                Transition::FailRenewal
                | Transition::DoubtChannel
                | Transition::BookRefusal
                | Transition::RefuseLook,
            ) => {
                drop_filter(&mut update, Column::WebhookSource);
                if self == Self::ErrorForAnySource {
                    drop_filter(&mut update, Column::WebhookPendingId);
                }
            }
            (Self::OverwrittenRequests, Transition::Reconcile) => {
                drop_filter(&mut update, Column::SyncRequestId)
            }
            (Self::ShortLeases, Transition::CommitChannel) => {
                let opened_at = update.set.iter().find(|(column, _)| *column == Column::WebhookOpenedAt);
                if let Some((_, Value::Time(opened_at))) = opened_at {
                    let lease = *opened_at + LEASE_AFTER_WATCH;
                    set(&mut update, Column::WebhookLeaseUntil, lease.into());
                }
            }
            (Self::CommitWithoutRun, Transition::CommitChannel) => {
                drop_set(&mut update, Column::SyncRequestId)
            }
            (Self::NumbersCarriedOver, Transition::CommitChannel) => {
                drop_set(&mut update, Column::WebhookMessageNumber)
            }
            (Self::OrphanThoughCurrent, Transition::NoteOrphan | Transition::NoteOpenedOrphan) => {
                drop_filter(&mut update, Column::WebhookId)
            }
            (Self::OrphanThoughPending, Transition::NoteOrphan | Transition::NoteOpenedOrphan) => {
                drop_filter(&mut update, Column::WebhookPendingId)
            }
            (Self::TokenPerChannel, Transition::ClaimRenewal) => {
                let pending = update.set.iter().find(|(column, _)| *column == Column::WebhookPendingId);
                if let Some((_, Value::Text(id))) = pending {
                    let token = Value::Secret(format!("token of channel {id}"));
                    set(&mut update, Column::WebhookToken, token);
                }
            }
            (Self::UnbookedRenewals, Transition::ClaimRenewal) => {
                drop_set(&mut update, Column::WebhookNotBefore);
                drop_set(&mut update, Column::WebhookAttempts);
            }
            (Self::UnbookedRuns, Transition::ClaimRun) => {
                drop_set(&mut update, Column::SyncNotBefore);
                drop_set(&mut update, Column::SyncAttempts);
            }
            (Self::NoBrake, transition) if succeeds(transition) => {
                set(&mut update, Column::SyncStreak, Value::Integer(0));
            }
            (Self::BrakeForEver, transition) if succeeds(transition) => {
                if let Some(row) = matching(&update.filters) {
                    let streak = row.sync_streak + 1;
                    set(&mut update, Column::SyncStreak, Value::Integer(streak));
                    if let Some((_, Value::Time(at))) =
                        update.set.iter_mut().find(|(column, _)| *column == Column::SyncNotBefore)
                    {
                        *at += brake(streak);
                    }
                }
            }
            (Self::TimelessEchoes, Transition::FinishRun) => {
                if let Some(row) = matching(&update.filters)
                    && row.sync_request_id.is_some_and(|request| request.arose_at().is_none())
                {
                    set(&mut update, Column::SyncStreak, Value::Integer(row.sync_streak + 1));
                }
            }
            (Self::ReusedRequests, Transition::CommitChannel) => {
                if let Some(request) = matching(&update.filters).and_then(|row| row.sync_request_id) {
                    set(&mut update, Column::SyncRequestId, request.into());
                }
            }
            (Self::SilentFailures, Transition::FailRenewal | Transition::DoubtChannel) => {
                drop_set(&mut update, Column::WebhookError)
            }
            (Self::UnnotedConfirmations, Transition::ConfirmPending) => {
                drop_set(&mut update, Column::WebhookConfirmedId);
            }
            (Self::EveryProvider, _) => drop_filter(&mut update, Column::Provider),
            (Self::EagerButton, Transition::ClaimRenewal) => {
                drop_filter(&mut update, Column::WebhookOpenedAt)
            }
            (Self::LookAfterRun, transition) if succeeds(transition) => {
                if let Some((_, Value::Text(text))) =
                    update.set.iter_mut().find(|(column, _)| *column == Column::SyncSeen)
                    && let Some(seen) = Seen::parse(text).as_ref().and_then(seen_now)
                {
                    *text = seen.to_string();
                }
            }
            (Self::SeenKept, transition) if succeeds(transition) => {
                update.set.retain(|set| *set != (Column::SyncSeen, Value::Null));
            }
            (Self::SettledForGood, Transition::SettleRun) => {
                let is_echo = |row: &Connection| {
                    let arose_at = row.sync_request_id.and_then(RequestId::arose_at);
                    arose_at.zip(row.last_sync_at).is_some_and(|(arose_at, at)| arose_at - at < ECHO)
                };
                let is_doubt = update.set.contains(&(Column::SyncStreak, Value::Integer(1)));
                if is_doubt && !matching(&update.filters).is_some_and(|row| is_echo(&row)) {
                    set(&mut update, Column::SyncStreak, Value::Integer(0));
                }
            }
            (Self::SettledButton, Transition::ClaimRenewal) => drop_set(&mut update, Column::SyncSeen),
            (Self::FoundForAnySource, transition) if succeeds(transition) => {
                drop_filter(&mut update, Column::WebhookSource);
            }
            (Self::MissedAndKept, Transition::Reconcile) => drop_set(&mut update, Column::WebhookNotBefore),
            (Self::RunsWithoutConsent, Transition::ClaimRun) => {
                drop_filter(&mut update, Column::WebhookError);
            }
            (Self::UnbookedLooks, Transition::ClaimLook) => drop_set(&mut update, Column::SyncLookAt),
            (Self::RefusalsKept, Transition::NoteUnchanged | Transition::Reconcile) => {
                drop_set(&mut update, Column::WebhookError);
            }
            (Self::RefusalsForgiven, Transition::NoteUnchanged | Transition::Reconcile) => {
                set(&mut update, Column::WebhookError, Value::Null);
            }
            (Self::RefusedLookRenews, Transition::RefuseLook) => {
                let renewed_at = update.set.iter().find(|(column, _)| *column == Column::SyncLookAt).cloned();
                update.set.extend(renewed_at.map(|(_, at)| (Column::WebhookNotBefore, at)));
            }
            (Self::CountedWaits, Transition::AwaitConsent) => drop_set(&mut update, Column::SyncAttempts),
            _ => {}
        }
        update
    }

    /// What an update that took effect is answered with.
    pub(crate) fn rewrite_answer(
        self,
        transition: Transition,
        answer: Option<Connection>,
        now: Timestamp,
    ) -> Option<Connection> {
        let mut row = answer?;
        match (self, transition) {
            (Self::NoDoubt, Transition::ClaimLook) => row.sync_streak = 0,
            (Self::LooksWithoutChannelOnly, Transition::ClaimLook) if row.hears_of_changes(now) => {
                return None;
            }
            (Self::SettledAttempt, Transition::ClaimRun) if row.sync_seen.is_some() => row.sync_attempts = 1,
            (Self::DeathDuringRunUnnoticed, Transition::KeepRun) => row.webhook_error = None,
            (Self::RunWithoutToken, Transition::ClaimRun | Transition::KeepRun) => {
                row.expires_at = Some(now + TOKEN_MARGIN_OF_A_RUN);
            }
            _ => {}
        }
        Some(row)
    }

    /// What a look is answered with; `row` is the one that it is about.
    pub(crate) fn rewrite_look(
        self,
        answer: Result<Look, LookFailure>,
        row: Option<&Connection>,
        now: Timestamp,
    ) -> Result<Look, LookFailure> {
        match (self, answer) {
            (Self::MovingAnchor, Ok(look)) => {
                let seen = Seen { anchor: Anchor::of_look(now, None), ..look.seen };
                Ok(Look { seen, ..look })
            }
            (Self::UncountedLooks, Ok(look)) => Ok(Look { size: 0, ..look }),
            (Self::BlindLooks, Ok(_)) => Err(LookFailure::Doubtful),
            (Self::SettledUnknown, Err(failure)) if failure.is_unknown() => {
                let seen = row.and_then(Connection::seen);
                seen.map(|seen| Look { size: 0, seen, calendar_name: None }).ok_or(failure)
            }
            (Self::TransientIsDead, Err(LookFailure::Refused(refused)))
                if refused.failure.mender() == Mender::Nobody =>
            {
                Err(LookFailure::Refused(RenewalFailure::ReconnectRequired.into()))
            }
            (Self::UnheardRetryAfter, Err(LookFailure::Refused(refused))) => {
                Err(LookFailure::Refused(Refused { retry_after: None, ..refused }))
            }
            (_, answer) => answer,
        }
    }

    /// What a watch is answered with.
    pub(crate) fn rewrite_watch(
        self,
        answer: Result<OpenedChannel, WatchFailure>,
    ) -> Result<OpenedChannel, WatchFailure> {
        match (self, answer) {
            (Self::UnheardRetryAfter, Err(WatchFailure::Refused(refused))) => {
                Err(WatchFailure::Refused(Refused { retry_after: None, ..refused }))
            }
            (_, answer) => answer,
        }
    }

    /// Whether an update is not made at all.
    pub(crate) fn swallows(self, update: &Update, purpose: Purpose) -> bool {
        match self {
            Self::LostLeaseUnnoticed => update.transition == Transition::LoseRun,
            Self::UntoldDeath => update.transition == Transition::BookRefusal,
            Self::LeftToTheSweep => {
                update.transition == Transition::RetireChannel && purpose != Purpose::Sweep
            }
            _ => false,
        }
    }

    /// Whether an update is made by a read.
    pub(crate) fn reads_instead(self, update: &Update) -> bool {
        self == Self::LookUpByRead && update.transition == Transition::LookUpChannel
    }

    /// Whether an update that is not answered counts as one that met no row.
    pub(crate) fn guesses(self, transition: Transition) -> bool {
        self == Self::LookUpByGuess && transition == Transition::LookUpChannel
    }

    /// What is read in place of a query.
    pub(crate) fn rewrite_query(self, query: &mut Query) {
        match self {
            Self::UnfairSweeps => query.order = Column::Id,
            Self::LeanSweeps => query.limit = query.limit.min(RUNS_PER_INVOCATION as usize),
            Self::EveryProvider => query.filters.retain(|filter| filtered(filter) != Column::Provider),
            _ => {}
        }
    }

    /// How long a run keeps others out.
    pub(crate) fn lease(self) -> Duration {
        match self {
            Self::ShortLease => RUN_LEASE / 3,
            Self::LongLease => RUN_LEASE * 10,
            _ => RUN_LEASE,
        }
    }

    /// Whether a calendar deleted and created again with the same events counts as another.
    pub(crate) fn digests_by_id(self) -> bool {
        self == Self::DigestById
    }

    /// Whether a read finds nothing.
    pub(crate) fn hides(self, query: &Query) -> bool {
        let asks = |filter| query.filters.contains(&filter);
        match self {
            Self::NoLooks => asks(Filter::IsNull(Column::SyncRequestId)),
            Self::NoRetirement => {
                asks(Filter::NotTrue(Column::IsActive)) || asks(Filter::IsFalse(Column::SyncEnabled))
            }
            _ => false,
        }
    }
}

/// Whether a run was made, or was not needed.
fn succeeds(transition: Transition) -> bool {
    matches!(
        transition,
        Transition::FinishRun | Transition::SettleRun | Transition::KeepRun | Transition::LeaveRun
    )
}

fn filtered(filter: &Filter) -> Column {
    match filter {
        Filter::Eq(column, _)
        | Filter::In(column, _)
        | Filter::IsDistinct(column, _)
        | Filter::Gt(column, _)
        | Filter::Lt(column, _)
        | Filter::Lte(column, _)
        | Filter::IsNull(column)
        | Filter::NotNull(column)
        | Filter::IsTrue(column)
        | Filter::NotTrue(column)
        | Filter::IsFalse(column)
        | Filter::NotFalse(column) => *column,
    }
}

fn drop_filter(update: &mut Update, column: Column) {
    update.filters.retain(|filter| filtered(filter) != column);
}

fn drop_set(update: &mut Update, column: Column) {
    update.set.retain(|(set, _)| *set != column);
}

fn set(update: &mut Update, column: Column, value: Value) {
    drop_set(update, column);
    update.set.push((column, value));
}
