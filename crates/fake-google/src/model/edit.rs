//! What is done to events, and who is told.

use serde_json::{Map, Value};

use crate::model::access::{Grant, Need};
use crate::model::error::ApiError;
use crate::model::event;
use crate::model::google::Google;
use crate::model::notify::notify_change;
use crate::model::resource::Resource;

/// An event of a calendar, and the tag of the only version that the caller means, if it names one.
pub(crate) struct Target<'a> {
    pub(crate) calendar: &'a str,
    pub(crate) id: &'a str,
    pub(crate) if_match: Option<&'a str>,
}

/// → the event as it is now stored, as is every answer here.
pub(crate) fn insert(
    google: &mut Google,
    caller: &Grant,
    calendar: &str,
    body: &[u8],
) -> Result<Resource, ApiError> {
    let (calendar, _) = google.calendar(caller, calendar, Need::Write)?;
    let event = event::create(parse(body)?, &calendar.id, &caller.email)?;
    if event.get("id").and_then(Value::as_str).is_some_and(|id| calendar.event(id).is_ok()) {
        return Err(ApiError::of("duplicate"));
    }
    let (calendar_id, stored) = (calendar.id.clone(), calendar.store(event));
    notify_change(google, &calendar_id);
    Ok(stored)
}

pub(crate) fn patch(
    google: &mut Google,
    caller: &Grant,
    target: &Target<'_>,
    body: &[u8],
) -> Result<Resource, ApiError> {
    change(google, caller, target, |event| event::patched(event, parse(body)?))
}

pub(crate) fn replace(
    google: &mut Google,
    caller: &Grant,
    target: &Target<'_>,
    body: &[u8],
) -> Result<Resource, ApiError> {
    change(google, caller, target, |event| event::replaced(event, parse(body)?))
}

pub(crate) fn cancel(google: &mut Google, caller: &Grant, target: &Target<'_>) -> Result<Resource, ApiError> {
    change(google, caller, target, |event| match event.get("status").and_then(Value::as_str) {
        Some("cancelled") => Err(ApiError::of("deleted")),
        _ => event::patched(event, Map::from_iter([("status".to_owned(), "cancelled".into())])),
    })
}

fn change(
    google: &mut Google,
    caller: &Grant,
    target: &Target<'_>,
    next: impl FnOnce(&Resource) -> Result<Resource, ApiError>,
) -> Result<Resource, ApiError> {
    let (calendar, _) = google.calendar(caller, target.calendar, Need::Write)?;
    // The first change of an instance makes an exception of it.
    let event = calendar.event(target.id)?;
    if target.if_match.is_some_and(|etag| etag != "*" && etag != event.text("etag")) {
        return Err(ApiError::of("conditionNotMet"));
    }
    let next = next(&event.resource)?;
    let (calendar_id, stored) = (calendar.id.clone(), calendar.store(next));
    notify_change(google, &calendar_id);
    Ok(stored)
}

fn parse(body: &[u8]) -> Result<Resource, ApiError> {
    serde_json::from_slice(body).map_err(|_| ApiError::of("parseError"))
}
