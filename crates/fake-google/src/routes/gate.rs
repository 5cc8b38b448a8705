//! What every call of the Calendar API and of the token endpoints goes through: the log and the faults.

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::line::Line;
use crate::model::clock::now;
use crate::model::error::ApiError;
use crate::model::fault::{self, Fault, Operation, Verdict};
use crate::model::form::Form;
use crate::model::google::Google;
use crate::model::record::LoggedRequest;
use crate::routes::bearer::bearer;
use crate::state::Shared;

const BODY_LIMIT: usize = 1 << 20;

/// A task of its own, because a server goes on working for a caller that has hung up.
pub(crate) async fn pass(
    State(state): State<Shared>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
    next: Next,
) -> Response {
    let task = tokio::spawn(handle(state, line, request, next));
    task.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn handle(state: Shared, line: Line, request: Request, next: Next) -> Response {
    let at = now();
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        return ApiError::new(413, "uploadTooLarge", "Request Too Large").into_response();
    };
    let (method, uri) = (parts.method.clone(), parts.uri.clone());
    let operation = Operation::of_request(method.as_str(), uri.path());
    let (email, fault) = {
        let mut google = state.lock();
        let email = caller_email(&google, operation, &parts.headers, &body);
        let fault = fault::take(&mut google.faults, operation, email.as_deref());
        (email, fault)
    };
    let request = Request::from_parts(parts, Body::from(body));
    let (early, late) = match fault {
        Some(fault) if fault.after => (None, Some(fault)),
        fault => (fault, None),
    };
    let early = match early {
        Some(fault) => suffer(&fault, operation, &line).await,
        None => None,
    };
    let mut response = match early {
        Some(response) => response,
        None => next.run(request).await,
    };
    if let Some(fault) = late {
        response = suffer(&fault, operation, &line).await.unwrap_or(response);
    }
    let status = if line.is_cut() { 0 } else { response.status().as_u16() };
    let (method, path) = (method.to_string(), uri.path().to_owned());
    let query = uri.query().map(str::to_owned);
    state.lock().requests.push(LoggedRequest { at, operation, method, path, query, email, status });
    response
}

/// What a fault has the call answered with; none = with the truth.
async fn suffer(fault: &Fault, operation: Operation, line: &Line) -> Option<Response> {
    tokio::time::sleep(fault.delay()).await;
    let mut response = match fault.verdict(operation) {
        Verdict::Pass => return None,
        Verdict::Answer(instead) => instead.into_response(),
        Verdict::Cut => return Some(cut(line)),
    };
    let retry_after = fault.retry_after.as_deref().and_then(|text| HeaderValue::from_str(text).ok());
    response.headers_mut().extend(retry_after.map(|value| (header::RETRY_AFTER, value)));
    Some(response)
}

/// What comes back never reaches the caller.
fn cut(line: &Line) -> Response {
    line.cut();
    Response::default()
}

/// Whose call it is, also when the token is not valid any more.
fn caller_email(google: &Google, operation: Operation, headers: &HeaderMap, body: &[u8]) -> Option<String> {
    if !matches!(operation, Operation::Token | Operation::Revoke) {
        return Some(google.access_tokens.get(bearer(headers)?)?.grant.email.clone());
    }
    let form = Form::parse(body);
    let named = ["refresh_token", "token"].into_iter().find_map(|field| form.get(field));
    if let Some(token) = named {
        let grant = google.grants.get(token);
        return grant
            .or_else(|| Some(&google.access_tokens.get(token)?.grant))
            .map(|grant| grant.email.clone());
    }
    Some(google.codes.get(form.get("code")?)?.grant.email.clone())
}
