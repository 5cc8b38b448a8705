//! Runs: one at a time, retried until one succeeds, braked when they echo.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::world::{Fate, START, World, channel, finish};
use chrono::TimeDelta;
use protocol::Timestamp;
use protocol::connection::ConnectionId;
use protocol::event::Event;
use protocol::failure::{RenewalFailure, RunFailure};
use protocol::recalculation::Reason;
use protocol::run::{Beforehand, Outcome, run};
use protocol::table::{Column, Value};

fn owing(world: &World) -> ConnectionId {
    let id = world.connect(1, channel("current"));
    world.table.write(id, [(Column::SyncRequestId, world.request())]);
    id
}

fn run_once(world: &World, id: ConnectionId) -> Outcome {
    finish(run(world, &world.targeted(), world.row(id), Reason::CalendarChanged, Beforehand::Nothing))
}

fn sweep_once(world: &World, id: ConnectionId) -> Outcome {
    finish(run(world, &world.sweeping(), world.row(id), Reason::Owed, Beforehand::Nothing))
}

#[test]
fn a_success_clears_the_request_the_lease_and_the_error() {
    let world = World::new();
    let id = owing(&world);
    world.table.write(id, [(Column::SyncError, "recalculate_500".into())]);
    assert_eq!(run_once(&world, id), Outcome::Synced);
    let row = world.row(id);
    assert_eq!(row.sync_request_id, None);
    assert_eq!(row.sync_lease_until, Timestamp::default());
    assert_eq!(row.sync_attempts, 0);
    assert_eq!(row.last_sync_at, Some(world.now.get()));
    assert_eq!(world.table.value(id, Column::SyncError), Value::Null);
}

#[test]
fn a_change_tells_that_sweeps_are_missing_where_nothing_else_kept_the_look_from_being_made() {
    let (hours, minutes) = (TimeDelta::hours, TimeDelta::minutes);
    for (look_due_since, synced_since, attempts, reason, is_told) in [
        (hours(2), Some(hours(8)), 0, Reason::CalendarChanged, true),
        (hours(2), None, 0, Reason::CalendarChanged, true),
        (hours(1), Some(hours(8)), 0, Reason::CalendarChanged, false),
        (hours(-4), Some(hours(2)), 0, Reason::CalendarChanged, false),
        // A run that was owed until then, or that still is, kept it.
        (hours(2), Some(minutes(59)), 0, Reason::CalendarChanged, false),
        (hours(2), Some(hours(8)), 1, Reason::CalendarChanged, false),
        // And so did a consent that was dead until the channel was opened.
        (hours(2), Some(hours(8)), 0, Reason::ChannelOpened, false),
    ] {
        let world = World::new();
        let id = owing(&world);
        let look_at = START - look_due_since;
        let last_sync_at = synced_since.map_or(Value::Null, |since| (START - since).into());
        world.table.write(
            id,
            [
                (Column::SyncLookAt, look_at.into()),
                (Column::LastSyncAt, last_sync_at),
                (Column::SyncAttempts, Value::Integer(attempts)),
            ],
        );
        finish(run(&world, &world.targeted(), world.row(id), reason, Beforehand::Irrelevant));
        let told = Event::SweepsMissing { connection: id, look_at };
        assert_eq!(
            world.log.borrow().contains(&told),
            is_told,
            "{look_due_since} {synced_since:?} {reason:?}"
        );
        assert_eq!(world.runs.borrow().len(), 1);
    }
}

#[test]
fn nothing_owed_not_due_paused_or_held_is_not_run() {
    let later = crate::world::START + TimeDelta::minutes(1);
    for (column, value) in [
        (Column::SyncRequestId, Value::Null),
        (Column::SyncNotBefore, Value::Time(later)),
        (Column::SyncLeaseUntil, Value::Time(later)),
        (Column::SyncEnabled, Value::Boolean(false)),
        (Column::IsActive, Value::Null),
    ] {
        let world = World::new();
        let id = owing(&world);
        world.table.write(id, [(column, value)]);
        assert_eq!(run_once(&world, id), Outcome::NotRun, "{column:?}");
        assert!(world.runs.borrow().is_empty(), "{column:?}");
        assert_eq!(world.updates.get(), 0, "{column:?}: the row itself says so");
    }
}

