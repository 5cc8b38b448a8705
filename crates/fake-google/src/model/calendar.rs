//! Calendars: who may see them, what is in them.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::clock::{now, timestamp};
use crate::model::error::ApiError;
use crate::model::id::opaque_id;
use crate::model::series;

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

#[derive(Clone)]
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

    pub(crate) fn is_series(&self) -> bool {
        series::is_series(&self.resource)
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

    /// An event by id, or an instance of a series by what its id would be.
    pub(crate) fn event(&self, id: &str) -> Result<StoredEvent, ApiError> {
        let stored = |id: &str| self.events.iter().find(|event| event.text("id") == id);
        let instance = || {
            let (series, _) = id.rsplit_once('_')?;
            let series = stored(series).filter(|event| event.is_series() && !event.is_cancelled())?;
            Some(StoredEvent { resource: series::instance(&series.resource, id)? })
        };
        stored(id).cloned().or_else(instance).ok_or_else(|| ApiError::of("notFound"))
    }

    /// Whether an event is there, and not only the memory of one.
    pub(crate) fn shows(&self, event: &StoredEvent) -> bool {
        let series = event.text("recurringEventId");
        if series.is_empty() {
            return !event.is_cancelled();
        }
        self.events.iter().any(|event| event.text("id") == series && !event.is_cancelled())
    }

    /// Puts the event in the place of the one with its id, or at the end. → as stored.
    pub(crate) fn store(&mut self, resource: Map<String, Value>) -> Map<String, Value> {
        let stored = self.stamp(resource);
        let resource = stored.resource.clone();
        match self.events.iter_mut().find(|event| event.text("id") == stored.text("id")) {
            Some(event) => *event = stored,
            None => self.events.push(stored),
        }
        resource
    }

    /// Puts an event at the end that has an id of its own, without searching for another that has it.
    pub(crate) fn append(&mut self, resource: Map<String, Value>) {
        let stored = self.stamp(resource);
        self.events.push(stored);
    }

    fn stamp(&mut self, mut resource: Map<String, Value>) -> StoredEvent {
        self.version += 1;
        self.updated = now();
        resource.insert("etag".to_owned(), format!("\"{:016}\"", self.version).into());
        resource.insert("updated".to_owned(), timestamp(self.updated).into());
        StoredEvent { resource }
    }
}

/// What a `nextPageToken` stands for: the rest of a list, as it was when the first page was made.
#[derive(Clone)]
pub(crate) struct Page {
    pub(crate) calendar_id: String,
    pub(crate) items: Arc<Vec<Value>>,
    /// Where the page begins.
    pub(crate) from: usize,
}
