//! The fake Google, as a trial tells it what to do and asks it what happened.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::fixture::Connection;
use crate::scene::{Scene, until};

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Channel {
    pub id: String,
    pub calendar_id: String,
    pub address: String,
    pub resource_id: String,
    pub token: Option<String>,
    pub expiration: chrono::DateTime<chrono::Utc>,
    pub state: String,
}

impl Scene {
    pub(crate) async fn google_control(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/control/{path}", self.google().url());
        let answer = self.world.http.post(url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path} {body}: {answer:?}");
        answer.json().await.unwrap()
    }

    async fn google_list<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Vec<T> {
        let url = format!("{}/control/{path}", self.google().url());
        self.world.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// Consent, with settings of the account as the control API takes them. → its tokens.
    pub(crate) async fn grant(&self, email: &str, mut settings: Value) -> Value {
        settings["email"] = json!(email);
        self.google_control("accounts", settings).await
    }

    /// Spoils coming calls of this connection's account.
    pub(crate) async fn fault(&self, connection: &Connection, mut fault: Value) {
        fault["email"] = json!(connection.email);
        self.google_control("faults", fault).await;
    }

    /// How notifications of this connection's channels are delivered.
    pub(crate) async fn delivery(&self, connection: &Connection, mut rule: Value) {
        rule["email"] = json!(connection.email);
        self.google_control("delivery", rule).await;
    }

    pub(crate) async fn channels(&self, connection: &Connection) -> Vec<Channel> {
        self.google_list(&format!("channels?email={}", connection.email)).await
    }

    pub(crate) async fn channel(&self, connection: &Connection, id: &str) -> Channel {
        let mut channels = self.channels(connection).await;
        channels.retain(|channel| channel.id == id);
        channels.pop().unwrap_or_else(|| panic!("Google has no channel {id}"))
    }

    pub(crate) async fn live_channels(&self, connection: &Connection) -> Vec<String> {
        let live = self.channels(connection).await.into_iter().filter(|channel| channel.state == "live");
        live.map(|channel| channel.id).collect()
    }

    pub(crate) async fn until_stopped(&self, connection: &Connection, id: &str) {
        until(&format!("channel {id} stopped"), || async {
            (self.channel(connection, id).await.state == "stopped").then_some(())
        })
        .await;
    }

    /// How often Google was asked this for the account so far.
    pub(crate) async fn asked_google(&self, connection: &Connection, operation: &str) -> usize {
        let requests: Vec<Value> = self.google_list("requests").await;
        let own =
            |request: &&Value| request["operation"] == operation && request["email"] == connection.email;
        requests.iter().filter(own).count()
    }

    /// The statuses that deliveries on a channel have met last.
    pub(crate) async fn deliveries(&self, channel: &str) -> Vec<Value> {
        self.google_list(&format!("deliveries?channel_id={channel}")).await
    }

    /// One more notification on a channel, whatever state it is in.
    pub(crate) async fn speak(&self, channel: &str) {
        self.google_control(&format!("channels/{channel}/notify"), json!({})).await;
    }

    /// Opens a channel with the connection's own token behind the functions' back.
    pub(crate) async fn watch_directly(&self, connection: &Connection, id: &str) -> Channel {
        let row = self.row(connection).await;
        let url = format!("{}/calendars/primary/events/watch", self.google().calendar_api_url());
        let address = format!("{}/functions/v1/google-calendar-webhook", self.url());
        let body = json!({ "id": id, "type": "web_hook", "address": address, "token": connection.token });
        let request =
            self.world.http.post(url).bearer_auth(row["access_token"].as_str().unwrap()).json(&body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        self.channel(connection, id).await
    }
}
