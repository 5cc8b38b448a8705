//! The host app's backend: the OAuth flow, the row of a connection, and cron.

use anyhow::{Context, Result, ensure};
use chrono::{SecondsFormat, TimeDelta, Utc};
use dev_stack::Stack;
use reqwest::{Client, Method, RequestBuilder, Url};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};

use super::patience::CALL_TIMEOUT;

/// Nothing listens here: the browser hands over where Google sends it.
const REDIRECT_URI: &str = "http://localhost:3000/calendar/connected";

pub(super) struct HostApp {
    client: Client,
    supabase_url: String,
    service_key: String,
    recalculate_url: String,
    consent_url: String,
    token_url: String,
    client_id: String,
    client_secret: String,
}

impl HostApp {
    pub(super) fn new(stack: &Stack, service_key: &str, oauth: &fake_google::Config) -> Result<HostApp> {
        Ok(HostApp {
            client: Client::builder().timeout(CALL_TIMEOUT).build()?,
            supabase_url: stack.url().to_owned(),
            service_key: service_key.to_owned(),
            recalculate_url: stack.recalculate_url().to_owned(),
            consent_url: stack.google().consent_url(),
            token_url: stack.google().oauth_token_url(),
            client_id: oauth.client_id.clone(),
            client_secret: oauth.client_secret.clone(),
        })
    }

    /// Where "Connect your calendar" leads.
    pub(super) fn consent_page(&self, user_id: &str) -> Result<Url> {
        let query = [
            ("client_id", self.client_id.as_str()),
            ("redirect_uri", REDIRECT_URI),
            ("response_type", "code"),
            ("scope", "https://www.googleapis.com/auth/calendar"),
            ("access_type", "offline"),
            ("state", user_id),
        ];
        Ok(Url::parse_with_params(&self.consent_url, query)?)
    }

    /// Exchanges the code that the browser comes back with, and stores the connection.
    pub(super) async fn connect(&self, user_id: &str, callback: &Url) -> Result<()> {
        #[derive(Deserialize)]
        struct Tokens {
            access_token: String,
            refresh_token: String,
            expires_in: u32,
        }
        let parameter = |name| callback.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value);
        let state = parameter("state").unwrap_or_default();
        ensure!(state == user_id, "expected Google to return the state {user_id}; saw {state}");
        let code = parameter("code").context("Google sent no code")?;
        let form = [
            ("client_id", self.client_id.as_str()),
            ("client_secret", &self.client_secret),
            ("redirect_uri", REDIRECT_URI),
            ("grant_type", "authorization_code"),
            ("code", &code),
        ];
        let tokens = self.client.post(&self.token_url).form(&form).send().await?.error_for_status()?;
        let tokens: Tokens = tokens.json().await?;

        let connection = json!({
            "user_id": user_id,
            "provider": "google",
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token,
            "expires_at": from_now(TimeDelta::seconds(tokens.expires_in.into())),
        });
        let insert = self.service(Method::POST, "/rest/v1/calendar_connections").json(&connection);
        insert.send().await?.error_for_status()?;
        Ok(())
    }

    /// Lets weeks pass, as far as the connection's row tells: its channel ends in an hour, and its renewal is due.
    pub(super) async fn bring_end_near(&self, connection_id: &str) -> Result<()> {
        let change = json!({
            "webhook_expiration": from_now(TimeDelta::hours(1)),
            "webhook_not_before": from_now(TimeDelta::zero()),
        });
        let query = [("id", format!("eq.{connection_id}"))];
        let update = self.service(Method::PATCH, "/rest/v1/calendar_connections").query(&query).json(&change);
        update.send().await?.error_for_status()?;
        Ok(())
    }

    /// What cron does every minute.
    pub(super) async fn sweep(&self) -> Result<()> {
        let sweep = self.service(Method::POST, "/functions/v1/refresh-calendar-webhook").json(&json!({}));
        sweep.send().await?.error_for_status()?;
        Ok(())
    }

    /// How often `recalculate-schedule` was called for a user.
    pub(super) async fn recalculations(&self, user_id: &str) -> Result<usize> {
        let url = format!("{}/control/runs", self.recalculate_url);
        let runs = self.client.get(url).query(&[("user_id", user_id)]).send().await?.error_for_status()?;
        Ok(runs.json::<Vec<IgnoredAny>>().await?.len())
    }

    fn service(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.supabase_url))
            .header("apikey", &self.service_key)
    }
}

fn from_now(time: TimeDelta) -> Value {
    (Utc::now() + time).to_rfc3339_opts(SecondsFormat::Millis, true).into()
}
