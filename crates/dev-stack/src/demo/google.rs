//! What the story needs of the fake Google beside its API: its accounts, its faults and what it has seen.

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use reqwest::{Client, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::patience::CALL_TIMEOUT;

pub(super) struct Google {
    client: Client,
    url: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Channel {
    id: String,
    email: String,
    state: String,
    opened_at: DateTime<Utc>,
}

impl Google {
    pub(super) fn new(url: String) -> Result<Self> {
        Ok(Self { client: Client::builder().timeout(CALL_TIMEOUT).build()?, url })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The fake's page where an app would send the browser to Google's.
    pub(super) fn instead_of(&self, page: &str) -> Result<Url> {
        let query = page.strip_prefix("https://accounts.google.com").context("not Google's consent page")?;
        Ok(Url::parse(&format!("{}{query}", self.url))?)
    }

    /// Signs in to an account, which is created if there is none.
    pub(super) async fn access_token(&self, email: &str) -> Result<String> {
        #[derive(Deserialize)]
        struct Account {
            access_token: String,
        }
        let account: Account = self.tell("accounts", json!({ "email": email })).await?;
        Ok(account.access_token)
    }

    /// Withdraws every consent of an account.
    pub(super) async fn revoke(&self, email: &str) -> Result<()> {
        self.tell::<Value>("revoke", json!({ "email": email })).await?;
        Ok(())
    }

    /// Delays the answer to the account's next `watch`; the channel is open all the while.
    pub(super) async fn answer_watch_slowly(&self, email: &str, delay_ms: u32) -> Result<()> {
        let fault = json!({ "operation": "watch", "email": email, "delay_ms": delay_ms, "after": true });
        self.tell::<Value>("faults", fault).await?;
        Ok(())
    }

    pub(super) async fn live_channels(&self, email: &str) -> Result<Vec<Channel>> {
        let mut channels = self.channels().await?;
        channels.retain(|channel| channel.email == email && channel.state == "live");
        Ok(channels)
    }

    pub(super) async fn opened_at(&self, channel_id: &str) -> Result<DateTime<Utc>> {
        let channels = self.channels().await?;
        let channel = channels.into_iter().find(|channel| channel.id == channel_id);
        Ok(channel.with_context(|| format!("Google knows no channel {channel_id}"))?.opened_at)
    }

    /// When `channels.stop` was last called for an account.
    pub(super) async fn last_stop_at(&self, email: &str) -> Result<DateTime<Utc>> {
        #[derive(Deserialize)]
        struct Request {
            at: DateTime<Utc>,
            operation: String,
            email: Option<String>,
        }
        let requests: Vec<Request> = self.ask("requests").await?;
        let mut requests = requests.into_iter().rev();
        let stop =
            requests.find(|request| request.operation == "stop" && request.email.as_deref() == Some(email));
        Ok(stop.context("Google was never asked to stop a channel")?.at)
    }

    async fn channels(&self) -> Result<Vec<Channel>> {
        self.ask("channels").await
    }

    async fn ask<T: DeserializeOwned>(&self, what: &str) -> Result<T> {
        let answer = self.client.get(format!("{}/control/{what}", self.url)).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    async fn tell<T: DeserializeOwned>(&self, what: &str, body: Value) -> Result<T> {
        let answer = self.client.post(format!("{}/control/{what}", self.url)).json(&body).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }
}
