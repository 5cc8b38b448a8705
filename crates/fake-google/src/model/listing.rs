//! `events.list`: a stretch of time, page by page.
//! <https://developers.google.com/workspace/calendar/api/v3/reference/events/list>

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::model::access::{Grant, Need};
use crate::model::calendar::{AccessRole, Calendar, Page, StoredEvent};
use crate::model::clock::timestamp;
use crate::model::error::ApiError;
use crate::model::event;
use crate::model::form::Form;
use crate::model::google::Google;
use crate::model::id::opaque_id;

/// Those that change nothing here are `alt`, `fields` and `singleEvents`.
const PARAMETERS: [&str; 7] =
    ["alt", "fields", "maxResults", "pageToken", "singleEvents", "timeMax", "timeMin"];

pub(crate) fn list(
    google: &mut Google,
    caller: &Grant,
    calendar: &str,
    parameters: &Form,
) -> Result<Value, ApiError> {
    let query = Query::parse(parameters)?;
    let (calendar, role) = google.calendar(caller, calendar, Need::Read)?;
    let mut answer = head(calendar, role);
    let calendar_id = calendar.id.clone();
    let mut items = match parameters.get("pageToken") {
        None => calendar.events.iter().filter(|event| query.matches(event)).map(item).collect(),
        Some(token) => {
            let page = google.pages.get(token).filter(|page| page.calendar_id == calendar_id);
            page.ok_or_else(|| ApiError::invalid("Invalid page token value."))?.items.clone()
        }
    };
    let rest = items.split_off(query.max_results.min(items.len()));
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("items".to_owned(), items.into());
        if !rest.is_empty() {
            let token = opaque_id();
            answer.insert("nextPageToken".to_owned(), token.as_str().into());
            google.pages.insert(token, Page { calendar_id, items: rest });
        }
    }
    Ok(answer)
}

fn head(calendar: &Calendar, role: AccessRole) -> Value {
    json!({
        "kind": "calendar#events",
        "etag": calendar.etag(),
        "summary": calendar.id,
        "updated": timestamp(calendar.updated),
        "timeZone": "UTC",
        "accessRole": role,
        "defaultReminders": [],
    })
}

fn item(event: &StoredEvent) -> Value {
    event.resource.clone().into()
}

struct Query {
    time_min: Option<DateTime<Utc>>,
    time_max: Option<DateTime<Utc>>,
    max_results: usize,
}

impl Query {
    fn parse(parameters: &Form) -> Result<Self, ApiError> {
        if let Some(unknown) = parameters.fields().find(|field| !PARAMETERS.contains(field)) {
            return Err(ApiError::invalid(format!("fake-google does not know the parameter {unknown}")));
        }
        let (time_min, time_max) = (time(parameters, "timeMin")?, time(parameters, "timeMax")?);
        if time_min.zip(time_max).is_some_and(|(min, max)| min >= max) {
            return Err(ApiError::of("timeRangeEmpty"));
        }
        if !matches!(parameters.get("singleEvents"), None | Some("false" | "true")) {
            return Err(ApiError::invalid("Invalid value for: singleEvents"));
        }
        let max_results = match parameters.get("maxResults").map(str::parse) {
            None => 250,
            Some(Ok(count @ 1..)) => count,
            Some(_) => return Err(ApiError::invalid("Invalid value for: maxResults")),
        };
        Ok(Self { time_min, time_max, max_results: max_results.min(2500) })
    }

    fn matches(&self, event: &StoredEvent) -> bool {
        let Ok((start, end)) = event::span(&event.resource) else { return false };
        !event.is_cancelled()
            && self.time_min.is_none_or(|min| end > min)
            && self.time_max.is_none_or(|max| start < max)
    }
}

fn time(parameters: &Form, field: &str) -> Result<Option<DateTime<Utc>>, ApiError> {
    let parsed = parameters.get(field).map(DateTime::parse_from_rfc3339).transpose();
    parsed.map(|time| time.map(|time| time.to_utc())).map_err(|_| ApiError::of("badRequest"))
}
