//! Notifications: whose they are, and what follows from them.

use std::pin::pin;
use std::time::Duration;

use crate::world::{Fate, RESOURCE, START, World, channel, finish, rotated_token};
use chrono::TimeDelta;
use futures_util::FutureExt;
use futures_util::future::join_all;
use protocol::connection::{ChannelId, ConnectionId, ResourceId, TokenHash};
use protocol::event::Event;
use protocol::failure::{Refused, RenewalFailure, StopFailure, Word};
use protocol::look::LookFailure;
use protocol::notification::{Notification, State};
use protocol::receive::{Verdict, follow_up, receive};
use protocol::retire::retire;
use protocol::schedule::STOPS_A_MINUTE;
use protocol::table::{Column, Value};

fn notification(id: ConnectionId, channel: &str, number: i64) -> Notification {
    Notification {
        channel: ChannelId::new(channel),
        token_hash: TokenHash::new(format!("token of {id}")),
        resource: ResourceId::new(RESOURCE),
        state: State::Change,
        number,
    }
}

fn verdict_name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Opened(_) => "opened",
        Verdict::OpenedOrphan(_) => "opened orphan",
        Verdict::Changed(_) => "changed",
        Verdict::Orphan(_) => "orphan",
        Verdict::Late(_) => "late",
        Verdict::Unknown => "unknown",
        Verdict::Unavailable => "unavailable",
    }
}

/// Delivers a notification and all that follows from it.
fn deliver(world: &World, notification: &Notification) -> &'static str {
    let invocation = world.targeted();
    let verdict = finish(receive(world, &invocation, notification));
    let name = verdict_name(&verdict);
    finish(follow_up(world, &invocation, notification, verdict));
    name
}

#[test]
fn a_change_on_the_current_channel_costs_one_update_before_google_is_answered() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    let verdict = finish(receive(&world, &world.targeted(), &notification(id, "current", 7)));
    assert_eq!(verdict_name(&verdict), "changed");
    assert_eq!(world.updates.get(), 1);
    assert_eq!(world.row(id).webhook_message_number, 7);
    assert!(world.row(id).sync_request_id.is_some());
}

#[test]
fn a_change_is_followed_by_one_run_of_that_user_alone() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    let other = world.connect(2, channel("other"));
    assert_eq!(deliver(&world, &notification(id, "current", 2)), "changed");
    let connections: Vec<_> = world.runs.borrow().iter().map(|run| run.connection).collect();
    assert_eq!(connections, [id]);
    assert_eq!(world.row(id).sync_request_id, None);
    assert_eq!(world.row(id).last_sync_at, Some(world.now.get()));
    assert_eq!(world.row(other).last_sync_at, Some(crate::world::START - chrono::TimeDelta::hours(1)));
}

#[test]
fn a_duplicate_or_late_number_is_answered_and_runs_nothing_new() {
    for number in [1, 4, 5] {
        let world = World::new();
        let id = world.connect(1, channel("current"));
        world.table.write(id, [(Column::WebhookMessageNumber, Value::Integer(5))]);
        assert_eq!(deliver(&world, &notification(id, "current", number)), "late", "{number}");
        assert!(world.runs.borrow().is_empty());
    }
}

#[test]
fn a_late_number_runs_what_is_owed_from_before() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    world.table.write(
        id,
        [(Column::WebhookMessageNumber, Value::Integer(5)), (Column::SyncRequestId, world.request())],
    );
    assert_eq!(deliver(&world, &notification(id, "current", 5)), "late");
    assert_eq!(world.runs.borrow().len(), 1);
}

#[test]
fn a_channel_that_is_nobodys_any_more_is_run_for_and_stopped() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    assert_eq!(deliver(&world, &notification(id, "before", 9)), "orphan");
    assert_eq!(*world.stopped.borrow(), [ChannelId::new("before")]);
    let stopped = Event::ChannelStopped { connection: id, channel: ChannelId::new("before") };
    assert!(world.log.borrow().contains(&stopped));
    assert_eq!(world.runs.borrow().len(), 1);
    assert_eq!(world.row(id).webhook_message_number, 1, "the current channel's count is untouched");
}

#[test]
fn a_channel_that_is_nobodys_any_more_is_stopped_on_the_resource_that_it_names() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    let resource = ResourceId::new("of another calendar");
    let notification = Notification { resource: resource.clone(), ..notification(id, "before", 9) };
    assert_eq!(deliver(&world, &notification), "orphan");
    assert_eq!(*world.stopped_on.borrow(), [resource]);
}

