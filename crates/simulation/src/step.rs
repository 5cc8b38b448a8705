//! One update of one row, judged as it takes effect.

use std::rc::Rc;

use protocol::Timestamp;
use protocol::connection::{ChannelId, Connection};
use protocol::table::{Column, Value};
use protocol::transition::Transition;

use crate::assumption::{RUN_LEASE, SKEW};
use crate::booking;
use crate::google::short;
use crate::instance::{self};
use crate::judgement;
use crate::life::{Claim, Life, Purpose};
use crate::promise::Promise;
use crate::time::{HOUR, Instant, MINUTE, SECOND, instant, micros, timestamp};
use crate::world::{Phase, Renewal, World, arose_at, is_well};

/// An update that took effect on one row.
pub(crate) struct Step<'a> {
    pub(crate) transition: Transition,
    pub(crate) connection: usize,
    pub(crate) sent_at: Instant,
    pub(crate) set: &'a [(Column, Value)],
    pub(crate) before: &'a Connection,
    pub(crate) after: &'a Connection,
}

impl Step<'_> {
    pub(crate) fn sets(&self, column: Column) -> Option<&Value> {
        self.set.iter().find(|(set, _)| *set == column).map(|(_, value)| value)
    }
}

pub(crate) fn judge(world: &Rc<World>, life: &Rc<Life>, step: &Step<'_>) {
    judge_target(world, life, step);
    judge_ids(world, step);
    judge_request(world, life, step);
    judge_consent(world, life, step);
    if matches!(
        step.transition,
        Transition::CommitChannel
            | Transition::DisownChannel
            | Transition::FailRenewal
            | Transition::DoubtChannel
            | Transition::ReleaseRenewal
            | Transition::RetireChannel
    ) {
        life.renewing.borrow_mut().remove(&step.connection);
    }
    booking::judge(world, life, step);
    note_replaced(life, step);
    note_asked(life, step, world.now());
    if matches!(step.transition, Transition::ClaimRenewal | Transition::ReissueChannel) {
        // An id written over another one goes on with the other's claim.
        let claims = step.transition == Transition::ClaimRenewal;
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
            life.refreshes.borrow_mut().insert(step.connection, 0);
            instance::thaw_superseded(world, life, step.connection);
            judge_renewal(world, life, step);
        }
    }
    judge_lease(world, life, step);
}

/// What is to be stopped once the step is known to have taken effect.
fn note_replaced(life: &Life, step: &Step<'_>) {
    let Step { connection, before, after, .. } = *step;
    if let Some(id) = &after.webhook_id {
        life.opened.borrow_mut().remove(id);
    }
    let current = || before.webhook_id.clone().map(|id| (id, before.webhook_resource_id.clone()));
    if step.transition == Transition::RetireChannel {
        // Without its resource id it cannot be stopped.
        let known = current().filter(|(_, resource)| resource.is_some());
        life.replaces.borrow_mut().insert(connection, known.into_iter().collect());
    } else if step.transition == Transition::ClaimRenewal {
        // What became of an earlier renewal's may not be known.
        life.opened.borrow_mut().retain(|_, of| *of != connection);
        let abandoned = before.webhook_pending_id.clone().map(|id| (id, None));
        life.replaces.borrow_mut().insert(connection, current().into_iter().chain(abandoned).collect());
    }
}

/// Whether the run that the step asks for may be made at once, or soon.
fn note_asked(life: &Life, step: &Step<'_>, now: Instant) {
    if let Some(Value::Uuid(_)) = step.sets(Column::SyncRequestId) {
        note_owed(life, step.connection, step.after, now);
    }
}

pub(crate) fn note_owed(life: &Life, connection: usize, row: &Connection, now: Instant) {
    let free = row.is_live()
        && row.sync_request_id.is_some()
        && row.sync_lease_until == Timestamp::default()
        && instant(row.sync_not_before) <= life.clock(now) + life.patience();
    life.asked.borrow_mut().remove(&connection);
    life.asked.borrow_mut().extend(free.then(|| (connection, (now, row.clone()))));
}

/// A run's lease is taken when it is over and something is owed and due, and otherwise touched by its holder alone.
fn judge_lease(world: &World, life: &Life, step: &Step<'_>) {
    let held = instant(step.before.sync_lease_until);
    let own = life.claims.borrow().get(&step.connection).is_some_and(|claim| claim.lease_until == held);
    let broke = |promise, what: &str| {
        world.broke(promise, Some(step.connection), format!("{life} {what}"));
    };
    if let Some(Value::Text(_)) = step.sets(Column::SyncError)
        && !own
    {
        broke(Promise::OneRunAtATime, "wrote its error over somebody else's run");
    }
    let Some(Value::Time(lease_until)) = step.sets(Column::SyncLeaseUntil) else { return };
    if *lease_until == Timestamp::default() {
        if !own && held > 0 {
            broke(Promise::OneRunAtATime, "gave back a lease that is not its own");
        }
        return;
    }
    let lease_until = instant(*lease_until);
    if !own {
        instance::thaw_superseded(world, life, step.connection);
    }
    if !own && held > world.now() + SKEW {
        broke(Promise::OneRunAtATime, "took over a run's lease that holds");
    }
    if !own && instant(step.before.sync_not_before) > world.now() + SKEW {
        broke(Promise::WorkIsBounded, "claimed a run before it was due");
    }
    if step.before.sync_request_id.is_none() {
        broke(Promise::WorkIsBounded, "claimed a run that nobody asked for");
    }
    if !life.frozen.get() && lease_until > step.sent_at + micros(RUN_LEASE) + SECOND + SKEW {
        broke(Promise::EverythingRecovers, "keeps others out for longer than a lease");
    }
    let claim = Claim { lease_until, live: step.after.is_live(), sent_at: step.sent_at, called: false };
    life.claims.borrow_mut().insert(step.connection, claim);
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
    let age = arose_at(request).map(|arose_at| (world.now() - arose_at).abs());
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
    let failed = matches!(step.transition, Transition::FailRenewal | Transition::DoubtChannel);
    if failed
        && let Some(error) = &after.webhook_error
        && life.sources.borrow().get(&connection).is_some_and(|source| *source != before.webhook_source)
    {
        mixed(&format!("{error} of another consent or calendar was stored"));
    }
    if failed && life.pending.borrow().get(&connection) != before.webhook_pending_id.as_ref() {
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
    let well = is_well(before, timestamp(now + 15 * SECOND)) && is_well(before, timestamp(now - 15 * SECOND));
    if matches!(life.purpose, Purpose::Setup(_) | Purpose::Sweep) && well {
        let what = format!("{life} renewed a channel that was well");
        world.broke(Promise::WorkIsBounded, Some(connection), what);
    }
}
