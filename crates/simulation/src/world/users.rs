//! What users do, the app on their behalf, and a forger.

use std::rc::Rc;

use protocol::connection::Connection;
use protocol::table::{Column, Value};

use crate::fact::Fact;
use crate::fault::Fault;
use crate::subject::{Broken, Calendar};
use crate::time::{MILLISECOND, MINUTE, SECOND, timestamp};
use crate::world::start::Start;
use crate::world::state::{Phase, World};
use crate::world::{calendar, delivery, host};

/// Connects users, some of them with a channel that somebody else's code opened.
pub(crate) fn connect(world: &Rc<World>, connections: usize) {
    for connection in 0..connections {
        let broken = world.happens(Fault::BrokenConnections).then(|| world.dice.pick(Broken::ALL)).flatten();
        host::connect(world, connection, broken);
        if world.dice.chance(0.5) {
            world.start(Start::SetUp(connection));
        }
        world.executor.spawn(user(Rc::clone(world), connection));
    }
    if world.dice.chance(0.5) {
        host::connect_another_provider(world, connections);
    }
}

/// Edits events, and now and then does something to the connection.
async fn user(world: Rc<World>, connection: usize) {
    // Some hardly ever do anything, so that one request stays owed for long.
    let longest = if world.dice.chance(0.2) { 10 * MINUTE } else { MINUTE };
    while world.phase.get() == Phase::Faults {
        let at_once = world.dice.chance(0.15);
        let wait = if at_once { SECOND } else { world.dice.mostly_low(longest / 30, longest) };
        let wait = world.dice.between(wait / 50, wait);
        world.executor.sleep(wait).await;
        if world.phase.get() != Phase::Faults {
            return;
        }
        act(&world, connection).await;
    }
}

async fn act(world: &Rc<World>, connection: usize) {
    let Some(row) = world.row(connection) else { return };
    if world.dice.chance(0.6) {
        let burst = if world.dice.chance(0.2) { world.dice.between(2, 8) } else { 1 };
        for _ in 0..burst {
            edit(world, &row);
            world.executor.sleep(world.dice.between(MILLISECOND, SECOND)).await;
        }
    }
    if world.happens(Fault::Pausing) {
        let (column, now) = match world.dice.below(3) {
            0 => (Column::IsActive, row.is_active),
            _ => (Column::SyncEnabled, row.sync_enabled),
        };
        host::switch(world, connection, column, !now);
        // Often somebody changes their mind at once.
        if world.dice.chance(0.5) {
            world.executor.sleep(world.dice.mostly_low(10 * MILLISECOND, 20 * SECOND)).await;
            host::switch(world, connection, column, now);
        }
    }
    if world.happens(Fault::Reconnecting) {
        reconnect(world, connection, &row);
    }
    if world.happens(Fault::Tokens)
        && let Some(refresh_token) = &row.refresh_token
        && world.dice.chance(0.2)
    {
        world.google.borrow_mut().revoke(refresh_token);
        world.tell(&Fact::Revoked { connection: Some(connection), refresh_token });
    }
    if world.happens(Fault::Deleting) {
        host::delete(world, connection);
    }
    if world.happens(Fault::EarlyLooks) {
        host::write(world, connection, vec![(Column::SyncLookAt, timestamp(world.now()).into())]);
    }
    if world.happens(Fault::ForeignRequests) {
        host::ask_for_a_run(world, connection);
    }
    if world.happens(Fault::Setups) {
        world.start(Start::SetUp(connection));
    }
    if world.happens(Fault::Buttons) {
        for _ in 0..world.dice.between(1, 3) {
            world.start(Start::PressButton(connection));
            world.executor.sleep(world.dice.mostly_low(MILLISECOND, 5 * SECOND)).await;
        }
    }
    if world.happens(Fault::Forgeries)
        && let Some(id) = &row.webhook_id
    {
        delivery::forge(world, id, Calendar { account: 2 * connection, second: false });
    }
}