#[test]
fn a_stop_for_which_google_wants_another_token_is_repeated_once_with_one() {
    let refused = Err(StopFailure::Unauthorized(RenewalFailure::ReconnectRequired.into()));
    let unread = Err(LookFailure::Unauthorized(RenewalFailure::ReconnectRequired.into()));
    for (refusals, stopped) in [(1, true), (2, false)] {
        let world = World::new();
        let id = world.connect(1, channel("current"));
        world.stop_answers.replace(vec![refused.clone(); refusals].into());
        world.look_answers.replace([unread.clone()].into());
        assert_eq!(deliver(&world, &notification(id, "before", 9)), "orphan");
        assert_eq!(world.stopped.borrow().len(), usize::from(stopped), "{refusals} refusals");
        assert_eq!(world.token_renewals.get(), 1);
        assert!(world.stop_answers.borrow().is_empty());
        assert_eq!(world.row(id).webhook_error, None, "the calendar is read with the new token");
    }
}

/// Of another account, say: it goes on speaking, for a month.
#[test]
fn a_channel_that_no_token_of_the_connection_stops_costs_no_token() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    let refused = StopFailure::Unauthorized(RenewalFailure::ReconnectRequired.into());
    world.stop_answers.replace(vec![Err(refused); 30].into());
    for number in 1..=30 {
        assert_eq!(deliver(&world, &notification(id, "before", number)), "orphan");
        world.pass(TimeDelta::seconds(5));
    }
    assert_eq!((world.token_renewals.get(), world.stop_answers.borrow().len()), (0, 0));
    assert_eq!(world.row(id).webhook_error, None);
    assert_eq!(not_stopped(&world), vec![StopFailure::Unknown; 30]);
}

#[test]
fn a_calendar_is_not_read_for_a_stop_once_its_user_has_paused() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    world.table.write(id, [(Column::SyncEnabled, Value::Boolean(false))]);
    let refused = StopFailure::Unauthorized(RenewalFailure::ReconnectRequired.into());
    world.stop_answers.replace(vec![Err(refused); 32].into());
    // Once when the channel is given up, …
    assert!(finish(retire(&world, &world.row(id))));
    assert_eq!(world.token_renewals.get(), 1);
    // … and not at its messages.
    for number in 1..=30 {
        assert_eq!(deliver(&world, &notification(id, "current", number)), "orphan");
        world.pass(TimeDelta::seconds(5));
    }
    assert_eq!((world.token_renewals.get(), world.looks.borrow().len()), (1, 0));
    world.pass(TimeDelta::hours(1));
    assert_eq!(deliver(&world, &notification(id, "current", 31)), "orphan");
    assert_eq!((world.token_renewals.get(), world.stopped.borrow().len()), (2, 1));
}

#[test]
fn a_stop_that_google_refuses_with_a_token_just_renewed_is_not_repeated() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    world.table.write(id, [(Column::ExpiresAt, crate::world::START.into())]);
    let refused = StopFailure::Unauthorized(RenewalFailure::ReconnectRequired.into());
    world.stop_answers.replace([Err(refused)].into());
    assert_eq!(deliver(&world, &notification(id, "before", 9)), "orphan");
    assert_eq!((world.token_renewals.get(), world.stopped.borrow().len()), (1, 0));
}

#[test]
fn what_an_orphan_says_at_once_costs_one_token_call() {
    for answer in [Ok(()), Err(RenewalFailure::ReconnectRequired)] {
        let world = World::new();
        let id = world.connect(1, channel("current").into_iter().chain([(Column::ExpiresAt, START.into())]));
        if let Err(failure) = answer {
            world.token_answers.replace([Err(failure.into())].into());
        }
        world.tokens_take_time.set(true);
        let invocations: Vec<_> = (0..30).map(|_| world.targeted()).collect();
        let burst = invocations.iter().zip(1..).map(|(invocation, number)| {
            let (notification, world) = (notification(id, "before", number), &world);
            async move {
                let verdict = receive(world, invocation, &notification).await;
                follow_up(world, invocation, &notification, verdict).await;
            }
        });
        let mut burst = pin!(join_all(burst));
        assert!((0..5).any(|_| burst.as_mut().now_or_never().is_some()));
        assert_eq!(world.token_renewals.get(), 1, "{answer:?}");
        // Anybody who knows the connection's token can speak in the name of any number of channels.
        let stops = if answer.is_ok() { STOPS_A_MINUTE } else { 0 };
        assert_eq!(world.stopped.borrow().len(), stops);
    }
}

