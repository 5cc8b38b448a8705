//! What the host app writes: connections, consents and switches, past every filter of the protocol.

use std::rc::Rc;

use protocol::connection::ChannelId;
use protocol::connection::ChannelToken;
use protocol::table::{Column, Value};

use crate::fact::Fact;
use crate::fault::Fault;
use crate::subject::{Broken, Calendar, Channel, Writes};
use crate::time::{HOUR, MINUTE, timestamp};
use crate::world::google::Open;
use crate::world::state::{Character, World};

/// Connects a user, whose recalculation or channel may be broken for good.
pub(crate) fn connect(world: &Rc<World>, connection: usize, broken: Option<Broken>) {
    let kinds = [Writes::InPlace, Writes::Recreated, Writes::Restless];
    let writes = if world.happens(Fault::Echo) { world.dice.pick(&kinds) } else { None };
    let writes = writes.unwrap_or(Writes::Nothing);
    world.characters.borrow_mut().push(Character { writes, broken });
    let calendar = Calendar { account: 2 * connection, second: world.dice.chance(0.2) };
    let mut values = consent(world, calendar);
    // Null reads as enabled.
    if world.dice.chance(0.1) {
        values.push((Column::SyncEnabled, Value::Null));
    }
    if world.happens(Fault::ForeignChannels) {
        values.extend(foreign_channel(world, connection, calendar));
    }
    world.database.insert(world.now(), connection, values);
    let Some(row) = world.row(connection) else { return };
    if let Some(refresh_token) = row.refresh_token.as_ref().filter(|_| broken == Some(Broken::Revoked)) {
        world.google.borrow_mut().revoke(refresh_token);
        world.tell(&Fact::Revoked { connection: Some(connection), refresh_token });
    }
    world.tell(&Fact::Connected { connection, row: &row, broken, writes });
}

/// A calendar that is not Google's: nobody may touch it.
pub(crate) fn connect_another_provider(world: &World, connection: usize) {
    let provider = (Column::Provider, Value::Text("microsoft".to_owned()));
    let calendar = Calendar { account: 2 * connection, second: false };
    // With a channel of that provider's, and perhaps paused.
    let channel = (Column::WebhookId, "elsewhere".into());
    let enabled = (Column::SyncEnabled, Value::Boolean(world.dice.chance(0.5)));
    let values = consent(world, calendar).into_iter().chain([provider, channel, enabled]).collect();
    world.database.insert(world.now(), connection, values);
}

/// A channel that somebody else's code opened.
fn foreign_channel(world: &World, connection: usize, calendar: Calendar) -> [(Column, Value); 2] {
    let id = ChannelId::new(format!("foreign-{connection}"));
    let expires_at = world.now() + world.dice.between(MINUTE, 24 * HOUR);
    let channel = Channel {
        id: id.clone(),
        calendar,
        connection: Some(connection),
        foreign: true,
        opened_at: 0,
        expires_at,
        stopped_at: None,
    };
    world.tell(&Fact::ChannelOpened(&channel));
    let token = ChannelToken::new(format!("foreign token of {connection}"));
    world.google.borrow_mut().open.push(Open { channel, token, number: 1 });
    world.named.borrow_mut().insert(id.clone(), connection);
    [(Column::WebhookId, (&id).into()), (Column::WebhookExpiration, timestamp(expires_at).into())]
}

/// What OAuth stores.
pub(crate) fn consent(world: &World, calendar: Calendar) -> Vec<(Column, Value)> {
    let account = calendar.account;
    let refresh_token = world.google.borrow_mut().grant(account);
    let lifetime = if world.google_is_slow { 0 } else { HOUR };
    let expires_at = world.now() + if world.happens(Fault::Tokens) { 2 * MINUTE } else { lifetime };
    let access_token = world.google.borrow_mut().issue(&refresh_token, world.now(), expires_at);
    world.tell(&Fact::Granted {
        account,
        refresh_token: &refresh_token,
        access_token: &access_token,
        expires_at,
    });
    let calendar_id = calendar.second.then(|| Value::Text("second".to_owned()));
    vec![
        (Column::RefreshToken, (&refresh_token).into()),
        (Column::AccessToken, (&access_token).into()),
        (Column::ExpiresAt, timestamp(expires_at).into()),
        (Column::CalendarId, calendar_id.unwrap_or(Value::Null)),
    ]
}

pub(crate) fn write(world: &World, connection: usize, set: Vec<(Column, Value)>) {
    world.database.write(world.now(), connection, set.clone());
    world.tell(&Fact::Written { connection, set: &set, row: world.row(connection).as_ref() });
}

pub(crate) fn switch(world: &World, connection: usize, column: Column, on: bool) {
    write(world, connection, vec![(column, Value::Boolean(on))]);
}

pub(crate) fn pause(world: &World, connection: usize) {
    switch(world, connection, Column::SyncEnabled, false);
}

pub(crate) fn delete(world: &World, connection: usize) {
    world.database.delete(world.now(), connection);
    world.tell(&Fact::Deleted { connection });
}

/// Asks for a run by itself, with an id that does not tell when.
pub(crate) fn ask_for_a_run(world: &World, connection: usize) {
    let request = uuid::Builder::from_random_bytes(world.dice.bits().to_be_bytes()).into_uuid();
    write(world, connection, vec![(Column::SyncRequestId, Value::Uuid(request))]);
    let change = world.number_change();
    world.tell(&Fact::Changed { connection, change, unseen: false, own: false });
    world.tell(&Fact::Acknowledged { connection, change });
}
