//! The layout of a self-hosted project, as its Docker Compose file has it: Kong before everything, and behind its route
//! of the functions one router, `main`, whose workers live a short time and serve one function each.
//!
//! The facts are those of `docker/volumes/functions/main/index.ts` and `docker/volumes/api/kong.yml` in
//! supabase/supabase, and of `strategy_per_worker.rs` in supabase/edge-runtime.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::Json;
use axum::extract::Request;
use axum::http::header::{self, AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use serde_json::{Value, json};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::edge_function::{Address, EdgeFunction, Runtime, Source};
use crate::forward::{FUNCTION_TIMEOUT, Forward, RESTART_PATIENCE, function_name, header, refuse};
use crate::keys::ApiKeys;
use crate::output::Output;

/// What such a project's `.env` and router choose.
#[derive(Clone, Copy)]
pub struct SelfHosted {
    /// `FUNCTIONS_VERIFY_JWT`, the one switch of all functions: `verify_jwt` in `config.toml` does not count.
    pub verify_jwt: bool,
    /// How long a worker lives, in flight or not; 60 s in the router as it is shipped. It takes new requests for half
    /// of that.
    pub worker_limit: Duration,
}

impl SelfHosted {
    /// What the functions find in their environment besides what a hosted project sets.
    pub(crate) fn environment(self, keys: &ApiKeys) -> Vec<(String, String)> {
        [
            ("VERIFY_JWT", self.verify_jwt.to_string()),
            ("JWT_SECRET", keys.jwt_secret.clone()),
            // A worker has 150 MB.
            ("DENO_V8_FLAGS", "--max-old-space-size=150".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

/// The router.
pub(crate) struct Main {
    settings: SelfHosted,
    keys: Arc<ApiKeys>,
    services: HashMap<String, Service>,
    /// By function: the worker that takes its requests.
    workers: Mutex<HashMap<String, Worker>>,
    living: Mutex<JoinSet<()>>,
}

pub(crate) struct Service {
    pub runtime: Runtime,
    pub source: Source,
    pub output: Output,
}

#[derive(Clone)]
struct Worker {
    born: Instant,
    address: Address,
    /// Closed when the worker is killed.
    life: watch::Receiver<()>,
}

impl Main {
    pub(crate) fn new(settings: SelfHosted, keys: Arc<ApiKeys>, services: HashMap<String, Service>) -> Self {
        Self { settings, keys, services, workers: Mutex::default(), living: Mutex::default() }
    }

    pub(crate) fn log(&self, name: &str) -> Option<String> {
        Some(self.services.get(name)?.output.text())
    }

    pub(crate) async fn stop(&self) {
        self.living.lock().await.shutdown().await;
    }

    /// Kong's route of the functions: no key is asked for, and the router gets the path without `/functions/v1`.
    pub(crate) async fn through_kong(&self, forward: &Forward, request: Request) -> Response {
        if let Some(preflight) = kongs_preflight(&request) {
            return preflight;
        }
        let mut answer = timeout(FUNCTION_TIMEOUT, self.routed(forward, request))
            .await
            .unwrap_or_else(|_| refuse(StatusCode::GATEWAY_TIMEOUT, "The upstream server is timing out"));
        let any = HeaderValue::from_static("*");
        answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
        answer
    }

    async fn routed(&self, forward: &Forward, request: Request) -> Response {
        if let Some((code, message)) = self.refusal(&request) {
            let told = json!({ "code": code, "message": message, "msg": message });
            return (StatusCode::UNAUTHORIZED, [("sb-error-code", code)], Json(told)).into_response();
        }
        let name = function_name(&request).to_owned();
        if name.is_empty() {
            return told(StatusCode::BAD_REQUEST, "missing function name in request");
        }
        let failed = |what: &str| told(StatusCode::INTERNAL_SERVER_ERROR, what);
        let boot = "InvalidWorkerCreation: worker boot error: failed to bootstrap runtime";
        let mut worker = match self.worker(&name).await {
            Ok(Some(worker)) => worker,
            Ok(None) => return failed(&format!("{boot}: could not find an appropriate entrypoint")),
            Err(error) => return failed(&format!("{boot}: {error:#}")),
        };
        let killed = || failed("WorkerRequestCancelled: request has been cancelled by supervisor");
        let Some(port) = worker.address.port(RESTART_PATIENCE).await else { return killed() };
        let path = request.uri().path().strip_prefix("/functions/v1").unwrap_or_default().to_owned();
        let query = request.uri().query().map(str::to_owned);
        tokio::select! {
            answer = forward.to(port, &path, query.as_deref(), request) => answer,
            _ = worker.life.changed() => killed(),
        }
    }

    fn refusal(&self, request: &Request) -> Option<(&'static str, &'static str)> {
        if !self.settings.verify_jwt || request.method() == Method::OPTIONS {
            return None;
        }
        let Some(given) = header(request.headers(), &AUTHORIZATION) else {
            return Some(("UNAUTHORIZED_NO_AUTH_HEADER", "Missing authorization header"));
        };
        match given.strip_prefix("Bearer ").filter(|token| token.split('.').count() == 3) {
            None => Some(("UNAUTHORIZED_INVALID_JWT_FORMAT", "Invalid JWT format")),
            Some(token) if self.keys.accepts_jwt(token, Utc::now()) => None,
            Some(_) => Some(("UNAUTHORIZED_LEGACY_JWT", "Invalid JWT")),
        }
    }

    /// The function's worker, or a new one if it has none that takes requests.
    async fn worker(&self, name: &str) -> Result<Option<Worker>> {
        let Some(Service { runtime, source, output }) = self.services.get(name) else { return Ok(None) };
        let limit = self.settings.worker_limit;
        let mut workers = self.workers.lock().await;
        if let Some(worker) = workers.get(name).filter(|worker| worker.born.elapsed() < limit / 2) {
            return Ok(Some(worker.clone()));
        }
        let process = EdgeFunction::start(runtime, source, output.clone()).await?;
        let (alive, life) = watch::channel(());
        let worker = Worker { born: Instant::now(), address: process.address(), life };
        workers.insert(name.to_owned(), worker.clone());
        let output = output.clone();
        self.living.lock().await.spawn(async move {
            sleep(limit).await;
            output.line("wall clock duration reached");
            // First, so that what is in flight hears of the end by this, and not by a connection that breaks.
            drop(alive);
            process.stop().await;
        });
        Ok(Some(worker))
    }
}

/// What Kong's plugin `cors` answers itself, and passes on to nobody.
fn kongs_preflight(request: &Request) -> Option<Response> {
    let headers = request.headers();
    let asks = request.method() == Method::OPTIONS && headers.contains_key(header::ORIGIN);
    if !asks || !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return None;
    }
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let any = HeaderValue::from_static("*");
    let methods = HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT");
    let mut answer = StatusCode::OK.into_response();
    answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
    answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    if let Some(asked) = asked {
        answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
    }
    Some(answer)
}

/// What Kong answers elsewhere: all other paths lead to Studio, which asks for a password.
pub(crate) fn studio() -> Response {
    let realm = [(WWW_AUTHENTICATE, "Basic realm=\"kong\"")];
    (StatusCode::UNAUTHORIZED, realm, Json(json!({ "message": "Unauthorized" }))).into_response()
}

fn told(status: StatusCode, what: &str) -> Response {
    let told: Value = json!({ "msg": what });
    (status, Json(told)).into_response()
}