#[test]
fn an_orphan_whose_consent_is_dead_costs_one_token_call_however_often_it_speaks() {
    let dead = Refused { reason: Word::parse("invalid_grant"), ..RenewalFailure::ReconnectRequired.into() };
    for expires_at in [START, START + TimeDelta::hours(1)] {
        let world = World::new();
        let expires_at = [(Column::ExpiresAt, expires_at.into())];
        let id = world.connect(1, channel("current").into_iter().chain(expires_at));
        world.token_answers.replace(vec![Err(dead.clone()); 30].into());
        let refused = StopFailure::Unauthorized(RenewalFailure::ReconnectRequired.into());
        world.stop_answers.replace(vec![Err(refused); 30].into());
        let unread = LookFailure::Unauthorized(RenewalFailure::ReconnectRequired.into());
        world.look_answers.replace(vec![Err(unread); 30].into());
        for number in 1..=30 {
            assert_eq!(deliver(&world, &notification(id, "before", number)), "orphan");
            world.pass(TimeDelta::seconds(1));
        }
        assert_eq!(world.token_renewals.get(), 1);
        let row = world.row(id);
        assert_eq!(row.webhook_error.as_deref(), Some("reconnect_required"));
        let tomorrow = row.webhook_not_before.signed_duration_since(START) - TimeDelta::days(1);
        assert!((0..60).contains(&tomorrow.num_seconds()), "{tomorrow}");
        assert_eq!(world.table.value(id, Column::WebhookErrorReason), "invalid_grant".into());
    }
}

#[test]
fn a_stop_that_google_refuses_with_401_costs_one_page_and_is_told_as_that() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    let unauthorized = StopFailure::Unauthorized(RenewalFailure::ReconnectRequired.into());
    world.stop_answers.replace([Err(unauthorized.clone())].into());
    world.look_answers.replace([Err(LookFailure::Refused(RenewalFailure::CalendarNotFound.into()))].into());
    assert_eq!(deliver(&world, &notification(id, "before", 9)), "orphan");
    // So far ahead there are only series without an end.
    let anchor = world.looked_from.get().unwrap().time();
    assert!(anchor > world.now.get() + TimeDelta::days(9 * 365), "{anchor}");
    assert_eq!(not_stopped(&world), [unauthorized]);
}

fn not_stopped(world: &World) -> Vec<StopFailure> {
    let failure = |event: &Event| match event {
        Event::ChannelNotStopped { failure, .. } => Some(failure.clone()),
        _ => None,
    };
    world.log.borrow().iter().filter_map(failure).collect()
}

#[test]
fn what_a_stop_is_refused_is_told_of_the_consent_where_the_calendar_is_refused_too() {
    for (look, error) in [(None, None), (Some(RenewalFailure::PermissionMissing), Some("permission_missing"))]
    {
        let world = World::new();
        let id = world.connect(1, channel("current"));
        let refused = StopFailure::Refused(RenewalFailure::PermissionMissing.into());
        world.stop_answers.replace([Err(refused)].into());
        world
            .look_answers
            .replace(look.map(|failure| Err(LookFailure::Refused(failure.into()))).into_iter().collect());
        assert_eq!(deliver(&world, &notification(id, "before", 9)), "orphan");
        assert_eq!(world.row(id).webhook_error.as_deref(), error);
    }
}

#[test]
fn a_client_that_google_refuses_is_told_by_an_orphan_and_costs_one_token_call() {
    let world = World::new();
    let expired = [(Column::ExpiresAt, START.into())];
    let id = world.connect(1, channel("current").into_iter().chain(expired));
    world.token_answers.replace(vec![Err(RenewalFailure::OauthClientInvalid.into()); 9].into());
    world.table.write(id, [(Column::SyncLeaseUntil, (START + TimeDelta::hours(1)).into())]);
    for number in 1..=9 {
        assert_eq!(deliver(&world, &notification(id, "before", number)), "orphan");
    }
    assert_eq!(world.token_renewals.get(), 1);
    assert_eq!(world.row(id).look_error(), Some("oauth_client_invalid"));
}

