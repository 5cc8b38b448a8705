//! Conditional updates of one row as plain data: what the protocol asks of the database. The PostgREST adapter
//! turns them into requests, the in-memory table applies them.

use std::fmt;

use uuid::Uuid;

use crate::Timestamp;
use crate::connection::ConnectionId;
use crate::transition::Transition;

macro_rules! columns {
    ($($variant:ident $name:literal $kind:ident,)*) => {
        /// A column of `calendar_connections`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Column { $($variant,)* }

        impl Column {
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            pub const fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)* }
            }
        }
    };
}

columns! {
    Id "id" Uuid,
    UserId "user_id" Uuid,
    Provider "provider" Text,
    AccessToken "access_token" Text,
    RefreshToken "refresh_token" Text,
    ExpiresAt "expires_at" Time,
    CalendarId "calendar_id" Text,
    IsActive "is_active" Boolean,
    CreatedAt "created_at" Time,
    SyncEnabled "sync_enabled" Boolean,
    LastSyncAt "last_sync_at" Time,
    WebhookId "webhook_id" Text,
    WebhookExpiration "webhook_expiration" Time,
    WebhookToken "webhook_token" Text,
    WebhookTokenHash "webhook_token_hash" Text,
    WebhookSource "webhook_source" Text,
    WebhookResourceId "webhook_resource_id" Text,
    WebhookPendingId "webhook_pending_id" Text,
    WebhookOpenedAt "webhook_opened_at" Time,
    WebhookConfirmedId "webhook_confirmed_id" Text,
    WebhookMessageNumber "webhook_message_number" Integer,
    WebhookLeaseUntil "webhook_lease_until" Time,
    WebhookNotBefore "webhook_not_before" Time,
    WebhookAttempts "webhook_attempts" Integer,
    WebhookError "webhook_error" Text,
    SyncRequestId "sync_request_id" Uuid,
    SyncLeaseUntil "sync_lease_until" Time,
    SyncNotBefore "sync_not_before" Time,
    SyncAttempts "sync_attempts" Integer,
    SyncStreak "sync_streak" Integer,
    SyncError "sync_error" Text,
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    Integer,
    Text,
    Time,
    Uuid,
}

/// A value of a column.
#[derive(Clone, PartialEq)]
pub enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Text(String),
    /// Text that is not to be printed.
    Secret(String),
    Time(Timestamp),
    Uuid(Uuid),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
            Self::Secret(_) => f.write_str("[redacted]"),
            Self::Time(value) => value.fmt(f),
            Self::Uuid(value) => value.fmt(f),
        }
    }
}

macro_rules! value_from {
    ($($type:ty => |$value:ident| $make:expr,)*) => {
        $(impl From<$type> for Value {
            fn from($value: $type) -> Self {
                $make
            }
        })*
    };
}

value_from! {
    i64 => |value| Self::Integer(value),
    &str => |value| Self::Text(value.to_owned()),
    Timestamp => |value| Self::Time(value),
    crate::connection::ConnectionId => |value| Self::Uuid(value.0),
    crate::connection::UserId => |value| Self::Uuid(value.0),
    crate::connection::RequestId => |value| Self::Uuid(value.0),
    &crate::connection::ChannelId => |value| Self::Text(value.as_str().to_owned()),
    &crate::connection::ResourceId => |value| Self::Text(value.as_str().to_owned()),
    &crate::connection::TokenHash => |value| Self::Text(value.as_str().to_owned()),
    &crate::connection::Source => |value| Self::Text(value.as_str().to_owned()),
    &crate::connection::AccessToken => |value| Self::Secret(value.expose().to_owned()),
    &crate::connection::RefreshToken => |value| Self::Secret(value.expose().to_owned()),
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One condition on one column; PostgREST's operator of the same name.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Equal; nothing equals null.
    Eq(Column, Value),
    /// Not equal, where null is a value like any other.
    IsDistinct(Column, Value),
    Lt(Column, Value),
    Lte(Column, Value),
    IsNull(Column),
    NotNull(Column),
    IsTrue(Column),
    NotTrue(Column),
    IsFalse(Column),
    NotFalse(Column),
}

/// A conditional update of the one row that meets every filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// Which step it is.
    pub transition: Transition,
    pub filters: Vec<Filter>,
    pub set: Vec<(Column, Value)>,
}

impl Update {
    /// Starts an update of the row with this id.
    pub fn of(transition: Transition, id: ConnectionId) -> Self {
        Self::matching(transition, Filter::Eq(Column::Id, id.into()))
    }

    /// Starts an update of the row that meets `filter`, which must name a unique value.
    pub fn matching(transition: Transition, filter: Filter) -> Self {
        Self { transition, filters: vec![filter], set: Vec::new() }
    }

    pub fn when(mut self, filter: Filter) -> Self {
        self.filters.push(filter);
        self
    }

    pub fn when_eq(self, column: Column, value: impl Into<Value>) -> Self {
        self.when(Filter::Eq(column, value.into()))
    }

    /// Only where the column holds this value, null included.
    pub fn when_still(self, column: Column, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.when_eq(column, value),
            None => self.when(Filter::IsNull(column)),
        }
    }

    pub fn when_live(mut self) -> Self {
        self.filters.extend(live());
        self
    }

    pub fn set(mut self, column: Column, value: impl Into<Value>) -> Self {
        self.set.push((column, value.into()));
        self
    }

    pub fn set_null(mut self, column: Column) -> Self {
        self.set.push((column, Value::Null));
        self
    }

    /// Sets a time to PostgreSQL's `epoch`, the "never" of every lease and date.
    pub fn set_epoch(self, column: Column) -> Self {
        self.set(column, Timestamp::default())
    }
}

/// A read of at most `limit` rows that meet every filter.
///
/// There is no `or=`: on an update, PostgREST 10.0 to 14.3 applies it again to the rows it returns (PostgREST#3707), so
/// that an update that took place looks as if it had not; in reads, lite overlooks its negations.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub filters: Vec<Filter>,
    /// Ascending, nulls first.
    pub order: Column,
    pub limit: usize,
}

impl Query {
    /// The row with this id.
    pub fn by_id(id: ConnectionId) -> Self {
        Self { filters: vec![Filter::Eq(Column::Id, id.into())], order: Column::Id, limit: 1 }
    }
}

/// Provider Google, neither paused nor disconnected; nulls as everywhere: inactive, enabled.
pub fn live() -> [Filter; 3] {
    [google(), Filter::IsTrue(Column::IsActive), Filter::NotFalse(Column::SyncEnabled)]
}

/// Rows of other providers are none of our business.
pub fn google() -> Filter {
    Filter::Eq(Column::Provider, "google".into())
}
