//! Callers of a function, by the headers that they send.

use local_supabase::Keys;
use reqwest::header::{HeaderMap, HeaderName};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::project::Project;

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

impl Project {
    pub fn headers(&self, caller: Caller<'_>) -> HeaderMap {
        let bearer = |token: &str| ("authorization", format!("Bearer {token}"));
        let headers = match caller {
            Caller::Nobody => vec![],
            Caller::Service => match self.generation {
                Keys::Current => vec![("apikey", self.keys.secret.clone())],
                Keys::Legacy => {
                    let key = &self.keys.legacy_service_role;
                    vec![("apikey", key.clone()), bearer(key)]
                }
            },
            Caller::Key(key) => vec![("apikey", key.to_owned())],
            Caller::User(user) => vec![("apikey", self.keys.publishable.clone()), bearer(&user.token)],
            Caller::With(headers) => headers.to_vec(),
        };
        headers
            .into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a header's value")))
            .collect()
    }

    pub async fn sign_up(&self) -> User {
        // Hashing a password occupies lite whole: many at once would keep it from telling who somebody is in time.
        static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _turn = ONE_AT_A_TIME.lock().await;
        let email = format!("{}@example.com", Uuid::new_v4().simple());
        let request = self
            .http
            .post(format!("{}/auth/v1/signup", self.url))
            .header("apikey", &self.keys.publishable)
            .json(&json!({ "email": email, "password": "correct horse" }));
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("no sign-up: {answer}"));
        let id = answer["user"]["id"].as_str().unwrap().parse().unwrap();
        User { id, token: token.to_owned() }
    }
}
