//! A user of the host app: in its frontend, and in Google Calendar.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::google::Google;
use super::official_clients::OfficialClients;

pub(super) struct Person {
    pub name: &'static str,
    pub email: String,
    /// Google's own app for the calendar has nothing to do with the consent that the host app is given.
    calendar_token: String,
    clients: OfficialClients,
}

/// A row of `calendar_connection_status`, as far as the story looks at it.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Connection {
    pub id: String,
    pub status: String,
    pub webhook_id: Option<String>,
    pub sync_status: String,
    /// Always written in the same format and zone, so that a later time is the greater text.
    pub last_sync_at: Option<String>,
}

impl Person {
    pub(super) async fn new(
        name: &'static str,
        supabase_url: &str,
        supabase_key: &str,
        google: &Google,
    ) -> Result<Self> {
        let email = format!("{name}@example.com");
        let calendar_token = google.access_token(&email).await?;
        let clients = OfficialClients::start(supabase_url, supabase_key, google.url())?;
        Ok(Self { name, email, calendar_token, clients })
    }

    pub(super) async fn sign_up(&self) -> Result<()> {
        self.clients
            .call("signUp", json!({ "email": self.email, "password": "correct horse battery staple" }))
            .await
    }

    pub(super) async fn user_id(&self) -> Result<String> {
        self.clients.call("userId", Value::Null).await
    }

    pub(super) async fn plan_session(&self, hour: u32) -> Result<()> {
        let row = json!({ "starts_at": full_hour(hour), "ends_at": full_hour(hour + 1) });
        self.clients.call("insert", json!({ "table": "sessions", "row": row })).await
    }

    /// When the person's session starts: `10:00`.
    pub(super) async fn session(&self) -> Result<String> {
        #[derive(Deserialize)]
        struct Session {
            starts_at: String,
        }
        let Session { starts_at } = self.only_row_of("sessions").await?;
        // Formats differ between backends, but the time of day is always here.
        starts_at.get(11..16).map(str::to_owned).with_context(|| format!("{starts_at:?} is no timestamp"))
    }

    pub(super) async fn set_up_webhook(&self) -> Result<Connection> {
        #[derive(Deserialize)]
        struct Answer {
            connections: Vec<Connection>,
        }
        let call = json!({ "name": "setup-calendar-webhook", "body": {} });
        let Answer { connections } = self.clients.call("invokeFunction", call).await?;
        only(connections)
    }

    pub(super) async fn connection(&self) -> Result<Connection> {
        self.only_row_of("calendar_connection_status").await
    }

    /// An event of one hour.
    pub(super) async fn create_event(&self, id: &str, hour: u32) -> Result<()> {
        let event = json!({
            "id": id,
            "start": { "dateTime": full_hour(hour) },
            "end": { "dateTime": full_hour(hour + 1) },
        });
        let call = json!({ "accessToken": self.calendar_token, "event": event });
        self.clients.call("insertEvent", call).await
    }

    pub(super) async fn delete_event(&self, id: &str) -> Result<()> {
        let call = json!({ "accessToken": self.calendar_token, "eventId": id });
        self.clients.call("deleteEvent", call).await
    }

    /// Whatever a person can read of these tables is their own.
    async fn only_row_of<T: for<'de> Deserialize<'de>>(&self, table: &str) -> Result<T> {
        only(self.clients.call("select", json!({ "table": table })).await?)
    }
}

/// Everything in the story happens on one day.
fn full_hour(hour: u32) -> String {
    format!("2030-03-01T{hour:02}:00:00Z")
}

fn only<T>(rows: Vec<T>) -> Result<T> {
    let count = rows.len();
    let only = <[T; 1]>::try_from(rows).ok();
    let [row] = only.with_context(|| format!("expected one row; saw {count}"))?;
    Ok(row)
}
