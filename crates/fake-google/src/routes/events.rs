//! The `events` methods.
//! <https://developers.google.com/workspace/calendar/api/v3/reference/events>

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::model::access::Need;
use crate::model::edit::{self, Target};
use crate::model::error::ApiError;
use crate::model::form::Form;
use crate::model::listing;
use crate::model::resource::Resource;
use crate::routes::bearer::caller;
use crate::state::Shared;

pub(crate) async fn list(
    State(state): State<Shared>,
    Path(calendar): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let mut google = state.lock();
    let caller = caller(&google, &headers, Need::Read)?;
    let parameters = Form::parse(query.unwrap_or_default().as_bytes());
    listing::list(&mut google, &caller, &calendar, &parameters).map(Json)
}

pub(crate) async fn get(
    State(state): State<Shared>,
    Path((calendar, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let mut google = state.lock();
    let caller = caller(&google, &headers, Need::Read)?;
    let (calendar, _) = google.calendar(&caller, &calendar, Need::Read)?;
    let event = calendar.event(&id)?;
    if named(&headers, header::IF_NONE_MATCH).is_some_and(|etag| etag == event.text("etag")) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    Ok(answer(event.resource.clone()))
}

pub(crate) async fn insert(
    State(state): State<Shared>,
    Path(calendar): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let mut google = state.lock();
    let caller = caller(&google, &headers, Need::Write)?;
    edit::insert(&mut google, &caller, &calendar, &body).map(answer)
}

pub(crate) async fn patch(
    State(state): State<Shared>,
    Path((calendar, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let mut google = state.lock();
    let caller = caller(&google, &headers, Need::Write)?;
    edit::patch(&mut google, &caller, &target(&calendar, &id, &headers), &body).map(answer)
}

pub(crate) async fn update(
    State(state): State<Shared>,
    Path((calendar, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let mut google = state.lock();
    let caller = caller(&google, &headers, Need::Write)?;
    edit::replace(&mut google, &caller, &target(&calendar, &id, &headers), &body).map(answer)
}

pub(crate) async fn delete(
    State(state): State<Shared>,
    Path((calendar, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let mut google = state.lock();
    let caller = caller(&google, &headers, Need::Write)?;
    edit::cancel(&mut google, &caller, &target(&calendar, &id, &headers)).map(|_| StatusCode::NO_CONTENT)
}

fn target<'a>(calendar: &'a str, id: &'a str, headers: &'a HeaderMap) -> Target<'a> {
    Target { calendar, id, if_match: named(headers, header::IF_MATCH) }
}

fn named(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn answer(event: Resource) -> Response {
    let etag = event.get("etag").and_then(Value::as_str).unwrap_or_default().to_owned();
    ([(header::ETAG, etag)], Json(event)).into_response()
}
