//! Google, as it behaves: grants, channels, and who is told of a change.

use protocol::connection::{
    AccessToken, CalendarId, ChannelId, ChannelToken, Connection, RefreshToken, ResourceId,
};
use protocol::failure::{RenewalFailure, StopFailure, WatchFailure};
use protocol::grant::{OpenedChannel, RenewedToken};
use std::rc::Rc;
use std::time::Duration;

use crate::actors;
use crate::delivery;
use crate::fault::Fault;
use crate::promise::Promise;
use crate::time::{HOUR, Instant, MILLISECOND, SECOND, timestamp};
use crate::world::{Broken, Change, World};

#[derive(Default)]
pub(crate) struct Google {
    grants: Vec<Grant>,
    access_tokens: Vec<Access>,
    pub(crate) channels: Vec<Channel>,
}

/// A user's consent.
struct Grant {
    account: usize,
    revoked: bool,
    /// When it was asked for an access token since.
    asked_in_vain: Vec<Instant>,
}

struct Access {
    grant: usize,
    issued_at: Instant,
    expires_at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Calendar {
    pub(crate) account: usize,
    /// Not the primary one.
    pub(crate) second: bool,
}

/// A grant, however often its refresh token rotates, and one of its account's calendars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Consent {
    pub(crate) grant: usize,
    /// Not the primary one.
    pub(crate) second: bool,
}

impl Calendar {
    pub(crate) fn resource(self) -> ResourceId {
        ResourceId::new(format!("resource-{}-{}", self.account, u8::from(self.second)))
    }
}

pub(crate) struct Channel {
    pub(crate) id: ChannelId,
    pub(crate) token: ChannelToken,
    pub(crate) calendar: Calendar,
    /// For whom it was opened.
    pub(crate) connection: Option<usize>,
    /// Opened by somebody else's code, with a token that is not ours.
    pub(crate) foreign: bool,
    pub(crate) opened_at: Instant,
    pub(crate) expires_at: Instant,
    pub(crate) stopped_at: Option<Instant>,
    number: i64,
}

impl Channel {
    pub(crate) fn is_live(&self, now: Instant) -> bool {
        self.stopped_at.is_none() && self.expires_at > now
    }
}

impl Google {
    /// A fresh consent; its refresh token.
    pub(crate) fn grant(&mut self, account: usize) -> RefreshToken {
        self.grants.push(Grant { account, revoked: false, asked_in_vain: Vec::new() });
        RefreshToken::new(format!("refresh-{}-0", self.grants.len() - 1))
    }

    pub(crate) fn grant_of(&self, refresh_token: &RefreshToken) -> Option<usize> {
        let number = refresh_token.expose().split('-').nth(1)?.parse().ok()?;
        (number < self.grants.len()).then_some(number)
    }

    pub(crate) fn account_of(&self, refresh_token: &RefreshToken) -> Option<usize> {
        Some(self.grants.get(self.grant_of(refresh_token)?)?.account)
    }

    pub(crate) fn is_revoked(&self, refresh_token: &RefreshToken) -> bool {
        let grant = self.grant_of(refresh_token).and_then(|grant| self.grants.get(grant));
        grant.is_none_or(|grant| grant.revoked)
    }

    pub(crate) fn revoke(&mut self, refresh_token: &RefreshToken) {
        if let Some(grant) = self.grant_of(refresh_token).and_then(|grant| self.grants.get_mut(grant)) {
            grant.revoked = true;
        }
    }

    pub(crate) fn asked_in_vain(&self, refresh_token: &RefreshToken) -> &[Instant] {
        let grant = self.grant_of(refresh_token).and_then(|grant| self.grants.get(grant));
        grant.map_or(&[], |grant| &grant.asked_in_vain)
    }

    pub(crate) fn issue(
        &mut self,
        refresh_token: &RefreshToken,
        issued_at: Instant,
        expires_at: Instant,
    ) -> AccessToken {
        let grant = self.grant_of(refresh_token).unwrap_or(usize::MAX);
        self.access_tokens.push(Access { grant, issued_at, expires_at });
        AccessToken::new(format!("access-{}", self.access_tokens.len() - 1))
    }

