//! The host app's backend: what an app around the shipped functions brings itself. The OAuth flow, the row of a
//! connection, and the sessions.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{TimeDelta, Utc};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::connected_calendar::{CalendarError, ConnectedCalendar, format_time};
use crate::host_writes::HostWrites;
use crate::planner::Planner;
use crate::services::{Services, rows};

/// Where Google sends the browser back to, below the address of the stack.
pub(crate) const CALLBACK: &str = "/app/calendar/connected";

/// How long a user may take on Google's pages.
const CONSENT_PATIENCE: Duration = Duration::from_secs(600);

/// Keeps one connection a user, as an app does that knows one calendar.
pub struct HostApp {
    planner: Arc<Planner>,
    consents: Mutex<HashMap<String, Consent>>,
    /// Held while a connection is looked for and stored, so that two windows do not store two.
    storing: tokio::sync::Mutex<()>,
}

/// A consent that was asked for, by the `state` that came with the question.
struct Consent {
    user: Uuid,
    /// What only the browser that was sent to Google knows. Without it somebody could have a victim agree, and
    /// see the victim's calendar.
    browser: String,
    expires: Instant,
}

/// What Google's redirect says.
#[derive(Deserialize)]
pub struct Callback {
    #[serde(default)]
    state: String,
    code: Option<String>,
    error: Option<String>,
}

#[derive(Debug)]
pub enum ConnectError {
    /// The user said no.
    Denied,
    /// Nobody was asked with this `state`, not lately, or in another browser.
    UnknownState,
    Failed(anyhow::Error),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied => formatter.write_str("the user did not agree"),
            Self::UnknownState => formatter.write_str("the state is not that of a consent asked for"),
            Self::Failed(error) => write!(formatter, "{error:#}"),
        }
    }
}

impl std::error::Error for ConnectError {}

impl HostApp {
    pub(crate) fn new(planner: Arc<Planner>) -> Self {
        Self { planner, consents: Mutex::default(), storing: tokio::sync::Mutex::default() }
    }

    pub(crate) fn services(&self) -> &Services {
        self.planner.services()
    }

    /// Where "Connect your calendar" leads. `browser` is a secret of the browser that is sent there. Without a hint Google
    /// lets the user choose the account.
    pub fn consent_page(&self, user: Uuid, browser: &str, login_hint: Option<&str>) -> Result<Url> {
        let state = secret();
        // Without a consent of now Google sends no refresh token to somebody who has agreed before.
        let prompt = if login_hint.is_some() { "consent" } else { "select_account consent" };
        let query = [
            ("client_id", self.services().client_id.as_str()),
            ("redirect_uri", &self.redirect_uri()),
            ("response_type", "code"),
            ("scope", "https://www.googleapis.com/auth/calendar.events"),
            ("access_type", "offline"),
            ("prompt", prompt),
            ("login_hint", login_hint.unwrap_or_default()),
            ("state", &state),
        ];
        let page = Url::parse_with_params(&self.services().consent_url, query)?;

        let now = Instant::now();
        let mut consents = self.consents.lock().unwrap_or_else(PoisonError::into_inner);
        consents.retain(|_, consent| consent.expires > now);
        let consent = Consent { user, browser: browser.to_owned(), expires: now + CONSENT_PATIENCE };
        consents.insert(state, consent);
        Ok(page)
    }

    /// Exchanges the code that the browser comes back with, and stores the connection.
    pub async fn connect(&self, callback: &Callback, browser: &str) -> Result<(), ConnectError> {
        let consent = {
            let mut consents = self.consents.lock().unwrap_or_else(PoisonError::into_inner);
            consents.remove(&callback.state)
        };
        let consent = consent
            .filter(|consent| consent.browser == browser && consent.expires > Instant::now())
            .ok_or(ConnectError::UnknownState)?;
        if callback.error.as_deref() == Some("access_denied") {
            return Err(ConnectError::Denied);
        }
        self.exchange(consent.user, callback).await.map_err(ConnectError::Failed)
    }

