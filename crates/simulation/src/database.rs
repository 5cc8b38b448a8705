//! The table and a replica that lags behind it; every update is judged as it takes effect.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use protocol::Timestamp;
use protocol::connection::{ChannelId, Connection, ConnectionId, UnreadableRow};
use protocol::memory::Table;
use protocol::table::{Column, Filter, Query, Update, Value};

use crate::executor::{HOUR, Instant, MINUTE, SECOND};
use crate::fault::Fault;
use crate::google::short;
use crate::instance::{Claim, Life, Purpose, RUN_LEASE, micros};
use crate::judgement;
use crate::promise::Promise;
use crate::world::{Phase, Renewal, World, connection_id, connection_number, instant, timestamp};

pub(crate) struct Database {
    table: Table,
    /// Where reads may be answered from a replica.
    replica: Option<Replica>,
}

struct Replica {
    table: Table,
    behind: RefCell<VecDeque<(Instant, Change)>>,
}

#[derive(Clone)]
enum Change {
    Insert(ConnectionId, Vec<(Column, Value)>),
    Write(ConnectionId, Vec<(Column, Value)>),
    Update(Update),
    Delete(ConnectionId),
}

impl Database {
    pub(crate) fn new(replicated: bool) -> Self {
        let replica = replicated.then(|| Replica { table: Table::default(), behind: RefCell::default() });
        Self { table: Table::default(), replica }
    }

    pub(crate) fn count(&self, filters: &[Filter]) -> u64 {
        self.table.count(filters)
    }

    /// Makes a change to the table, and later to the replica.
    fn make(&self, now: Instant, change: Change) -> Option<Connection> {
        let answer = change.apply(&self.table);
        if let Some(replica) = &self.replica {
            replica.behind.borrow_mut().push_back((now, change));
        }
        answer
    }
}

impl Change {
    fn apply(&self, table: &Table) -> Option<Connection> {
        match self {
            Self::Insert(id, values) => {
                table.insert(*id, values.clone());
                table.connection(*id)
            }
            Self::Write(id, set) => {
                table.write(*id, set.clone());
                table.connection(*id)
            }
            Self::Update(update) => table.update(update),
            Self::Delete(id) => {
                table.delete(*id);
                None
            }
        }
    }
}

impl Replica {
    fn catch_up(&self, until: Instant) {
        let mut behind = self.behind.borrow_mut();
        while behind.front().is_some_and(|(at, _)| *at <= until) {
            if let Some((_, change)) = behind.pop_front() {
                change.apply(&self.table);
            }
        }
    }
}

/// The host app inserts a row.
pub(crate) fn insert(world: &World, connection: usize, values: Vec<(Column, Value)>) -> Option<Connection> {
    world.database.make(world.now(), Change::Insert(connection_id(connection), values))
}

/// The host app or a user writes, past every filter of the protocol.
pub(crate) fn write(world: &World, connection: usize, set: Vec<(Column, Value)>) {
    let after = world.database.make(world.now(), Change::Write(connection_id(connection), set));
    world.ledger(connection, |ledger| ledger.row = after);
}

pub(crate) fn delete(world: &World, connection: usize) {
    world.database.make(world.now(), Change::Delete(connection_id(connection)));
    world.ledger(connection, |ledger| ledger.row = None);
}

pub(crate) fn select(world: &World, query: &Query) -> Vec<Result<Connection, UnreadableRow>> {
    match &world.database.replica {
        Some(replica) if world.happens(Fault::StaleReads) => {
            replica.catch_up(world.now() - world.dice.mostly_low(0, 5 * SECOND));
            replica.table.select(query)
        }
        _ => world.database.table.select(query),
    }
}