    fn access(&self, access_token: &AccessToken) -> Option<&Access> {
        self.access_tokens.get(access_token.expose().strip_prefix("access-")?.parse::<usize>().ok()?)
    }

    pub(crate) fn expiry_of(&self, access_token: &AccessToken) -> Option<Instant> {
        self.access(access_token).map(|access| access.expires_at)
    }

    /// Whether both are of one consent.
    pub(crate) fn belong_together(&self, access_token: &AccessToken, refresh_token: &RefreshToken) -> bool {
        self.access(access_token).map(|access| access.grant) == self.grant_of(refresh_token)
    }

    /// Whose token it is, if it is good.
    fn authenticate(&self, access_token: &AccessToken, now: Instant) -> Option<usize> {
        let access = self.access(access_token).filter(|access| access.expires_at > now)?;
        let grant = self.grants.get(access.grant).filter(|grant| !grant.revoked)?;
        Some(grant.account)
    }

    pub(crate) fn channel(&self, id: &ChannelId) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.id == *id)
    }

    /// A channel that is there already when the history begins.
    pub(crate) fn open_foreign(
        &mut self,
        id: ChannelId,
        calendar: Calendar,
        connection: usize,
        expires_at: Instant,
    ) {
        self.channels.push(Channel {
            id,
            token: ChannelToken::new(format!("foreign token of {connection}")),
            calendar,
            connection: Some(connection),
            foreign: true,
            opened_at: 0,
            expires_at,
            stopped_at: None,
            number: 1,
        });
    }
}

/// How `events.watch` fails, as documented; silence included.
pub(crate) const FAILURES: &[WatchFailure] = &[
    WatchFailure::ChannelIdNotUnique,
    WatchFailure::Unauthorized,
    WatchFailure::Refused(RenewalFailure::GoogleRateLimited),
    WatchFailure::Refused(RenewalFailure::GoogleRejected),
    WatchFailure::Refused(RenewalFailure::WebhookUrlRejected),
    WatchFailure::Refused(RenewalFailure::GoogleApiDisabled),
    WatchFailure::Refused(RenewalFailure::PushNotSupported),
    WatchFailure::Refused(RenewalFailure::CalendarNotFound),
    WatchFailure::Refused(RenewalFailure::ReconnectRequired),
    WatchFailure::Doubtful(RenewalFailure::GoogleUnavailable),
    WatchFailure::Doubtful(RenewalFailure::GoogleUnavailable),
];

