//! Callers of a function, by the headers that they send.

use local_supabase::{ApiKeys, Keys};
use reqwest::header::{HeaderMap, HeaderName};
use uuid::Uuid;

/// Somebody who is signed in.
pub struct User {
    pub id: Uuid,
    pub token: String,
}

#[derive(Clone, Copy)]
pub enum Caller<'a> {
    Nobody,
    /// With the key that the project's functions have.
    Service,
    /// With this key.
    Key(&'a str),
    User(&'a User),
    /// With these headers.
    With(&'a [(&'static str, String)]),
}

impl Caller<'_> {
    /// The headers in a project with these keys.
    pub(crate) fn headers(self, keys: &ApiKeys, generation: Keys) -> HeaderMap {
        let bearer = |token: &str| ("authorization", format!("Bearer {token}"));
        let headers = match self {
            Caller::Nobody => vec![],
            Caller::Service => match generation {
                Keys::Current | Keys::Both => vec![("apikey", keys.secret.clone())],
                Keys::Legacy => {
                    let key = &keys.legacy_service_role;
                    vec![("apikey", key.clone()), bearer(key)]
                }
            },
            Caller::Key(key) => vec![("apikey", key.to_owned())],
            Caller::User(user) => vec![("apikey", keys.publishable.clone()), bearer(&user.token)],
            Caller::With(headers) => headers.to_vec(),
        };
        headers
            .into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a header's value")))
            .collect()
    }
}
