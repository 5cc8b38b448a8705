//! Everything that can be wrong with a request: the one map from error code to HTTP status and message.

use adapters::configuration::Misconfigured;
use adapters::json::{Field, object};
use protocol::failure::{DatabaseUnavailable, RenewalFailure};
use protocol::refusal::Refusal;

use crate::answer::Answer;
use crate::function::Function;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    InvalidRequest(&'static str),
    Unauthenticated(&'static str),
    UnknownChannel,
    MethodNotAllowed(Function),
    Misconfigured(Misconfigured),
    AuthUnavailable,
    Refused(Refusal),
}

impl From<DatabaseUnavailable> for Problem {
    fn from(unavailable: DatabaseUnavailable) -> Self {
        Self::Refused(Refusal::Failed(unavailable.into()))
    }
}

impl Problem {
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::Unauthenticated(_) => "unauthenticated",
            Self::UnknownChannel => "unknown_channel",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::Misconfigured(_) => "misconfigured",
            Self::AuthUnavailable => "auth_unavailable",
            Self::Refused(refusal) => match refusal {
                Refusal::NoConnection => "no_connection",
                Refusal::Paused => "paused",
                Refusal::Disconnected => "disconnected",
                Refusal::TooSoon { .. } => "too_soon",
                Refusal::Failed(failure) => failure.code(),
            },
        }
    }

    const fn status(&self) -> u16 {
        match self {
            Self::InvalidRequest(_) => 400,
            Self::Unauthenticated(_) => 401,
            Self::UnknownChannel => 404,
            Self::MethodNotAllowed(_) => 405,
            Self::Misconfigured(_) => 500,
            Self::AuthUnavailable => 503,
            Self::Refused(refusal) => match refusal {
                Refusal::NoConnection => 404,
                Refusal::Paused | Refusal::Disconnected => 409,
                Refusal::TooSoon { .. } => 429,
                Refusal::Failed(failure) => match failure {
                    RenewalFailure::ReconnectRequired
                    | RenewalFailure::PermissionMissing
                    | RenewalFailure::BlockedByPolicy => 409,
                    RenewalFailure::PushNotSupported
                    | RenewalFailure::CalendarNotFound
                    | RenewalFailure::NoCalendar => 422,
                    // The operator's to mend, never the user's.
                    RenewalFailure::OauthClientInvalid
                    | RenewalFailure::WebhookUrlRejected
                    | RenewalFailure::GoogleApiDisabled => 500,
                    RenewalFailure::GoogleUnavailable
                    | RenewalFailure::GoogleRateLimited
                    | RenewalFailure::GoogleRejected => 502,
                    RenewalFailure::DatabaseUnavailable => 503,
                },
            },
        }
    }

    fn message(&self) -> String {
        let message = match self {
            Self::InvalidRequest(message) | Self::Unauthenticated(message) => message,
            Self::UnknownChannel => "no connection has this channel token",
            Self::MethodNotAllowed(_) => "only POST is answered here",
            Self::Misconfigured(misconfigured) => return misconfigured.to_string(),
            Self::AuthUnavailable => "Supabase Auth did not answer; try again",
            Self::Refused(refusal) => match refusal {
                Refusal::NoConnection => "there is no such Google calendar connection",
                Refusal::Paused => "syncing is paused; resume it first",
                Refusal::Disconnected => "the calendar is disconnected; connect it again",
                Refusal::TooSoon { .. } => "the channel was renewed, or is being renewed; try again later",
                Refusal::Failed(failure) => match failure {
                    RenewalFailure::ReconnectRequired => {
                        "Google no longer accepts this consent; the user must connect the calendar again"
                    }
                    RenewalFailure::PermissionMissing => {
                        "the consent does not cover the calendar; the user must connect again and tick its box, and \
                         the app must ask for a calendar scope"
                    }
                    RenewalFailure::BlockedByPolicy => {
                        "the user's organisation, or the protection of the account, blocks this app; its \
                         administrator must allow it"
                    }
                    RenewalFailure::NoCalendar => "this Google account has no calendar",
                    RenewalFailure::PushNotSupported => "Google sends no notifications for this calendar",
                    RenewalFailure::CalendarNotFound => {
                        "Google does not know this calendar, or hides it from this user"
                    }
                    RenewalFailure::OauthClientInvalid => {
                        "Google refuses the OAuth client; check GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET"
                    }
                    RenewalFailure::WebhookUrlRejected => {
                        "Google refuses the address of google-calendar-webhook; it must be public and HTTPS"
                    }
                    RenewalFailure::GoogleApiDisabled => {
                        "the Google Calendar API is not enabled in the Google Cloud project"
                    }
                    RenewalFailure::GoogleUnavailable => "Google did not answer; try again",
                    RenewalFailure::GoogleRateLimited => {
                        "Google limits the rate of requests; try again later"
                    }
                    RenewalFailure::GoogleRejected => "Google refused to open a channel",
                    RenewalFailure::DatabaseUnavailable => "the database did not answer; try again",
                },
            },
        };
        message.to_owned()
    }

    pub(crate) fn answer(&self) -> Answer {
        let headers = match self {
            Self::MethodNotAllowed(Function::GoogleCalendarWebhook) => vec![("allow", "POST".to_owned())],
            Self::MethodNotAllowed(_) => vec![("allow", "POST, OPTIONS".to_owned())],
            Self::Refused(Refusal::TooSoon { retry_after }) => {
                vec![("retry-after", retry_after.as_millis().div_ceil(1000).to_string())]
            }
            _ => Vec::new(),
        };
        let error = object(&[("code", self.code().into()), ("message", self.message().into())]);
        Answer { status: self.status(), headers, body: Some(object(&[("error", Field::Json(error))])) }
    }
}
