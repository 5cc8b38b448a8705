//! Who acts besides Google and the functions: users, the app, cron and a forger.

use std::rc::Rc;

use protocol::connection::{ChannelId, Connection};
use protocol::table::{Column, Value};

use crate::database;
use crate::delivery;
use crate::fault::Fault;
use crate::google::{self, Calendar};
use crate::instance;
use crate::time::{HOUR, Instant, MILLISECOND, MINUTE, SECOND, timestamp};
use crate::world::{Broken, Change, Ledger, Phase, Renewal, World};

/// Connects users, some of them with a channel that somebody else's code opened.
pub(crate) fn connect(world: &Rc<World>, connections: usize) {
    for connection in 0..connections {
        let broken = world.happens(Fault::BrokenConnections).then(|| world.dice.pick(Broken::ALL)).flatten();
        connect_one(world, connection, broken);
        if world.dice.chance(0.5) {
            instance::set_up(world, connection);
        }
        world.executor.spawn(user(Rc::clone(world), connection));
    }
    // Somebody's calendar that is not Google's: nobody may touch it.
    if world.dice.chance(0.5) {
        let provider = (Column::Provider, Value::Text("microsoft".to_owned()));
        let calendar = Calendar { account: 2 * connections, second: false };
        let values = consent(world, calendar).into_iter().chain([provider]).collect();
        database::insert(world, connections, values);
    }
}

/// Connects one user, whose recalculation or channel may be broken for good.
pub(crate) fn connect_one(world: &Rc<World>, connection: usize, broken: Option<Broken>) {
    world.ledgers.borrow_mut().push(Ledger {
        row: None,
        changes: Vec::new(),
        runs: Vec::new(),
        calls: Vec::new(),
        watches: Vec::new(),
        committed_at: None,
        renewals: Vec::new(),
        gone: Vec::new(),
        excuses: Vec::new(),
        echoes: world.happens(Fault::Echo),
        broken,
    });
    let calendar = Calendar { account: 2 * connection, second: world.dice.chance(0.2) };
    let mut values = consent(world, calendar);
    // Null reads as enabled.
    if world.dice.chance(0.1) {
        values.push((Column::SyncEnabled, Value::Null));
    }
    if world.happens(Fault::ForeignChannels) {
        let id = ChannelId::new(format!("foreign-{connection}"));
        let expires_at = world.now() + world.dice.between(MINUTE, 24 * HOUR);
        world.google.borrow_mut().open_foreign(id.clone(), calendar, connection, expires_at);
        values.push((Column::WebhookId, (&id).into()));
        values.push((Column::WebhookExpiration, timestamp(expires_at).into()));
        world.ledger(connection, |ledger| {
            ledger.renewals.push(Renewal { channel: id, claimed_at: 0, live: true, holder: None });
        });
    }
    let row = database::insert(world, connection, values);
    if let Some(refresh_token) = row.as_ref().and_then(|row| row.refresh_token.as_ref())
        && broken == Some(Broken::Revoked)
    {
        world.google.borrow_mut().revoke(refresh_token);
    }
    world.trace(Some(connection), || match broken {
        Some(broken) => format!("connects; for good: {broken:?}"),
        None => "connects".to_owned(),
    });
    world.ledger(connection, |ledger| ledger.row = row);
}

/// What OAuth stores.
fn consent(world: &World, calendar: Calendar) -> Vec<(Column, Value)> {
    let mut google = world.google.borrow_mut();
    let refresh_token = google.grant(calendar.account);
    let lifetime = if world.google_is_slow { 0 } else { HOUR };
    let expires_at = world.now() + if world.happens(Fault::Tokens) { 2 * MINUTE } else { lifetime };
    let access_token = google.issue(&refresh_token, world.now(), expires_at);
    let second = || Value::Text("second".to_owned());
    vec![
        (Column::RefreshToken, (&refresh_token).into()),
        (Column::AccessToken, (&access_token).into()),
        (Column::ExpiresAt, timestamp(expires_at).into()),
        (Column::CalendarId, if calendar.second { second() } else { Value::Null }),
    ]
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
        switch(world, connection, column, !now);
        // Often somebody changes their mind at once.
        if world.dice.chance(0.5) {
            world.executor.sleep(world.dice.mostly_low(10 * MILLISECOND, 20 * SECOND)).await;
            switch(world, connection, column, now);
        }
    }
    if world.happens(Fault::Reconnecting) {
        reconnect(world, connection, &row);
    }
    if world.happens(Fault::Tokens)
        && let Some(refresh_token) = &row.refresh_token
        && world.dice.chance(0.2)
    {
        world.trace(Some(connection), || "revokes the consent".to_owned());
        world.google.borrow_mut().revoke(refresh_token);
    }
    if world.happens(Fault::Deleting) {
        delete(world, connection);
    }
    if world.happens(Fault::ForeignRequests) {
        ask_for_a_run(world, connection);
    }
    if world.happens(Fault::Setups) {
        instance::set_up(world, connection);
    }
    if world.happens(Fault::Buttons) {
        for _ in 0..world.dice.between(1, 3) {
            instance::press_button(world, connection);
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
        switch(world, connection, Column::SyncEnabled, !row.sync_enabled);
    }
    if world.happens(Fault::Deleting) {
        delete(world, connection);
    }
}

