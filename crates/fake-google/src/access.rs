//! Who calls the API, and what they may do.

use axum::http::{HeaderMap, header};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::errors::ApiError;
use crate::state::{State, now};

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

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Read,
    Write,
}

pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl State {
    /// A new consent. → its refresh token.
    pub(crate) fn grant(&mut self, grant: Grant) -> String {
        let refresh_token = format!("1//0fake-{}", Uuid::new_v4().simple());
        self.grants.insert(refresh_token.clone(), grant);
        refresh_token
    }

    /// A new access token of this consent, and the seconds it is valid.
    pub(crate) fn issue_access_token(&mut self, refresh_token: &str, grant: &Grant) -> (String, u32) {
        let seconds = self.account(&grant.email).access_token_seconds;
        let token = format!("ya29.fake-{}", Uuid::new_v4().simple());
        let issued = AccessToken {
            grant: grant.clone(),
            refresh_token: refresh_token.to_owned(),
            expires_at: now() + TimeDelta::seconds(seconds.into()),
        };
        self.access_tokens.insert(token.clone(), issued);
        (token, seconds)
    }

    /// The grant behind the request's access token, if that is valid and its scopes suffice.
    pub(crate) fn caller(&self, headers: &HeaderMap, need: Need) -> Result<Grant, ApiError> {
        let token = bearer(headers).ok_or_else(|| ApiError::new(401, "required", "Login Required."))?;
        let token = self.access_tokens.get(token).filter(|token| token.expires_at > now());
        let grant = &token.ok_or_else(|| ApiError::of("authError"))?.grant;
        if grant.scope.split_whitespace().any(|scope| suffices(scope, need)) {
            Ok(grant.clone())
        } else {
            Err(ApiError::of("insufficientPermissions"))
        }
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
