//! Sweeps: all that is due, of Google's connections only, each as far as time and budget go.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::world::{START, World, channel, finish};
use chrono::TimeDelta;
use protocol::connection::{ChannelId, ConnectionId};
use protocol::failure::{RenewalFailure, RunFailure, WatchFailure};
use protocol::schedule::{LOOKS_PER_SWEEP, READ_BY_LOOKS, RENEWALS_PER_SWEEP, RUNS_PER_INVOCATION};
use protocol::sweep::{Part, Swept, sweep};
use protocol::table::{Column, Value};

const FALSE: Value = Value::Boolean(false);

#[test]
fn a_sweep_renews_retires_runs_and_reconciles() {
    let world = World::new();
    let due = world.connect(1, []);
    let paused = world.connect(2, channel("paused"));
    world.table.write(paused, [(Column::SyncEnabled, FALSE)]);
    let owing = world.connect(3, channel("owing"));
    world.table.write(owing, [(Column::SyncRequestId, world.request())]);
    let silent = world.connect(4, channel("silent"));
    world.table.write(silent, [(Column::SyncLookAt, START.into())]);
    let well = world.connect(5, channel("well"));
    let before = world.row(well);

    let swept = finish(sweep(&world, &world.sweeping(), Part::default())).unwrap();
    assert_eq!((swept.renewed, swept.stopped, swept.synced, swept.reconciled), (1, 1, 3, 1));
    assert_eq!((swept.failed, swept.remaining), (vec![], 0));
    let reasons: BTreeMap<_, _> =
        world.runs.borrow().iter().map(|run| (run.connection, run.reason.code())).collect();
    let expected = [(due, "channel_opened"), (owing, "owed"), (silent, "reconciliation")];
    assert_eq!(reasons, BTreeMap::from(expected));
    assert!(world.row(due).webhook_id.is_some());
    assert_eq!(world.row(paused).webhook_id, None);
    assert_eq!(world.row(well), before);
}

#[test]
fn a_sweep_makes_so_many_runs_and_says_how_many_remain() {
    let world = World::new();
    world.run_takes.set(TimeDelta::zero());
    for number in 1..=40 {
        let id = world.connect(number, channel("c"));
        world.table.write(id, [(Column::SyncRequestId, world.request())]);
    }
    let swept = finish(sweep(&world, &world.sweeping(), Part::default())).unwrap();
    assert_eq!(swept.synced, RUNS_PER_INVOCATION);
    assert_eq!(swept.remaining, 40 - u64::from(RUNS_PER_INVOCATION));
}

#[test]
fn a_sweep_does_as_much_as_the_readmes_say() {
    let world = World::new();
    world.run_takes.set(TimeDelta::zero());
    for number in 1..=300 {
        world.connect(number, []);
        let id = world.connect(1000 + number, channel("c"));
        world.table.write(id, [(Column::SyncLookAt, START.into()), (Column::SyncSeen, world.sees(0))]);
    }
    let swept = finish(sweep(&world, &world.sweeping(), Part::default())).unwrap();
    let Swept { synced, looked, renewed, .. } = swept;
    let limit = format!("A sweep makes at most {synced} runs, {looked} looks and {renewed} renewals");
    assert!(include_str!("../../../../supabase/README.md").contains(&limit), "{limit}");
    let limit = format!("a sweep makes at most {synced} runs");
    assert!(include_str!("../../../../README.md").contains(&limit), "{limit}");
}

#[test]
fn what_was_just_asked_for_does_not_go_before_what_has_waited_for_its_turn() {
    let world = World::new();
    world.run_takes.set(TimeDelta::zero());
    let waiting = owing(&world, 1000..=1000, TimeDelta::minutes(2))[0];
    for number in 1..=2 * u128::from(RUNS_PER_INVOCATION) {
        let id = world.connect(number, channel("c"));
        world.table.write(id, [(Column::SyncRequestId, world.request())]);
        // A host writes back what it has read.
        world.table.write(id, [(Column::SyncNotBefore, protocol::Timestamp::default().into())]);
    }
    finish(sweep(&world, &world.sweeping(), Part::default())).unwrap();
    assert_eq!(world.runs.borrow().first().map(|run| run.connection), Some(waiting));
}