#[test]
fn a_request_that_arises_during_a_run_is_run_after_it() {
    let world = World::new();
    let id = owing(&world);
    world.during_run.replace(Some(Box::new(move |world| {
        world.table.write(id, [(Column::SyncRequestId, world.request())]);
    })));
    assert_eq!(run_once(&world, id), Outcome::Synced);
    let runs = world.runs.borrow();
    assert_eq!(runs.len(), 2);
    assert_ne!(runs[0].request, runs[1].request);
    assert_eq!(world.row(id).sync_request_id, None);
}

#[test]
fn a_definite_failure_gives_the_lease_back_and_is_retried_in_a_few_seconds() {
    let world = World::new();
    let id = owing(&world);
    world.run_answers.replace([Err(RunFailure::Answered(500)), Ok(())].into());
    let before = world.now.get();
    assert_eq!(run_once(&world, id), Outcome::Synced);
    assert_eq!(world.runs.borrow().len(), 2);
    assert!(
        world.now.get() - before >= TimeDelta::seconds(4),
        "two runs of a second and two seconds between"
    );
}

#[test]
fn a_retry_starts_only_if_it_can_take_twice_as_long_as_the_run_that_failed() {
    for (run_takes, runs) in [(20, 2), (22, 1)] {
        let world = World::new();
        let id = owing(&world);
        world.run_takes.set(TimeDelta::seconds(run_takes));
        world.run_answers.replace([Err(RunFailure::Answered(500))].into());
        run_once(&world, id);
        assert_eq!(world.runs.borrow().len(), runs, "runs of {run_takes} s");
    }
}

#[test]
fn a_sweep_does_not_wait_for_a_retry() {
    let world = World::new();
    let id = owing(&world);
    world.run_answers.replace([Err(RunFailure::Answered(500))].into());
    assert_eq!(sweep_once(&world, id), Outcome::Failed(RunFailure::Answered(500)));
    let row = world.row(id);
    assert_eq!(row.sync_lease_until, Timestamp::default());
    assert_eq!(row.sync_attempts, 1);
    assert!(row.sync_not_before > world.now.get());
    assert!(row.sync_request_id.is_some());
    assert_eq!(world.table.value(id, Column::SyncError), Value::Text("recalculate_500".to_owned()));
}

#[test]
fn a_callee_that_may_still_be_working_keeps_its_lease() {
    for (failure, code) in
        [(RunFailure::TimedOut, "recalculate_timeout"), (RunFailure::Unreachable, "recalculate_unreachable")]
    {
        let world = World::new();
        let id = owing(&world);
        world.run_answers.replace([Err(failure)].into());
        assert_eq!(run_once(&world, id), Outcome::Failed(failure));
        let row = world.row(id);
        assert!(row.sync_lease_until > world.now.get() + TimeDelta::minutes(2));
        assert_eq!(world.table.value(id, Column::SyncError), Value::Text(code.to_owned()));
        assert_eq!(run_once(&world, id), Outcome::NotRun, "for any caller");
        world.pass(TimeDelta::minutes(4));
        assert_eq!(sweep_once(&world, id), Outcome::Synced);
    }
}

#[test]
fn a_trailing_run_that_times_out_is_told_to_come_after_its_lease() {
    let world = World::new();
    let id = owing(&world);
    world.during_run.replace(Some(Box::new(move |world| {
        world.table.write(id, [(Column::SyncRequestId, world.request())]);
    })));
    world.run_answers.replace([Ok(()), Err(RunFailure::TimedOut)].into());
    assert_eq!(run_once(&world, id), Outcome::Failed(RunFailure::TimedOut));
    let lease = world.row(id).sync_lease_until;
    assert!(lease > world.now.get());
    let log = world.log.borrow();
    let Some(Event::RunFailed { retry_at, .. }) = log.last() else { panic!("{log:?}") };
    assert_eq!(*retry_at, Some(lease));
}

