//! What Google grants.

use std::time::Duration;

use crate::Timestamp;
use crate::connection::{AccessToken, RefreshToken, ResourceId};

/// A channel, as `events.watch` opened it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedChannel {
    pub resource_id: ResourceId,
    pub expiration: Timestamp,
}

/// A new access token for a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewedToken {
    pub access_token: AccessToken,
    /// How long it is good for.
    pub expires_in: Duration,
    /// Google normally sends none: the old one goes on.
    pub refresh_token: Option<RefreshToken>,
}
