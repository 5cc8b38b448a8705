//! Channels, open and over.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

use crate::model::clock::now;
use crate::model::message::Message;

/// Lifetimes in seconds.
pub(crate) struct Ttl {
    pub(crate) cap: u32,
    pub(crate) default: u32,
}

impl Default for Ttl {
    fn default() -> Self {
        Self { cap: 30 * 86_400, default: 7 * 86_400 }
    }
}

pub(crate) struct Channel {
    pub(crate) key: Uuid,
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) client_id: String,
    pub(crate) calendar_id: String,
    pub(crate) resource_id: String,
    pub(crate) resource_uri: String,
    pub(crate) address: String,
    pub(crate) token: Option<String>,
    pub(crate) expiration: DateTime<Utc>,
    pub(crate) opened_at: DateTime<Utc>,
    pub(crate) stopped_at: Option<DateTime<Utc>>,
    /// Google lost it without a word: it is open by all that was said, and never speaks.
    pub(crate) forgotten: bool,
    pub(crate) last_message_number: u64,
    /// To the channel's delivery task.
    pub(crate) outbox: UnboundedSender<Message>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ChannelState {
    Live,
    Stopped,
    Expired,
}

impl Channel {
    pub(crate) fn state(&self) -> ChannelState {
        if self.stopped_at.is_some() {
            ChannelState::Stopped
        } else if self.expiration <= now() {
            ChannelState::Expired
        } else {
            ChannelState::Live
        }
    }

    /// Whether it speaks and can be stopped.
    pub(crate) fn is_live(&self) -> bool {
        self.state() == ChannelState::Live && !self.forgotten
    }
}
