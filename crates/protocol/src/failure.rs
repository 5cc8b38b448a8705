//! Why a renewal or a run did not succeed: closed, coded, the same words in the database, in answers and in logs.

use std::time::Duration;

/// The database did not answer, or not as it should. An update may have taken place all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseUnavailable;

macro_rules! renewal_failures {
    ($($(#[$doc:meta])* $variant:ident $code:literal,)*) => {
        /// Why a connection has no new channel.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum RenewalFailure { $($(#[$doc])* $variant,)* }

        impl RenewalFailure {
            /// As it stands in `webhook_error`, in answers and in the log.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The failure of this code; none = of another version of the functions.
            pub fn parse(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

renewal_failures! {
    /// The user must consent again: no or a dead refresh token, or too few scopes.
    ReconnectRequired "reconnect_required",
    /// Google does not push for this calendar.
    PushNotSupported "push_not_supported",
    /// The calendar is gone, or hidden from this user.
    CalendarNotFound "calendar_not_found",
    /// The operator's OAuth client id or secret is wrong.
    OauthClientInvalid "oauth_client_invalid",
    /// Google refuses the address of `google-calendar-webhook`.
    WebhookUrlRejected "webhook_url_rejected",
    /// The Calendar API is not enabled in the operator's Google Cloud project.
    GoogleApiDisabled "google_api_disabled",
    /// Google did not answer, or with a 5xx.
    GoogleUnavailable "google_unavailable",
    GoogleRateLimited "google_rate_limited",
    /// Any other refusal, or an answer that makes no sense.
    GoogleRejected "google_rejected",
    DatabaseUnavailable "database_unavailable",
}

impl RenewalFailure {
    /// Whether trying again soon may help without anybody doing anything.
    pub const fn is_retryable(self) -> bool {
        !matches!(self, Self::ReconnectRequired | Self::PushNotSupported | Self::CalendarNotFound)
    }
}

impl From<DatabaseUnavailable> for RenewalFailure {
    fn from(_: DatabaseUnavailable) -> Self {
        Self::DatabaseUnavailable
    }
}

/// Why Google refused to open a channel, as far as it makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchFailure {
    /// The id was used before: ask once more with another.
    ChannelIdNotUnique,
    /// The access token is not valid (any more): renew it, once.
    Unauthorized,
    /// Refused: the channel does not exist.
    Refused(RenewalFailure),
    /// No answer, a 5xx or a malformed one: the channel may exist.
    Doubtful(RenewalFailure),
}

/// Why a channel was not stopped; it is stopped when it next speaks, or expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopFailure {
    /// The HTTP status, or none where no answer came.
    pub status: Option<u16>,
}

/// Why a run did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunFailure {
    /// `recalculate-schedule` answered with this status: it is not working any more.
    Answered(u16),
    /// No answer in time, or a gateway's word (504, 546) that there will be none: it may still be working.
    TimedOut,
    /// The connection broke: it may still be working.
    Unreachable,
    /// Supabase refused the nested call for now: nothing was called.
    RateLimited { retry_after: Duration },
    /// The row has no user.
    NoUser,
}

impl RunFailure {
    /// The code that stands in `sync_error`: `recalculate_` and the HTTP status or what else happened.
    pub fn code(self) -> String {
        match self {
            Self::Answered(status) => format!("recalculate_{status}"),
            Self::TimedOut => "recalculate_timeout".to_owned(),
            Self::Unreachable => "recalculate_unreachable".to_owned(),
            Self::RateLimited { .. } => "recalculate_rate_limited".to_owned(),
            Self::NoUser => "connection_without_user".to_owned(),
        }
    }
}
