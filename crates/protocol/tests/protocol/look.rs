//! Looks before runs: a good token first, and no run where the calendar is as the last one found it.

use std::time::Duration;

use crate::world::{Fate, START, World, channel, finish};
use chrono::TimeDelta;
use protocol::connection::{AccessToken, ConnectionId};
use protocol::failure::{Refused, RenewalFailure, RunFailure, Word};
use protocol::look::LookFailure;
use protocol::recalculation::Reason;
use protocol::refresh::refresh;
use protocol::run::{Beforehand, Outcome, run};
use protocol::table::{Column, Value};

const NULL: Value = Value::Null;

/// A connection that is well and whose last run, a second ago, found the calendar as it is.
fn settled(world: &World) -> ConnectionId {
    let id = world.connect(1, channel("current"));
    world.table.write(id, [(Column::SyncSeen, world.sees(0)), just_run(), owing(world)]);
    id
}

fn just_run() -> (Column, Value) {
    (Column::LastSyncAt, (START - TimeDelta::seconds(1)).into())
}

fn owing(world: &World) -> (Column, Value) {
    (Column::SyncRequestId, world.request())
}

fn run_once(world: &World, id: ConnectionId, beforehand: Beforehand) -> Outcome {
    finish(run(world, &world.targeted(), world.row(id), Reason::CalendarChanged, beforehand))
}

/// How many looks were made, and how many runs.
fn calls(world: &World) -> (usize, usize) {
    (world.looks.borrow().len(), world.runs.borrow().len())
}

#[test]
fn the_first_run_after_a_quiet_time_makes_no_look_and_forgets_what_an_older_one_found() {
    let world = World::new();
    let id = settled(&world);
    world.table.write(id, [(Column::LastSyncAt, (START - TimeDelta::minutes(2)).into())]);
    assert_eq!(run_once(&world, id, Beforehand::Nothing), Outcome::Synced);
    assert_eq!(calls(&world), (0, 1));
    assert_eq!(world.table.value(id, Column::SyncSeen), NULL);
}

#[test]
fn late_echoes_of_an_unchanged_calendar_are_settled_one_after_the_other() {
    let world = World::new();
    let id = settled(&world);
    let mut first_look_at = None;
    for settled in 1..=3 {
        world.pass(TimeDelta::seconds(118));
        world.table.write(id, [owing(&world)]);
        assert_eq!(run_once(&world, id, Beforehand::Nothing), Outcome::Settled);
        assert_eq!(calls(&world), (settled, 0));
        let look_at = world.row(id).sync_look_at;
        assert_eq!(*first_look_at.get_or_insert(look_at), look_at, "echoes put off what was settled");
    }
}

#[test]
fn an_echo_of_an_unchanged_calendar_is_settled_without_a_run() {
    let world = World::new();
    let id = settled(&world);
    world.pass(TimeDelta::seconds(5));
    assert_eq!(run_once(&world, id, Beforehand::Nothing), Outcome::Settled);
    assert_eq!(calls(&world), (1, 0));
    let row = world.row(id);
    assert_eq!((row.sync_request_id, row.sync_lease_until), (None, Default::default()));
    assert_eq!((row.last_sync_at, row.sync_streak), (Some(world.now.get()), 1));
    assert_eq!(world.table.value(id, Column::SyncSeen), world.sees(0));
    assert_eq!(world.table.value(id, Column::CalendarName), "Work".into());
    let hours = row.sync_look_at.signed_duration_since(world.now.get()).num_minutes();
    assert!((5 * 60..=7 * 60).contains(&hours), "{hours} minutes");
}

#[test]
fn what_a_look_found_before_a_run_is_kept_when_the_run_succeeds() {
    let world = World::new();
    let id = settled(&world);
    world.content.set(1);
    // What the run changes itself is for the next look.
    world.during_run.replace(Some(Box::new(|world| world.content.set(2))));
    assert_eq!(run_once(&world, id, Beforehand::Nothing), Outcome::Synced);
    assert_eq!(calls(&world), (1, 1));
    assert_eq!(world.table.value(id, Column::SyncSeen), world.sees(1));
}

#[test]
fn a_host_that_writes_the_same_sessions_into_the_calendar_is_run_twice() {
    let world = World::new();
    let id = settled(&world);
    world.content.set(1);
    world.pass(TimeDelta::hours(1));
    let notify = |world: &World| {
        world.content.set(2);
        world.table.write(ConnectionId(uuid::Uuid::from_u128(1)), [owing(world)]);
    };
    notify(&world);
    for (runs, outcome) in [(1, Outcome::Synced), (2, Outcome::Synced), (2, Outcome::Settled)] {
        assert_eq!(run_once(&world, id, Beforehand::Nothing), outcome);
        assert_eq!(world.runs.borrow().len(), runs);
        notify(&world);
    }
}

