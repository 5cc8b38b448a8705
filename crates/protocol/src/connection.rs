//! A row of `calendar_connections` and the names in it.

use std::cell::Cell;
use std::fmt;

use chrono::{DateTime, TimeDelta};
use uuid::Uuid;

use crate::Timestamp;
use crate::failure::{Mender, RenewalFailure};
use crate::look::Seen;
use crate::table::{Column, Value};

/// A newtype over a string that is safe to print.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&$name> for Value {
            fn from(name: &$name) -> Self {
                Self::Text(name.0.clone())
            }
        }
    };
}

/// A newtype over a string that must not appear in a log or an answer.
macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[redacted]")
            }
        }

        impl From<&$name> for Value {
            fn from(secret: &$name) -> Self {
                Self::Secret(secret.0.clone())
            }
        }
    };
}

/// A newtype over a UUID.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$name> for Value {
            fn from(id: $name) -> Self {
                Self::Uuid(id.0)
            }
        }
    };
}

name! {
    /// The id of a channel, chosen by the opener: 1 to 64 of `[A-Za-z0-9\-_+/=]`, never used twice
    /// (Calendar API guide, "Push notifications").
    ChannelId
}
name! {
    /// Google's opaque id of the watched resource; the same for every channel on one calendar.
    ResourceId
}
name! {
    /// Hex SHA-256 of a channel token: what the receiver looks a connection up by.
    TokenHash
}
name! {
    /// Hex digest of refresh token and calendar: with whose consent and on which calendar a channel was opened.
    Source
}
name! {
    /// A calendar's id, mostly an e-mail address: never logged.
    CalendarId
}
secret! {
    /// The secret of a connection, sent as channel token by every channel it opens.
    ChannelToken
}
secret! {
    /// An OAuth access token.
    AccessToken
}
secret! {
    /// An OAuth refresh token.
    RefreshToken
}

id! {
    ConnectionId
}
id! {
    UserId
}
id! {
    /// The id of a sync request ("this user needs a recalculation"): a UUIDv7, whose time is when it arose.
    RequestId
}

impl RequestId {
    /// A fresh request that arises at `now`; one per row, never shared.
    pub fn fresh(now: Timestamp, random: u128) -> Self {
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        let [_, _, _, _, _, _, random @ ..] = random.to_be_bytes();
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// When the request arose, to the millisecond; none when somebody else's code wrote another kind of UUID.
    pub fn arose_at(self) -> Option<Timestamp> {
        if self.0.get_version_num() != 7 {
            return None;
        }
        let millis = u64::try_from(self.0.as_u128() >> 80).ok()?;
        DateTime::from_timestamp_millis(i64::try_from(millis).ok()?)
    }
}

/// A row of `calendar_connections`, as the protocol reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    pub id: ConnectionId,
    pub user_id: Option<UserId>,
    pub access_token: Option<AccessToken>,
    pub refresh_token: Option<RefreshToken>,
    /// When the access token expires; `None` = not known.
    pub expires_at: Option<Timestamp>,
    /// `None` = the account's primary calendar.
    pub calendar_id: Option<CalendarId>,
    pub is_active: bool,
    pub sync_enabled: bool,
    pub webhook_id: Option<ChannelId>,
    pub webhook_expiration: Option<Timestamp>,
    pub webhook_token: ChannelToken,
    pub webhook_source: Source,
    pub webhook_resource_id: Option<ResourceId>,
    pub webhook_pending_id: Option<ChannelId>,
    pub webhook_opened_at: Timestamp,
    pub webhook_confirmed_id: Option<ChannelId>,
    pub webhook_message_number: i64,
    pub webhook_lease_until: Timestamp,
    pub webhook_not_before: Timestamp,
    pub webhook_attempts: i64,
    pub webhook_error: Option<String>,
    pub sync_request_id: Option<RequestId>,
    pub sync_lease_until: Timestamp,
    pub sync_not_before: Timestamp,
    pub sync_attempts: i64,
    pub sync_streak: i64,
    /// See [`Self::seen`].
    pub sync_seen: Option<String>,
    pub sync_look_at: Timestamp,
    pub last_sync_at: Option<Timestamp>,
}

