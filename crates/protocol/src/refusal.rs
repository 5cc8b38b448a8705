//! Why a connection that somebody asked about is not well.

use std::time::Duration;

use chrono::TimeDelta;

use crate::Timestamp;
use crate::connection::Connection;
use crate::failure::RenewalFailure;
use crate::schedule::REFRESH_INTERVAL;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoConnection,
    Paused,
    Disconnected,
    /// Renewed a moment ago, or somebody else is at it.
    TooSoon {
        retry_after: Duration,
    },
    Failed(RenewalFailure),
}

impl Refusal {
    /// Nothing is to be done for such a connection, whatever Google says.
    pub(crate) fn of(row: &Connection) -> Option<Self> {
        match (row.is_active, row.sync_enabled) {
            (false, _) => Some(Self::Disconnected),
            (true, false) => Some(Self::Paused),
            (true, true) => None,
        }
    }

    /// Until the end of the interval or of the lease: 1 to 30 s.
    pub(crate) fn too_soon(row: &Connection, now: Timestamp) -> Self {
        let interval = row.webhook_opened_at.signed_duration_since(now) + REFRESH_INTERVAL;
        let lease = row.webhook_lease_until.signed_duration_since(now);
        let wait = interval.max(lease).clamp(TimeDelta::seconds(1), REFRESH_INTERVAL);
        Self::TooSoon { retry_after: wait.to_std().unwrap_or(Duration::from_secs(1)) }
    }
}
