//! The columns of `calendar_connections`, their values, and conditions on them, as plain data. The PostgREST adapter
//! turns them into requests, the in-memory table applies them.

use std::fmt;

use uuid::Uuid;

use crate::Timestamp;

macro_rules! columns {
    ($($variant:ident $name:literal $type:ident $owner:ident $($read:ident)?,)*) => {
        /// A column of `calendar_connections`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Column { $($variant,)* }

        impl Column {
            /// In the order of the migration.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// What every read and every update returns of a row, and nothing that a host or a user keeps beside it, of
            /// whatever size.
            pub const READ: &[Self] = &[$($(Self::$variant.$read(),)?)*];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            pub const fn data_type(self) -> DataType {
                match self { $(Self::$variant => DataType::$type,)* }
            }

            pub const fn owner(self) -> Owner {
                match self { $(Self::$variant => Owner::$owner,)* }
            }

            /// The word `read` below: a column without it is not in [`Self::READ`].
            const fn read(self) -> Self {
                self
            }
        }
    };
}

// Its name, type and owner, and whether a `Connection` is read from it. The migration, the doctor and the adapter are
// held to it.
columns! {
    Id "id" Uuid Host read,
    UserId "user_id" Uuid Host read,
    Provider "provider" Word Host,
    AccessToken "access_token" Text Host read,
    RefreshToken "refresh_token" Text Host read,
    ExpiresAt "expires_at" Time Host read,
    CalendarId "calendar_id" Text Host read,
    IsActive "is_active" Boolean Host read,
    CreatedAt "created_at" Time Host,
    WebhookId "webhook_id" Text Shared read,
    WebhookExpiration "webhook_expiration" Time Shared read,
    SyncEnabled "sync_enabled" Boolean Shared read,
    LastSyncAt "last_sync_at" Time Shared read,
    WebhookToken "webhook_token" Text Ours read,
    WebhookTokenHash "webhook_token_hash" Text Ours,
    WebhookSource "webhook_source" Text Ours read,
    WebhookResourceId "webhook_resource_id" Text Shared read,
    WebhookPendingId "webhook_pending_id" Text Shared read,
    WebhookOpenedAt "webhook_opened_at" Time Ours read,
    WebhookConfirmedId "webhook_confirmed_id" Text Shared read,
    WebhookMessageNumber "webhook_message_number" BigInteger Ours read,
    WebhookLeaseUntil "webhook_lease_until" Time Ours read,
    WebhookNotBefore "webhook_not_before" Time Ours read,
    WebhookAttempts "webhook_attempts" Integer Ours read,
    WebhookError "webhook_error" Text Shared read,
    SyncRequestId "sync_request_id" Uuid Shared read,
    SyncOwedSince "sync_owed_since" Time Shared,
    SyncLeaseUntil "sync_lease_until" Time Ours read,
    SyncNotBefore "sync_not_before" Time Ours read,
    SyncAttempts "sync_attempts" Integer Ours read,
    SyncStreak "sync_streak" Integer Ours read,
    SyncError "sync_error" Text Shared,
    SyncSeen "sync_seen" Text Shared read,
    SyncLookAt "sync_look_at" Time Ours read,
    WebhookNotifiedAt "webhook_notified_at" Time Shared,
    WebhookErrorReason "webhook_error_reason" Text Shared,
    CalendarName "calendar_name" Text Shared,
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataType {
    Boolean,
    /// Of 32 bits at least.
    Integer,
    /// Of 64 bits.
    BigInteger,
    Text,
    /// A host's without a time zone is read as UTC.
    Time,
    Uuid,
    /// Text, or whatever type a host has made for it, such as an enumeration.
    Word,
}

/// Whose a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The host app's: it is there before the migration.
    Host,
    /// The migration's, which takes a host's column of that name where there is one. It takes nulls.
    Shared,
    /// The migration's alone; never null.
    Ours,
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
    /// Equal to one of these.
    In(Column, Vec<Value>),
    /// Not equal, where null is a value like any other.
    IsDistinct(Column, Value),
    Gt(Column, Value),
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
    /// How many of them are left out, the first in that order.
    pub offset: usize,
    pub limit: usize,
}

impl Query {
    /// The row with this id.
    pub fn by_id(id: impl Into<Value>) -> Self {
        Self::first(1, vec![Filter::Eq(Column::Id, id.into())], Column::Id)
    }

    /// The first rows in this order.
    pub fn first(limit: usize, filters: Vec<Filter>, order: Column) -> Self {
        Self { filters, order, offset: 0, limit }
    }
}

/// Provider Google, neither paused nor disconnected. A null in `is_active` counts as disconnected, one in
/// `sync_enabled` as enabled.
pub fn live() -> [Filter; 3] {
    [google(), Filter::IsTrue(Column::IsActive), Filter::NotFalse(Column::SyncEnabled)]
}

/// Rows of other providers are none of our business.
pub fn google() -> Filter {
    Filter::Eq(Column::Provider, "google".into())
}