/// A function's update takes effect.
pub(crate) fn update(
    world: &Rc<World>,
    life: &Rc<Life>,
    sent_at: Instant,
    update: Update,
) -> Option<Connection> {
    let update = match world.settings.mutation {
        Some(mutation) => mutation.rewrite(update, |filters| matching(world, filters)),
        None => update,
    };
    let set = update.set.clone();
    let connection = target(world, &update);
    let before = connection.and_then(|connection| world.row(connection));
    let after = world.database.make(world.now(), Change::Update(update));
    world.trace(connection, || format!("{life} {}", describe(&set, after.is_some())));
    let after = after?;
    if !set.is_empty() {
        life.wrote.set(true);
    }
    let connection = connection_number(after.id);
    if connection >= world.ledgers.borrow().len() {
        world.broke(Promise::OnlyTheAffectedUser, None, format!("{life} changed a row that is not Google's"));
    }
    world.ledger(connection, |ledger| ledger.row = Some(after.clone()));
    let before = before?;
    judge(world, life, &Step { connection, sent_at, set: &set, before: &before, after: &after });
    Some(after)
}

/// The row that an update is about, whether or not it meets every filter.
fn target(world: &World, update: &Update) -> Option<usize> {
    update.filters.iter().find_map(|filter| match filter {
        Filter::Eq(Column::Id, Value::Uuid(id)) => Some(connection_number(ConnectionId(*id))),
        Filter::Eq(Column::WebhookTokenHash, Value::Text(hash)) => world
            .ledgers
            .borrow()
            .iter()
            .position(|ledger| ledger.row.as_ref().is_some_and(|row| row.webhook_token.expose() == hash)),
        _ => None,
    })
}

/// Whose lease an update depends on, if a run was made under it.
pub(crate) fn held_lease(world: &World, life: &Life, update: &Update) -> Option<usize> {
    let fenced_by =
        |column| update.filters.iter().any(|filter| matches!(filter, Filter::Eq(by, _) if *by == column));
    // One that depends on the request as well may also meet a newer request.
    let fenced = fenced_by(Column::SyncLeaseUntil) && !fenced_by(Column::SyncRequestId);
    let connection = target(world, update).filter(|_| fenced)?;
    life.claims.borrow().get(&connection).filter(|claim| claim.called).map(|_| connection)
}

/// Whom an update asks another run of, whatever the row says.
pub(crate) fn asks_for_a_run(update: &Update) -> Option<usize> {
    match (&update.filters[..], &update.set[..]) {
        ([Filter::Eq(Column::Id, Value::Uuid(id))], [(Column::SyncRequestId, Value::Uuid(_))]) => {
            Some(connection_number(ConnectionId(*id)))
        }
        _ => None,
    }
}

/// Whether a row tells that its runs fail.
pub(crate) fn has_run_error(world: &World, connection: usize) -> bool {
    let failing =
        [Filter::Eq(Column::Id, connection_id(connection).into()), Filter::NotNull(Column::SyncError)];
    world.database.count(&failing) > 0
}

/// Whether a channel's `sync` message is noted.
pub(crate) fn is_confirmed(world: &World, connection: usize, channel: &ChannelId) -> bool {
    let confirmed = [
        Filter::Eq(Column::Id, connection_id(connection).into()),
        Filter::Eq(Column::WebhookConfirmedId, channel.into()),
    ];
    world.database.count(&confirmed) > 0
}

fn matching(world: &World, filters: &[Filter]) -> Option<Connection> {
    world.database.table.update(&Update { filters: filters.to_vec(), set: Vec::new() })
}

/// What a function's clock may be off.
const SKEW: Instant = 10 * SECOND;

struct Step<'a> {
    connection: usize,
    sent_at: Instant,
    set: &'a [(Column, Value)],
    before: &'a Connection,
    after: &'a Connection,
}

impl Step<'_> {
    fn sets(&self, column: Column) -> Option<&Value> {
        self.set.iter().find(|(set, _)| *set == column).map(|(_, value)| value)
    }
}

