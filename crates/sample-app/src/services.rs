//! The services that the app's backend talks to, and with which keys.

use anyhow::Result;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

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

    /// Whose token a request carries, as Auth tells; `None` if Auth refuses it.
    pub(crate) async fn user(&self, authorization: &str) -> Result<Option<User>> {
        let request = self
            .client
            .get(format!("{}/auth/v1/user", self.supabase_url))
            .header("apikey", &self.publishable_key)
            .header("authorization", authorization);
        let answer = request.send().await?;
        match answer.status() {
            StatusCode::OK => Ok(Some(answer.json().await?)),
            status if status.is_client_error() => Ok(None),
            status => anyhow::bail!("Auth answered {status}"),
        }
    }

    /// The first connection of a user.
    pub(crate) async fn connection(&self, user: Uuid) -> Result<Option<Uuid>> {
        #[derive(Deserialize)]
        struct Connection {
            id: Uuid,
        }
        let query = [
            ("user_id", format!("eq.{user}")),
            ("provider", "eq.google".to_owned()),
            ("select", "id".to_owned()),
            ("order", "created_at".to_owned()),
            ("limit", "1".to_owned()),
        ];
        let found: Vec<Connection> =
            rows(self.rest(Method::GET, "calendar_connections").query(&query)).await?;
        Ok(found.into_iter().next().map(|row| row.id))
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

/// A signed-in user of the app.
#[derive(Deserialize)]
pub(crate) struct User {
    pub id: Uuid,
}

pub(crate) async fn rows<T: DeserializeOwned>(request: RequestBuilder) -> Result<Vec<T>> {
    Ok(request.send().await?.error_for_status()?.json().await?)
}
