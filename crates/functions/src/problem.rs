//! Everything that can be wrong with a request: the one map from error code to HTTP status and message.

use adapters::configuration::Misconfigured;
use adapters::json::{Field, object};
use protocol::failure::{DatabaseUnavailable, Mender, RenewalFailure};
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
    DatabaseRefused,
    AnotherProject,
    Refused(Refusal),
}

impl From<DatabaseUnavailable> for Problem {
    fn from(unavailable: DatabaseUnavailable) -> Self {
        Self::Refused(Refusal::Failed(unavailable.into()))
    }
}

impl Problem {
    /// Why the database did not do it.
    #[must_use]
    pub(crate) fn because(self, database_refused: bool) -> Self {
        match self {
            Self::Refused(Refusal::Failed(RenewalFailure::DatabaseUnavailable)) if database_refused => {
                Self::DatabaseRefused
            }
            problem => problem,
        }
    }

    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::Unauthenticated(_) => "unauthenticated",
            Self::UnknownChannel => "unknown_channel",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::Misconfigured(_) => "misconfigured",
            Self::AuthUnavailable => "auth_unavailable",
            Self::DatabaseRefused => "database_refused",
            Self::AnotherProject => "another_project",
            Self::Refused(refusal) => match refusal {
                Refusal::NoConnection => "no_connection",
                Refusal::Paused => "paused",
                Refusal::Disconnected => "disconnected",
                Refusal::TooSoon { .. } => "too_soon",
                Refusal::Failed(failure) => failure.code(),
            },
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::InvalidRequest(_) => 400,
            Self::Unauthenticated(_) => 401,
            Self::UnknownChannel => 404,
            Self::MethodNotAllowed(_) => 405,
            Self::AnotherProject => 409,
            Self::Misconfigured(_) => 500,
            Self::AuthUnavailable | Self::DatabaseRefused => 503,
            Self::Refused(refusal) => match refusal {
                Refusal::NoConnection => 404,
                Refusal::Paused | Refusal::Disconnected => 409,
                Refusal::TooSoon { .. } => 429,
                Refusal::Failed(failure) => match (failure, failure.mender()) {
                    (RenewalFailure::DatabaseUnavailable, _) => 503,
                    (failure, _) if failure.is_consent_dead() => 409,
                    (_, Mender::User | Mender::Administrator) => 422,
                    // Never the user's fault.
                    (_, Mender::Operator) => 500,
                    (_, Mender::Nobody) => 502,
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
            Self::DatabaseRefused => {
                "the database refuses what this function asks of it; the function's log and the doctor say why"
            }
            Self::AnotherProject => {
                "another database asks for this sweep, as a copy of this project's does: schedule sweeps there with the \
                 address and key of that project"
            }
            Self::Refused(refusal) => match refusal {
                Refusal::NoConnection => "there is no such Google calendar connection",
                Refusal::Paused => "syncing is paused; resume it first",
                Refusal::Disconnected => "the calendar is disconnected; connect it again",
                Refusal::TooSoon { .. } => "the channel was renewed, or is being renewed; try again later",
                Refusal::Failed(failure) => match failure {
                    RenewalFailure::ReconnectRequired => {
                        "Google no longer accepts this consent, or there is no refresh token; the user must connect the \
                         calendar again"
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
                    RenewalFailure::PushNotSupported => {
                        "Google sends no notifications for this calendar: it is looked at every 15 minutes"
                    }
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
                        "Google does not let the app's Google Cloud project use the Google Calendar API"
                    }
                    RenewalFailure::GoogleUnavailable => {
                        "Google did not answer, or is out of order; try again"
                    }
                    RenewalFailure::GoogleRateLimited => {
                        "Google limits the rate of requests; try again later"
                    }
                    RenewalFailure::GoogleRejected => {
                        "Google refused for a reason that is not known; it is tried again, ever less often"
                    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_who_can_mend_a_failure_and_is_the_one_in_the_readme() {
        use RenewalFailure as Failure;
        let readme = include_str!("../../../supabase/README.md");
        for (failure, status) in [
            (Failure::ReconnectRequired, 409),
            (Failure::PermissionMissing, 409),
            (Failure::BlockedByPolicy, 409),
            (Failure::NoCalendar, 422),
            (Failure::PushNotSupported, 422),
            (Failure::CalendarNotFound, 422),
            (Failure::OauthClientInvalid, 500),
            (Failure::WebhookUrlRejected, 500),
            (Failure::GoogleApiDisabled, 500),
            (Failure::GoogleUnavailable, 502),
            (Failure::GoogleRateLimited, 502),
            (Failure::GoogleRejected, 502),
            (Failure::DatabaseUnavailable, 503),
        ] {
            let answer = Problem::Refused(Refusal::Failed(failure)).answer();
            assert_eq!(answer.status, status, "{failure:?}");
            assert!(answer.body.unwrap().contains(failure.code()), "{failure:?}");
            let (row, code) = (format!("| {status} | "), format!("`{}`", failure.code()));
            assert!(readme.lines().any(|line| line.starts_with(&row) && line.contains(&code)), "{failure:?}");
        }
    }
}
