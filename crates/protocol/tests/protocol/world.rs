//! A world of one process: the table in memory, a Google and a `recalculate-schedule` that answer as told, a clock
//! that moves only when somebody sleeps.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use futures_util::FutureExt;
use protocol::Timestamp;
use protocol::connection::Farewell;
use protocol::connection::{
    AccessToken, CalendarId, ChannelId, ChannelToken, Connection, ConnectionId, RefreshToken, RequestId,
    ResourceId, UnreadableRow,
};
use protocol::event::Event;
use protocol::failure::{DatabaseUnavailable, Refused, RunFailure, StopFailure, WatchFailure};
use protocol::grant::{OpenedChannel, RenewedToken};
use protocol::invocation::{Invocation, Kind};
use protocol::look::{Anchor, CalendarName, Digest, Look, LookFailure, Seen};
use protocol::memory::Table;
use protocol::ports::{Clock, Connections, Entropy, Google, Instance, Log, Recalculation};
use protocol::recalculation::Run;
use protocol::table::{Column, Filter, Query, Value};
use protocol::transition::Update;
use protocol::waiters::Waiters;
use uuid::Uuid;

pub(crate) const RESOURCE: &str = "resource of the calendar";

/// What becomes of one update of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It never arrives.
    Lost,
    /// It takes place, but the answer is lost.
    Unanswered,
}

type Hook = Box<dyn Fn(&World)>;

pub(crate) struct World {
    pub(crate) table: Table,
    pub(crate) now: Cell<Timestamp>,
    random: Cell<u128>,
    /// Updates made so far.
    pub(crate) updates: Cell<usize>,
    /// How long each update and read might have taken.
    pub(crate) patience: RefCell<Vec<Duration>>,
    /// What becomes of the update of this number.
    pub(crate) fate: Cell<Option<(usize, Fate)>>,
    pub(crate) watch_answers: RefCell<VecDeque<Result<OpenedChannel, WatchFailure>>>,
    pub(crate) token_answers: RefCell<VecDeque<Result<RenewedToken, Refused>>>,
    pub(crate) stop_answers: RefCell<VecDeque<Result<(), StopFailure>>>,
    pub(crate) look_answers: RefCell<VecDeque<Result<Look, LookFailure>>>,
    /// What is in the calendar.
    pub(crate) content: Cell<u8>,
    /// The token of each look, and the time that it had.
    pub(crate) looks: RefCell<Vec<(AccessToken, Duration)>>,
    /// From where on the last look was made.
    pub(crate) looked_from: Cell<Option<Anchor>>,
    pub(crate) look_takes: Cell<TimeDelta>,
    /// What each look reads, in bytes.
    pub(crate) look_size: Cell<usize>,
    pub(crate) farewells: RefCell<Vec<Farewell>>,
    pub(crate) run_answers: RefCell<VecDeque<Result<(), RunFailure>>>,
    /// Done after the update of this number.
    pub(crate) after_update: RefCell<Option<(usize, Hook)>>,
    /// How often rows were read.
    pub(crate) reads: Cell<usize>,
    /// Updates of these rows fail, as by a trigger of the host's.
    pub(crate) refusing: RefCell<BTreeSet<ConnectionId>>,
    /// A read in this order is not answered.
    pub(crate) unanswered_read: Cell<Option<Column>>,
    /// Done after the table was read in this order.
    pub(crate) after_select: RefCell<Option<(Column, Hook)>>,
    /// Done while `recalculate-schedule` runs, while Google is read, or while it opens a channel.
    pub(crate) during_run: RefCell<Option<Hook>>,
    pub(crate) during_look: RefCell<Option<Hook>>,
    pub(crate) during_watch: RefCell<Option<Hook>>,
    pub(crate) run_takes: Cell<TimeDelta>,
    /// The ids with which Google was asked for a channel.
    pub(crate) asked: RefCell<Vec<ChannelId>>,
    pub(crate) opened: RefCell<Vec<ChannelId>>,
    pub(crate) stopped: RefCell<Vec<ChannelId>>,
    /// The resource that each of them was stopped on.
    pub(crate) stopped_on: RefCell<Vec<ResourceId>>,
    /// The access token that each of them was stopped with.
    pub(crate) stopped_with: RefCell<Vec<AccessToken>>,
    pub(crate) token_renewals: Cell<usize>,
    /// Whether others go on before Google gives a token. No sleep ends then.
    pub(crate) tokens_take_time: Cell<bool>,
    pub(crate) runs: RefCell<Vec<Run>>,
    pub(crate) log: RefCell<Vec<Event>>,
    waiters: Waiters,
}

