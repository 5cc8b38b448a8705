//! A function instance: the protocol's own code over ports that lose requests and answers, on a clock of its own,
//! and gone at any await.

use std::future::{Future, pending};
use std::rc::Rc;
use std::time::Duration;

use protocol::Timestamp;
use protocol::connection::{
    AccessToken, CalendarId, ChannelId, ChannelToken, Connection, ConnectionId, RefreshToken, ResourceId,
    UnreadableRow,
};
use protocol::event::Event;
use protocol::failure::{DatabaseUnavailable, RenewalFailure, RunFailure, StopFailure, WatchFailure};
use protocol::grant::{OpenedChannel, RenewedToken};
use protocol::invocation::{Invocation, Kind};
use protocol::notification::Notification;
use protocol::ports::{Clock, Connections, Entropy, Google, Log, Recalculation};
use protocol::recalculation::{Reason, Run};
use protocol::receive::{self, Verdict};
use protocol::setup::SetUp;
use protocol::table::{Column, Filter, Query, Value};
use protocol::transition::{Transition, Update};
use protocol::{refresh, setup, sweep};

use crate::actors;
use crate::answer;
use crate::assumption::RUN_LEASE;
use crate::database;
use crate::delivery::Answer;
use crate::ending;
use crate::executor::Reply;
use crate::fault::Fault;
use crate::google;
use crate::life::{GoogleSaid, Life, Matter, Purpose};
use crate::mutation::Mutation;
use crate::order;
use crate::promise::Promise;
use crate::recalculation::{self, Call};
use crate::sequel;
use crate::time::{HOUR, Instant, MILLISECOND, MINUTE, SECOND, instant, micros, timestamp};
use crate::world::{Broken, Phase, World, connection_id, connection_number};

pub(crate) struct Instance {
    pub(crate) world: Rc<World>,
    pub(crate) life: Rc<Life>,
}

/// Starts a receiver; `heard` is told what Google hears.
pub(crate) fn receive(
    world: &Rc<World>,
    connection: Option<usize>,
    notification: Notification,
    heard: impl FnOnce(Answer) + 'static,
) {
    let answer = Reply::default();
    let answered = answer.clone();
    world.executor.spawn(async move { heard(answered.await) });
    let purpose = connection.map_or(Purpose::Forged, Purpose::Receive);
    start(world, purpose, Some(answer.clone()), async move |instance| {
        instance.life.speaker.replace(Some(notification.channel.clone()));
        let invocation = instance.invocation(Kind::Targeted);
        let verdict = receive::receive(&instance, &invocation, &notification).await;
        instance.judge_answer(&notification, &verdict);
        if let (Verdict::Orphan(row), Purpose::Receive(connection)) = (&verdict, instance.life.purpose)
            && instance.may_stop(row)
        {
            let resource = Some(notification.resource.clone());
            instance.life.to_stop.borrow_mut().insert(notification.channel.clone(), (connection, resource));
        }
        answer.complete(match verdict {
            Verdict::Opened(_) | Verdict::Changed(_) | Verdict::Orphan(_) | Verdict::Late(_) => {
                Answer::Delivered
            }
            Verdict::Unknown => Answer::Unknown,
            Verdict::Unavailable => Answer::Unavailable,
        });
        receive::follow_up(&instance, &invocation, &notification, verdict).await;
    });
}

pub(crate) fn set_up(world: &Rc<World>, connection: usize) {
    start(world, Purpose::Setup(connection), None, async move |instance| {
        let invocation = instance.invocation(Kind::Targeted);
        let Some(row) = instance.read(connection).await else { return };
        let answer = setup::setup(&instance, &invocation, row).await;
        instance.judge_set_up(&answer);
        if let Ok(SetUp::Opened(renewed)) = answer {
            renewed.follow_up(&instance, &invocation, Reason::ChannelOpened).await;
        }
    });
}

