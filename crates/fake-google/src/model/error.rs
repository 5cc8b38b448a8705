//! Errors in the words of Google: the API's, and OAuth's.

use serde_json::{Value, json};

/// An error of the Calendar API.
/// <https://developers.google.com/workspace/calendar/api/guides/errors>
#[derive(Debug)]
pub(crate) struct ApiError {
    status: u16,
    reason: String,
    message: String,
}

impl ApiError {
    pub(crate) fn new(status: u16, reason: &str, message: impl Into<String>) -> Self {
        Self { status, reason: reason.to_owned(), message: message.into() }
    }

    /// A 400 that says what is wrong with one value of the request.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid", message)
    }

    /// What the real one can do and this one cannot.
    pub(crate) fn beyond(what: &str) -> Self {
        Self::invalid(lacks(what))
    }

    /// The documented error of this reason, with its usual status and message.
    pub(crate) fn of(reason: &str) -> Self {
        let (status, message) = documented(reason).unwrap_or((500, reason));
        Self::new(status, reason, message)
    }

    /// The documented error of this status, and of this reason if one is given.
    pub(crate) fn of_status(status: u16, reason: Option<&str>) -> Self {
        let reason = reason.unwrap_or(match status {
            401 => "authError",
            403 => "forbidden",
            404 => "notFound",
            405 => "httpMethodNotAllowed",
            409 => "duplicate",
            410 => "deleted",
            412 => "conditionNotMet",
            429 => "rateLimitExceeded",
            500.. => "backendError",
            _ => "badRequest",
        });
        Self { status, ..Self::of(reason) }
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn body(&self) -> Value {
        let mut detail = json!({"domain": self.domain(), "reason": self.reason, "message": self.message});
        if let (Some((kind, place)), Some(detail)) = (self.location(), detail.as_object_mut()) {
            detail.insert("location".to_owned(), place.into());
            detail.insert("locationType".to_owned(), kind.into());
        }
        let mut error = json!({"code": self.status, "message": self.message, "errors": [detail]});
        if let (Some(status), Some(error)) = (self.canonical_status(), error.as_object_mut()) {
            error.insert("status".to_owned(), status.into());
        }
        json!({"error": error})
    }

    fn domain(&self) -> &'static str {
        match self.reason.as_str() {
            "accessNotConfigured"
            | "dailyLimitExceeded"
            | "quotaExceeded"
            | "rateLimitExceeded"
            | "userRateLimitExceeded" => "usageLimits",
            "forbiddenForNonOrganizer" | "notACalendarUser" | "requiredAccessLevel" | "timeRangeEmpty" => {
                "calendar"
            }
            _ => "global",
        }
    }

    /// Where in the request the fault lies: location type and location.
    fn location(&self) -> Option<(&'static str, &'static str)> {
        match (self.reason.as_str(), self.status) {
            ("authError", _) | ("required", 401) => Some(("header", "Authorization")),
            ("conditionNotMet", _) => Some(("header", "If-Match")),
            ("timeRangeEmpty", _) => Some(("parameter", "timeMax")),
            _ => None,
        }
    }

    /// Only errors that Google's front end finds, before the Calendar service is asked, carry one.
    fn canonical_status(&self) -> Option<&'static str> {
        match (self.reason.as_str(), self.status) {
            ("authError", _) | ("required", 401) => Some("UNAUTHENTICATED"),
            ("insufficientPermissions" | "accessNotConfigured", _) => Some("PERMISSION_DENIED"),
            _ => None,
        }
    }
}

fn documented(reason: &str) -> Option<(u16, &'static str)> {
    Some(match reason {
        "accessNotConfigured" => (
            403,
            "Google Calendar API has not been used in project 1 before or it is disabled. Enable it, then retry.",
        ),
        "authError" => (401, "Invalid Credentials"),
        "backendError" => (503, "Backend Error"),
        "badRequest" => (400, "Bad Request"),
        "channelIdNotUnique" => (400, "Channel id not unique"),
        "conditionNotMet" => (412, "Precondition Failed"),
        "dailyLimitExceeded" => (403, "Daily Limit Exceeded"),
        "deleted" => (410, "Resource has been deleted"),
        "duplicate" => (409, "The requested identifier already exists."),
        "forbidden" => (403, "Forbidden"),
        "forbiddenForNonOrganizer" => {
            (403, "Shared properties can only be changed by the organizer of the event.")
        }
        "httpMethodNotAllowed" => (405, "Method Not Allowed"),
        "insufficientPermissions" => (403, "Request had insufficient authentication scopes."),
        "notACalendarUser" => (403, "The user must be signed up for Google Calendar."),
        "notFound" => (404, "Not Found"),
        "parseError" => (400, "Parse Error"),
        "push.webhookUrlNotHttps" => (400, "WebHook callback must be HTTPS"),
        "push.webhookUrlUnauthorized" => (401, "Unauthorized WebHook callback channel"),
        "pushNotSupportedForRequestedResource" => {
            (400, "Push notifications are not supported by this resource.")
        }
        "quotaExceeded" => (403, "Calendar usage limits exceeded."),
        "rateLimitExceeded" => (403, "Rate Limit Exceeded"),
        "requiredAccessLevel" => (403, "You need to have writer access to this calendar."),
        "timeRangeEmpty" => (400, "The specified time range is empty."),
        "userRateLimitExceeded" => (403, "User Rate Limit Exceeded"),
        _ => return None,
    })
}

/// An error of the token endpoint (RFC 6749, section 5.2).
#[derive(Debug)]
pub(crate) struct OAuthError {
    status: u16,
    error: String,
    description: String,
}

impl OAuthError {
    pub(crate) fn new(status: u16, error: &str, description: impl Into<String>) -> Self {
        Self { status, error: error.to_owned(), description: description.into() }
    }

    /// The usual error of this status, or the named one.
    pub(crate) fn of_status(status: u16, error: Option<&str>) -> Self {
        let error = error.unwrap_or(match status {
            401 => "invalid_client",
            429 => "rate_limit_exceeded",
            500.. => "internal_failure",
            _ => "invalid_grant",
        });
        let description = match error {
            "invalid_grant" => "Token has been expired or revoked.",
            "invalid_client" => "The OAuth client was not found.",
            "internal_failure" => "Internal error. Try again later.",
            _ => "Bad Request",
        };
        Self::new(status, error, description)
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn body(&self) -> Value {
        json!({"error": self.error, "error_description": self.description})
    }
}

/// Tells on standard error what this Google cannot do, for an app may hide what it is answered.
#[allow(clippy::disallowed_macros, reason = "a stand-in on somebody's own machine")]
pub(crate) fn lacks(what: &str) -> String {
    let message = format!("fake-google {what}");
    eprintln!("{message}");
    message
}
