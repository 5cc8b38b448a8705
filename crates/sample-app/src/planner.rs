//! What the app does in a run: reads the user's events from Google, moves the sessions out of their way, and writes
//! them into the calendar if the app does that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use crate::connected_calendar::{CalendarError, ConnectedCalendar, Event, Which, format_time};
use crate::host_writes::{self, HostWrites, Planned};
use crate::plan::{Slot, plan};
use crate::services::{Services, rows};

/// How far after the last session a free slot is looked for.
const HORIZON: TimeDelta = TimeDelta::days(14);

pub(crate) struct Planner {
    services: Arc<Services>,
    /// Sessions are read and then written: one plan of a user at a time.
    turns: Mutex<HashMap<Uuid, Arc<tokio::sync::Mutex<()>>>>,
    host_writes: HostWrites,
    /// Of the users for whom something else was chosen.
    host_writes_of: Mutex<HashMap<Uuid, HostWrites>>,
}

#[derive(Deserialize)]
struct Session {
    id: Uuid,
    title: String,
    #[serde(deserialize_with = "timestamp")]
    preferred_starts_at: DateTime<Utc>,
    #[serde(deserialize_with = "timestamp")]
    starts_at: DateTime<Utc>,
    #[serde(deserialize_with = "timestamp")]
    ends_at: DateTime<Utc>,
}

impl Session {
    fn current(&self) -> Slot {
        Slot { start: self.starts_at, end: self.ends_at }
    }

    fn preferred(&self) -> Slot {
        let length = self.ends_at - self.starts_at;
        Slot { start: self.preferred_starts_at, end: self.preferred_starts_at + length }
    }
}

impl Planner {
    pub(crate) fn new(services: Arc<Services>, host_writes: HostWrites) -> Self {
        Self { services, turns: Mutex::default(), host_writes, host_writes_of: Mutex::default() }
    }

    pub(crate) fn services(&self) -> &Services {
        &self.services
    }

    pub(crate) fn host_writes(&self, user: Uuid) -> HostWrites {
        let chosen = self.host_writes_of.lock().unwrap_or_else(PoisonError::into_inner).get(&user).copied();
        chosen.unwrap_or(self.host_writes)
    }

    /// For the runs of this user from now on.
    pub(crate) fn choose_host_writes(&self, user: Uuid, host_writes: HostWrites) {
        self.host_writes_of.lock().unwrap_or_else(PoisonError::into_inner).insert(user, host_writes);
    }

    /// Takes a user's sessions out of the calendar, into which no run writes them any more.
    pub(crate) async fn withdraw(&self, user: Uuid, connection: Uuid) -> Result<()> {
        let _turn = self.turn(user).await;
        let mut calendar = self.calendar(user, connection).await?.that_renews_its_token();
        Ok(host_writes::withdraw(&mut calendar).await?)
    }

    /// The calendar of one connection of a user.
    pub(crate) async fn calendar(
        &self,
        user: Uuid,
        connection: Uuid,
    ) -> Result<ConnectedCalendar<'_>, CalendarError> {
        ConnectedCalendar::of(&self.services, user, connection).await
    }

    /// A run: plans a user's sessions around one of the user's calendars, with the access token that its row holds.
    /// Returns how many sessions moved.
    pub(crate) async fn run(&self, user: Uuid, connection: Uuid) -> Result<usize> {
        self.replan(user, connection, self.calendar(user, connection).await?).await
    }

    /// The same at another time than that of a run, when the token may be old.
    pub(crate) async fn run_meanwhile(&self, user: Uuid, connection: Uuid) -> Result<usize> {
        let calendar = self.calendar(user, connection).await?.that_renews_its_token();
        self.replan(user, connection, calendar).await
    }

    async fn replan(
        &self,
        user: Uuid,
        connection: Uuid,
        mut calendar: ConnectedCalendar<'_>,
    ) -> Result<usize> {
        let _turn = self.turn(user).await;
        let sessions = self.sessions(user, connection).await?;
        let planned = Self::plan(&sessions, &mut calendar).await?;
        let mut moved = 0;
        for (session, planned) in sessions.iter().zip(&planned) {
            if planned.slot != session.current() {
                self.move_session(user, session.id, planned.slot).await?;
                moved += 1;
            }
        }
        host_writes::write(self.host_writes(user), &mut calendar, &planned).await?;
        Ok(moved)
    }

    /// The sessions, each where it is to be.
    async fn plan(sessions: &[Session], calendar: &mut ConnectedCalendar<'_>) -> Result<Vec<Planned>> {
        let starts = sessions.iter().map(|session| session.starts_at.min(session.preferred_starts_at)).min();
        let ends = sessions.iter().map(|session| session.ends_at.max(session.preferred().end)).max();
        let (Some(start), Some(end)) = (starts, ends) else { return Ok(Vec::new()) };
        let events = calendar.events(Which::Within(Slot { start, end: end + HORIZON })).await?;
        let others = events.iter().filter(|event| !host_writes::is_own(event));
        let busy: Vec<Slot> = others.filter_map(Event::busy).collect();

        let preferred: Vec<Slot> = sessions.iter().map(Session::preferred).collect();
        let planned = sessions.iter().zip(plan(&preferred, &busy)).map(|(session, slot)| Planned {
            session: session.id,
            title: session.title.clone(),
            slot,
        });
        Ok(planned.collect())
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

    async fn sessions(&self, user: Uuid, connection: Uuid) -> Result<Vec<Session>> {
        let query = [
            ("user_id", format!("eq.{user}")),
            ("or", format!("(connection_id.is.null,connection_id.eq.{connection})")),
            ("order", "preferred_starts_at,id".to_owned()),
            ("select", "id,title,preferred_starts_at,starts_at,ends_at".to_owned()),
        ];
        rows(self.services.rest(Method::GET, "sessions").query(&query)).await
    }

    async fn move_session(&self, user: Uuid, id: Uuid, slot: Slot) -> Result<()> {
        let query = [("id", format!("eq.{id}")), ("user_id", format!("eq.{user}"))];
        let change = json!({
            "starts_at": format_time(slot.start),
            "ends_at": format_time(slot.end),
            "planned_at": format_time(Utc::now()),
        });
        let update = self.services.rest(Method::PATCH, "sessions").query(&query).json(&change);
        update.send().await?.error_for_status()?;
        Ok(())
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
            assert_eq!(format_time(time), "2026-01-02T03:04:05Z", "{text}");
        }
    }
}
