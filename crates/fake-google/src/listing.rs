//! `events.list`: filters, pages, incremental synchronization.
//! <https://developers.google.com/workspace/calendar/api/guides/sync>

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::access::{Grant, Need};
use crate::calendar::{AccessRole, Calendar, StoredEvent, timestamp};
use crate::errors::ApiError;
use crate::event;
use crate::oauth::Form;
use crate::state::{State, opaque_id};

/// What may not be combined with a `syncToken`.
const RESTRICTIONS: [&str; 8] = [
    "iCalUID",
    "orderBy",
    "privateExtendedProperty",
    "q",
    "sharedExtendedProperty",
    "timeMin",
    "timeMax",
    "updatedMin",
];

/// What a `nextSyncToken` stands for.
#[derive(Clone)]
pub(crate) struct SyncPoint {
    calendar_id: String,
    /// The calendar's, when the first page was made.
    version: u64,
    time_min: Option<DateTime<Utc>>,
    time_max: Option<DateTime<Utc>>,
}

/// What a `nextPageToken` stands for: the rest of a list, as it was when the first page was made.
#[derive(Clone)]
pub(crate) struct Page {
    calendar_id: String,
    items: Vec<Value>,
    sync: Option<SyncPoint>,
}

pub(crate) fn list(
    state: &mut State,
    caller: &Grant,
    calendar: &str,
    parameters: &Form,
) -> Result<Value, ApiError> {
    let query = Query::parse(parameters)?;
    let (calendar, role) = state.calendar(caller, calendar, Need::Read)?;
    let mut answer = head(calendar, role);
    let calendar_id = calendar.id.clone();
    let page = match parameters.get("pageToken") {
        Some(token) => {
            let page = state.pages.get(token).filter(|page| page.calendar_id == calendar_id);
            page.cloned().ok_or_else(|| ApiError::invalid("Invalid page token value."))?
        }
        None => {
            let since = match parameters.get("syncToken") {
                Some(token) => {
                    let point = state.sync_points.get(token).filter(|point| point.calendar_id == calendar_id);
                    Some(point.cloned().ok_or_else(|| ApiError::of("fullSyncRequired"))?)
                }
                None => None,
            };
            let (calendar, _) = state.calendar(caller, &calendar_id, Need::Read)?;
            first_page(calendar, &query, since)
        }
    };
    let Page { mut items, sync, .. } = page;
    let rest = items.split_off(query.max_results.min(items.len()));
    let (field, token) = if !rest.is_empty() {
        let token = opaque_id();
        state.pages.insert(token.clone(), Page { calendar_id, items: rest, sync });
        ("nextPageToken", Some(token))
    } else {
        let token = sync.map(|point| {
            let token = format!("C{}=", opaque_id());
            state.sync_points.insert(token.clone(), point);
            token
        });
        ("nextSyncToken", token)
    };
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("items".to_owned(), items.into());
        answer.extend(token.map(|token| (field.to_owned(), token.into())));
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

/// All items, of which the first page is then cut off.
fn first_page(calendar: &Calendar, query: &Query, since: Option<SyncPoint>) -> Page {
    let (time_min, time_max) = match &since {
        Some(point) => (point.time_min, point.time_max),
        None => (query.time_min, query.time_max),
    };
    let mut events: Vec<&StoredEvent> = calendar
        .events
        .iter()
        .filter(|event| {
            if since.as_ref().is_some_and(|point| event.version <= point.version) || !query.matches(event) {
                return false;
            }
            if event.is_cancelled() && (since.is_some() || query.updated_min.is_some()) {
                return true;
            }
            (query.show_deleted || !event.is_cancelled()) && overlaps(event, time_min, time_max)
        })
        .collect();
    match query.order {
        Order::Stored => {}
        Order::Start => events.sort_by_key(|event| event::span(&event.resource).map(|(start, _)| start).ok()),
        Order::Updated => events.sort_by_key(|event| event.version),
    }
    let items = events.into_iter().map(|event| item(event, query.show_deleted)).collect();
    let point = SyncPoint { calendar_id: calendar.id.clone(), version: calendar.version, time_min, time_max };
    Page { calendar_id: calendar.id.clone(), items, sync: query.can_sync.then_some(point) }
}

/// Without `showDeleted`, no more than its id is promised of a deleted event.
fn item(event: &StoredEvent, show_deleted: bool) -> Value {
    if event.is_cancelled() && !show_deleted {
        let (id, etag) = (event.text("id"), event.text("etag"));
        return json!({"kind": "calendar#event", "etag": etag, "id": id, "status": "cancelled"});
    }
    event.resource.clone().into()
}

fn overlaps(event: &StoredEvent, min: Option<DateTime<Utc>>, max: Option<DateTime<Utc>>) -> bool {
    let Ok((start, end)) = event::span(&event.resource) else { return false };
    min.is_none_or(|min| end > min) && max.is_none_or(|max| start < max)
}

enum Order {
    Stored,
    Start,
    Updated,
}

struct Query {
    time_min: Option<DateTime<Utc>>,
    time_max: Option<DateTime<Utc>>,
    updated_min: Option<DateTime<Utc>>,
    order: Order,
    show_deleted: bool,
    max_results: usize,
    ical_uid: Option<String>,
    /// In lower case, all of which must occur.
    words: Vec<String>,
    /// `private` or `shared`, name, value.
    properties: Vec<(&'static str, String, String)>,
    /// Whether a `nextSyncToken` can continue this query.
    can_sync: bool,
}

impl Query {
    fn parse(parameters: &Form) -> Result<Self, ApiError> {
        let restricted = |field: &&str| parameters.get(field).is_some();
        if parameters.get("syncToken").is_some()
            && (RESTRICTIONS.iter().any(restricted) || parameters.get("showDeleted") == Some("false"))
        {
            let message = "Sync token cannot be used with other query restrictions.";
            return Err(ApiError::new(400, "badRequest", message));
        }
        let (time_min, time_max) = (time(parameters, "timeMin")?, time(parameters, "timeMax")?);
        if time_min.zip(time_max).is_some_and(|(min, max)| min >= max) {
            return Err(ApiError::of("timeRangeEmpty"));
        }
        let single_events = flag(parameters, "singleEvents")?;
        let order = match parameters.get("orderBy") {
            None => Order::Stored,
            Some("updated") => Order::Updated,
            Some("startTime") if single_events => Order::Start,
            Some("startTime") => {
                let message = "The requested ordering is not available for the particular query.";
                return Err(ApiError::new(400, "badRequest", message));
            }
            Some(_) => return Err(ApiError::invalid("Invalid value for: orderBy")),
        };
        let max_results = match parameters.get("maxResults").map(str::parse) {
            None => 250,
            Some(Ok(count @ 1..)) => count,
            Some(_) => return Err(ApiError::invalid("Invalid value for: maxResults")),
        };
        let mut properties = Vec::new();
        for (kind, field) in [("private", "privateExtendedProperty"), ("shared", "sharedExtendedProperty")] {
            for constraint in parameters.all(field) {
                let (name, value) = constraint
                    .split_once('=')
                    .ok_or_else(|| ApiError::invalid(format!("Invalid value for: {field}")))?;
                properties.push((kind, name.to_owned(), value.to_owned()));
            }
        }
        let unsyncable = |field: &&str| !matches!(*field, "timeMin" | "timeMax") && restricted(field);
        Ok(Self {
            time_min,
            time_max,
            updated_min: time(parameters, "updatedMin")?,
            order,
            show_deleted: flag(parameters, "showDeleted")?,
            max_results: max_results.min(2500),
            ical_uid: parameters.get("iCalUID").map(str::to_owned),
            words: parameters
                .get("q")
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_lowercase)
                .collect(),
            properties,
            can_sync: !RESTRICTIONS.iter().any(unsyncable),
        })
    }

    /// The filters that have nothing to do with when the event takes place or whether it still does.
    fn matches(&self, event: &StoredEvent) -> bool {
        let property = |(kind, name, value): &(&str, String, String)| {
            let properties = event.resource.get("extendedProperties").and_then(|all| all.get(kind));
            properties.and_then(|properties| properties.get(name)).and_then(Value::as_str) == Some(value)
        };
        let updated = || DateTime::parse_from_rfc3339(event.text("updated")).ok();
        self.properties.iter().all(property)
            && self.ical_uid.as_ref().is_none_or(|uid| uid == event.text("iCalUID"))
            && self.updated_min.is_none_or(|min| updated().is_some_and(|updated| updated >= min))
            && (self.words.is_empty() || {
                let text = searched_text(event);
                self.words.iter().all(|word| text.contains(word))
            })
    }
}

fn searched_text(event: &StoredEvent) -> String {
    let people = event.resource.get("attendees").and_then(Value::as_array).into_iter().flatten();
    let people = people.flat_map(|person| [person.get("displayName"), person.get("email")]);
    let people = people.map(|text| text.and_then(Value::as_str).unwrap_or_default());
    let fields = ["summary", "description", "location"].into_iter().map(|field| event.text(field));
    fields.chain(people).collect::<Vec<_>>().join("\n").to_lowercase()
}

fn time(parameters: &Form, field: &str) -> Result<Option<DateTime<Utc>>, ApiError> {
    let parsed = parameters.get(field).map(DateTime::parse_from_rfc3339).transpose();
    parsed.map(|time| time.map(|time| time.to_utc())).map_err(|_| ApiError::of("badRequest"))
}

fn flag(parameters: &Form, field: &str) -> Result<bool, ApiError> {
    match parameters.get(field) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(ApiError::invalid(format!("Invalid value for: {field}"))),
    }
}
