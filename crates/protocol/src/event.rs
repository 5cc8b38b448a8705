//! What is worth a line in the log: a closed list. None holds a secret, an address or a calendar id.

use std::time::Duration;

use crate::Timestamp;
use crate::connection::{ChannelId, ConnectionId, RequestId, UnreadableRow};
use crate::failure::{Mender, RenewalFailure, RunFailure, StopFailure, Word};
use crate::recalculation::Reason;
use crate::transition::Transition;

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    RunSucceeded {
        connection: ConnectionId,
        request: RequestId,
        reason: Reason,
        duration: Duration,
        /// From the moment the request arose to the end of the run.
        lag: Option<Duration>,
    },
    /// Nothing was called: a look showed the calendar as the last run found it.
    RunSettled {
        connection: ConnectionId,
        request: RequestId,
        reason: Reason,
    },
    RunFailed {
        connection: ConnectionId,
        request: RequestId,
        reason: Reason,
        failure: RunFailure,
        /// Not before then; none = not known, for it was not booked: another holds the lease, or the database did not
        /// answer.
        retry_at: Option<Timestamp>,
    },
    /// The run outlived its lease; another run is owed.
    RunLeaseLost {
        connection: ConnectionId,
    },
    ChannelOpened {
        connection: ConnectionId,
        channel: ChannelId,
        expiration: Timestamp,
    },
    RenewalFailed {
        connection: ConnectionId,
        failure: RenewalFailure,
        /// Google's own word for it.
        reason: Option<Word>,
        retry_at: Option<Timestamp>,
    },
    /// The connection was paused, reconnected or deleted while its channel was being opened.
    RenewalSuperseded {
        connection: ConnectionId,
    },
    /// A connection was set up without a refresh token: it works until its access token expires.
    RefreshTokenMissing {
        connection: ConnectionId,
    },
    ChannelRetired {
        connection: ConnectionId,
        /// None where there was only a pending one.
        channel: Option<ChannelId>,
    },
    ChannelStopped {
        connection: ConnectionId,
        channel: ChannelId,
    },
    /// Google does not know a channel that may have expired, or may never have been opened.
    ChannelGone {
        connection: ConnectionId,
        channel: ChannelId,
    },
    ChannelNotStopped {
        connection: ConnectionId,
        channel: ChannelId,
        failure: StopFailure,
    },
    /// A look found a change of which Google ought to have told.
    NotificationMissed {
        connection: ConnectionId,
        channel: Option<ChannelId>,
    },
    /// A calendar that was to be looked at long ago was not: no sweep comes, or they fall behind.
    SweepsMissing {
        connection: ConnectionId,
        /// When the look was due.
        look_at: Timestamp,
    },
    /// A calendar could not be looked at, which passes by itself.
    LookFailed {
        connection: ConnectionId,
        code: &'static str,
        /// Google's own word.
        reason: Option<Word>,
        /// When it is looked at next; none = a run was made without.
        look_at: Option<Timestamp>,
    },
    /// Google refused a token, a look or a stop for a reason that somebody must mend; told on the row.
    GoogleRefused {
        connection: ConnectionId,
        failure: RenewalFailure,
        reason: Option<Word>,
        retry_at: Timestamp,
    },
    UnreadableRow(UnreadableRow),
    /// A service refused a call, or did not answer it.
    CallFailed {
        service: Service,
        /// The step that did not take effect, as far as is known; only of the database.
        transition: Option<Transition>,
        /// The HTTP status; none where no answer came.
        status: Option<u16>,
        /// The service's own word for it (`PGRST204`, `rateLimitExceeded`, `timed_out`).
        code: String,
        /// What the service says where it refuses us for a reason that stays until a person mends it.
        refusal: Option<String>,
    },
}

/// Who was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Database,
    Calendar,
    Oauth,
    Auth,
}

impl Service {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Calendar => "google_calendar",
            Self::Oauth => "google_oauth",
            Self::Auth => "supabase_auth",
        }
    }
}

/// How loud an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// State changed.
    Info,
    /// Odd, but handled.
    Warn,
    /// A person must act.
    Error,
}

impl Event {
    pub const fn name(&self) -> &'static str {
        match self {
            Self::RunSucceeded { .. } => "run_succeeded",
            Self::RunSettled { .. } => "run_settled",
            Self::RunFailed { .. } => "run_failed",
            Self::RunLeaseLost { .. } => "run_lease_lost",
            Self::ChannelOpened { .. } => "channel_opened",
            Self::RenewalFailed { .. } => "renewal_failed",
            Self::RenewalSuperseded { .. } => "renewal_superseded",
            Self::RefreshTokenMissing { .. } => "refresh_token_missing",
            Self::ChannelRetired { .. } => "channel_retired",
            Self::ChannelStopped { .. } => "channel_stopped",
            Self::ChannelGone { .. } => "channel_gone",
            Self::ChannelNotStopped { .. } => "channel_not_stopped",
            Self::NotificationMissed { .. } => "notification_missed",
            Self::SweepsMissing { .. } => "sweeps_missing",
            Self::LookFailed { .. } => "look_failed",
            Self::GoogleRefused { .. } => "google_refused",
            Self::UnreadableRow(_) => "unreadable_row",
            Self::CallFailed { .. } => "call_failed",
        }
    }

    pub const fn level(&self) -> Level {
        match self {
            Self::RunSucceeded { .. }
            | Self::RunSettled { .. }
            | Self::ChannelOpened { .. }
            | Self::ChannelRetired { .. }
            | Self::ChannelStopped { .. }
            | Self::ChannelGone { .. } => Level::Info,
            Self::RunFailed { .. }
            | Self::RunLeaseLost { .. }
            | Self::RenewalSuperseded { .. }
            | Self::RefreshTokenMissing { .. }
            | Self::ChannelNotStopped { .. }
            | Self::NotificationMissed { .. }
            | Self::LookFailed { .. }
            | Self::CallFailed { refusal: None, .. } => Level::Warn,
            Self::RenewalFailed { failure, .. } | Self::GoogleRefused { failure, .. } => {
                match failure.mender() {
                    Mender::Operator => Level::Error,
                    _ => Level::Warn,
                }
            }
            Self::UnreadableRow(_)
            | Self::SweepsMissing { .. }
            | Self::CallFailed { refusal: Some(_), .. } => Level::Error,
        }
    }
}
