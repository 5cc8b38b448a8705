//! The table and a replica that lags behind it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use protocol::Timestamp;
use protocol::connection::{ChannelId, Connection, ConnectionId, UnreadableRow};
use protocol::memory::Table;
use protocol::table::{Column, Filter, Query, Value};
use protocol::transition::{Transition, Update};

use crate::fault::Fault;
use crate::life::Life;
use crate::promise::Promise;
use crate::step::{self, Step};
use crate::time::{Instant, SECOND, instant};
use crate::world::{World, connection_id, connection_number};

pub(crate) struct Database {
    table: Table,
    /// Where reads may be answered from a replica.
    replica: Option<Replica>,
}

struct Replica {
    table: Table,
    behind: RefCell<VecDeque<(Instant, Change)>>,
}

#[derive(Clone)]
enum Change {
    Insert(ConnectionId, Vec<(Column, Value)>),
    Write(ConnectionId, Vec<(Column, Value)>),
    Update(Update),
    Delete(ConnectionId),
}

impl Database {
    pub(crate) fn new(replicated: bool) -> Self {
        let replica = replicated.then(|| Replica { table: Table::default(), behind: RefCell::default() });
        Self { table: Table::default(), replica }
    }

    pub(crate) fn count(&self, filters: &[Filter]) -> u64 {
        self.table.count(filters)
    }

    /// Makes a change to the table, and later to the replica.
    fn make(&self, now: Instant, change: Change) -> Option<Connection> {
        let answer = change.apply(&self.table);
        match (&self.replica, &change) {
            // A row is older than its history.
            (Some(replica), Change::Insert(..)) => {
                change.apply(&replica.table);
            }
            (Some(replica), _) => replica.behind.borrow_mut().push_back((now, change)),
            (None, _) => {}
        }
        answer
    }
}

impl Change {
    fn apply(&self, table: &Table) -> Option<Connection> {
        match self {
            Self::Insert(id, values) => {
                table.insert(*id, values.clone());
                table.connection(*id)
            }
            Self::Write(id, set) => {
                table.write(*id, set.clone());
                table.connection(*id)
            }
            Self::Update(update) => table.update(update),
            Self::Delete(id) => {
                table.delete(*id);
                None
            }
        }
    }
}

impl Replica {
    fn catch_up(&self, until: Instant) {
        let mut behind = self.behind.borrow_mut();
        while behind.front().is_some_and(|(at, _)| *at <= until) {
            if let Some((_, change)) = behind.pop_front() {
                change.apply(&self.table);
            }
        }
    }
}

/// The host app inserts a row.
pub(crate) fn insert(world: &World, connection: usize, values: Vec<(Column, Value)>) -> Option<Connection> {
    world.database.make(world.now(), Change::Insert(connection_id(connection), values))
}

/// The host app or a user writes, past every filter of the protocol.
pub(crate) fn write(world: &World, connection: usize, set: Vec<(Column, Value)>) {
    world.disturbed_at.set(world.now());
    let after = world.database.make(world.now(), Change::Write(connection_id(connection), set));
    world.ledger(connection, |ledger| ledger.row = after);
}

pub(crate) fn delete(world: &World, connection: usize) {
    world.database.make(world.now(), Change::Delete(connection_id(connection)));
    world.ledger(connection, |ledger| ledger.row = None);
}

pub(crate) fn select(world: &World, query: &Query) -> Vec<Result<Connection, UnreadableRow>> {
    match &world.database.replica {
        Some(replica) if world.happens(Fault::StaleReads) => {
            replica.catch_up(world.now() - world.dice.mostly_low(0, 5 * SECOND));
            replica.table.select(query)
        }
        _ => world.database.table.select(query),
    }
}

