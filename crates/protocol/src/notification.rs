//! What Google tells of a calendar.

use crate::connection::{ChannelId, ResourceId, TokenHash};

/// One POST from Google, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    pub channel: ChannelId,
    pub token_hash: TokenHash,
    pub resource: ResourceId,
    pub state: State,
    /// 1 to 2^63 − 1, increasing with gaps on one channel.
    pub number: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The channel's first message: it is open.
    Sync,
    /// Anything else: something changed.
    Change,
}
