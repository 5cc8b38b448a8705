//! What stands before `recalculate-schedule`, the sample's or the project's own: it records the runs, and makes them
//! misbehave when told to.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tower::ServiceExt;
use uuid::Uuid;

use crate::host_writer::HostWriter;
use crate::host_writes::HostWrites;

/// Bytes of a body that is passed on.
const BODY_LIMIT: usize = 10 << 20;

/// The body that the webhooks call with; others send no request id.
#[derive(Deserialize)]
struct Call {
    user_id: Uuid,
    #[serde(rename = "userId")]
    user_id_in_camel_case: Uuid,
    connection_id: Uuid,
    reason: String,
    request_id: Uuid,
}

/// How matching runs go; the first behaviour that matches counts.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Behaviour {
    /// Runs of this user only; everybody's without it.
    user_id: Option<Uuid>,
    /// So many runs; all without it.
    times: Option<u32>,
    /// Time before the work is done.
    #[serde(default)]
    delay_ms: u64,
    /// Do no work and answer this.
    status: Option<u16>,
    /// Write an event to the watched calendar, which makes Google notify again.
    #[serde(default)]
    echo: bool,
    /// Close the connection in the place of an answer.
    #[serde(default)]
    cut: bool,
    /// Not from then on.
    #[serde(skip)]
    until: Option<Instant>,
}

/// One call of the webhooks that was let in.
#[derive(Clone, Serialize)]
pub(crate) struct Run {
    user_id: Uuid,
    connection_id: Uuid,
    request_id: Uuid,
    reason: String,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    status: Option<u16>,
    /// Whether another run of the same connection was going on when this one started.
    overlapped: bool,
    #[serde(skip)]
    let_in: bool,
}

pub(crate) struct Recalculate {
    writer: Arc<HostWriter>,
    behaviours: Mutex<Vec<Behaviour>>,
    runs: Mutex<Vec<Run>>,
}

impl Recalculate {
    pub(crate) fn new(writer: Arc<HostWriter>) -> Arc<Self> {
        Arc::new(Self { writer, behaviours: Mutex::default(), runs: Mutex::default() })
    }

    pub(crate) fn before(self: &Arc<Self>, function: Router) -> Router {
        let pass =
            async move |State(this): State<Arc<Self>>, request: Request| this.pass(function, request).await;
        Router::new().fallback(pass).with_state(self.clone())
    }

    /// `POST /control/behaviour` adds one, `DELETE` forgets all; `GET /control/runs?user_id=` lists;
    /// `POST /control/host-writes {user_id, style}` says how this user's runs write to the calendar from now on.
    pub(crate) fn control(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/control/behaviour", post(add_behaviour).delete(forget_behaviours))
            .route("/control/runs", get(list_runs))
            .route("/control/host-writes", post(choose_host_writes))
            .with_state(self.clone())
    }

    /// The calls for this user so far.
    pub(crate) fn runs_of(&self, user: Uuid) -> Vec<Run> {
        lock(&self.runs).iter().filter(|run| run.let_in && run.user_id == user).cloned().collect()
    }

    /// From now on until then the function answers the runs of this user with 500.
    pub(crate) fn fail_for(&self, user: Uuid, time: Duration) {
        let failing = Behaviour {
            user_id: Some(user),
            times: None,
            delay_ms: 0,
            status: Some(500),
            echo: false,
            cut: false,
            until: Some(Instant::now() + time),
        };
        lock(&self.behaviours).push(failing);
    }

    fn behaviour_for(&self, user: Uuid) -> Option<Behaviour> {
        let mut behaviours = lock(&self.behaviours);
        behaviours.retain(|behaviour| behaviour.until.is_none_or(|until| Instant::now() < until));
        let matching = behaviours
            .iter_mut()
            .find(|behaviour| behaviour.user_id.is_none_or(|id| id == user) && behaviour.times != Some(0))?;
        matching.times = matching.times.map(|times| times - 1);
        Some(matching.clone())
    }

    fn begin(&self, call: &Call) -> usize {
        let mut runs = lock(&self.runs);
        let overlapped =
            runs.iter().any(|run| run.connection_id == call.connection_id && run.finished_at.is_none());
        runs.push(Run {
            user_id: call.user_id,
            connection_id: call.connection_id,
            request_id: call.request_id,
            reason: call.reason.clone(),
            started_at: Utc::now(),
            finished_at: None,
            status: None,
            overlapped,
            let_in: true,
        });
        runs.len() - 1
    }

    fn finish(&self, run: usize, status: StatusCode) {
        if let Some(run) = lock(&self.runs).get_mut(run) {
            run.finished_at = Some(Utc::now());
            run.status = Some(status.as_u16());
        }
    }

    /// A caller that the function refused has not run it.
    fn forget(&self, run: usize) {
        if let Some(run) = lock(&self.runs).get_mut(run) {
            run.let_in = false;
        }
    }

