//! Supabase's gateway as the functions see it, with service keys that come and go.

use std::sync::{Arc, Mutex, OnceLock};

use anyhow::Result;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// It passes on what carries a valid service key or none, under the key that the stack knows.
pub(crate) struct Gateway {
    url: String,
    valid: Mutex<Vec<String>>,
    upstream: OnceLock<Upstream>,
    client: reqwest::Client,
}

struct Upstream {
    url: String,
    key: String,
}

impl Gateway {
    pub(crate) async fn start() -> Result<Arc<Self>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let gateway = Arc::new(Self {
            url: format!("http://{}", listener.local_addr()?),
            valid: Mutex::default(),
            upstream: OnceLock::new(),
            client: reqwest::Client::builder().no_proxy().build()?,
        });
        let router = Router::new().fallback(pass).with_state(gateway.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(gateway)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn connect(&self, url: &str, key: &str) {
        let upstream = Upstream { url: url.to_owned(), key: key.to_owned() };
        assert!(self.upstream.set(upstream).is_ok(), "connected once");
    }

    /// From now on these keys are valid and no others.
    pub(crate) fn accept(&self, keys: &[&str]) {
        *self.valid.lock().unwrap() = keys.iter().map(|key| (*key).to_owned()).collect();
    }

    /// The gateway judges what is in `apikey`; Auth, behind it, what is in `Authorization`.
    fn refusal(&self, headers: &HeaderMap) -> Option<(StatusCode, Json<Value>)> {
        let valid = self.valid.lock().unwrap();
        let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
        let is_valid = |key: &str| valid.iter().any(|valid| valid == key);
        if !text("apikey").is_some_and(is_valid) {
            return Some((StatusCode::UNAUTHORIZED, Json(json!({ "message": "Invalid API key" }))));
        }
        let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let bad_jwt = json!({ "code": 403, "error_code": "bad_jwt", "msg": "invalid JWT" });
        bearer.is_some_and(|token| !is_valid(token)).then_some((StatusCode::FORBIDDEN, Json(bad_jwt)))
    }
}

async fn pass(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut headers = parts.headers;
    let for_service = headers.contains_key("apikey");
    if for_service && let Some(refusal) = gateway.refusal(&headers) {
        return refusal.into_response();
    }
    let Some(upstream) = gateway.upstream.get() else { return StatusCode::BAD_GATEWAY.into_response() };
    for name in [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH] {
        headers.remove(name);
    }
    if for_service {
        headers.remove(header::AUTHORIZATION);
        headers.insert("apikey", upstream.key.parse().unwrap());
    }
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let request = gateway.client.request(parts.method, format!("{}{}", upstream.url, parts.uri));
    let Ok(answer) = request.headers(headers).body(body).send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH] {
        headers.remove(name);
    }
    (status, headers, answer.bytes().await.unwrap_or_default()).into_response()
}
