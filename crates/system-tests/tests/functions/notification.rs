//! One POST of Google's, or of somebody who pretends to be Google.

use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::Value;
use system_tests::{Answer, Connection, RECEIVE};

use crate::scene::Scene;

const NAMES: [&str; 5] = [
    "x-goog-channel-id",
    "x-goog-channel-token",
    "x-goog-resource-id",
    "x-goog-resource-state",
    "x-goog-message-number",
];

/// Its headers; `None` = left out.
#[derive(Clone, Debug)]
pub(crate) struct Notification {
    pub channel: Option<Vec<u8>>,
    pub token: Option<Vec<u8>>,
    pub resource: Option<Vec<u8>>,
    pub state: Option<Vec<u8>>,
    pub number: Option<Vec<u8>>,
    /// The account in whose calendar something has changed when it is sent.
    pub account: Option<String>,
}

fn bytes(text: impl ToString) -> Option<Vec<u8>> {
    Some(text.to_string().into_bytes())
}

impl Notification {
    /// A change, on the connection's current channel.
    pub(crate) fn of(connection: &Connection, row: &Value, number: u64) -> Self {
        Self {
            channel: bytes(row["webhook_id"].as_str().expect("a channel")),
            token: bytes(&connection.token),
            resource: bytes(row["webhook_resource_id"].as_str().expect("a resource id")),
            state: bytes("exists"),
            number: bytes(number),
            account: Some(connection.email.clone()),
        }
    }

    pub(crate) fn channel(self, channel: impl ToString) -> Self {
        Self { channel: bytes(channel), ..self }
    }

    pub(crate) fn token(self, token: impl ToString) -> Self {
        Self { token: bytes(token), ..self }
    }

    pub(crate) fn resource(self, resource: impl ToString) -> Self {
        Self { resource: bytes(resource), ..self }
    }

    pub(crate) fn state(self, state: impl ToString) -> Self {
        Self { state: bytes(state), ..self }
    }

    pub(crate) fn number(self, number: impl ToString) -> Self {
        Self { number: bytes(number), ..self }
    }

    pub(crate) fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let values = [&self.channel, &self.token, &self.resource, &self.state, &self.number];
        let header = |(name, value): (&str, &Option<Vec<u8>>)| {
            let value = HeaderValue::from_bytes(value.as_ref()?).expect("a header's value");
            Some((HeaderName::try_from(name).expect("a header's name"), value))
        };
        NAMES.into_iter().zip(values).filter_map(header).collect()
    }
}

impl Scene {
    pub(crate) async fn notify(&self, notification: &Notification) -> Answer {
        self.notify_with(Method::POST, notification, Vec::new()).await
    }

    pub(crate) async fn notify_with(
        &self,
        method: Method,
        notification: &Notification,
        body: Vec<u8>,
    ) -> Answer {
        if let Some(email) = &notification.account {
            self.change_account_silently(email).await;
        }
        let headers = notification.headers().into_iter().collect();
        self.send(self.request(method, RECEIVE).headers(headers).body(body)).await
    }
}
