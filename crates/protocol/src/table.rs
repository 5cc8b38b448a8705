//! The columns of `calendar_connections`, their values, and conditions on them, as plain data. The PostgREST adapter
//! turns them into requests, the in-memory table applies them.

use std::fmt;

use uuid::Uuid;

use crate::Timestamp;

macro_rules! columns {
    ($($variant:ident $name:literal $type:ident,)*) => {
        /// A column of `calendar_connections`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Column { $($variant,)* }

        impl Column {
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            pub const fn data_type(self) -> DataType {
                match self { $(Self::$variant => DataType::$type,)* }
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
pub enum DataType {
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

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<Timestamp> for Value {
    fn from(value: Timestamp) -> Self {
        Self::Time(value)
    }
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
    pub fn by_id(id: impl Into<Value>) -> Self {
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
