//! What every call of the Calendar API and of the token endpoints goes through: the log and the faults.

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::access::bearer;
use crate::connection::Line;
use crate::errors::ApiError;
use crate::faults::{self, Operation, Verdict};
use crate::oauth::Form;
use crate::state::{self, Shared, now};

const BODY_LIMIT: usize = 1 << 20;

#[derive(Clone, Serialize)]
pub(crate) struct LoggedRequest {
    at: DateTime<Utc>,
    operation: Operation,
    method: String,
    path: String,
    email: Option<String>,
    /// As the caller saw it; 0 = the connection was cut.
    status: u16,
}

/// A task of its own, because a server goes on working for a caller that has hung up.
pub(crate) async fn pass(
    State(google): State<Shared>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
    next: Next,
) -> Response {
    let task = tokio::spawn(handle(google, line, request, next));
    task.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn handle(google: Shared, line: Line, request: Request, next: Next) -> Response {
    let at = now();
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        return ApiError::new(413, "uploadTooLarge", "Request Too Large").into_response();
    };
    let (method, uri) = (parts.method.clone(), parts.uri.clone());
    let operation = Operation::of_path(uri.path());
    let (email, fault) = {
        let mut state = google.lock();
        let email = caller_email(&state, operation, &parts.headers, &body);
        let fault = faults::take(&mut state.faults, operation, email.as_deref());
        (email, fault)
    };
    let request = Request::from_parts(parts, Body::from(body));
    let (early, late) = match fault {
        Some(fault) if fault.after => (None, Some(fault)),
        fault => (fault, None),
    };
    let mut verdict = Verdict::Pass;
    if let Some(fault) = early {
        tokio::time::sleep(fault.delay()).await;
        verdict = fault.verdict(operation);
    }
    let mut response = match verdict {
        Verdict::Pass => next.run(request).await,
        Verdict::Answer(response) => response,
        Verdict::Cut => cut(&line),
    };
    if let Some(fault) = late {
        tokio::time::sleep(fault.delay()).await;
        match fault.verdict(operation) {
            Verdict::Pass => {}
            Verdict::Answer(instead) => response = instead,
            Verdict::Cut => response = cut(&line),
        }
    }
    let status = if line.is_cut() { 0 } else { response.status().as_u16() };
    let (method, path) = (method.to_string(), uri.path().to_owned());
    google.lock().requests.push(LoggedRequest { at, operation, method, path, email, status });
    response
}

/// What comes back never reaches the caller.
fn cut(line: &Line) -> Response {
    line.cut();
    Response::default()
}

/// Whose call it is, also when the token is not valid any more.
fn caller_email(
    state: &state::State,
    operation: Operation,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<String> {
    if !matches!(operation, Operation::Token | Operation::Revoke) {
        return Some(state.access_tokens.get(bearer(headers)?)?.grant.email.clone());
    }
    let form = Form::parse(body);
    let named = ["refresh_token", "token"].into_iter().find_map(|field| form.get(field));
    if let Some(token) = named {
        let grant = state.grants.get(token);
        return grant
            .or_else(|| Some(&state.access_tokens.get(token)?.grant))
            .map(|grant| grant.email.clone());
    }
    Some(state.codes.get(form.get("code")?)?.grant.email.clone())
}
