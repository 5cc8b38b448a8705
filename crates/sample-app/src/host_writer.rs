//! An app that keeps its sessions in the watched calendar, too: what `recalculate-schedule` has planned is written
//! there behind it, in the style that was chosen for the user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use chrono::{DateTime, Utc};
use reqwest::Method;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use crate::connected_calendar::{CalendarError, ConnectedCalendar, Slot};
use crate::host_writes::{self, HostWrites, Planned};
use crate::services::{Services, rows};

pub(crate) struct HostWriter {
    services: Arc<Services>,
    /// The calendar is read and then written: one write for a user at a time.
    turns: Mutex<HashMap<Uuid, Arc<tokio::sync::Mutex<()>>>>,
    style: HostWrites,
    /// Of the users for whom something else was chosen.
    style_of: Mutex<HashMap<Uuid, HostWrites>>,
}

#[derive(Deserialize)]
struct Session {
    id: Uuid,
    title: String,
    #[serde(deserialize_with = "timestamp")]
    starts_at: DateTime<Utc>,
    #[serde(deserialize_with = "timestamp")]
    ends_at: DateTime<Utc>,
}

impl HostWriter {
    pub(crate) fn new(services: Arc<Services>, style: HostWrites) -> Self {
        Self { services, turns: Mutex::default(), style, style_of: Mutex::default() }
    }

    pub(crate) fn services(&self) -> &Services {
        &self.services
    }

    pub(crate) fn style(&self, user: Uuid) -> HostWrites {
        let chosen = self.style_of.lock().unwrap_or_else(PoisonError::into_inner).get(&user).copied();
        chosen.unwrap_or(self.style)
    }

    /// For this user from now on.
    pub(crate) fn choose(&self, user: Uuid, style: HostWrites) {
        self.style_of.lock().unwrap_or_else(PoisonError::into_inner).insert(user, style);
    }

    /// Whether anything is written for anybody.
    pub(crate) fn is_in_use(&self) -> bool {
        self.style != HostWrites::None
            || !self.style_of.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The calendar of one connection of a user.
    pub(crate) async fn calendar(
        &self,
        user: Uuid,
        connection: Uuid,
    ) -> Result<ConnectedCalendar<'_>, CalendarError> {
        ConnectedCalendar::of(&self.services, user, connection).await
    }

    /// Makes the calendar hold the user's sessions as they are, with the access token that the connection's row holds.
    pub(crate) async fn write(&self, user: Uuid, connection: Uuid) -> Result<()> {
        let style = self.style(user);
        if style == HostWrites::None {
            return Ok(());
        }
        let _turn = self.turn(user).await;
        let mut calendar = self.calendar(user, connection).await?;
        let planned = self.sessions(user, connection).await?;
        Ok(host_writes::write(style, &mut calendar, &planned).await?)
    }

    /// Takes a user's sessions out of the calendar, into which they are not written any more.
    pub(crate) async fn withdraw(&self, user: Uuid, connection: Uuid) -> Result<()> {
        let _turn = self.turn(user).await;
        let mut calendar = self.calendar(user, connection).await?.that_renews_its_token();
        Ok(host_writes::withdraw(&mut calendar).await?)
    }

    /// Adds one more event to the watched calendar, so late that no session is in its way: the kind of function whose
    /// every run causes the next notification, and a calendar that is never as the run before found it.
    pub(crate) async fn write_event(&self, user: Uuid, connection: Uuid) -> Result<()> {
        let event = json!({
            "summary": "Planned",
            "start": { "dateTime": "2099-01-01T00:00:00Z" },
            "end": { "dateTime": "2099-01-01T00:15:00Z" },
        });
        self.calendar(user, connection).await?.insert::<Value>(&event).await?;
        Ok(())
    }

    async fn turn(&self, user: Uuid) -> OwnedMutexGuard<()> {
        let turn = self.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(user).or_default().clone();
        turn.lock_owned().await
    }

    async fn sessions(&self, user: Uuid, connection: Uuid) -> Result<Vec<Planned>> {
        let query = [
            ("user_id", format!("eq.{user}")),
            ("or", format!("(connection_id.is.null,connection_id.eq.{connection})")),
            ("order", "preferred_starts_at,id".to_owned()),
            ("select", "id,title,starts_at,ends_at".to_owned()),
        ];
        let found: Vec<Session> = rows(self.services.rest(Method::GET, "sessions").query(&query)).await?;
        let planned = found.into_iter().map(|Session { id, title, starts_at, ends_at }| Planned {
            session: id,
            title,
            slot: Slot { start: starts_at, end: ends_at },
        });
        Ok(planned.collect())
    }
}

/// PostgREST writes `2026-01-01T00:00:00+00:00`, lite `2026-01-01 00:00:00+00`.
fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    let text = String::deserialize(deserializer)?;
    DateTime::parse_from_str(&text.replacen('T', " ", 1), "%Y-%m-%d %H:%M:%S%.f%#z")
        .map(|time| time.to_utc())
        .map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_read_as_postgrest_and_as_lite_write_them() {
        for text in [
            "2026-01-02T03:04:05+00:00",
            "2026-01-02T03:04:05.000000+00:00",
            "2026-01-02 03:04:05+00",
            "2026-01-02T05:04:05+02:00",
        ] {
            let time = timestamp(Value::from(text)).unwrap();
            assert_eq!(crate::connected_calendar::format_time(time), "2026-01-02T03:04:05Z", "{text}");
        }
    }
}
