//! What the protocol asks of the world.

use std::rc::Rc;
use std::time::Duration;

use protocol::Timestamp;
use protocol::connection::Farewell;
use protocol::connection::{
    AccessToken, CalendarId, ChannelId, ChannelToken, Connection, ConnectionId, RefreshToken, ResourceId,
    UnreadableRow,
};
use protocol::event::Event;
use protocol::failure::{
    DatabaseUnavailable, Refused, RenewalFailure, RunFailure, StopFailure, WatchFailure,
};
use protocol::grant::{OpenedChannel, RenewedToken};
use protocol::look::{Anchor, Look, LookFailure};
use protocol::ports::{Clock, Connections, Entropy, Google, Instance, Log, Recalculation};
use protocol::recalculation::Run;
use protocol::schedule::LOOK_INTERVAL;
use protocol::table::{Column, Filter, Query, Value};
use protocol::transition::{Transition, Update};
use protocol::waiters::Waiters;

use crate::assumption::RUN_LEASE;
use crate::fact::{Answer, Deed, Request};
use crate::fault::Fault;
use crate::mutation::Mutation;
use crate::subject::{Broken, connection_number};
use crate::time::{Instant, MILLISECOND, MINUTE, SECOND, micros, timestamp};
use crate::world::executor::Reply;
use crate::world::google::{UNAVAILABLE, refused_look};
use crate::world::isolate::Isolate;
use crate::world::recalculation::{self, Call};
use crate::world::state::Phase;
use crate::world::{calendar_api, rest};

impl Isolate {
    fn mutation(&self) -> Option<Mutation> {
        self.world.settings.mutation
    }

    /// Stops the channel of a row before its time.
    fn stop_early(&self, connection: Option<usize>, access_token: Option<&AccessToken>) {
        let Some(row) = connection.and_then(|connection| self.world.row(connection)) else { return };
        if let (Some(id), Some(resource), Some(access_token)) =
            (&row.webhook_id, &row.webhook_resource_id, access_token.or(row.access_token.as_ref()))
        {
            let _ = calendar_api::stop(&self.world, access_token, id, resource);
        }
    }

    /// Whether the row that a query names was to be read, to see whether it is gone.
    fn reads_after_look_up(&self, query: &Query) -> bool {
        let [Filter::Eq(Column::Id, Value::Uuid(id))] = query.filters[..] else { return false };
        self.life.looked_up.borrow_mut().remove(&connection_number(ConnectionId(id)))
    }

    /// What became of a channel that was looked up.
    fn note_look_up(&self, connection: usize, transition: Transition, answer: Option<&Option<Connection>>) {
        let mut looked_up = self.life.looked_up.borrow_mut();
        match (transition, answer) {
            (Transition::LookUpChannel, Some(None)) => looked_up.insert(connection),
            (Transition::ClaimRenewal | Transition::ReissueChannel, _) => looked_up.remove(&connection),
            _ => false,
        };
    }
}

impl Connections for Isolate {
    async fn update(
        &self,
        update: Update,
        timeout: Duration,
    ) -> Result<Option<Connection>, DatabaseUnavailable> {
        let (transition, mutation) = (update.transition, self.mutation());
        let connection = self.world.database.target(&update);
        if mutation == Some(Mutation::StopBeforeDisown) && transition == Transition::RetireChannel {
            self.stop_early(connection, None);
        }
        if mutation.is_some_and(|mutation| mutation.swallows(&update, self.life.invocation.purpose)) {
            return Ok(None);
        }
        self.tell(Deed::Asks(Request::Update { connection, transition }));
        let (life, sent_at) = (Rc::clone(&self.life), self.world.now());
        let answer = self.call(timeout, move |world| {
            if world.broken(connection) == Some(Broken::Refusing) {
                life.is_refused.set(true);
                return None;
            }
            if mutation.is_some_and(|mutation| mutation.reads_instead(&update)) {
                let query = Query::first(1, update.filters, Column::Id);
                return Some(rest::select(world, &query).into_iter().find_map(Result::ok));
            }
            Some(rest::update(world, &life, sent_at, update))
        });
        let answer = answer.await.flatten();
        let row = answer.as_ref().map(Option::as_ref);
        self.tell(Deed::Hears(Answer::Update { connection, transition, row }));
        if let Some(connection) = connection {
            self.note_look_up(connection, transition, answer.as_ref());
        }
        let answer = match answer {
            None if mutation.is_some_and(|mutation| mutation.guesses(transition)) => Ok(None),
            answer => answer.ok_or(DatabaseUnavailable),
        };
        match mutation {
            Some(mutation) => answer.map(|row| mutation.rewrite_answer(transition, row, self.now())),
            None => answer,
        }
    }

