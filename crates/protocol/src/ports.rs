//! What the protocol needs of the world. Implemented by the Edge Functions' shell over HTTP, by tests in memory.

// Everything here runs on one thread, in WASM as in tests, so no future needs to be `Send`.
#![allow(async_fn_in_trait)]

use std::time::Duration;

use crate::Timestamp;
use crate::connection::Farewell;
use crate::connection::{
    AccessToken, CalendarId, ChannelId, ChannelToken, Connection, ConnectionId, RefreshToken, ResourceId,
    UnreadableRow,
};
use crate::event::Event;
use crate::failure::{DatabaseUnavailable, Refused, RunFailure, StopFailure, WatchFailure};
use crate::grant::{OpenedChannel, RenewedToken};
use crate::look::{Anchor, Look, LookFailure};
use crate::recalculation::Run;
use crate::schedule::DATABASE_TIMEOUT;
use crate::table::{Filter, Query};
use crate::transition::Update;
use crate::waiters::Waiters;

pub trait Connections {
    /// Applies a conditional update atomically and returns the row as it is then; none = no row met the filters.
    async fn update(
        &self,
        update: Update,
        timeout: Duration,
    ) -> Result<Option<Connection>, DatabaseUnavailable>;

    /// Rows are read one by one: an odd one does not hide the others, and is logged by the implementation.
    async fn select(
        &self,
        query: Query,
        timeout: Duration,
    ) -> Result<Vec<Result<Connection, UnreadableRow>>, DatabaseUnavailable>;

    async fn count(&self, filters: Vec<Filter>, timeout: Duration) -> Result<u64, DatabaseUnavailable>;

    /// What is kept of deleted connections and due at `now`, longest first, without the first `offset`.
    async fn farewells(
        &self,
        now: Timestamp,
        offset: usize,
        limit: usize,
        timeout: Duration,
    ) -> Result<Vec<Farewell>, DatabaseUnavailable>;

    /// Moves a farewell on to `next`; false = another was faster.
    async fn claim_farewell(
        &self,
        farewell: &Farewell,
        next: Timestamp,
        timeout: Duration,
    ) -> Result<bool, DatabaseUnavailable>;

    async fn delete_farewell(&self, id: i64, timeout: Duration) -> Result<(), DatabaseUnavailable>;

    /// The row with this id; one that cannot be read counts as one that did not come.
    async fn find(&self, id: ConnectionId) -> Result<Option<Connection>, DatabaseUnavailable> {
        let rows = self.select(Query::by_id(id), DATABASE_TIMEOUT).await?;
        rows.into_iter().next().transpose().map_err(|_| DatabaseUnavailable)
    }
}

pub trait Google {
    /// `events.watch`.
    async fn watch(
        &self,
        access_token: &AccessToken,
        calendar: Option<&CalendarId>,
        channel: &ChannelId,
        token: &ChannelToken,
        timeout: Duration,
    ) -> Result<OpenedChannel, WatchFailure>;

    /// `channels.stop`.
    async fn stop(
        &self,
        access_token: &AccessToken,
        channel: &ChannelId,
        resource: &ResourceId,
        timeout: Duration,
    ) -> Result<(), StopFailure>;

    /// `events.list`, every page: what is in the calendar from `anchor` on, within the limits of [`crate::look`].
    /// `timeout` is that of the whole look; a page after the first that does not come in what is left of it makes the
    /// look [`LookFailure::TooLarge`]. Asks for no new access token by itself.
    async fn look(
        &self,
        access_token: &AccessToken,
        calendar: Option<&CalendarId>,
        anchor: Anchor,
        timeout: Duration,
    ) -> Result<Look, LookFailure>;

    /// How often a calendar is looked at whose channel is well.
    fn look_interval(&self) -> Duration;

    /// A new access token for a refresh token.
    async fn renew_token(
        &self,
        refresh_token: &RefreshToken,
        timeout: Duration,
    ) -> Result<RenewedToken, Refused>;
}

pub trait Recalculation {
    async fn recalculate(&self, run: Run, timeout: Duration) -> Result<(), RunFailure>;

    /// How long a run keeps others out; must outlive the callee, whatever became of the caller.
    fn lease(&self) -> Duration;
}

pub trait Clock {
    fn now(&self) -> Timestamp;
    async fn sleep(&self, duration: Duration);
}

pub trait Entropy {
    /// 128 random bits, good enough for ids.
    fn random(&self) -> u128;
}

pub trait Log {
    fn log(&self, event: Event);
}

pub trait Instance {
    /// Shared by all requests of one instance.
    fn waiters(&self) -> &Waiters;
}

/// All of it, for signatures.
pub trait Ports: Connections + Google + Recalculation + Clock + Entropy + Log + Instance {}

impl<T: Connections + Google + Recalculation + Clock + Entropy + Log + Instance> Ports for T {}
