//! `calendar_connections` in memory, with the rules of the migration's trigger, for tests and simulation. The
//! contract test of the PostgREST adapter holds the two to the same answers.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::BTreeMap;

use chrono::TimeDelta;
use uuid::Uuid;

use crate::Timestamp;
use crate::connection::{Connection, ConnectionId, UnreadableRow};
use crate::table::{Column, Filter, Query, Value};
use crate::transition::{ROTATED, Update};

/// The value of each column, in their order.
#[derive(Clone, Debug)]
struct Row(Vec<Value>);

impl Row {
    fn of(values: impl IntoIterator<Item = (Column, Value)>) -> Self {
        let mut row = Self(vec![Value::Null; Column::ALL.len()]);
        row.extend(values);
        row
    }

    fn get(&self, column: Column) -> &Value {
        self.0.get(column as usize).unwrap_or(&Value::Null)
    }

    fn insert(&mut self, column: Column, value: Value) {
        if let Some(place) = self.0.get_mut(column as usize) {
            *place = value;
        }
    }

    fn extend(&mut self, values: impl IntoIterator<Item = (Column, Value)>) {
        values.into_iter().for_each(|(column, value)| self.insert(column, value));
    }
}

#[derive(Debug, Default)]
pub struct Table {
    rows: RefCell<BTreeMap<Uuid, Row>>,
    now: Cell<Timestamp>,
}

impl Table {
    /// Sets the clock of the database: what the trigger takes for now. It stands at the epoch until then.
    pub fn set_now(&self, now: Timestamp) {
        self.now.set(now);
    }

    /// Inserts a row: the migration's defaults, then `values`. The digests of the trigger are the plain texts here.
    pub fn insert(&self, id: ConnectionId, values: impl IntoIterator<Item = (Column, Value)>) {
        let mut row = defaults(id, self.now.get());
        row.extend(values);
        keep_digests(&mut row);
        keep_turn(&mut row, None, self.now.get());
        self.rows.borrow_mut().insert(id.0, row);
    }

    pub fn delete(&self, id: ConnectionId) {
        self.rows.borrow_mut().remove(&id.0);
    }

    pub fn value(&self, id: ConnectionId, column: Column) -> Value {
        self.rows.borrow().get(&id.0).map_or(Value::Null, |row| row.get(column).clone())
    }

    pub fn connection(&self, id: ConnectionId) -> Option<Connection> {
        self.rows.borrow().get(&id.0).and_then(|row| read(row).ok())
    }

    /// Writes as the host app does, past every filter.
    pub fn write(&self, id: ConnectionId, set: impl IntoIterator<Item = (Column, Value)>) {
        if let Some(row) = self.rows.borrow_mut().get_mut(&id.0) {
            apply(row, &set.into_iter().collect::<Vec<_>>(), self.now.get());
        }
    }

    /// The first row that meets every filter.
    pub fn find(&self, filters: &[Filter]) -> Option<Connection> {
        let rows = self.rows.borrow();
        read(rows.values().find(|row| filters.iter().all(|filter| meets(row, filter)))?).ok()
    }

    pub fn update(&self, update: &Update) -> Option<Connection> {
        let mut rows = self.rows.borrow_mut();
        let row = rows.values_mut().find(|row| update.filters.iter().all(|filter| meets(row, filter)))?;
        apply(row, &update.set, self.now.get());
        read(row).ok()
    }

    pub fn select(&self, query: &Query) -> Vec<Result<Connection, UnreadableRow>> {
        let rows = self.rows.borrow();
        let mut found: Vec<&Row> =
            rows.values().filter(|row| query.filters.iter().all(|filter| meets(row, filter))).collect();
        found.sort_by(|a, b| nulls_first(a.get(query.order), b.get(query.order)));
        found.into_iter().skip(query.offset).take(query.limit).map(read).collect()
    }

    pub fn count(&self, filters: &[Filter]) -> u64 {
        let rows = self.rows.borrow();
        rows.values().filter(|row| filters.iter().all(|filter| meets(row, filter))).count() as u64
    }
}

fn defaults(id: ConnectionId, now: Timestamp) -> Row {
    let epoch = || Value::Time(Timestamp::default());
    Row::of([
        (Column::Id, Value::Uuid(id.0)),
        (Column::UserId, Value::Uuid(id.0)),
        (Column::Provider, Value::Text("google".to_owned())),
        (Column::IsActive, Value::Boolean(true)),
        (Column::SyncEnabled, Value::Boolean(true)),
        (Column::WebhookToken, Value::Secret(format!("token of {id}"))),
        (Column::WebhookOpenedAt, epoch()),
        (Column::WebhookMessageNumber, Value::Integer(0)),
        (Column::WebhookLeaseUntil, epoch()),
        (Column::WebhookNotBefore, Value::Time(now)),
        (Column::WebhookAttempts, Value::Integer(0)),
        (Column::SyncLeaseUntil, epoch()),
        (Column::SyncNotBefore, epoch()),
        (Column::SyncAttempts, Value::Integer(0)),
        (Column::SyncStreak, Value::Integer(0)),
        (Column::SyncLookAt, Value::Time(now)),
    ])
}

