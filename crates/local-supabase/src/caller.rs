//! Who a request to REST or Auth comes from, judged by its keys as Supabase's gateway does.

use crate::keys::{ApiKeys, Role};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// What the API key stands for.
    pub role: Role,
    /// Whether `Authorization` holds a token of its own, which outranks the key.
    pub has_token: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoKey,
    InvalidKey,
    /// An `sb_…` key as bearer token: those are not JSON Web Tokens, and only tolerated beside themselves.
    InvalidToken,
}

impl Refusal {
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::NoKey => "No API key found in request",
            Self::InvalidKey => "Invalid API key",
            Self::InvalidToken => "Invalid JWT",
        }
    }
}

pub(crate) fn identify(
    keys: &ApiKeys,
    apikey: Option<&str>,
    authorization: Option<&str>,
) -> Result<Caller, Refusal> {
    let apikey = apikey.filter(|key| !key.is_empty()).ok_or(Refusal::NoKey)?;
    let role = keys.role_of(apikey).ok_or(Refusal::InvalidKey)?;
    let Some(authorization) = authorization else { return Ok(Caller { role, has_token: false }) };
    let token = bearer(authorization).unwrap_or(authorization);
    if token == apikey {
        return Ok(Caller { role, has_token: false });
    }
    if token.starts_with("sb_") {
        return Err(Refusal::InvalidToken);
    }
    match keys.role_of(token) {
        Some(role) => Ok(Caller { role, has_token: false }),
        None => Ok(Caller { role, has_token: true }),
    }
}

/// The token of an `Authorization: Bearer …` header.
pub(crate) fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_judged_as_supabase_judges_them() {
        let keys = ApiKeys::local().unwrap();
        let key = |role| Ok(Caller { role, has_token: false });
        let user = |role| Ok(Caller { role, has_token: true });
        let (publishable, secret) = (keys.publishable.as_str(), keys.secret.as_str());
        let (anon, service) = (keys.legacy_anon.as_str(), keys.legacy_service_role.as_str());
        for (apikey, token, expected) in [
            (None, None, Err(Refusal::NoKey)),
            (Some(""), None, Err(Refusal::NoKey)),
            (None, Some(secret), Err(Refusal::NoKey)),
            (None, Some(service), Err(Refusal::NoKey)),
            (Some("sb_secret_other"), None, Err(Refusal::InvalidKey)),
            (Some("sb_secret_other"), Some(secret), Err(Refusal::InvalidKey)),
            (Some(publishable), None, key(Role::Anon)),
            (Some(anon), None, key(Role::Anon)),
            (Some(secret), None, key(Role::ServiceRole)),
            (Some(service), None, key(Role::ServiceRole)),
            (Some(publishable), Some(publishable), key(Role::Anon)),
            (Some(secret), Some(secret), key(Role::ServiceRole)),
            (Some(service), Some(service), key(Role::ServiceRole)),
            (Some(publishable), Some(secret), Err(Refusal::InvalidToken)),
            (Some(publishable), Some("sb_secret_other"), Err(Refusal::InvalidToken)),
            (Some(anon), Some(service), key(Role::ServiceRole)),
            (Some(publishable), Some("a user's token"), user(Role::Anon)),
            (Some(secret), Some("a user's token"), user(Role::ServiceRole)),
        ] {
            let authorization = token.map(|token| format!("Bearer {token}"));
            assert_eq!(identify(&keys, apikey, authorization.as_deref()), expected, "{apikey:?} {token:?}");
        }
    }

    #[test]
    fn the_bearer_scheme_is_recognised_in_any_case() {
        assert_eq!(bearer("bearer x"), Some("x"));
        assert_eq!(bearer("BEARER x "), Some("x"));
        assert_eq!(bearer("Basic x"), None);
        assert_eq!(bearer("x"), None);
    }
}