fn judge(world: &Rc<World>, life: &Rc<Life>, step: &Step<'_>) {
    judge_target(world, life, step);
    judge_ids(world, step);
    judge_request(world, life, step);
    judge_consent(world, life, step);
    if step.sets(Column::WebhookError).is_some() || step.sets(Column::WebhookPendingId) == Some(&Value::Null)
    {
        life.renewing.borrow_mut().remove(&step.connection);
    }
    if let Some(Value::Text(error)) = step.sets(Column::WebhookError) {
        let left = instant(step.after.webhook_lease_until) - life.clock(step.sent_at);
        if !(5 * SECOND..30 * SECOND).contains(&left) {
            let what = format!("after {error} nobody tries again for {} s", left / SECOND);
            world.broke(Promise::WorkIsBounded, Some(step.connection), what);
        }
    }
    if step.sets(Column::LastSyncAt).is_some() && step.after.sync_lease_until == Timestamp::default() {
        let braked = instant(step.after.sync_not_before) - life.clock(step.sent_at);
        if braked > 2 * MINUTE + SECOND {
            let what = format!("the brake holds for {} s", braked / SECOND);
            world.broke(Promise::ChangesAreSeenPromptly, Some(step.connection), what);
        }
    }
    if let Some(Value::Text(_)) = step.sets(Column::WebhookPendingId) {
        // An id written over another one goes on with the other's claim.
        let claims = step.sets(Column::WebhookLeaseUntil).is_some();
        world.ledger(step.connection, |ledger| {
            let live = !claims || step.after.is_live();
            let replaced = ledger
                .renewals
                .iter()
                .find(|renewal| Some(&renewal.channel) == step.before.webhook_pending_id.as_ref());
            let claimed_at = replaced.filter(|_| !claims).map_or(world.now(), |renewal| renewal.claimed_at);
            ledger.renewals.extend(step.after.webhook_pending_id.iter().map(|id| Renewal {
                channel: id.clone(),
                claimed_at,
                live,
                holder: Some(Rc::clone(life)),
            }));
        });
        judge_superseded(world, life, step);
        let pending = step.after.webhook_pending_id.clone();
        life.pending.borrow_mut().extend(pending.map(|pending| (step.connection, pending)));
        if claims {
            life.watches.borrow_mut().remove(&step.connection);
            judge_renewal(world, life, step);
        }
    }
    if let Some(Value::Time(lease_until)) = step.sets(Column::SyncLeaseUntil)
        && *lease_until > Timestamp::default()
    {
        let lease_until = instant(*lease_until);
        let before = instant(step.before.sync_lease_until);
        let own = life.claims.borrow().get(&step.connection).is_some_and(|claim| claim.lease_until == before);
        if !own && before > world.now() + SKEW {
            let what = format!("{life} took over a run's lease that holds");
            world.broke(Promise::OneRunAtATime, Some(step.connection), what);
        }
        if !own && instant(step.before.sync_not_before) > world.now() + SKEW {
            let what = format!("{life} claimed a run before it was due");
            world.broke(Promise::WorkIsBounded, Some(step.connection), what);
        }
        if !life.frozen.get() && lease_until > step.sent_at + micros(RUN_LEASE) + SECOND + SKEW {
            let what = format!("{life} keeps others out for longer than a lease");
            world.broke(Promise::EverythingRecovers, Some(step.connection), what);
        }
        let claim = Claim { lease_until, live: step.after.is_live(), sent_at: step.sent_at, called: false };
        life.claims.borrow_mut().insert(step.connection, claim);
    }
}

fn judge_target(world: &World, life: &Life, step: &Step<'_>) {
    let connection = Some(step.connection);
    if life.purpose == Purpose::Forged {
        world.broke(Promise::ForgeriesChangeNothing, connection, "a forged notification changed a row");
    } else if life.connection().is_some_and(|own| own != step.connection) {
        world.broke(Promise::OnlyTheAffectedUser, connection, format!("{life} changed another's row"));
    }
}

fn ids(row: &Connection) -> impl Iterator<Item = &ChannelId> {
    row.webhook_id.iter().chain(&row.webhook_pending_id)
}

fn judge_ids(world: &Rc<World>, step: &Step<'_>) {
    let come_back = world.ledger(step.connection, |ledger| {
        let gone = ids(step.before).filter(|id| !ids(step.after).any(|after| after == *id));
        ledger.gone.extend(gone.map(|id| (id.clone(), world.now())));
        ids(step.after).find(|id| ledger.gone.iter().any(|(gone, _)| gone == *id)).cloned()
    });
    // Instances of less quiet times may go on for a while.
    if world.now() > world.quiet_from.get().saturating_add(HOUR) {
        for id in ids(step.before).filter(|id| !ids(step.after).any(|after| after == *id)) {
            let (server, connection, id) = (Rc::clone(world), step.connection, id.clone());
            world.executor.at(world.now() + 2 * MINUTE, move || {
                judgement::what_was_given_up_is_stopped(&server, connection, &id);
            });
        }
    }
    if let Some(id) = come_back.flatten() {
        let what = format!("id {} was out of both columns and came back", short(&id));
        world.broke(Promise::IdsNeverComeBack, Some(step.connection), what);
    }
}

