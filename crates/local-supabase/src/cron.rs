//! What `pg_cron` does in a hosted project: calls a function, again and again.

use std::time::Duration;

use reqwest::Client;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::output::Output;

/// A function that is called as the service, and how often.
pub struct Cron {
    pub function: String,
    pub every: Duration,
}

/// Calls it for as long as this is polled.
pub(crate) async fn call(cron: Cron, supabase_url: String, key: String, output: Output) {
    let Cron { function, every } = cron;
    let (client, url) = (Client::new(), format!("{supabase_url}/functions/v1/{function}"));
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let call = client.post(&url).header("apikey", &key).json(&serde_json::json!({}));
        match call.send().await {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => output.line(&format!("{function} answered {}", answer.status())),
            Err(error) => output.line(&format!("{function} failed: {error}")),
        }
    }
}