#[test]
fn runs_that_a_dead_consent_prevents_leave_a_sweep_its_runs() {
    let world = World::new();
    let dead = RUNS_PER_INVOCATION + 5;
    for number in 1..=u128::from(dead) {
        let id = world.connect(number, channel("dead"));
        world.table.write(id, [(Column::SyncRequestId, world.request()), (Column::ExpiresAt, START.into())]);
        world.token_answers.borrow_mut().push_back(Err(RenewalFailure::ReconnectRequired.into()));
    }
    let good = world.connect(1000, channel("good"));
    let owed = [(Column::SyncRequestId, world.request()), (Column::SyncNotBefore, START.into())];
    world.table.write(good, owed);
    let swept = finish(sweep(&world, &world.sweeping(), Part::default())).unwrap();
    assert_eq!((swept.synced, swept.failed.len()), (1, dead as usize));
    assert_eq!(world.row(good).sync_request_id, None);
}

#[test]
fn a_sweep_asks_for_so_many_tokens_that_no_consent_gives() {
    let world = World::new();
    let dead = [(Column::SyncRequestId, world.request()), (Column::ExpiresAt, START.into())];
    for number in 1..=RENEWALS_PER_SWEEP as u128 + 100 {
        let id = world.connect(number, channel("dead"));
        world.table.write(id, dead.clone());
        world.token_answers.borrow_mut().push_back(Err(RenewalFailure::ReconnectRequired.into()));
    }
    finish(sweep(&world, &world.sweeping(), Part::default())).unwrap();
    assert_eq!(world.token_renewals.get(), RENEWALS_PER_SWEEP);
}

#[test]
fn runs_that_were_not_needed_leave_a_sweep_its_runs_as_long_as_it_may_read() {
    for (size, settled, synced) in [(1, LOOKS_PER_SWEEP, 0), (READ_BY_LOOKS, 1, RUNS_PER_INVOCATION)] {
        let world = World::new();
        world.look_size.set(size);
        world.run_takes.set(TimeDelta::zero());
        for number in 1..=100 {
            let id = world.connect(number, channel("c"));
            let before = [(Column::LastSyncAt, START.into()), (Column::SyncSeen, world.sees(0))];
            world.table.write(id, before);
            world.table.write(id, [(Column::SyncRequestId, world.request())]);
        }
        let swept = finish(sweep(&world, &world.sweeping(), Part::default())).unwrap();
        assert_eq!((swept.settled as usize, swept.synced), (settled, synced));
    }
}

#[test]
fn a_run_that_still_goes_on_does_not_count_as_remaining() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    let lease = (Column::SyncLeaseUntil, (START + TimeDelta::minutes(2)).into());
    world.table.write(id, [(Column::SyncRequestId, world.request()), lease]);
    assert_eq!(finish(sweep(&world, &world.sweeping(), Part::default())), Ok(Swept::default()));
}

#[test]
fn a_run_that_is_put_off_does_not_count_as_remaining() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    let put_off = (Column::SyncNotBefore, (START + TimeDelta::minutes(2)).into());
    world.table.write(id, [(Column::SyncRequestId, world.request()), put_off]);
    assert_eq!(finish(sweep(&world, &world.sweeping(), Part::default())), Ok(Swept::default()));
}

#[test]
fn sweeps_that_overlap_make_as_many_runs_as_one_after_the_other() {
    let owed = |world: &World| (Column::SyncRequestId, world.request());
    let world = World::new();
    world.run_takes.set(TimeDelta::zero());
    for number in 1..=60 {
        let id = world.connect(number, channel("c"));
        world.table.write(id, [owed(&world)]);
    }
    // When the first has read what there is to do, another is faster to do it.
    let another = |world: &World| assert!(finish(sweep(world, &world.sweeping(), Part::default())).is_ok());
    world.after_select.replace(Some((Column::SyncNotBefore, Box::new(another))));
    finish(sweep(&world, &world.sweeping(), Part::default())).unwrap();
    assert_eq!(world.runs.borrow().len(), 2 * RUNS_PER_INVOCATION as usize);
}

/// Connections with a channel and an owed run that is due since then.
fn owing(world: &World, numbers: RangeInclusive<u128>, since: TimeDelta) -> Vec<ConnectionId> {
    let owe = |number| {
        let id = world.connect(number, channel("c"));
        let due = (Column::SyncNotBefore, (START - since).into());
        world.table.write(id, [(Column::SyncRequestId, world.request()), due]);
        id
    };
    // Asked for then.
    world.table.set_now(START - since);
    let owing = numbers.map(owe).collect();
    world.table.set_now(START);
    owing
}

