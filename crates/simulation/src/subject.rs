//! What facts are about: rows, calendars, channels, runs and invocations of functions. Connections go by their numbers.

use std::fmt;
use std::ops::Deref;

use protocol::connection::{ChannelId, Connection, ConnectionId, RequestId, ResourceId};
use protocol::event::Event;
use uuid::Uuid;

use crate::time::Instant;

/// A row as the table has it: what the protocol reads of it, and what it only writes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) connection: Connection,
    pub(crate) sync_error: Option<String>,
}

impl Deref for Row {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Calendar {
    pub(crate) account: usize,
    /// Not the primary one.
    pub(crate) second: bool,
}

impl Calendar {
    pub(crate) fn resource(self) -> ResourceId {
        ResourceId::new(format!("resource-{}-{}", self.account, u8::from(self.second)))
    }
}

/// What a user has planned in a calendar: what a schedule is to fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plans(pub(crate) u8);

#[derive(Clone)]
pub(crate) struct Channel {
    pub(crate) id: ChannelId,
    pub(crate) calendar: Calendar,
    /// For whom it was opened.
    pub(crate) connection: Option<usize>,
    /// Opened by somebody else's code, with a token that is not ours.
    pub(crate) foreign: bool,
    pub(crate) opened_at: Instant,
    pub(crate) expires_at: Instant,
    pub(crate) stopped_at: Option<Instant>,
}

impl Channel {
    pub(crate) fn is_live(&self, now: Instant) -> bool {
        self.stopped_at.is_none() && self.expires_at > now
    }
}

/// One call of `recalculate-schedule` that arrived. It reads the calendar when it starts and writes the schedule when
/// it ends.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) number: usize,
    pub(crate) connection: usize,
    pub(crate) request: RequestId,
    pub(crate) holder: Invocation,
    pub(crate) start: Instant,
    pub(crate) end: Instant,
    pub(crate) succeeds: bool,
    /// What it read, and where.
    pub(crate) read: Option<(Calendar, Plans)>,
}

/// An invocation of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Invocation {
    pub(crate) number: usize,
    pub(crate) purpose: Purpose,
}

/// Why an invocation was started; by number of the connection it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Receive(usize),
    Forged,
    Setup(usize),
    Button(usize),
    Sweep,
}

impl Invocation {
    /// The one that it is about; none for a sweep.
    pub(crate) fn connection(self) -> Option<usize> {
        match self.purpose {
            Purpose::Receive(connection) | Purpose::Setup(connection) | Purpose::Button(connection) => {
                Some(connection)
            }
            Purpose::Forged | Purpose::Sweep => None,
        }
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let purpose = match self.purpose {
            Purpose::Receive(_) => "receive",
            Purpose::Forged => "forged",
            Purpose::Setup(_) => "setup",
            Purpose::Button(_) => "button",
            Purpose::Sweep => "sweep",
        };
        write!(f, "{purpose}#{}", self.number)
    }
}

/// What is wrong with a connection for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    RunsFail,
    RunsHang,
    RunsCrash,
    WatchRefused,
    WatchUnanswered,
    WatchCrashes,
    Revoked,
    /// Google sends no notifications for the calendar.
    NoPush,
    /// No look ever tells what is in the calendar.
    Unreadable,
    /// `events.list` is out of order.
    Unlisted,
    /// The host's own trigger refuses every update of its row; only in a crowd.
    Refusing,
}

/// What the host app does to the calendar that it plans around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writes {
    Nothing,
    /// Its sessions, where they differ from those that are there.
    InPlace,
    /// Its sessions, anew each time.
    Recreated,
    /// Its sessions, with the time in their texts: no two runs write the same.
    Restless,
}

impl Broken {
    pub(crate) const ALL: &[Self] = &[
        Self::RunsFail,
        Self::RunsHang,
        Self::RunsCrash,
        Self::WatchRefused,
        Self::WatchUnanswered,
        Self::WatchCrashes,
        Self::Revoked,
        Self::NoPush,
        Self::Unreadable,
        Self::Unlisted,
    ];

    /// Whether runs are made, and succeed, in spite of it.
    pub(crate) fn is_run(self) -> bool {
        matches!(self, Self::WatchRefused | Self::WatchUnanswered | Self::NoPush | Self::Unreadable)
    }

    /// Whether it crashes every invocation that makes its run or opens its channel, and with it what the invocation was
    /// about to do for others.
    pub(crate) fn crashes(self) -> bool {
        matches!(self, Self::RunsCrash | Self::WatchCrashes)
    }
}

/// Enough of a channel's id to tell it from others.
pub(crate) fn short(id: &ChannelId) -> &str {
    id.as_str().get(..6).unwrap_or(id.as_str())
}

pub(crate) fn connection_id(connection: usize) -> ConnectionId {
    ConnectionId(Uuid::from_u128(connection as u128 + 1))
}

pub(crate) fn connection_number(id: ConnectionId) -> usize {
    usize::try_from(id.0.as_u128().wrapping_sub(1)).unwrap_or(usize::MAX)
}

/// The connection that an event in the log is about.
pub(crate) fn connection_of(event: &Event) -> Option<usize> {
    match event {
        Event::RunSucceeded { connection, .. }
        | Event::RunSettled { connection, .. }
        | Event::RunFailed { connection, .. }
        | Event::RunLeaseLost { connection }
        | Event::ChannelOpened { connection, .. }
        | Event::RenewalFailed { connection, .. }
        | Event::RenewalSuperseded { connection }
        | Event::ChannelRetired { connection, .. }
        | Event::ChannelStopped { connection, .. }
        | Event::ChannelGone { connection, .. }
        | Event::RefreshTokenMissing { connection }
        | Event::ChannelNotStopped { connection, .. }
        | Event::NotificationMissed { connection, .. }
        | Event::SweepsMissing { connection, .. }
        | Event::LookFailed { connection, .. }
        | Event::GoogleRefused { connection, .. } => Some(connection_number(*connection)),
        Event::UnreadableRow(_) | Event::CallFailed { .. } => None,
    }
}
