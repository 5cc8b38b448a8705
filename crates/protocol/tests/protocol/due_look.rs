//! Looks that are due: silence is not trusted.

use crate::world::{Fate, START, World, channel, finish, rotated_token};
use chrono::TimeDelta;
use protocol::Timestamp;
use protocol::connection::{Connection, ConnectionId};
use protocol::event::Event;
use protocol::failure::{Refused, RenewalFailure, WatchFailure};
use protocol::look::{Anchor, Digest, Look, LookFailure, Seen};
use protocol::schedule::{
    LONGEST_LOOK, LOOKS_PER_SWEEP, READ_BY_LOOKS, RUNS_KEPT_FOR_LOOKS, RUNS_PER_INVOCATION,
};
use protocol::sweep::{Part, Swept, sweep};
use protocol::table::{Column, Value};
use protocol::transition::ROTATED;
use std::ops::RangeInclusive;
use std::time::Duration;

const NULL: Value = Value::Null;

/// A connection that is well, last run an hour ago, and due for a look.
fn due(world: &World, more: impl IntoIterator<Item = (Column, Value)>) -> ConnectionId {
    let id = world.connect(1, channel("current"));
    let due = [(Column::SyncLookAt, START.into()), (Column::SyncSeen, world.sees(0))];
    world.table.write(id, due.into_iter().chain(more));
    id
}

fn sweep_once(world: &World) -> Swept {
    finish(sweep(world, &world.sweeping(), Part::default())).unwrap()
}

fn minutes_to_next_look(world: &World, id: ConnectionId) -> i64 {
    world.row(id).sync_look_at.signed_duration_since(world.now.get()).num_minutes()
}

#[test]
fn an_unchanged_calendar_needs_no_run() {
    let world = World::new();
    let id = due(&world, []);
    assert_eq!(sweep_once(&world), Swept { looked: 1, ..Swept::default() });
    let row = world.row(id);
    assert_eq!((row.last_sync_at, row.sync_request_id), (Some(START), None));
    assert_eq!(world.table.value(id, Column::CalendarName), "Work".into());
    assert_eq!(sweep_once(&world), Swept::default(), "the next one is in six hours");
    assert!(world.runs.borrow().is_empty());
}

#[test]
fn a_look_whose_worker_dies_is_made_again_soon() {
    let world = World::new();
    let id = due(&world, []);
    world.during_look.replace(Some(Box::new(move |world| {
        let minutes = minutes_to_next_look(world, id);
        assert!((13..=16).contains(&minutes), "{minutes} minutes");
    })));
    sweep_once(&world);
    assert!(world.during_look.borrow().is_none() && minutes_to_next_look(&world, id) > 5 * 60);
}

#[test]
fn a_change_that_nobody_told_is_run_for_and_its_channel_replaced() {
    for (opened_ago, replaced) in [(TimeDelta::minutes(59), false), (TimeDelta::hours(2), true)] {
        let world = World::new();
        let id = due(&world, [(Column::WebhookOpenedAt, (START - opened_ago).into())]);
        world.content.set(1);
        let swept = sweep_once(&world);
        assert_eq!((swept.looked, swept.missed, swept.reconciled, swept.synced), (1, 1, 1, 1));
        assert_eq!(world.runs.borrow()[0].reason.code(), "reconciliation");
        assert_eq!(world.looks.borrow().len(), 1, "the run goes by what the look found");
        assert_eq!(world.table.value(id, Column::SyncSeen), world.sees(1));
        let missed = |event: &Event| matches!(event, Event::NotificationMissed { .. });
        assert_eq!(world.log.borrow().iter().filter(|event| missed(event)).count(), 1);
        assert_eq!(world.row(id).webhook_not_before == START, replaced, "{opened_ago}");
    }
}

#[test]
fn what_is_not_known_or_in_doubt_is_run_for_but_was_not_missed() {
    let unwell = (Column::WebhookExpiration, (START - TimeDelta::seconds(1)).into());
    for (column, value, content) in [
        (Column::SyncSeen, NULL, 0),
        // Something was settled without a run.
        (Column::SyncStreak, 1.into(), 0),
        (unwell.0, unwell.1, 1),
    ] {
        let world = World::new();
        due(&world, [(column, value)]);
        world.content.set(content);
        let swept = sweep_once(&world);
        assert_eq!((swept.missed, swept.reconciled, swept.synced), (0, 1, 1), "{column:?}");
    }
}

