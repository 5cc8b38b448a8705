//! Failures on demand.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::error::{ApiError, OAuthError};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operation {
    Watch,
    Stop,
    Token,
    Revoke,
    /// `events.list`.
    List,
    /// In faults: `list` too.
    Events,
    /// In faults: all of the above.
    Any,
}

impl Operation {
    pub(crate) fn of_request(method: &str, path: &str) -> Self {
        match path {
            "/token" => Self::Token,
            "/revoke" => Self::Revoke,
            _ if path.ends_with("/channels/stop") => Self::Stop,
            _ if path.ends_with("/events/watch") => Self::Watch,
            _ if path.ends_with("/events") && method == "GET" => Self::List,
            _ => Self::Events,
        }
    }

    /// Whether a fault of this operation is one of `other` too.
    fn includes(self, other: Self) -> bool {
        self == Self::Any || self == other || (self == Self::Events && other == Self::List)
    }
}

/// What the next matching calls suffer.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    operation: Operation,
    email: Option<String>,
    /// `None`: the call is only slow.
    status: Option<u16>,
    reason: Option<String>,
    body: Option<Value>,
    /// The header of that name, of the answer that a status makes.
    pub(crate) retry_after: Option<String>,
    /// `None`: until cleared.
    #[serde(default = "once")]
    times: Option<u32>,
    #[serde(default)]
    delay_ms: u64,
    /// Whether the work is done first.
    #[serde(default)]
    pub(crate) after: bool,
}

fn once() -> Option<u32> {
    Some(1)
}

impl Fault {
    /// What makes no sense, in words.
    pub(crate) fn objection(&self) -> Option<&'static str> {
        match self.status {
            Some(1..200 | 600..) => Some("status must be 0 (cut the connection) or from 200 to 599"),
            None if self.delay_ms == 0 => Some("a fault needs a status or a delay_ms"),
            None if self.reason.is_some() || self.body.is_some() => {
                Some("reason and body need a status: without one the call is only slow")
            }
            _ if self.times == Some(0) => Some("times must be at least 1, or null for until cleared"),
            _ => None,
        }
    }

    pub(crate) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms)
    }

    /// What is answered instead.
    pub(crate) fn verdict(&self, operation: Operation) -> Verdict {
        let Some(status) = self.status else { return Verdict::Pass };
        let reason = self.reason.as_deref();
        Verdict::Answer(match (&self.body, operation) {
            _ if status == 0 => return Verdict::Cut,
            (Some(Value::String(text)), _) => Instead::Html(status, text.clone()),
            (Some(body), _) => Instead::Json(status, body.clone()),
            (None, Operation::Token | Operation::Revoke) => {
                Instead::OAuth(OAuthError::of_status(status, reason))
            }
            (None, _) => Instead::Api(ApiError::of_status(status, reason)),
        })
    }
}

pub(crate) enum Verdict {
    Pass,
    Cut,
    Answer(Instead),
}

/// What is answered in place of the truth, with a status where it does not know its own.
pub(crate) enum Instead {
    Api(ApiError),
    OAuth(OAuthError),
    Json(u16, Value),
    Html(u16, String),
}

/// The first fault that this call meets; it is used up by that.
pub(crate) fn take(faults: &mut Vec<Fault>, operation: Operation, email: Option<&str>) -> Option<Fault> {
    let position = faults.iter().position(|fault| {
        fault.operation.includes(operation) && (fault.email.is_none() || fault.email.as_deref() == email)
    })?;
    let fault = faults.get_mut(position)?;
    let taken = fault.clone();
    match fault.times.as_mut() {
        Some(1) => drop(faults.remove(position)),
        Some(times) => *times -= 1,
        None => {}
    }
    Some(taken)
}