/// Every reason to run is a request of its own, and tells when it arose.
fn judge_request(world: &World, life: &Life, step: &Step<'_>) {
    let Some(request) = step.after.sync_request_id.filter(|_| step.sets(Column::SyncRequestId).is_some())
    else {
        return;
    };
    if !world.requests.borrow_mut().insert(request) {
        let what = format!("{life} wrote a request that was there before");
        world.broke(Promise::NoChangeIsLost, Some(step.connection), what);
    }
    // What the clock is off, and what looks and a slow request take.
    let tolerance = SKEW + 15 * SECOND;
    let age = request.arose_at().map(|arose_at| (world.now() - instant(arose_at)).abs());
    if !life.frozen.get() && age.is_none_or(|age| age > tolerance) {
        let what = format!("{life} wrote a request that does not tell when it arose");
        world.broke(Promise::EchoesAreBraked, Some(step.connection), what);
    }
}

fn judge_consent(world: &World, life: &Life, step: &Step<'_>) {
    let Step { connection, before, after, .. } = *step;
    let mixed = |what: &str| world.broke(Promise::ConsentsAreNotMixed, Some(connection), what);
    if before.access_token != after.access_token
        && let (Some(access), Some(refresh)) = (&after.access_token, &after.refresh_token)
        && !world.google.borrow().belong_together(access, refresh)
    {
        mixed("an access token of another consent was stored");
    }
    if step.sets(Column::AccessToken).is_some()
        && let (Some(rotated), Some(stored)) = (life.rotated.borrow().as_ref(), &after.refresh_token)
        && rotated != stored
        && life.connection() == Some(connection)
    {
        mixed("a refresh token that Google gave was not stored");
    }
    if let Some(Value::Text(error)) = step.sets(Column::WebhookError)
        && life.sources.borrow().get(&connection).is_some_and(|source| *source != before.webhook_source)
    {
        mixed(&format!("{error} of another consent or calendar was stored"));
    }
    if let Some(Value::Text(_)) = step.sets(Column::WebhookError)
        && life.pending.borrow().get(&connection) != before.webhook_pending_id.as_ref()
    {
        let what = format!("{life} wrote its failure over somebody else's renewal");
        world.broke(Promise::OneLiveChannel, Some(connection), what);
    }
    if step.sets(Column::AccessToken).is_some() || step.sets(Column::WebhookLeaseUntil).is_some() {
        life.sources.borrow_mut().insert(connection, after.webhook_source.clone());
    }
    if before.webhook_id != after.webhook_id {
        let committed_at = after.webhook_id.is_some().then(|| world.now());
        world.ledger(connection, |ledger| ledger.committed_at = committed_at);
    }
    if before.webhook_id.is_some() && after.webhook_id.is_none() && before.is_live() {
        let what = "the channel of a live connection was given up";
        world.broke(Promise::NoGap, Some(connection), what);
    }
    if before.webhook_id != after.webhook_id
        && let Some(id) = &after.webhook_id
    {
        if !after.is_live() {
            world.broke(Promise::PausedMeansPaused, Some(connection), "a channel was stored while paused");
        }
        let google = world.google.borrow();
        let channel = google.channel(id);
        if channel.map(|channel| channel.calendar) != world.calendar_of(after) {
            mixed("a channel of another account or calendar was stored");
        }
        if channel.is_none_or(|channel| channel.stopped_at.is_some()) {
            let what = format!("channel {} was stored, and it is stopped", short(id));
            world.broke(Promise::NoGap, Some(connection), what);
        }
        if channel.map(|channel| timestamp(channel.expires_at)) != after.webhook_expiration {
            mixed("a channel was stored with another expiration than Google's");
        }
        let previous = before.webhook_id.as_ref().and_then(|previous| google.channel(previous));
        let healthy = world.phase.get() != Phase::Faults && world.broken(Some(connection)).is_none();
        if previous.is_some_and(|previous| {
            healthy && previous.opened_at > world.quiet_from.get() && previous.expires_at < world.now()
        }) {
            world.broke(Promise::NoGap, Some(connection), "a channel expired before it was replaced");
        }
    }
}