/// What was kept of a deleted connection that had a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Farewell {
    pub id: i64,
    pub connection: ConnectionId,
    pub deleted_at: Timestamp,
    /// When it is due; its exact value is what a claim asks for.
    pub not_before: Timestamp,
    /// The current one, and one that was being opened.
    pub channels: Vec<ChannelId>,
    /// Without it nothing can be stopped.
    pub resource_id: Option<ResourceId>,
    pub access_token: Option<AccessToken>,
    pub refresh_token: Option<RefreshToken>,
    pub expires_at: Option<Timestamp>,
}

/// A row that is not what the migration makes of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnreadableRow {
    pub id: Option<ConnectionId>,
    /// The first column whose value makes no sense.
    pub column: Column,
}

impl Connection {
    /// Reads a row. Lenient where a host's data may be odd (a null is the column's default), so that one odd row can
    /// still be claimed and backed off like any other.
    ///
    /// `value` is none where what the database sent is no value of the column's type.
    pub fn from_row(value: &dyn Fn(Column) -> Option<Value>) -> Result<Self, UnreadableRow> {
        let Some(Value::Uuid(id)) = value(Column::Id) else {
            return Err(UnreadableRow { id: None, column: Column::Id });
        };
        let id = ConnectionId(id);
        let row = Reader { value, odd: Cell::new(None) };
        let connection = Self {
            id,
            user_id: row.uuid(Column::UserId).map(UserId),
            access_token: row.token(Column::AccessToken).map(AccessToken),
            refresh_token: row.token(Column::RefreshToken).map(RefreshToken),
            expires_at: row.time(Column::ExpiresAt),
            calendar_id: row.text(Column::CalendarId).map(CalendarId),
            is_active: row.boolean(Column::IsActive).unwrap_or(false),
            sync_enabled: row.boolean(Column::SyncEnabled).unwrap_or(true),
            webhook_id: row.text(Column::WebhookId).map(ChannelId),
            webhook_expiration: row.time(Column::WebhookExpiration),
            webhook_token: ChannelToken(row.text(Column::WebhookToken).unwrap_or_default()),
            webhook_source: Source(row.text(Column::WebhookSource).unwrap_or_default()),
            webhook_resource_id: row.text(Column::WebhookResourceId).map(ResourceId),
            webhook_pending_id: row.text(Column::WebhookPendingId).map(ChannelId),
            webhook_opened_at: row.time(Column::WebhookOpenedAt).unwrap_or_default(),
            webhook_confirmed_id: row.text(Column::WebhookConfirmedId).map(ChannelId),
            webhook_message_number: row.integer(Column::WebhookMessageNumber),
            webhook_lease_until: row.time(Column::WebhookLeaseUntil).unwrap_or_default(),
            webhook_not_before: row.time(Column::WebhookNotBefore).unwrap_or_default(),
            webhook_attempts: row.integer(Column::WebhookAttempts),
            webhook_error: row.text(Column::WebhookError),
            sync_request_id: row.uuid(Column::SyncRequestId).map(RequestId),
            sync_lease_until: row.time(Column::SyncLeaseUntil).unwrap_or_default(),
            sync_not_before: row.time(Column::SyncNotBefore).unwrap_or_default(),
            sync_attempts: row.integer(Column::SyncAttempts),
            sync_streak: row.integer(Column::SyncStreak),
            sync_seen: row.text(Column::SyncSeen),
            sync_look_at: row.time(Column::SyncLookAt).unwrap_or_default(),
            last_sync_at: row.time(Column::LastSyncAt),
        };
        match row.odd.get() {
            None => Ok(connection),
            Some(column) => Err(UnreadableRow { id: Some(id), column }),
        }
    }

    /// Whether the connection takes part: neither paused nor disconnected.
    pub fn is_live(&self) -> bool {
        self.is_active && self.sync_enabled
    }