    async fn pass(self: Arc<Self>, function: Router, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
            return answer(StatusCode::BAD_REQUEST, json!({ "error": "the body broke off" }));
        };
        let Ok(call) = serde_json::from_slice::<Call>(&body) else {
            return self.call_by_others(function, parts, body).await;
        };
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        if text("idempotency-key").and_then(|key| key.parse().ok()) != Some(call.request_id) {
            return answer(
                StatusCode::BAD_REQUEST,
                json!({ "error": "Idempotency-Key is not the request_id" }),
            );
        }
        if call.user_id != call.user_id_in_camel_case {
            return answer(StatusCode::BAD_REQUEST, json!({ "error": "user_id and userId differ" }));
        }
        // Like a hosted function, a run goes on when its caller hangs up.
        tokio::spawn(self.run(function, call, parts, body)).await.unwrap_or_else(|_| {
            answer(StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": "the run crashed" }))
        })
    }

    /// A page after its user has changed something, or the app's own backend: nobody makes that misbehave.
    async fn call_by_others(&self, function: Router, parts: Parts, body: Bytes) -> Response {
        let authorization = parts.headers.get(AUTHORIZATION).cloned();
        let response = ask(function, parts, body).await;
        let authorization = authorization.as_ref().and_then(|value| value.to_str().ok());
        if let Some(authorization) = authorization.filter(|_| response.status().is_success())
            && self.writer.is_in_use()
            && let Err(error) = self.write_for(authorization).await
        {
            return failed(&error);
        }
        response
    }

    async fn write_for(&self, authorization: &str) -> Result<()> {
        let services = self.writer.services();
        let Some(user) = services.user(authorization).await? else { return Ok(()) };
        match services.connection(user.id).await? {
            Some(connection) => self.writer.write(user.id, connection).await,
            None => Ok(()),
        }
    }

    async fn run(self: Arc<Self>, function: Router, call: Call, parts: Parts, body: Bytes) -> Response {
        let run = self.begin(&call);
        let behaviour = self.behaviour_for(call.user_id);
        if let Some(behaviour) = &behaviour {
            sleep(Duration::from_millis(behaviour.delay_ms)).await;
        }
        let response = match behaviour.as_ref().and_then(|behaviour| behaviour.status) {
            Some(status) => answer(
                StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                json!({ "error": "as told by the control API" }),
            ),
            None => {
                let response = ask(function, parts, body).await;
                let echo = behaviour.as_ref().is_some_and(|behaviour| behaviour.echo);
                match response.status() {
                    status if status.is_success() => match self.write(&call, echo).await {
                        Ok(()) => response,
                        // As of a function that throws: nothing of it goes on.
                        Err(error) => failed(&error),
                    },
                    StatusCode::UNAUTHORIZED => {
                        self.forget(run);
                        response
                    }
                    _ => response,
                }
            }
        };
        self.finish(run, response.status());
        if behaviour.is_some_and(|behaviour| behaviour.cut) {
            // A body that fails before its first byte: the server closes the connection.
            let failure = stream::iter([Err::<Bytes, _>(io::Error::other("cut by the control API"))]);
            return Response::new(Body::from_stream(failure));
        }
        response
    }

    async fn write(&self, call: &Call, echo: bool) -> Result<()> {
        self.writer.write(call.user_id, call.connection_id).await?;
        if echo {
            self.writer.write_event(call.user_id, call.connection_id).await?;
        }
        Ok(())
    }
}

/// The function's answer, once it is there to its end.
async fn ask(function: Router, mut parts: Parts, body: Bytes) -> Response {
    // It may have come in chunks.
    parts.headers.insert(CONTENT_LENGTH, body.len().into());
    let request = Request::from_parts(parts, Body::from(body));
    let response = function.oneshot(request).await.unwrap_or_else(|never| match never {});
    let (parts, body) = response.into_parts();
    match to_bytes(body, BODY_LIMIT).await {
        Ok(body) => Response::from_parts(parts, Body::from(body)),
        Err(error) => answer(StatusCode::BAD_GATEWAY, json!({ "error": error.to_string() })),
    }
}

fn failed(error: &anyhow::Error) -> Response {
    answer(StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": format!("{error:#}") }))
}

async fn add_behaviour(State(this): State<Arc<Recalculate>>, Json(behaviour): Json<Behaviour>) -> StatusCode {
    lock(&this.behaviours).push(behaviour);
    StatusCode::NO_CONTENT
}

async fn forget_behaviours(State(this): State<Arc<Recalculate>>) -> StatusCode {
    lock(&this.behaviours).clear();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    user_id: Uuid,
    style: HostWrites,
}

async fn choose_host_writes(
    State(this): State<Arc<Recalculate>>,
    Json(Choice { user_id, style }): Json<Choice>,
) -> StatusCode {
    this.writer.choose(user_id, style);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Filter {
    user_id: Option<Uuid>,
}

async fn list_runs(State(this): State<Arc<Recalculate>>, Query(filter): Query<Filter>) -> Response {
    let runs = lock(&this.runs);
    let matching: Vec<&Run> = runs
        .iter()
        .filter(|run| run.let_in && filter.user_id.is_none_or(|user| run.user_id == user))
        .collect();
    Json(matching).into_response()
}

fn answer(status: StatusCode, body: serde_json::Value) -> Response {
    (status, Json(body)).into_response()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