pub(crate) fn press_button(world: &Rc<World>, connection: usize) {
    world.disturbed_at.set(world.now());
    start(world, Purpose::Button(connection), None, async move |instance| {
        let invocation = instance.invocation(Kind::Targeted);
        let Some(row) = instance.read(connection).await else { return };
        let refreshed = refresh::refresh(&instance, &invocation, &row).await;
        instance.judge_refreshed(&refreshed);
        refresh::follow_up(&instance, &invocation, refreshed).await;
    });
}

pub(crate) fn sweep(world: &Rc<World>) {
    // Instances of less quiet times may go on for a while.
    let connections = if world.now() < world.quiet_from.get().saturating_add(HOUR) {
        world.ledgers.borrow().len()
    } else {
        actors::due_by(world, world.now() + 11 * SECOND)
    };
    let everybody = world.ledgers.borrow().len();
    let started_at = world.now();
    start(world, Purpose::Sweep, None, async move |instance| {
        let answer = sweep::sweep(&instance, &instance.invocation(Kind::Sweep)).await;
        instance.judge_swept(&answer);
        let (requests, runs) = (instance.life.requests.get(), instance.life.runs.get());
        // What a user makes due meanwhile, if by an instance that is still at it, was not to be foreseen.
        let disturbed = instance.world.disturbed_at.get().saturating_add(100 * SECOND) > started_at;
        let connections = if disturbed { everybody } else { connections };
        // Five reads, and for each connection at most a renewal with its run, a run, and a retirement.
        if runs > 25 || requests > 10 + 40 * connections {
            let what = format!("a sweep made {requests} requests and {runs} runs");
            instance.world.broke(Promise::WorkIsBounded, None, what);
        }
    });
}

fn start<F: Future<Output = ()> + 'static>(
    world: &Rc<World>,
    purpose: Purpose,
    on_death: Option<Reply<Answer>>,
    body: impl FnOnce(Instance) -> F + 'static,
) {
    let life = Rc::new(Life::new(world, purpose));
    let death = OnDeath(on_death);
    let instance = Instance { world: Rc::clone(world), life };
    let judged = Rc::clone(world);
    world.executor.spawn(async move {
        let _death = death;
        let life = Rc::clone(&instance.life);
        body(instance).await;
        ending::judge(&judged, &life);
    });
}

/// Whoever waits for an instance learns that it is gone.
struct OnDeath(Option<Reply<Answer>>);

impl Drop for OnDeath {
    fn drop(&mut self) {
        if let Some(answer) = &self.0 {
            answer.complete(Answer::Broken);
        }
    }
}

/// When a request arrives and its answer comes, if they do, and until when the caller waits.
struct Journey {
    arrives_after: Option<Instant>,
    answered_after: Option<Instant>,
    given_up_after: Instant,
}

impl Instance {
    fn invocation(&self, kind: Kind) -> Invocation {
        Invocation::new(kind, self.now())
    }

    async fn read(&self, connection: usize) -> Option<Connection> {
        let rows =
            self.select(Query::by_id(connection_id(connection)), protocol::schedule::DATABASE_TIMEOUT).await;
        rows.ok()?.into_iter().next()?.ok()
    }

    /// What Google takes to think, where it takes long.
    async fn wait_for_google(&self) {
        if self.world.google_is_slow {
            self.world.executor.sleep(7 * SECOND).await;
        }
    }

    /// Whether the row's access token lasts for a stop.
    fn may_stop(&self, row: &Connection) -> bool {
        let now = self.life.clock(self.world.now());
        row.access_token.is_some()
            && row.expires_at.is_some_and(|expires_at| instant(expires_at) > now + 2 * MINUTE)
    }

    /// An update was answered: what it replaced or gave up is to be stopped.
    fn learn(&self, transition: Transition, row: &Connection) {
        let connection = connection_number(row.id);
        let stored = match transition {
            Transition::RetireChannel => false,
            Transition::CommitChannel | Transition::LookUpChannel => true,
            _ => return,
        };
        if let Some(replaced) = self.life.replaces.borrow_mut().remove(&connection)
            && (stored || self.may_stop(row))
        {
            let resource = |known: Option<ResourceId>| known.or_else(|| row.webhook_resource_id.clone());
            let to_stop = replaced.into_iter().map(|(id, known)| (id, (connection, resource(known))));
            self.life.to_stop.borrow_mut().extend(to_stop);
        }
    }