pub(crate) const START: Timestamp = match DateTime::from_timestamp(1_795_000_000, 0) {
    Some(start) => start,
    None => panic!(),
};

impl World {
    pub(crate) fn new() -> Self {
        let table = Table::default();
        table.set_now(START);
        Self {
            table,
            now: Cell::new(START),
            random: Cell::new(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
            updates: Cell::new(0),
            patience: RefCell::default(),
            fate: Cell::new(None),
            watch_answers: RefCell::default(),
            token_answers: RefCell::default(),
            stop_answers: RefCell::default(),
            look_answers: RefCell::default(),
            content: Cell::default(),
            looks: RefCell::default(),
            looked_from: Cell::default(),
            look_takes: Cell::default(),
            look_size: Cell::default(),
            farewells: RefCell::default(),
            run_answers: RefCell::default(),
            after_update: RefCell::default(),
            reads: Cell::default(),
            refusing: RefCell::default(),
            unanswered_read: Cell::default(),
            after_select: RefCell::default(),
            during_run: RefCell::default(),
            during_look: RefCell::default(),
            during_watch: RefCell::default(),
            run_takes: Cell::new(TimeDelta::seconds(1)),
            asked: RefCell::default(),
            opened: RefCell::default(),
            stopped: RefCell::default(),
            stopped_on: RefCell::default(),
            stopped_with: RefCell::default(),
            token_renewals: Cell::new(0),
            tokens_take_time: Cell::new(false),
            runs: RefCell::default(),
            log: RefCell::default(),
            waiters: Waiters::default(),
        }
    }

    /// A connection whose access token is good for an hour, without a channel unless `more` says otherwise.
    pub(crate) fn connect(
        &self,
        number: u128,
        more: impl IntoIterator<Item = (Column, Value)>,
    ) -> ConnectionId {
        let id = ConnectionId(Uuid::from_u128(number));
        let fresh = [
            (Column::AccessToken, Value::Secret("access".to_owned())),
            (Column::RefreshToken, Value::Secret("refresh".to_owned())),
            (Column::ExpiresAt, Value::Time(START + TimeDelta::hours(1))),
            (Column::CreatedAt, Value::Time(START)),
            (Column::LastSyncAt, Value::Time(START - TimeDelta::hours(1))),
            (Column::SyncLookAt, Value::Time(START + TimeDelta::hours(6))),
        ];
        self.table.insert(id, fresh.into_iter().chain(more));
        id
    }

    pub(crate) fn row(&self, id: ConnectionId) -> Connection {
        self.table.connection(id).unwrap()
    }

    pub(crate) fn pass(&self, time: TimeDelta) {
        self.now.set(self.now.get() + time);
        self.table.set_now(self.now.get());
    }

    pub(crate) fn targeted(&self) -> Invocation {
        Invocation::new(Kind::Targeted, self.now.get())
    }

    pub(crate) fn sweeping(&self) -> Invocation {
        Invocation::new(Kind::Sweep, self.now.get())
    }

    /// What stands in `sync_seen` after a look at `content` that began with the first look of all.
    pub(crate) fn sees(&self, content: u8) -> Value {
        let seen = Seen { anchor: Anchor::of_look(START, None), digest: Digest([content; 32]) };
        (&seen).into()
    }

    pub(crate) fn request(&self) -> Value {
        Value::Uuid(RequestId::fresh(self.now.get(), self.random()).0)
    }

    fn run_hook(&self, hook: &RefCell<Option<Hook>>) {
        let hook = hook.borrow_mut().take();
        if let Some(hook) = hook {
            hook(self);
        }
    }
}

/// The columns of a channel that is well: opened an hour ago, good for a month.
pub(crate) fn channel(id: &str) -> [(Column, Value); 6] {
    [
        (Column::WebhookId, id.into()),
        (Column::WebhookResourceId, RESOURCE.into()),
        (Column::WebhookExpiration, (START + TimeDelta::days(30)).into()),
        (Column::WebhookOpenedAt, (START - TimeDelta::hours(1)).into()),
        (Column::WebhookNotBefore, (START + TimeDelta::days(28)).into()),
        (Column::WebhookMessageNumber, 1.into()),
    ]
}

/// An access token beside which Google hands out another refresh token.
pub(crate) fn rotated_token() -> RenewedToken {
    RenewedToken {
        access_token: AccessToken::new("renewed"),
        expires_in: Duration::from_secs(3600),
        refresh_token: Some(RefreshToken::new("rotated")),
    }
}

/// Drives a future that waits for nothing but this world.
#[track_caller]
pub(crate) fn finish<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing here waits")
}