/// A function's update takes effect.
pub(crate) fn update(
    world: &Rc<World>,
    life: &Rc<Life>,
    sent_at: Instant,
    update: Update,
) -> Option<Connection> {
    let update = match world.settings.mutation {
        Some(mutation) => mutation.rewrite(update, |filters| matching(world, filters)),
        None => update,
    };
    let (transition, set) = (update.transition, update.set.clone());
    let connection = target(world, &update);
    let before = connection.and_then(|connection| world.row(connection));
    let after = world.database.make(world.now(), Change::Update(update));
    world.trace(connection, || format!("{life} {}", describe(transition, &set, after.is_some())));
    let after = after?;
    if !set.is_empty() {
        life.wrote.set(true);
    }
    let connection = connection_number(after.id);
    if connection >= world.ledgers.borrow().len() {
        world.broke(Promise::OnlyTheAffectedUser, None, format!("{life} changed a row that is not Google's"));
    }
    world.ledger(connection, |ledger| ledger.row = Some(after.clone()));
    let before = before?;
    step::judge(
        world,
        life,
        &Step { transition, connection, sent_at, set: &set, before: &before, after: &after },
    );
    Some(after)
}

/// The row that an update is about, whether or not it meets every filter.
pub(crate) fn target(world: &World, update: &Update) -> Option<usize> {
    update.filters.iter().find_map(|filter| match filter {
        Filter::Eq(Column::Id, Value::Uuid(id)) => Some(connection_number(ConnectionId(*id))),
        Filter::Eq(Column::WebhookTokenHash, Value::Text(hash)) => world
            .ledgers
            .borrow()
            .iter()
            .position(|ledger| ledger.row.as_ref().is_some_and(|row| row.webhook_token.expose() == hash)),
        _ => None,
    })
}

/// Whose lease an update depends on, if a run was made under it.
pub(crate) fn held_lease(world: &World, life: &Life, update: &Update) -> Option<usize> {
    // FinishRun depends on the request as well, and may also meet a newer one.
    let fenced = matches!(
        update.transition,
        Transition::KeepRun
            | Transition::LeaveRun
            | Transition::PauseRun
            | Transition::FailRun
            | Transition::RefuseRun
            | Transition::DoubtRun
    );
    let connection = target(world, update).filter(|_| fenced)?;
    life.claims.borrow().get(&connection).filter(|claim| claim.called).map(|_| connection)
}

/// Whether a row tells that its runs fail.
pub(crate) fn has_run_error(world: &World, connection: usize) -> bool {
    let failing =
        [Filter::Eq(Column::Id, connection_id(connection).into()), Filter::NotNull(Column::SyncError)];
    world.database.count(&failing) > 0
}

/// Whether a channel's `sync` message is noted.
pub(crate) fn is_confirmed(world: &World, connection: usize, channel: &ChannelId) -> bool {
    let confirmed = [
        Filter::Eq(Column::Id, connection_id(connection).into()),
        Filter::Eq(Column::WebhookConfirmedId, channel.into()),
    ];
    world.database.count(&confirmed) > 0
}

fn matching(world: &World, filters: &[Filter]) -> Option<Connection> {
    world.database.table.find(filters)
}

fn describe(transition: Transition, set: &[(Column, Value)], applied: bool) -> String {
    let set: Vec<_> = set
        .iter()
        .map(|(column, value)| match value {
            Value::Time(time) if *time == Timestamp::default() => format!("{}=epoch", column.name()),
            Value::Time(time) => {
                #[expect(clippy::cast_precision_loss, reason = "a history lasts days, not centuries")]
                let seconds = (instant(*time) - crate::time::START) as f64 / 1e6;
                format!("{}={seconds:.3}", column.name())
            }
            Value::Uuid(id) => format!("{}=…{}", column.name(), last(&id.to_string())),
            Value::Text(text) => format!("{}={}", column.name(), text.get(..6).unwrap_or(text)),
            value => format!("{}={value:?}", column.name()),
        })
        .collect();
    let name = transition.name();
    format!("{name}{}: {}", if applied { "" } else { " meets no row" }, set.join(" "))
}

/// The random end of a UUID.
pub(crate) fn last(id: &str) -> &str {
    id.get(id.len().saturating_sub(4)..).unwrap_or(id)
}
