//! The project under fire as seen from outside: where its parts listen, and who its users are.

use std::sync::Arc;

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use dev_stack::Stack;
use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Duration;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use crate::history;

pub(crate) const SETUP: &str = "setup-calendar-webhook";
pub(crate) const RECEIVE: &str = "google-calendar-webhook";
pub(crate) const REFRESH: &str = "refresh-calendar-webhook";

/// A sweep ends by its 70th second.
const PATIENCE: Duration = Duration::from_secs(90);
/// Short, so that tokens are refreshed all the while.
const ACCESS_TOKEN_SECONDS: u64 = 150;

/// What a connection's user does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Edits the calendar.
    Busy,
    /// Edits it too, and pauses, resumes and reconnects.
    Fickle,
    /// Nothing at all.
    Quiet,
}

#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub id: Uuid,
    pub user: Uuid,
    pub email: String,
    pub habit: Habit,
    /// Of the user's own calendar program.
    pub calendar_token: String,
    /// When the user wants the one session there is.
    pub preferred: DateTime<Utc>,
}

pub(crate) struct Project {
    pub connections: Vec<Connection>,
    http: reqwest::Client,
    url: String,
    secret_key: String,
    google: String,
    calendar_api: String,
    recalculate: String,
    database: String,
}

impl Project {
    /// Gives a running stack its users, and has all that happens to their connections remembered.
    pub(crate) async fn populate(stack: &Stack, habits: &[Habit]) -> Result<Arc<Self>> {
        let mut project = Self {
            connections: Vec::new(),
            http: reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?,
            url: stack.url().to_owned(),
            secret_key: stack.secret_key().to_owned(),
            google: stack.google().url(),
            calendar_api: stack.google().calendar_api_url(),
            recalculate: stack.recalculate_url().to_owned(),
            database: stack.database_url().context("no database of its own")?,
        };
        let database = project.database().await?;
        database.batch_execute(history::SCHEMA).await?;
        for (number, habit) in habits.iter().enumerate() {
            let connection = project.connect(&database, number, *habit).await?;
            project.connections.push(connection);
        }
        Ok(Arc::new(project))
    }

    async fn connect(&self, database: &Client, number: usize, habit: Habit) -> Result<Connection> {
        let email = format!("{}{number}@gmail.com", format!("{habit:?}").to_lowercase());
        let calendar_token = text(&self.google("accounts", json!({ "email": email })).await?, "access_token");
        let consent = self.consent(&email).await?;
        let (user, preferred) = (Uuid::new_v4(), DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let id = database
            .query_one(
                "insert into calendar_connections (user_id, access_token, refresh_token, expires_at)
                   values ($1, $2, $3, $4) returning id",
                &[&user, &consent.access_token, &consent.refresh_token, &consent.expires_at],
            )
            .await?
            .get(0);
        database
            .execute(
                "insert into sessions (user_id, preferred_starts_at, starts_at, ends_at) values ($1, $2, $2, $3)",
                &[&user, &preferred, &(preferred + TimeDelta::hours(1))],
            )
            .await?;
        Ok(Connection { id, user, email, habit, calendar_token, preferred })
    }

    async fn consent(&self, email: &str) -> Result<Consent> {
        let account = json!({ "email": email, "access_token_seconds": ACCESS_TOKEN_SECONDS });
        let consent = self.google("accounts", account).await?;
        Ok(Consent {
            access_token: text(&consent, "access_token"),
            refresh_token: text(&consent, "refresh_token"),
            expires_at: text(&consent, "expires_at").parse()?,
        })
    }

    /// The user consents again, and the host's backend writes the new tokens over the old ones.
    pub(crate) async fn reconnect(&self, connection: &Connection) -> Result<()> {
        let consent = self.consent(&connection.email).await?;
        let set = "update calendar_connections
                     set access_token = $2, refresh_token = $3, expires_at = $4 where id = $1";
        let Consent { access_token, refresh_token, expires_at } = &consent;
        self.database()
            .await?
            .execute(set, &[&connection.id, access_token, refresh_token, expires_at])
            .await?;
        Ok(())
    }

    pub(crate) async fn set(&self, connection: &Connection, column: &str, value: bool) -> Result<()> {
        let set = format!("update calendar_connections set {column} = $2 where id = $1");
        self.database().await?.execute(&set, &[&connection.id, &value]).await?;
        Ok(())
    }

    /// A session of its own, because the server may have crashed since the last one.
    pub(crate) async fn database(&self) -> Result<Client> {
        let (client, connection) = tokio_postgres::connect(&self.database, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Calls a function as the project's backend does.
    pub(crate) async fn call(&self, function: &str, body: &Value) -> Result<(u16, String)> {
        let url = format!("{}/functions/v1/{function}", self.url);
        let answer = self.http.post(url).header("apikey", &self.secret_key).json(body).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Tells the fake Google something.
    pub(crate) async fn google(&self, path: &str, body: Value) -> Result<Value> {
        let request = self.http.post(format!("{}/control/{path}", self.google)).json(&body);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    pub(crate) async fn google_forgets(&self, path: &str) -> Result<()> {
        self.http.delete(format!("{}/control/{path}", self.google)).send().await?.error_for_status()?;
        Ok(())
    }

    pub(crate) async fn google_list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        Ok(self.http.get(format!("{}/control/{path}", self.google)).send().await?.json().await?)
    }

    /// What the user's own calendar program asks Google.
    pub(crate) fn calendar(&self, method: Method, connection: &Connection, event: &str) -> RequestBuilder {
        let url = format!("{}/calendars/primary/events{event}", self.calendar_api);
        self.http.request(method, url).bearer_auth(&connection.calendar_token)
    }

    pub(crate) async fn runs<T: DeserializeOwned>(&self) -> Result<Vec<T>> {
        Ok(self.http.get(format!("{}/control/runs", self.recalculate)).send().await?.json().await?)
    }

    /// How runs go from now on.
    pub(crate) async fn behave(&self, behaviours: &[Value]) -> Result<()> {
        let url = format!("{}/control/behaviour", self.recalculate);
        self.http.delete(&url).send().await?.error_for_status()?;
        for behaviour in behaviours {
            self.http.post(&url).json(behaviour).send().await?.error_for_status()?;
        }
        Ok(())
    }
}

struct Consent {
    access_token: String,
    refresh_token: String,
    expires_at: DateTime<Utc>,
}

pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}")).to_owned()
}
