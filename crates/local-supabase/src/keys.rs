//! The API keys of the local project, and the JSON Web Tokens that stand for its roles.

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// A database role that a key, rather than a signed-in user, acts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Anon,
    ServiceRole,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Anon => "anon",
            Self::ServiceRole => "service_role",
        }
    }
}

/// Both generations of Supabase's keys: every one of them is accepted at any time.
#[derive(Clone)]
pub struct ApiKeys {
    pub publishable: String,
    pub secret: String,
    pub legacy_anon: String,
    pub legacy_service_role: String,
    pub jwt_secret: String,
}

impl ApiKeys {
    /// The same keys at every start, so that a frontend's configuration stays valid. They protect nothing:
    /// everything listens on the loopback interface only.
    pub fn local() -> Result<Self> {
        let jwt_secret = "local-development-only-json-web-token-signing-key".to_owned();
        let (issued, expires) = (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH + TimeDelta::days(365 * 100));
        Ok(Self {
            publishable: "sb_publishable_local_development_only".to_owned(),
            secret: "sb_secret_local_development_only".to_owned(),
            legacy_anon: sign(&jwt_secret, &role_claims(Role::Anon, issued, expires))?,
            legacy_service_role: sign(&jwt_secret, &role_claims(Role::ServiceRole, issued, expires))?,
            jwt_secret,
        })
    }

    /// What a key stands for; `None` for anything that is not a key of this project.
    pub fn role_of(&self, key: &str) -> Option<Role> {
        if key == self.publishable || key == self.legacy_anon {
            Some(Role::Anon)
        } else if key == self.secret || key == self.legacy_service_role {
            Some(Role::ServiceRole)
        } else {
            None
        }
    }

    /// A token for one request: what Supabase's gateway puts in the place of an `sb_…` key.
    pub fn mint(&self, role: Role, now: DateTime<Utc>) -> Result<String> {
        sign(&self.jwt_secret, &role_claims(role, now, now + TimeDelta::minutes(1)))
    }

    /// Whether a token was signed with this project's secret and has not expired.
    pub fn accepts_jwt(&self, token: &str, now: DateTime<Utc>) -> bool {
        let Some((signed, signature)) = token.rsplit_once('.') else { return false };
        let Some((_, claims)) = signed.split_once('.') else { return false };
        let Ok(signature) = BASE64_URL_SAFE_NO_PAD.decode(signature) else { return false };
        let Ok(mac) = hmac(&self.jwt_secret, signed) else { return false };
        let expires = BASE64_URL_SAFE_NO_PAD
            .decode(claims)
            .ok()
            .and_then(|claims| serde_json::from_slice::<Value>(&claims).ok())
            .and_then(|claims| claims.get("exp")?.as_i64());
        mac.verify_slice(&signature).is_ok() && expires.is_some_and(|expires| expires > now.timestamp())
    }
}

fn role_claims(role: Role, issued: DateTime<Utc>, expires: DateTime<Utc>) -> Value {
    json!({ "iss": "supabase", "role": role.name(), "iat": issued.timestamp(), "exp": expires.timestamp() })
}

fn sign(secret: &str, claims: &Value) -> Result<String> {
    let part = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", part(&json!({ "alg": "HS256", "typ": "JWT" })), part(claims));
    let signature = hmac(secret, &signed)?.finalize().into_bytes();
    Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}

fn hmac(secret: &str, signed: &str) -> Result<Hmac<Sha256>> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).context("the JWT secret is unusable")?;
    Ok(mac.chain_update(signed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_role_and_nothing_else_has_one() {
        let keys = ApiKeys::local().unwrap();
        for (key, role) in [
            (keys.publishable.as_str(), Some(Role::Anon)),
            (&keys.legacy_anon, Some(Role::Anon)),
            (&keys.secret, Some(Role::ServiceRole)),
            (&keys.legacy_service_role, Some(Role::ServiceRole)),
            ("sb_secret_other", None),
            ("", None),
        ] {
            assert_eq!(keys.role_of(key), role, "{key}");
        }
    }

    #[test]
    fn a_token_is_accepted_until_it_expires_and_only_as_signed() {
        let keys = ApiKeys::local().unwrap();
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let token = keys.mint(Role::Anon, now).unwrap();
        assert!(keys.accepts_jwt(&token, now));
        assert!(!keys.accepts_jwt(&token, now + TimeDelta::minutes(1)));

        let forged = sign("another secret", &role_claims(Role::ServiceRole, now, now + TimeDelta::hours(1)));
        assert!(!keys.accepts_jwt(&forged.unwrap(), now));
        for malformed in ["", ".", "..", "a.b", "a.b.c", keys.secret.as_str()] {
            assert!(!keys.accepts_jwt(malformed, now), "{malformed}");
        }
    }
}
