//! A proxy before a project: it shows the project as it is but for what it was told to spoil.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{TimeDelta, Utc};
use tokio::net::TcpListener;

pub(crate) enum Spoil {
    /// This is answered instead.
    Answer(u16, &'static str),
    /// The answer's `Date` is so many seconds ahead.
    Ahead(i64),
    /// Headers that begin like this are removed from what is asked.
    WithoutHeaders(&'static str),
    /// In the answer's body, the first is replaced by the second.
    Replace(String, String),
}

pub(crate) struct Detour {
    pub url: String,
    upstream: String,
    client: reqwest::Client,
    /// By the beginning of a path.
    rules: Mutex<Vec<(&'static str, Spoil)>>,
}

impl Detour {
    pub(crate) async fn start(upstream: &str) -> Arc<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let detour = Arc::new(Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            upstream: upstream.to_owned(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            rules: Mutex::default(),
        });
        let router = Router::new().fallback(pass).with_state(detour.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        detour
    }

    pub(crate) fn spoil(&self, path: &'static str, spoil: Spoil) {
        self.rules.lock().unwrap().push((path, spoil));
    }

    pub(crate) fn restore(&self) {
        self.rules.lock().unwrap().clear();
    }
}

async fn pass(State(detour): State<Arc<Detour>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if let Some(answer) = spoiled(&detour, &path) {
        return answer;
    }
    let body = to_bytes(body, 1 << 20).await.unwrap();
    for name in [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    for (prefix, spoil) in detour.rules.lock().unwrap().iter() {
        if let Spoil::WithoutHeaders(start) = spoil
            && path.starts_with(prefix)
        {
            let names: Vec<_> =
                parts.headers.keys().filter(|name| name.as_str().starts_with(start)).cloned().collect();
            for name in names {
                parts.headers.remove(name);
            }
        }
    }
    let url = format!("{}{}", detour.upstream, parts.uri.path_and_query().unwrap());
    let request = detour.client.request(parts.method, url).headers(parts.headers).body(body);
    let answer = request.send().await.unwrap();
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    let mut body = answer.text().await.unwrap();
    for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        headers.remove(name);
    }
    for (prefix, spoil) in detour.rules.lock().unwrap().iter() {
        match spoil {
            _ if !path.starts_with(prefix) => {}
            Spoil::Ahead(seconds) => {
                let date = Utc::now() + TimeDelta::seconds(*seconds);
                let date = date.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
                headers.insert(header::DATE, HeaderValue::from_str(&date).unwrap());
            }
            Spoil::Replace(this, that) => body = body.replace(this, that),
            Spoil::Answer(..) | Spoil::WithoutHeaders(_) => {}
        }
    }
    (status, headers, body).into_response()
}

fn spoiled(detour: &Detour, path: &str) -> Option<Response> {
    let rules = detour.rules.lock().unwrap();
    rules.iter().find_map(|(prefix, spoil)| match spoil {
        Spoil::Answer(status, body) if path.starts_with(prefix) => {
            Some((StatusCode::from_u16(*status).unwrap(), *body).into_response())
        }
        _ => None,
    })
}
