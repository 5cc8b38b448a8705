//! Everything outside the functions, as it truly is.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use protocol::connection::{ChannelId, Connection, RefreshToken};
use protocol::failure::WatchFailure;
use protocol::schedule::READ_BY_LOOKS;

use crate::fact::Fact;
use crate::fault::Fault;
use crate::settings::Settings;
use crate::subject::{Broken, Calendar, Row, Writes};
use crate::time::{HOUR, Instant, START};
use crate::world::database::Database;
use crate::world::dice::Dice;
use crate::world::executor::Executor;
use crate::world::google::{FAILURES, Google};
use crate::world::instance::Instance;
use crate::world::life::Life;
use crate::world::odds::Odds;
use crate::world::start::Start;

/// Reads a fact and says whether the history goes on.
pub(crate) type Reader = Box<dyn FnMut(Instant, &Fact<'_>) -> bool>;

pub(crate) struct World {
    pub(crate) executor: Executor,
    pub(crate) dice: Dice,
    pub(crate) settings: Settings,
    pub(crate) database: Database,
    pub(crate) google: RefCell<Google>,
    /// What connections are like, by number.
    pub(crate) characters: RefCell<Vec<Character>>,
    /// Which connection named a channel first.
    pub(crate) named: RefCell<BTreeMap<ChannelId, usize>>,
    pub(crate) phase: Cell<Phase>,
    instances: [Instance; 2],
    /// The invocations that stood still once.
    pub(crate) frozen: RefCell<Vec<Rc<Life>>>,
    /// The longest lifetime that Google grants.
    pub(crate) longest_grant: Instant,
    /// How Google mostly fails in this history.
    pub(crate) favourite_failure: Option<WatchFailure>,
    /// What a look reads of any calendar, in bytes.
    pub(crate) calendar_size: usize,
    /// Runs take so long that a lease is spent on one.
    pub(crate) host_is_slow: bool,
    /// Many connections, and no faults.
    pub(crate) crowded: bool,
    /// Google takes as long as it may; only with a crowd.
    pub(crate) google_is_slow: bool,
    odds: Odds,
    starts: fn(&Rc<World>, Start),
    reader: RefCell<Reader>,
    is_over: Cell<bool>,
    invocations: Cell<usize>,
    changes: Cell<usize>,
    runs: Cell<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Faults,
    /// No more faults, but recalculations that write to their calendar go on doing so.
    Echoes,
    Calm,
    /// Runs take a few seconds, always.
    Steady,
    /// Runs answer with an error.
    Failing,
    /// Nested calls are refused for a while.
    Refusing,
}

#[derive(Clone, Copy)]
pub(crate) struct Character {
    /// What its recalculation writes to the watched calendar.
    pub(crate) writes: Writes,
    pub(crate) broken: Option<Broken>,
}

impl World {
    pub(crate) fn new(
        seed: u64,
        settings: &Settings,
        starts: fn(&Rc<Self>, Start),
        reader: Reader,
    ) -> Rc<Self> {
        let dice = Dice::new(seed);
        let crowded = dice.chance(0.01) && settings.connections.is_none();
        let google_is_slow = crowded && dice.chance(0.2);
        let odds = if crowded { Odds::none() } else { Odds::draw(&dice, settings.without) };
        let longest_grant = if dice.chance(0.2) { 8 * HOUR } else { 30 * 24 * HOUR };
        let instances = [Instance::draw(&dice, &odds), Instance::draw(&dice, &odds)];
        let favourite_failure = dice.pick(FAILURES).filter(|_| dice.chance(0.5));
        let calendar_size = if dice.chance(0.2) { READ_BY_LOOKS / 2 } else { 0 };
        let host_is_slow = dice.chance(0.2);
        Rc::new(Self {
            executor: Executor::new(START),
            dice,
            settings: settings.clone(),
            database: Database::new(odds.of(Fault::StaleReads) > 0.0),
            google: RefCell::default(),
            characters: RefCell::default(),
            named: RefCell::default(),
            phase: Cell::new(Phase::Faults),
            instances,
            frozen: RefCell::default(),
            longest_grant,
            favourite_failure,
            calendar_size,
            host_is_slow,
            crowded,
            google_is_slow,
            odds,
            starts,
            reader: RefCell::new(reader),
            is_over: Cell::new(false),
            invocations: Cell::new(0),
            changes: Cell::new(0),
            runs: Cell::new(0),
        })
    }

    pub(crate) fn now(&self) -> Instant {
        self.executor.now()
    }

    /// The reader may end the history.
    pub(crate) fn tell(&self, fact: &Fact<'_>) {
        if !self.is_over() {
            let goes_on = (self.reader.borrow_mut())(self.now(), fact);
            self.is_over.set(!goes_on);
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// Starts an invocation.
    pub(crate) fn start(self: &Rc<Self>, start: Start) {
        (self.starts)(self, start);
    }

    /// Whether a fault happens at this occasion.
    pub(crate) fn happens(&self, fault: Fault) -> bool {
        self.dice.chance(match self.phase.get() {
            Phase::Faults => self.odds.of(fault),
            _ => 0.0,
        })
    }

    /// Whether a history has any of a kind.
    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.odds.of(fault) > 0.0
    }

    /// The one that an invocation shares with others.
    pub(crate) fn instance_of(&self, invocation: usize) -> Instance {
        let [one, other] = &self.instances;
        if invocation.is_multiple_of(2) { one.clone() } else { other.clone() }
    }

    pub(crate) fn number_invocation(&self) -> usize {
        self.invocations.replace(self.invocations.get() + 1)
    }

    pub(crate) fn number_change(&self) -> usize {
        self.changes.replace(self.changes.get() + 1)
    }

    pub(crate) fn number_run(&self) -> usize {
        self.runs.replace(self.runs.get() + 1)
    }

    /// How many connections there are, deleted ones included.
    pub(crate) fn connections(&self) -> usize {
        self.characters.borrow().len()
    }

    /// The row of a connection; none = deleted.
    pub(crate) fn row(&self, connection: usize) -> Option<Rc<Row>> {
        self.database.row(connection).filter(|_| connection < self.connections())
    }

    pub(crate) fn character(&self, connection: usize) -> Option<Character> {
        self.characters.borrow().get(connection).copied()
    }

    pub(crate) fn broken(&self, connection: Option<usize>) -> Option<Broken> {
        self.character(connection?)?.broken
    }

    pub(crate) fn has_crashing(&self) -> bool {
        self.characters.borrow().iter().filter_map(|of| of.broken).any(Broken::crashes)
    }

    /// The connection that a channel was opened for.
    pub(crate) fn connection_of(&self, channel: &ChannelId) -> Option<usize> {
        self.named.borrow().get(channel).copied()
    }

    /// The connection that has a refresh token.
    pub(crate) fn consenting(&self, refresh_token: &RefreshToken) -> Option<usize> {
        let has = |connection: &usize| {
            self.row(*connection).is_some_and(|row| row.refresh_token.as_ref() == Some(refresh_token))
        };
        (0..self.connections()).find(has)
    }

    /// The calendar that a row is about.
    pub(crate) fn calendar_of(&self, row: &Connection) -> Option<Calendar> {
        let account = self.google.borrow().account_of(row.refresh_token.as_ref()?)?;
        Some(Calendar { account, second: row.calendar_id.is_some() })
    }
}
