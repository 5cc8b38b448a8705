//! What is known of a function instance, also after its end.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use protocol::connection::{ChannelId, Connection, RefreshToken, ResourceId, Source};
use protocol::failure::{RenewalFailure, WatchFailure};
use protocol::transition::Transition;

use crate::answer::Deeds;
use crate::executor::TaskId;
use crate::fault::Fault;
use crate::order::Order;
use crate::sequel::Sequel;
use crate::time::{Instant, SECOND};
use crate::world::{World, connection_number};

/// Why an instance was started; by number of the connection it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Receive(usize),
    Forged,
    Setup(usize),
    Button(usize),
    Sweep,
}

/// What is known of an instance, also after its end.
pub(crate) struct Life {
    pub(crate) purpose: Purpose,
    pub(crate) number: u32,
    pub(crate) started_at: Instant,
    skew: Instant,
    pub(crate) task: TaskId,
    pub(crate) frozen: Cell<bool>,
    pub(crate) crashed: Cell<bool>,
    pub(crate) last_unanswered: Cell<Instant>,
    /// When it was told that nested calls are refused.
    pub(crate) refused_at: Cell<Option<Instant>>,
    pub(crate) requests: Cell<usize>,
    /// How often it asked for a channel since it last claimed a renewal, by connection.
    pub(crate) watches: RefCell<BTreeMap<usize, usize>>,
    /// Whether any of its updates took effect.
    pub(crate) wrote: Cell<bool>,
    pub(crate) runs: Cell<usize>,
    /// The last run lease that it wrote, by connection.
    pub(crate) claims: RefCell<BTreeMap<usize, Claim>>,
    /// The connections that it was told to have lost the lease of, and asked for no other run of.
    pub(crate) lost: RefCell<BTreeSet<usize>>,
    /// The consent and calendar that it last read with a claim, by connection.
    pub(crate) sources: RefCell<BTreeMap<usize, Source>>,
    /// The refresh token that came with the last access token, if one did.
    pub(crate) rotated: RefCell<Option<RefreshToken>>,
    /// The pending ids that it wrote last, by connection.
    pub(crate) pending: RefCell<BTreeMap<usize, ChannelId>>,
    /// The channels that it is opening, by connection.
    pub(crate) renewing: RefCell<BTreeMap<usize, ChannelId>>,
    /// What an update of a connection was about, where it does not know whether it took effect.
    pub(crate) doubted: RefCell<BTreeSet<(usize, Matter)>>,
    /// What Google said last about a connection's channel or consent, if that was no success.
    pub(crate) answers: RefCell<BTreeMap<usize, GoogleSaid>>,
    /// The channel whose notification it received.
    pub(crate) speaker: RefCell<Option<ChannelId>>,
    /// The channels that Google opened for it and that it has not stored; for which connection.
    pub(crate) opened: RefCell<BTreeMap<ChannelId, usize>>,
    /// The channels that its step replaces or gives up once it knows that it took effect, by connection.
    pub(crate) replaces: RefCell<BTreeMap<usize, Vec<Replaced>>>,
    /// The channels that it has yet to ask Google to stop, of which connection and, where known, resource.
    pub(crate) to_stop: RefCell<BTreeMap<ChannelId, (usize, Option<ResourceId>)>>,
    /// The row as it was when it asked for a run that might be made at once, and when that was, by connection.
    pub(crate) asked: RefCell<BTreeMap<usize, (Instant, Connection)>>,
    /// Whether it learned that its connection is paused, and has not given the channel up.
    pub(crate) is_to_retire: Cell<bool>,
    /// When it gave back the lease of a run that is still owed, and the row then, by connection.
    pub(crate) released: RefCell<BTreeMap<usize, (Instant, Connection)>>,
    /// Whether its caller has an answer; only of a setup.
    pub(crate) answered: Cell<bool>,
    pub(crate) deeds: RefCell<Deeds>,
    pub(crate) order: RefCell<Order>,
    pub(crate) sequel: RefCell<Sequel>,
    /// How often it refreshed the access token for the renewal under way, by connection.
    pub(crate) refreshes: RefCell<BTreeMap<usize, usize>>,
    /// The row that it read last.
    pub(crate) read: RefCell<Option<Connection>>,
    /// The connections whose last run did not answer it.
    pub(crate) hanging: RefCell<BTreeSet<usize>>,
}

/// What an update is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Matter {
    Channel,
    Run,
}

impl Matter {
    pub(crate) fn of(transition: Transition) -> Self {
        match transition {
            Transition::NoteOrphan
            | Transition::NotePending
            | Transition::ClaimRun
            | Transition::FinishRun
            | Transition::KeepRun
            | Transition::LeaveRun
            | Transition::PauseRun
            | Transition::FailRun
            | Transition::RefuseRun
            | Transition::DoubtRun
            | Transition::LoseRun
            | Transition::Reconcile
            | Transition::StoreToken => Self::Run,
            _ => Self::Channel,
        }
    }
}

