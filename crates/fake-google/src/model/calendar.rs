//! Calendars: who may see them, what is in them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::clock::{now, timestamp};
use crate::model::error::ApiError;
use crate::model::id::opaque_id;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AccessRole {
    Reader,
    Writer,
    Owner,
}

pub(crate) struct Calendar {
    pub(crate) id: String,
    pub(crate) resource_id: String,
    pub(crate) push: bool,
    /// By e-mail address.
    pub(crate) members: BTreeMap<String, AccessRole>,
    /// Counts the changes.
    pub(crate) version: u64,
    pub(crate) updated: DateTime<Utc>,
    /// Deleted ones stay, with status `cancelled`: their ids are used up.
    pub(crate) events: Vec<StoredEvent>,
}

pub(crate) struct StoredEvent {
    pub(crate) resource: Map<String, Value>,
}

impl StoredEvent {
    pub(crate) fn text(&self, field: &str) -> &str {
        self.resource.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.text("status") == "cancelled"
    }
}

impl Calendar {
    pub(crate) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            resource_id: opaque_id(),
            push: true,
            members: BTreeMap::new(),
            version: 0,
            updated: now(),
            events: Vec::new(),
        }
    }

    pub(crate) fn primary(email: &str) -> Self {
        let members = BTreeMap::from([(email.to_owned(), AccessRole::Owner)]);
        Self { members, ..Self::new(email) }
    }

    /// Unlike any that was or will be given out, because the version of a calendar only grows.
    pub(crate) fn etag(&self) -> String {
        format!("\"p{:016}\"", self.version)
    }

    pub(crate) fn event(&mut self, id: &str) -> Result<&mut StoredEvent, ApiError> {
        self.events.iter_mut().find(|event| event.text("id") == id).ok_or_else(|| ApiError::of("notFound"))
    }

    /// Puts the event in the place of the one with its id, or at the end. → as stored.
    pub(crate) fn store(&mut self, mut resource: Map<String, Value>) -> Map<String, Value> {
        self.version += 1;
        self.updated = now();
        resource.insert("etag".to_owned(), format!("\"{:016}\"", self.version).into());
        resource.insert("updated".to_owned(), timestamp(self.updated).into());
        let stored = StoredEvent { resource: resource.clone() };
        match self.events.iter_mut().find(|event| event.text("id") == stored.text("id")) {
            Some(event) => *event = stored,
            None => self.events.push(stored),
        }
        resource
    }
}

/// What a `nextPageToken` stands for: the rest of a list, as it was when the first page was made.
pub(crate) struct Page {
    pub(crate) calendar_id: String,
    pub(crate) items: Vec<Value>,
}