#[test]
fn a_change_after_an_echo_was_settled_is_missed_like_any_other() {
    let world = World::new();
    due(&world, [(Column::SyncStreak, 1.into())]);
    world.content.set(1);
    assert_eq!(sweep_once(&world).missed, 1);
}

#[test]
fn where_google_has_a_look_wait_for_long_this_is_told_at_once() {
    for (hours, told) in [(0, None), (1, None), (2, Some("google_rate_limited"))] {
        let world = World::new();
        let id = due(&world, []);
        let retry_after = Some(Duration::from_secs(hours * 3600));
        let refused = Refused { retry_after, ..RenewalFailure::GoogleRateLimited.into() };
        world.look_answers.replace([Err(LookFailure::Refused(refused))].into());
        sweep_once(&world);
        assert_eq!(world.row(id).webhook_error.as_deref(), told, "{hours} h");
    }
}

#[test]
fn where_there_are_only_looks_it_is_told_that_they_fail() {
    let only_looks = [(Column::WebhookId, NULL), (Column::WebhookError, "push_not_supported".into())];
    for (minutes, told) in [(75, "push_not_supported"), (78, "google_unavailable")] {
        let world = World::new();
        let last_sync = (Column::LastSyncAt, (START - TimeDelta::minutes(minutes)).into());
        let id = due(&world, only_looks.clone().into_iter().chain([last_sync]));
        let refused = LookFailure::Refused(RenewalFailure::GoogleUnavailable.into());
        world.look_answers.replace([Err(refused)].into());
        sweep_once(&world);
        assert_eq!(world.row(id).webhook_error.as_deref(), Some(told), "{minutes} minutes");
    }
}

#[test]
fn a_calendar_is_looked_at_more_often_while_its_channel_is_not_well() {
    let unheard = [(Column::WebhookMessageNumber, 0.into()), (Column::WebhookConfirmedId, "former".into())];
    let without = [(Column::WebhookId, NULL), (Column::WebhookError, "push_not_supported".into())];
    let expired = [(Column::WebhookExpiration, START.into()), (Column::SyncStreak, 0.into())];
    let expiring =
        [(Column::WebhookExpiration, (START + TimeDelta::hours(1)).into()), (Column::SyncStreak, 0.into())];
    let confirmed =
        [(Column::WebhookMessageNumber, 0.into()), (Column::WebhookConfirmedId, "current".into())];
    for (columns, minutes) in [
        (unheard, 13..=17),
        (without, 13..=17),
        (expired, 13..=17),
        (expiring, 75..=75),
        (confirmed, 323..=396),
    ] {
        let world = World::new();
        let id = due(&world, columns.clone());
        sweep_once(&world);
        let next = minutes_to_next_look(&world, id);
        assert!(minutes.contains(&next), "{columns:?}: {next} minutes");
    }
}

#[test]
fn a_dead_consent_is_told_and_not_looked_at_again() {
    for failure in [
        RenewalFailure::ReconnectRequired,
        RenewalFailure::PermissionMissing,
        RenewalFailure::BlockedByPolicy,
    ] {
        let world = World::new();
        let id = due(&world, []);
        world.look_answers.replace([Err(LookFailure::Refused(failure.into()))].into());
        assert_eq!(sweep_once(&world), Swept { looked: 1, ..Swept::default() });
        let row = world.row(id);
        assert_eq!(row.webhook_error.as_deref(), Some(failure.code()));
        assert_eq!(row.webhook_not_before, START + TimeDelta::days(1));
        world.pass(TimeDelta::hours(23));
        assert_eq!(sweep_once(&world), Swept::default());
    }
}

#[test]
fn a_token_that_was_just_renewed_is_not_renewed_again_when_a_look_is_refused() {
    let world = World::new();
    let id = due(&world, [(Column::ExpiresAt, START.into())]);
    let unauthorized = LookFailure::Unauthorized(RenewalFailure::ReconnectRequired.into());
    world.look_answers.replace([Err(unauthorized)].into());
    sweep_once(&world);
    assert_eq!((world.token_renewals.get(), world.looks.borrow().len()), (1, 1));
    assert_eq!(world.row(id).webhook_error.as_deref(), Some("reconnect_required"));
}

