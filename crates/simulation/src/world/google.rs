//! Google's side of the matter: grants, access tokens and channels.

use std::collections::{BTreeMap, BTreeSet};

use protocol::connection::{AccessToken, ChannelId, ChannelToken, RefreshToken};
use protocol::failure::{Refused, RenewalFailure, WatchFailure};
use protocol::look::LookFailure;

use crate::subject::{Calendar, Channel};
use crate::time::{Instant, MINUTE};
use crate::world::contents::Contents;

#[derive(Default)]
pub(crate) struct Google {
    grants: Vec<Grant>,
    access_tokens: Vec<Access>,
    pub(crate) open: Vec<Open>,
    calendars: BTreeMap<Calendar, Contents>,
    /// Deleted, or hidden from their users.
    gone: BTreeSet<Calendar>,
}

/// A user's consent.
struct Grant {
    account: usize,
    revoked: bool,
}

struct Access {
    grant: usize,
    issued_at: Instant,
    expires_at: Instant,
}

/// A channel that was opened, with what it needs to speak.
pub(crate) struct Open {
    pub(crate) channel: Channel,
    pub(crate) token: ChannelToken,
    pub(crate) number: i64,
}

/// How `events.watch` fails, as documented; silence included.
pub(crate) const FAILURES: &[WatchFailure] = &[
    WatchFailure::ChannelIdNotUnique,
    UNAUTHORIZED,
    refused(RenewalFailure::GoogleRateLimited),
    refused(RenewalFailure::GoogleRejected),
    refused(RenewalFailure::WebhookUrlRejected),
    refused(RenewalFailure::GoogleApiDisabled),
    refused(RenewalFailure::PushNotSupported),
    refused(RenewalFailure::CalendarNotFound),
    refused(RenewalFailure::NoCalendar),
    refused(RenewalFailure::ReconnectRequired),
    refused(RenewalFailure::PermissionMissing),
    refused(RenewalFailure::BlockedByPolicy),
    UNAVAILABLE,
    UNAVAILABLE,
    WatchFailure::Unusable(Refused::new(RenewalFailure::GoogleRejected)),
];

/// How `events.list` fails, besides a 401 and silence.
pub(crate) const LOOK_FAILURES: &[LookFailure] = &[
    refused_look(RenewalFailure::GoogleRateLimited),
    refused_look(RenewalFailure::GoogleUnavailable),
    refused_look(RenewalFailure::GoogleUnavailable),
    refused_look(RenewalFailure::GoogleRejected),
    refused_look(RenewalFailure::GoogleApiDisabled),
    refused_look(RenewalFailure::CalendarNotFound),
    refused_look(RenewalFailure::PermissionMissing),
    LookFailure::TooLarge,
    LookFailure::TooLarge,
    LookFailure::Doubtful,
    LookFailure::Doubtful,
];

pub(crate) const fn refused_look(failure: RenewalFailure) -> LookFailure {
    LookFailure::Refused(Refused::new(failure))
}

pub(crate) const UNAUTHORIZED: WatchFailure =
    WatchFailure::Unauthorized(Refused::new(RenewalFailure::ReconnectRequired));
pub(crate) const UNAUTHORIZED_LOOK: LookFailure =
    LookFailure::Unauthorized(Refused::new(RenewalFailure::ReconnectRequired));
pub(crate) const UNAVAILABLE: WatchFailure =
    WatchFailure::Doubtful(Refused::new(RenewalFailure::GoogleUnavailable));

pub(crate) const fn refused(failure: RenewalFailure) -> WatchFailure {
    WatchFailure::Refused(Refused::new(failure))
}

impl Google {
    /// A fresh consent; its refresh token.
    pub(crate) fn grant(&mut self, account: usize) -> RefreshToken {
        self.grants.push(Grant { account, revoked: false });
        RefreshToken::new(format!("refresh-{}-0", self.grants.len() - 1))
    }

    /// The grant's next refresh token; the ones before go on, too.
    pub(crate) fn rotated(refresh_token: &RefreshToken) -> RefreshToken {
        let mut parts = refresh_token.expose().rsplitn(2, '-');
        let generation: u32 = parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
        RefreshToken::new(format!("{}-{}", parts.next().unwrap_or_default(), generation + 1))
    }

    fn grant_of(&self, refresh_token: &RefreshToken) -> Option<usize> {
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
        let number: usize = access_token.expose().strip_prefix("access-")?.parse().ok()?;
        self.access_tokens.get(number)
    }

    /// Whether a token was issued a moment ago: Google does not refuse it for nothing.
    pub(crate) fn is_fresh(&self, access_token: &AccessToken, now: Instant) -> bool {
        self.access(access_token).is_some_and(|access| now - access.issued_at < MINUTE)
    }

    /// Whose token it is, or was.
    pub(crate) fn account_with(&self, access_token: &AccessToken) -> Option<usize> {
        Some(self.grants.get(self.access(access_token)?.grant)?.account)
    }

    /// Whose token it is, if it is good.
    pub(crate) fn authenticate(&self, access_token: &AccessToken, now: Instant) -> Option<usize> {
        let access = self.access(access_token).filter(|access| access.expires_at > now)?;
        let grant = self.grants.get(access.grant).filter(|grant| !grant.revoked)?;
        Some(grant.account)
    }

    pub(crate) fn knows(&self, id: &ChannelId) -> bool {
        self.open.iter().any(|open| open.channel.id == *id)
    }

    pub(crate) fn live(&mut self, id: &ChannelId, now: Instant) -> Option<&mut Channel> {
        let live = |channel: &&mut Channel| channel.id == *id && channel.is_live(now);
        self.open.iter_mut().map(|open| &mut open.channel).find(live)
    }

    pub(crate) fn contents(&mut self, calendar: Calendar) -> &mut Contents {
        self.calendars.entry(calendar).or_default()
    }

    pub(crate) fn is_gone(&self, calendar: Calendar) -> bool {
        self.gone.contains(&calendar)
    }

    pub(crate) fn delete(&mut self, calendar: Calendar) {
        self.gone.insert(calendar);
    }

    pub(crate) fn forget(&mut self, id: &ChannelId, now: Instant) {
        if let Some(channel) = self.live(id, now) {
            channel.stopped_at = Some(now - MINUTE);
        }
    }

    pub(crate) fn of_calendar(&mut self, calendar: Calendar) -> impl Iterator<Item = &mut Open> {
        self.open.iter_mut().filter(move |open| open.channel.calendar == calendar)
    }
}
