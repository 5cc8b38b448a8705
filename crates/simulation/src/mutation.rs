//! Deliberate bugs of the protocol, to see that the simulation sees them. The protocol's code stays as it is: the
//! simulated ports change what it asks.

use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use protocol::Timestamp;
use protocol::connection::Connection;
use protocol::table::{Column, Filter, Query, Value};
use protocol::transition::{Transition, Update};

use crate::assumption::RUN_LEASE;
use crate::google;
use crate::life::Purpose;
use crate::world::{World, arose_at};

macro_rules! mutations {
    ($($(#[doc = $doc:literal])+ $variant:ident $name:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutation { $($(#[doc = $doc])+ $variant,)* }

        impl Mutation {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc,)+),)* }
            }
        }
    };
}

mutations! {
    /// What a run's holder writes takes effect whoever has the lease by now.
    UnfencedRuns "unfenced-runs",
    /// A finished run clears the request, also a newer one.
    UnconditionalClear "unconditional-clear",
    /// A holder that lost its lease does not ask for another run.
    LostLeaseUnnoticed "lost-lease-unnoticed",
    /// A run that was not answered gives its lease back.
    LeaseReleasedAfterTimeout "lease-released-after-timeout",
    /// The lease is shorter than a callee's life.
    ShortLease "short-lease",
    /// Runs are claimed for paused connections.
    PausedRuns "paused-runs",
    /// Renewals are claimed for paused connections.
    PausedRenewals "paused-renewals",
    /// A change notified while paused is answered, not stored.
    ForgottenWhilePaused "forgotten-while-paused",
    /// The previous channel is stopped before the new one is asked for.
    StopBeforeCommit "stop-before-commit",
    /// A retired channel is stopped before the row is disowned of it.
    StopBeforeDisown "stop-before-disown",
    /// A commit takes effect whoever's channel is pending by now.
    UnfencedCommit "unfenced-commit",
    /// A channel is stored whatever consent and calendar the row has by now.
    CommitForAnySource "commit-for-any-source",
    /// An access token is stored whatever consent the row has by now.
    TokenForAnySource "token-for-any-source",
    /// An error is stored whatever consent and calendar the row has by now.
    ErrorForAnySource "error-for-any-source",
    /// A new channel is not followed by a run.
    CommitWithoutRun "commit-without-run",
    /// A new channel goes on with the message number of the one before.
    NumbersCarriedOver "numbers-carried-over",
    /// A doubtful commit is looked up by a read.
    LookUpByRead "look-up-by-read",
    /// A doubtful commit whose look-up is not answered counts as none.
    LookUpByGuess "look-up-by-guess",
    /// The orphan verdict does not ask whether the channel is the row's own.
    OrphanThoughCurrent "orphan-though-current",
    /// The orphan verdict does not ask whether the channel is being opened.
    OrphanThoughPending "orphan-though-pending",
    /// Every renewal gives the connection another token.
    TokenPerChannel "token-per-channel",
    /// A renewal's claim books neither the attempt nor when the next is due.
    UnbookedRenewals "unbooked-renewals",
    /// A run's claim books neither the attempt nor when the next may start.
    UnbookedRuns "unbooked-runs",
    /// The storm brake counts nothing.
    NoBrake "no-brake",
    /// The storm brake never lets go.
    BrakeForEver "brake-for-ever",
    /// Nobody looks at connections that were silent for a day.
    NoReconciliation "no-reconciliation",
    /// Sweeps leave the channels of paused connections alone.
    NoRetirement "no-retirement",
    /// The button renews as often as it is pressed.
    EagerButton "eager-button",
    /// The request that a claimed run found is not the newest: notifications during a run are not stored.
    ForgottenDuringRun "forgotten-during-run",
    /// The lease is ten times as long as a callee's life asks for.
    LongLease "long-lease",
    /// A new channel's run goes on with the request that was there.
    ReusedRequests "reused-requests",
    /// A failed renewal does not say why.
    SilentFailures "silent-failures",
    /// That a channel has spoken is not noted while it is being opened.
    UnnotedConfirmations "unnoted-confirmations",
    /// Channels that were given up are left to expire.
    UnstoppedChannels "unstopped-channels",
    /// Sweeps go through the table in its own order, not by what has waited longest.
    UnfairSweeps "unfair-sweeps",
    /// A sweep tells that nothing remains to be run.
    NothingRemains "nothing-remains",
    /// A sweep reads no more rows than it has runs, and so do all that overlap.
    LeanSweeps "lean-sweeps",
    /// That a row was deleted while its channel was opened is not noticed, and its previous channel is not stopped.
    OverlookedDeletions "overlooked-deletions",
    /// Who learns by a notification that a connection is paused leaves its channel to the next sweep.
    LeftToTheSweep "left-to-the-sweep",
    /// A request that does not tell when it arose counts as an echo.
    TimelessEchoes "timeless-echoes",
    /// Rows of other providers are taken for Google's.
    EveryProvider "every-provider",
}

