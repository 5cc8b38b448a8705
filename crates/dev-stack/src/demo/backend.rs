//! What the host app's backend does in the story besides connecting calendars: cron, and a look at its planner.

use anyhow::Result;
use dev_stack::Stack;
use reqwest::Client;
use serde::de::IgnoredAny;
use serde_json::json;

use super::patience::CALL_TIMEOUT;

pub(super) struct Backend {
    client: Client,
    supabase_url: String,
    service_key: String,
    recalculate_url: String,
}

impl Backend {
    pub(super) fn new(stack: &Stack, service_key: &str) -> Result<Self> {
        Ok(Self {
            client: Client::builder().timeout(CALL_TIMEOUT).build()?,
            supabase_url: stack.url().to_owned(),
            service_key: service_key.to_owned(),
            recalculate_url: stack.recalculate_url().to_owned(),
        })
    }

    /// What cron does every minute.
    pub(super) async fn sweep(&self) -> Result<()> {
        let url = format!("{}/functions/v1/refresh-calendar-webhook", self.supabase_url);
        let sweep = self.client.post(url).header("apikey", &self.service_key).json(&json!({}));
        sweep.send().await?.error_for_status()?;
        Ok(())
    }

    /// How often `recalculate-schedule` was called for a user.
    pub(super) async fn recalculations(&self, user_id: &str) -> Result<usize> {
        let url = format!("{}/control/runs", self.recalculate_url);
        let runs = self.client.get(url).query(&[("user_id", user_id)]).send().await?.error_for_status()?;
        Ok(runs.json::<Vec<IgnoredAny>>().await?.len())
    }
}