/// `events.watch` arrives.
pub(crate) fn watch(
    world: &Rc<World>,
    access_token: &AccessToken,
    calendar: Option<&CalendarId>,
    id: &ChannelId,
    token: &ChannelToken,
) -> Result<OpenedChannel, WatchFailure> {
    let now = world.now();
    let connection = world.connection_of(id);
    actors::interfere(world, connection);
    if connection.is_none() {
        world.broke(Promise::OneLiveChannel, None, "a channel was asked for that no row ever named");
    }
    if let Some(connection) = connection {
        let live = world.ledger(connection, |ledger| {
            ledger.watches.push(now);
            ledger.renewals.iter().any(|renewal| renewal.channel == *id && renewal.live)
        });
        if live == Some(false) {
            world.broke(Promise::PausedMeansPaused, Some(connection), "a channel was asked for while paused");
        }
    }
    let excuse = |connection: Option<usize>| {
        if let Some(connection) = connection {
            let consent = world.row(connection).and_then(|row| world.consent_of(&row));
            world.ledger(connection, |ledger| ledger.excuses.extend(consent));
        }
    };
    // An access token that was refreshed for this very channel; an older one is worth a refresh.
    let is_fresh = || {
        let issued_at = world.google.borrow().access(access_token).map(|access| access.issued_at);
        let claimed_at = connection.and_then(|connection| {
            world.ledger(connection, |ledger| {
                ledger
                    .renewals
                    .iter()
                    .find(|renewal| renewal.channel == *id)
                    .map(|renewal| renewal.claimed_at)
            })?
        });
        issued_at > claimed_at
    };
    if world.happens(Fault::GoogleErrors) {
        let usual = world.favourite_failure.filter(|_| world.dice.chance(0.8));
        let failure = usual.or_else(|| world.dice.pick(FAILURES)).unwrap_or(WatchFailure::Unauthorized);
        match failure {
            WatchFailure::Unauthorized if is_fresh() => excuse(connection),
            WatchFailure::Refused(failure) if !failure.is_retryable() => excuse(connection),
            _ => {}
        }
        return Err(failure);
    }
    let broken = world.broken(connection);
    if broken == Some(Broken::WatchRefused) {
        return Err(WatchFailure::Refused(RenewalFailure::GoogleRejected));
    }
    let mut google = world.google.borrow_mut();
    let Some(account) = google.authenticate(access_token, now) else {
        drop(google);
        if is_fresh() {
            excuse(connection);
        }
        return Err(WatchFailure::Unauthorized);
    };
    if google.channel(id).is_some() {
        return Err(WatchFailure::ChannelIdNotUnique);
    }
    let lifetime = if world.happens(Fault::ShortChannels) {
        world.dice.between(30 * SECOND, 600 * SECOND)
    } else {
        // Google may grant less than it is asked for, at any time.
        world.dice.pick(&[30 * 24 * HOUR, 30 * 24 * HOUR, 8 * HOUR]).unwrap_or(HOUR).min(world.longest_grant)
    };
    let calendar = Calendar { account, second: calendar.is_some() };
    // Google tells milliseconds.
    let expires_at = (now + lifetime) / MILLISECOND * MILLISECOND;
    google.channels.push(Channel {
        id: id.clone(),
        token: token.clone(),
        calendar,
        connection,
        foreign: false,
        opened_at: now,
        expires_at,
        stopped_at: None,
        number: 1,
    });
    drop(google);
    world.trace(connection, || format!("Google opens channel {}", short(id)));
    let early = world.happens(Fault::EarlySync);
    let delay = if early { 0 } else { world.dice.mostly_low(50 * MILLISECOND, 5 * SECOND) };
    delivery::send_sync(world, id, token, calendar, delay);
    if broken == Some(Broken::WatchUnanswered) {
        return Err(WatchFailure::Doubtful(RenewalFailure::GoogleUnavailable));
    }
    Ok(OpenedChannel { resource_id: calendar.resource(), expiration: timestamp(expires_at) })
}

/// `channels.stop` arrives.
pub(crate) fn stop(
    world: &Rc<World>,
    access_token: &AccessToken,
    id: &ChannelId,
    resource: &ResourceId,
) -> Result<(), StopFailure> {
    let now = world.now();
    if world.happens(Fault::GoogleErrors) {
        return Err(StopFailure { status: world.dice.pick(&[401, 403, 429, 500, 503]) });
    }
    let mut google = world.google.borrow_mut();
    let Some(account) = google.authenticate(access_token, now) else {
        return Err(StopFailure { status: Some(401) });
    };
    let channel = google.channels.iter_mut().find(|channel| channel.id == *id && channel.is_live(now));
    // Unknown and expired channels are gone already.
    let Some(channel) = channel.filter(|channel| channel.calendar.resource() == *resource) else {
        return Ok(());
    };
    if channel.calendar.account != account {
        return Err(StopFailure { status: Some(403) });
    }
    channel.stopped_at = Some(now);
    let connection = channel.connection;
    drop(google);
    world.trace(connection, || format!("Google stops channel {}", short(id)));
    let row = connection.and_then(|connection| world.row(connection));
    if row.is_some_and(|row| [&row.webhook_id, &row.webhook_pending_id].contains(&&Some(id.clone()))) {
        let what = format!("channel {} was stopped while its row named it", short(id));
        world.broke(Promise::TheCurrentChannelIsNeverStopped, connection, what);
    }
    Ok(())
}

