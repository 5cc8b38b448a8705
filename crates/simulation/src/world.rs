//! Everything outside the functions, as it truly is: what the promises are judged by.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use protocol::Timestamp;
use protocol::connection::{ChannelId, Connection, ConnectionId, RefreshToken, RequestId};
use protocol::failure::WatchFailure;
use uuid::Uuid;

use crate::database::Database;
use crate::dice::Dice;
use crate::executor::Executor;
use crate::fault::{Fault, Odds};
use crate::google::{self, Calendar, Consent, Google};
use crate::life::Life;
use crate::promise::{Promise, Violation};
use crate::settings::Settings;
use crate::time::{HOUR, Instant, MILLISECOND, START};

pub(crate) struct World {
    pub(crate) executor: Executor,
    pub(crate) dice: Dice,
    pub(crate) settings: Settings,
    pub(crate) database: Database,
    pub(crate) google: RefCell<Google>,
    pub(crate) ledgers: RefCell<Vec<Ledger>>,
    /// Every sync request that was ever written.
    pub(crate) requests: RefCell<BTreeSet<RequestId>>,
    pub(crate) phase: Cell<Phase>,
    /// Since when there are no faults.
    pub(crate) quiet_from: Cell<Instant>,
    /// When a user last did something besides editing.
    pub(crate) disturbed_at: Cell<Instant>,
    /// Whoever stood still once.
    pub(crate) frozen: RefCell<Vec<Rc<Life>>>,
    /// The longest lifetime that Google grants.
    pub(crate) longest_grant: Instant,
    /// How Google mostly fails in this history.
    pub(crate) favourite_failure: Option<WatchFailure>,
    /// How often in a row a delay had no jitter, by what it delays.
    pub(crate) unjittered: RefCell<BTreeMap<&'static str, u32>>,
    /// Many connections, and no faults.
    pub(crate) crowded: bool,
    /// Google takes as long as it may; only with a crowd.
    pub(crate) google_is_slow: bool,
    odds: Odds,
    violation: RefCell<Option<Violation>>,
    trace: Option<RefCell<Vec<TraceLine>>>,
    instances: Cell<u32>,
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

/// What truly happened to one connection.
pub(crate) struct Ledger {
    /// As the table has it; none = deleted.
    pub(crate) row: Option<Connection>,
    pub(crate) changes: Vec<Change>,
    pub(crate) runs: Vec<Rc<Run>>,
    /// When `recalculate-schedule` was called, whether or not the call arrived.
    pub(crate) calls: Vec<Instant>,
    /// When Google was asked for a channel.
    pub(crate) watches: Vec<Instant>,
    pub(crate) committed_at: Option<Instant>,
    /// Every id that a renewal claimed.
    pub(crate) renewals: Vec<Renewal>,
    /// Every id that the row named and names no more, and since when.
    pub(crate) gone: Vec<(ChannelId, Instant)>,
    /// For which consent and calendar Google really said something that is worth waiting a day.
    pub(crate) excuses: Vec<Consent>,
    pub(crate) echoes: bool,
    pub(crate) broken: Option<Broken>,
}

pub(crate) struct Renewal {
    pub(crate) channel: ChannelId,
    pub(crate) claimed_at: Instant,
    /// Whether the connection was live when it was claimed.
    pub(crate) live: bool,
    /// None for somebody else's code.
    pub(crate) holder: Option<Rc<Life>>,
}

/// Something in a calendar changed that concerns a connection.
pub(crate) struct Change {
    pub(crate) at: Instant,
    /// A notification of it was answered with 2xx.
    pub(crate) acknowledged: bool,
    /// No channel of the connection could report it.
    pub(crate) unseen: bool,
}

/// One call of `recalculate-schedule` that arrived. It reads the calendar when it starts and writes the schedule when
/// it ends.
pub(crate) struct Run {
    pub(crate) start: Instant,
    pub(crate) end: Instant,
    pub(crate) succeeds: bool,
    /// Until when its holder believed to hold the lease.
    pub(crate) lease_until: Instant,
    pub(crate) request: RequestId,
    pub(crate) holder: Rc<Life>,
    /// The holder waited for the end and learned of it.
    pub(crate) answered: Cell<bool>,
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
}

pub(crate) struct TraceLine {
    pub(crate) connection: Option<usize>,
    pub(crate) text: String,
}

impl World {
    pub(crate) fn new(seed: u64, settings: &Settings, traced: bool) -> Rc<Self> {
        let dice = Dice::new(seed);
        let crowded = dice.chance(0.01) && settings.connections.is_none();
        let google_is_slow = crowded && dice.chance(0.2);
        let odds = if crowded { Odds::none() } else { Odds::draw(&dice, settings.without) };
        let longest_grant = if dice.chance(0.2) { 8 * HOUR } else { 30 * 24 * HOUR };
        let favourite_failure = dice.pick(google::FAILURES).filter(|_| dice.chance(0.5));
        Rc::new(Self {
            executor: Executor::new(START),
            dice,
            settings: settings.clone(),
            database: Database::new(odds.of(Fault::StaleReads) > 0.0),
            google: RefCell::default(),
            ledgers: RefCell::default(),
            requests: RefCell::default(),
            phase: Cell::new(Phase::Faults),
            quiet_from: Cell::new(Instant::MAX),
            disturbed_at: Cell::new(Instant::MIN),
            frozen: RefCell::default(),
            longest_grant,
            unjittered: RefCell::default(),
            favourite_failure,
            crowded,
            google_is_slow,
            odds,
            violation: RefCell::default(),
            trace: traced.then(RefCell::default),
            instances: Cell::new(0),
        })
    }