/// Does something at the worst of times: while Google is asked on the connection's behalf.
pub(crate) fn interfere(world: &Rc<World>, connection: Option<usize>) {
    let Some(connection) = connection else { return };
    let Some(row) = world.row(connection) else { return };
    if world.happens(Fault::Reconnecting) && world.dice.chance(0.3) {
        reconnect(world, connection, &row);
    }
    if world.happens(Fault::Pausing) && world.dice.chance(0.1) {
        host::switch(world, connection, Column::SyncEnabled, !row.sync_enabled);
    }
    if (0..3).any(|_| world.happens(Fault::Deleting)) {
        host::delete(world, connection);
    }
}

/// Changes an event, mostly in the calendar that is watched.
fn edit(world: &Rc<World>, row: &Connection) {
    if let Some(mut calendar) = world.calendar_of(row) {
        calendar.second ^= world.dice.chance(0.1);
        calendar::edit(world, calendar);
    }
}

/// Consents again: for the same calendar, another one, or another account.
fn reconnect(world: &Rc<World>, connection: usize, row: &Connection) {
    let Some(mut calendar) = world.calendar_of(row) else { return };
    match world.dice.below(3) {
        0 => {}
        1 => calendar.second = !calendar.second,
        // Every user has two accounts.
        _ => calendar.account ^= 1,
    }
    let mut set = host::consent(world, calendar);
    set.push((Column::IsActive, Value::Boolean(true)));
    host::write(world, connection, set);
    if world.dice.chance(0.7) {
        world.start(Start::SetUp(connection));
    }
}

/// Faults are over, and most users put right what they can.
pub(crate) fn settle(world: &Rc<World>) {
    let connections = world.connections();
    for connection in 0..connections {
        let Some(row) = world.row(connection) else { continue };
        if !row.is_live() && world.dice.chance(0.6) {
            host::switch(world, connection, Column::IsActive, true);
            host::switch(world, connection, Column::SyncEnabled, true);
        }
        let revoked = row.refresh_token.as_ref().is_none_or(|token| world.google.borrow().is_revoked(token));
        if revoked && world.dice.chance(0.6) && world.broken(Some(connection)) != Some(Broken::Revoked) {
            let calendar = Calendar { account: 2 * connection, second: false };
            host::write(world, connection, host::consent(world, calendar));
        }
    }
}

/// Some users pause in quiet times.
pub(crate) fn pause_some(world: &World) {
    let connections = world.connections();
    for connection in 0..connections {
        if world.row(connection).is_some_and(|row| row.is_live()) && world.dice.chance(0.1) {
            host::pause(world, connection);
        }
    }
}

/// Every user presses the button.
pub(crate) fn press_buttons(world: &Rc<World>) {
    for connection in 0..world.connections() {
        world.start(Start::PressButton(connection));
    }
}

/// Channels, consents and calendars die, and nobody says so.
pub(crate) fn fall_silent(world: &Rc<World>) {
    for connection in 0..world.connections() {
        let Some(row) = world.row(connection).filter(|row| row.is_live()) else { continue };
        let Some(calendar) = world.calendar_of(&row) else { continue };
        match (world.dice.below(5), &row.webhook_id, &row.refresh_token) {
            (0, _, Some(refresh_token)) => {
                world.google.borrow_mut().revoke(refresh_token);
                world.tell(&Fact::Revoked { connection: Some(connection), refresh_token });
            }
            (1, ..) => {
                world.google.borrow_mut().delete(calendar);
                world.tell(&Fact::CalendarGone { connection, calendar });
            }
            (2 | 3, Some(channel), _) => {
                world.google.borrow_mut().forget(channel, world.now());
                world.tell(&Fact::ChannelForgotten { connection, channel });
            }
            _ => {}
        }
        if world.dice.chance(0.7) {
            calendar::edit(world, calendar);
        }
    }
}
