//! What the stand-in does in a run: reads the user's events from Google, and moves the sessions out of
//! their way.

use anyhow::{Context, Result};
use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta, Utc};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::plan::{Slot, plan};

/// How far after the last session a free slot is looked for.
const HORIZON: TimeDelta = TimeDelta::days(14);

/// The services that the host app's function talks to.
pub(crate) struct Services {
    pub client: Client,
    pub supabase_url: String,
    pub service_key: String,
    pub calendar_api_url: String,
    pub oauth_token_url: String,
    pub client_id: String,
    pub client_secret: String,
}

#[derive(Deserialize)]
struct Connection {
    access_token: Option<String>,
    refresh_token: Option<String>,
    calendar_id: Option<String>,
}

#[derive(Deserialize)]
struct Session {
    id: Uuid,
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

#[derive(Deserialize)]
struct Events {
    #[serde(default)]
    items: Vec<Event>,
    #[serde(rename = "nextPageToken")]
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    status: String,
    #[serde(default)]
    transparency: String,
    start: Option<EventTime>,
    end: Option<EventTime>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventTime {
    date_time: Option<DateTime<Utc>>,
    date: Option<NaiveDate>,
}

impl Event {
    fn busy(&self) -> Option<Slot> {
        if self.status == "cancelled" || self.transparency == "transparent" {
            return None;
        }
        Some(Slot { start: self.start.as_ref()?.time()?, end: self.end.as_ref()?.time()? })
    }
}

impl EventTime {
    fn time(&self) -> Option<DateTime<Utc>> {
        self.date_time.or_else(|| Some(self.date?.and_hms_opt(0, 0, 0)?.and_utc()))
    }
}

impl Services {
    /// Plans a user's sessions around one of the user's calendars; returns how many moved.
    pub(crate) async fn replan(&self, user: Uuid, connection: Uuid) -> Result<usize> {
        let sessions = self.sessions(user, connection).await?;
        let mut connection = self.connection(user, connection).await?;
        let starts = sessions.iter().map(|session| session.starts_at.min(session.preferred_starts_at)).min();
        let ends = sessions.iter().map(|session| session.ends_at.max(session.preferred().end)).max();
        let (Some(start), Some(end)) = (starts, ends) else { return Ok(0) };
        let window = Slot { start, end: end + HORIZON };
        let busy = self.busy(&mut connection, window).await?;

        let preferred: Vec<Slot> = sessions.iter().map(Session::preferred).collect();
        let mut moved = 0;
        for (session, slot) in sessions.iter().zip(plan(&preferred, &busy)) {
            if slot != session.current() {
                self.move_session(user, session.id, slot).await?;
                moved += 1;
            }
        }
        Ok(moved)
    }

    /// Writes an event to the watched calendar, long ago so that no session is in its way: the kind of
    /// function whose every run causes the next notification.
    pub(crate) async fn write_event(&self, user: Uuid, connection: Uuid) -> Result<()> {
        let mut connection = self.connection(user, connection).await?;
        let url = self.events_url(&connection)?;
        let event = json!({
            "summary": "Planned",
            "start": { "dateTime": "2000-01-01T00:00:00Z" },
            "end": { "dateTime": "2000-01-01T00:15:00Z" },
        });
        self.google(&mut connection, |client| client.post(url.clone()).json(&event)).await?;
        Ok(())
    }

    async fn connection(&self, user: Uuid, id: Uuid) -> Result<Connection> {
        let query = [
            ("id", format!("eq.{id}")),
            ("user_id", format!("eq.{user}")),
            ("select", "access_token,refresh_token,calendar_id".to_owned()),
        ];
        let rows: Vec<Connection> =
            rows(self.rest(Method::GET, "calendar_connections").query(&query)).await?;
        rows.into_iter().next().context("the user has no such connection")
    }

    async fn sessions(&self, user: Uuid, connection: Uuid) -> Result<Vec<Session>> {
        let query = [
            ("user_id", format!("eq.{user}")),
            ("or", format!("(connection_id.is.null,connection_id.eq.{connection})")),
            ("order", "preferred_starts_at,id".to_owned()),
            ("select", "id,preferred_starts_at,starts_at,ends_at".to_owned()),
        ];
        rows(self.rest(Method::GET, "sessions").query(&query)).await
    }

