//! What Google grants.

use std::time::Duration;

use crate::Timestamp;
use crate::connection::{AccessToken, Connection, RefreshToken, ResourceId};
use crate::failure::Refused;

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

/// An access token, and the row after it was stored if the token had to be renewed.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) token: AccessToken,
    pub(crate) renewed: Option<Connection>,
}

/// Why there is no access token.
#[derive(Clone, Debug)]
pub(crate) enum NoAccess {
    Failed(Refused),
    /// The connection was reconnected or moved to another calendar since its row was read; nothing was stored.
    Superseded,
}