    /// Whether its channel needs nothing: opened by us, unexpired, without trouble, and not due for renewal. What a
    /// look was refused is no trouble of the channel's.
    pub fn is_well(&self, now: Timestamp) -> bool {
        self.is_live()
            && self.webhook_id.is_some()
            && self.webhook_opened_at > Timestamp::default()
            && self.webhook_expiration.is_some_and(|expiration| expiration > now)
            && self.webhook_attempts == 0
            && self.dead_consent().is_none()
            && self.webhook_not_before > now
    }

    /// Why Google refuses this connection whatever is asked for, as far as is known.
    pub fn dead_consent(&self) -> Option<RenewalFailure> {
        let failure = self.webhook_error.as_deref().and_then(RenewalFailure::parse)?;
        failure.is_consent_dead().then_some(failure)
    }

    /// Why Google gives no access token, as far as is known. Of the operator's client a live row tells it until a
    /// renewal or a look finds it mended, and a paused one, which has neither, until `webhook_not_before`.
    pub(crate) fn token_refusal(&self, now: Timestamp) -> Option<RenewalFailure> {
        let failure = self.webhook_error.as_deref().and_then(RenewalFailure::parse)?;
        let is_known = self.is_live() || self.webhook_not_before > now;
        let is_of_client = failure == RenewalFailure::OauthClientInvalid;
        (failure.is_consent_dead() || is_of_client && is_known).then_some(failure)
    }

    /// The row's error, if a person must mend it. One that passes by itself does not replace it: nobody would see any more
    /// who has to act.
    pub(crate) fn error_for_a_person(&self) -> Option<RenewalFailure> {
        let failure = self.webhook_error.as_deref().and_then(RenewalFailure::parse)?;
        (failure.mender() != Mender::Nobody).then_some(failure)
    }

    /// Why Google does not let the calendar be read, as a look or a run told: a renewal that fails leaves attempts
    /// behind. The channel is none the worse for it, so not another channel takes it back, but a look that succeeds.
    pub fn look_error(&self) -> Option<&str> {
        let is_of_look = self.webhook_id.is_some() && self.webhook_attempts == 0;
        self.webhook_error.as_deref().filter(|_| is_of_look)
    }

    /// Whether Google's notifications can be relied on: the channel is unexpired, and has been heard of.
    pub fn hears_of_changes(&self, now: Timestamp) -> bool {
        self.webhook_id.is_some()
            && self.webhook_expiration.is_some_and(|expiration| expiration > now)
            && (self.webhook_confirmed_id == self.webhook_id || self.webhook_message_number > 0)
    }

    /// What the last successful run found, if a look told.
    pub fn seen(&self) -> Option<Seen> {
        self.sync_seen.as_deref().and_then(Seen::parse)
    }

    /// Takes over the consent of the same row, as it stands in the database now.
    pub(crate) fn adopt_consent(&mut self, stored: Self) {
        self.access_token = stored.access_token;
        self.refresh_token = stored.refresh_token;
        self.expires_at = stored.expires_at;
        self.webhook_source = stored.webhook_source;
    }

    /// The access token, if it is known to be good for at least `margin` more.
    pub fn access_token_for(&self, now: Timestamp, margin: TimeDelta) -> Option<&AccessToken> {
        self.access_token
            .as_ref()
            .filter(|token| is_good(token, self.expires_at, self.refresh_token.as_ref(), now, margin))
    }
}

impl Farewell {
    /// As [`Connection::access_token_for`].
    pub(crate) fn access_token_for(&self, now: Timestamp, margin: TimeDelta) -> Option<&AccessToken> {
        self.access_token
            .as_ref()
            .filter(|token| is_good(token, self.expires_at, self.refresh_token.as_ref(), now, margin))
    }
}

