//! The services that the app's backend talks to, and with which keys.

use anyhow::Result;
use reqwest::{Client, Method, RequestBuilder};
use serde::de::DeserializeOwned;

pub struct Services {
    pub client: Client,
    pub supabase_url: String,
    pub publishable_key: String,
    pub secret_key: String,
    /// What `recalculate-schedule` is called with on projects that have no secret key.
    pub legacy_service_role_key: String,
    pub google_url: String,
    pub consent_url: String,
    pub oauth_token_url: String,
    pub calendar_api_url: String,
    pub client_id: String,
    pub client_secret: String,
}

impl Services {
    /// A request to a table, past its Row Level Security: the caller has to filter by user.
    pub(crate) fn rest(&self, method: Method, table: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}/rest/v1/{table}", self.supabase_url))
            .header("apikey", &self.secret_key)
    }

    /// Calls `refresh-calendar-webhook` as cron does.
    pub(crate) async fn sweep(&self) -> Result<()> {
        let url = format!("{}/functions/v1/refresh-calendar-webhook", self.supabase_url);
        // Whichever of the keys the functions have.
        let sweep = self
            .client
            .post(url)
            .header("apikey", &self.secret_key)
            .bearer_auth(&self.legacy_service_role_key)
            .json(&serde_json::json!({}));
        sweep.send().await?.error_for_status()?;
        Ok(())
    }
}

pub(crate) async fn rows<T: DeserializeOwned>(request: RequestBuilder) -> Result<Vec<T>> {
    Ok(request.send().await?.error_for_status()?.json().await?)
}