#[test]
fn a_calendar_that_is_gone_is_told_and_looked_at_daily() {
    let world = World::new();
    let id = due(&world, []);
    let gone = LookFailure::Refused(RenewalFailure::CalendarNotFound.into());
    world.look_answers.replace([Err(gone)].into());
    sweep_once(&world);
    assert_eq!(world.row(id).webhook_error.as_deref(), Some("calendar_not_found"));
    let soon = world.row(id).sync_look_at.signed_duration_since(START);
    assert!((15..=18).contains(&soon.num_minutes()), "one answer may be wrong: {soon}");
    let gone = LookFailure::Refused(RenewalFailure::CalendarNotFound.into());
    world.look_answers.replace([Err(gone)].into());
    world.pass(soon);
    sweep_once(&world);
    assert_eq!(minutes_to_next_look(&world, id), 24 * 60);
}

#[test]
fn what_passes_by_itself_is_looked_at_soon_and_run_blindly_once_a_day() {
    let hour = Some(Duration::from_secs(3600));
    let month = Some(Duration::from_secs(30 * 24 * 3600));
    for (failure, retry_after, silent_for, minutes, runs) in [
        (RenewalFailure::GoogleUnavailable, None, TimeDelta::hours(23), 15, 0),
        (RenewalFailure::GoogleUnavailable, None, TimeDelta::hours(24), 15, 1),
        (RenewalFailure::GoogleRejected, None, TimeDelta::hours(1), 15, 0),
        (RenewalFailure::GoogleRejected, None, TimeDelta::hours(24), 15, 1),
        (RenewalFailure::GoogleRateLimited, hour, TimeDelta::hours(1), 60, 0),
        (RenewalFailure::GoogleRateLimited, month, TimeDelta::hours(1), 24 * 60, 0),
    ] {
        let world = World::new();
        let id = due(&world, [(Column::LastSyncAt, (START - silent_for).into())]);
        let refused = Refused { retry_after, ..failure.into() };
        world.look_answers.replace([Err(LookFailure::Refused(refused))].into());
        assert_eq!(sweep_once(&world).reconciled, runs, "{failure:?}");
        assert_eq!(world.runs.borrow().len(), runs as usize);
        let next = minutes_to_next_look(&world, id);
        assert!((minutes..=minutes + 3).contains(&next), "{failure:?}: {next} minutes");
    }
}

#[test]
fn what_passes_by_itself_is_told_where_it_has_not_passed_for_hours() {
    for (failure, hours, told) in [
        (RenewalFailure::GoogleUnavailable, 7, false),
        (RenewalFailure::GoogleUnavailable, 8, true),
        (RenewalFailure::GoogleRateLimited, 8, true),
        (RenewalFailure::GoogleRejected, 1, true),
    ] {
        let world = World::new();
        let id = due(&world, [(Column::LastSyncAt, (START - TimeDelta::hours(hours)).into())]);
        world.look_answers.replace([Err(LookFailure::Refused(failure.into()))].into());
        sweep_once(&world);
        let told = told.then_some(failure.code());
        assert_eq!(world.row(id).webhook_error.as_deref(), told, "{failure:?} for {hours} h");
    }
}

#[test]
fn a_database_that_does_not_answer_is_not_told_of_google() {
    let world = World::new();
    let eight_hours_ago = START - TimeDelta::hours(8);
    let id = due(&world, [(Column::ExpiresAt, START.into()), (Column::LastSyncAt, eight_hours_ago.into())]);
    // The claim, then the token.
    world.fate.set(Some((2, Fate::Lost)));
    assert_eq!(sweep_once(&world).looked, 1);
    assert_eq!((world.token_renewals.get(), world.looks.borrow().len()), (1, 0));
    assert_eq!(world.row(id).webhook_error, None);
}

#[test]
fn what_only_a_person_can_mend_is_told_though_a_renewal_has_failed_too() {
    let world = World::new();
    let failing = [(Column::WebhookAttempts, 1.into()), (Column::WebhookError, "google_unavailable".into())];
    let id = due(&world, failing);
    let gone = LookFailure::Refused(RenewalFailure::CalendarNotFound.into());
    world.look_answers.replace([Err(gone)].into());
    sweep_once(&world);
    let row = world.row(id);
    assert_eq!(row.webhook_error.as_deref(), Some("calendar_not_found"));
    assert_eq!(row.webhook_not_before, START + TimeDelta::days(1));
}

