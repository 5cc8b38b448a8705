//! Notifications on their way: delayed, doubled, overtaken, dropped, and tried again while Google is told to.

use std::rc::Rc;

use protocol::connection::{ChannelId, ChannelToken, TokenHash};
use protocol::notification::{Notification, State};

use crate::fault::Fault;
use crate::google::{Calendar, short};
use crate::instance;
use crate::time::{Instant, MILLISECOND, SECOND};
use crate::world::World;

/// What Google hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Delivered,
    /// Google drops the notification.
    Unknown,
    /// Google tries again.
    Unavailable,
    /// The instance died, or its answer was lost.
    Broken,
}

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
    let forged = notification(channel, &token, calendar, state, number);
    instance::receive(world, None, forged, |_| {});
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
    if world.happens(Fault::DroppedNotifications) {
        return;
    }
    attempt(world, notification, delay, change, ATTEMPTS);
}

fn attempt(world: &Rc<World>, notification: Notification, delay: Instant, change: Reported, left: u32) {
    let Some(left) = left.checked_sub(1) else { return };
    let later = Rc::clone(world);
    world.executor.at(world.now() + delay, move || {
        let world = later;
        // A channel that a mutated protocol gave a token of its own still speaks for its connection.
        let connection =
            change.map(|(connection, _)| connection).or_else(|| world.connection_of(&notification.channel));
        world.trace(connection, || {
            format!(
                "Google notifies {} {:?} {}",
                short(&notification.channel),
                notification.state,
                notification.number
            )
        });
        let again = notification.clone();
        let sender = Rc::clone(&world);
        instance::receive(&world, connection, notification, move |answer| {
            heard(&sender, again, change, left, answer);
        });
    });
}

fn heard(world: &Rc<World>, notification: Notification, change: Reported, left: u32, answer: Answer) {
    let answer = if answer == Answer::Delivered && world.happens(Fault::LostAnswers) {
        Answer::Broken
    } else {
        answer
    };
    let retried = match answer {
        Answer::Delivered => {
            if let Some((connection, change)) = change {
                world.ledger(connection, |ledger| {
                    if let Some(change) = ledger.changes.get_mut(change) {
                        change.acknowledged = true;
                    }
                });
            }
            false
        }
        Answer::Unknown => false,
        Answer::Unavailable => true,
        Answer::Broken => world.dice.chance(0.5),
    };
    if retried {
        let backoff = (SECOND << (ATTEMPTS - left).min(10)) + world.dice.between(0, SECOND);
        attempt(world, notification, backoff, change, left);
    }
}