impl Connections for World {
    async fn update(
        &self,
        update: Update,
        timeout: Duration,
    ) -> Result<Option<Connection>, DatabaseUnavailable> {
        self.patience.borrow_mut().push(timeout);
        let number = self.updates.get() + 1;
        self.updates.set(number);
        let row = self.table.find(&update.filters);
        if row.is_some_and(|row| self.refusing.borrow().contains(&row.id)) {
            return Err(DatabaseUnavailable);
        }
        let answer = match self.fate.get() {
            Some((chosen, Fate::Lost)) if chosen == number => Err(DatabaseUnavailable),
            Some((chosen, Fate::Unanswered)) if chosen == number => {
                self.table.update(&update);
                Err(DatabaseUnavailable)
            }
            _ => Ok(self.table.update(&update)),
        };
        let hook = self.after_update.borrow_mut().take_if(|(chosen, _)| *chosen == number);
        if let Some((_, hook)) = hook {
            hook(self);
        }
        answer
    }

    async fn select(
        &self,
        query: Query,
        timeout: Duration,
    ) -> Result<Vec<Result<Connection, UnreadableRow>>, DatabaseUnavailable> {
        self.patience.borrow_mut().push(timeout);
        self.reads.set(self.reads.get() + 1);
        if self.unanswered_read.get() == Some(query.order) {
            return Err(DatabaseUnavailable);
        }
        let rows = self.table.select(&query);
        let hook = self.after_select.borrow_mut().take_if(|(order, _)| *order == query.order);
        if let Some((_, hook)) = hook {
            hook(self);
        }
        Ok(rows)
    }

    async fn farewells(
        &self,
        now: Timestamp,
        offset: usize,
        limit: usize,
        _timeout: Duration,
    ) -> Result<Vec<Farewell>, DatabaseUnavailable> {
        let farewells = self.farewells.borrow();
        Ok(farewells
            .iter()
            .filter(|farewell| farewell.not_before <= now)
            .skip(offset)
            .take(limit)
            .cloned()
            .collect())
    }

    async fn claim_farewell(
        &self,
        farewell: &Farewell,
        next: Timestamp,
        _timeout: Duration,
    ) -> Result<bool, DatabaseUnavailable> {
        let mut farewells = self.farewells.borrow_mut();
        let due = farewells.iter_mut().find(|kept| *kept == farewell);
        Ok(due.map(|kept| kept.not_before = next).is_some())
    }

    async fn delete_farewell(&self, id: i64, _timeout: Duration) -> Result<(), DatabaseUnavailable> {
        self.farewells.borrow_mut().retain(|farewell| farewell.id != id);
        Ok(())
    }