/// The minutes between looks that are all refused.
fn minutes_between_looks(failure: RenewalFailure) -> Vec<i64> {
    let world = World::new();
    let id = due(&world, []);
    let mut minutes = Vec::new();
    for _ in 0..7 {
        world.look_answers.replace([Err(LookFailure::Refused(failure.into()))].into());
        sweep_once(&world);
        assert_eq!(world.row(id).webhook_error.as_deref(), Some(failure.code()));
        let next = world.row(id).sync_look_at.signed_duration_since(world.now.get());
        minutes.push(next.num_minutes());
        world.pass(next);
    }
    assert_eq!((world.looks.borrow().len(), world.asked.borrow().len()), (7, 0), "{failure:?}");
    let refused = |event: &Event| matches!(event, Event::GoogleRefused { .. });
    assert_eq!(world.log.borrow().iter().filter(|event| refused(event)).count(), 1, "{failure:?}");
    minutes
}

#[test]
fn what_goes_on_being_refused_is_looked_at_ever_less_often() {
    let within = |minutes: Vec<i64>, limits: [RangeInclusive<i64>; 7]| {
        let holds = minutes.iter().zip(&limits).all(|(minutes, limits)| limits.contains(minutes));
        assert!(holds, "{minutes:?}");
    };
    let day = 24 * 60..=24 * 60 + 3;
    within(
        minutes_between_looks(RenewalFailure::CalendarNotFound),
        [15..=18, day.clone(), day.clone(), day.clone(), day.clone(), day.clone(), day.clone()],
    );
    let hour = 57..=60;
    within(
        minutes_between_looks(RenewalFailure::GoogleApiDisabled),
        [15..=18, hour.clone(), hour.clone(), hour.clone(), hour.clone(), hour.clone(), hour],
    );
    within(
        minutes_between_looks(RenewalFailure::GoogleRejected),
        [15..=18, 75..=81, 150..=162, 300..=324, 600..=648, 1200..=1296, day],
    );
}

#[test]
fn what_a_look_is_refused_is_taken_back_by_a_look_and_the_channel_stays() {
    for (content, synced) in [(0, 0), (1, 1)] {
        let world = World::new();
        let id = due(&world, []);
        let renewal_due = world.row(id).webhook_not_before;
        let refused = LookFailure::Refused(RenewalFailure::GoogleApiDisabled.into());
        world.look_answers.replace([Err(refused)].into());
        sweep_once(&world);
        assert_eq!(world.row(id).webhook_error.as_deref(), Some("google_api_disabled"));
        world.content.set(content);
        world.pass(TimeDelta::minutes(19));
        assert_eq!(sweep_once(&world).synced, synced);
        let row = world.row(id);
        let missed = content != 0;
        assert_eq!((row.webhook_error, row.webhook_not_before != renewal_due), (None, missed));
        assert!(world.asked.borrow().is_empty());
    }
}

#[test]
fn an_answer_that_nobody_can_read_takes_nothing_back() {
    for (answer, is_taken_back) in [(LookFailure::TooLarge, true), (LookFailure::Doubtful, false)] {
        let world = World::new();
        let id = due(&world, [(Column::WebhookError, "calendar_not_found".into())]);
        world.look_answers.replace([Err(answer)].into());
        assert_eq!(sweep_once(&world).synced, 1);
        assert_eq!(world.row(id).webhook_error.is_none(), is_taken_back);
    }
}

#[test]
fn what_passes_by_itself_hides_nothing_that_a_person_must_mend() {
    use RenewalFailure::{GoogleRateLimited, GoogleRejected, GoogleUnavailable};
    for failure in [GoogleUnavailable, GoogleRateLimited, GoogleRejected] {
        let refused = Refused { retry_after: Some(Duration::from_secs(7200)), ..failure.into() };
        for error in ["calendar_not_found", "google_api_disabled"] {
            let world = World::new();
            let id = due(&world, [(Column::WebhookError, error.into())]);
            world.look_answers.replace([Err(LookFailure::Refused(refused.clone()))].into());
            assert_eq!(sweep_once(&world).looked, 1);
            assert_eq!(world.row(id).webhook_error.as_deref(), Some(error), "{failure:?}");
        }

        // The owed run waits for the consent, not for Google.
        let world = World::new();
        let id = world.connect(1, channel("current"));
        world.table.write(
            id,
            [
                (Column::WebhookError, "reconnect_required".into()),
                (Column::WebhookErrorReason, "invalid_grant".into()),
                (Column::WebhookNotBefore, START.into()),
                (Column::ExpiresAt, START.into()),
                (Column::SyncRequestId, world.request()),
            ],
        );
        world.token_answers.replace(vec![Err(refused); 2].into());
        sweep_once(&world);
        let row = world.row(id);
        assert_eq!(row.webhook_error.as_deref(), Some("reconnect_required"), "{failure:?}");
        assert_eq!(world.table.value(id, Column::WebhookErrorReason), "invalid_grant".into());
        let hours = row.webhook_not_before.signed_duration_since(START).num_hours();
        assert_eq!((hours, world.runs.borrow().len()), (2, 0), "{failure:?}");
    }
}

