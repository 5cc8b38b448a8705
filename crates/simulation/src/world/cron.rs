//! Sweeps every minute, more or less.

use std::rc::Rc;

use protocol::sweep::Part;

use crate::assumption::SKEW;
use crate::due::due_at;
use crate::fault::Fault;
use crate::time::{Instant, MILLISECOND, MINUTE, SECOND};
use crate::world::start::Start;
use crate::world::state::{Phase, World};

pub(crate) async fn cron(world: Rc<World>) {
    while world.phase.get() == Phase::Faults {
        if !world.happens(Fault::IrregularCron) {
            world.start(Start::Sweep(Part::default()));
        }
        if world.happens(Fault::IrregularCron) {
            world.executor.sleep(world.dice.mostly_low(MILLISECOND, 20 * SECOND)).await;
            world.start(Start::Sweep(Part::default()));
        }
        world.executor.sleep(MINUTE).await;
    }
}

/// When the next sweep has something to do, by any clock: those before it are left out.
pub(crate) fn next_sweep(world: &World) -> Instant {
    let rows = (0..world.connections()).filter_map(|connection| world.row(connection));
    let due = rows.map(|row| due_at(&row)).chain(world.database.next_farewell()).min();
    due.unwrap_or(Instant::MAX).saturating_add(SKEW + SECOND).max(world.now() + MINUTE)
}
