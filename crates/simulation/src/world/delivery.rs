//! Notifications on their way: delayed, doubled, overtaken, dropped, and tried again while Google is told to.

use std::rc::Rc;

use protocol::connection::{ChannelId, ChannelToken, TokenHash};
use protocol::notification::{Notification, State};

use crate::fact::Fact;
use crate::fault::Fault;
use crate::subject::Calendar;
use crate::time::{Instant, MILLISECOND, SECOND};
use crate::world::executor::Reply;
use crate::world::start::{Heard, Start};
use crate::world::state::World;

const ATTEMPTS: u32 = 7;

/// A change that a notification reports: whose, and which.
type Reported = Option<(usize, usize)>;

pub(crate) fn send_sync(
    world: &Rc<World>,
    channel: &ChannelId,
    token: &ChannelToken,
    calendar: Calendar,
    delay: Instant,
) {
    send(world, notification(channel, token, calendar, State::Sync, 1), delay, None);
}

pub(crate) fn send_change(
    world: &Rc<World>,
    channel: &ChannelId,
    token: &ChannelToken,
    calendar: Calendar,
    number: i64,
    change: Reported,
) {
    let notification = notification(channel, token, calendar, State::Change, number);
    if world.happens(Fault::DuplicatedNotifications) {
        let delay = world.dice.mostly_low(MILLISECOND, 60 * SECOND);
        send(world, notification.clone(), delay, change);
    }
    let delay = if world.happens(Fault::DelayedNotifications) {
        world.dice.between(0, 90 * SECOND)
    } else {
        world.dice.between(20 * MILLISECOND, SECOND)
    };
    send(world, notification, delay, change);
}

/// What Google did not send: the right channel with a wrong token.
pub(crate) fn forge(world: &Rc<World>, channel: &ChannelId, calendar: Calendar) {
    let token = ChannelToken::new(format!("guess {}", world.dice.bits()));
    let number = world.dice.between(1, 1000);
    let state = if world.dice.chance(0.5) { State::Sync } else { State::Change };
    receive(world, None, notification(channel, &token, calendar, state, number), |_| {});
}

fn notification(
    channel: &ChannelId,
    token: &ChannelToken,
    calendar: Calendar,
    state: State,
    number: i64,
) -> Notification {
    Notification {
        channel: channel.clone(),
        // The table in memory keeps the tokens themselves for their hashes.
        token_hash: TokenHash::new(token.expose()),
        resource: calendar.resource(),
        state,
        number,
    }
}

fn send(world: &Rc<World>, notification: Notification, delay: Instant, change: Reported) {
    if !world.happens(Fault::DroppedNotifications) {
        attempt(world, notification, delay, change, ATTEMPTS);
    }
}

fn attempt(world: &Rc<World>, notification: Notification, delay: Instant, change: Reported, left: u32) {
    let Some(left) = left.checked_sub(1) else { return };
    let later = Rc::clone(world);
    world.executor.at(world.now() + delay, move || {
        let world = later;
        // A channel that a mutated protocol gave a token of its own still speaks for its connection.
        let connection =
            change.map(|(connection, _)| connection).or_else(|| world.connection_of(&notification.channel));
        world.tell(&Fact::Notified { connection, notification: &notification });
        let (sender, again) = (Rc::clone(&world), notification.clone());
        receive(&world, connection, notification, move |heard| retry(&sender, again, change, left, heard));
    });
}

fn receive(
    world: &Rc<World>,
    connection: Option<usize>,
    notification: Notification,
    then: impl FnOnce(Heard) + 'static,
) {
    let heard = Reply::default();
    let answered = heard.clone();
    world.executor.spawn(async move { then(answered.await) });
    world.start(Start::Receive { connection, notification, heard });
}

fn retry(world: &Rc<World>, notification: Notification, change: Reported, left: u32, heard: Heard) {
    let lost = heard == Heard::Delivered && world.happens(Fault::LostAnswers);
    let is_retried = match if lost { Heard::Nothing } else { heard } {
        Heard::Delivered => {
            if let Some((connection, change)) = change {
                world.tell(&Fact::Acknowledged { connection, change });
            }
            false
        }
        Heard::Unknown => false,
        Heard::Unavailable => true,
        Heard::Nothing => world.dice.chance(0.5),
    };
    if is_retried {
        let backoff = (SECOND << (ATTEMPTS - left).min(10)) + world.dice.between(0, SECOND);
        attempt(world, notification, backoff, change, left);
    }
}