#[test]
fn what_a_renewal_told_is_not_taken_back_by_a_look() {
    for columns in [
        [(Column::WebhookId, NULL), (Column::WebhookError, "push_not_supported".into())],
        [(Column::WebhookAttempts, 1.into()), (Column::WebhookError, "webhook_url_rejected".into())],
    ] {
        for answer in [None, Some(RenewalFailure::GoogleRejected)] {
            let world = World::new();
            let id = due(&world, columns.clone());
            let before = world.row(id);
            let answers = answer.map(|failure| Err(LookFailure::Refused(failure.into())));
            world.look_answers.replace(answers.into_iter().collect());
            assert_eq!(sweep_once(&world).looked, 1);
            let after = world.row(id);
            let told = |row: &Connection| (row.webhook_error.clone(), row.webhook_not_before);
            assert_eq!(told(&after), told(&before), "{columns:?} {answer:?}");
        }
    }
}

#[test]
fn a_calendar_that_cannot_be_read_is_run_for_every_six_hours_whether_or_not_it_has_a_channel() {
    for without in [None, Some((Column::WebhookId, NULL))] {
        let world = World::new();
        let id = due(&world, without);
        world.look_answers.replace([Err(LookFailure::TooLarge)].into());
        assert_eq!(sweep_once(&world).synced, 1);
        let minutes = minutes_to_next_look(&world, id);
        assert!((5 * 60..7 * 60).contains(&minutes), "{minutes} minutes");
    }
}

#[test]
fn a_channel_of_a_calendar_that_no_look_can_compare_is_replaced_once_a_day() {
    let current = (Column::WebhookId, "current".into());
    let none = (Column::WebhookId, NULL);
    for (channel, opened_ago, is_replaced) in [
        (current.clone(), TimeDelta::hours(24), false),
        (current, TimeDelta::hours(25), true),
        (none, TimeDelta::hours(25), false),
    ] {
        let world = World::new();
        let id = due(&world, [channel, (Column::WebhookOpenedAt, (START - opened_ago).into())]);
        world.look_answers.replace([Err(LookFailure::TooLarge)].into());
        assert_eq!(sweep_once(&world).missed, 0);
        assert_eq!(world.row(id).webhook_not_before == START, is_replaced, "{opened_ago}");
    }
}

#[test]
fn a_calendar_whose_channel_never_expires_is_looked_at_as_any_other() {
    let world = World::new();
    let id = due(&world, [(Column::WebhookExpiration, Timestamp::MAX_UTC.into())]);
    sweep_once(&world);
    assert!(minutes_to_next_look(&world, id) > 5 * 60);
}

#[test]
fn a_calendar_that_cannot_be_read_is_run_for() {
    for failure in [LookFailure::TooLarge, LookFailure::Doubtful] {
        let world = World::new();
        let id = due(&world, []);
        world.look_answers.replace([Err(failure)].into());
        assert_eq!(sweep_once(&world).synced, 1);
        assert_eq!(world.table.value(id, Column::SyncSeen), NULL);
    }
}

#[test]
fn a_change_told_while_it_is_looked_for_is_left_to_its_own_run() {
    for content in [0, 1] {
        let world = World::new();
        let id = due(&world, []);
        world.content.set(content);
        world.during_look.replace(Some(Box::new(move |world| {
            world.table.write(id, [(Column::SyncRequestId, world.request())]);
        })));
        let before = world.row(id).last_sync_at;
        assert_eq!(sweep_once(&world).reconciled, 0);
        assert_eq!(world.row(id).last_sync_at, before);
        assert!(world.row(id).sync_request_id.is_some());
    }
}

