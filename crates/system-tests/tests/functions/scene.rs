//! What a trial plays in: a stack, a client that remembers what it hears, and the rows it has made.

use std::fmt::Debug;
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use dev_stack::Stack;
use futures_util::future::LocalBoxFuture;
use local_supabase::Keys;
use local_supabase::postgrest::Postgrest;
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::fixture::User;
use crate::world::World;

pub(crate) const SETUP: &str = "setup-calendar-webhook";
pub(crate) const RECEIVE: &str = "google-calendar-webhook";
pub(crate) const REFRESH: &str = "refresh-calendar-webhook";
pub(crate) const FUNCTIONS: [&str; 3] = [SETUP, RECEIVE, REFRESH];

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) type SharedTrial = for<'a> fn(&'a Scene) -> LocalBoxFuture<'a, ()>;
pub(crate) type AloneTrial = for<'a> fn(&'a mut Scene) -> LocalBoxFuture<'a, ()>;

#[derive(Clone, Copy)]
pub(crate) enum Case {
    /// Touches its own rows only.
    Shared(&'static str, SharedTrial),
    /// Acts on everybody's rows, or on a part of the stack that everybody needs.
    Alone(&'static str, AloneTrial),
}

impl Case {
    pub(crate) fn name(&self) -> &'static str {
        let (Self::Shared(name, _) | Self::Alone(name, _)) = self;
        name.split_once("::").map_or(*name, |(_, name)| name)
    }

    pub(crate) fn is_alone(&self) -> bool {
        matches!(self, Self::Alone(..))
    }
}

/// The trials of a module, named by their functions.
macro_rules! cases {
    (shared: [$($shared:ident,)*], alone: [$($alone:ident,)*] $(,)?) => {
        pub(crate) fn cases() -> Vec<$crate::scene::Case> {
            use $crate::scene::Case;
            vec![
                $(Case::Shared(concat!(module_path!(), "::", stringify!($shared)), |scene| Box::pin($shared(scene))),)*
                $(Case::Alone(concat!(module_path!(), "::", stringify!($alone)), |scene| Box::pin($alone(scene))),)*
            ]
        }
    };
}
pub(crate) use cases;

pub(crate) enum Lock {
    Shared(OwnedRwLockReadGuard<Option<Stack>>),
    Alone(OwnedRwLockWriteGuard<Option<Stack>>),
}

pub(crate) struct Scene {
    pub world: Arc<World>,
    lock: Lock,
    /// The users whose rows this trial has made.
    pub users: Mutex<Vec<Uuid>>,
}

impl Deref for Scene {
    type Target = Stack;

    fn deref(&self) -> &Stack {
        let stack = match &self.lock {
            Lock::Shared(stack) => stack.as_ref(),
            Lock::Alone(stack) => stack.as_ref(),
        };
        stack.expect("a stack is stopped after the last trial")
    }
}

/// Who calls.
#[derive(Clone, Copy)]
pub(crate) enum Caller<'a> {
    Nobody,
    Service,
    User(&'a User),
    /// These headers.
    With(&'a [(&'static str, String)]),
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// `null` if it is no JSON.
    pub body: Value,
    pub took: Duration,
}

impl Answer {
    /// The status, and the code if it is an error.
    pub(crate) fn outcome(&self) -> (u16, &str) {
        (self.status, self.body["error"]["code"].as_str().unwrap_or_default())
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The connections of a good answer.
    #[track_caller]
    pub(crate) fn connections(&self) -> &Vec<Value> {
        assert_eq!(self.status, 200, "{}", self.text);
        self.body["connections"].as_array().unwrap_or_else(|| panic!("no connections in {}", self.text))
    }
}

impl Scene {
    pub(crate) fn new(world: Arc<World>, lock: Lock) -> Self {
        Self { world, lock, users: Mutex::default() }
    }

    pub(crate) fn postgrest(&mut self) -> &mut Postgrest {
        match &mut self.lock {
            Lock::Alone(stack) => {
                stack.as_mut().and_then(|stack| stack.postgrest()).expect("the PostgREST backend")
            }
            Lock::Shared(_) => panic!("others need PostgREST now"),
        }
    }

    pub(crate) fn request(&self, method: Method, function: &str) -> RequestBuilder {
        self.world.http.request(method, format!("{}/functions/v1/{function}", self.url()))
    }

    /// Asks a function as a frontend or a backend does. An empty body is none.
    pub(crate) async fn call(&self, function: &str, caller: Caller<'_>, body: impl ToString) -> Answer {
        let body = body.to_string();
        let mut request = self.request(Method::POST, function).headers(self.headers(caller));
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(body);
        }
        self.send(request).await
    }

    pub(crate) fn headers(&self, caller: Caller<'_>) -> HeaderMap {
        let headers = match caller {
            Caller::Nobody => vec![],
            Caller::Service => match self.world.kind.keys {
                Keys::Current => vec![("apikey", self.secret_key().to_owned())],
                Keys::Legacy => {
                    let key = self.legacy_service_role_key();
                    vec![("apikey", key.to_owned()), ("authorization", format!("Bearer {key}"))]
                }
            },
            Caller::User(user) => vec![
                ("apikey", self.publishable_key().to_owned()),
                ("authorization", format!("Bearer {}", user.token)),
            ],
            Caller::With(headers) => headers.to_vec(),
        };
        headers
            .into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a header's value")))
            .collect()
    }

    /// Sends a request to a function. Whatever it answers is remembered, and an error has the documented shape.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let started = Instant::now();
        let (client, request) = request.build_split();
        let request = request.expect("a request");
        let method = request.method().clone();
        let response = client.execute(request).await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = String::from_utf8_lossy(&response.bytes().await.expect("a body")).into_owned();
        let took = started.elapsed();
        self.world.heard.lock().unwrap().push(format!("{status} {headers:?} {text}"));
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        if status >= 400 && method != Method::HEAD {
            assert_error_shape(&body, &text);
        }
        Answer { status, headers, text, body, took }
    }

    /// Ends a trial: nothing of it is left for the sweeps of another one.
    pub(crate) async fn clear(&self) -> Result<()> {
        let users = self.users.lock().unwrap().clone();
        self.remember_tokens(&users).await?;
        self.sql("delete from calendar_connections where user_id = any($1)", &[&users]).await?;
        Ok(())
    }
}

/// Errors are `{"error": {"code", "message"}}` and nothing else.
#[track_caller]
pub(crate) fn assert_error_shape(body: &Value, text: &str) {
    let keys = |value: &Value| -> Vec<String> {
        value.as_object().map(|object| object.keys().cloned().collect()).unwrap_or_default()
    };
    assert_eq!(keys(body), ["error"], "{text}");
    assert_eq!(keys(&body["error"]), ["code", "message"], "{text}");
    for part in ["code", "message"] {
        assert!(body["error"][part].as_str().is_some_and(|part| !part.is_empty()), "{text}");
    }
}

/// Asks until there is an answer.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, probe: impl Fn() -> F) -> T {
    within(PATIENCE, what, probe).await
}

pub(crate) async fn within<T, F: Future<Output = Option<T>>>(
    patience: Duration,
    what: &str,
    probe: impl Fn() -> F,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < deadline, "after {patience:?} still not: {what}");
        sleep(Duration::from_millis(25)).await;
    }
}

#[track_caller]
pub(crate) fn assert_between<T: PartialOrd + Debug>(value: T, least: T, most: T, what: &str) {
    assert!(value >= least && value <= most, "{what}: {value:?} is not between {least:?} and {most:?}");
}