#[test]
fn a_failure_that_is_not_booked_is_told_without_a_time() {
    for failure in [RunFailure::Answered(500), RunFailure::TimedOut] {
        let world = World::new();
        let id = owing(&world);
        world.run_answers.replace([Err(failure)].into());
        world.fate.set(Some((2, Fate::Lost)));
        assert_eq!(run_once(&world, id), Outcome::Failed(failure));
        let log = world.log.borrow();
        let Some(Event::RunFailed { retry_at, .. }) = log.last() else { panic!("{log:?}") };
        assert_eq!(*retry_at, None);
    }
}

#[test]
fn a_token_endpoint_that_does_not_answer_is_told_where_the_calendar_should_have_been_seen_long_ago() {
    for (seen, told) in [(TimeDelta::hours(1), None), (TimeDelta::hours(9), Some("google_unavailable"))] {
        let world = World::new();
        let id = owing(&world);
        let before = (Column::LastSyncAt, (START - seen).into());
        world.table.write(id, [before, (Column::ExpiresAt, START.into())]);
        world.token_answers.replace([Err(RenewalFailure::GoogleUnavailable.into())].into());
        assert_eq!(run_once(&world, id), Outcome::Synced);
        assert_eq!(world.row(id).webhook_error.as_deref(), told, "{seen}");
    }
}

#[test]
fn a_refused_nested_call_takes_no_attempt_and_ends_the_invocations_runs() {
    for (retry_after, wait) in [(30, 30), (7200, 3600), (u64::MAX, 3600)] {
        let world = World::new();
        let id = owing(&world);
        let other = world.connect(2, channel("other"));
        world.table.write(other, [(Column::SyncRequestId, world.request())]);
        let failure = RunFailure::RateLimited { retry_after: Duration::from_secs(retry_after) };
        world.run_answers.replace([Err(failure)].into());
        let sweep = world.sweeping();
        assert_eq!(
            finish(run(&world, &sweep, world.row(id), Reason::Owed, Beforehand::Nothing)),
            Outcome::Failed(failure)
        );
        assert_eq!(
            finish(run(&world, &sweep, world.row(other), Reason::Owed, Beforehand::Nothing)),
            Outcome::NotRun
        );
        let row = world.row(id);
        assert_eq!((row.sync_attempts, row.sync_lease_until), (0, Timestamp::default()));
        assert_eq!(row.sync_not_before, world.now.get() + TimeDelta::seconds(wait), "an hour at most");
    }
}

#[test]
fn a_row_without_a_user_fails_without_a_call_and_gives_its_lease_back() {
    let world = World::new();
    let id = owing(&world);
    world.table.write(id, [(Column::UserId, Value::Null)]);
    assert_eq!(sweep_once(&world, id), Outcome::Failed(RunFailure::NoUser));
    assert!(world.runs.borrow().is_empty());
    let row = world.row(id);
    assert_eq!((row.sync_attempts, row.sync_lease_until), (1, Timestamp::default()));
    assert_eq!(world.table.value(id, Column::SyncError), "connection_without_user".into());
}

#[test]
fn a_holder_that_lost_its_lease_owes_one_more_run() {
    for answer in [Ok(()), Err(RunFailure::Answered(500)), Err(RunFailure::TimedOut)] {
        let world = World::new();
        let id = owing(&world);
        world.run_answers.replace([answer].into());
        world.during_run.replace(Some(Box::new(move |world| {
            // The lease ended; another held it, ran and is done.
            world.table.write(
                id,
                [(Column::SyncRequestId, Value::Null), (Column::SyncLeaseUntil, Timestamp::default().into())],
            );
        })));
        assert_eq!(run_once(&world, id), answer.map_or_else(Outcome::Failed, |()| Outcome::Synced));
        assert!(world.row(id).sync_request_id.is_some(), "{answer:?}: ours may have written last");
        assert!(world.log.borrow().contains(&Event::RunLeaseLost { connection: id }), "{answer:?}");
    }
}

