//! Notifications that wait to be delivered.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::model::clock::now;

pub(crate) struct Message {
    pub(crate) number: u64,
    pub(crate) resource_state: String,
    pub(crate) queued_at: DateTime<Utc>,
    pub(crate) due: Instant,
    /// Sent although the channel may be stopped or expired.
    pub(crate) forced: bool,
    /// Told when the first attempt is over.
    pub(crate) answered: Option<oneshot::Sender<()>>,
}

impl Message {
    pub(crate) fn new(number: u64, resource_state: &str, delay: Duration) -> Self {
        let resource_state = resource_state.to_owned();
        Self {
            number,
            resource_state,
            queued_at: now(),
            due: Instant::now() + delay,
            forced: false,
            answered: None,
        }
    }
}
