//! What can be wrong, as the functions' error codes and `webhook_error` name it, and who can mend it.

use crate::connection::named;
use crate::texts::Text;

named! {
    Problem {
        ReconnectRequired = "reconnect_required",
        PermissionMissing = "permission_missing",
        BlockedByPolicy = "blocked_by_policy",
        NoCalendar = "no_calendar",
        PushNotSupported = "push_not_supported",
        CalendarNotFound = "calendar_not_found",
        NoConnection = "no_connection",
        Paused = "paused",
        Disconnected = "disconnected",
        TooSoon = "too_soon",
        Unauthenticated = "unauthenticated",
        Misconfigured = "misconfigured",
        OauthClientInvalid = "oauth_client_invalid",
        WebhookUrlRejected = "webhook_url_rejected",
        GoogleApiDisabled = "google_api_disabled",
        GoogleUnavailable = "google_unavailable",
        GoogleRateLimited = "google_rate_limited",
        GoogleRejected = "google_rejected",
        DatabaseRefused = "database_refused",
        // Told by a row that was not looked at.
        Unchecked = "unchecked",
        // What became of a request that was not answered.
        Offline = "offline",
        Unreachable = "unreachable",
        NotInstalled = "not_installed",
        Server = "server_error",
    }
}

/// Who can mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    User,
    Operator,
    /// It passes, or is retried, by itself.
    Nobody,
}

/// A request that did not succeed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) problem: Problem,
    /// The seconds of `Retry-After`.
    pub(crate) retry_after: Option<f64>,
}

impl Failure {
    /// Of an answer that is an error; status 0 stands for no answer.
    pub(crate) fn of_answer(status: u16, code: Option<&str>, retry_after: Option<f64>) -> Self {
        let problem = match (status, code.and_then(Problem::parse)) {
            (0, _) => Problem::Unreachable,
            (_, Some(named)) => named,
            (401, None) => Problem::Unauthenticated,
            (429, None) => Problem::TooSoon,
            (400..=499, None) => Problem::NotInstalled,
            (_, None) => Problem::Server,
        };
        Self { problem, retry_after }
    }

    /// Whether the browser is online tells why nothing could be reached.
    pub(crate) fn explained(self, is_online: bool) -> Self {
        match self.problem {
            Problem::Unreachable if !is_online => Self { problem: Problem::Offline, ..self },
            _ => self,
        }
    }

    pub(crate) const fn unreachable() -> Self {
        Self { problem: Problem::Unreachable, retry_after: None }
    }
}

impl Problem {
    pub(crate) const fn who(self) -> Who {
        match self {
            Self::ReconnectRequired
            | Self::PermissionMissing
            // By asking an administrator.
            | Self::BlockedByPolicy
            | Self::NoCalendar
            | Self::PushNotSupported
            | Self::CalendarNotFound
            | Self::NoConnection
            | Self::Paused
            | Self::Disconnected
            | Self::Unauthenticated => Who::User,
            Self::Misconfigured
            | Self::OauthClientInvalid
            | Self::WebhookUrlRejected
            | Self::GoogleApiDisabled
            | Self::DatabaseRefused
            | Self::Unchecked
            | Self::NotInstalled => Who::Operator,
            Self::TooSoon
            | Self::GoogleUnavailable
            | Self::GoogleRateLimited
            | Self::GoogleRejected
            | Self::Offline
            | Self::Unreachable
            | Self::Server => Who::Nobody,
        }
    }

    pub(crate) const fn text(self) -> Text {
        match self {
            Self::ReconnectRequired => Text::ReconnectRequired,
            Self::PermissionMissing => Text::PermissionMissing,
            Self::BlockedByPolicy => Text::BlockedByPolicy,
            Self::NoCalendar => Text::NoCalendar,
            Self::PushNotSupported => Text::PushNotSupported,
            Self::CalendarNotFound => Text::CalendarNotFound,
            Self::NoConnection => Text::NoConnection,
            Self::Paused => Text::Paused,
            Self::Disconnected => Text::Disconnected,
            Self::TooSoon => Text::TooSoon,
            Self::Unauthenticated => Text::Unauthenticated,
            Self::Misconfigured => Text::Misconfigured,
            Self::OauthClientInvalid => Text::OauthClientInvalid,
            Self::WebhookUrlRejected => Text::WebhookUrlRejected,
            Self::GoogleApiDisabled => Text::GoogleApiDisabled,
            Self::GoogleUnavailable => Text::GoogleUnavailable,
            Self::GoogleRateLimited => Text::GoogleRateLimited,
            Self::GoogleRejected => Text::GoogleRejected,
            Self::DatabaseRefused => Text::DatabaseRefused,
            Self::Unchecked => Text::Unchecked,
            Self::Offline => Text::Offline,
            Self::Unreachable => Text::Unreachable,
            Self::NotInstalled => Text::NotInstalled,
            Self::Server => Text::ServerError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_judged_by_its_code_first_and_by_its_status_second() {
        for (status, code, problem) in [
            (0, None, Problem::Unreachable),
            (401, Some("unauthenticated"), Problem::Unauthenticated),
            (401, Some("PGRST301"), Problem::Unauthenticated),
            (404, Some("no_connection"), Problem::NoConnection),
            (404, Some("PGRST205"), Problem::NotInstalled),
            (404, None, Problem::NotInstalled),
            (403, Some("42501"), Problem::NotInstalled),
            (409, Some("reconnect_required"), Problem::ReconnectRequired),
            (409, Some("permission_missing"), Problem::PermissionMissing),
            (409, Some("blocked_by_policy"), Problem::BlockedByPolicy),
            (422, Some("no_calendar"), Problem::NoCalendar),
            (429, Some("too_soon"), Problem::TooSoon),
            (429, None, Problem::TooSoon),
            (500, Some("oauth_client_invalid"), Problem::OauthClientInvalid),
            (500, Some("internal"), Problem::Server),
            (502, Some("google_rate_limited"), Problem::GoogleRateLimited),
            (503, Some("database_unavailable"), Problem::Server),
            (503, Some("database_refused"), Problem::DatabaseRefused),
            (503, None, Problem::Server),
            (546, None, Problem::Server),
        ] {
            let failure = Failure::of_answer(status, code, Some(7.0));
            assert_eq!(failure.problem, problem, "{status} {code:?}");
            assert_eq!(failure.retry_after, Some(7.0));
        }
    }

    #[test]
    fn what_passes_by_itself_is_nobodys_to_mend() {
        for (problem, who) in [
            (Problem::GoogleRateLimited, Who::Nobody),
            (Problem::GoogleUnavailable, Who::Nobody),
            (Problem::GoogleRejected, Who::Nobody),
            (Problem::DatabaseRefused, Who::Operator),
            (Problem::GoogleApiDisabled, Who::Operator),
            (Problem::BlockedByPolicy, Who::User),
        ] {
            assert_eq!(problem.who(), who, "{problem:?}");
        }
    }

    #[test]
    fn nothing_is_reached_while_the_browser_is_offline() {
        assert_eq!(Failure::unreachable().explained(false).problem, Problem::Offline);
        assert_eq!(Failure::unreachable().explained(true).problem, Problem::Unreachable);
        assert_eq!(Failure::of_answer(503, None, None).explained(false).problem, Problem::Server);
    }
}
