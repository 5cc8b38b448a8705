//! What happened: requests that came, notifications that went out.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::model::fault::Operation;

#[derive(Clone, Serialize)]
pub(crate) struct LoggedRequest {
    pub(crate) at: DateTime<Utc>,
    pub(crate) operation: Operation,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) email: Option<String>,
    /// As the caller saw it; 0 = the connection was cut.
    pub(crate) status: u16,
}

/// What became of one notification.
#[derive(Clone, Serialize)]
pub(crate) struct Delivery {
    #[serde(skip)]
    pub(crate) key: Uuid,
    pub(crate) channel_id: String,
    pub(crate) message_number: u64,
    pub(crate) resource_state: String,
    /// When what it tells of happened.
    pub(crate) queued_at: DateTime<Utc>,
    pub(crate) attempts: u32,
    /// Of the last attempt; `None` = nobody answered.
    pub(crate) status: Option<u16>,
    /// Start of the last attempt.
    pub(crate) at: DateTime<Utc>,
    pub(crate) duration_ms: u64,
}