/// A channel and, where its row told, its resource.
pub(crate) type Replaced = (ChannelId, Option<ResourceId>);

#[derive(Clone, Copy)]
pub(crate) struct GoogleSaid {
    /// What a row should tell of it.
    pub(crate) code: &'static str,
    /// A channel may have been opened all the same.
    pub(crate) doubtful: bool,
    /// It would do with another id.
    pub(crate) wants_another_id: bool,
}

impl From<&WatchFailure> for GoogleSaid {
    fn from(failure: &WatchFailure) -> Self {
        let wants_another_id = *failure == WatchFailure::ChannelIdNotUnique;
        let (failure, doubtful) = match failure {
            WatchFailure::Unauthorized => (RenewalFailure::ReconnectRequired, false),
            WatchFailure::ChannelIdNotUnique => (RenewalFailure::GoogleRejected, false),
            WatchFailure::Refused(failure) => (*failure, false),
            WatchFailure::Doubtful(failure) => (*failure, true),
        };
        Self { code: failure.code(), doubtful, wants_another_id }
    }
}

impl Life {
    pub(crate) fn new(world: &World, purpose: Purpose) -> Self {
        let skewed = world.has(Fault::Skew);
        let skew = world.dice.between(-10 * SECOND, 10 * SECOND);
        Self {
            purpose,
            number: world.number_instance(),
            started_at: world.now(),
            skew: if skewed { skew } else { 0 },
            task: world.executor.next_task(),
            frozen: Cell::new(false),
            crashed: Cell::new(false),
            last_unanswered: Cell::new(0),
            refused_at: Cell::new(None),
            requests: Cell::new(0),
            watches: RefCell::default(),
            wrote: Cell::new(false),
            runs: Cell::new(0),
            claims: RefCell::default(),
            lost: RefCell::default(),
            sources: RefCell::default(),
            rotated: RefCell::default(),
            pending: RefCell::default(),
            renewing: RefCell::default(),
            doubted: RefCell::default(),
            answers: RefCell::default(),
            speaker: RefCell::default(),
            opened: RefCell::default(),
            replaces: RefCell::default(),
            to_stop: RefCell::default(),
            asked: RefCell::default(),
            is_to_retire: Cell::new(false),
            released: RefCell::default(),
            answered: Cell::new(false),
            deeds: RefCell::default(),
            order: RefCell::default(),
            sequel: RefCell::default(),
            refreshes: RefCell::default(),
            read: RefCell::default(),
            hanging: RefCell::default(),
        }
    }

    /// What its clock says at an instant.
    pub(crate) fn clock(&self, now: Instant) -> Instant {
        now + self.skew
    }

    /// Whether nothing goes wrong around it.
    pub(crate) fn is_quiet(&self, world: &World) -> bool {
        self.started_at > world.quiet_from.get() && !self.frozen.get()
    }

    /// Whether it does not know if an update of such a matter took effect.
    pub(crate) fn doubts(&self, connection: usize, matter: Matter) -> bool {
        self.doubted.borrow().contains(&(connection, matter))
    }

    /// An update of a connection is sent.
    pub(crate) fn sends(&self, connection: usize, transition: Transition) {
        match transition {
            Transition::RetireChannel => self.is_to_retire.set(false),
            Transition::ClaimRun
            | Transition::FinishRun
            | Transition::KeepRun
            | Transition::LeaveRun
            | Transition::PauseRun
            | Transition::FailRun
            | Transition::RefuseRun => {
                self.released.borrow_mut().remove(&connection);
            }
            _ => {}
        }
    }

    /// An update met `row`.
    pub(crate) fn gives_back(&self, transition: Transition, row: &Connection, now: Instant) {
        let releases = matches!(
            transition,
            Transition::LeaveRun | Transition::PauseRun | Transition::FailRun | Transition::RefuseRun
        );
        if releases {
            self.released.borrow_mut().insert(connection_number(row.id), (now, row.clone()));
        }
    }

    /// What it may wait for a run to be due: a sweep, for nothing.
    pub(crate) fn patience(&self) -> Instant {
        if self.purpose == Purpose::Sweep { 0 } else { 9 * SECOND }
    }

    /// How long it has been there.
    pub(crate) fn age(&self, now: Instant) -> Instant {
        now - self.started_at
    }

    /// The one that it is about; none for a sweep.
    pub(crate) fn connection(&self) -> Option<usize> {
        match self.purpose {
            Purpose::Receive(connection) | Purpose::Setup(connection) | Purpose::Button(connection) => {
                Some(connection)
            }
            Purpose::Forged | Purpose::Sweep => None,
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Claim {
    pub(crate) lease_until: Instant,
    pub(crate) live: bool,
    pub(crate) sent_at: Instant,
    /// A run was made under it.
    pub(crate) called: bool,
}

impl fmt::Display for Life {
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
