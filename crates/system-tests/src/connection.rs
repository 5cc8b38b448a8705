//! Rows of `calendar_connections`, each with a Google account of its own.

use anyhow::Result;
use chrono::{DateTime, Utc};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::caller::Caller;
use crate::function::SETUP;
use crate::patience::until;
use crate::project::Project;

#[derive(Clone, Debug)]
pub struct Connection {
    pub id: Uuid,
    pub user: Uuid,
    pub email: String,
    /// The channel token.
    pub token: String,
    pub token_hash: String,
    /// Google's token for the user's own calendar program.
    pub calendar_token: String,
}

impl Connection {
    /// The body that asks a function for this connection alone.
    pub fn target(&self) -> Value {
        json!({ "connection_id": self.id })
    }
}

impl Project {
    /// A connection without a channel, of a user whom nobody else has.
    pub async fn connection(&self) -> Connection {
        let email = format!("{}@gmail.com", Uuid::new_v4().simple());
        self.connect(Uuid::new_v4(), &email, json!({})).await
    }

    /// A connection to a Google account with these settings, as the fake's control API takes them.
    pub async fn connect(&self, user: Uuid, email: &str, settings: Value) -> Connection {
        let calendar_token = text(&self.grant(email, json!({})).await, "access_token");
        let consent = Consent::of(&self.grant(email, settings).await);
        let insert = "insert into calendar_connections as c (user_id, provider, access_token, refresh_token, expires_at)
                        values ($1, 'google', $2, $3, $4) returning id, to_jsonb(c)";
        let Consent { access_token, refresh_token, expires_at } = &consent;
        let rows = self.sql(insert, &[&user, access_token, refresh_token, expires_at]).await.unwrap();
        let (id, row): (Uuid, Value) = (rows[0].get(0), rows[0].get(1));
        // A table before the first migration has none.
        let column = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        Connection {
            id,
            user,
            email: email.to_owned(),
            token: column("webhook_token"),
            token_hash: column("webhook_token_hash"),
            calendar_token,
        }
    }

    /// The user consents again, and the app's backend writes the new tokens over the old ones.
    pub async fn reconnect(&self, connection: &Connection, settings: Value) -> Result<()> {
        let Consent { access_token, refresh_token, expires_at } =
            Consent::of(&self.grant(&connection.email, settings).await);
        let set = "update calendar_connections
                     set access_token = $2, refresh_token = $3, expires_at = $4 where id = $1";
        self.sql(set, &[&connection.id, &access_token, &refresh_token, &expires_at]).await?;
        Ok(())
    }

    /// Opens a channel, and waits for Google's hello on it, for the first run, and until another may be opened.
    pub async fn open_channel(&self, connection: &Connection) {
        let answer = self.call(SETUP, Caller::Service, connection.target()).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        self.settled(connection).await;
        self.set(connection, "webhook_lease_until = 'epoch'").await;
    }

    /// Waits until nothing is going on, and returns the row.
    pub async fn settled(&self, connection: &Connection) -> Value {
        self.row_where(connection, "the channel confirmed and no run owed", |row| {
            let greeted =
                row["webhook_confirmed_id"] == row["webhook_id"] || row["webhook_message_number"] != 0;
            greeted && row["sync_request_id"].is_null() && is_epoch(&row["sync_lease_until"])
        })
        .await
    }

    /// Changes the row behind everybody's back.
    pub async fn set(&self, connection: &Connection, assignments: &str) {
        self.try_set(connection, assignments).await.unwrap();
    }

    /// Changes the row while the database may be down.
    pub async fn try_set(&self, connection: &Connection, assignments: &str) -> Result<()> {
        let sql = format!("update calendar_connections set {assignments} where id = $1");
        self.sql(&sql, &[&connection.id]).await?;
        Ok(())
    }

    /// The whole row, as JSON.
    pub async fn row(&self, connection: &Connection) -> Value {
        self.row_by_id(connection.id).await.unwrap_or_else(|| panic!("no row of {connection:?}"))
    }

    pub async fn row_by_id(&self, id: Uuid) -> Option<Value> {
        let rows = self.sql("select to_jsonb(c) from calendar_connections c where id = $1", &[&id]).await;
        rows.unwrap().first().map(|row| row.get(0))
    }

    /// Waits until the row is so.
    pub async fn row_where(&self, connection: &Connection, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        until(what, || async { Some(self.row(connection).await).filter(&is) }).await
    }

    /// The connection as the view shows it.
    pub async fn status(&self, connection: &Connection) -> Value {
        let sql = "select to_jsonb(c) from calendar_connection_status c where id = $1";
        self.sql(sql, &[&connection.id]).await.unwrap()[0].get(0)
    }

    /// What the user's own calendar program asks Google. `event` is `/` and its id, or a query.
    pub fn calendar(&self, method: Method, connection: &Connection, event: &str) -> RequestBuilder {
        let url = format!("{}/calendars/primary/events{event}", self.calendar_api);
        self.http.request(method, url).bearer_auth(&connection.calendar_token)
    }

    /// Puts an event into the connection's calendar. → when, by Google's clock
    pub async fn change(&self, connection: &Connection) -> DateTime<Utc> {
        let event = json!({
            "start": { "dateTime": "2130-01-01T10:00:00Z" }, "end": { "dateTime": "2130-01-01T11:00:00Z" }
        });
        let answer = self.calendar(Method::POST, connection, "").json(&event).send().await.unwrap();
        let event: Value = answer.error_for_status().unwrap().json().await.unwrap();
        // Not when the answer arrived: by then the run may have begun.
        time(&event["updated"])
    }
}

struct Consent {
    access_token: String,
    refresh_token: String,
    expires_at: DateTime<Utc>,
}

impl Consent {
    fn of(grant: &Value) -> Self {
        Self {
            access_token: text(grant, "access_token"),
            refresh_token: text(grant, "refresh_token"),
            expires_at: time(&grant["expires_at"]),
        }
    }
}

#[track_caller]
pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}")).to_owned()
}

#[track_caller]
pub fn time(value: &Value) -> DateTime<Utc> {
    let text = value.as_str().unwrap_or_else(|| panic!("no time: {value}"));
    DateTime::parse_from_rfc3339(text).unwrap_or_else(|_| panic!("no time: {text}")).to_utc()
}

pub fn is_epoch(value: &Value) -> bool {
    time(value) == DateTime::UNIX_EPOCH
}