impl FromStr for Mutation {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|mutation| mutation.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|mutation| mutation.name()).collect();
            format!("no such mutation; there are {}", known.join(", "))
        })
    }
}

const PAUSING: [Column; 2] = [Column::IsActive, Column::SyncEnabled];

impl Mutation {
    /// What takes effect in place of an update; `matching` tells the row that meets filters.
    pub(crate) fn rewrite(
        self,
        update: Update,
        matching: impl Fn(&[Filter]) -> Option<Connection>,
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
            (Self::UnfencedCommit, Transition::CommitChannel) => {
                drop_filter(&mut update, Column::WebhookPendingId)
            }
            (Self::CommitForAnySource, Transition::CommitChannel)
            | (Self::TokenForAnySource, Transition::StoreToken)
            | (Self::ErrorForAnySource, Transition::FailRenewal | Transition::DoubtChannel) => {
                drop_filter(&mut update, Column::WebhookSource);
                if self == Self::ErrorForAnySource {
                    drop_filter(&mut update, Column::WebhookPendingId);
                }
            }
            (Self::CommitWithoutRun, Transition::CommitChannel) => {
                drop_set(&mut update, Column::SyncRequestId)
            }
            (Self::NumbersCarriedOver, Transition::CommitChannel) => {
                drop_set(&mut update, Column::WebhookMessageNumber)
            }
            (Self::OrphanThoughCurrent, Transition::NoteOrphan) => {
                drop_filter(&mut update, Column::WebhookId)
            }
            (Self::OrphanThoughPending, Transition::NoteOrphan) => {
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
            (Self::NoBrake, Transition::FinishRun | Transition::KeepRun | Transition::LeaveRun) => {
                set(&mut update, Column::SyncStreak, Value::Integer(0));
            }
            (Self::BrakeForEver, Transition::FinishRun | Transition::KeepRun | Transition::LeaveRun) => {
                if let Some(row) = matching(&update.filters) {
                    let streak = row.sync_streak + 1;
                    set(&mut update, Column::SyncStreak, Value::Integer(streak));
                    if let Some((_, Value::Time(at))) =
                        update.set.iter_mut().find(|(column, _)| *column == Column::SyncNotBefore)
                    {
                        *at += protocol::schedule::brake(streak);
                    }
                }
            }
            (Self::TimelessEchoes, Transition::FinishRun) => {
                if let Some(row) = matching(&update.filters)
                    && row.sync_request_id.is_some_and(|request| arose_at(request).is_none())
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
            _ => {}
        }
        update
    }

    /// What happens before an update is sent.
    pub(crate) fn before_update(self, world: &Rc<World>, update: &Update) {
        if self != Self::StopBeforeDisown || update.transition != Transition::RetireChannel {
            return;
        }
        let rows: Vec<_> = world.ledgers.borrow().iter().filter_map(|ledger| ledger.row.clone()).collect();
        for row in rows.iter().filter(|row| update.filters.contains(&Filter::Eq(Column::Id, row.id.into()))) {
            if let (Some(id), Some(resource), Some(access)) =
                (&row.webhook_id, &row.webhook_resource_id, &row.access_token)
            {
                let _ = google::stop(world, access, id, resource);
            }
        }
    }

    /// Whether an update is not made at all.
    pub(crate) fn swallows(self, update: &Update, purpose: Purpose) -> bool {
        match self {
            Self::LostLeaseUnnoticed => update.transition == Transition::LoseRun,
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
            Self::LeanSweeps => query.limit = query.limit.min(25),
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

    /// Whether the row of a channel that is not stored is taken to be there.
    pub(crate) fn overlooks_deletions(self) -> bool {
        self == Self::OverlookedDeletions
    }

    /// Whether a count finds nothing.
    pub(crate) fn hides_count(self) -> bool {
        self == Self::NothingRemains
    }

    /// Whether a read finds nothing.
    pub(crate) fn hides(self, query: &Query) -> bool {
        let asks = |filter| query.filters.contains(&filter);
        match self {
            Self::NoReconciliation => asks(Filter::IsNull(Column::SyncRequestId)),
            Self::NoRetirement => {
                asks(Filter::NotTrue(Column::IsActive)) || asks(Filter::IsFalse(Column::SyncEnabled))
            }
            _ => false,
        }
    }
}

fn filtered(filter: &Filter) -> Column {
    match filter {
        Filter::Eq(column, _)
        | Filter::IsDistinct(column, _)
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