#[test]
fn paused_disconnected_owing_and_dead_connections_are_not_looked_at() {
    for (column, value) in [
        (Column::SyncEnabled, Value::Boolean(false)),
        (Column::IsActive, NULL),
        (Column::Provider, "outlook".into()),
        (Column::WebhookError, "permission_missing".into()),
        (Column::SyncLookAt, (START + TimeDelta::seconds(1)).into()),
    ] {
        let world = World::new();
        due(&world, [(column, value)]);
        assert_eq!(sweep_once(&world).looked, 0, "{column:?}");
    }
}

#[test]
fn a_connection_whose_renewal_is_due_is_looked_at_after_it() {
    let world = World::new();
    due(&world, [(Column::WebhookLeaseUntil, START.into())]);
    assert_eq!(sweep_once(&world).looked, 0, "a renewal is going on");

    let world = World::new();
    let id = due(&world, [(Column::WebhookNotBefore, START.into())]);
    assert_eq!((sweep_once(&world).looked, world.looks.borrow().len()), (0, 1));
    assert!(minutes_to_next_look(&world, id) > 10);

    let world = World::new();
    due(&world, [(Column::WebhookNotBefore, START.into())]);
    world.unanswered_read.set(Some(Column::WebhookNotBefore));
    let _ = finish(sweep(&world, &world.sweeping(), Part::default()));
    assert!(world.looks.borrow().is_empty(), "it is still to be renewed");
}

fn many(world: &World, count: u128, more: &[(Column, Value)]) {
    for number in 1000..1000 + count {
        let id = world.connect(number, channel("c"));
        world.table.write(id, more.iter().cloned());
    }
}

#[test]
fn a_sweep_makes_so_many_looks_and_none_after_its_thirtieth_second() {
    for (takes, looked) in [(0, LOOKS_PER_SWEEP), (10, 3)] {
        let world = World::new();
        many(&world, 60, &[(Column::SyncLookAt, START.into()), (Column::SyncSeen, world.sees(0))]);
        world.look_takes.set(TimeDelta::seconds(takes));
        assert_eq!(sweep_once(&world).looked as usize, looked, "{takes} s each");
    }
}

#[test]
fn no_look_begins_after_a_sweep_has_read_so_much() {
    let world = World::new();
    let size = READ_BY_LOOKS / 5;
    let looked = |answer: &dyn Fn() -> Option<Result<Look, LookFailure>>| {
        many(&world, 50, &[(Column::SyncLookAt, START.into()), (Column::SyncSeen, world.sees(0))]);
        world.look_answers.replace((0..50).map_while(|_| answer()).collect());
        sweep_once(&world).looked as usize
    };
    world.look_size.set(size);
    assert_eq!(looked(&|| None), 5);
    assert_eq!(looked(&|| Some(Err(LookFailure::TooLarge))), READ_BY_LOOKS.div_ceil(LONGEST_LOOK));
    assert_eq!(looked(&|| Some(Err(LookFailure::Doubtful))), LOOKS_PER_SWEEP);
}

#[test]
fn runs_that_are_owed_leave_five_for_what_looks_find() {
    let owed = |world: &World| many(world, 60, &[(Column::SyncRequestId, world.request())]);
    let all = RUNS_PER_INVOCATION as usize;
    let kept = RUNS_KEPT_FOR_LOOKS as usize;
    for (looks, found) in [(0, 0), (3, 3), (20, kept)] {
        let world = World::new();
        world.run_takes.set(TimeDelta::zero());
        owed(&world);
        for number in 1..=looks {
            let id = world.connect(number, channel("c"));
            world.table.write(id, [(Column::SyncLookAt, START.into())]);
        }
        sweep_once(&world);
        let runs = world.runs.borrow();
        assert_eq!(runs.len(), all, "{looks} looks");
        let for_looks = runs.iter().filter(|run| run.reason.code() == "reconciliation").count();
        assert!(for_looks >= found, "{for_looks} of {looks}");
    }
}

#[test]
fn what_a_look_finds_beyond_the_runs_of_a_sweep_stays_owed() {
    let world = World::new();
    world.run_takes.set(TimeDelta::zero());
    many(&world, 40, &[(Column::SyncLookAt, START.into())]);
    let swept = sweep_once(&world);
    assert_eq!((swept.looked, swept.reconciled, swept.synced), (40, 40, RUNS_PER_INVOCATION));
    assert_eq!(swept.remaining, 40 - u64::from(RUNS_PER_INVOCATION));
}