#[test]
fn a_look_that_tells_nothing_skips_no_run() {
    let unavailable = || LookFailure::Refused(RenewalFailure::GoogleUnavailable.into());
    let gone = || LookFailure::Refused(RenewalFailure::CalendarNotFound.into());
    for failure in [LookFailure::TooLarge, LookFailure::Doubtful, unavailable(), gone()] {
        let world = World::new();
        let id = settled(&world);
        world.look_answers.replace([Err(failure.clone())].into());
        assert_eq!(run_once(&world, id, Beforehand::Nothing), Outcome::Synced, "{failure:?}");
        assert_eq!(calls(&world), (1, 1), "{failure:?}");
        assert_eq!(world.table.value(id, Column::SyncSeen), NULL, "{failure:?}");
        let told = (failure == gone()).then_some("calendar_not_found");
        assert_eq!(world.row(id).webhook_error.as_deref(), told, "what somebody must mend is told");
    }
}

#[test]
fn the_run_of_a_new_channel_is_made_only_if_something_changed_and_nothing_is_in_doubt() {
    for (streak, content, outcome) in [
        (0, 0, Outcome::Settled),
        (0, 1, Outcome::Synced),
        // A run was skipped before: a change that was undone while the run before that went on would be lost.
        (1, 0, Outcome::Synced),
    ] {
        let world = World::new();
        let id = settled(&world);
        world.table.write(id, [(Column::LastSyncAt, (START - TimeDelta::hours(1)).into())]);
        world.table.write(id, [(Column::SyncStreak, streak.into())]);
        world.content.set(content);
        assert_eq!(run_once(&world, id, Beforehand::MayBeUnchanged), outcome, "{streak} {content}");
        assert_eq!(world.looks.borrow().len(), 1);
    }
}

#[test]
fn what_is_settled_without_an_echo_is_in_doubt_too() {
    // The commit of a channel replaces what was asked for before it, and with it when that arose.
    let world = World::new();
    let id = settled(&world);
    world.table.write(id, [(Column::LastSyncAt, (START - TimeDelta::hours(1)).into())]);
    assert_eq!(run_once(&world, id, Beforehand::MayBeUnchanged), Outcome::Settled);
    assert_eq!(world.row(id).sync_streak, 1);
}

#[test]
fn after_an_attempt_that_failed_no_look_settles_the_run() {
    let world = World::new();
    let id = settled(&world);
    world.content.set(1);
    world.run_answers.replace([Err(RunFailure::Answered(500))].into());
    // The change is undone, but half a plan may have been made of it.
    world.during_run.replace(Some(Box::new(|world| world.content.set(0))));
    assert_eq!(run_once(&world, id, Beforehand::Nothing), Outcome::Synced);
    assert_eq!(calls(&world), (2, 2));
}

#[test]
fn before_every_third_attempt_a_look_tells_a_consent_that_was_withdrawn() {
    for (attempts, looks, outcome) in [
        (1, 0, Outcome::Synced),
        (2, 1, Outcome::NoConsent(RenewalFailure::ReconnectRequired)),
        (3, 0, Outcome::Synced),
        (5, 1, Outcome::NoConsent(RenewalFailure::ReconnectRequired)),
    ] {
        let world = World::new();
        let id = settled(&world);
        world.table.write(id, [(Column::LastSyncAt, (START - TimeDelta::days(1)).into())]);
        world.table.write(id, [(Column::SyncAttempts, attempts.into())]);
        world
            .look_answers
            .replace([Err(LookFailure::Unauthorized(RenewalFailure::GoogleRejected.into()))].into());
        world.token_answers.replace([Err(RenewalFailure::ReconnectRequired.into())].into());
        assert_eq!(run_once(&world, id, Beforehand::Nothing), outcome, "after {attempts} attempts");
        assert_eq!(world.looks.borrow().len(), looks);
    }
}

#[test]
fn the_look_before_an_attempt_takes_back_what_a_look_was_refused_whatever_becomes_of_the_run() {
    for answer in [Ok(()), Err(RunFailure::Answered(500))] {
        let world = World::new();
        let id = settled(&world);
        let refused = (Column::WebhookError, "calendar_not_found".into());
        world.table.write(id, [refused, (Column::SyncAttempts, 2.into())]);
        world.run_answers.replace([answer].into());
        run_once(&world, id, Beforehand::Nothing);
        assert!(!world.looks.borrow().is_empty() && !world.runs.borrow().is_empty());
        assert_eq!(world.row(id).webhook_error, None, "{answer:?}");
    }
}