#[test]
fn an_orphan_of_a_paused_connection_is_stopped_once_the_client_is_mended() {
    let world = World::new();
    let paused = [(Column::ExpiresAt, START.into()), (Column::SyncEnabled, Value::Boolean(false))];
    let id = world.connect(1, paused);
    world.token_answers.replace(vec![Err(RenewalFailure::OauthClientInvalid.into()); 2].into());
    for (minutes, calls, stops) in [(0, 1, 0), (0, 1, 0), (2, 2, 0), (2, 2, 0), (4, 3, 1)] {
        world.now.set(START + TimeDelta::minutes(minutes));
        assert_eq!(deliver(&world, &notification(id, "before", 9)), "orphan");
        assert_eq!((world.token_renewals.get(), world.stopped.borrow().len()), (calls, stops));
    }
}

#[test]
fn a_channel_that_has_just_spoken_and_that_google_does_not_know_was_not_stopped() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    world.stop_answers.replace([Err(StopFailure::Unknown)].into());
    assert_eq!(deliver(&world, &notification(id, "before", 9)), "orphan");
    let said = world.log.borrow().iter().map(Event::name).collect::<Vec<_>>();
    assert!(said.contains(&"channel_not_stopped") && !said.contains(&"channel_stopped"), "{said:?}");
}

#[test]
fn a_channel_that_is_given_up_and_that_google_does_not_know_is_gone_only_if_it_has_expired() {
    for (expires_in, said) in [
        (Some(TimeDelta::days(3)), "channel_not_stopped"),
        (Some(TimeDelta::zero()), "channel_gone"),
        (None, "channel_not_stopped"),
    ] {
        let world = World::new();
        let id = world.connect(1, channel("current"));
        let expiration = expires_in.map_or(Value::Null, |expires_in| (START + expires_in).into());
        let expiration = (Column::WebhookExpiration, expiration);
        world.table.write(id, [(Column::SyncEnabled, Value::Boolean(false)), expiration]);
        world.stop_answers.replace([Err(StopFailure::Unknown)].into());
        assert!(finish(protocol::retire::retire(&world, &world.row(id))));
        assert_eq!(world.log.borrow().last().map(Event::name), Some(said));
    }
}

#[test]
fn a_pending_channel_is_run_for_and_not_stopped() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    world.table.write(id, [(Column::WebhookPendingId, "pending".into())]);
    assert_eq!(deliver(&world, &notification(id, "pending", 2)), "changed");
    assert!(world.stopped.borrow().is_empty());
    assert_eq!(world.runs.borrow().len(), 1);
}

#[test]
fn an_unknown_token_changes_nothing() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    let before = world.row(id);
    let stranger = ConnectionId(uuid::Uuid::from_u128(99));
    assert_eq!(deliver(&world, &notification(stranger, "current", 9)), "unknown");
    assert_eq!(world.row(id), before);

    let foreign = world.connect(2, channel("foreign"));
    world.table.write(foreign, [(Column::Provider, "outlook".into())]);
    let before = world.row(foreign);
    assert_eq!(deliver(&world, &notification(foreign, "foreign", 9)), "unknown");
    assert_eq!(world.row(foreign), before);
}

#[test]
fn the_first_message_confirms_a_pending_or_current_channel() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    world.table.write(
        id,
        [(Column::WebhookPendingId, "pending".into()), (Column::WebhookMessageNumber, Value::Integer(0))],
    );
    for (channel, column, value) in [
        ("pending", Column::WebhookConfirmedId, Value::Text("pending".to_owned())),
        ("current", Column::WebhookMessageNumber, Value::Integer(1)),
    ] {
        let sync = Notification { state: State::Sync, ..notification(id, channel, 1) };
        assert_eq!(deliver(&world, &sync), "opened");
        assert_eq!(world.table.value(id, column), value);
    }
    assert!(world.runs.borrow().is_empty());
}

#[test]
fn a_channel_that_opened_though_google_refused_it_is_stopped_when_it_says_so() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    let sync = Notification { state: State::Sync, ..notification(id, "refused", 1) };
    assert_eq!(deliver(&world, &sync), "opened orphan");
    assert_eq!(*world.stopped.borrow(), [ChannelId::new("refused")]);
    assert!(world.runs.borrow().is_empty(), "nothing changed");
    assert_eq!(world.row(id).sync_request_id, None);
}

