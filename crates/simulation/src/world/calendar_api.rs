//! Requests arrive at Google: for a channel, for a channel's end, for an access token.

use std::rc::Rc;
use std::time::Duration;

use protocol::connection::{AccessToken, CalendarId, ChannelId, ChannelToken, RefreshToken, ResourceId};
use protocol::failure::{Mender, Refused, RenewalFailure, StopFailure, WatchFailure};
use protocol::grant::{OpenedChannel, RenewedToken};
use protocol::look::{Anchor, Look, LookFailure, Seen};

use crate::fact::Fact;
use crate::fault::Fault;
use crate::mutation::Mutation;
use crate::subject::{Broken, Calendar, Channel, Invocation, Writes};
use crate::time::{HOUR, Instant, MILLISECOND, SECOND, instant, timestamp};
use crate::world::google::{
    FAILURES, Google, LOOK_FAILURES, Open, UNAUTHORIZED, UNAUTHORIZED_LOOK, UNAVAILABLE, refused,
    refused_look,
};
use crate::world::state::World;
use crate::world::{delivery, users};

/// `events.watch` arrives.
pub(crate) fn watch(
    world: &Rc<World>,
    access_token: &AccessToken,
    calendar: Option<&CalendarId>,
    id: &ChannelId,
    token: &ChannelToken,
) -> Result<OpenedChannel, WatchFailure> {
    let connection = world.connection_of(id);
    users::interfere(world, connection);
    let answer = answer_watch(world, connection, access_token, calendar, id, token);
    world.tell(&Fact::WatchArrived { connection, channel: id, access_token, answer: &answer });
    answer
}