#[test]
fn rows_that_refuse_do_not_hide_the_next() {
    let world = World::new();
    let refusing = owing(&world, 1..=410, TimeDelta::hours(1));
    let due = |world: &World, number| {
        let id = world.connect(number, []);
        world.table.write(id, [(Column::WebhookNotBefore, (START - TimeDelta::minutes(1)).into())]);
        id
    };
    let refusing = refusing.into_iter().chain((1000..=1410).map(|number| due(&world, number)));
    world.refusing.replace(refusing.collect());
    let last = owing(&world, 500..=500, TimeDelta::zero())[0];
    let new = world.connect(2000, []);
    let swept = finish(sweep(&world, &world.sweeping(), Part::default())).unwrap();
    assert_eq!((swept.synced, swept.renewed), (2, 1));
    assert_eq!(world.row(last).sync_request_id, None);
    assert!(world.row(new).webhook_id.is_some());
}

#[test]
fn a_renewal_that_is_refused_for_long_does_not_keep_a_calendar_from_being_looked_at() {
    for (due_for, claims) in [(15, 1), (16, 2)] {
        let world = World::new();
        let id = world.connect(1, channel("current"));
        let renewal = (Column::WebhookNotBefore, (START - TimeDelta::minutes(due_for)).into());
        world.table.write(id, [renewal, (Column::SyncLookAt, START.into())]);
        world.refusing.replace([id].into());
        finish(sweep(&world, &world.sweeping(), Part::default())).unwrap();
        assert_eq!(world.updates.get(), claims, "of a renewal that is due for {due_for} min, and of a look");
    }
}

#[test]
fn a_user_with_many_rows_does_not_keep_others_waiting() {
    let world = World::new();
    world.run_takes.set(TimeDelta::zero());
    let victim = owing(&world, 1..=1, TimeDelta::minutes(1))[0];
    // A button's run is due from the press on.
    owing(&world, 2..=300, TimeDelta::zero());
    finish(sweep(&world, &world.sweeping(), Part::default())).unwrap();
    assert_eq!(world.row(victim).sync_request_id, None);
}

#[test]
fn a_part_takes_what_the_parts_before_it_leave() {
    let world = World::new();
    world.run_takes.set(TimeDelta::zero());
    owing(&world, 1..=60, TimeDelta::zero());
    let remaining = 60 - 2 * u64::from(RUNS_PER_INVOCATION);
    // When the first has read what there is to do, the second does its part of it.
    let second = |world: &World| {
        let part = Part::new(1, 2).unwrap();
        let swept = finish(sweep(world, &world.sweeping(), part)).unwrap();
        assert_eq!(swept.synced, RUNS_PER_INVOCATION);
    };
    world.after_select.replace(Some((Column::SyncNotBefore, Box::new(second))));
    let swept = finish(sweep(&world, &world.sweeping(), Part::new(0, 2).unwrap())).unwrap();
    assert_eq!((swept.synced, swept.remaining), (RUNS_PER_INVOCATION, remaining));
    // A claim and an end of each: none was lost to the other.
    assert_eq!(world.updates.get(), 4 * RUNS_PER_INVOCATION as usize);
}

#[test]
fn a_part_that_comes_late_takes_what_is_left() {
    let world = World::new();
    world.run_takes.set(TimeDelta::zero());
    owing(&world, 1..=40, TimeDelta::zero());
    for (part, synced) in [(0, RUNS_PER_INVOCATION), (1, 40 - RUNS_PER_INVOCATION)] {
        let part = Part::new(part, 2).unwrap();
        assert_eq!(finish(sweep(&world, &world.sweeping(), part)).unwrap().synced, synced);
    }
}

#[test]
fn a_part_for_which_nothing_is_left_takes_no_claim_from_those_before_it() {
    let world = World::new();
    world.run_takes.set(TimeDelta::zero());
    owing(&world, 1..=20, TimeDelta::zero());
    // The first begins at the front when the second, which has found nothing of its own, has just read it.
    let first = |world: &World| {
        let swept = finish(sweep(world, &world.sweeping(), Part::new(0, 2).unwrap())).unwrap();
        assert_eq!(swept.synced, 20);
    };
    let own = move |world: &World| {
        world.after_select.replace(Some((Column::SyncNotBefore, Box::new(first))));
    };
    world.after_select.replace(Some((Column::SyncNotBefore, Box::new(own))));
    let swept = finish(sweep(&world, &world.sweeping(), Part::new(1, 2).unwrap())).unwrap();
    assert_eq!(swept.synced, 0);
    // A claim and an end of each: none was lost to the other.
    assert_eq!(world.updates.get(), 2 * 20);
}

#[test]
fn there_are_20_parts_at_most() {
    for (part, parts, is_one) in
        [(0, 1, true), (19, 20, true), (0, 0, false), (1, 1, false), (20, 20, false), (0, 21, false)]
    {
        assert_eq!(Part::new(part, parts).is_some(), is_one, "{part} of {parts}");
    }
}

