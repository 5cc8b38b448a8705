//! The `events` methods.
//! <https://developers.google.com/workspace/calendar/api/v3/reference/events>

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use crate::access::Need;
use crate::delivery;
use crate::errors::ApiError;
use crate::event::{self, Resource};
use crate::listing;
use crate::oauth::Form;
use crate::state::{self, Shared};

pub(crate) async fn list(
    State(google): State<Shared>,
    Path(calendar): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let mut state = google.lock();
    let caller = state.caller(&headers, Need::Read)?;
    let parameters = Form::parse(query.unwrap_or_default().as_bytes());
    listing::list(&mut state, &caller, &calendar, &parameters).map(Json)
}

pub(crate) async fn get(
    State(google): State<Shared>,
    Path((calendar, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let mut state = google.lock();
    let caller = state.caller(&headers, Need::Read)?;
    let (calendar, _) = state.calendar(&caller, &calendar, Need::Read)?;
    let event = calendar.event(&id)?;
    if named(&headers, header::IF_NONE_MATCH).is_some_and(|etag| etag == event.text("etag")) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    Ok(answer(event.resource.clone()))
}

pub(crate) async fn insert(
    State(google): State<Shared>,
    Path(calendar): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let mut state = google.lock();
    let caller = state.caller(&headers, Need::Write)?;
    let (calendar, _) = state.calendar(&caller, &calendar, Need::Write)?;
    let event = event::create(parse(&body)?, &calendar.id, &caller.email)?;
    if event.get("id").and_then(Value::as_str).is_some_and(|id| calendar.event(id).is_ok()) {
        return Err(ApiError::of("duplicate"));
    }
    let (calendar_id, stored) = (calendar.id.clone(), calendar.store(event));
    delivery::notify_change(&mut state, &calendar_id);
    Ok(answer(stored))
}

pub(crate) async fn patch(
    State(google): State<Shared>,
    Path(path): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    change(&mut google.lock(), path, &headers, |event| event::patched(event, parse(&body)?)).map(answer)
}

pub(crate) async fn update(
    State(google): State<Shared>,
    Path(path): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    change(&mut google.lock(), path, &headers, |event| event::replaced(event, parse(&body)?)).map(answer)
}

pub(crate) async fn delete(
    State(google): State<Shared>,
    Path(path): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let cancel = |event: &Resource| match event.get("status").and_then(Value::as_str) {
        Some("cancelled") => Err(ApiError::of("deleted")),
        _ => event::patched(event, Map::from_iter([("status".to_owned(), "cancelled".into())])),
    };
    change(&mut google.lock(), path, &headers, cancel).map(|_| StatusCode::NO_CONTENT)
}

/// → the event as it is now stored.
fn change(
    state: &mut state::State,
    (calendar, id): (String, String),
    headers: &HeaderMap,
    next: impl FnOnce(&Resource) -> Result<Resource, ApiError>,
) -> Result<Resource, ApiError> {
    let caller = state.caller(headers, Need::Write)?;
    let (calendar, _) = state.calendar(&caller, &calendar, Need::Write)?;
    let event = calendar.event(&id)?;
    if named(headers, header::IF_MATCH).is_some_and(|etag| etag != "*" && etag != event.text("etag")) {
        return Err(ApiError::of("conditionNotMet"));
    }
    let next = next(&event.resource)?;
    let (calendar_id, stored) = (calendar.id.clone(), calendar.store(next));
    delivery::notify_change(state, &calendar_id);
    Ok(stored)
}

fn named(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn parse(body: &[u8]) -> Result<Resource, ApiError> {
    serde_json::from_slice(body).map_err(|_| ApiError::of("parseError"))
}

fn answer(event: Resource) -> Response {
    let etag = event.get("etag").and_then(Value::as_str).unwrap_or_default().to_owned();
    ([(header::ETAG, etag)], Json(event)).into_response()
}
