//! The calendar behind a connection, read and written with the connection's tokens.

use std::collections::HashMap;
use std::fmt;

use anyhow::Context;
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use crate::services::{Services, rows};

/// A stretch of time, its end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
}

pub(crate) struct ConnectedCalendar<'a> {
    services: &'a Services,
    events_url: Url,
    access_token: String,
    refresh_token: String,
    renews_token: bool,
}

/// Which of a calendar's events.
#[derive(Clone, Copy)]
pub(crate) enum Which<'a> {
    All,
    /// Those of a stretch of time.
    Within(Slot),
    /// Those with this private extended property, `name=value`.
    With(&'a str),
}

#[derive(Debug)]
pub(crate) enum CalendarError {
    NotConnected,
    /// Google does not accept the connection's tokens.
    ReconnectRequired,
    /// Google refused.
    Refused(StatusCode),
    /// No answer, or none that can be read.
    Failed(anyhow::Error),
}

impl fmt::Display for CalendarError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected => formatter.write_str("the user has no such connection"),
            Self::ReconnectRequired => formatter.write_str("Google no longer accepts the user's consent"),
            Self::Refused(status) => write!(formatter, "Google answered {status}"),
            Self::Failed(error) => write!(formatter, "{error:#}"),
        }
    }
}

impl std::error::Error for CalendarError {}

impl From<anyhow::Error> for CalendarError {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<reqwest::Error> for CalendarError {
    fn from(error: reqwest::Error) -> Self {
        Self::Failed(error.into())
    }
}

type Result<T> = std::result::Result<T, CalendarError>;

#[derive(Deserialize)]
pub(crate) struct Event {
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    pub summary: String,
    pub updated: Option<DateTime<Utc>>,
    #[serde(default)]
    status: String,
    start: Option<EventTime>,
    end: Option<EventTime>,
    #[serde(default, rename = "extendedProperties")]
    extended_properties: ExtendedProperties,
}

#[derive(Default, Deserialize)]
struct ExtendedProperties {
    #[serde(default)]
    private: HashMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventTime {
    date_time: Option<DateTime<Utc>>,
    date: Option<NaiveDate>,
}

impl Event {
    /// When it takes place; `None` once it is cancelled.
    pub(crate) fn slot(&self) -> Option<Slot> {
        if self.status == "cancelled" {
            return None;
        }
        Some(Slot { start: self.start.as_ref()?.time()?, end: self.end.as_ref()?.time()? })
    }

    pub(crate) fn private_property(&self, name: &str) -> Option<&str> {
        self.extended_properties.private.get(name).map(String::as_str)
    }
}

impl EventTime {
    fn time(&self) -> Option<DateTime<Utc>> {
        self.date_time.or_else(|| Some(self.date?.and_hms_opt(0, 0, 0)?.and_utc()))
    }
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    items: Vec<Event>,
    #[serde(rename = "nextPageToken")]
    next_page_token: Option<String>,
}

impl<'a> ConnectedCalendar<'a> {
    /// The calendar of one connection of a user, with the access token as it stands in the row.
    pub(crate) async fn of(services: &'a Services, user: Uuid, connection: Uuid) -> Result<Self> {
        #[derive(Deserialize)]
        struct Connection {
            access_token: Option<String>,
            refresh_token: Option<String>,
            calendar_id: Option<String>,
        }
        let query = [
            ("id", format!("eq.{connection}")),
            ("user_id", format!("eq.{user}")),
            ("select", "access_token,refresh_token,calendar_id".to_owned()),
        ];
        let found: Vec<Connection> =
            rows(services.rest(Method::GET, "calendar_connections").query(&query)).await?;
        let connection = found.into_iter().next().ok_or(CalendarError::NotConnected)?;
        Ok(Self {
            services,
            events_url: events_url(services, connection.calendar_id.as_deref().unwrap_or("primary"))?,
            access_token: connection.access_token.unwrap_or_default(),
            refresh_token: connection.refresh_token.unwrap_or_default(),
            renews_token: false,
        })
    }

    /// With a new access token where Google refuses the row's. It is not stored: the table is the shipped functions' to
    /// write.
    pub(crate) fn that_renews_its_token(self) -> Self {
        Self { renews_token: true, ..self }
    }