#[test]
fn a_sweep_gives_up_the_channels_of_paused_and_disconnected_connections_pending_ones_too() {
    let pending = || vec![(Column::WebhookPendingId, "pending".into())];
    for (column, value) in
        [(Column::SyncEnabled, FALSE), (Column::IsActive, FALSE), (Column::IsActive, Value::Null)]
    {
        for (channel, stopped) in
            [(channel("open").to_vec(), vec![ChannelId::new("open")]), (pending(), vec![])]
        {
            let world = World::new();
            let id = world.connect(1, channel);
            world.table.write(id, [(column, value.clone())]);
            let swept = finish(sweep(&world, &world.sweeping(), Part::default()));
            assert_eq!(swept, Ok(Swept { stopped: 1, ..Swept::default() }), "{column:?} {value:?}");
            assert_eq!((world.row(id).webhook_id, world.row(id).webhook_pending_id), (None, None));
            assert_eq!(*world.stopped.borrow(), stopped);
        }
    }
}

#[test]
fn a_sweep_gives_up_no_channel_after_second_45() {
    for (second, stopped) in [(44, 1), (45, 0)] {
        let world = World::new();
        let id = world.connect(1, channel("open"));
        world.table.write(id, [(Column::SyncEnabled, FALSE)]);
        let invocation = world.sweeping();
        world.pass(TimeDelta::seconds(second));
        assert_eq!(
            finish(sweep(&world, &invocation, Part::default())).unwrap().stopped,
            stopped,
            "second {second}"
        );
    }
}

#[test]
fn a_sweep_leaves_the_rows_of_other_providers_alone() {
    for state in [
        (Column::WebhookNotBefore, START.into()),
        (Column::SyncEnabled, FALSE),
        (Column::IsActive, FALSE),
        (Column::SyncRequestId, World::new().request()),
        (Column::LastSyncAt, Value::Null),
    ] {
        let world = World::new();
        let id = world.connect(1, channel("foreign"));
        world.table.write(id, [(Column::Provider, "outlook".into()), state.clone()]);
        let before = world.row(id);
        assert_eq!(
            finish(sweep(&world, &world.sweeping(), Part::default())),
            Ok(Swept::default()),
            "{state:?}"
        );
        assert_eq!(world.row(id), before, "{state:?}");
    }
}

#[test]
fn a_sweep_tells_which_runs_and_renewals_failed() {
    let world = World::new();
    let due = world.connect(1, []);
    world.watch_answers.replace([Err(WatchFailure::Refused(RenewalFailure::GoogleRejected.into()))].into());
    let owing = world.connect(2, channel("owing"));
    world.table.write(owing, [(Column::SyncRequestId, world.request())]);
    world.run_answers.replace([Err(RunFailure::Answered(500))].into());
    let mut failed = finish(sweep(&world, &world.sweeping(), Part::default())).unwrap().failed;
    failed.sort();
    assert_eq!(failed, [(due, "google_rejected".to_owned()), (owing, "recalculate_500".to_owned())]);
}

#[test]
fn a_sweep_that_cannot_read_what_to_do_does_the_rest_and_fails() {
    for order in [Column::SyncNotBefore, Column::SyncLookAt, Column::WebhookNotBefore, Column::Id] {
        let world = World::new();
        let due = world.connect(1, []);
        let paused = world.connect(2, channel("paused"));
        world.table.write(paused, [(Column::SyncEnabled, FALSE)]);
        let owing = world.connect(3, channel("owing"));
        world.table.write(owing, [(Column::SyncRequestId, world.request())]);
        world.unanswered_read.set(Some(order));
        assert!(finish(sweep(&world, &world.sweeping(), Part::default())).is_err(), "{order:?}");
        assert_eq!(world.row(due).webhook_id.is_none(), order == Column::WebhookNotBefore, "{order:?}");
        assert_eq!(world.row(paused).webhook_id.is_some(), order == Column::Id, "{order:?}");
        assert_eq!(world.row(owing).sync_request_id.is_some(), order == Column::SyncNotBefore, "{order:?}");
    }
}

#[test]
fn a_renewal_that_is_due_is_tried_although_the_consent_was_dead() {
    for failure in [
        RenewalFailure::ReconnectRequired,
        RenewalFailure::PermissionMissing,
        RenewalFailure::BlockedByPolicy,
    ] {
        let world = World::new();
        let id = world.connect(1, channel("current"));
        let told = (Column::WebhookError, failure.code().into());
        world.table.write(id, [told, (Column::WebhookNotBefore, START.into())]);
        let swept = finish(sweep(&world, &world.sweeping(), Part::default())).unwrap();
        assert_eq!((swept.renewed, world.row(id).webhook_error), (1, None), "{failure:?}");
    }
}
