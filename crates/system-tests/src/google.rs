//! The fake Google, as a test tells it what to do and asks it what happened.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::connection::{Connection, text};
use crate::patience::until;
use crate::project::Project;

#[derive(Clone, Debug, Deserialize)]
pub struct Channel {
    pub id: String,
    pub email: String,
    pub calendar_id: String,
    pub address: String,
    pub resource_id: String,
    pub token: Option<String>,
    pub opened_at: DateTime<Utc>,
    pub expiration: DateTime<Utc>,
    pub stopped_at: Option<DateTime<Utc>>,
    pub state: String,
    pub last_message_number: i64,
}

impl Project {
    pub async fn google_control(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/control/{path}", self.google);
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path} {body}: {answer:?}");
        answer.json().await.unwrap()
    }

    pub async fn google_forgets(&self, path: &str) {
        let answer = self.http.delete(format!("{}/control/{path}", self.google)).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
    }

    pub async fn google_list<T: DeserializeOwned>(&self, path: &str) -> Vec<T> {
        let url = format!("{}/control/{path}", self.google);
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// Consent, with settings of the account as the control API takes them. → its tokens
    pub async fn grant(&self, email: &str, mut settings: Value) -> Value {
        settings["email"] = json!(email);
        self.google_control("accounts", settings).await
    }

    /// Spoils coming calls of this connection's account.
    pub async fn fault(&self, connection: &Connection, mut fault: Value) {
        fault["email"] = json!(connection.email);
        self.google_control("faults", fault).await;
    }

    /// How notifications of this connection's channels are delivered.
    pub async fn delivery(&self, connection: &Connection, mut rule: Value) {
        rule["email"] = json!(connection.email);
        self.google_control("delivery", rule).await;
    }

    pub async fn channels(&self, connection: &Connection) -> Vec<Channel> {
        self.google_list(&format!("channels?email={}", connection.email)).await
    }

    pub async fn channel(&self, connection: &Connection, id: &str) -> Channel {
        let mut channels = self.channels(connection).await;
        channels.retain(|channel| channel.id == id);
        channels.pop().unwrap_or_else(|| panic!("Google has no channel {id}"))
    }

    pub async fn live_channels(&self, connection: &Connection) -> Vec<String> {
        let live = self.channels(connection).await.into_iter().filter(|channel| channel.state == "live");
        live.map(|channel| channel.id).collect()
    }

    pub async fn until_stopped(&self, connection: &Connection, id: &str) {
        until(&format!("channel {id} stopped"), || async {
            (self.channel(connection, id).await.state == "stopped").then_some(())
        })
        .await;
    }

    /// How often Google was asked this for the account so far.
    pub async fn asked_google(&self, connection: &Connection, operation: &str) -> usize {
        let requests: Vec<Value> = self.google_list("requests").await;
        let own =
            |request: &&Value| request["operation"] == operation && request["email"] == connection.email;
        requests.iter().filter(own).count()
    }

    /// The notifications of a channel, and what became of each.
    pub async fn deliveries(&self, channel: &str) -> Vec<Value> {
        self.google_list(&format!("deliveries?channel_id={channel}")).await
    }

    /// The statuses with which the notifications of a channel, the first one aside, were answered.
    pub async fn answers(&self, channel: &str) -> Vec<Option<u64>> {
        let deliveries = self.deliveries(channel).await;
        let changes = deliveries.iter().filter(|delivery| delivery["resource_state"] != "sync");
        changes.map(|delivery| delivery["status"].as_u64()).collect()
    }

    /// Puts an event into the connection's calendar of which nobody is notified.
    pub async fn change_silently(&self, connection: &Connection) {
        self.change_account_silently(&connection.email).await;
    }

    pub async fn change_account_silently(&self, email: &str) {
        let one_more = json!({ "email": email, "events": 1, "more": true, "silently": true });
        self.google_control("events", one_more).await;
    }

    /// One more notification on a channel, whatever state it is in, of a change in the connection's calendar.
    pub async fn speak(&self, connection: &Connection, channel: &str) {
        self.change_silently(connection).await;
        self.google_control(&format!("channels/{channel}/notify"), json!({})).await;
    }

    /// Opens a channel with the connection's own token behind the functions' back. Its `sync` message does not come.
    pub async fn watch_directly(&self, connection: &Connection, id: &str) -> Channel {
        self.delivery(connection, json!({ "sync": "dropped" })).await;
        let row = self.row(connection).await;
        let url = format!("{}/calendars/primary/events/watch", self.calendar_api);
        let address = format!("{}/functions/v1/google-calendar-webhook", self.url);
        let body = json!({ "id": id, "type": "web_hook", "address": address, "token": connection.token });
        let request = self.http.post(url).bearer_auth(text(&row, "access_token")).json(&body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        self.channel(connection, id).await
    }
}