    /// One request to somebody else, who does `effect` when it arrives. None = no answer.
    async fn call<T: 'static>(
        &self,
        timeout: Duration,
        crashes: bool,
        effect: impl FnOnce(&Rc<World>) -> T + 'static,
    ) -> Option<T> {
        let world = &self.world;
        let journey = self.journey(micros(timeout));
        let answer: Reply<Option<T>> = Reply::default();
        if let Some(arrives_after) = journey.arrives_after {
            let (server, back, now) = (Rc::clone(world), answer.clone(), world.now());
            world.executor.at(now + arrives_after, move || {
                let value = effect(&server);
                if let Some(answered_after) = journey.answered_after {
                    server.executor.at(now + answered_after, move || {
                        back.complete(Some(value));
                    });
                }
            });
        }
        if journey.answered_after.is_none() {
            let gives_up = answer.clone();
            world.executor.at(world.now() + journey.given_up_after, move || {
                gives_up.complete(None);
            });
        }
        self.suffer(journey.answered_after.unwrap_or(journey.given_up_after));
        let answered = answer.await;
        if crashes {
            self.crash_after(0);
            pending::<()>().await;
        }
        if answered.is_none() {
            self.life.last_unanswered.set(world.now());
        }
        answered
    }

    fn journey(&self, timeout: Instant) -> Journey {
        let world = &self.world;
        self.life.requests.set(self.life.requests.get() + 1);
        let lost = world.happens(Fault::LostRequests);
        let slow = world.happens(Fault::SlowNetwork);
        let one_way = |longest| world.dice.mostly_low(MILLISECOND, longest);
        let (there, back) = if slow {
            // Now and then it arrives just after it was given up, between two looks at what became of it.
            let latest = if world.dice.chance(0.2) { 50 * MILLISECOND } else { timeout / 4 };
            let earliest = if latest < timeout / 4 { timeout } else { 0 };
            (world.dice.between(earliest, timeout + latest), world.dice.between(0, timeout))
        } else {
            (one_way(30 * MILLISECOND), one_way(30 * MILLISECOND))
        };
        let unanswered = lost || world.happens(Fault::LostAnswers);
        // A connection breaks sooner than a silence is given up.
        let breaks = unanswered && world.dice.chance(0.5);
        let given_up_after = if breaks { timeout.min(there + back + 10 * MILLISECOND) } else { timeout };
        Journey {
            arrives_after: (!lost).then_some(there),
            answered_after: (!unanswered && there + back < timeout).then_some(there + back),
            given_up_after,
        }
    }

    /// An instance may crash or stand still while it waits.
    fn suffer(&self, waits: Instant) {
        let world = &self.world;
        if world.happens(Fault::Crashes) {
            self.crash_after(world.dice.between(0, waits));
        }
        if world.happens(Fault::Freezes) {
            self.freeze(waits + world.dice.mostly_low(10 * SECOND, 7 * MINUTE));
        }
    }

    fn freeze(&self, pause: Instant) {
        self.life.frozen.set(true);
        self.world
            .trace(self.life.connection(), || format!("{} stands still for {} s", self.life, pause / SECOND));
        self.world.executor.freeze(self.life.task, self.world.now() + pause);
        self.world.frozen.borrow_mut().push(Rc::clone(&self.life));
        // Who comes back after so long is often put down.
        if self.world.dice.chance(0.25) {
            self.crash_after(pause + self.world.dice.between(0, SECOND));
        }
    }

    fn crash_after(&self, delay: Instant) {
        let (world, life) = (Rc::clone(&self.world), Rc::clone(&self.life));
        self.world.executor.at(world.now() + delay, move || {
            world.trace(life.connection(), || format!("{life} crashes"));
            life.crashed.set(true);
            world.executor.kill(life.task);
        });
    }
}

