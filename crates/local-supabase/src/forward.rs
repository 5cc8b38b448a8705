//! How a request gets to the server that answers it, as every gateway passes it on.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;

/// How long a request waits for a function that is being restarted; hosted workers start on demand.
pub(crate) const RESTART_PATIENCE: Duration = Duration::from_secs(10);
/// When Supabase's gateway gives up on a function, hosted and self-hosted.
pub(crate) const FUNCTION_TIMEOUT: Duration = Duration::from_secs(150);

/// Passes requests on to servers of this machine.
pub(crate) struct Forward {
    client: Client<HttpConnector, Body>,
}

impl Forward {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        // Nagle's algorithm would hold a request's body back until its head is acknowledged, for 40 ms.
        connector.set_nodelay(true);
        // Less than the 5 s after which node, and so lite, closes a connection that a request may just be sent on.
        let client =
            Client::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(2)).build(connector);
        Self { client }
    }

    pub(crate) async fn to(&self, port: u16, path: &str, query: Option<&str>, request: Request) -> Response {
        let (mut parts, body) = request.into_parts();
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        match format!("http://127.0.0.1:{port}{path}{query}").parse::<Uri>() {
            Ok(uri) => parts.uri = uri,
            Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
        }
        remove_hop_by_hop(&mut parts.headers);
        if let Some(host) = parts.headers.remove(header::HOST) {
            parts.headers.insert(HeaderName::from_static("x-forwarded-host"), host);
        }
        parts.headers.insert(HeaderName::from_static("x-forwarded-proto"), HeaderValue::from_static("http"));
        parts.extensions.clear();
        parts.version = axum::http::Version::HTTP_11;
        match self.client.request(Request::from_parts(parts, body)).await {
            Ok(response) => {
                let (mut parts, body) = response.into_parts();
                remove_hop_by_hop(&mut parts.headers);
                Response::from_parts(parts, Body::new(body))
            }
            Err(error) if error.is_connect() => {
                refuse(StatusCode::SERVICE_UNAVAILABLE, "the upstream server is not running")
            }
            Err(_) => refuse(StatusCode::BAD_GATEWAY, "the upstream server did not answer"),
        }
    }
}

pub(crate) fn function_name(request: &Request) -> &str {
    let path = request.uri().path().strip_prefix("/functions/v1/").unwrap_or_default();
    path.split('/').next().unwrap_or_default()
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

pub(crate) fn refuse(status: StatusCode, message: &str) -> Response {
    let any_origin = [(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (status, any_origin, Json(json!({ "message": message }))).into_response()
}

/// Headers that concern one connection only.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::TE,
        header::TRAILER,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        HeaderName::from_static("keep-alive"),
    ] {
        headers.remove(name);
    }
}
