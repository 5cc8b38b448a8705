//! A run: one call of `recalculate-schedule`, and why it takes place.

use crate::connection::{ConnectionId, RequestId, UserId};

/// Why a run takes place; part of what `recalculate-schedule` is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    CalendarChanged,
    ChannelOpened,
    ManualRefresh,
    /// Owed from before: a retry, or left over by a crash or by the storm brake.
    Owed,
    Reconciliation,
}

impl Reason {
    pub const fn code(self) -> &'static str {
        match self {
            Self::CalendarChanged => "calendar_changed",
            Self::ChannelOpened => "channel_opened",
            Self::ManualRefresh => "manual_refresh",
            Self::Owed => "owed",
            Self::Reconciliation => "reconciliation",
        }
    }
}

/// One call of `recalculate-schedule`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub user: UserId,
    pub connection: ConnectionId,
    pub request: RequestId,
    pub reason: Reason,
}