/// Whether an access token is good for at least `margin` more. One whose expiry is unknown or past belief, or that no
/// request could be made with, counts only where nothing could renew it.
fn is_good(
    access_token: &AccessToken,
    expires_at: Option<Timestamp>,
    refresh_token: Option<&RefreshToken>,
    now: Timestamp,
    margin: TimeDelta,
) -> bool {
    let token = access_token.expose();
    let is_usable = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    // Google grants an hour or two, whatever stands there.
    let is_known = |left: &TimeDelta| *left <= TimeDelta::days(1) || refresh_token.is_none();
    match expires_at.map(|expires_at| expires_at.signed_duration_since(now)).filter(is_known) {
        Some(left) => left >= margin && (is_usable || refresh_token.is_none()),
        None => refresh_token.is_none(),
    }
}

/// Reads single values of a row, and remembers the first column whose value is not of its type.
struct Reader<'a> {
    value: &'a dyn Fn(Column) -> Option<Value>,
    odd: Cell<Option<Column>>,
}

impl Reader<'_> {
    fn text(&self, column: Column) -> Option<String> {
        match (self.value)(column) {
            Some(Value::Text(text) | Value::Secret(text)) => Some(text),
            other => self.null(column, other),
        }
    }

    /// An empty token is none.
    fn token(&self, column: Column) -> Option<String> {
        self.text(column).filter(|token| !token.trim().is_empty())
    }

    fn time(&self, column: Column) -> Option<Timestamp> {
        match (self.value)(column) {
            Some(Value::Time(time)) => Some(time),
            other => self.null(column, other),
        }
    }

    fn integer(&self, column: Column) -> i64 {
        match (self.value)(column) {
            Some(Value::Integer(integer)) => integer,
            other => self.null(column, other).unwrap_or(0),
        }
    }

    fn uuid(&self, column: Column) -> Option<Uuid> {
        match (self.value)(column) {
            Some(Value::Uuid(uuid)) => Some(uuid),
            other => self.null(column, other),
        }
    }

    fn boolean(&self, column: Column) -> Option<bool> {
        match (self.value)(column) {
            Some(Value::Boolean(boolean)) => Some(boolean),
            other => self.null(column, other),
        }
    }

    fn null<T>(&self, column: Column, value: Option<Value>) -> Option<T> {
        if value != Some(Value::Null) && self.odd.get().is_none() {
            self.odd.set(Some(column));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_request_id_tells_when_it_arose() {
        let now = DateTime::from_timestamp_millis(1_795_363_342_442).unwrap();
        let request = RequestId::fresh(now, u128::MAX);
        assert_eq!(request.0.get_version_num(), 7);
        assert_eq!(request.arose_at(), Some(now));
    }

    #[test]
    fn a_request_id_of_another_kind_tells_nothing() {
        assert_eq!(RequestId(Uuid::from_u128(0x1234_5678_9abc_4def_8123_4567_89ab_cdef)).arose_at(), None);
    }

    #[test]
    fn a_connection_is_made_of_the_columns_that_are_read() {
        let asked = RefCell::new(BTreeSet::new());
        let row = Connection::from_row(&|column| {
            asked.borrow_mut().insert(column);
            Some(if column == Column::Id { Value::Uuid(Uuid::nil()) } else { Value::Null })
        });
        assert!(row.is_ok());
        assert_eq!(asked.into_inner(), BTreeSet::from_iter(Column::READ.iter().copied()));
    }

    #[test]
    fn an_access_token_that_no_request_takes_is_renewed_where_it_can_be() {
        let (now, refresh_token) = (Timestamp::UNIX_EPOCH, RefreshToken::new("1//refresh"));
        let expires_at = Some(now + TimeDelta::hours(1));
        for (token, is_plain) in
            [("ya29.good", true), ("ya29.good\n", false), ("ya29 good", false), ("ya29.gööd", false)]
        {
            let is_good = |refresh_token| {
                is_good(&AccessToken::new(token), expires_at, refresh_token, now, TimeDelta::minutes(5))
            };
            assert_eq!((is_good(Some(&refresh_token)), is_good(None)), (is_plain, true), "{token:?}");
        }
    }

    #[test]
    fn a_secret_does_not_print_itself() {
        assert_eq!(format!("{:?}", AccessToken::new("ya29.secret")), "[redacted]");
    }
}
