//! A proxy between the functions and their Supabase: it records every request, and spoils some.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

const BODY_LIMIT: usize = 10 << 20;

/// What a function asked its Supabase.
#[derive(Clone)]
pub(crate) struct Asked {
    pub at: Instant,
    pub method: Method,
    /// Path and query.
    pub uri: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Asked {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn is_rest(&self) -> bool {
        self.uri.starts_with("/rest/v1/")
    }
}

#[derive(Clone)]
pub(crate) enum Spoil {
    /// The request is passed on after that time.
    Delay(Duration),
    /// The request is not passed on.
    Answer(u16, &'static str),
    /// The request is not passed on, and the connection is closed without an answer.
    Cut,
    /// The request is passed on, and its answer is not.
    LoseAnswer,
    /// The request is passed on, and the connection is closed after that time, whatever becomes of it.
    HangUp(Duration),
    /// The request waits until it is let go.
    Hold(Arc<Held>),
}

#[derive(Default)]
pub(crate) struct Held {
    reached: Notify,
    released: Notify,
}

impl Held {
    pub(crate) async fn reached(&self) {
        self.reached.notified().await;
    }

    pub(crate) fn release(&self) {
        self.released.notify_one();
    }
}

struct Rule {
    matches: Box<dyn Fn(&Asked) -> bool + Send + Sync>,
    /// Matching requests that are spoiled; `None` = all.
    times: Option<u32>,
    spoil: Spoil,
}

pub(crate) struct Tap {
    url: String,
    upstream: OnceLock<String>,
    client: reqwest::Client,
    asked: Mutex<Vec<Asked>>,
    rules: Mutex<Vec<Rule>>,
}

impl Tap {
    pub(crate) async fn start() -> Result<Arc<Self>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let tap = Arc::new(Self {
            url: format!("http://{}", listener.local_addr()?),
            upstream: OnceLock::new(),
            client: reqwest::Client::builder().no_proxy().build()?,
            asked: Mutex::default(),
            rules: Mutex::default(),
        });
        let router = Router::new().fallback(pass).with_state(tap.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(tap)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Where requests are passed on to.
    pub(crate) fn connect(&self, upstream: &str) {
        self.upstream.set(upstream.to_owned()).expect("connected once");
    }

    /// All requests so far of which this is true.
    pub(crate) fn asked(&self, matches: impl Fn(&Asked) -> bool) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| matches(asked)).cloned().collect()
    }

    /// Spoils so many of the coming requests of which this is true.
    pub(crate) fn spoil(
        &self,
        times: impl Into<Option<u32>>,
        spoil: Spoil,
        matches: impl Fn(&Asked) -> bool + Send + Sync + 'static,
    ) {
        let rule = Rule { matches: Box::new(matches), times: times.into(), spoil };
        self.rules.lock().unwrap().push(rule);
    }

    /// Makes the next matching request wait.
    pub(crate) fn hold(&self, matches: impl Fn(&Asked) -> bool + Send + Sync + 'static) -> Arc<Held> {
        let held = Arc::new(Held::default());
        self.spoil(1, Spoil::Hold(held.clone()), matches);
        held
    }

    fn spoil_for(&self, asked: &Asked) -> Option<Spoil> {
        let mut rules = self.rules.lock().unwrap();
        let rule = rules.iter_mut().find(|rule| rule.times != Some(0) && (rule.matches)(asked))?;
        rule.times = rule.times.map(|times| times - 1);
        Some(rule.spoil.clone())
    }

    async fn pass_on(&self, asked: &Asked) -> Response {
        let Some(upstream) = self.upstream.get() else {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        };
        let mut headers = asked.headers.clone();
        for name in [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH] {
            headers.remove(name);
        }
        let request = self.client.request(asked.method.clone(), format!("{upstream}{}", asked.uri));
        let Ok(answer) = request.headers(headers).body(asked.body.clone()).send().await else {
            return cut();
        };
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH] {
            headers.remove(name);
        }
        match answer.bytes().await {
            Ok(body) => (status, headers, body).into_response(),
            Err(_) => cut(),
        }
    }
}

async fn pass(State(tap): State<Arc<Tap>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let uri = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let asked = Asked { at: Instant::now(), method: parts.method, uri, headers: parts.headers, body };
    tap.asked.lock().unwrap().push(asked.clone());
    match tap.spoil_for(&asked) {
        None => tap.pass_on(&asked).await,
        Some(Spoil::Delay(time)) => {
            sleep(time).await;
            tap.pass_on(&asked).await
        }
        Some(Spoil::Answer(status, body)) => {
            (StatusCode::from_u16(status).unwrap(), [(header::CONTENT_TYPE, "application/json")], body)
                .into_response()
        }
        Some(Spoil::Cut) => cut(),
        Some(Spoil::LoseAnswer) => {
            tap.pass_on(&asked).await;
            cut()
        }
        Some(Spoil::HangUp(time)) => {
            tokio::spawn(async move { tap.pass_on(&asked).await });
            sleep(time).await;
            cut()
        }
        Some(Spoil::Hold(held)) => {
            held.reached.notify_one();
            held.released.notified().await;
            tap.pass_on(&asked).await
        }
    }
}

/// A body that fails before its first byte: the server closes the connection.
fn cut() -> Response {
    let failure = stream::iter([Err::<Bytes, _>(io::Error::other("cut by the tap"))]);
    Response::new(Body::from_stream(failure))
}