    async fn select(
        &self,
        mut query: Query,
        timeout: Duration,
    ) -> Result<Vec<Result<Connection, UnreadableRow>>, DatabaseUnavailable> {
        let mutation = self.mutation();
        if let Some(mutation) = mutation {
            let is_discouraged = mutation == Mutation::DiscouragedSweeps && self.life.is_refused.get();
            if mutation.hides(&query) || is_discouraged {
                return Ok(Vec::new());
            }
            mutation.rewrite_query(&mut query);
        }
        self.tell(Deed::Asks(Request::Select(&query)));
        let asked = query.clone();
        let answer = self.call(timeout, move |world| rest::select(world, &asked)).await;
        self.tell(Deed::Hears(Answer::Select { query: &query, rows: answer.as_deref() }));
        let overlooks = self.reads_after_look_up(&query) && mutation == Some(Mutation::OverlookedDeletions);
        answer.filter(|rows| !(overlooks && rows.is_empty())).ok_or(DatabaseUnavailable)
    }

    async fn farewells(
        &self,
        now: Timestamp,
        offset: usize,
        limit: usize,
        timeout: Duration,
    ) -> Result<Vec<Farewell>, DatabaseUnavailable> {
        if self.mutation() == Some(Mutation::UnseenFarewells) {
            return Ok(Vec::new());
        }
        let due = self.call(timeout, move |world| world.database.due_farewells(now, offset, limit)).await;
        due.ok_or(DatabaseUnavailable)
    }

    async fn claim_farewell(
        &self,
        farewell: &Farewell,
        next: Timestamp,
        timeout: Duration,
    ) -> Result<bool, DatabaseUnavailable> {
        let (farewell, is_last) = (farewell.clone(), self.mutation() == Some(Mutation::HastyFarewells));
        let claimed = self.call(timeout, move |world| {
            let claimed = world.database.claim_farewell(&farewell, next);
            if claimed && is_last {
                world.database.delete_farewell(farewell.id);
            }
            claimed
        });
        claimed.await.ok_or(DatabaseUnavailable)
    }

    async fn delete_farewell(&self, id: i64, timeout: Duration) -> Result<(), DatabaseUnavailable> {
        let deleted = self.call(timeout, move |world| world.database.delete_farewell(id)).await;
        deleted.ok_or(DatabaseUnavailable)
    }

    async fn count(&self, filters: Vec<Filter>, timeout: Duration) -> Result<u64, DatabaseUnavailable> {
        self.tell(Deed::Asks(Request::Count));
        let (life, asked_at) = (Rc::clone(&self.life), self.world.now());
        let answer = self.call(timeout, move |world| rest::count(world, &life, asked_at, &filters)).await;
        let hidden = self.mutation() == Some(Mutation::NothingRemains);
        answer.map(|count| if hidden { 0 } else { count }).ok_or(DatabaseUnavailable)
    }
}

impl Google for Isolate {
    async fn watch(
        &self,
        access_token: &AccessToken,
        calendar: Option<&CalendarId>,
        channel: &ChannelId,
        token: &ChannelToken,
        timeout: Duration,
    ) -> Result<OpenedChannel, WatchFailure> {
        let connection = self.world.connection_of(channel);
        self.tell(Deed::Asks(Request::Watch { connection, channel }));
        if self.mutation() == Some(Mutation::StopBeforeCommit) {
            self.stop_early(connection, Some(access_token));
        }
        let (access_token, calendar) = (access_token.clone(), calendar.cloned());
        let (id, token) = (channel.clone(), token.clone());
        self.wait_for_google().await;
        let answer = self.call(timeout, move |world| {
            calendar_api::watch(world, &access_token, calendar.as_ref(), &id, &token)
        });
        let answer = answer.await.unwrap_or(Err(UNAVAILABLE));
        if self.world.broken(connection) == Some(Broken::WatchCrashes) {
            self.crash().await;
        }
        self.tell(Deed::Hears(Answer::Watch { connection, channel, answer: &answer }));
        match self.mutation() {
            Some(mutation) => mutation.rewrite_watch(answer),
            None => answer,
        }
    }

    async fn stop(
        &self,
        access_token: &AccessToken,
        channel: &ChannelId,
        resource: &ResourceId,
        timeout: Duration,
    ) -> Result<(), StopFailure> {
        if self.mutation() == Some(Mutation::UnstoppedChannels) {
            return Ok(());
        }
        self.tell(Deed::Asks(Request::Stop { channel, resource }));
        let (access_token, channel, resource) = (access_token.clone(), channel.clone(), resource.clone());
        self.call(timeout, move |world| calendar_api::stop(world, &access_token, &channel, &resource))
            .await
            .unwrap_or(Err(StopFailure::Refused(RenewalFailure::GoogleUnavailable.into())))
    }

    fn look_interval(&self) -> Duration {
        LOOK_INTERVAL
    }

