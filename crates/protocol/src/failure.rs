//! Why a renewal or a run did not succeed: closed, coded, the same words in the database, in answers and in logs.

use std::time::Duration;

use crate::table::{Column, Filter, Value};

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
    /// The user must consent again: no refresh token, or one that Google does not accept (any more).
    ReconnectRequired "reconnect_required",
    /// The consent does not cover the calendar: the user left the box empty, or the app asks for another scope.
    PermissionMissing "permission_missing",
    /// The user's organisation, or the protection of the account, does not let this app in.
    BlockedByPolicy "blocked_by_policy",
    /// The account has no Google Calendar.
    NoCalendar "no_calendar",
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
    /// Who can mend it.
    pub const fn mender(self) -> Mender {
        match self {
            Self::ReconnectRequired
            | Self::PermissionMissing
            | Self::NoCalendar
            | Self::PushNotSupported
            | Self::CalendarNotFound => Mender::User,
            Self::BlockedByPolicy => Mender::Administrator,
            Self::OauthClientInvalid | Self::WebhookUrlRejected | Self::GoogleApiDisabled => Mender::Operator,
            Self::GoogleUnavailable
            | Self::GoogleRateLimited
            | Self::GoogleRejected
            | Self::DatabaseUnavailable => Mender::Nobody,
        }
    }

    /// Whether trying again soon may help: it passes by itself, or the operator mends it for everybody.
    pub const fn is_retryable(self) -> bool {
        matches!(self.mender(), Mender::Operator | Mender::Nobody)
    }

    /// Google would refuse everything else that is asked for in the user's name, too.
    pub const CONSENT_IS_DEAD: [Self; 3] =
        [Self::ReconnectRequired, Self::PermissionMissing, Self::BlockedByPolicy];

    pub fn is_consent_dead(self) -> bool {
        Self::CONSENT_IS_DEAD.contains(&self)
    }
}

/// Who can mend a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mender {
    /// The user, by a new consent or another calendar.
    User,
    /// The administrator of the user's organisation.
    Administrator,
    /// The people who run the app: its configuration is wrong, and everybody meets it.
    Operator,
    /// It passes by itself.
    Nobody,
}

/// Consent alive: Google does not refuse whatever is asked for in the user's name. Of other connections only the
/// renewal goes on asking.
pub fn consenting() -> [Filter; 3] {
    let differs = |failure: RenewalFailure| Filter::IsDistinct(Column::WebhookError, failure.code().into());
    RenewalFailure::CONSENT_IS_DEAD.map(differs)
}

/// Google's own word for why it refuses (`invalid_grant`): 1 to 64 of `[A-Za-z0-9_.]`, for the log, the row and the
/// doctor. Never a message, for that may hold an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word(String);

impl Word {
    const LONGEST: usize = 64;
    /// Google's words have none or one.
    const MOST_DIGITS: usize = 4;

    /// The word, as far as there is room for it; none where it is a sentence, an address, an id or empty.
    pub fn parse(text: &str) -> Option<Self> {
        let is_word = !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
            && text.bytes().filter(u8::is_ascii_digit).count() <= Self::MOST_DIGITS;
        is_word.then(|| Self(text.get(..Self::LONGEST).unwrap_or(text).to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&Word> for Value {
    fn from(word: &Word) -> Self {
        Self::Text(word.0.clone())
    }
}

/// What Google refused, as far as it makes a difference, and what it said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub failure: RenewalFailure,
    pub reason: Option<Word>,
    /// Google is not to be asked again before.
    pub retry_after: Option<Duration>,
}

impl Refused {
    /// Without a word of Google's.
    pub const fn new(failure: RenewalFailure) -> Self {
        Self { failure, reason: None, retry_after: None }
    }
}

impl From<RenewalFailure> for Refused {
    fn from(failure: RenewalFailure) -> Self {
        Self::new(failure)
    }
}

impl From<DatabaseUnavailable> for Refused {
    fn from(unavailable: DatabaseUnavailable) -> Self {
        Self::new(unavailable.into())
    }
}

impl From<DatabaseUnavailable> for RenewalFailure {
    fn from(_: DatabaseUnavailable) -> Self {
        Self::DatabaseUnavailable
    }
}

/// Why Google refused to open a channel, as far as it makes a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchFailure {
    /// The id was used before: ask once more with another.
    ChannelIdNotUnique,
    /// The access token is not valid (any more): renew it, once. With what it is where the new one is not valid either.
    Unauthorized(Refused),
    /// Refused: the channel does not exist.
    Refused(Refused),
    /// No answer, or a 5xx: the channel may exist.
    Doubtful(Refused),
    /// A success that does not say what was opened. Nothing can stop that before it speaks.
    Unusable(Refused),
}

/// Why a channel was not stopped; it is stopped when it next speaks, or expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopFailure {
    /// Google does not know the channel, or not any more.
    Unknown,
    /// The access token is not valid (any more): renew it, once. With what it is where the new one is not valid either.
    Unauthorized(Refused),
    Refused(Refused),
}

impl StopFailure {
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "channel_unknown",
            Self::Unauthorized(refused) | Self::Refused(refused) => refused.failure.code(),
        }
    }

    /// Google's own word for it.
    pub const fn reason(&self) -> Option<&Word> {
        match self {
            Self::Unknown => None,
            Self::Unauthorized(refused) | Self::Refused(refused) => refused.reason.as_ref(),
        }
    }
}

/// Why a run did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunFailure {
    /// `recalculate-schedule` answered with this status: it is not working any more.
    Answered(u16),
    /// What answered 2xx sent a page: it is no function.
    NotAFunction,
    /// No answer in time, or a gateway's word (502, 504, 546) that there will be none: it may still be working.
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
            Self::NotAFunction => "recalculate_not_a_function".to_owned(),
            Self::TimedOut => "recalculate_timeout".to_owned(),
            Self::Unreachable => "recalculate_unreachable".to_owned(),
            Self::RateLimited { .. } => "recalculate_rate_limited".to_owned(),
            Self::NoUser => "connection_without_user".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_kept_and_nothing_else_that_may_stand_in_its_place() {
        for word in ["invalid_grant", "push.webhookUrlNotHttps", "SERVICE_DISABLED", "x", "oauth2"] {
            assert_eq!(Word::parse(word).as_ref().map(Word::as_str), Some(word));
        }
        assert_eq!(Word::parse(&"x".repeat(5000)).map(|word| word.as_str().len()), Some(64));
        let token = "0123456789abcdef".repeat(4);
        for text in
            ["", " ", "Bad Request", "ada@example.com", "a-b", "größe", "a\nb", "ya29.a0AfB12345", &token]
        {
            assert_eq!(Word::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_dead_is_for_the_user_or_an_administrator() {
        for (failure, dead, retryable) in [
            (RenewalFailure::ReconnectRequired, true, false),
            (RenewalFailure::PermissionMissing, true, false),
            (RenewalFailure::BlockedByPolicy, true, false),
            (RenewalFailure::NoCalendar, false, false),
            (RenewalFailure::GoogleApiDisabled, false, true),
            (RenewalFailure::GoogleRejected, false, true),
        ] {
            assert_eq!((failure.is_consent_dead(), failure.is_retryable()), (dead, retryable), "{failure:?}");
        }
    }
}