fn apply(row: &mut Row, set: &[(Column, Value)], now: Timestamp) {
    let before = row.clone();
    row.extend(set.iter().cloned());
    keep_turn(row, Some(&before), now);
    if row.get(Column::Provider) != before.get(Column::Provider) {
        for column in [Column::WebhookNotBefore, Column::SyncLookAt] {
            if compare(row.get(column), &Value::Time(now)) == Some(Ordering::Less) {
                row.insert(column, Value::Time(now));
            }
        }
    }
    let rotated = matches!(row.get(Column::WebhookSource), Value::Text(source) if source == ROTATED);
    keep_digests(row);
    let changed = |column| row.get(column) != before.get(column);
    let another = changed(Column::WebhookSource);
    let switched = changed(Column::IsActive) || changed(Column::SyncEnabled);
    let due = another || (switched && *row.get(Column::WebhookId) == Value::Null);
    if rotated || !due {
        return;
    }
    row.insert(Column::WebhookNotBefore, Value::Time(now));
    row.insert(Column::WebhookAttempts, Value::Integer(0));
    row.insert(Column::WebhookError, Value::Null);
    row.insert(Column::WebhookErrorReason, Value::Null);
    row.insert(Column::SyncLookAt, Value::Time(now));
    if another {
        row.insert(Column::SyncSeen, Value::Null);
        row.insert(Column::CalendarName, Value::Null);
        let lease = row.get(Column::SyncLeaseUntil);
        if compare(lease, &Value::Time(now)) == Some(Ordering::Less) {
            row.insert(Column::SyncError, Value::Null);
            row.insert(Column::SyncAttempts, Value::Integer(0));
            row.insert(Column::SyncNotBefore, Value::Time(now));
        }
    }
}

/// A run that was never put off does not go before those that have waited for their turn.
fn keep_turn(row: &mut Row, before: Option<&Row>, now: Timestamp) {
    let is_new = |before: &Row| {
        let changed = |column| before.get(column) != row.get(column);
        *before.get(Column::SyncRequestId) == Value::Null
            || [Column::Provider, Column::IsActive, Column::SyncEnabled].into_iter().any(changed)
            // What a run books comes with its lease.
            || changed(Column::SyncNotBefore) && !changed(Column::SyncLeaseUntil)
    };
    let earliest = Value::Time(now - TimeDelta::minutes(1));
    if *row.get(Column::SyncRequestId) != Value::Null
        && before.is_none_or(is_new)
        && compare(row.get(Column::SyncNotBefore), &earliest) == Some(Ordering::Less)
    {
        row.insert(Column::SyncNotBefore, earliest);
    }
}

fn keep_digests(row: &mut Row) {
    let text = |column, null: &str| match row.get(column) {
        Value::Text(text) | Value::Secret(text) => text.clone(),
        _ => null.to_owned(),
    };
    let hash = text(Column::WebhookToken, "");
    let source = format!("{}\n{}", text(Column::RefreshToken, ""), text(Column::CalendarId, "primary"));
    row.insert(Column::WebhookTokenHash, Value::Text(hash));
    row.insert(Column::WebhookSource, Value::Text(source));
}

fn read(row: &Row) -> Result<Connection, UnreadableRow> {
    Connection::from_row(&|column| Some(row.get(column).clone()))
}

fn meets(row: &Row, filter: &Filter) -> bool {
    match filter {
        Filter::Eq(column, with) => *with != Value::Null && row.get(*column) == with,
        Filter::In(column, with) => with.contains(row.get(*column)),
        Filter::IsDistinct(column, with) => row.get(*column) != with,
        Filter::Gt(column, with) => compare(row.get(*column), with) == Some(Ordering::Greater),
        Filter::Lt(column, with) => compare(row.get(*column), with) == Some(Ordering::Less),
        Filter::Lte(column, with) => {
            matches!(compare(row.get(*column), with), Some(Ordering::Less | Ordering::Equal))
        }
        Filter::IsNull(column) => *row.get(*column) == Value::Null,
        Filter::NotNull(column) => *row.get(*column) != Value::Null,
        Filter::IsTrue(column) => *row.get(*column) == Value::Boolean(true),
        Filter::NotTrue(column) => *row.get(*column) != Value::Boolean(true),
        Filter::IsFalse(column) => *row.get(*column) == Value::Boolean(false),
        Filter::NotFalse(column) => *row.get(*column) != Value::Boolean(false),
    }
}

fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => Some(a.cmp(b)),
        (Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
        (Value::Uuid(a), Value::Uuid(b)) => Some(a.cmp(b)),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn nulls_first(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        _ => compare(a, b).unwrap_or(Ordering::Equal),
    }
}