#[test]
fn a_holder_that_lost_its_lease_owes_one_more_run_than_the_newer_holder_knows_of() {
    let world = World::new();
    let id = owing(&world);
    let newer = world.request();
    let owed = newer.clone();
    world.during_run.replace(Some(Box::new(move |world| {
        let lease = world.now.get() + TimeDelta::minutes(3);
        world
            .table
            .write(id, [(Column::SyncLeaseUntil, lease.into()), (Column::SyncRequestId, owed.clone())]);
    })));
    run_once(&world, id);
    let owed = world.table.value(id, Column::SyncRequestId);
    assert!(owed != Value::Null && owed != newer, "the newer holder's run may have read before ours wrote");
}

#[test]
fn an_end_whose_answer_is_lost_asks_for_no_other_run() {
    let world = World::new();
    let id = owing(&world);
    world.fate.set(Some((2, Fate::Unanswered)));
    assert_eq!(run_once(&world, id), Outcome::Synced);
    assert_eq!(world.row(id).sync_request_id, None);
    assert!(!world.log.borrow().iter().any(|event| matches!(event, Event::RunLeaseLost { .. })));
}

#[test]
fn a_run_that_was_put_off_since_the_row_was_read_is_not_claimed() {
    let world = World::new();
    let id = owing(&world);
    let read = world.row(id);
    let later = world.now.get() + TimeDelta::minutes(1);
    world.table.write(id, [(Column::SyncNotBefore, later.into())]);
    assert_eq!(
        finish(run(&world, &world.targeted(), read, Reason::Owed, Beforehand::Nothing)),
        Outcome::NotRun
    );
    assert!(world.runs.borrow().is_empty());
}

#[test]
fn a_run_that_was_left_to_a_claim_of_an_older_row_is_made() {
    let world = World::new();
    let id = owing(&world);
    world.table.write(id, [(Column::SyncAttempts, Value::Integer(1))]);
    let read = world.row(id);
    world.table.write(id, [(Column::SyncAttempts, Value::Integer(0))]);
    world.after_update.replace(Some((
        1,
        Box::new(move |world| {
            assert_eq!(run_once(world, id), Outcome::NotRun, "of a burst one claims");
        }),
    )));
    assert_eq!(
        finish(run(&world, &world.targeted(), read, Reason::Owed, Beforehand::Nothing)),
        Outcome::Synced
    );
    assert_eq!((world.runs.borrow().len(), world.row(id).sync_request_id), (1, None));
}

#[test]
fn a_newer_holders_lease_is_not_touched() {
    let world = World::new();
    let id = owing(&world);
    let theirs = crate::world::START + TimeDelta::minutes(9);
    world.during_run.replace(Some(Box::new(move |world| {
        world.table.write(id, [(Column::SyncLeaseUntil, theirs.into())]);
    })));
    run_once(&world, id);
    assert_eq!(world.row(id).sync_lease_until, theirs);
}

#[test]
fn paused_during_a_run_the_newer_request_waits() {
    let world = World::new();
    let id = owing(&world);
    world.during_run.replace(Some(Box::new(move |world| {
        world.table.write(
            id,
            [(Column::SyncRequestId, world.request()), (Column::SyncEnabled, Value::Boolean(false))],
        );
    })));
    assert_eq!(run_once(&world, id), Outcome::Synced);
    assert_eq!(world.runs.borrow().len(), 1);
    let row = world.row(id);
    assert!(row.sync_request_id.is_some());
    assert_eq!((row.sync_lease_until, row.sync_attempts), (Timestamp::default(), 0));
}