    async fn count(&self, filters: Vec<Filter>, _timeout: Duration) -> Result<u64, DatabaseUnavailable> {
        Ok(self.table.count(&filters))
    }
}

impl Google for World {
    async fn watch(
        &self,
        _access_token: &AccessToken,
        _calendar: Option<&CalendarId>,
        channel: &ChannelId,
        _token: &ChannelToken,
        _timeout: Duration,
    ) -> Result<OpenedChannel, WatchFailure> {
        self.asked.borrow_mut().push(channel.clone());
        self.run_hook(&self.during_watch);
        let answer = self.watch_answers.borrow_mut().pop_front().unwrap_or_else(|| {
            Ok(OpenedChannel {
                resource_id: ResourceId::new(RESOURCE),
                expiration: self.now.get() + TimeDelta::days(30),
            })
        });
        if answer.is_ok() {
            self.opened.borrow_mut().push(channel.clone());
        }
        answer
    }

    async fn stop(
        &self,
        access_token: &AccessToken,
        channel: &ChannelId,
        resource: &ResourceId,
        _timeout: Duration,
    ) -> Result<(), StopFailure> {
        let answer = self.stop_answers.borrow_mut().pop_front().unwrap_or(Ok(()));
        if answer.is_ok() {
            self.stopped.borrow_mut().push(channel.clone());
            self.stopped_on.borrow_mut().push(resource.clone());
            self.stopped_with.borrow_mut().push(access_token.clone());
        }
        answer
    }

    async fn look(
        &self,
        access_token: &AccessToken,
        _calendar: Option<&CalendarId>,
        anchor: Anchor,
        timeout: Duration,
    ) -> Result<Look, LookFailure> {
        self.looks.borrow_mut().push((access_token.clone(), timeout));
        self.looked_from.set(Some(anchor));
        self.run_hook(&self.during_look);
        self.pass(self.look_takes.get());
        self.look_answers.borrow_mut().pop_front().unwrap_or_else(|| {
            let seen = Seen { anchor, digest: Digest([self.content.get(); 32]) };
            let calendar_name = CalendarName::parse("Work");
            Ok(Look { size: self.look_size.get(), seen, calendar_name })
        })
    }

    fn look_interval(&self) -> Duration {
        Duration::from_secs(6 * 3600)
    }

    async fn renew_token(
        &self,
        _refresh_token: &RefreshToken,
        _timeout: Duration,
    ) -> Result<RenewedToken, Refused> {
        self.token_renewals.set(self.token_renewals.get() + 1);
        if self.tokens_take_time.get() {
            futures_util::pending!();
        }
        self.token_answers.borrow_mut().pop_front().unwrap_or_else(|| {
            Ok(RenewedToken {
                access_token: AccessToken::new("renewed"),
                expires_in: Duration::from_secs(3600),
                refresh_token: None,
            })
        })
    }
}

impl Recalculation for World {
    async fn recalculate(&self, run: Run, _timeout: Duration) -> Result<(), RunFailure> {
        self.runs.borrow_mut().push(run);
        self.run_hook(&self.during_run);
        self.pass(self.run_takes.get());
        self.run_answers.borrow_mut().pop_front().unwrap_or(Ok(()))
    }

    fn lease(&self) -> Duration {
        Duration::from_secs(180)
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        self.now.get()
    }

    async fn sleep(&self, duration: Duration) {
        if self.tokens_take_time.get() {
            std::future::pending::<()>().await;
        }
        self.pass(TimeDelta::from_std(duration).unwrap());
    }
}

impl Entropy for World {
    fn random(&self) -> u128 {
        // SplitMix64's constant; any sequence without repetition will do.
        self.random.set(self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        self.random.get()
    }
}

impl Instance for World {
    fn waiters(&self) -> &Waiters {
        &self.waiters
    }
}

impl Log for World {
    fn log(&self, event: Event) {
        self.log.borrow_mut().push(event);
    }
}
