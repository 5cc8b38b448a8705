//! Who has consented to what: accounts, grants, tokens.

use chrono::{DateTime, Utc};

pub(crate) const CALENDAR_SCOPE: &str = "https://www.googleapis.com/auth/calendar";

/// One consent of one account to one OAuth client.
#[derive(Clone)]
pub(crate) struct Grant {
    pub(crate) email: String,
    pub(crate) client_id: String,
    /// As in an OAuth request: separated by spaces.
    pub(crate) scope: String,
}

pub(crate) struct AccessToken {
    pub(crate) grant: Grant,
    /// The key of the grant, so that revoking either revokes both.
    pub(crate) refresh_token: String,
    pub(crate) expires_at: DateTime<Utc>,
}

/// What a consent is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Read,
    Write,
}

impl Grant {
    pub(crate) fn permits(&self, need: Need) -> bool {
        self.scope.split_whitespace().any(|scope| suffices(scope, need))
    }
}

/// The scopes that Google lists for the `events` methods and for `channels.stop`.
fn suffices(scope: &str, need: Need) -> bool {
    match scope.strip_prefix(CALENDAR_SCOPE) {
        Some("" | ".events" | ".events.owned") => true,
        Some(".readonly" | ".events.readonly" | ".events.owned.readonly") => need == Need::Read,
        _ => false,
    }
}

/// How tokens are issued to one account.
pub(crate) struct Account {
    pub(crate) access_token_seconds: u32,
    pub(crate) rotate_refresh_tokens: bool,
}

impl Default for Account {
    fn default() -> Self {
        Self { access_token_seconds: 3599, rotate_refresh_tokens: false }
    }
}

pub(crate) struct AuthorizationCode {
    pub(crate) grant: Grant,
    pub(crate) redirect_uri: String,
    /// Whether a refresh token was asked for (`access_type=offline`).
    pub(crate) offline: bool,
    pub(crate) expires_at: DateTime<Utc>,
}