    pub(crate) async fn events(&mut self, which: Which<'_>) -> Result<Vec<Event>> {
        let url = self.events_url.clone();
        let mut events = Vec::new();
        let mut page_token: Option<String> = None;
        loop {
            let mut query = vec![("singleEvents", "true".to_owned())];
            match which {
                Which::All => {}
                Which::Within(Slot { start, end }) => {
                    query.extend([("timeMin", format_time(start)), ("timeMax", format_time(end))]);
                }
                Which::With(property) => query.push(("privateExtendedProperty", property.to_owned())),
            }
            query.extend(page_token.map(|token| ("pageToken", token)));
            let answer = self.send(|client| client.get(url.clone()).query(&query)).await?;
            let page: Page = answer.json().await?;
            events.extend(page.items);
            page_token = page.next_page_token;
            if page_token.is_none() {
                return Ok(events);
            }
        }
    }

    pub(crate) async fn insert<T: DeserializeOwned>(&mut self, event: &Value) -> Result<T> {
        let url = self.events_url.clone();
        Ok(self.send(|client| client.post(url.clone()).json(event)).await?.json().await?)
    }

    pub(crate) async fn patch<T: DeserializeOwned>(&mut self, id: &str, change: &Value) -> Result<T> {
        let url = self.event_url(id)?;
        Ok(self.send(|client| client.patch(url.clone()).json(change)).await?.json().await?)
    }

    pub(crate) async fn delete(&mut self, id: &str) -> Result<()> {
        let url = self.event_url(id)?;
        self.send(|client| client.delete(url.clone())).await?;
        Ok(())
    }

    /// Withdraws the consent that the connection stands on.
    pub(crate) async fn revoke_consent(&self) -> Result<()> {
        let url = format!("{}/revoke", self.services.google_url);
        let form = [("token", &self.refresh_token)];
        let answer = self.services.client.post(url).form(&form).send().await?;
        match answer.status() {
            // It is withdrawn already.
            StatusCode::BAD_REQUEST => Ok(()),
            status if status.is_success() => Ok(()),
            status => Err(CalendarError::Refused(status)),
        }
    }

    fn event_url(&self, id: &str) -> anyhow::Result<Url> {
        let mut url = self.events_url.clone();
        url.path_segments_mut().ok().context("the Calendar API's address has no path")?.push(id);
        Ok(url)
    }

    async fn send(&mut self, request: impl Fn(&Client) -> RequestBuilder) -> Result<Response> {
        let client = &self.services.client;
        let mut answer = request(client).bearer_auth(&self.access_token).send().await?;
        if answer.status() == StatusCode::UNAUTHORIZED && self.renews_token {
            self.access_token = self.fresh_token().await?;
            answer = request(client).bearer_auth(&self.access_token).send().await?;
        }
        match answer.status() {
            StatusCode::UNAUTHORIZED => Err(CalendarError::ReconnectRequired),
            status if status.is_success() => Ok(answer),
            status => Err(CalendarError::Refused(status)),
        }
    }

    async fn fresh_token(&self) -> Result<String> {
        #[derive(Deserialize)]
        struct Token {
            access_token: String,
        }
        let Services { client, oauth_token_url, client_id, client_secret, .. } = self.services;
        let form = [
            ("client_id", client_id.as_str()),
            ("client_secret", client_secret),
            ("refresh_token", &self.refresh_token),
            ("grant_type", "refresh_token"),
        ];
        let answer = client.post(oauth_token_url).form(&form).send().await?;
        match answer.status() {
            // `invalid_grant`
            StatusCode::BAD_REQUEST => Err(CalendarError::ReconnectRequired),
            status if status.is_success() => Ok(answer.json::<Token>().await?.access_token),
            status => Err(CalendarError::Refused(status)),
        }
    }
}

fn events_url(services: &Services, calendar: &str) -> anyhow::Result<Url> {
    let mut url = Url::parse(&services.calendar_api_url)?;
    let mut path = url.path_segments_mut().ok().context("the Calendar API's address has no path")?;
    path.extend(["calendars", calendar, "events"]);
    drop(path);
    Ok(url)
}

pub(crate) fn format_time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