/// Who stands still often goes on at the worst of times: when another has just taken over what it held.
pub(crate) fn thaw_superseded(world: &World, by: &Life, connection: usize) {
    let mut frozen = world.frozen.borrow_mut();
    frozen.retain(|life| !life.crashed.get());
    for life in frozen.iter().filter(|life| life.number != by.number) {
        let held =
            life.claims.borrow().contains_key(&connection) || life.pending.borrow().contains_key(&connection);
        if held && world.dice.chance(0.5) {
            let at = world.now() + world.dice.mostly_low(MILLISECOND, 10 * SECOND);
            world.executor.thaw(life.task, at);
        }
    }
}

impl Connections for Instance {
    async fn update(
        &self,
        update: Update,
        timeout: Duration,
    ) -> Result<Option<Connection>, DatabaseUnavailable> {
        let mutation = self.world.settings.mutation;
        if let Some(mutation) = mutation {
            mutation.before_update(&self.world, &update);
            if mutation.swallows(&update, self.life.purpose) {
                return Ok(None);
            }
        }
        let (life, sent_at) = (Rc::clone(&self.life), self.world.now());
        let transition = update.transition;
        let connection = database::target(&self.world, &update);
        if let Some(connection) = connection {
            self.life.sequel.borrow_mut().asks(connection, transition);
            order::claims(&self.world, &self.life, connection, transition);
            self.life.sends(connection, transition);
        }
        let lease = database::held_lease(&self.world, &self.life, &update);
        if let (Transition::LoseRun, Some(connection)) = (transition, connection) {
            self.life.lost.borrow_mut().remove(&connection);
        }
        let answer = self
            .call(timeout, false, move |world| {
                if mutation.is_some_and(|mutation| mutation.reads_instead(&update)) {
                    return database::select(
                        world,
                        &Query { filters: update.filters, order: Column::Id, limit: 1 },
                    )
                    .into_iter()
                    .find_map(Result::ok);
                }
                database::update(world, &life, sent_at, update)
            })
            .await;
        if let (Some(connection), Some(None)) = (lease, &answer) {
            self.life.lost.borrow_mut().insert(connection);
        }
        if order::is_lost_renewal(transition, answer.as_ref()) {
            order::ends(&self.world, &self.life);
        }
        if let Some(connection) = connection {
            self.life.sequel.borrow_mut().hears(connection, transition, answer.as_ref());
            let doubt = (connection, Matter::of(transition));
            let mut doubted = self.life.doubted.borrow_mut();
            if answer.is_none() {
                doubted.insert(doubt);
            } else if doubt.1 == Matter::Channel && answer.as_ref().is_some_and(Option::is_some) {
                // What a renewal's next update meets tells what became of the last.
                doubted.remove(&doubt);
            }
        }
        if let Some(Some(row)) = &answer {
            self.life.deeds.borrow_mut().note(transition, row);
            self.life.gives_back(transition, row, self.world.now());
            self.learn(transition, row);
        }
        match answer {
            None if mutation.is_some_and(|mutation| mutation.guesses(transition)) => Ok(None),
            answer => answer.ok_or(DatabaseUnavailable),
        }
    }

    async fn select(
        &self,
        mut query: Query,
        timeout: Duration,
    ) -> Result<Vec<Result<Connection, UnreadableRow>>, DatabaseUnavailable> {
        let mutation = self.world.settings.mutation;
        if let Some(mutation) = mutation {
            if mutation.hides(&query) {
                return Ok(Vec::new());
            }
            mutation.rewrite_query(&mut query);
        }
        order::asks(&self.world, &self.life, &query);
        let asked = query.clone();
        let answer = self.call(timeout, false, move |world| database::select(world, &query)).await;
        if let Some(rows) = &answer {
            order::finds(&self.world, &self.life, &asked, rows.iter().flatten());
        }
        if let [Filter::Eq(Column::Id, Value::Uuid(id))] = asked.filters[..] {
            let connection = connection_number(ConnectionId(id));
            if self.life.sequel.borrow_mut().reads(connection) {
                let is_gone = answer.as_ref().is_some_and(Vec::is_empty);
                if is_gone {
                    sequel::row_is_gone(&self.world, &self.life, connection);
                }
                let overlooks = mutation.is_some_and(Mutation::overlooks_deletions);
                return answer.filter(|_| !(is_gone && overlooks)).ok_or(DatabaseUnavailable);
            }
        }
        let row = answer.as_ref().and_then(|rows| rows.first()?.as_ref().ok());
        self.life.read.replace(row.cloned());
        answer.ok_or(DatabaseUnavailable)
    }