#[test]
fn what_the_look_before_a_run_could_not_take_back_the_next_due_look_does() {
    for fate in [None, Some(Fate::Lost), Some(Fate::Unanswered)] {
        let world = World::new();
        let id = settled(&world);
        world.content.set(1);
        let soon = START + TimeDelta::minutes(10);
        let refused = (Column::WebhookError, "google_rejected".into());
        world.table.write(id, [refused, (Column::SyncLookAt, soon.into())]);
        // After the claim of the run.
        world.fate.set(fate.map(|fate| (world.updates.get() + 2, fate)));
        assert_eq!(run_once(&world, id, Beforehand::MayBeUnchanged), Outcome::Synced);
        let row = world.row(id);
        assert_eq!(row.webhook_error.is_some(), fate == Some(Fate::Lost), "{fate:?}");
        assert_eq!(row.sync_look_at == soon, fate.is_some(), "{fate:?}");
    }
}

#[test]
fn what_a_person_asks_for_is_run_whatever_a_look_shows() {
    let world = World::new();
    let id = settled(&world);
    let pressed = finish(refresh(&world, &world.targeted(), &world.row(id)));
    assert_eq!(pressed.result, Ok(()));
    // Somebody else, who does not know why, takes it.
    assert_eq!(run_once(&world, id, Beforehand::MayBeUnchanged), Outcome::Synced);
    assert_eq!(world.runs.borrow().len(), 1);
}

#[test]
fn a_person_who_asks_while_a_run_goes_on_gets_another() {
    for seen in [world_seen(), NULL] {
        let world = World::new();
        let id = settled(&world);
        world.table.write(id, [(Column::SyncSeen, seen.clone())]);
        world.content.set(1);
        world.during_run.replace(Some(Box::new(move |world| {
            let pressed = finish(refresh(world, &world.targeted(), &world.row(id)));
            assert_eq!(pressed.result, Ok(()));
        })));
        assert_eq!(run_once(&world, id, Beforehand::Nothing), Outcome::Synced, "{seen:?}");
        assert_eq!(world.runs.borrow().len(), 2, "{seen:?}");
    }
}

fn world_seen() -> Value {
    World::new().sees(0)
}

#[test]
fn a_run_whose_lease_was_lost_is_made_again_whatever_a_look_shows() {
    let world = World::new();
    let id = settled(&world);
    world.content.set(1);
    let later = START + TimeDelta::hours(1);
    // Another took the run over and finished it, having found the calendar as it is.
    world.during_run.replace(Some(Box::new(move |world| {
        let found = [(Column::SyncSeen, world.sees(1)), (Column::SyncRequestId, NULL)];
        world.table.write(id, found.into_iter().chain([(Column::SyncLeaseUntil, later.into())]));
    })));
    run_once(&world, id, Beforehand::Nothing);
    world.table.write(id, [(Column::SyncLeaseUntil, START.into()), (Column::SyncNotBefore, START.into())]);
    assert_eq!(run_once(&world, id, Beforehand::Nothing), Outcome::Synced);
    assert_eq!(world.runs.borrow().len(), 2);
}

#[test]
fn a_calendar_that_is_exchanged_while_it_is_run_for_is_run_for_again() {
    let world = World::new();
    let id = settled(&world);
    world.content.set(1);
    world.during_run.replace(Some(Box::new(move |world| {
        world.table.write(id, [(Column::CalendarId, "another".into())]);
    })));
    // The other calendar looks the same: that says nothing of it.
    assert_eq!(run_once(&world, id, Beforehand::Nothing), Outcome::Synced);
    assert_eq!(world.runs.borrow().len(), 2);
    assert_eq!(world.row(id).sync_request_id, None);
}

#[test]
fn a_run_finds_a_token_that_is_good_for_five_minutes() {
    for (left, renewals) in [(299, 1), (300, 0), (-60, 1)] {
        let world = World::new();
        let id = settled(&world);
        world.table.write(id, [(Column::ExpiresAt, (START + TimeDelta::seconds(left)).into())]);
        world.during_run.replace(Some(Box::new(move |world| {
            let left = world.row(id).expires_at.unwrap().signed_duration_since(START).num_seconds();
            assert!(left >= 300, "{left} s");
        })));
        assert_eq!(run_once(&world, id, Beforehand::Irrelevant), Outcome::Synced, "{left}");
        assert_eq!(world.token_renewals.get(), renewals, "{left}");
    }
}