    async fn look(
        &self,
        access_token: &AccessToken,
        calendar: Option<&CalendarId>,
        anchor: Anchor,
        timeout: Duration,
    ) -> Result<Look, LookFailure> {
        let connection = calendar_api::connection_with(&self.world, access_token);
        let is_reading = calendar_api::is_reading(&self.world, anchor);
        self.tell(Deed::Asks(Request::Look));
        let (access_token, calendar) = (access_token.clone(), calendar.cloned());
        let invocation = self.life.invocation;
        let asked_at = self.world.now();
        self.wait_for_google().await;
        let answer = self.call(timeout, move |world| {
            calendar_api::look(world, invocation, asked_at, &access_token, calendar.as_ref(), anchor)
        });
        // Where a later page does not come, the calendar counts as too large.
        let silence = if self.world.dice.chance(0.5) {
            LookFailure::TooLarge
        } else {
            refused_look(RenewalFailure::GoogleUnavailable)
        };
        let answer = answer.await.unwrap_or(Err(silence));
        self.tell(Deed::Hears(Answer::Look { connection, is_reading, answer: &answer }));
        let Some(mutation) = self.mutation() else { return answer };
        let row = connection.and_then(|connection| self.world.row(connection));
        mutation.rewrite_look(answer, row.as_ref().map(|row| &row.connection), self.now())
    }

    async fn renew_token(
        &self,
        refresh_token: &RefreshToken,
        timeout: Duration,
    ) -> Result<RenewedToken, Refused> {
        let connection = self.world.consenting(refresh_token);
        self.tell(Deed::Asks(Request::Token { connection }));
        let refresh_token = refresh_token.clone();
        self.wait_for_google().await;
        let answer = self.call(timeout, move |world| calendar_api::renew_token(world, &refresh_token)).await;
        let answer = answer.unwrap_or(Err(RenewalFailure::GoogleUnavailable.into()));
        self.tell(Deed::Hears(Answer::Token { connection, answer: &answer }));
        answer
    }
}

impl Recalculation for Isolate {
    async fn recalculate(&self, run: Run, timeout: Duration) -> Result<(), RunFailure> {
        let connection = connection_number(run.connection);
        let timeout = micros(timeout);
        self.tell(Deed::Asks(Request::Run { connection, timeout }));
        let result = self.call_run(connection, run, timeout).await;
        self.tell(Deed::Hears(Answer::Run { connection, result }));
        if self.world.broken(Some(connection)) == Some(Broken::RunsCrash)
            && !matches!(result, Err(RunFailure::RateLimited { .. }))
        {
            self.crash().await;
        }
        result
    }

    fn lease(&self) -> Duration {
        self.mutation().map_or(RUN_LEASE, Mutation::lease)
    }
}

impl Isolate {
    async fn call_run(&self, connection: usize, run: Run, timeout: Instant) -> Result<(), RunFailure> {
        let world = &self.world;
        let journey = self.journey(timeout);
        let refusing = world.phase.get() == Phase::Refusing;
        if refusing || world.happens(Fault::RefusedRuns) {
            world.executor.sleep(journey.arrives_after.unwrap_or_default().min(SECOND)).await;
            let seconds = if refusing { 40 } else { world.dice.below(60) };
            return Err(RunFailure::RateLimited { retry_after: Duration::from_secs(seconds as u64) });
        }
        // A host that stands still takes the caller with it, its timeout included, and maybe the callee.
        let pause = world.happens(Fault::Freezes).then(|| {
            // Often just for longer than its lease.
            let (least, most) =
                if world.dice.chance(0.5) { (3 * MINUTE, 5 * MINUTE) } else { (10 * SECOND, 7 * MINUTE) };
            world.dice.between(least, most)
        });
        if let Some(pause) = pause {
            self.freeze(pause);
        }
        let answer: Reply<Result<(), RunFailure>> = Reply::default();
        if journey.arrives_after.is_some() {
            // Between two functions the way is short, however long an answer takes.
            let arrives_after = world.dice.mostly_low(MILLISECOND, SECOND);
            let call = Call {
                connection,
                request: run.request,
                holder: Rc::clone(&self.life),
                answer: journey.answered_after.is_some().then(|| answer.clone()),
                pause: pause.filter(|_| world.dice.chance(0.5)),
            };
            let server = Rc::clone(world);
            world.executor.at(world.now() + arrives_after, move || recalculation::start(&server, call));
        }
        let breaks = journey.answered_after.is_none() && journey.given_up_after < timeout;
        let (given_up_after, failure) = if breaks {
            (journey.given_up_after, RunFailure::Unreachable)
        } else {
            (timeout, RunFailure::TimedOut)
        };
        let gives_up = answer.clone();
        world.executor.at(world.now() + given_up_after + pause.unwrap_or_default(), move || {
            gives_up.complete(Err(failure));
        });
        self.suffer(world.dice.between(0, 10 * SECOND));
        answer.await
    }
}

impl Clock for Isolate {
    fn now(&self) -> Timestamp {
        timestamp(self.life.clock(self.world.now()))
    }

    async fn sleep(&self, duration: Duration) {
        let duration = micros(duration);
        self.tell(Deed::Sleeps(duration));
        self.suffer(duration);
        self.world.executor.sleep(duration).await;
    }
}

impl Entropy for Isolate {
    fn random(&self) -> u128 {
        self.world.dice.bits()
    }
}

impl Instance for Isolate {
    fn waiters(&self) -> &Waiters {
        &self.life.instance.waiters
    }
}

impl Log for Isolate {
    fn log(&self, event: Event) {
        self.tell(Deed::Logs(&event));
    }
}
