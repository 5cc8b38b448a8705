//! `events.list`: a stretch of time, page by page.
//! <https://developers.google.com/workspace/calendar/api/v3/reference/events/list>

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::model::access::{Grant, Need};
use crate::model::calendar::{AccessRole, Calendar, Page, StoredEvent};
use crate::model::clock::timestamp;
use crate::model::error::ApiError;
use crate::model::fields::Selection;
use crate::model::form::Form;
use crate::model::google::Google;
use crate::model::id::opaque_id;
use crate::model::resource::span;
use crate::model::series;

const PARAMETERS: &[&str] = &[
    "fields",
    "maxResults",
    "orderBy",
    "pageToken",
    "privateExtendedProperty",
    "showDeleted",
    "singleEvents",
    "timeMax",
    "timeMin",
];

/// They change nothing here: there are no guests and no invitations, and every time is told in its own zone.
const IDLE_PARAMETERS: &[&str] = &[
    "alt",
    "alwaysIncludeEmail",
    "key",
    "maxAttendees",
    "prettyPrint",
    "quotaUser",
    "showHiddenInvitations",
    "timeZone",
];

pub(crate) fn list(
    google: &mut Google,
    caller: &Grant,
    calendar: &str,
    parameters: &Form,
) -> Result<Value, ApiError> {
    let query = Query::parse(parameters)?;
    let selection = Selection::of_list(parameters.get("fields"))?;
    let (calendar, role) = google.calendar(caller, calendar, Need::Read)?;
    let mut answer = head(calendar, role);
    let calendar_id = calendar.id.clone();
    let Page { items, from, .. } = match parameters.get("pageToken") {
        None => {
            let items = Arc::new(query.items(calendar)?);
            Page { calendar_id: calendar_id.clone(), items, from: 0 }
        }
        Some(token) => {
            let known = google.pages.iter().find(|(known, _)| known == token).map(|(_, page)| page.clone());
            let page = known.filter(|page| page.calendar_id == calendar_id);
            page.ok_or_else(|| ApiError::invalid("Invalid page token value."))?
        }
    };
    let to = items.len().min(from + query.max_results);
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("items".to_owned(), items.get(from..to).unwrap_or_default().into());
        if to < items.len() {
            let token = opaque_id();
            answer.insert("nextPageToken".to_owned(), token.as_str().into());
            if google.pages.len() >= KEPT_PAGES {
                google.pages.remove(0);
            }
            google.pages.push((token, Page { calendar_id, items, from: to }));
        }
    }
    Ok(selection.of(answer))
}

/// How many page tokens are remembered; older ones are not valid any more.
const KEPT_PAGES: usize = 200;

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
    if event.is_cancelled() {
        return series::cancelled(&event.resource).into();
    }
    event.resource.clone().into()
}

#[derive(Clone, Copy)]
enum Order {
    StartTime,
    Updated,
}

struct Query {
    time_min: Option<DateTime<Utc>>,
    time_max: Option<DateTime<Utc>>,
    max_results: usize,
    single_events: bool,
    show_deleted: bool,
    order_by: Option<Order>,
    /// Names and values that an event must have, all of them.
    private_properties: Vec<(String, String)>,
}

impl Query {
    fn parse(parameters: &Form) -> Result<Self, ApiError> {
        let is_known = |field: &&str| PARAMETERS.contains(field) || IDLE_PARAMETERS.contains(field);
        if let Some(unknown) = parameters.fields().find(|field| !is_known(field)) {
            return Err(ApiError::beyond(&format!("does not know the parameter {unknown} of events.list")));
        }
        let (time_min, time_max) = (time(parameters, "timeMin")?, time(parameters, "timeMax")?);
        if time_min.zip(time_max).is_some_and(|(min, max)| min >= max) {
            return Err(ApiError::of("timeRangeEmpty"));
        }
        let single_events = flag(parameters, "singleEvents")?;
        let order_by = match parameters.get("orderBy") {
            None => None,
            Some("startTime") if single_events => Some(Order::StartTime),
            Some("startTime") => {
                return Err(ApiError::invalid(
                    "The requested ordering is not available for the particular query.",
                ));
            }
            Some("updated") => Some(Order::Updated),
            Some(_) => return Err(ApiError::invalid("Invalid value for: orderBy")),
        };
        let max_results = match parameters.get("maxResults").map(str::parse) {
            None => 250,
            Some(Ok(count @ 1..)) => count,
            Some(_) => return Err(ApiError::invalid("Invalid value for: maxResults")),
        };
        let private_properties = parameters.all("privateExtendedProperty").map(property);
        let private_properties = private_properties.collect::<Result<_, _>>()?;
        Ok(Self {
            time_min,
            time_max,
            max_results: max_results.min(2500),
            single_events,
            show_deleted: flag(parameters, "showDeleted")?,
            order_by,
            private_properties,
        })
    }

    fn items(&self, calendar: &Calendar) -> Result<Vec<Value>, ApiError> {
        let shown = || calendar.events.iter().filter(|event| self.show_deleted || calendar.shows(event));
        if self.single_events && shown().any(StoredEvent::is_series) {
            return Err(ApiError::beyond("does not expand recurring events"));
        }
        let mut matching: Vec<_> = shown().filter(|event| self.matches(event)).collect();
        match self.order_by {
            Some(Order::StartTime) => matching.sort_by_key(|event| span(&event.resource).ok()),
            Some(Order::Updated) => matching.sort_by_key(|event| event.text("updated").to_owned()),
            None => {}
        }
        Ok(matching.into_iter().map(item).collect())
    }

    /// Of a series some instance must be within the time; of an instance that does not take place, when it would.
    fn matches(&self, event: &StoredEvent) -> bool {
        let Ok((start, end)) = span(&event.resource) else { return false };
        let end = if event.is_series() { series::end(&event.resource) } else { Some(end) };
        self.time_min.zip(end).is_none_or(|(min, end)| end > min)
            && self.time_max.is_none_or(|max| start < max)
            && self.private_properties.iter().all(|(name, value)| {
                let properties = event.resource.get("extendedProperties");
                let found = properties.and_then(|properties| properties.get("private")?.get(name));
                found.and_then(Value::as_str) == Some(value)
            })
    }
}

fn flag(parameters: &Form, field: &str) -> Result<bool, ApiError> {
    match parameters.get(field) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(ApiError::invalid(format!("Invalid value for: {field}"))),
    }
}

/// `name=value`
fn property(text: &str) -> Result<(String, String), ApiError> {
    let invalid = || ApiError::invalid("Invalid value for: privateExtendedProperty");
    let (name, value) = text.split_once('=').ok_or_else(invalid)?;
    Ok((name.to_owned(), value.to_owned()))
}

fn time(parameters: &Form, field: &str) -> Result<Option<DateTime<Utc>>, ApiError> {
    let parsed = parameters.get(field).map(DateTime::parse_from_rfc3339).transpose();
    parsed.map(|time| time.map(|time| time.to_utc())).map_err(|_| ApiError::of("badRequest"))
}