    async fn move_session(&self, user: Uuid, id: Uuid, slot: Slot) -> Result<()> {
        let query = [("id", format!("eq.{id}")), ("user_id", format!("eq.{user}"))];
        let change = json!({
            "starts_at": format_time(slot.start),
            "ends_at": format_time(slot.end),
            "planned_at": format_time(Utc::now()),
        });
        self.rest(Method::PATCH, "sessions").query(&query).json(&change).send().await?.error_for_status()?;
        Ok(())
    }

    fn rest(&self, method: Method, table: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}/rest/v1/{table}", self.supabase_url))
            .header("apikey", &self.service_key)
    }

    async fn busy(&self, connection: &mut Connection, window: Slot) -> Result<Vec<Slot>> {
        let url = self.events_url(connection)?;
        let mut busy = Vec::new();
        let mut page_token: Option<String> = None;
        loop {
            let mut query = vec![
                ("timeMin", format_time(window.start)),
                ("timeMax", format_time(window.end)),
                ("singleEvents", "true".to_owned()),
            ];
            query.extend(page_token.map(|token| ("pageToken", token)));
            let answer = self.google(connection, |client| client.get(url.clone()).query(&query)).await?;
            let events: Events = answer.json().await?;
            busy.extend(events.items.iter().filter_map(Event::busy));
            page_token = events.next_page_token;
            if page_token.is_none() {
                return Ok(busy);
            }
        }
    }

    fn events_url(&self, connection: &Connection) -> Result<Url> {
        let mut url = Url::parse(&self.calendar_api_url)?;
        let calendar = connection.calendar_id.as_deref().unwrap_or("primary");
        url.path_segments_mut().ok().context("the Calendar API's address has no path")?.extend([
            "calendars",
            calendar,
            "events",
        ]);
        Ok(url)
    }

    /// Sends a request with the connection's token, and once more with a new one if Google refuses it. The
    /// new token is not stored: the table is the shipped functions' to write.
    async fn google(
        &self,
        connection: &mut Connection,
        request: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Response> {
        let token = connection.access_token.clone().unwrap_or_default();
        let mut answer = request(&self.client).bearer_auth(token).send().await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            let token = self.fresh_token(connection).await?;
            answer = request(&self.client).bearer_auth(&token).send().await?;
            connection.access_token = Some(token);
        }
        Ok(answer.error_for_status()?)
    }

    async fn fresh_token(&self, connection: &Connection) -> Result<String> {
        let form = [
            ("client_id", self.client_id.as_str()),
            ("client_secret", &self.client_secret),
            ("refresh_token", connection.refresh_token.as_deref().unwrap_or_default()),
            ("grant_type", "refresh_token"),
        ];
        let answer = self.client.post(&self.oauth_token_url).form(&form).send().await?.error_for_status()?;
        let tokens: Value = answer.json().await?;
        let token = tokens.get("access_token").and_then(Value::as_str);
        Ok(token.context("Google's token answer has no access token")?.to_owned())
    }
}

async fn rows<T: DeserializeOwned>(request: RequestBuilder) -> Result<Vec<T>> {
    Ok(request.send().await?.error_for_status()?.json().await?)
}

fn format_time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
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

    #[test]
    fn only_events_that_take_time_are_in_the_way() {
        let timed = json!({ "dateTime": "2026-01-02T10:00:00+01:00" });
        let until = json!({ "dateTime": "2026-01-02T10:00:00Z" });
        for (event, busy) in [
            (json!({ "status": "confirmed", "start": timed, "end": until }), true),
            (json!({ "start": { "date": "2026-01-02" }, "end": { "date": "2026-01-03" } }), true),
            (json!({ "status": "cancelled", "start": timed, "end": until }), false),
            (json!({ "transparency": "transparent", "start": timed, "end": until }), false),
            (json!({ "status": "cancelled" }), false),
        ] {
            let parsed: Event = serde_json::from_value(event.clone()).unwrap();
            assert_eq!(parsed.busy().is_some(), busy, "{event}");
        }
    }
}