/// A renewal that goes on keeps its pending id until it gives it up.
fn judge_superseded(world: &World, life: &Rc<Life>, step: &Step<'_>) {
    let Some(pending) = &step.before.webhook_pending_id else { return };
    let holder = world.ledger(step.connection, |ledger| {
        let renewal = ledger.renewals.iter().find(|renewal| renewal.channel == *pending)?;
        renewal.holder.clone()
    });
    let Some(holder) = holder.flatten() else { return };
    let renewing = holder.renewing.borrow().get(&step.connection) == Some(pending);
    if renewing && !Rc::ptr_eq(&holder, life) && !holder.crashed.get() && !holder.frozen.get() {
        let what = format!("channel {} was given up while {holder} opens it", short(pending));
        world.broke(Promise::TheCurrentChannelIsNeverStopped, Some(step.connection), what);
    }
}

/// A renewal was claimed.
fn judge_renewal(world: &World, life: &Life, step: &Step<'_>) {
    let Step { connection, before, .. } = *step;
    let now = world.now();
    let committed_at = world.ledger(connection, |ledger| ledger.committed_at);
    // The 30 s of the button, less what two clocks may differ and what a commit may take.
    let too_soon = committed_at.flatten().is_some_and(|at| now - at < 4 * SECOND);
    if matches!(life.purpose, Purpose::Button(_)) && too_soon {
        world.broke(Promise::WorkIsBounded, Some(connection), "the button renewed twice within seconds");
    }
    if matches!(life.purpose, Purpose::Button(_)) && before.sync_request_id == step.after.sync_request_id {
        world.broke(Promise::NoChangeIsLost, Some(connection), "the button asks for no run");
    }
    if instant(before.webhook_lease_until) > now + SKEW {
        let what = format!("{life} took over a renewal's lease that holds");
        world.broke(Promise::OneLiveChannel, Some(connection), what);
    }
    let lease = instant(step.after.webhook_lease_until) - life.clock(step.sent_at);
    if !(75 * SECOND..=2 * MINUTE).contains(&lease) {
        let what = format!("{life} claimed a renewal for {} s", lease / SECOND);
        world.broke(Promise::OneLiveChannel, Some(connection), what);
    }
    if life.purpose == Purpose::Sweep && instant(before.webhook_not_before) > now + SKEW {
        let what = format!("{life} claimed a renewal before it was due");
        world.broke(Promise::WorkIsBounded, Some(connection), what);
    }
    let well = before.is_well(timestamp(now + 15 * SECOND)) && before.is_well(timestamp(now - 15 * SECOND));
    if matches!(life.purpose, Purpose::Setup(_) | Purpose::Sweep) && well {
        let what = format!("{life} renewed a channel that was well");
        world.broke(Promise::WorkIsBounded, Some(connection), what);
    }
}

fn describe(set: &[(Column, Value)], applied: bool) -> String {
    let set: Vec<_> = set
        .iter()
        .map(|(column, value)| match value {
            Value::Time(time) if *time == Timestamp::default() => format!("{}=epoch", column.name()),
            Value::Time(time) => {
                #[expect(clippy::cast_precision_loss, reason = "a history lasts days, not centuries")]
                let seconds = (instant(*time) - crate::world::START) as f64 / 1e6;
                format!("{}={seconds:.3}", column.name())
            }
            Value::Uuid(id) => format!("{}=…{}", column.name(), last(&id.to_string())),
            Value::Text(text) => format!("{}={}", column.name(), text.get(..6).unwrap_or(text)),
            value => format!("{}={value:?}", column.name()),
        })
        .collect();
    format!("{}: {}", if applied { "writes" } else { "would write, but no row" }, set.join(" "))
}

/// The random end of a UUID.
pub(crate) fn last(id: &str) -> &str {
    id.get(id.len().saturating_sub(4)..).unwrap_or(id)
}
