//! A project of a trial's own, and what is done to it from outside.

use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use dev_stack::{Config, Stack};
use local_supabase::{Backend, extensions};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

pub(crate) const SETUP: &str = "setup-calendar-webhook";
pub(crate) const REFRESH: &str = "refresh-calendar-webhook";

const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) struct Project {
    pub stack: Stack,
    database: Client,
    http: reqwest::Client,
}

/// A row of `calendar_connections`, with a Google account of its own.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub id: Uuid,
    pub user: Uuid,
    pub email: String,
    access_token: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Channel {
    pub id: String,
    pub state: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Run {
    pub started_at: DateTime<Utc>,
    pub status: Option<u16>,
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    pub(crate) fn outcome(&self) -> (u16, &str) {
        (self.status, self.body["error"]["code"].as_str().unwrap_or_default())
    }
}

impl Project {
    pub(crate) async fn start(config: Config) -> Result<Self> {
        let config = Config { backend: Backend::Postgrest, ..config };
        let mut stack = Stack::start(config, |_| {}).await?;
        Ok(Self {
            database: stack.cluster().context("no PostgreSQL")?.connect().await?,
            stack,
            http: reqwest::Client::builder().no_proxy().build()?,
        })
    }

    pub(crate) async fn enable_extensions(&mut self) -> Result<()> {
        self.database = extensions::enable(&mut self.stack).await?;
        Ok(())
    }

    /// Runs one statement as the database's superuser.
    pub(crate) async fn sql(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        Ok(self.database.query(sql, parameters).await?)
    }

    /// Has `refresh-calendar-webhook` called every minute with this key.
    pub(crate) async fn schedule(&self, key: &str) -> Result<()> {
        let sql = "select public.schedule_calendar_webhook_refresh($1, $2)";
        self.sql(sql, &[&self.stack.url(), &key]).await?;
        Ok(())
    }

    /// Runs the job as pg_cron does when a minute begins. → what its request was answered with
    pub(crate) async fn run_job(&self) -> Result<u16> {
        // What the minutes that have begun meanwhile have asked for may carry another key.
        extensions::send_requests(&self.database, &self.http).await?;
        let command: String = self.sql("select command from cron.job", &[]).await?[0].get(0);
        self.sql(&command, &[]).await?;
        let statuses = extensions::send_requests(&self.database, &self.http).await?;
        statuses.last().copied().context("the job has asked for nothing")
    }

    /// A connection without a channel, of a user whom nobody else has.
    pub(crate) async fn connect(&self, name: &str) -> Result<Connection> {
        let email = format!("{name}@gmail.com");
        let consent = self.google("accounts", json!({ "email": email })).await?;
        let text = |field: &str| consent[field].as_str().expect("a consent").to_owned();
        let (user, expires_at) = (Uuid::new_v4(), text("expires_at").parse::<DateTime<Utc>>()?);
        let insert =
            "insert into calendar_connections (user_id, provider, access_token, refresh_token, expires_at)
                        values ($1, 'google', $2, $3, $4) returning id";
        let values: [&(dyn ToSql + Sync); 4] =
            [&user, &text("access_token"), &text("refresh_token"), &expires_at];
        let id = self.sql(insert, &values).await?[0].get(0);
        Ok(Connection { id, user, email, access_token: text("access_token") })
    }

    pub(crate) async fn set(&self, connection: &Connection, assignments: &str) -> Result<()> {
        let sql = format!("update calendar_connections set {assignments} where id = $1");
        self.sql(&sql, &[&connection.id]).await?;
        Ok(())
    }

    pub(crate) async fn row(&self, connection: &Connection) -> Value {
        let sql = "select to_jsonb(c) from calendar_connections c where id = $1";
        self.sql(sql, &[&connection.id]).await.unwrap()[0].get(0)
    }

    /// Calls a function with a key, as cron and backends do.
    pub(crate) async fn call(&self, function: &str, key: &str, body: Value) -> Answer {
        self.post(function, ("apikey", key), body).await
    }

    /// Calls a function as a page does whose user is signed in.
    pub(crate) async fn call_as_user(&self, function: &str) -> Answer {
        self.post(function, ("authorization", "Bearer header.payload.signature"), json!({})).await
    }

    async fn post(&self, function: &str, (name, value): (&str, &str), body: Value) -> Answer {
        let url = format!("{}/functions/v1/{function}", self.stack.url());
        let answer = self.http.post(url).header(name, value).json(&body).send().await.unwrap();
        let status = answer.status().as_u16();
        Answer { status, body: answer.json().await.unwrap_or_default() }
    }

    pub(crate) async fn google(&self, path: &str, body: Value) -> Result<Value> {
        let request = self.http.post(format!("{}/control/{path}", self.stack.google().url())).json(&body);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    async fn google_list<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Vec<T> {
        let url = format!("{}/control/{path}", self.stack.google().url());
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// Changes the connection's calendar. → when
    pub(crate) async fn change(&self, connection: &Connection) -> Result<DateTime<Utc>> {
        let url = format!("{}/calendars/primary/events", self.stack.google().calendar_api_url());
        let event = json!({
            "start": { "dateTime": "2027-01-01T10:00:00Z" }, "end": { "dateTime": "2027-01-01T11:00:00Z" }
        });
        let request = self.http.post(url).bearer_auth(&connection.access_token).json(&event);
        let event: Value = request.send().await?.error_for_status()?.json().await?;
        // Not when the answer arrived: by then the run may have begun.
        Ok(event["updated"].as_str().context("when it was changed")?.parse()?)
    }

    pub(crate) async fn channels(&self, connection: &Connection) -> Vec<Channel> {
        self.google_list(&format!("channels?email={}", connection.email)).await
    }

    pub(crate) async fn live_channels(&self, connection: &Connection) -> Vec<String> {
        let live = self.channels(connection).await.into_iter().filter(|channel| channel.state == "live");
        live.map(|channel| channel.id).collect()
    }

    /// The statuses with which the notifications of a channel, the first one aside, were answered.
    pub(crate) async fn answers(&self, channel: &str) -> Vec<Option<u64>> {
        let deliveries: Vec<Value> = self.google_list(&format!("deliveries?channel_id={channel}")).await;
        let changes = deliveries.iter().filter(|delivery| delivery["resource_state"] != "sync");
        changes.map(|delivery| delivery["status"].as_u64()).collect()
    }

    pub(crate) async fn runs(&self, connection: &Connection) -> Vec<Run> {
        let url = format!("{}/control/runs?user_id={}", self.stack.recalculate_url(), connection.user);
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    pub(crate) async fn until_run_after(&self, connection: &Connection, time: DateTime<Utc>) {
        until(&format!("a run of {} that starts after {time}", connection.email), || async {
            let runs = self.runs(connection).await;
            runs.iter().any(|run| run.status == Some(200) && run.started_at > time).then_some(())
        })
        .await;
    }

    /// Waits until nothing is owed and no run is going on.
    pub(crate) async fn until_idle(&self, connection: &Connection) {
        until(&format!("nothing going on for {}", connection.email), || async {
            let row = self.row(connection).await;
            (row["sync_request_id"].is_null() && row["sync_lease_until"] == "1970-01-01T00:00:00+00:00")
                .then_some(())
        })
        .await;
    }
}

/// Asks until there is an answer.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, probe: impl Fn() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < deadline, "after {PATIENCE:?} still not: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}