    async fn exchange(&self, user: Uuid, callback: &Callback) -> Result<()> {
        #[derive(Deserialize)]
        struct Tokens {
            access_token: String,
            refresh_token: String,
            expires_in: u32,
        }
        let code = callback.code.as_deref().context("Google sent no code")?;
        let Services { client, oauth_token_url, client_id, client_secret, .. } = self.services();
        let form = [
            ("client_id", client_id.as_str()),
            ("client_secret", client_secret),
            ("redirect_uri", &self.redirect_uri()),
            ("grant_type", "authorization_code"),
            ("code", code),
        ];
        let tokens: Tokens =
            client.post(oauth_token_url).form(&form).send().await?.error_for_status()?.json().await?;

        let connection = json!({
            "user_id": user,
            "provider": "google",
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token,
            "expires_at": format_time(Utc::now() + TimeDelta::seconds(tokens.expires_in.into())),
            "is_active": true,
        });
        let _storing = self.storing.lock().await;
        let store = match self.connection(user).await? {
            Some(id) => self
                .services()
                .rest(Method::PATCH, "calendar_connections")
                .query(&[("id", format!("eq.{id}"))]),
            None => self.services().rest(Method::POST, "calendar_connections"),
        };
        store.json(&connection).send().await?.error_for_status()?;
        Ok(())
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

    /// Lets the hours pass until the calendar is due for a look, as far as the connection's row tells, and has it looked
    /// at.
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
        self.planner.host_writes(user)
    }

    /// How this user's runs write to the calendar from now on. It is written like that at once.
    pub(crate) async fn choose_host_writes(&self, user: Uuid, host_writes: HostWrites) -> Result<()> {
        self.planner.choose_host_writes(user, host_writes);
        let Some(connection) = self.connection(user).await? else { return Ok(()) };
        match host_writes {
            HostWrites::None => self.planner.withdraw(user, connection).await,
            HostWrites::InPlace | HostWrites::Recreate => {
                self.planner.run_meanwhile(user, connection).await.map(drop)
            }
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
        Ok(self.planner.calendar(user, connection).await?.that_renews_its_token())
    }

    /// After the user changed the sessions themselves, of which Google knows nothing.
    pub(crate) async fn replan(&self, user: Uuid) -> Result<usize> {
        match self.connection(user).await? {
            Some(connection) => self.planner.run_meanwhile(user, connection).await,
            None => Ok(0),
        }
    }

    /// Whose token a request carries, as Auth tells; `None` for nobody's.
    pub(crate) async fn user(&self, authorization: &str) -> Result<Option<User>> {
        let Services { client, supabase_url, publishable_key, .. } = self.services();
        let request = client
            .get(format!("{supabase_url}/auth/v1/user"))
            .header("apikey", publishable_key)
            .header("authorization", authorization);
        let answer = request.send().await?;
        match answer.status() {
            StatusCode::OK => Ok(Some(answer.json().await?)),
            status if status.is_client_error() => Ok(None),
            status => anyhow::bail!("Auth answered {status}"),
        }
    }

    async fn connection(&self, user: Uuid) -> Result<Option<Uuid>> {
        #[derive(Deserialize)]
        struct Connection {
            id: Uuid,
        }
        let query = [
            ("user_id", format!("eq.{user}")),
            ("provider", "eq.google".to_owned()),
            ("select", "id".to_owned()),
            ("order", "created_at".to_owned()),
            ("limit", "1".to_owned()),
        ];
        let found: Vec<Connection> =
            rows(self.services().rest(Method::GET, "calendar_connections").query(&query)).await?;
        Ok(found.into_iter().next().map(|row| row.id))
    }

    fn redirect_uri(&self) -> String {
        format!("{}{CALLBACK}", self.services().supabase_url)
    }
}

/// A signed-in user of the app.
#[derive(Clone, Deserialize)]
pub(crate) struct User {
    pub id: Uuid,
    #[serde(default)]
    pub email: String,
}

/// 244 random bits.
pub(crate) fn secret() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}