/// A refresh token arrives.
pub(crate) fn refresh(
    world: &Rc<World>,
    refresh_token: &RefreshToken,
) -> Result<RenewedToken, RenewalFailure> {
    actors::interfere(world, world.consenting(refresh_token));
    if world.happens(Fault::GoogleErrors) {
        let failures = [
            RenewalFailure::OauthClientInvalid,
            RenewalFailure::GoogleUnavailable,
            RenewalFailure::GoogleRateLimited,
            RenewalFailure::GoogleRejected,
        ];
        return Err(world.dice.pick(&failures).unwrap_or(RenewalFailure::GoogleUnavailable));
    }
    let mut google = world.google.borrow_mut();
    if google.is_revoked(refresh_token) {
        if let Some(grant) = google.grant_of(refresh_token).and_then(|grant| google.grants.get_mut(grant)) {
            grant.asked_in_vain.push(world.now());
        }
        return Err(RenewalFailure::ReconnectRequired);
    }
    let seconds = if world.happens(Fault::Tokens) { world.dice.between(30, 300) } else { 3600 };
    let access_token = google.issue(refresh_token, world.now(), world.now() + seconds * SECOND);
    // Not a fault: Google may do so at any time.
    let rotated = (world.has(Fault::Tokens) && world.dice.chance(0.2)).then(|| {
        let mut parts = refresh_token.expose().rsplitn(2, '-');
        let generation: u32 = parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
        RefreshToken::new(format!("{}-{}", parts.next().unwrap_or_default(), generation + 1))
    });
    Ok(RenewedToken {
        access_token,
        expires_in: Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
        refresh_token: rotated,
    })
}

/// An event in a calendar is created, changed or deleted.
pub(crate) fn change(world: &Rc<World>, calendar: Calendar) {
    let now = world.now();
    let mut google = world.google.borrow_mut();
    let mut told = Vec::new();
    for channel in google.channels.iter_mut().filter(|channel| channel.calendar == calendar) {
        // A few notifications may still follow a stop.
        let lingers = channel.stopped_at.is_some_and(|at| at + 5 * SECOND > now) && world.dice.chance(0.3);
        if channel.is_live(now) || lingers {
            channel.number += world.dice.between(1, 3);
            told.push((channel.id.clone(), channel.token.clone(), channel.number, channel.connection));
        }
    }
    let live: Vec<_> = google
        .channels
        .iter()
        .filter(|channel| channel.calendar == calendar && channel.is_live(now) && !channel.foreign)
        .filter_map(|channel| channel.connection)
        .collect();
    drop(google);
    let watching: Vec<bool> = {
        let rows: Vec<_> = world.ledgers.borrow().iter().map(|ledger| ledger.row.clone()).collect();
        rows.iter().map(|row| row.as_ref().and_then(|row| world.calendar_of(row)) == Some(calendar)).collect()
    };
    for (connection, watching) in watching.into_iter().enumerate() {
        let spoken_to = told.iter().any(|(.., whose)| *whose == Some(connection));
        if watching || spoken_to {
            let unseen = watching && !live.contains(&connection);
            world.ledger(connection, |ledger| {
                ledger.changes.push(Change { at: now, acknowledged: false, unseen });
            });
            world.trace(Some(connection), || {
                format!("calendar changes{}", if unseen { ", and no channel tells" } else { "" })
            });
        }
    }
    for (id, token, number, connection) in told {
        let change = connection.and_then(|connection| {
            let last = world.ledger(connection, |ledger| ledger.changes.len().checked_sub(1))??;
            Some((connection, last))
        });
        delivery::send_change(world, &id, &token, calendar, number, change);
    }
}

/// Every channel that a row names says again what it said last.
pub(crate) fn repeat(world: &Rc<World>) {
    let now = world.now();
    let last: Vec<_> = {
        let ledgers = world.ledgers.borrow();
        let rows = || ledgers.iter().filter_map(|ledger| ledger.row.as_ref());
        let google = world.google.borrow();
        let live = google.channels.iter().filter(|channel| channel.is_live(now) && !channel.foreign);
        // Not what was noted of a channel while it was being opened: its number is not counted yet.
        let heard = |row: &Connection, channel: &Channel| {
            row.webhook_id.as_ref() == Some(&channel.id) && row.webhook_message_number >= channel.number
        };
        let named = live.filter(|channel| rows().any(|row| heard(row, channel)));
        named
            .map(|channel| (channel.id.clone(), channel.token.clone(), channel.calendar, channel.number))
            .collect()
    };
    for (id, token, calendar, number) in last {
        delivery::send_change(world, &id, &token, calendar, number, None);
    }
}

/// Enough of an id to tell it from others.
pub(crate) fn short(id: &ChannelId) -> &str {
    id.as_str().get(..6).unwrap_or(id.as_str())
}