#[test]
fn a_look_whose_refresh_token_somebody_else_rotated_is_due_at_once() {
    let world = World::new();
    let id = due(&world, [(Column::ExpiresAt, START.into())]);
    // After the claim, another invocation stores what it got for the same refresh token.
    world.after_update.replace(Some((
        1,
        Box::new(|world| {
            let id = ConnectionId(uuid::Uuid::from_u128(1));
            let rotated = Value::Secret("rotated refresh token".to_owned());
            world.table.write(id, [(Column::RefreshToken, rotated), (Column::WebhookSource, ROTATED.into())]);
        }),
    )));
    assert_eq!(sweep_once(&world), Swept { looked: 1, ..Swept::default() });
    assert_eq!(world.looks.borrow().len(), 0);
    assert_eq!(world.row(id).sync_look_at, START);
}

#[test]
fn a_look_that_begins_anew_does_not_tell_that_a_notification_was_missed() {
    let world = World::new();
    let anchor = Anchor::of_look(START - TimeDelta::days(40), None);
    let seen = Seen { anchor, digest: Digest([0; 32]) };
    due(&world, [(Column::SyncSeen, (&seen).into())]);
    let swept = sweep_once(&world);
    assert_eq!((swept.missed, swept.synced), (0, 1));
}

#[test]
fn a_look_for_which_the_refresh_token_rotated_counts() {
    let world = World::new();
    let id = due(&world, [(Column::ExpiresAt, START.into())]);
    world.token_answers.replace([Ok(rotated_token())].into());
    assert_eq!(sweep_once(&world), Swept { looked: 1, ..Swept::default() });
    assert_eq!(world.row(id).last_sync_at, Some(START));
}

#[test]
fn a_channel_that_google_does_not_open_keeps_looks_for_an_hour_at_most() {
    use RenewalFailure::{GoogleRateLimited, GoogleRejected, GoogleUnavailable, PushNotSupported};
    let asking = |failure, seconds| Refused {
        retry_after: Some(Duration::from_secs(seconds)),
        ..Refused::new(failure)
    };
    let day = 24 * 3600;
    for (watch, longest_hours) in [
        (WatchFailure::Doubtful(GoogleUnavailable.into()), 1),
        (WatchFailure::Doubtful(asking(GoogleUnavailable, 10)), 1),
        (WatchFailure::Refused(asking(GoogleRateLimited, 0)), 1),
        (WatchFailure::Refused(asking(GoogleRateLimited, 30)), 1),
        (WatchFailure::Refused(asking(GoogleRateLimited, 7200)), 2),
        (WatchFailure::Refused(asking(GoogleRateLimited, day)), 2),
        (WatchFailure::Refused(asking(PushNotSupported, 1)), 1),
        (WatchFailure::Unusable(GoogleRejected.into()), 1),
    ] {
        let world = World::new();
        let id = world.connect(1, []);
        world.table.write(id, [(Column::SyncLookAt, START.into())]);
        let (mut runs, mut silent_since) = (0, START);
        for _ in 0..4 * 24 * 60 / 7 {
            world.watch_answers.replace([Err(watch.clone())].into());
            sweep_once(&world);
            // Late enough that a sweep finds renewal and look due at once.
            world.pass(TimeDelta::minutes(7));
            if world.runs.borrow().len() > runs {
                runs = world.runs.borrow().len();
                silent_since = world.now.get();
                // The next look finds another calendar.
                world.content.set(world.content.get().wrapping_add(1));
            }
            let silent_for = world.now.get() - silent_since;
            assert!(silent_for <= TimeDelta::hours(longest_hours), "{watch:?} for {silent_for}");
        }
    }
}

#[test]
fn more_failing_channels_than_a_sweep_looks_at_are_all_looked_at() {
    let world = World::new();
    many(
        &world,
        120,
        &[
            (Column::SyncLookAt, START.into()),
            (Column::WebhookNotBefore, START.into()),
            (Column::WebhookAttempts, 1.into()),
        ],
    );
    let asks_to_wait = Refused {
        retry_after: Some(Duration::from_secs(24 * 3600)),
        ..RenewalFailure::GoogleRateLimited.into()
    };
    world.watch_answers.replace(vec![Err(WatchFailure::Refused(asks_to_wait)); 120].into());
    for looked in [50, 50, 20] {
        assert_eq!(sweep_once(&world).looked, looked);
        world.pass(TimeDelta::minutes(1));
    }
    assert_eq!(world.asked.borrow().len(), 120);
}