#[test]
fn a_dead_consent_is_told_and_the_run_waits_for_a_new_one() {
    let dead = [
        (RenewalFailure::ReconnectRequired, "invalid_grant"),
        (RenewalFailure::PermissionMissing, "invalid_scope"),
        (RenewalFailure::BlockedByPolicy, "admin_policy_enforced"),
    ];
    for (failure, word) in dead {
        let world = World::new();
        let id = settled(&world);
        world.table.write(id, [(Column::ExpiresAt, START.into())]);
        let refused = Refused { reason: Word::parse(word), ..failure.into() };
        world.token_answers.replace([Err(refused)].into());
        assert_eq!(run_once(&world, id, Beforehand::Nothing), Outcome::NoConsent(failure));
        assert_eq!(run_once(&world, id, Beforehand::Nothing), Outcome::NotRun, "it is not asked again");
        assert_eq!(calls(&world), (0, 0));
        let row = world.row(id);
        assert!(row.sync_request_id.is_some(), "the run stays owed");
        assert_eq!((row.sync_attempts, row.sync_lease_until), (0, Default::default()));
        assert_eq!(row.webhook_error.as_deref(), Some(failure.code()));
        assert_eq!(row.webhook_not_before, START + TimeDelta::days(1));
        assert_eq!(world.table.value(id, Column::WebhookErrorReason), word.into());
        assert_eq!(world.table.value(id, Column::SyncError), failure.code().into());

        world.table.write(id, [(Column::RefreshToken, Value::Secret("new consent".to_owned()))]);
        assert_eq!(run_once(&world, id, Beforehand::Nothing), Outcome::Synced);
        assert_eq!(world.table.value(id, Column::SyncError), NULL);
    }
}

#[test]
fn what_else_is_wrong_with_a_token_costs_no_run() {
    let endpoint = [
        RenewalFailure::GoogleUnavailable,
        RenewalFailure::GoogleRateLimited,
        RenewalFailure::GoogleRejected,
        RenewalFailure::OauthClientInvalid,
    ];
    for failure in endpoint {
        let world = World::new();
        let id = settled(&world);
        world.table.write(id, [(Column::ExpiresAt, START.into())]);
        world.token_answers.replace([Err(failure.into())].into());
        assert_eq!(run_once(&world, id, Beforehand::Nothing), Outcome::Synced, "{failure:?}");
        assert_eq!(world.token_renewals.get(), 1, "it is not asked again for the look");
    }
    let world = World::new();
    let id = settled(&world);
    world.table.write(id, [(Column::ExpiresAt, START.into()), (Column::RefreshToken, NULL)]);
    assert_eq!(run_once(&world, id, Beforehand::Nothing), Outcome::Synced, "no refresh token");
    assert_eq!(calls(&world), (0, 1));
}

#[test]
fn a_look_with_the_last_good_token_leaves_the_look_that_a_refused_token_booked() {
    let world = World::new();
    let id = settled(&world);
    world.table.write(id, [(Column::ExpiresAt, (START + TimeDelta::minutes(2)).into())]);
    world.token_answers.replace([Err(RenewalFailure::OauthClientInvalid.into())].into());
    assert_eq!(run_once(&world, id, Beforehand::Nothing), Outcome::Settled);
    let row = world.row(id);
    assert_eq!(row.look_error(), Some("oauth_client_invalid"));
    let wait = row.sync_look_at - START;
    assert!(TimeDelta::minutes(13) < wait && wait < TimeDelta::minutes(17), "{wait}");
}

#[test]
fn a_token_that_a_look_is_refused_with_is_renewed_once() {
    let unauthorized = || Err(LookFailure::Unauthorized(RenewalFailure::ReconnectRequired.into()));
    for (refusals, outcome) in
        [(1, Outcome::Settled), (2, Outcome::NoConsent(RenewalFailure::ReconnectRequired))]
    {
        let world = World::new();
        let id = settled(&world);
        world.look_answers.replace((0..refusals).map(|_| unauthorized()).collect());
        assert_eq!(run_once(&world, id, Beforehand::Nothing), outcome);
        assert_eq!((world.token_renewals.get(), world.runs.borrow().len()), (1, 0));
        let looked_with = world.looks.borrow().last().unwrap().0.clone();
        assert_eq!(looked_with, AccessToken::new("renewed"));
    }
}

#[test]
fn a_look_leaves_the_run_its_time_and_the_lease_its_length() {
    for (second, time) in [(0, Some(10)), (52, Some(8)), (60, None)] {
        let world = World::new();
        let id = settled(&world);
        let invocation = world.targeted();
        world.pass(TimeDelta::seconds(second));
        finish(run(&world, &invocation, world.row(id), Reason::CalendarChanged, Beforehand::Nothing));
        let looks = world.looks.borrow();
        let given = looks.first().map(|(_, timeout)| *timeout);
        assert_eq!(given, time.map(Duration::from_secs), "at second {second}");
    }
}

#[test]
fn a_run_that_follows_a_long_one_has_a_look_of_its_own() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    world.table.write(id, [owing(&world)]);
    world.run_takes.set(TimeDelta::seconds(21));
    world.during_run.replace(Some(Box::new(move |world| world.table.write(id, [owing(world)]))));
    assert_eq!(run_once(&world, id, Beforehand::Nothing), Outcome::Synced);
    assert_eq!(calls(&world), (1, 2));
    assert_ne!(world.table.value(id, Column::SyncSeen), NULL);
}
