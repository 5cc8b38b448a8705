//! What servers answer, and why they do not.

use adapters::http::HttpResponse;
use chrono::{DateTime, TimeDelta, Utc};

/// In bytes. The largest answer is PostgREST's description of a database.
pub const LONGEST_BODY: u64 = 16 << 20;
pub const USER_AGENT: &str = "calendar-webhooks-doctor";

/// An answer, and what its server takes for the time.
#[derive(Clone)]
pub struct Answer {
    pub response: HttpResponse,
    pub date: Option<DateTime<Utc>>,
    /// Where it sends its caller instead.
    pub location: Option<String>,
    /// The middle of the time that the call took, by the clock of this machine.
    pub at: DateTime<Utc>,
}

impl Answer {
    /// `date` and `location` are the headers of these names; the call took from `before` to `after`.
    pub fn new(
        (status, body): (u16, String),
        date: Option<&str>,
        location: Option<&str>,
        (before, after): (DateTime<Utc>, DateTime<Utc>),
    ) -> Self {
        Self {
            response: HttpResponse { status, body, ..HttpResponse::default() },
            date: date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()).map(|date| date.to_utc()),
            location: location.map(str::to_owned),
            at: before + (after - before).max(TimeDelta::zero()) / 2,
        }
    }

    pub fn status(&self) -> u16 {
        self.response.status
    }

    /// Whether something that stands before the project refuses in its place.
    pub fn is_barred(&self) -> bool {
        is_barred(self.status(), &self.response.body)
    }

    /// The body; null where it is no JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.response.body).unwrap_or_default()
    }
}

/// A CDN, a firewall or maintenance says so by a page for people. That of a wrong address is a 404, and that of a gateway
/// whose server fails another 5xx.
pub fn is_barred(status: u16, body: &str) -> bool {
    matches!(status, 403 | 429 | 503) && body.trim_start().starts_with('<')
}

/// Why there is no answer. Never a library's own text, which may quote what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    NoSuchHost,
    Refused,
    NotTrusted,
    TimedOut,
    Broken,
}

impl Silence {
    pub const ALL: [Self; 5] =
        [Self::NoSuchHost, Self::Refused, Self::NotTrusted, Self::TimedOut, Self::Broken];

    pub const fn code(self) -> &'static str {
        match self {
            Self::NoSuchHost => "no_such_host",
            Self::Refused => "connection_refused",
            Self::NotTrusted => "tls_failed",
            Self::TimedOut => "timed_out",
            Self::Broken => "connection_broken",
        }
    }

    pub const fn text(self) -> &'static str {
        match self {
            Self::NoSuchHost => "its name does not resolve",
            Self::Refused => "it refuses connections",
            Self::NotTrusted => "no TLS connection to it can be made, or its certificate is not valid",
            Self::TimedOut => "it did not answer in time",
            Self::Broken => "the connection broke",
        }
    }
}

pub type Reply = Result<Answer, Silence>;