fn answer_watch(
    world: &Rc<World>,
    connection: Option<usize>,
    access_token: &AccessToken,
    calendar: Option<&CalendarId>,
    id: &ChannelId,
    token: &ChannelToken,
) -> Result<OpenedChannel, WatchFailure> {
    let now = world.now();
    let failure = world.happens(Fault::GoogleErrors).then(|| {
        let usual = world.favourite_failure.clone().filter(|_| world.dice.chance(0.8));
        match usual.or_else(|| world.dice.pick(FAILURES)).unwrap_or(UNAUTHORIZED) {
            WatchFailure::Refused(refused) => WatchFailure::Refused(asking_to_wait(world, refused)),
            WatchFailure::Doubtful(refused) => WatchFailure::Doubtful(asking_to_wait(world, refused)),
            WatchFailure::Unusable(refused) => WatchFailure::Unusable(asking_to_wait(world, refused)),
            failure => failure,
        }
    });
    // A channel may have opened whatever is answered.
    if let Some(failure) = &failure
        && world.dice.chance(0.8)
    {
        return Err(failure.clone());
    }
    let broken = world.broken(connection);
    match broken {
        // Its `Retry-After` is shorter than a renewal that failed waits anyhow.
        Some(Broken::WatchRefused) => {
            let retry_after = Some(Duration::from_secs(world.dice.between(0, 60).unsigned_abs()));
            let refused = Refused { retry_after, ..RenewalFailure::GoogleRejected.into() };
            return Err(WatchFailure::Refused(refused));
        }
        Some(Broken::NoPush) => return Err(refused(RenewalFailure::PushNotSupported)),
        _ => {}
    }
    let account = world.google.borrow().authenticate(access_token, now);
    let account = account.ok_or(UNAUTHORIZED)?;
    if world.google.borrow().is_gone(Calendar { account, second: calendar.is_some() }) {
        return Err(refused(RenewalFailure::CalendarNotFound));
    }
    if world.google.borrow().knows(id) {
        return Err(WatchFailure::ChannelIdNotUnique);
    }
    let lifetime = if world.happens(Fault::ShortChannels) {
        world.dice.between(30 * SECOND, 600 * SECOND)
    } else {
        // Google may grant less than it is asked for, at any time.
        world.dice.pick(&[30 * 24 * HOUR, 30 * 24 * HOUR, 8 * HOUR]).unwrap_or(HOUR).min(world.longest_grant)
    };
    let channel = Channel {
        id: id.clone(),
        calendar: Calendar { account, second: calendar.is_some() },
        connection,
        foreign: false,
        opened_at: now,
        // Google tells milliseconds.
        expires_at: (now + lifetime) / MILLISECOND * MILLISECOND,
        stopped_at: None,
    };
    let (calendar, expiration) = (channel.calendar, timestamp(channel.expires_at));
    world.tell(&Fact::ChannelOpened(&channel));
    world.google.borrow_mut().open.push(Open { channel, token: token.clone(), number: 1 });
    let early = world.happens(Fault::EarlySync);
    let delay = if early { 0 } else { world.dice.mostly_low(50 * MILLISECOND, 5 * SECOND) };
    delivery::send_sync(world, id, token, calendar, delay);
    if broken == Some(Broken::WatchUnanswered) {
        return Err(UNAVAILABLE);
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    Ok(OpenedChannel { resource_id: calendar.resource(), expiration })
}

/// `events.list` arrives.
pub(crate) fn look(
    world: &Rc<World>,
    invocation: Invocation,
    asked_at: Instant,
    access_token: &AccessToken,
    calendar: Option<&CalendarId>,
    anchor: Anchor,
) -> Result<Look, LookFailure> {
    let Some(connection) = connection_with(world, access_token) else {
        return Err(UNAUTHORIZED_LOOK);
    };
    users::interfere(world, Some(connection));
    let account = world.google.borrow().authenticate(access_token, world.now());
    let calendar = account.map(|account| Calendar { account, second: calendar.is_some() });
    let answer = answer_look(world, connection, access_token, calendar, anchor);
    world.tell(&Fact::LookArrived { invocation, connection, asked_at, calendar, answer: &answer });
    answer
}

fn answer_look(
    world: &World,
    connection: usize,
    access_token: &AccessToken,
    calendar: Option<Calendar>,
    anchor: Anchor,
) -> Result<Look, LookFailure> {
    if world.happens(Fault::GoogleErrors) {
        let is_fresh = world.google.borrow().is_fresh(access_token, world.now());
        let is_refused = is_fresh || world.dice.chance(0.7);
        let failure = world.dice.pick(LOOK_FAILURES).filter(|_| is_refused);
        return Err(match failure.unwrap_or(UNAUTHORIZED_LOOK) {
            LookFailure::Refused(refused) => LookFailure::Refused(asking_to_wait(world, refused)),
            failure => failure,
        });
    }
    let calendar = calendar.ok_or(UNAUTHORIZED_LOOK)?;
    match world.broken(Some(connection)) {
        Some(Broken::Unreadable) => return Err(LookFailure::TooLarge),
        Some(Broken::Unlisted) => return Err(refused_look(RenewalFailure::GoogleUnavailable)),
        _ => {}
    }
    let mut google = world.google.borrow_mut();
    if google.is_gone(calendar) {
        return Err(refused_look(RenewalFailure::CalendarNotFound));
    }
    let by_id = world.settings.mutation.is_some_and(Mutation::digests_by_id);
    let seen = Seen { anchor, digest: google.contents(calendar).digest(by_id) };
    // So much that two looks are all: own writes would come to rest after a few more.
    let writes = world.character(connection).map_or(Writes::Nothing, |character| character.writes);
    let is_large = is_reading(world, anchor) && writes == Writes::Nothing;
    let size = if is_large { world.calendar_size } else { 0 };
    Ok(Look { size, seen, calendar_name: None })
}

/// Whether a look is for what is in the calendar, and not only for whether it may be read.
pub(crate) fn is_reading(world: &World, anchor: Anchor) -> bool {
    instant(anchor.time()) <= world.now()
}

/// What a look with the same anchor would find now.
pub(crate) fn seen_now(world: &World, connection: usize, seen: &Seen) -> Option<Seen> {
    let calendar = world.row(connection).and_then(|row| world.calendar_of(&row))?;
    Some(Seen { digest: world.google.borrow_mut().contents(calendar).digest(false), ..*seen })
}

/// The connection whose user consented.
pub(crate) fn connection_with(world: &World, access_token: &AccessToken) -> Option<usize> {
    // Every user has two accounts.
    Some(world.google.borrow().account_with(access_token)? / 2)
}

/// `channels.stop` arrives.
pub(crate) fn stop(
    world: &World,
    access_token: &AccessToken,
    id: &ChannelId,
    resource: &ResourceId,
) -> Result<(), StopFailure> {
    let now = world.now();
    let unauthorized = StopFailure::Unauthorized(RenewalFailure::ReconnectRequired.into());
    if world.happens(Fault::GoogleErrors) {
        let failures = [
            RenewalFailure::GoogleRejected,
            RenewalFailure::GoogleRateLimited,
            RenewalFailure::GoogleUnavailable,
        ];
        let failure = world.dice.pick(&failures).unwrap_or(RenewalFailure::GoogleUnavailable);
        // Of the consent that says nothing: the channel may be another account's.
        return Err(if world.dice.chance(0.3) { unauthorized } else { StopFailure::Refused(failure.into()) });
    }
    let mut google = world.google.borrow_mut();
    let account = google.authenticate(access_token, now).ok_or(unauthorized)?;
    let channel = google.live(id, now).filter(|channel| channel.calendar.resource() == *resource);
    let Some(channel) = channel else { return Err(StopFailure::Unknown) };
    if channel.calendar.account != account {
        return Err(StopFailure::Refused(RenewalFailure::GoogleRejected.into()));
    }
    channel.stopped_at = Some(now);
    world.tell(&Fact::ChannelStopped { connection: channel.connection, channel: id });
    Ok(())
}

/// A refresh token arrives.
pub(crate) fn renew_token(world: &Rc<World>, refresh_token: &RefreshToken) -> Result<RenewedToken, Refused> {
    users::interfere(world, world.consenting(refresh_token));
    let answer = answer_token_request(world, refresh_token);
    world.tell(&Fact::TokenRequestArrived { refresh_token, answer: &answer });
    answer
}

fn answer_token_request(world: &World, refresh_token: &RefreshToken) -> Result<RenewedToken, Refused> {
    if world.happens(Fault::GoogleErrors) {
        let failures = [
            RenewalFailure::OauthClientInvalid,
            RenewalFailure::GoogleUnavailable,
            RenewalFailure::GoogleRateLimited,
            RenewalFailure::GoogleRejected,
        ];
        let failure = world.dice.pick(&failures).unwrap_or(RenewalFailure::GoogleUnavailable);
        return Err(asking_to_wait(world, failure.into()));
    }
    let mut google = world.google.borrow_mut();
    if google.is_revoked(refresh_token) {
        return Err(RenewalFailure::ReconnectRequired.into());
    }
    let seconds = if world.happens(Fault::Tokens) { world.dice.between(30, 300) } else { 3600 };
    let access_token = google.issue(refresh_token, world.now(), world.now() + seconds * SECOND);
    // Not a fault: Google may do so at any time.
    let rotates = world.has(Fault::Tokens) && world.dice.chance(0.2);
    Ok(RenewedToken {
        access_token,
        expires_in: Duration::from_secs(seconds.unsigned_abs()),
        refresh_token: rotates.then(|| Google::rotated(refresh_token)),
    })
}

/// What passes by itself Google may tell with a `Retry-After`.
fn asking_to_wait(world: &World, refused: Refused) -> Refused {
    let tells = refused.failure.mender() == Mender::Nobody && world.dice.chance(0.2);
    let retry_after = tells.then(|| Duration::from_secs(world.dice.between(1, 7200).unsigned_abs()));
    Refused { retry_after, ..refused }
}
