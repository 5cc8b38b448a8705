//! What an instance leaves undone that ends by itself, and knows of everything that it did.

use std::rc::Rc;

use protocol::Timestamp;
use protocol::connection::Connection;

use crate::life::{Life, Matter, Purpose};
use crate::promise::Promise;
use crate::sequel;
use crate::time::{Instant, SECOND, instant};
use crate::world::World;

/// Until then a sweep makes runs, less the time to ask for one.
const SWEEP_RUNS: Instant = 8 * SECOND;
/// Until then everybody else does, and renewals are not given back.
const RUNS: Instant = 44 * SECOND;

pub(crate) fn judge(world: &World, life: &Rc<Life>) {
    if life.frozen.get() {
        return;
    }
    if life.age(world.now()) > 100 * SECOND {
        world.broke(Promise::WorkIsBounded, None, format!("{life} went on for longer than 100 s"));
    }
    if let Some(connection) = life.lost.borrow().first() {
        let what = format!("{life} learned that its lease was lost, and asked for no other run");
        world.broke(Promise::TheLastWordIsNotStale, Some(*connection), what);
    }
    sequel::judge(world, life);
    judge_channels(world, life);
    for (connection, pending) in &*life.pending.borrow() {
        let named =
            world.row(*connection).is_some_and(|row| row.webhook_pending_id.as_ref() == Some(pending));
        let doubtful = life.answers.borrow().get(connection).is_some_and(|answer| answer.doubtful);
        if named && !doubtful && !life.doubts(*connection, Matter::Channel) {
            let what = format!("{life} ends, and its pending id stays behind");
            world.broke(Promise::EverythingIsBooked, Some(*connection), what);
        }
    }
    for (connection, claim) in &*life.claims.borrow() {
        let held =
            world.row(*connection).is_some_and(|row| instant(row.sync_lease_until) == claim.lease_until);
        if held && !life.hanging.borrow().contains(connection) && !life.doubts(*connection, Matter::Run) {
            let what = format!("{life} ends, and its lease stays behind");
            world.broke(Promise::EverythingRecovers, Some(*connection), what);
        }
    }
    judge_runs(world, life);
    judge_released(world, life);
    if life.is_to_retire.get() {
        let what = format!("{life} learned that its connection is paused, and keeps the channel");
        world.broke(Promise::PausedMeansPaused, life.connection(), what);
    }
}

/// Whoever opens a channel that is not stored, or replaces one or gives it up, asks Google to stop it.
fn judge_channels(world: &World, life: &Rc<Life>) {
    let google = world.google.borrow();
    let opened = life.opened.borrow();
    let not_stored = opened.iter().filter(|(_, connection)| !life.doubts(**connection, Matter::Channel));
    for (id, connection) in not_stored.chain(life.to_stop.borrow().iter().map(|(id, (of, _))| (id, of))) {
        if google.channel(id).is_some_and(|channel| channel.is_live(world.now())) {
            let what = format!("{life} ends, and a channel that it should stop stays behind");
            world.broke(Promise::OneLiveChannel, Some(*connection), what);
        }
    }
}

/// Whoever gives back the lease of a run that is due in a few seconds waits for it, and does not leave it to the sweep.
fn judge_released(world: &World, life: &Life) {
    for (connection, (at, row)) in &*life.released.borrow() {
        let claim = life.claims.borrow().get(connection).copied();
        let Some(claim) = claim.filter(|claim| claim.live && row.is_live()) else { continue };
        let wait = instant(row.sync_not_before) - life.clock(*at);
        // Twice the run before, or what a wait leaves for a run.
        let needs = wait.max(0) + (2 * (at - claim.sent_at)).max(10 * SECOND) + 6 * SECOND;
        let in_time = life.age(*at) + needs < 70 * SECOND;
        if wait <= life.patience()
            && life.purpose != Purpose::Sweep
            && in_time
            && life.refused_at.get().is_none()
        {
            let what = format!("{life} leaves to the sweep a run that is due in {} s", wait / SECOND);
            world.broke(Promise::ChangesAreSeenPromptly, Some(*connection), what);
        }
    }
}

/// Whoever asks for a run that may be made at once makes it, and does not leave it to the sweep.
fn judge_runs(world: &World, life: &Rc<Life>) {
    let in_time = match life.purpose {
        Purpose::Sweep => life.is_quiet(world) && life.runs.get() < 25,
        _ => life.age(world.now()) < RUNS,
    };
    for (connection, (asked_at, asked)) in &*life.asked.borrow() {
        let early = life.purpose != Purpose::Sweep || life.age(*asked_at) < SWEEP_RUNS;
        let free = |row: &Connection| row.is_live() && row.sync_lease_until == Timestamp::default();
        let still_owed = world.row(*connection).is_some_and(|row| {
            let same = (row.sync_request_id, row.sync_attempts, row.sync_not_before)
                == (asked.sync_request_id, asked.sync_attempts, asked.sync_not_before);
            same && free(&row)
        });
        let doubts = life.doubts(*connection, Matter::Run) || life.doubts(*connection, Matter::Channel);
        let called = life.claims.borrow().contains_key(connection) || life.refused_at.get().is_some();
        // Who paused and resumed meanwhile may have kept it from its claim.
        let undisturbed = world.disturbed_at.get() < *asked_at;
        if in_time && early && still_owed && undisturbed && !doubts && !called {
            let what = format!("{life} asked for a run that could be made, and made none");
            world.broke(Promise::ChangesAreSeenPromptly, Some(*connection), what);
        }
    }
}
