//! A running fake, and how the tests speak to it.

use std::time::{Duration, Instant};

use fake_google::{Config, FakeGoogle};
use reqwest::{Client, Method, StatusCode, redirect};
use serde_json::{Value, json};

use crate::receiver::Receiver;

pub(crate) const ADA: &str = "ada@example.com";
pub(crate) const BOB: &str = "bob@example.com";

pub(crate) struct World {
    pub(crate) google: FakeGoogle,
    pub(crate) http: Client,
}

/// The answer to one request: status and JSON (null if there is none).
pub(crate) type Answer = (StatusCode, Value);

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(Config::default()).await
    }

    pub(crate) async fn start_with(config: Config) -> Self {
        let http = Client::builder().redirect(redirect::Policy::none()).no_proxy().build().unwrap();
        Self { google: FakeGoogle::start(config).await.unwrap(), http }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let status = response.status();
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
    }

    pub(crate) async fn try_control(&self, path: &str, body: Value) -> Answer {
        let url = format!("{}/control/{path}", self.google.url());
        self.send(self.http.post(url).json(&body)).await
    }

    pub(crate) async fn control(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.try_control(path, body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    pub(crate) async fn clear(&self, path: &str) {
        let url = format!("{}/control/{path}", self.google.url());
        assert_eq!(self.send(self.http.delete(url)).await.0, 200);
    }

    pub(crate) async fn inspect(&self, path: &str) -> Vec<Value> {
        let (status, answer) =
            self.send(self.http.get(format!("{}/control/{path}", self.google.url()))).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer.as_array().unwrap().clone()
    }

    pub(crate) async fn inspect_until(&self, path: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let found = self.inspect(path).await;
            if wanted(&found) {
                return found;
            }
            assert!(Instant::now() < deadline, "{path} stays {found:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A new grant. → its access token.
    pub(crate) async fn account(&self, email: &str) -> String {
        let answer = self.control("accounts", json!({"email": email})).await;
        answer["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn token(&self, fields: &[(&str, &str)]) -> Answer {
        self.send(self.http.post(self.google.oauth_token_url()).form(fields)).await
    }

    pub(crate) async fn renew_token(&self, refresh_token: &str) -> Answer {
        self.token(&[
            ("client_id", "fake-client-id"),
            ("client_secret", "fake-client-secret"),
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
        ])
        .await
    }

    pub(crate) fn api_request(&self, method: Method, path: &str, token: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.google.calendar_api_url());
        self.http.request(method, url).bearer_auth(token)
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.send(self.api_request(Method::GET, path, token)).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        self.send(self.api_request(Method::POST, path, token).json(&body)).await
    }

    pub(crate) async fn patch(&self, path: &str, token: &str, body: Value) -> Answer {
        self.send(self.api_request(Method::PATCH, path, token).json(&body)).await
    }

    pub(crate) async fn put(&self, path: &str, token: &str, body: Value) -> Answer {
        self.send(self.api_request(Method::PUT, path, token).json(&body)).await
    }

    pub(crate) async fn delete(&self, path: &str, token: &str) -> Answer {
        self.send(self.api_request(Method::DELETE, path, token)).await
    }

    /// An event on the caller's primary calendar.
    pub(crate) async fn insert(&self, token: &str, summary: &str) -> Value {
        let (status, event) = self.post("/calendars/primary/events", token, event(summary, 9)).await;
        assert_eq!(status, 200, "{event}");
        event
    }

    pub(crate) async fn watch(&self, token: &str, body: Value) -> Answer {
        self.post("/calendars/primary/events/watch", token, body).await
    }

    /// A channel on the caller's primary calendar whose `sync` message has arrived.
    pub(crate) async fn open_channel(&self, token: &str, id: &str, receiver: &Receiver) -> Value {
        let (status, channel) = self.watch(token, channel_body(id, receiver)).await;
        assert_eq!(status, 200, "{channel}");
        receiver.of_channel(id, 1).await;
        channel
    }

    pub(crate) async fn stop(&self, token: &str, channel: &Value) -> Answer {
        let body = json!({"id": channel["id"], "resourceId": channel["resourceId"]});
        self.post("/channels/stop", token, body).await
    }
}

pub(crate) fn channel_body(id: &str, receiver: &Receiver) -> Value {
    json!({"id": id, "type": "web_hook", "address": receiver.url})
}

/// An hour on 1 March 2030, from this hour on.
pub(crate) fn event(summary: &str, hour: u32) -> Value {
    json!({
        "summary": summary,
        "start": {"dateTime": format!("2030-03-01T{hour:02}:00:00Z")},
        "end": {"dateTime": format!("2030-03-01T{:02}:00:00Z", hour + 1)},
    })
}

/// Checks status and reason of one of the API's errors.
#[track_caller]
pub(crate) fn assert_error((status, body): &Answer, expected: u16, reason: &str) {
    assert_eq!(
        (status.as_u16(), body["error"]["errors"][0]["reason"].as_str()),
        (expected, Some(reason)),
        "{body}"
    );
    assert_eq!(body["error"]["code"], expected);
    assert!(body["error"]["message"].is_string(), "{body}");
}

/// Checks status and error of the token endpoint.
#[track_caller]
pub(crate) fn assert_oauth_error((status, body): &Answer, expected: u16, error: &str) {
    assert_eq!((status.as_u16(), body["error"].as_str()), (expected, Some(error)), "{body}");
    assert!(body["error_description"].is_string(), "{body}");
}

pub(crate) fn summaries(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["summary"].as_str().unwrap_or("-")).collect()
}
