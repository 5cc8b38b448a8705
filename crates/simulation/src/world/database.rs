//! The table and a replica that lags behind it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use protocol::Timestamp;
use protocol::connection::{Connection, ConnectionId, Farewell, UnreadableRow};
use protocol::memory::Table;
use protocol::table::{Column, Filter, Query, Value};
use protocol::transition::Update;

use crate::subject::{Row, connection_id, connection_number};
use crate::time::{Instant, instant, timestamp};

pub(crate) struct Database {
    table: Table,
    /// The table's rows, by number of the connection.
    rows: RefCell<Vec<Option<Rc<Row>>>>,
    /// What is kept of rows that were deleted.
    farewells: RefCell<Vec<Farewell>>,
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
        let (rows, farewells) = (RefCell::default(), RefCell::default());
        Self { table: Table::default(), rows, farewells, replica }
    }

    pub(crate) fn is_replicated(&self) -> bool {
        self.replica.is_some()
    }

    pub(crate) fn row(&self, connection: usize) -> Option<Rc<Row>> {
        self.rows.borrow().get(connection).cloned().flatten()
    }

    /// A row is older than its history: no read misses it.
    pub(crate) fn insert(&self, now: Instant, connection: usize, values: Vec<(Column, Value)>) {
        self.make(now, Change::Insert(connection_id(connection), values));
    }

    pub(crate) fn write(&self, now: Instant, connection: usize, set: Vec<(Column, Value)>) {
        self.make(now, Change::Write(connection_id(connection), set));
    }

    pub(crate) fn delete(&self, now: Instant, connection: usize) {
        self.keep_farewell(now, connection);
        self.make(now, Change::Delete(connection_id(connection)));
    }

    /// What the migration's trigger keeps of a row that is deleted.
    fn keep_farewell(&self, now: Instant, connection: usize) {
        let Some(row) = self.row(connection) else { return };
        let now = timestamp(now);
        let current = row.webhook_id.clone();
        let current = current.filter(|_| row.webhook_expiration.is_none_or(|expiration| expiration > now));
        if current.is_none() && row.webhook_pending_id.is_none() {
            return;
        }
        let mut farewells = self.farewells.borrow_mut();
        let channels = current.into_iter().chain(row.webhook_pending_id.clone()).collect();
        farewells.push(Farewell {
            id: i64::try_from(connection).unwrap_or(i64::MAX),
            connection: row.id,
            deleted_at: now,
            not_before: now,
            channels,
            resource_id: row.webhook_resource_id.clone(),
            access_token: row.access_token.clone(),
            refresh_token: row.refresh_token.clone(),
            expires_at: row.expires_at,
        });
    }

    /// When one is due next.
    pub(crate) fn next_farewell(&self) -> Option<Instant> {
        self.farewells.borrow().iter().map(|farewell| instant(farewell.not_before)).min()
    }

    pub(crate) fn due_farewells(&self, now: Timestamp, offset: usize, limit: usize) -> Vec<Farewell> {
        let farewells = self.farewells.borrow();
        let due = farewells.iter().filter(|farewell| farewell.not_before <= now);
        due.skip(offset).take(limit).cloned().collect()
    }

    /// Whether it is as it was read.
    pub(crate) fn claim_farewell(&self, read: &Farewell, next: Timestamp) -> bool {
        let mut farewells = self.farewells.borrow_mut();
        let kept = farewells.iter_mut().find(|kept| *kept == read);
        kept.map(|kept| kept.not_before = next).is_some()
    }

    pub(crate) fn delete_farewell(&self, id: i64) {
        self.farewells.borrow_mut().retain(|kept| kept.id != id);
    }

    /// The number of the connection whose row met every filter.
    pub(crate) fn update(&self, now: Instant, update: Update) -> Option<usize> {
        self.make(now, Change::Update(update))
    }

    pub(crate) fn select(&self, query: &Query) -> Vec<Result<Connection, UnreadableRow>> {
        self.table.select(query)
    }

    /// The rows as they were at `then`; not before what was selected last.
    pub(crate) fn select_stale(
        &self,
        query: &Query,
        then: Instant,
    ) -> Vec<Result<Connection, UnreadableRow>> {
        let Some(replica) = &self.replica else { return self.select(query) };
        replica.catch_up(then);
        replica.table.select(query)
    }

    pub(crate) fn count(&self, filters: &[Filter]) -> u64 {
        self.table.count(filters)
    }

    pub(crate) fn find(&self, filters: &[Filter]) -> Option<Connection> {
        self.table.find(filters)
    }

    /// The connection that an update is about, whether or not its row meets every filter.
    pub(crate) fn target(&self, update: &Update) -> Option<usize> {
        update.filters.iter().find_map(|filter| match filter {
            Filter::Eq(Column::Id, Value::Uuid(id)) => Some(connection_number(ConnectionId(*id))),
            Filter::Eq(Column::WebhookTokenHash, Value::Text(hash)) => {
                let is_its_token = |row: &Rc<Row>| row.webhook_token.expose() == hash;
                self.rows.borrow().iter().position(|row| row.as_ref().is_some_and(is_its_token))
            }
            _ => None,
        })
    }

    /// Makes a change to the table, and later to the replica. Returns the number of the connection whose row it met.
    fn make(&self, now: Instant, change: Change) -> Option<usize> {
        let connection = change.apply(now, &self.table);
        let number = match (&change, &connection) {
            (Change::Insert(id, _) | Change::Write(id, _) | Change::Delete(id), _) => connection_number(*id),
            (Change::Update(_), connection) => connection_number(connection.as_ref()?.id),
        };
        match &self.replica {
            Some(replica) if matches!(change, Change::Insert(..)) => {
                change.apply(now, &replica.table);
            }
            Some(replica) => replica.behind.borrow_mut().push_back((now, change)),
            None => {}
        }
        let mut rows = self.rows.borrow_mut();
        if rows.len() <= number {
            rows.resize(number + 1, None);
        }
        if let Some(row) = rows.get_mut(number) {
            *row = connection.map(|connection| Rc::new(self.row_of(connection)));
        }
        Some(number)
    }

    fn row_of(&self, connection: Connection) -> Row {
        let sync_error = match self.table.value(connection.id, Column::SyncError) {
            Value::Text(error) => Some(error),
            _ => None,
        };
        Row { connection, sync_error }
    }
}

impl Change {
    /// The row as it is then, if there is one that it is about.
    fn apply(&self, at: Instant, table: &Table) -> Option<Connection> {
        table.set_now(timestamp(at));
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
            if let Some((at, change)) = behind.pop_front() {
                change.apply(at, &self.table);
            }
        }
    }
}
