//! Partial responses: `fields=kind,items(id,start/dateTime)`.
//! <https://developers.google.com/workspace/calendar/api/guides/performance#partial>

use serde_json::{Map, Value};

use crate::model::error::ApiError;

/// The fields of a list of events.
const LIST: [&str; 12] = [
    "accessRole",
    "defaultReminders",
    "description",
    "etag",
    "items",
    "kind",
    "nextPageToken",
    "nextSyncToken",
    "summary",
    "timeZone",
    "updated",
    "*",
];

/// The fields of an event.
const EVENT: [&str; 44] = [
    "anyoneCanAddSelf",
    "attachments",
    "attendees",
    "attendeesOmitted",
    "birthdayProperties",
    "colorId",
    "conferenceData",
    "created",
    "creator",
    "description",
    "end",
    "endTimeUnspecified",
    "etag",
    "eventType",
    "extendedProperties",
    "focusTimeProperties",
    "gadget",
    "guestsCanInviteOthers",
    "guestsCanModify",
    "guestsCanSeeOtherGuests",
    "hangoutLink",
    "htmlLink",
    "iCalUID",
    "id",
    "kind",
    "location",
    "locked",
    "organizer",
    "originalStartTime",
    "outOfOfficeProperties",
    "privateCopy",
    "recurrence",
    "recurringEventId",
    "reminders",
    "sequence",
    "source",
    "start",
    "status",
    "summary",
    "transparency",
    "updated",
    "visibility",
    "workingLocationProperties",
    "*",
];

/// What is selected of an object: its fields, each with what is selected of it; nothing = all of it.
#[derive(Default)]
pub(crate) struct Selection(Vec<(String, Selection)>);

impl Selection {
    /// Of the answer to `events.list`.
    pub(crate) fn of_list(fields: Option<&str>) -> Result<Self, ApiError> {
        let Some(fields) = fields else { return Ok(Self::default()) };
        let invalid =
            |what: &str| ApiError::new(400, "invalidParameter", format!("Invalid field selection {what}"));
        let (selection, rest) = Self::parse(fields).ok_or_else(|| invalid(fields))?;
        if !rest.is_empty() {
            return Err(invalid(fields));
        }
        for (name, inner) in &selection.0 {
            if !LIST.contains(&name.as_str()) {
                return Err(invalid(name));
            }
            let unknown = inner.0.iter().find(|(name, _)| !EVENT.contains(&name.as_str()));
            if let Some((unknown, _)) = unknown.filter(|_| name == "items") {
                return Err(invalid(unknown));
            }
        }
        Ok(selection)
    }

    /// A list of fields, and what comes behind it.
    fn parse(mut text: &str) -> Option<(Self, &str)> {
        let mut selection = Self::default();
        loop {
            let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '*').unwrap_or(text.len());
            let (name, mut rest) = text.split_at_checked(end).filter(|(name, _)| !name.is_empty())?;
            let mut inner = Self::default();
            if let Some(list) = rest.strip_prefix('(') {
                (inner, rest) = Self::parse(list)?;
                rest = rest.strip_prefix(')')?;
            } else if let Some(path) = rest.strip_prefix('/') {
                // Only the next name belongs to the path.
                let end = path.find([',', ')']).unwrap_or(path.len());
                let (path, behind) = path.split_at_checked(end)?;
                inner = Self::parse(path).filter(|(_, left)| left.is_empty())?.0;
                rest = behind;
            }
            selection.0.push((name.to_owned(), inner));
            match rest.strip_prefix(',') {
                Some(next) => text = next,
                None => return Some((selection, rest)),
            }
        }
    }

    /// What of a value is selected.
    pub(crate) fn of(&self, value: Value) -> Value {
        match value {
            value if self.0.is_empty() => value,
            Value::Array(items) => items.into_iter().map(|item| self.of(item)).collect(),
            Value::Object(object) => {
                let selected = object.into_iter().filter_map(|(name, value)| {
                    let named = self.0.iter().find(|(field, _)| *field == name || field == "*");
                    named.map(|(_, inner)| (name, inner.of(value)))
                });
                selected.collect::<Map<_, _>>().into()
            }
            value => value,
        }
    }
}
