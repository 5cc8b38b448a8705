//! Requests arrive at the database.

use protocol::Timestamp;
use protocol::connection::{Connection, UnreadableRow};
use protocol::table::{Filter, Query};
use protocol::transition::{Transition, Update};

use crate::fact::{Fact, Step};
use crate::fault::Fault;
use crate::time::{Instant, MILLISECOND, SECOND};
use crate::world::calendar_api;
use crate::world::life::Life;
use crate::world::state::World;

/// A conditional update arrives. Returns the row that met its filters.
pub(crate) fn update(world: &World, life: &Life, sent_at: Instant, update: Update) -> Option<Connection> {
    let target = world.database.target(&update);
    let update = match world.settings.mutation {
        Some(mutation) => mutation.rewrite(
            update,
            |filters| world.database.find(filters),
            |seen| calendar_api::seen_now(world, target?, seen),
        ),
        None => update,
    };
    let (invocation, transition, set) = (life.invocation, update.transition, update.set.clone());
    let before = target.and_then(|connection| world.database.row(connection));
    let Some(connection) = world.database.update(world.now(), update) else {
        world.tell(&Fact::Missed { invocation, connection: target, transition, set: &set });
        return None;
    };
    let after = world.database.row(connection)?;
    if let Some(before) = before {
        let step =
            Step { invocation, transition, connection, sent_at, set: &set, before: &before, after: &after };
        world.tell(&Fact::Applied(&step));
        take_over(world, life, &step);
    }
    Some(after.connection.clone())
}

pub(crate) fn select(world: &World, query: &Query) -> Vec<Result<Connection, UnreadableRow>> {
    if world.database.is_replicated() && world.happens(Fault::StaleReads) {
        let then = world.now() - world.dice.mostly_low(0, 5 * SECOND);
        return world.database.select_stale(query, then);
    }
    world.database.select(query)
}

pub(crate) fn count(world: &World, life: &Life, asked_at: Instant, filters: &[Filter]) -> u64 {
    world.tell(&Fact::CountArrived { invocation: life.invocation, asked_at });
    world.database.count(filters)
}

/// Notes what an invocation takes, and lets those go on that stood still while they held it.
fn take_over(world: &World, life: &Life, step: &Step<'_>) {
    let connection = step.connection;
    match step.transition {
        Transition::ClaimRenewal | Transition::ReissueChannel => {
            life.renewals.borrow_mut().insert(connection);
            let pending = step.after.webhook_pending_id.clone();
            world.named.borrow_mut().extend(pending.map(|id| (id, connection)));
            if step.transition == Transition::ClaimRenewal {
                thaw(world, life, connection);
            }
        }
        Transition::ClaimRun | Transition::KeepRun if step.after.sync_lease_until > Timestamp::default() => {
            let lease = life.leases.borrow_mut().insert(connection, step.after.sync_lease_until);
            if lease != Some(step.before.sync_lease_until) {
                thaw(world, life, connection);
            }
        }
        _ => {}
    }
}

/// An invocation that stands still often goes on at the worst of times: when another has just taken over what it held.
fn thaw(world: &World, by: &Life, connection: usize) {
    let mut frozen = world.frozen.borrow_mut();
    frozen.retain(|life| !life.crashed.get());
    for life in frozen.iter().filter(|life| life.invocation != by.invocation && life.holds(connection)) {
        if world.dice.chance(0.5) {
            let at = world.now() + world.dice.mostly_low(MILLISECOND, 10 * SECOND);
            world.executor.thaw(life.task, at);
        }
    }
}