#[test]
fn resumed_while_its_lease_is_given_back_the_newer_request_is_run() {
    let world = World::new();
    let id = owing(&world);
    let enabled = |value| (Column::SyncEnabled, Value::Boolean(value));
    world.during_run.replace(Some(Box::new(move |world| {
        world.table.write(id, [(Column::SyncRequestId, world.request()), enabled(false)]);
        // The claim, the end that meets a newer request, and the lease for it.
        world.after_update.replace(Some((3, Box::new(move |world| world.table.write(id, [enabled(true)])))));
    })));
    assert_eq!(run_once(&world, id), Outcome::Synced);
    assert_eq!((world.runs.borrow().len(), world.row(id).sync_request_id), (2, None));
}

#[test]
fn runs_that_cause_the_next_request_are_braked() {
    let world = World::new();
    let id = owing(&world);
    let mut ended = Vec::new();
    for _ in 0..12 {
        // Every run's own write comes back as a notification a second later.
        world.pass(TimeDelta::seconds(1));
        world.table.write(id, [(Column::SyncRequestId, world.request())]);
        let arisen_at = world.now.get();
        while sweep_once(&world, id) == Outcome::NotRun {
            world.pass(TimeDelta::seconds(1));
            assert!(world.now.get() - arisen_at < TimeDelta::minutes(3), "it is never run");
        }
        ended.push(world.now.get());
    }
    let last_pause = ended[11] - ended[10];
    assert!(last_pause >= TimeDelta::minutes(2), "{last_pause}");
    assert!(last_pause <= TimeDelta::seconds(125), "{last_pause}");
}

#[test]
fn the_brake_leaves_a_request_that_arose_during_the_run() {
    let world = World::new();
    let id = owing(&world);
    let echoes = [(Column::SyncStreak, 2.into()), (Column::LastSyncAt, world.now.get().into())];
    world.table.write(id, echoes);
    world.during_run.replace(Some(Box::new(move |world| {
        world.table.write(id, [(Column::SyncRequestId, world.request())]);
    })));
    assert_eq!(sweep_once(&world, id), Outcome::Synced);
    assert_eq!(world.runs.borrow().len(), 1);
    let row = world.row(id);
    assert!(row.sync_request_id.is_some());
    assert_eq!((row.sync_lease_until, row.sync_attempts), (Timestamp::default(), 0));
    assert_eq!(row.sync_not_before, world.now.get() + TimeDelta::seconds(8));
}

#[test]
fn whichever_update_fails_the_request_is_run_in_the_end() {
    for fate in [Fate::Lost, Fate::Unanswered] {
        for failing in 1..=6 {
            let world = World::new();
            let id = owing(&world);
            let runs_begun = Rc::new(Cell::new(0));
            let arisen_after = runs_begun.clone();
            world.during_run.replace(Some(Box::new(move |world| {
                world.content.set(1);
                world.table.write(id, [(Column::SyncRequestId, world.request())]);
                arisen_after.set(world.runs.borrow().len());
            })));
            world.fate.set(Some((failing, fate)));
            run_once(&world, id);
            for _ in 0..10 {
                world.pass(TimeDelta::minutes(4));
                sweep_once(&world, id);
            }
            let row = world.row(id);
            assert_eq!(row.sync_request_id, None, "update {failing} {fate:?}");
            assert_eq!(row.sync_lease_until, Timestamp::default(), "update {failing} {fate:?}");
            assert!(world.runs.borrow().len() > runs_begun.get(), "update {failing} {fate:?}");
        }
    }
}

#[test]
fn a_request_that_arose_during_a_run_waits_if_the_consent_died_meanwhile() {
    let world = World::new();
    let id = owing(&world);
    world.during_run.replace(Some(Box::new(move |world| {
        let dead = (Column::WebhookError, "reconnect_required".into());
        world.table.write(id, [(Column::SyncRequestId, world.request()), dead]);
    })));
    assert_eq!(run_once(&world, id), Outcome::Synced);
    assert_eq!(world.runs.borrow().len(), 1);
    let row = world.row(id);
    assert!(row.sync_request_id.is_some());
    assert_eq!((row.sync_lease_until, row.sync_attempts), (Timestamp::default(), 0));
}
