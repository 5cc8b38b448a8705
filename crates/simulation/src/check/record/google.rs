//! What Google knows: grants, access tokens and channels.

use std::collections::BTreeMap;

use protocol::connection::{AccessToken, ChannelId, Connection, RefreshToken};
use protocol::failure::RenewalFailure;

use crate::fact::Fact;
use crate::subject::{Calendar, Channel, Plans};
use crate::time::{Instant, micros};

#[derive(Default)]
pub(in crate::check) struct KnownGoogle {
    grants: Vec<KnownGrant>,
    /// Which grant a refresh token is of; it may rotate.
    refresh_tokens: BTreeMap<String, usize>,
    access_tokens: BTreeMap<String, KnownAccess>,
    pub(in crate::check) channels: Vec<Channel>,
    /// What is planned in calendars that were changed.
    plans: BTreeMap<Calendar, Plans>,
    gone: Vec<Calendar>,
}

/// A user's consent.
struct KnownGrant {
    account: usize,
    revoked: bool,
    /// When it was asked for an access token since.
    asked_in_vain: Vec<Instant>,
}

#[derive(Clone, Copy)]
pub(in crate::check) struct KnownAccess {
    pub(in crate::check) grant: usize,
    pub(in crate::check) issued_at: Instant,
    pub(in crate::check) expires_at: Instant,
}

/// A grant, however often its refresh token rotates, and one of its account's calendars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::check) struct Consent {
    grant: usize,
    /// Not the primary one.
    second: bool,
}

impl KnownGoogle {
    pub(in crate::check) fn grant_of(&self, refresh_token: &RefreshToken) -> Option<usize> {
        self.refresh_tokens.get(refresh_token.expose()).copied()
    }

    fn grant(&self, refresh_token: &RefreshToken) -> Option<&KnownGrant> {
        self.grants.get(self.grant_of(refresh_token)?)
    }

    pub(in crate::check) fn account_of(&self, row: &Connection) -> Option<usize> {
        Some(self.grant(row.refresh_token.as_ref()?)?.account)
    }

    /// The calendar that a row is about.
    pub(in crate::check) fn calendar_of(&self, row: &Connection) -> Option<Calendar> {
        Some(Calendar { account: self.account_of(row)?, second: row.calendar_id.is_some() })
    }

    pub(in crate::check) fn consent_of(&self, row: &Connection) -> Option<Consent> {
        let grant = self.grant_of(row.refresh_token.as_ref()?)?;
        Some(Consent { grant, second: row.calendar_id.is_some() })
    }

    pub(in crate::check) fn is_usable(&self, row: &Connection) -> bool {
        let grant = row.refresh_token.as_ref().and_then(|token| self.grant(token));
        grant.is_some_and(|grant| !grant.revoked)
    }

    /// Whether there is a consent, and a calendar.
    pub(in crate::check) fn is_readable(&self, row: &Connection) -> bool {
        self.is_usable(row) && self.calendar_of(row).is_some_and(|calendar| !self.is_gone(calendar))
    }

    /// When a revoked consent was asked for an access token.
    pub(in crate::check) fn asked_in_vain(&self, row: &Connection) -> &[Instant] {
        let grant = row.refresh_token.as_ref().and_then(|token| self.grant(token));
        grant.map_or(&[], |grant| &grant.asked_in_vain)
    }

    pub(in crate::check) fn access(&self, access_token: &AccessToken) -> Option<KnownAccess> {
        self.access_tokens.get(access_token.expose()).copied()
    }

    pub(in crate::check) fn plans(&self, calendar: Calendar) -> Plans {
        self.plans.get(&calendar).copied().unwrap_or_default()
    }

    pub(in crate::check) fn is_gone(&self, calendar: Calendar) -> bool {
        self.gone.contains(&calendar)
    }

    pub(in crate::check) fn channel(&self, id: &ChannelId) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.id == *id)
    }

    pub(super) fn take(&mut self, at: Instant, fact: &Fact<'_>) {
        match fact {
            Fact::Granted { account, refresh_token, access_token, expires_at } => {
                let grant = self.grants.len();
                self.grants.push(KnownGrant { account: *account, revoked: false, asked_in_vain: Vec::new() });
                self.refresh_tokens.insert(refresh_token.expose().to_owned(), grant);
                let access = KnownAccess { grant, issued_at: at, expires_at: *expires_at };
                self.access_tokens.insert(access_token.expose().to_owned(), access);
            }
            Fact::Revoked { refresh_token, .. } => {
                let grant = self.grant_of(refresh_token);
                if let Some(grant) = grant.and_then(|grant| self.grants.get_mut(grant)) {
                    grant.revoked = true;
                }
            }
            Fact::TokenRequestArrived { refresh_token, answer } => {
                let Some(grant) = self.grant_of(refresh_token) else { return };
                match answer {
                    Ok(renewed) => {
                        let expires_at = at + micros(renewed.expires_in);
                        let access = KnownAccess { grant, issued_at: at, expires_at };
                        self.access_tokens.insert(renewed.access_token.expose().to_owned(), access);
                        let rotated = renewed.refresh_token.as_ref();
                        self.refresh_tokens.extend(rotated.map(|token| (token.expose().to_owned(), grant)));
                    }
                    Err(refused) if refused.failure == RenewalFailure::ReconnectRequired => {
                        if let Some(grant) = self.grants.get_mut(grant) {
                            grant.asked_in_vain.push(at);
                        }
                    }
                    Err(_) => {}
                }
            }
            Fact::Planned { calendar, plans } => {
                self.plans.insert(*calendar, *plans);
            }
            Fact::ChannelOpened(channel) => self.channels.push((*channel).clone()),
            Fact::CalendarGone { calendar, .. } => self.gone.push(*calendar),
            Fact::ChannelStopped { channel: id, .. } | Fact::ChannelForgotten { channel: id, .. } => {
                let live = |channel: &&mut Channel| channel.id == **id && channel.is_live(at);
                if let Some(channel) = self.channels.iter_mut().find(live) {
                    channel.stopped_at = Some(at);
                }
            }
            _ => {}
        }
    }
}
