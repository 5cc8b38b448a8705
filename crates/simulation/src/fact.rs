//! What happens in a history: told by the world, read by the checks and by the trace. All that the two halves share.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use protocol::connection::{
    AccessToken, ChannelId, Connection, ConnectionId, RefreshToken, RequestId, ResourceId, UnreadableRow,
};
use protocol::event::Event;
use protocol::failure::{DatabaseUnavailable, RenewalFailure, RunFailure, WatchFailure};
use protocol::ports::{OpenedChannel, RefreshedToken};
use protocol::receive::{Notification, Verdict};
use protocol::refresh::Refreshed;
use protocol::refusal::Refusal;
use protocol::setup::SetUp;
use protocol::sweep::Swept;
use protocol::table::{Column, Query, Value};
use protocol::transition::Transition;

use uuid::Uuid;

use crate::time::Instant;

/// Connections, changes and runs go by their numbers.
pub(crate) enum Fact<'a> {
    // The host app and its users.
    Connected {
        connection: usize,
        row: &'a Rc<Row>,
        broken: Option<Broken>,
    },
    /// Somebody writes past every filter of the protocol; there may be no such row any more.
    Written {
        connection: usize,
        set: &'a [(Column, Value)],
        row: Option<&'a Rc<Row>>,
    },
    Deleted {
        connection: usize,
    },
    /// Something in a calendar changes that concerns a connection; unseen = no channel of it can report that.
    Changed {
        connection: usize,
        change: usize,
        unseen: bool,
    },
    /// A notification of the change was answered with 2xx.
    Acknowledged {
        connection: usize,
        change: usize,
    },

    // Google.
    Granted {
        account: usize,
        refresh_token: &'a RefreshToken,
        access_token: &'a AccessToken,
        expires_at: Instant,
    },
    Revoked {
        connection: Option<usize>,
        refresh_token: &'a RefreshToken,
    },
    /// A refresh token arrived and was refused for good, or not.
    RefreshArrived {
        refresh_token: &'a RefreshToken,
        answer: &'a Result<RefreshedToken, RenewalFailure>,
    },
    /// A request for a channel arrived.
    WatchArrived {
        connection: Option<usize>,
        channel: &'a ChannelId,
        access_token: &'a AccessToken,
        answer: &'a Result<OpenedChannel, WatchFailure>,
    },
    ChannelOpened(&'a Channel),
    ChannelStopped {
        connection: Option<usize>,
        channel: &'a ChannelId,
    },
    Notified {
        connection: Option<usize>,
        notification: &'a Notification,
    },

    // The database.
    /// An update met a row.
    Applied(&'a Step<'a>),
    /// An update met no row.
    Missed {
        instance: Instance,
        connection: Option<usize>,
        transition: Transition,
        set: &'a [(Column, Value)],
    },
    /// A count, asked for at this time, is made.
    CountArrived {
        instance: Instance,
        asked_at: Instant,
    },

    // `recalculate-schedule`.
    RunStarted(&'a Run),
    RunEnded(&'a Run),
    /// Its holder waited for its end and learned of it.
    RunHeard(&'a Run),

    /// An instance of a function does, hears or suffers something.
    Of(Instance, Deed<'a>),
    /// There are no faults from now on.
    Quiet,
    /// The history has come to where something must be true.
    Reached(Moment),
}

pub(crate) enum Deed<'a> {
    /// Its clock is off by this.
    Starts {
        skew: Instant,
    },
    Receives(&'a Notification),
    Asks(Request<'a>),
    Hears(Answer<'a>),
    /// What it asked is not answered.
    HearsNothing,
    Sleeps(Instant),
    Logs(&'a Event),
    Judges {
        notification: &'a Notification,
        verdict: &'a Verdict,
    },
    SetsUp(&'a Result<SetUp, Refusal>),
    Refreshes(&'a Refreshed),
    Sweeps(&'a Result<Swept, DatabaseUnavailable>),
    StandsStill(Instant),
    Crashes,
    Ends,
}

/// What an instance asks of others.
pub(crate) enum Request<'a> {
    Update { connection: Option<usize>, transition: Transition },
    Select(&'a Query),
    Count,
    Watch { connection: Option<usize>, channel: &'a ChannelId },
    Stop { channel: &'a ChannelId, resource: &'a ResourceId },
    Refresh { connection: Option<usize> },
    Run { connection: usize, timeout: Instant },
}

/// What it hears; nothing, where its answer was not to be lost but could not be given.
pub(crate) enum Answer<'a> {
    /// None = no answer, and in it none = no row.
    Update {
        connection: Option<usize>,
        transition: Transition,
        row: Option<Option<&'a Connection>>,
    },
    /// None = no answer.
    Select {
        query: &'a Query,
        rows: Option<&'a [Result<Connection, UnreadableRow>]>,
    },
    Watch {
        connection: Option<usize>,
        channel: &'a ChannelId,
        answer: &'a Result<OpenedChannel, WatchFailure>,
    },
    Refresh {
        connection: Option<usize>,
        answer: &'a Result<RefreshedToken, RenewalFailure>,
    },
    Run {
        connection: usize,
        result: Result<(), RunFailure>,
    },
}

/// An update that takes effect on a row.
pub(crate) struct Step<'a> {
    pub(crate) instance: Instance,
    pub(crate) transition: Transition,
    pub(crate) connection: usize,
    pub(crate) sent_at: Instant,
    pub(crate) set: &'a [(Column, Value)],
    pub(crate) before: &'a Rc<Row>,
    pub(crate) after: &'a Rc<Row>,
}

/// A row as the table has it: what the protocol reads of it, and what it only writes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) connection: Connection,
    pub(crate) webhook_confirmed_id: Option<ChannelId>,
    pub(crate) sync_error: Option<String>,
}

impl Deref for Row {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    pub(crate) holder: Instance,
    pub(crate) start: Instant,
    pub(crate) end: Instant,
    pub(crate) succeeds: bool,
}

/// An instance of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instance {
    pub(crate) number: usize,
    pub(crate) purpose: Purpose,
}

/// Why an instance was started; by number of the connection it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Receive(usize),
    Forged,
    Setup(usize),
    Button(usize),
    Sweep,
}

impl Instance {
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

impl fmt::Display for Instance {
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
    ];

    /// Whether it crashes every instance that makes its run or opens its channel, and with it what the instance was
    /// about to do for others.
    pub(crate) fn crashes(self) -> bool {
        matches!(self, Self::RunsCrash | Self::WatchCrashes)
    }
}

/// Where a history has come to; `since` is when what led to it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// An hour without faults, in which recalculations may write to their calendar.
    EchoesOver,
    /// Hours without faults.
    Calm,
    /// More of them, where a connection crashes the sweeps that look at it.
    Recovered,
    /// A day without faults.
    Reconciled,
    /// More than a minute after every calendar changed.
    ChangesSeen { since: Instant },
    /// Two minutes after every calendar changed while runs failed, or were refused.
    HiccupOver { since: Instant, refused: bool },
    /// Minutes after every calendar changed ten times within a second.
    BurstOver { since: Instant },
    /// A minute after every user pressed the button.
    ButtonsPressed { since: Instant },
    /// A minute after every channel repeated itself.
    Repeated { since: Instant },
    /// Those who connected last, from number `first` on, have their channel, and maybe their run.
    CrowdServed { first: usize, run: bool },
    /// So many sweeps start together.
    SweepsTogether { sweeps: usize },
    /// They have had the time for their runs.
    SweepsServed,
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
        | Event::RunFailed { connection, .. }
        | Event::RunLeaseLost { connection }
        | Event::ChannelOpened { connection, .. }
        | Event::RenewalFailed { connection, .. }
        | Event::RenewalSuperseded { connection }
        | Event::ChannelRetired { connection, .. }
        | Event::ChannelStopped { connection, .. }
        | Event::ChannelNotStopped { connection, .. } => Some(connection_number(*connection)),
        Event::UnreadableRow(_) | Event::CallFailed { .. } => None,
    }
}
