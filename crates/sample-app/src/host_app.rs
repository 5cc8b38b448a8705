//! The backend of the app's page: the connected calendar, and what has days and weeks pass.

use std::sync::Arc;

use anyhow::Result;
use chrono::{TimeDelta, Utc};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::connected_calendar::{CalendarError, ConnectedCalendar, format_time};
use crate::host_writer::HostWriter;
use crate::host_writes::HostWrites;
use crate::services::{Services, rows};

/// Keeps one connection a user, as an app does that knows one calendar.
pub struct HostApp {
    writer: Arc<HostWriter>,
}

impl HostApp {
    pub(crate) fn new(writer: Arc<HostWriter>) -> Self {
        Self { writer }
    }

    pub(crate) fn services(&self) -> &Services {
        self.writer.services()
    }

    /// Lets weeks pass, as far as the connection's row tells: its channel ends in an hour, and its renewal is due.
    pub async fn bring_end_near(&self, user: Uuid) -> Result<()> {
        let in_an_hour = format_time(Utc::now() + TimeDelta::hours(1));
        let now = format_time(Utc::now());
        let change = json!({
            "webhook_expiration": in_an_hour,
            "webhook_not_before": now,
            // The seconds in which no other channel may be opened are over.
            "webhook_lease_until": now,
        });
        self.rewrite(user, &change).await
    }

    /// Lets the hours pass until the calendar is due for a look, as far as the connection's row tells, and has it
    /// looked at.
    pub(crate) async fn have_calendar_looked_at(&self, user: Uuid) -> Result<()> {
        let now = Utc::now();
        let before = format_time(now - TimeDelta::hours(2));
        let change = json!({
            "sync_look_at": format_time(now),
            // The last run was long ago, and so was the channel opened.
            "last_sync_at": before,
            "sync_streak": 0,
            "webhook_opened_at": before,
            "webhook_lease_until": before,
        });
        self.rewrite(user, &change).await?;
        self.services().sweep().await?;
        // What the look found may make the channel due for renewal, which is the next sweep's.
        self.services().sweep().await
    }

    /// Has Google lose the channel, without a word. Its id, if one is open.
    pub(crate) async fn forget_channel(&self, user: Uuid) -> Result<Option<String>> {
        #[derive(Deserialize)]
        struct Watched {
            webhook_id: Option<String>,
        }
        let query = [
            ("user_id", format!("eq.{user}")),
            ("provider", "eq.google".to_owned()),
            ("select", "webhook_id".to_owned()),
        ];
        let found: Vec<Watched> =
            rows(self.services().rest(Method::GET, "calendar_connections").query(&query)).await?;
        let Some(channel) = found.into_iter().find_map(|row| row.webhook_id) else { return Ok(None) };
        let url = format!("{}/control/channels/{channel}/forget", self.services().google_url);
        self.services().client.post(url).send().await?.error_for_status()?;
        Ok(Some(channel))
    }

    pub(crate) fn host_writes(&self, user: Uuid) -> HostWrites {
        self.writer.style(user)
    }

    /// How this user's runs write to the calendar from now on. It is written like that at once.
    pub(crate) async fn choose_host_writes(&self, user: Uuid, host_writes: HostWrites) -> Result<()> {
        self.writer.choose(user, host_writes);
        let Some(connection) = self.connection(user).await? else { return Ok(()) };
        match host_writes {
            HostWrites::None => self.writer.withdraw(user, connection).await,
            HostWrites::InPlace | HostWrites::Recreate => self.writer.write(user, connection).await,
        }
    }

    /// Changes the user's rows behind everybody's back.
    async fn rewrite(&self, user: Uuid, change: &Value) -> Result<()> {
        let query = [("user_id", format!("eq.{user}")), ("provider", "eq.google".to_owned())];
        let update = self.services().rest(Method::PATCH, "calendar_connections").query(&query).json(change);
        update.send().await?.error_for_status()?;
        Ok(())
    }

    pub(crate) async fn calendar(&self, user: Uuid) -> Result<ConnectedCalendar<'_>, CalendarError> {
        let connection = self.connection(user).await?.ok_or(CalendarError::NotConnected)?;
        Ok(self.writer.calendar(user, connection).await?.that_renews_its_token())
    }

    async fn connection(&self, user: Uuid) -> Result<Option<Uuid>> {
        self.services().connection(user).await
    }
}