    async fn count(&self, filters: Vec<Filter>, timeout: Duration) -> Result<u64, DatabaseUnavailable> {
        let (life, clock) = (Rc::clone(&self.life), self.life.clock(self.world.now()));
        let answer = self
            .call(timeout, false, move |world| {
                life.deeds.borrow_mut().remaining = Some(answer::owed_and_due(world, clock));
                world.database.count(&filters)
            })
            .await;
        let hidden = self.world.settings.mutation.is_some_and(Mutation::hides_count);
        answer.map(|count| if hidden { 0 } else { count }).ok_or(DatabaseUnavailable)
    }
}

impl Google for Instance {
    async fn watch(
        &self,
        access_token: &AccessToken,
        calendar: Option<&CalendarId>,
        channel: &ChannelId,
        token: &ChannelToken,
        timeout: Duration,
    ) -> Result<OpenedChannel, WatchFailure> {
        let connection = self.world.connection_of(channel);
        self.life.renewing.borrow_mut().extend(connection.map(|connection| (connection, channel.clone())));
        if let Some(connection) = connection {
            self.judge_watch(connection, channel);
        }
        if self.world.settings.mutation == Some(Mutation::StopBeforeCommit)
            && let Some(row) = connection.and_then(|connection| self.world.row(connection))
            && let (Some(current), Some(resource)) = (&row.webhook_id, &row.webhook_resource_id)
        {
            let _ = google::stop(&self.world, access_token, current, resource);
        }
        let crashes = self.world.broken(connection) == Some(Broken::WatchCrashes);
        let (access_token, calendar) = (access_token.clone(), calendar.cloned());
        let (channel, token) = (channel.clone(), token.clone());
        let id = channel.clone();
        self.wait_for_google().await;
        let answer = self
            .call(timeout, crashes, move |world| {
                google::watch(world, &access_token, calendar.as_ref(), &channel, &token)
            })
            .await
            .unwrap_or(Err(WatchFailure::Doubtful(RenewalFailure::GoogleUnavailable)));
        if let Some(connection) = connection {
            match &answer {
                Ok(_) => {
                    self.life.opened.borrow_mut().insert(id, connection);
                }
                Err(failure) => {
                    self.life.answers.borrow_mut().insert(connection, failure.into());
                }
            }
        }
        answer
    }

    async fn stop(
        &self,
        access_token: &AccessToken,
        channel: &ChannelId,
        resource: &ResourceId,
        timeout: Duration,
    ) -> Result<(), StopFailure> {
        if self.world.settings.mutation == Some(Mutation::UnstoppedChannels) {
            return Ok(());
        }
        self.life.opened.borrow_mut().remove(channel);
        self.judge_stop(channel);
        if let Some((connection, Some(known))) = self.life.to_stop.borrow_mut().remove(channel)
            && known != *resource
        {
            let what = format!("{} stops a channel by another resource than its own", self.life);
            self.world.broke(Promise::OneLiveChannel, Some(connection), what);
        }
        let (access_token, channel, resource) = (access_token.clone(), channel.clone(), resource.clone());
        self.call(timeout, false, move |world| google::stop(world, &access_token, &channel, &resource))
            .await
            .unwrap_or(Err(StopFailure { status: None }))
    }

