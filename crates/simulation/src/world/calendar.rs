//! Events that are created, changed or deleted, and the channels that tell.

use std::rc::Rc;

use crate::fact::Fact;
use crate::subject::{Calendar, Channel, Plans, Writes};
use crate::time::SECOND;
use crate::world::delivery;
use crate::world::google::Open;
use crate::world::state::World;

/// A user creates, changes or deletes an event.
pub(crate) fn edit(world: &Rc<World>, calendar: Calendar) {
    let plans = {
        let mut google = world.google.borrow_mut();
        if google.is_gone(calendar) {
            return;
        }
        let contents = google.contents(calendar);
        contents.edit(&world.dice);
        contents.plans()
    };
    world.tell(&Fact::Planned { calendar, plans });
    tell(world, calendar, false);
}

/// A host app writes sessions that were planned around `plans`.
pub(crate) fn write(world: &Rc<World>, calendar: Calendar, plans: Plans, writes: Writes) {
    let is_written = {
        let mut google = world.google.borrow_mut();
        let is_gone = google.is_gone(calendar);
        let contents = google.contents(calendar);
        match writes {
            Writes::Nothing => false,
            _ if is_gone => false,
            Writes::InPlace => contents.write_in_place((plans, 0)),
            Writes::Restless => contents.write_in_place((plans, world.now())),
            Writes::Recreated => {
                contents.recreate((plans, 0));
                true
            }
        }
    };
    if is_written {
        tell(world, calendar, true);
    }
}

/// Google tells of a change; own = by the host app.
fn tell(world: &Rc<World>, calendar: Calendar, own: bool) {
    let now = world.now();
    let mut told = Vec::new();
    let mut heard = Vec::new();
    for Open { channel, token, number } in world.google.borrow_mut().of_calendar(calendar) {
        // A few notifications may still follow a stop.
        let lingers = channel.stopped_at.is_some_and(|at| at + 5 * SECOND > now) && world.dice.chance(0.3);
        if channel.is_live(now) || lingers {
            *number += world.dice.between(1, 3);
            told.push((channel.id.clone(), token.clone(), *number, channel.connection));
        }
        if channel.is_live(now) && !channel.foreign {
            heard.extend(channel.connection);
        }
    }
    let connections = world.connections();
    let mut changes = vec![None; connections];
    for (connection, reported) in changes.iter_mut().enumerate() {
        let watching = world.row(connection).and_then(|row| world.calendar_of(&row)) == Some(calendar);
        let spoken_to = told.iter().any(|(.., whose)| *whose == Some(connection));
        if watching || spoken_to {
            let change = world.number_change();
            *reported = Some((connection, change));
            let unseen = watching && !heard.contains(&connection);
            world.tell(&Fact::Changed { connection, change, unseen, own });
        }
    }
    for (id, token, number, connection) in told {
        let change = connection.and_then(|connection| changes.get(connection).copied().flatten());
        delivery::send_change(world, &id, &token, calendar, number, change);
    }
}

/// Every calendar changes: every channel speaks.
pub(crate) fn change_everything(world: &Rc<World>) {
    // Every user has two accounts.
    for account in 0..2 * world.connections() {
        for second in [false, true] {
            edit(world, Calendar { account, second });
        }
    }
}

/// Every channel that a row names says again what it said last.
pub(crate) fn repeat(world: &Rc<World>) {
    let now = world.now();
    let rows: Vec<_> = (0..world.connections()).filter_map(|connection| world.row(connection)).collect();
    // Not what was noted of a channel while it was being opened: its number is not counted yet.
    let is_heard = |channel: &Channel, number: i64| {
        rows.iter()
            .any(|row| row.webhook_id.as_ref() == Some(&channel.id) && row.webhook_message_number >= number)
    };
    let google = world.google.borrow();
    let last = google.open.iter().filter(|Open { channel, number, .. }| {
        channel.is_live(now) && !channel.foreign && is_heard(channel, *number)
    });
    let last: Vec<_> = last
        .map(|Open { channel, token, number }| (channel.id.clone(), token.clone(), channel.calendar, *number))
        .collect();
    drop(google);
    for (id, token, calendar, number) in last {
        delivery::send_change(world, &id, &token, calendar, number, None);
    }
}
