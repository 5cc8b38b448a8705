//! One event as a resource: what may be written to it, and what is then in it.

use serde_json::{Map, Value, json};

use crate::model::clock::{now, timestamp};
use crate::model::error::ApiError;
use crate::model::id::opaque_id;
use crate::model::resource::{Resource, span};
use crate::model::series;

/// What a writer decides; everything else in a request is ignored.
const WRITABLE: [&str; 24] = [
    "anyoneCanAddSelf",
    "attachments",
    "attendees",
    "attendeesOmitted",
    "colorId",
    "conferenceData",
    "description",
    "end",
    "eventType",
    "extendedProperties",
    "focusTimeProperties",
    "guestsCanInviteOthers",
    "guestsCanModify",
    "guestsCanSeeOtherGuests",
    "location",
    "outOfOfficeProperties",
    "recurrence",
    "reminders",
    "source",
    "start",
    "status",
    "summary",
    "transparency",
    "visibility",
];

/// A new event from the body of `insert`.
pub(crate) fn create(mut body: Resource, calendar_id: &str, creator: &str) -> Result<Resource, ApiError> {
    let id = match body.remove("id") {
        None | Some(Value::Null) => opaque_id(),
        Some(Value::String(id)) if is_event_id(&id) => id,
        Some(_) => return Err(ApiError::invalid("Invalid resource id value.")),
    };
    let ical_uid = body.remove("iCalUID").filter(Value::is_string);
    let mut event = writable(body)?;
    let defaults = json!({
        "kind": "calendar#event",
        "htmlLink": format!("https://www.google.com/calendar/event?eid={id}"),
        "created": timestamp(now()),
        "creator": {"email": creator, "self": true},
        "organizer": {"email": calendar_id, "self": true},
        "iCalUID": ical_uid.unwrap_or_else(|| format!("{id}@google.com").into()),
        "id": id,
        "sequence": 0,
        "status": "confirmed",
        "reminders": {"useDefault": true},
        "eventType": "default",
    });
    if let Value::Object(defaults) = defaults {
        for (field, value) in defaults {
            event.entry(field).or_insert(value);
        }
    }
    span(&event)?;
    series::check(&event)?;
    Ok(event)
}

/// The event with the fields of the body merged into it; `null` removes one.
pub(crate) fn patched(event: &Resource, body: Resource) -> Result<Resource, ApiError> {
    let mut next = event.clone();
    merge(&mut next, writable(body)?);
    finish(event, next)
}

/// The event with every field that a writer decides taken from the body.
pub(crate) fn replaced(event: &Resource, body: Resource) -> Result<Resource, ApiError> {
    let mut next = event.clone();
    next.retain(|field, _| !WRITABLE.contains(&field.as_str()));
    next.extend(writable(body)?);
    for (field, value) in [("status", "confirmed"), ("eventType", "default")] {
        next.entry(field).or_insert(value.into());
    }
    next.entry("reminders").or_insert(json!({"useDefault": true}));
    finish(event, next)
}

fn finish(before: &Resource, mut next: Resource) -> Result<Resource, ApiError> {
    let (old, new) = (span(before)?, span(&next)?);
    series::check(&next)?;
    if old != new {
        let sequence = before.get("sequence").and_then(Value::as_u64).unwrap_or_default() + 1;
        next.insert("sequence".to_owned(), sequence.into());
    }
    Ok(next)
}

fn writable(mut body: Resource) -> Result<Resource, ApiError> {
    body.retain(|field, _| WRITABLE.contains(&field.as_str()));
    let one_of = |field: &str, values: &[&str]| match body.get(field) {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(value)) if values.contains(&value.as_str()) => Ok(()),
        Some(value) => Err(ApiError::invalid(format!("Invalid value for: {field}: {value}"))),
    };
    one_of("status", &["confirmed", "tentative", "cancelled"])?;
    one_of("transparency", &["opaque", "transparent"])?;
    for kind in ["private", "shared"] {
        let properties = body.get("extendedProperties").and_then(|properties| properties.get(kind));
        let mut values = properties.and_then(Value::as_object).into_iter().flat_map(Map::values);
        if !values.all(|value| value.is_string() || value.is_null()) {
            return Err(ApiError::invalid(format!("Invalid value for: extendedProperties.{kind}")));
        }
    }
    Ok(body)
}

/// JSON Merge Patch (RFC 7396).
fn merge(target: &mut Resource, patch: Resource) {
    for (field, value) in patch {
        match (target.get_mut(&field), value) {
            (_, Value::Null) => drop(target.remove(&field)),
            (Some(Value::Object(inner)), Value::Object(patch)) => merge(inner, patch),
            (_, Value::Object(patch)) => {
                let mut inner = Resource::new();
                merge(&mut inner, patch);
                target.insert(field, inner.into());
            }
            (_, value) => drop(target.insert(field, value)),
        }
    }
}

/// Base32hex, as Google demands of ids that are not its own.
fn is_event_id(id: &str) -> bool {
    (5..=1024).contains(&id.len()) && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'v'))
}