#[test]
fn a_repeated_first_message_stops_nothing() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    for (number, then) in [(0, 1), (1, 1), (7, 7)] {
        world.table.write(id, [(Column::WebhookMessageNumber, Value::Integer(number))]);
        let sync = Notification { state: State::Sync, ..notification(id, "current", 1) };
        assert_eq!(deliver(&world, &sync), "opened", "{number}");
        assert_eq!(world.row(id).webhook_message_number, then);
    }
    assert!(world.stopped.borrow().is_empty());
}

#[test]
fn a_paused_connection_keeps_the_request_and_gives_its_channel_up() {
    for paused in [Column::SyncEnabled, Column::IsActive] {
        let world = World::new();
        let id = world.connect(1, channel("current"));
        world.table.write(id, [(paused, Value::Boolean(false))]);
        assert_eq!(deliver(&world, &notification(id, "current", 2)), "changed");
        let row = world.row(id);
        assert!(row.sync_request_id.is_some(), "resumed, the change is still known");
        assert_eq!((row.webhook_id, row.webhook_not_before), (None, protocol::Timestamp::default()));
        assert_eq!(*world.stopped.borrow(), [ChannelId::new("current")]);
        assert!(world.runs.borrow().is_empty());
    }
}

#[test]
fn a_channel_that_may_still_be_the_rows_own_is_not_stopped() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    world.table.write(id, [(Column::SyncEnabled, Value::Boolean(false))]);
    // That the row gives it up is not answered.
    world.fate.set(Some((2, Fate::Lost)));
    assert_eq!(deliver(&world, &notification(id, "current", 2)), "changed");
    assert_eq!(world.row(id).webhook_id, Some(ChannelId::new("current")));
    assert!(world.stopped.borrow().is_empty());
}

#[test]
fn a_database_that_does_not_answer_has_google_try_again() {
    for fate in [Fate::Lost, Fate::Unanswered] {
        let world = World::new();
        let id = world.connect(1, channel("current"));
        world.fate.set(Some((1, fate)));
        assert_eq!(deliver(&world, &notification(id, "current", 2)), "unavailable");
        // The second try finds the first one's write, or makes it: either way a run follows.
        assert!(matches!(deliver(&world, &notification(id, "current", 2)), "changed" | "late"));
        assert_eq!(world.runs.borrow().len(), 1, "{fate:?}");
    }
}

#[test]
fn a_channel_that_is_committed_while_its_change_is_judged_is_the_rows_own() {
    for is_read_before in [false, true] {
        let world = World::new();
        let id = world.connect(1, channel("current"));
        world.table.write(id, [(Column::WebhookPendingId, "pending".into())]);
        let commit = move |world: &World| {
            world.table.write(id, channel("pending"));
            world.table.write(id, [(Column::WebhookPendingId, Value::Null)]);
        };
        if is_read_before {
            world.after_select.replace(Some((Column::Id, Box::new(commit))));
        } else {
            world.after_update.replace(Some((1, Box::new(commit))));
        }
        assert_eq!(
            deliver(&world, &notification(id, "pending", 2)),
            "changed",
            "read before: {is_read_before}"
        );
        assert_eq!(world.row(id).webhook_message_number, 2);
        assert_eq!(world.runs.borrow().len(), 1);
    }
}

#[test]
fn a_first_message_is_judged_again_if_its_row_moves_meanwhile() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    // As a read that lags shows it.
    let open = move |world: &World| world.table.write(id, [(Column::WebhookPendingId, "new".into())]);
    world.after_select.replace(Some((Column::Id, Box::new(open))));
    let sync = Notification { state: State::Sync, ..notification(id, "new", 1) };
    assert_eq!(deliver(&world, &sync), "opened");
    assert_eq!(world.table.value(id, Column::WebhookConfirmedId), Value::Text("new".to_owned()));
    assert!(world.stopped.borrow().is_empty());
}

