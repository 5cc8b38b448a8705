//! Setup: a first channel for connections, or the one that each has if that is well. Asking twice changes nothing.

use futures_util::future::join_all;

use crate::connection::{Connection, ConnectionId, UnreadableRow};
use crate::failure::RenewalFailure;
use crate::invocation::Invocation;
use crate::ports::Ports;
use crate::refusal::Refusal;
use crate::renew::{Renewal, RenewedChannel, renew_channel};
use crate::schedule::{DATABASE_TIMEOUT, SETUP_PATIENCE, SETUP_READS_EVERY, SETUPS_THAT_WAIT};
use crate::table::{Column, Filter, Query};
use crate::transition::Trigger;
use crate::waiters::Wait;

/// A connection has a channel that is well.
#[derive(Clone, Debug, PartialEq)]
pub enum SetUp {
    Found,
    Opened(Box<RenewedChannel>),
}

pub type Result = std::result::Result<SetUp, Refusal>;

const UNAVAILABLE: Result = Err(Refusal::Failed(RenewalFailure::DatabaseUnavailable));

/// What became of each of one user's connections, in their order.
pub async fn setup<P: Ports>(ports: &P, invocation: &Invocation, rows: &[Connection]) -> Vec<Result> {
    let mut setup = Setup { ports, invocation, ended: Vec::new() };
    setup.all(rows.to_vec()).await;
    let ended = |row: &Connection| {
        let place = setup.ended.iter().position(|(id, _)| *id == row.id)?;
        Some(setup.ended.swap_remove(place).1)
    };
    rows.iter().map(ended).map(|result| result.unwrap_or(Err(Refusal::NoConnection))).collect()
}

struct Setup<'a, P> {
    ports: &'a P,
    invocation: &'a Invocation,
    ended: Vec<(ConnectionId, Result)>,
}

impl<P: Ports> Setup<'_, P> {
    async fn all(&mut self, mut rows: Vec<Connection>) {
        let give_up_at = self.ports.now() + SETUP_PATIENCE;
        let mut place = None;
        loop {
            rows = self.attempt(rows).await;
            let Some(first) = rows.first() else { return };
            place = place.or_else(|| self.ports.waiters().take(Wait::Setup(first.user_id), SETUPS_THAT_WAIT));
            let now = self.ports.now();
            if place.is_none() || now >= give_up_at {
                self.ended.extend(rows.iter().map(|row| (row.id, Err(Refusal::too_soon(row, now)))));
                return;
            }
            self.ports.sleep(SETUP_READS_EVERY).await;
            rows = self.read(&rows).await;
        }
    }

    /// Returns the rows that somebody else is at.
    async fn attempt(&mut self, rows: Vec<Connection>) -> Vec<Connection> {
        let results = join_all(rows.iter().map(|row| attempt(self.ports, self.invocation, row))).await;
        let mut waiting = Vec::new();
        for (row, result) in rows.into_iter().zip(results) {
            match result {
                Some(result) => self.ended.push((row.id, result)),
                None => waiting.push(row),
            }
        }
        waiting
    }

    /// The same rows as they are now, in one read however many they are.
    async fn read(&mut self, rows: &[Connection]) -> Vec<Connection> {
        let ids = rows.iter().map(|row| row.id.into()).collect();
        let query = Query::first(rows.len(), vec![Filter::In(Column::Id, ids)], Column::Id);
        let Ok(found) = self.ports.select(query, DATABASE_TIMEOUT).await else {
            self.ended.extend(rows.iter().map(|row| (row.id, UNAVAILABLE)));
            return Vec::new();
        };
        let mut read = Vec::new();
        for row in found {
            match row {
                Ok(row) => read.push(row),
                Err(UnreadableRow { id, .. }) => self.ended.extend(id.map(|id| (id, UNAVAILABLE))),
            }
        }
        read
    }
}

/// None where somebody else is at it.
async fn attempt<P: Ports>(ports: &P, invocation: &Invocation, row: &Connection) -> Option<Result> {
    if let Some(refusal) = Refusal::of(row) {
        return Some(Err(refusal));
    }
    if row.is_well(ports.now()) {
        let refused = row.look_error().and_then(RenewalFailure::parse);
        return Some(refused.map_or(Ok(SetUp::Found), |failure| Err(Refusal::Failed(failure))));
    }
    match renew_channel(ports, invocation, row, Trigger::Setup).await {
        Renewal::Renewed(renewed) => Some(Ok(SetUp::Opened(renewed))),
        Renewal::Failed(failure, _) => Some(Err(Refusal::Failed(failure))),
        Renewal::Unanswered => Some(UNAVAILABLE),
        Renewal::NotOurs | Renewal::GivenUp(_) => None,
    }
}
