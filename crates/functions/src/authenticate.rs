//! Who calls: a service by a secret key, a user by a JWT that Auth accepts, or nobody.

use adapters::configuration::SecretKey;
use adapters::deployment::{Deployment, Platform};
use adapters::supabase::UserFailure;
use protocol::connection::UserId;
use serde_json::Value as Json;
use subtle::ConstantTimeEq;

use crate::incoming::Incoming;
use crate::problem::Problem;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Service,
    User(UserId),
}

const LONGEST_JWT: usize = 8 * 1024;

pub(crate) async fn authenticate<P: Platform>(
    deployment: &Deployment<P>,
    incoming: &impl Incoming,
) -> Result<Caller, Problem> {
    let authorization = incoming.header("authorization");
    let bearer = authorization.as_deref().and_then(bearer_token);
    let api_key = incoming.header("apikey");
    let keys = &deployment.configuration().service_keys;
    if [api_key.as_deref(), bearer].into_iter().flatten().any(|given| is_service_key(keys, given)) {
        return Ok(Caller::Service);
    }
    if [api_key.as_deref(), bearer].into_iter().flatten().any(looks_secret) {
        return Err(Problem::Unauthenticated(
            "this secret key is none of this project's keys, or the function does not know it yet",
        ));
    }
    let Some(jwt) = bearer.filter(|token| is_jwt(token)) else {
        return Err(Problem::Unauthenticated("sign in first: Authorization holds no user's JWT"));
    };
    match deployment.user(jwt).await {
        Ok(user) => Ok(Caller::User(user)),
        Err(UserFailure::Unauthenticated) => {
            Err(Problem::Unauthenticated("sign in again: this project does not accept the JWT"))
        }
        Err(UserFailure::Unavailable) => Err(Problem::AuthUnavailable),
    }
}

/// Compares with every key in constant time.
fn is_service_key(keys: &[SecretKey], given: &str) -> bool {
    keys.iter().fold(false, |known, key| known | bool::from(key.expose().as_bytes().ct_eq(given.as_bytes())))
}

fn bearer_token(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

/// Whether it has a JWT's form, so that Auth is not asked about publishable keys and nonsense.
fn is_jwt(token: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    token.len() <= LONGEST_JWT && token.split('.').count() == 3 && token.split('.').all(is_part)
}

/// Whether it would be a service's if the project had it: a secret key of the current kind, or a legacy one, which is
/// a JWT that says so.
fn looks_secret(given: &str) -> bool {
    let says_so = || {
        let payload = given.split('.').nth(1).map(decode_base64url).unwrap_or_default();
        let claims: Json = serde_json::from_slice(&payload).unwrap_or_default();
        claims.get("role").is_some_and(|role| role == "service_role")
    };
    given.starts_with("sb_secret_") || is_jwt(given) && says_so()
}

/// What is no base64url decodes to nonsense.
fn decode_base64url(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'-' => 62,
        _ => 63,
    };
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0_u32, 0);
    for byte in text.bytes() {
        bits = bits << 6 | u32::from(digit(byte));
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use adapters::configuration::{Configuration, Environment};

    use super::*;

    #[test]
    fn a_key_is_known_though_both_variables_hold_it() {
        let environment = Environment::from([
            ("SUPABASE_URL", "https://ref.supabase.co"),
            ("SUPABASE_SERVICE_ROLE_KEY", "sb_secret_a"),
            ("SUPABASE_SECRET_KEYS", r#"{"default":"sb_secret_a","cron":"sb_secret_b"}"#),
            ("GOOGLE_CLIENT_ID", "id"),
            ("GOOGLE_CLIENT_SECRET", "secret"),
        ]);
        let keys = Configuration::parse(&environment).unwrap().service_keys;
        for (given, is_known) in [
            ("sb_secret_a", true),
            ("sb_secret_b", true),
            ("sb_secret_", false),
            ("sb_secret_aa", false),
            ("", false),
        ] {
            assert_eq!(is_service_key(&keys, given), is_known, "{given}");
        }
    }

    #[test]
    fn only_three_parts_of_base64url_are_a_jwt() {
        assert!(is_jwt("eyJh.eyJz.c2ln-_"));
        for token in
            ["", "sb_publishable_x", "a.b", "a.b.c.d", "a..c", "a.b.c\n", "a.b.c=", &"a".repeat(9000)]
        {
            assert!(!is_jwt(token), "{token}");
        }
    }

    #[test]
    fn what_looks_like_a_secret_key_is_told_from_a_users_jwt() {
        for (given, is_secret) in [
            ("sb_secret_old", true),
            // {"role":"service_role"},
            // {"iss":"supabase","ref":"abcdefghijklmnopqrst","role":"service_role","sub":"a?b~>"}
            ("eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.c2lnbmF0dXJl", true),
            (
                "eyJh.eyJpc3MiOiJzdXBhYmFzZSIsInJlZiI6ImFiY2RlZmdoaWprbG1ub3BxcnN0Iiwicm9sZSI6InNlcnZpY2Vfcm9sZSIsInN1YiI6ImE_YmI-In0.c2ln",
                true,
            ),
            // {"role":"authenticated"}, no JSON
            ("eyJh.eyJyb2xlIjoiYXV0aGVudGljYXRlZCJ9.c2ln", false),
            ("eyJh.eyJz.c2ln-_", false),
            ("sb_publishable_x", false),
            ("", false),
        ] {
            assert_eq!(looks_secret(given), is_secret, "{given}");
        }
    }

    #[test]
    fn the_bearer_scheme_is_not_case_sensitive() {
        assert_eq!(bearer_token("bearer x"), Some("x"));
        assert_eq!(bearer_token("Basic x"), None);
        assert_eq!(bearer_token("Bearer"), None);
    }
}
