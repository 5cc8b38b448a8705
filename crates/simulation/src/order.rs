//! In which order a sweep works, and how much of it at a time: what has waited longest first, runs beside renewals, and
//! eight renewals at once.

use protocol::connection::Connection;
use protocol::table::{Column, Filter, Query};
use protocol::transition::Transition;

use crate::life::{Life, Purpose};
use crate::promise::Promise;
use crate::time::{Instant, SECOND, instant};
use crate::world::{World, connection_number};

const RENEWALS_AT_ONCE: usize = 8;
const RUNS: usize = 25;
/// No renewal starts after so long, whoever starts it.
const LAST_RENEWAL: Instant = 45 * SECOND;

/// What a sweep has found, and what it made of it.
#[derive(Default)]
pub(crate) struct Order {
    /// Connections yet to be renewed, and since when they are due.
    due: Vec<(usize, Instant)>,
    /// Connections yet to be run, and since when they are due.
    owed: Vec<(usize, Instant)>,
    due_read_at: Instant,
    renewals: usize,
    /// When its renewals ended, those included whose claim was lost.
    ended: Vec<Instant>,
    runs: usize,
}

/// What a sweep reads or claims.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Matter {
    Renewals,
    Runs,
}

impl Matter {
    fn read_by(query: &Query) -> Option<Self> {
        let asks = |column| {
            query.filters.iter().any(|filter| matches!(filter, Filter::Lte(asked, _) if *asked == column))
        };
        let runs = || asks(Column::SyncNotBefore).then_some(Self::Runs);
        asks(Column::WebhookNotBefore).then_some(Self::Renewals).or_else(runs)
    }

    fn claimed_by(transition: Transition) -> Option<Self> {
        match transition {
            Transition::ClaimRenewal => Some(Self::Renewals),
            Transition::ClaimRun => Some(Self::Runs),
            _ => None,
        }
    }
}

fn starves(world: &World, connection: Option<usize>, what: String) {
    world.broke(Promise::NobodyStarves, connection, what);
}

/// A query is sent.
pub(crate) fn asks(world: &World, life: &Life, query: &Query) {
    let late = life.age(world.now()) > SECOND && !life.frozen.get();
    if life.purpose == Purpose::Sweep && late && Matter::read_by(query).is_some() {
        starves(world, None, format!("{life} asks late what is due, and keeps it waiting for the rest"));
    }
}

/// A query is answered.
pub(crate) fn finds<'a>(
    world: &World,
    life: &Life,
    query: &Query,
    rows: impl Iterator<Item = &'a Connection>,
) {
    let mut order = life.order.borrow_mut();
    match Matter::read_by(query) {
        Some(Matter::Renewals) => {
            order.due =
                rows.map(|row| (connection_number(row.id), instant(row.webhook_not_before))).collect();
            order.due_read_at = world.now();
        }
        Some(Matter::Runs) => {
            order.owed = rows.map(|row| (connection_number(row.id), instant(row.sync_not_before))).collect();
        }
        None => {}
    }
}

/// An update of a connection is sent.
pub(crate) fn claims(world: &World, life: &Life, connection: usize, transition: Transition) {
    let Some(matter) = Matter::claimed_by(transition) else { return };
    if matter == Matter::Renewals && life.age(world.now()) > LAST_RENEWAL {
        let what = format!("{life} starts a renewal that may not end in time");
        world.broke(Promise::WorkIsBounded, Some(connection), what);
    }
    if life.purpose != Purpose::Sweep || life.frozen.get() {
        return;
    }
    let mut order = life.order.borrow_mut();
    if matter == Matter::Runs {
        order.runs += 1;
        // What could not be run for want of budget may be passed over, and a run after a renewal has no turn.
        let has_turn = order.runs <= RUNS && !life.pending.borrow().contains_key(&connection);
        if !takes_first(&mut order.owed, connection) && has_turn {
            starves(world, Some(connection), format!("{life} runs what has waited less than others"));
        }
        return;
    }
    if !takes_first(&mut order.due, connection) {
        starves(world, Some(connection), format!("{life} renews what has waited less than others"));
    }
    // Each takes the place of one that ended.
    let free_at = match order.renewals.checked_sub(RENEWALS_AT_ONCE) {
        None => Some(order.due_read_at),
        Some(before) => order.ended.get(before).copied(),
    };
    order.renewals += 1;
    match free_at {
        None => {
            let what = format!("{life} has more than {RENEWALS_AT_ONCE} renewals under way");
            world.broke(Promise::WorkIsBounded, Some(connection), what);
        }
        Some(at) if at < world.now() => {
            starves(world, Some(connection), format!("{life} keeps a renewal waiting for what it need not"));
        }
        Some(_) => {}
    }
}

/// A renewal of the sweep's is over, or its claim was lost.
pub(crate) fn ends(world: &World, life: &Life) {
    life.order.borrow_mut().ended.push(world.now());
}

pub(crate) fn is_lost_renewal(transition: Transition, answer: Option<&Option<Connection>>) -> bool {
    transition == Transition::ClaimRenewal && !matches!(answer, Some(Some(_)))
}

/// Whether nobody in the queue has waited longer.
fn takes_first(queue: &mut Vec<(usize, Instant)>, connection: usize) -> bool {
    let Some(place) = queue.iter().position(|(of, _)| *of == connection) else { return true };
    let (_, since) = queue.remove(place);
    queue.iter().all(|(_, at)| *at >= since)
}
