//! What `pg_cron` does in a hosted project: asks for a sweep, again and again.

use std::time::Duration;

use reqwest::Client;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::output::Output;

/// Calls `refresh-calendar-webhook` as the service, for as long as it is polled.
pub(crate) async fn sweep(
    client: Client,
    supabase_url: String,
    key: String,
    every: Duration,
    output: Output,
) {
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let sweep = client
            .post(format!("{supabase_url}/functions/v1/refresh-calendar-webhook"))
            .header("apikey", &key)
            .json(&serde_json::json!({}))
            .send();
        match sweep.await {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => output.line(&format!("the sweep answered {}", answer.status())),
            Err(error) => output.line(&format!("the sweep failed: {error}")),
        }
    }
}