    async fn renew_token(
        &self,
        refresh_token: &RefreshToken,
        timeout: Duration,
    ) -> Result<RenewedToken, RenewalFailure> {
        let connection = self.world.consenting(refresh_token);
        self.judge_refresh(connection);
        let refresh_token = refresh_token.clone();
        self.wait_for_google().await;
        let answer = self.call(timeout, false, move |world| google::refresh(world, &refresh_token)).await;
        let answer = answer.unwrap_or(Err(RenewalFailure::GoogleUnavailable));
        match &answer {
            Ok(refreshed) => {
                self.life.rotated.replace(refreshed.refresh_token.clone());
            }
            Err(failure) => {
                let said = GoogleSaid { code: failure.code(), doubtful: false, wants_another_id: false };
                let answers = connection.map(|connection| (connection, said));
                self.life.answers.borrow_mut().extend(answers);
            }
        }
        answer
    }
}

impl Recalculation for Instance {
    async fn recalculate(&self, run: Run, timeout: Duration) -> Result<(), RunFailure> {
        let world = &self.world;
        let connection = connection_number(run.connection);
        let timeout = micros(timeout);
        self.judge_call(connection, timeout);
        let journey = self.journey(timeout);
        self.life.runs.set(self.life.runs.get() + 1);
        if let Some(claim) = self.life.claims.borrow_mut().get_mut(&connection) {
            claim.called = true;
        }
        world.ledger(connection, |ledger| ledger.calls.push(world.now()));
        let refusing = world.phase.get() == Phase::Refusing;
        if refusing || world.happens(Fault::RefusedRuns) {
            world.executor.sleep(journey.arrives_after.unwrap_or_default().min(SECOND)).await;
            self.life.refused_at.set(Some(world.now()));
            let seconds = if refusing { 40 } else { world.dice.below(60) };
            world.trace(Some(connection), || format!("{} is refused a nested call", self.life));
            let refused = Err(RunFailure::RateLimited { retry_after: Duration::from_secs(seconds as u64) });
            self.life.deeds.borrow_mut().ran(connection, refused);
            return refused;
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
        let result = answer.await;
        self.life.deeds.borrow_mut().ran(connection, result);
        if matches!(result, Err(RunFailure::TimedOut | RunFailure::Unreachable)) {
            self.life.hanging.borrow_mut().insert(connection);
        } else {
            self.life.hanging.borrow_mut().remove(&connection);
        }
        if world.broken(Some(connection)) == Some(Broken::RunsCrash) {
            self.crash_after(0);
            pending::<()>().await;
        }
        result
    }

    fn lease(&self) -> Duration {
        self.world.settings.mutation.map_or(RUN_LEASE, Mutation::lease)
    }
}

impl Clock for Instance {
    fn now(&self) -> Timestamp {
        timestamp(self.life.clock(self.world.now()))
    }

    async fn sleep(&self, duration: Duration) {
        self.judge_sleep(micros(duration));
        self.suffer(micros(duration));
        self.world.executor.sleep(micros(duration)).await;
    }
}

impl Entropy for Instance {
    fn random(&self) -> u128 {
        self.world.dice.bits()
    }
}

impl Log for Instance {
    fn log(&self, event: Event) {
        let (connection, renewal, wrong) = match event {
            Event::ChannelOpened { connection, .. } => (connection, true, false),
            Event::RenewalFailed { connection, .. } | Event::RenewalSuperseded { connection } => {
                (connection, true, true)
            }
            Event::RunLeaseLost { connection } => (connection, false, true),
            Event::RunSucceeded { connection, .. }
            | Event::RunFailed { connection, .. }
            | Event::ChannelRetired { connection, .. }
            | Event::ChannelStopped { connection, .. }
            | Event::ChannelNotStopped { connection, .. } => (connection, false, false),
            Event::UnreadableRow(_) | Event::CallFailed { .. } => return,
        };
        let connection = connection_number(connection);
        self.world.trace(Some(connection), || format!("{} logs {}", self.life, event.name()));
        if matches!(event, Event::RenewalSuperseded { .. }) {
            // Whoever was faster has it now, the run included.
            self.life.asked.borrow_mut().remove(&connection);
        }
        if renewal {
            order::ends(&self.world, &self.life);
            self.life.refreshes.borrow_mut().remove(&connection);
            self.life.renewing.borrow_mut().remove(&connection);
        }
        if wrong {
            self.judge_complaint(connection, event.name());
        }
    }
}