fn delete(world: &World, connection: usize) {
    world.trace(Some(connection), || "deletes the row".to_owned());
    database::delete(world, connection);
}

/// The app asks for a run by itself, with an id that does not tell when.
fn ask_for_a_run(world: &World, connection: usize) {
    world.trace(Some(connection), || "asks for a run".to_owned());
    let request = uuid::Builder::from_random_bytes(world.dice.bits().to_be_bytes()).into_uuid();
    database::write(world, connection, vec![(Column::SyncRequestId, Value::Uuid(request))]);
    let asked = Change { at: world.now(), acknowledged: true, unseen: false };
    world.ledger(connection, |ledger| ledger.changes.push(asked));
}

/// Changes an event, mostly in the calendar that is watched.
fn edit(world: &Rc<World>, row: &Connection) {
    if let Some(mut calendar) = world.calendar_of(row) {
        calendar.second ^= world.dice.chance(0.1);
        google::change(world, calendar);
    }
}

fn switch(world: &World, connection: usize, column: Column, on: bool) {
    world.trace(Some(connection), || format!("sets {} {on}", column.name()));
    database::write(world, connection, vec![(column, Value::Boolean(on))]);
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
    world.trace(Some(connection), || format!("reconnects to {calendar:?}"));
    let mut set = consent(world, calendar);
    set.push((Column::IsActive, Value::Boolean(true)));
    database::write(world, connection, set);
    if world.dice.chance(0.7) {
        instance::set_up(world, connection);
    }
}

/// Sweeps every minute, more or less.
pub(crate) async fn cron(world: Rc<World>) {
    while world.phase.get() == Phase::Faults {
        if !world.happens(Fault::IrregularCron) {
            instance::sweep(&world);
        }
        if world.happens(Fault::IrregularCron) {
            world.executor.sleep(world.dice.mostly_low(MILLISECOND, 20 * SECOND)).await;
            instance::sweep(&world);
        }
        world.executor.sleep(MINUTE).await;
    }
}

/// Faults are over, and most users put right what they can.
pub(crate) fn settle(world: &Rc<World>) {
    let connections = world.ledgers.borrow().len();
    for connection in 0..connections {
        let Some(row) = world.row(connection) else { continue };
        if !row.is_live() && world.dice.chance(0.6) {
            switch(world, connection, Column::IsActive, true);
            switch(world, connection, Column::SyncEnabled, true);
        }
        let revoked = row.refresh_token.is_none_or(|token| world.google.borrow().is_revoked(&token));
        if revoked && world.dice.chance(0.6) && world.broken(Some(connection)) != Some(Broken::Revoked) {
            world.trace(Some(connection), || "consents again".to_owned());
            let calendar = Calendar { account: 2 * connection, second: false };
            database::write(world, connection, consent(world, calendar));
        }
    }
}

/// Some users pause in quiet times.
pub(crate) fn pause_some(world: &World) {
    let connections = world.ledgers.borrow().len();
    for connection in 0..connections {
        if world.row(connection).is_some_and(|row| row.is_live()) && world.dice.chance(0.1) {
            pause(world, connection);
        }
    }
}

pub(crate) fn pause(world: &World, connection: usize) {
    switch(world, connection, Column::SyncEnabled, false);
}

/// Every user presses the button.
pub(crate) fn press_buttons(world: &Rc<World>) {
    for connection in 0..world.ledgers.borrow().len() {
        instance::press_button(world, connection);
    }
}

/// When the next sweep has something to do, by any clock: those before it are left out.
pub(crate) fn next_sweep(world: &World) -> Instant {
    let ledgers = world.ledgers.borrow();
    let due = ledgers.iter().filter_map(|ledger| ledger.row.as_ref()).map(due).min();
    let skew = 11 * SECOND;
    due.unwrap_or(Instant::MAX).saturating_add(skew).max(world.now() + MINUTE)
}

/// How many connections a sweep has something to do for.
pub(crate) fn due_by(world: &World, by: Instant) -> usize {
    let ledgers = world.ledgers.borrow();
    ledgers.iter().filter_map(|ledger| ledger.row.as_ref()).filter(|row| due(row) <= by).count()
}

fn due(row: &Connection) -> Instant {
    if !row.is_live() {
        let names_channel = row.webhook_id.is_some() || row.webhook_pending_id.is_some();
        return if names_channel { 0 } else { Instant::MAX };
    }
    let lease_or = |lease: protocol::Timestamp, due: protocol::Timestamp| lease.max(due).timestamp_micros();
    let run = match row.sync_request_id {
        Some(_) => lease_or(row.sync_lease_until, row.sync_not_before),
        None => row.last_sync_at.map_or(0, |at| at.timestamp_micros() + 24 * HOUR),
    };
    run.min(lease_or(row.webhook_lease_until, row.webhook_not_before))
}

/// Every calendar changes: every channel speaks.
pub(crate) fn change_everything(world: &Rc<World>) {
    let accounts = 2 * world.ledgers.borrow().len();
    for account in 0..accounts {
        for second in [false, true] {
            google::change(world, Calendar { account, second });
        }
    }
}
