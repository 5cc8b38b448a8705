//! Users and connections of a trial's own, and their rows as SQL shows them.

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::scene::{Caller, SETUP, Scene, until};

/// Somebody who is signed in.
pub(crate) struct User {
    pub id: Uuid,
    pub token: String,
}

/// A row of `calendar_connections`, with a Google account of its own.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub id: Uuid,
    pub user: Uuid,
    pub email: String,
    /// The channel token.
    pub token: String,
    pub token_hash: String,
}

impl Connection {
    pub(crate) fn target(&self) -> Value {
        json!({ "connection_id": self.id })
    }
}

/// One call of the stand-in for `recalculate-schedule`.
#[derive(Debug, Deserialize)]
pub(crate) struct Run {
    pub connection_id: Uuid,
    pub request_id: Uuid,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub overlapped: bool,
}

impl Scene {
    pub(crate) async fn user(&self) -> User {
        // Hashing a password occupies lite whole: many at once would keep it from telling who somebody is in time.
        static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _turn = ONE_AT_A_TIME.lock().await;
        let email = format!("{}@example.com", Uuid::new_v4().simple());
        let answer = self
            .world
            .http
            .post(format!("{}/auth/v1/signup", self.url()))
            .header("apikey", self.publishable_key())
            .json(&json!({ "email": email, "password": "correct horse" }))
            .send()
            .await
            .unwrap();
        let answer: Value = answer.json().await.unwrap();
        let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("no sign-up: {answer}"));
        let id = answer["user"]["id"].as_str().unwrap().parse().unwrap();
        self.keep_secret(token);
        self.users.lock().unwrap().push(id);
        User { id, token: token.to_owned() }
    }

    /// A connection without a channel, of a user whom nobody else has.
    pub(crate) async fn connection(&self) -> Connection {
        self.connection_of(Uuid::new_v4()).await
    }

    pub(crate) async fn connection_of(&self, user: Uuid) -> Connection {
        self.connection_to(user, json!({})).await
    }

    /// A connection to a Google account with these settings.
    pub(crate) async fn connection_to(&self, user: Uuid, settings: Value) -> Connection {
        let email = format!("{}@gmail.com", Uuid::new_v4().simple());
        let account = self.grant(&email, settings).await;
        self.users.lock().unwrap().push(user);
        let text = |field: &str| account[field].as_str().unwrap().to_owned();
        let expires_at: DateTime<Utc> = text("expires_at").parse().unwrap();
        let rows = self
            .sql(
                "insert into calendar_connections (user_id, provider, access_token, refresh_token, expires_at)
                   values ($1, 'google', $2, $3, $4) returning id, webhook_token, webhook_token_hash",
                &[&user, &text("access_token"), &text("refresh_token"), &expires_at],
            )
            .await
            .unwrap();
        let row = &rows[0];
        let connection =
            Connection { id: row.get(0), user, email, token: row.get(1), token_hash: row.get(2) };
        self.remember_tokens(&[user]).await.unwrap();
        connection
    }

    /// A connection with an open channel, on which Google has said hello and after which a run was made.
    pub(crate) async fn open(&self) -> Connection {
        let connection = self.connection().await;
        self.open_channel(&connection).await;
        // Whether the hello came before or after the commit.
        self.set(&connection, "webhook_message_number = 1").await;
        connection
    }

    pub(crate) async fn open_channel(&self, connection: &Connection) {
        let answer = self.call(SETUP, Caller::Service, connection.target()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        self.settled(connection).await;
    }

    /// Waits until nothing is going on, and returns the row.
    pub(crate) async fn settled(&self, connection: &Connection) -> Value {
        until("the channel confirmed and no run owed", || async {
            let row = self.row(connection).await;
            let greeted =
                row["webhook_confirmed_id"] == row["webhook_id"] || row["webhook_message_number"] != 0;
            (greeted && row["sync_request_id"].is_null() && is_epoch(&row["sync_lease_until"])).then_some(row)
        })
        .await
    }

    /// The whole row, as JSON.
    pub(crate) async fn row(&self, connection: &Connection) -> Value {
        self.row_by_id(connection.id).await.unwrap_or_else(|| panic!("no row of {connection:?}"))
    }

    pub(crate) async fn row_by_id(&self, id: Uuid) -> Option<Value> {
        let rows = self.sql("select to_jsonb(c) from calendar_connections c where id = $1", &[&id]).await;
        rows.unwrap().first().map(|row| row.get(0))
    }

    /// The connection as the view shows it.
    pub(crate) async fn status(&self, connection: &Connection) -> Value {
        let sql = "select to_jsonb(c) from calendar_connection_status c where id = $1";
        self.sql(sql, &[&connection.id]).await.unwrap()[0].get(0)
    }

    /// Changes the row behind everybody's back.
    pub(crate) async fn set(&self, connection: &Connection, assignments: &str) {
        let sql = format!("update calendar_connections set {assignments} where id = $1");
        self.sql(&sql, &[&connection.id]).await.unwrap();
    }

    /// Waits until the row is so.
    pub(crate) async fn row_where(
        &self,
        connection: &Connection,
        what: &str,
        is: impl Fn(&Value) -> bool,
    ) -> Value {
        until(what, || async { Some(self.row(connection).await).filter(&is) }).await
    }

    pub(crate) async fn runs(&self, connection: &Connection) -> Vec<Run> {
        let url = format!("{}/control/runs?user_id={}", self.recalculate_url(), connection.user);
        self.world.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// How the runs of this connection's user go from now on; the first behaviour that is not used up counts.
    pub(crate) async fn behave(&self, connection: &Connection, mut behaviour: Value) {
        behaviour["user_id"] = json!(connection.user);
        let url = format!("{}/control/behaviour", self.recalculate_url());
        let answer = self.world.http.post(url).json(&behaviour).send().await.unwrap();
        assert!(answer.status().is_success(), "{behaviour}");
    }

    pub(crate) fn keep_secret(&self, secret: &str) {
        self.world.secrets.lock().unwrap().insert(secret.to_owned());
    }

    /// Keeps the tokens that these users' rows hold at the moment.
    pub(crate) async fn remember_tokens(&self, users: &[Uuid]) -> Result<()> {
        let rows = self
            .sql(
                "select unnest(array[access_token, refresh_token, webhook_token]) from calendar_connections
                   where user_id = any($1)",
                &[&users],
            )
            .await?;
        for row in rows {
            if let Some(token) = row.get::<_, Option<&str>>(0) {
                self.keep_secret(token);
            }
        }
        Ok(())
    }
}

#[track_caller]
pub(crate) fn time(value: &Value) -> DateTime<Utc> {
    let text = value.as_str().unwrap_or_else(|| panic!("no time: {value}"));
    DateTime::parse_from_rfc3339(text).unwrap_or_else(|_| panic!("no time: {text}")).to_utc()
}

pub(crate) fn is_epoch(value: &Value) -> bool {
    time(value) == DateTime::UNIX_EPOCH
}

/// From now, in seconds.
#[track_caller]
pub(crate) fn seconds_ahead(value: &Value) -> f64 {
    (time(value) - Utc::now()).as_seconds_f64()
}

/// The time of a UUIDv7.
#[track_caller]
pub(crate) fn born(id: Uuid) -> DateTime<Utc> {
    assert_eq!(id.get_version_num(), 7, "{id}");
    let milliseconds = id.as_u128() >> 80;
    DateTime::from_timestamp_millis(i64::try_from(milliseconds).unwrap()).unwrap()
}

/// A UUIDv7 of this time.
pub(crate) fn uuid_born(at: DateTime<Utc>) -> Uuid {
    let milliseconds = u128::try_from(at.timestamp_millis()).unwrap() << 80;
    let rest = Uuid::new_v4().as_u128() & !(0xffff_ffff_ffff_f000_0000_0000_0000_0000);
    Uuid::from_u128(milliseconds | (0x7000 << 64) | rest)
}

pub(crate) fn ago(seconds: i64) -> DateTime<Utc> {
    Utc::now() - TimeDelta::seconds(seconds)
}
