//! What happens in a history: told by the world, read by the checks and by the trace.

use std::rc::Rc;

use protocol::connection::{AccessToken, ChannelId, Connection, RefreshToken, ResourceId, UnreadableRow};
use protocol::event::Event;
use protocol::failure::{DatabaseUnavailable, Refused, RunFailure, WatchFailure};
use protocol::grant::{OpenedChannel, RenewedToken};
use protocol::look::{Look, LookFailure};
use protocol::notification::Notification;
use protocol::receive::Verdict;
use protocol::refresh::Refreshed;
use protocol::refusal::Refusal;
use protocol::setup::SetUp;
use protocol::sweep::Swept;
use protocol::table::{Column, Query, Value};
use protocol::transition::Transition;

use crate::subject::{Broken, Calendar, Channel, Invocation, Plans, Row, Run, Writes};
use crate::time::Instant;

/// Connections, changes and runs go by their numbers. No connection = the world knows none that it is about.
pub(crate) enum Fact<'a> {
    // The host app and its users.
    Connected {
        connection: usize,
        row: &'a Rc<Row>,
        broken: Option<Broken>,
        writes: Writes,
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
    /// A user changes an event in a calendar; what is planned there from now on.
    Planned {
        calendar: Calendar,
        plans: Plans,
    },
    /// Something in a calendar changes that concerns a connection; unseen = no channel of it can report that, own = the
    /// host app wrote it.
    Changed {
        connection: usize,
        change: usize,
        unseen: bool,
        own: bool,
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
    /// A refresh token arrived, for an access token; a revoked one is answered `reconnect_required`.
    TokenRequestArrived {
        refresh_token: &'a RefreshToken,
        answer: &'a Result<RenewedToken, Refused>,
    },
    /// A request for a channel arrived.
    WatchArrived {
        connection: Option<usize>,
        channel: &'a ChannelId,
        access_token: &'a AccessToken,
        answer: &'a Result<OpenedChannel, WatchFailure>,
    },
    /// A look arrived.
    LookArrived {
        invocation: Invocation,
        connection: usize,
        /// Its holder may have given it up long before it arrives.
        asked_at: Instant,
        /// None = it came with no good access token.
        calendar: Option<Calendar>,
        answer: &'a Result<Look, LookFailure>,
    },
    ChannelOpened(&'a Channel),
    ChannelStopped {
        connection: Option<usize>,
        channel: &'a ChannelId,
    },
    /// Google forgets a channel without a word.
    ChannelForgotten {
        connection: usize,
        channel: &'a ChannelId,
    },
    /// A calendar is deleted, or hidden from its user.
    CalendarGone {
        connection: usize,
        calendar: Calendar,
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
        invocation: Invocation,
        connection: Option<usize>,
        transition: Transition,
        set: &'a [(Column, Value)],
    },
    /// A count, asked for at this time, is made.
    CountArrived {
        invocation: Invocation,
        asked_at: Instant,
    },

    // `recalculate-schedule`.
    RunStarted(&'a Run),
    RunEnded(&'a Run),
    /// Its holder waited for its end and learned of it.
    RunHeard(&'a Run),

    Of(Invocation, Deed<'a>),
    /// There are no faults from now on.
    Quiet,
    /// The history has come to where something must be true.
    Reached(Moment),
}

/// What an invocation of a function does, hears or suffers.
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

impl Deed<'_> {
    /// Whether the invocation does nothing more.
    pub(crate) fn is_last(&self) -> bool {
        matches!(self, Self::Ends | Self::Crashes)
    }
}

/// What an invocation asks of the database, of Google and of `recalculate-schedule`.
pub(crate) enum Request<'a> {
    Update { connection: Option<usize>, transition: Transition },
    Select(&'a Query),
    Count,
    Watch { connection: Option<usize>, channel: &'a ChannelId },
    Stop { channel: &'a ChannelId, resource: &'a ResourceId },
    Look,
    Token { connection: Option<usize> },
    Run { connection: usize, timeout: Instant },
}

/// What an invocation is answered, as far as a check wants to know.
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
    Token {
        connection: Option<usize>,
        answer: &'a Result<RenewedToken, Refused>,
    },
    Look {
        connection: Option<usize>,
        /// What is in the calendar, and not only whether it may be read.
        is_reading: bool,
        answer: &'a Result<Look, LookFailure>,
    },
    Run {
        connection: usize,
        result: Result<(), RunFailure>,
    },
}

/// An update that takes effect on a row.
pub(crate) struct Step<'a> {
    pub(crate) invocation: Invocation,
    pub(crate) transition: Transition,
    pub(crate) connection: usize,
    pub(crate) sent_at: Instant,
    pub(crate) set: &'a [(Column, Value)],
    pub(crate) before: &'a Rc<Row>,
    pub(crate) after: &'a Rc<Row>,
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
    /// Long enough after channels, consents and calendars died without a word.
    SilenceOver { since: Instant },
    /// The connections from number `first` on, which came last, have had the time for a channel, or for a run as well.
    CrowdServed { first: usize, run: bool },
    /// So many sweeps start together.
    SweepsTogether { sweeps: usize },
    /// They have had the time for their runs.
    SweepsServed,
}