    pub(crate) fn now(&self) -> Instant {
        self.executor.now()
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

    pub(crate) fn number_instance(&self) -> u32 {
        self.instances.replace(self.instances.get() + 1)
    }

    /// The first promise that is broken ends the history.
    pub(crate) fn broke(&self, promise: Promise, connection: Option<usize>, what: impl Into<String>) {
        if self.is_broken() {
            return;
        }
        let violation = Violation { promise, what: what.into(), connection };
        self.trace(connection, || format!("BROKEN {violation}"));
        self.violation.replace(Some(violation));
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.violation.borrow().is_some()
    }

    pub(crate) fn take_violation(&self) -> Option<Violation> {
        self.violation.take()
    }

    pub(crate) fn trace(&self, connection: Option<usize>, text: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace
            && !self.is_broken()
        {
            #[expect(clippy::cast_precision_loss, reason = "a history lasts days, not centuries")]
            let seconds = (self.now() - START) as f64 / 1e6;
            let whose = connection.map_or_else(|| "  ".to_owned(), |number| format!("c{number}"));
            let text = format!("{seconds:>11.3} {whose} {}", text());
            trace.borrow_mut().push(TraceLine { connection, text });
        }
    }

    pub(crate) fn take_trace(&self) -> Vec<TraceLine> {
        self.trace.as_ref().map(RefCell::take).unwrap_or_default()
    }

    pub(crate) fn row(&self, connection: usize) -> Option<Connection> {
        self.ledgers.borrow().get(connection).and_then(|ledger| ledger.row.clone())
    }

    /// Reads or changes what is known of a connection.
    pub(crate) fn ledger<T>(&self, connection: usize, look: impl FnOnce(&mut Ledger) -> T) -> Option<T> {
        self.ledgers.borrow_mut().get_mut(connection).map(look)
    }

    /// The connection that a channel was opened for.
    pub(crate) fn connection_of(&self, channel: &ChannelId) -> Option<usize> {
        let ledgers = self.ledgers.borrow();
        ledgers.iter().position(|ledger| ledger.renewals.iter().any(|renewal| renewal.channel == *channel))
    }

    pub(crate) fn broken(&self, connection: Option<usize>) -> Option<Broken> {
        connection.and_then(|connection| self.ledgers.borrow().get(connection)?.broken)
    }

    /// Whether a connection crashes every instance that makes its run or opens its channel, and with it what the
    /// instance was about to do for others.
    pub(crate) fn has_crashing(&self) -> bool {
        let crashing =
            |ledger: &Ledger| matches!(ledger.broken, Some(Broken::RunsCrash | Broken::WatchCrashes));
        self.ledgers.borrow().iter().any(crashing)
    }

    /// The connection that has a refresh token.
    pub(crate) fn consenting(&self, refresh_token: &RefreshToken) -> Option<usize> {
        let ledgers = self.ledgers.borrow();
        ledgers.iter().position(|ledger| {
            ledger.row.as_ref().is_some_and(|row| row.refresh_token.as_ref() == Some(refresh_token))
        })
    }

    pub(crate) fn consent_of(&self, row: &Connection) -> Option<Consent> {
        let grant = self.google.borrow().grant_of(row.refresh_token.as_ref()?)?;
        Some(Consent { grant, second: row.calendar_id.is_some() })
    }

    /// The calendar that a row is about.
    pub(crate) fn calendar_of(&self, row: &Connection) -> Option<Calendar> {
        let account = self.google.borrow().account_of(row.refresh_token.as_ref()?)?;
        Some(Calendar { account, second: row.calendar_id.is_some() })
    }
}

impl Ledger {
    /// Whether a successful run that ended by now started at `since` or later.
    pub(crate) fn ran_since(&self, since: Instant, now: Instant) -> bool {
        self.runs.iter().any(|run| run.succeeds && run.start >= since && run.end <= now)
    }

    /// The run that wrote the schedule last.
    pub(crate) fn last_word(&self, now: Instant) -> Option<&Rc<Run>> {
        self.runs.iter().filter(|run| run.succeeds && run.end <= now).max_by_key(|run| run.end)
    }
}

/// Whether a channel needs nothing, by another definition than the one that is judged.
pub(crate) fn is_well(row: &Connection, now: Timestamp) -> bool {
    let epoch = Timestamp::default();
    let trouble = row.webhook_attempts > 0 || row.webhook_error.is_some();
    let ours = row.webhook_id.is_some() && row.webhook_opened_at != epoch;
    let lasts = row.webhook_expiration.is_some_and(|expiration| expiration > now);
    row.is_active && row.sync_enabled && ours && lasts && !trouble && row.webhook_not_before > now
}

/// When a request arose, by another definition than the one that is judged.
pub(crate) fn arose_at(request: RequestId) -> Option<Instant> {
    let bits = request.0.as_u128();
    let millis = i64::try_from(bits >> 80).unwrap_or(0);
    (bits >> 76 & 0xf == 7).then_some(millis * MILLISECOND)
}

pub(crate) fn connection_id(connection: usize) -> ConnectionId {
    ConnectionId(Uuid::from_u128(connection as u128 + 1))
}

pub(crate) fn connection_number(id: ConnectionId) -> usize {
    usize::try_from(id.0.as_u128().wrapping_sub(1)).unwrap_or(usize::MAX)
}
