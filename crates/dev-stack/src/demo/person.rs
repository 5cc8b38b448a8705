//! A user of the host app: in its frontend, and in Google Calendar.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use super::google::Google;
use super::official_clients::OfficialClients;

/// A page of the app; nobody opens it here.
const PAGE: &str = "http://127.0.0.1/calendar/connected";

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

    /// Where the app's function sends the browser.
    pub(super) async fn consent_page(&self, google: &Google) -> Result<Url> {
        #[derive(Deserialize)]
        struct Answer {
            url: String,
        }
        let body = json!({ "redirect_uri": PAGE, "reason": "connect" });
        let call = json!({ "name": "google-oauth-start", "body": body });
        let Answer { url } = self.clients.call("invokeFunction", call).await?;
        google.instead_of(&url)
    }

    /// What the app's page does then.
    pub(super) async fn returns_from_google(&self, returned: &Url) -> Result<()> {
        let query: BTreeMap<_, _> = returned.query_pairs().collect();
        let call = json!({ "name": "google-oauth-callback", "body": query });
        self.clients.call::<Value>("invokeFunction", call).await?;
        Ok(())
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