#[test]
fn google_is_told_to_try_again_when_the_time_to_answer_it_is_over() {
    for (passed, verdict) in [(4_499, "changed"), (4_500, "unavailable")] {
        let world = World::new();
        let id = world.connect(1, channel("current"));
        let invocation = world.targeted();
        world.pass(chrono::TimeDelta::milliseconds(passed));
        let actual = finish(receive(&world, &invocation, &notification(id, "current", 2)));
        assert_eq!(verdict_name(&actual), verdict, "after {passed} ms");
    }
    // Each request to the database has no more time than Google's answer has left.
    for (channel_id, number, requests) in
        [("current", 2, 1), ("orphan", 2, 3), ("current", 1, 2), ("orphan", 1, 3)]
    {
        let world = World::new();
        let id = world.connect(1, channel("current"));
        let invocation = world.targeted();
        world.pass(chrono::TimeDelta::milliseconds(4_000));
        finish(receive(&world, &invocation, &notification(id, channel_id, number)));
        let patience = world.patience.borrow();
        assert_eq!(patience.len(), requests, "{channel_id}, {number}");
        assert!(patience.iter().all(|most| *most <= Duration::from_millis(500)), "{patience:?}");
    }
}

#[test]
fn while_a_run_goes_on_nobody_claims_another() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    // The claim has booked the next attempt, for the time after its lease.
    let lease = (Column::SyncLeaseUntil, (START + TimeDelta::minutes(3)).into());
    let next = (Column::SyncNotBefore, (START + TimeDelta::minutes(4)).into());
    world.table.write(id, [lease, next]);
    assert_eq!(deliver(&world, &notification(id, "current", 2)), "changed");
    assert_eq!(world.updates.get(), 1, "neither a claim nor an attempt to bring the next run forward");
    assert!(world.row(id).sync_request_id.is_some());
}

#[test]
fn a_change_brings_a_run_forward_that_waits_long_for_an_old_failure() {
    let in_two_minutes = START + TimeDelta::minutes(2);
    let in_an_hour = START + TimeDelta::hours(1);
    for (column, value, starts_at) in [
        (Column::SyncError, "recalculate_500".into(), in_two_minutes),
        (Column::SyncLeaseUntil, in_an_hour.into(), in_an_hour),
        (Column::WebhookError, "reconnect_required".into(), in_an_hour),
        (Column::SyncEnabled, Value::Boolean(false), in_an_hour),
    ] {
        let world = World::new();
        let id = world.connect(1, channel("current"));
        world.table.write(id, [(Column::SyncNotBefore, in_an_hour.into()), (column, value)]);
        assert_eq!(deliver(&world, &notification(id, "current", 2)), "changed");
        assert_eq!(world.row(id).sync_not_before, starts_at, "{column:?}");
        assert!(world.runs.borrow().is_empty(), "{column:?}");
    }
}

#[test]
fn what_may_be_the_echo_of_an_attempt_that_failed_waits_a_quarter_of_an_hour() {
    // After twelve attempts a run waits 57 to 60 minutes.
    for (failed_ago, wait) in [(-2, 15), (0, 15), (1, 15), (3, 2), (40, 2)] {
        let world = World::new();
        let id = world.connect(1, channel("current"));
        let next = START + TimeDelta::minutes(57 - failed_ago);
        world.table.write(id, [(Column::SyncNotBefore, next.into()), (Column::SyncAttempts, 12.into())]);
        assert_eq!(deliver(&world, &notification(id, "current", 2)), "changed");
        world.pass(TimeDelta::minutes(1));
        assert_eq!(deliver(&world, &notification(id, "current", 3)), "changed");
        let actual = world.row(id).sync_not_before - START;
        assert_eq!(actual, TimeDelta::minutes(wait), "{failed_ago} minutes after the failure");
    }
}

#[test]
fn whatever_a_notification_leads_to_google_reached_us() {
    for said in ["current", "pending", "former"] {
        let world = World::new();
        let id = world.connect(1, channel("current"));
        world.table.write(id, [(Column::WebhookPendingId, "pending".into())]);
        deliver(&world, &notification(id, said, 2));
        assert_eq!(world.table.value(id, Column::WebhookNotifiedAt), START.into(), "{said}");
    }
}

#[test]
fn a_refusal_of_a_stop_is_told_of_the_consent_whose_refresh_token_rotated_for_it() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    let unauthorized = || Err(StopFailure::Unauthorized(RenewalFailure::ReconnectRequired.into()));
    world.stop_answers.replace([unauthorized(), unauthorized()].into());
    world.token_answers.replace([Ok(rotated_token())].into());
    let unreadable = || Err(LookFailure::Unauthorized(RenewalFailure::ReconnectRequired.into()));
    world.look_answers.replace([unreadable(), unreadable()].into());
    assert_eq!(deliver(&world, &notification(id, "before", 9)), "orphan");
    assert_eq!(world.row(id).webhook_error.as_deref(), Some("reconnect_required"));
}
