//! Renewals: no gap, one channel in the end, never a new consent overwritten.

use crate::world::{Fate, RESOURCE, World, channel, finish, rotated_token};
use chrono::TimeDelta;
use protocol::Timestamp;
use protocol::connection::{AccessToken, ChannelId, Connection, ConnectionId, ResourceId, TokenHash};
use protocol::event::Event;
use protocol::failure::{Refused, RenewalFailure, WatchFailure, Word};
use protocol::grant::OpenedChannel;
use protocol::look::LookFailure;
use protocol::notification::{Notification, State};
use protocol::recalculation::Reason;
use protocol::receive::{follow_up, receive};
use protocol::refresh::{follow_up as follow_up_refresh, refresh};
use protocol::refusal::Refusal;
use protocol::renew::{Renewal, renew_channel};
use protocol::retire::retire;
use protocol::setup::{self, SetUp, setup};
use protocol::table::{Column, Value};
use protocol::transition::Trigger;

fn renew_once(world: &World, id: ConnectionId, trigger: Trigger) -> Renewal {
    let invocation = world.targeted();
    let renewal = finish(renew_channel(world, &invocation, &world.row(id), trigger));
    if let Renewal::Renewed(renewed) = renewal.clone() {
        finish(renewed.follow_up(world, &invocation, Reason::ChannelOpened));
    }
    renewal
}

fn unauthorized() -> WatchFailure {
    WatchFailure::Unauthorized(RenewalFailure::ReconnectRequired.into())
}

fn reconnect(world: &World, id: ConnectionId) {
    world.table.write(id, [(Column::RefreshToken, Value::Secret("new consent".to_owned()))]);
}

#[track_caller]
fn check_failed(renewal: &Renewal, failure: RenewalFailure) {
    assert!(matches!(renewal, Renewal::Failed(actual, _) if *actual == failure), "{renewal:?}");
}

#[test]
fn the_new_channel_is_stored_before_the_old_one_is_stopped() {
    let world = World::new();
    let id = world.connect(1, channel("old"));
    world.table.write(id, [(Column::WebhookNotBefore, world.now.get().into())]);
    let opened_at = world.now.get();
    assert!(matches!(renew_once(&world, id, Trigger::Sweep), Renewal::Renewed(_)));
    let row = world.row(id);
    assert_eq!(row.webhook_id.as_ref(), world.opened.borrow().first());
    assert_eq!(row.webhook_pending_id, None);
    assert_eq!(row.webhook_resource_id, Some(ResourceId::new(RESOURCE)));
    assert_eq!(row.webhook_opened_at, opened_at);
    assert_eq!(row.webhook_message_number, 0);
    let due = opened_at + TimeDelta::days(28);
    assert!((due - TimeDelta::days(28) / 10..=due).contains(&row.webhook_not_before));
    assert_eq!((row.webhook_attempts, row.webhook_error), (0, None));
    assert_eq!(world.runs.borrow().len(), 1, "a run follows every opening");
    assert_eq!(*world.stopped.borrow(), [ChannelId::new("old")]);
}

#[test]
fn what_is_not_due_leased_paused_or_too_soon_is_not_renewed() {
    let later = crate::world::START + TimeDelta::minutes(1);
    for (trigger, column, value) in [
        (Trigger::Sweep, Column::WebhookNotBefore, Value::Time(later)),
        (Trigger::Sweep, Column::WebhookLeaseUntil, Value::Time(later)),
        (Trigger::Sweep, Column::SyncEnabled, Value::Boolean(false)),
        (Trigger::Sweep, Column::IsActive, Value::Boolean(false)),
        (Trigger::Button, Column::WebhookOpenedAt, Value::Time(crate::world::START - TimeDelta::seconds(29))),
        (Trigger::Setup, Column::Provider, "outlook".into()),
    ] {
        let world = World::new();
        let id = world.connect(1, []);
        world.table.write(id, [(column, value)]);
        assert_eq!(renew_once(&world, id, trigger), Renewal::NotOurs, "{column:?}");
        assert!(world.opened.borrow().is_empty(), "{column:?}");
    }
}

#[test]
fn an_access_token_is_renewed_when_less_than_a_minute_is_left_or_more_than_google_grants() {
    for (left, renewals) in [(59, 1), (61, 0), (-100, 1), (86_400, 0), (86_401, 1), (2_000_000_000, 1)] {
        let world = World::new();
        let id = world.connect(1, []);
        world.table.write(id, [(Column::ExpiresAt, (crate::world::START + TimeDelta::seconds(left)).into())]);
        finish(renew_channel(&world, &world.targeted(), &world.row(id), Trigger::Sweep));
        assert_eq!(world.token_renewals.get(), renewals, "{left} s left");
        assert_eq!(world.opened.borrow().len(), 1);
        let left = if renewals == 1 { 3600 } else { left };
        let expires_at = crate::world::START + TimeDelta::seconds(left);
        assert_eq!(world.table.value(id, Column::ExpiresAt), expires_at.into());
    }
}

#[test]
fn a_refused_access_token_is_renewed_once() {
    let world = World::new();
    let id = world.connect(1, []);
    world.watch_answers.replace([Err(unauthorized())].into());
    world.table.write(id, [(Column::ExpiresAt, (world.now.get() + TimeDelta::hours(20)).into())]);
    assert!(matches!(renew_once(&world, id, Trigger::Sweep), Renewal::Renewed(_)));
    assert_eq!(world.token_renewals.get(), 1);
    let in_an_hour = crate::world::START + TimeDelta::hours(1);
    assert_eq!(world.row(id).expires_at, Some(in_an_hour), "whatever the host thought of it");

    let world = World::new();
    let id = world.connect(1, []);
    world.watch_answers.replace([Err(unauthorized()), Err(unauthorized())].into());
    check_failed(&renew_once(&world, id, Trigger::Sweep), RenewalFailure::ReconnectRequired);
    assert_eq!(world.row(id).webhook_not_before, world.now.get() + TimeDelta::hours(24));
}

#[test]
fn what_google_said_is_kept_until_it_is_healed() {
    let world = World::new();
    let id = world.connect(1, []);
    let refused = Refused { reason: Word::parse("notACalendarUser"), ..RenewalFailure::NoCalendar.into() };
    world.watch_answers.replace([Err(WatchFailure::Refused(refused))].into());
    check_failed(&renew_once(&world, id, Trigger::Sweep), RenewalFailure::NoCalendar);
    assert_eq!(world.table.value(id, Column::WebhookErrorReason), "notACalendarUser".into());
    let told = |event: &Event| match event {
        Event::RenewalFailed { reason, .. } => reason.clone(),
        _ => None,
    };
    assert_eq!(world.log.borrow().iter().find_map(told), Word::parse("notACalendarUser"));
    world.pass(TimeDelta::days(1));
    assert!(matches!(renew_once(&world, id, Trigger::Sweep), Renewal::Renewed(_)));
    assert_eq!(world.table.value(id, Column::WebhookErrorReason), Value::Null);
}

#[test]
fn a_channel_that_has_spoken_exists_whatever_google_answered() {
    let world = World::new();
    let id = world.connect(1, []);
    for _ in 0..9 {
        world.during_watch.replace(Some(Box::new(move |world| {
            let sync = Notification {
                channel: world.row(id).webhook_pending_id.unwrap(),
                token_hash: TokenHash::new(format!("token of {id}")),
                resource: ResourceId::new(RESOURCE),
                state: State::Sync,
                number: 1,
            };
            let verdict = finish(receive(world, &world.targeted(), &sync));
            finish(follow_up(world, &world.targeted(), &sync, verdict));
        })));
        world
            .watch_answers
            .replace([Err(WatchFailure::Refused(RenewalFailure::GoogleRateLimited.into()))].into());
        check_failed(&renew_once(&world, id, Trigger::Button), RenewalFailure::GoogleRateLimited);
        assert_eq!(world.row(id).webhook_pending_id.as_ref(), world.asked.borrow().last());
        world.pass(TimeDelta::hours(2));
    }
    assert_eq!(*world.stopped.borrow(), world.asked.borrow()[..8]);
}

#[test]
fn while_the_calendar_must_not_be_read_no_other_channel_is_opened() {
    use RenewalFailure::{GoogleUnavailable, PermissionMissing, PushNotSupported};
    for (told, look, is_renewed) in [
        ("permission_missing", Some(PermissionMissing), false),
        ("calendar_not_found", Some(PermissionMissing), false),
        ("permission_missing", Some(GoogleUnavailable), false),
        ("permission_missing", None, true),
        ("push_not_supported", Some(PushNotSupported), true),
        ("google_rejected", Some(PermissionMissing), true),
    ] {
        let world = World::new();
        let id = world.connect(1, channel("old"));
        world.table.write(id, [(Column::WebhookError, told.into())]);
        world.table.write(id, [(Column::WebhookNotBefore, world.now.get().into())]);
        let refused = look.map(|failure| Err(LookFailure::Refused(failure.into())));
        world.look_answers.replace(refused.into_iter().collect());
        let renewal = renew_once(&world, id, Trigger::Sweep);
        assert_eq!(world.asked.borrow().len(), usize::from(is_renewed), "{told} {look:?}");
        match look {
            Some(failure) if !is_renewed => check_failed(&renewal, failure),
            _ => assert!(matches!(renewal, Renewal::Renewed(_))),
        }
    }
}

/// A channel whose resource is not told cannot be stopped before it speaks.
#[test]
fn doubtful_channels_do_not_add_up() {
    let unusable = WatchFailure::Unusable(RenewalFailure::GoogleRejected.into());
    for current in [true, false] {
        let world = World::new();
        let id = world.connect(1, current.then(|| channel("old")).into_iter().flatten());
        world.table.write(id, [(Column::WebhookNotBefore, world.now.get().into())]);
        world.watch_answers.replace(vec![Err(unusable.clone()); 9].into());
        for _ in 0..9 {
            renew_once(&world, id, Trigger::Sweep);
            world.pass(TimeDelta::hours(1));
        }
        assert_eq!(world.asked.borrow().len(), 1, "within nine hours");
        for _ in 0..3 {
            world.pass(TimeDelta::hours(25));
            renew_once(&world, id, Trigger::Sweep);
        }
        let asked = world.asked.borrow().len();
        assert_eq!(asked, 4);
        // The current channel's resource is that of every channel on its calendar.
        assert_eq!(world.stopped.borrow().len(), if current { asked - 1 } else { 0 });
        assert_eq!(world.row(id).webhook_pending_id.as_ref(), world.asked.borrow().last());
    }
}

/// Its messages tell the resource.
#[test]
fn a_doubtful_channel_that_has_spoken_is_stopped_by_the_next_renewal_or_a_pause() {
    for (trigger, state) in [(Trigger::Setup, State::Sync), (Trigger::Button, State::Change)] {
        let world = World::new();
        let id = world.connect(1, []);
        let doubtful = WatchFailure::Doubtful(RenewalFailure::GoogleRejected.into());
        world.watch_answers.replace(vec![Err(doubtful); 9].into());
        for _ in 0..9 {
            renew_once(&world, id, trigger);
            let message = Notification {
                channel: world.row(id).webhook_pending_id.unwrap(),
                token_hash: TokenHash::new(format!("token of {id}")),
                resource: ResourceId::new(RESOURCE),
                state,
                number: 1,
            };
            let verdict = finish(receive(&world, &world.targeted(), &message));
            finish(follow_up(&world, &world.targeted(), &message, verdict));
            world.pass(TimeDelta::seconds(11));
        }
        let asked = world.asked.borrow();
        assert_eq!(asked.len(), 9);
        assert_eq!(*world.stopped.borrow(), asked[..8], "{trigger:?}");
        assert_eq!(world.row(id).webhook_pending_id.as_ref(), asked.last());
        world.table.write(id, [(Column::SyncEnabled, Value::Boolean(false))]);
        assert!(finish(retire(&world, &world.row(id))));
        assert_eq!(*world.stopped.borrow(), asked[..], "{trigger:?}");
    }
}

#[test]
fn without_a_refresh_token_the_user_must_reconnect() {
    let world = World::new();
    let id = world.connect(1, []);
    world.table.write(id, [(Column::RefreshToken, Value::Null), (Column::AccessToken, Value::Null)]);
    check_failed(&renew_once(&world, id, Trigger::Sweep), RenewalFailure::ReconnectRequired);
}

#[test]
fn an_id_that_google_has_seen_is_replaced_once() {
    let world = World::new();
    let id = world.connect(1, []);
    world.watch_answers.replace([Err(WatchFailure::ChannelIdNotUnique)].into());
    assert!(matches!(renew_once(&world, id, Trigger::Sweep), Renewal::Renewed(_)));
    assert_eq!(world.row(id).webhook_id.as_ref(), world.opened.borrow().first());
    assert_ne!(world.asked.borrow().first(), world.opened.borrow().first());
    // It was seen, then, because the runtime had asked before.
    assert_eq!(world.stopped.borrow().first(), world.asked.borrow().first());

    let world = World::new();
    let id = world.connect(1, []);
    let twice = [Err(WatchFailure::ChannelIdNotUnique), Err(WatchFailure::ChannelIdNotUnique)];
    world.watch_answers.replace(twice.into());
    check_failed(&renew_once(&world, id, Trigger::Sweep), RenewalFailure::GoogleRejected);
    assert_eq!(world.row(id).webhook_pending_id.as_ref(), world.asked.borrow().last(), "Google knows it");
}

#[test]
fn a_failure_is_booked_and_leaves_the_old_channel_alone() {
    for (answer, failure, pending) in [
        (
            WatchFailure::Refused(RenewalFailure::GoogleRateLimited.into()),
            RenewalFailure::GoogleRateLimited,
            false,
        ),
        (
            WatchFailure::Doubtful(RenewalFailure::GoogleUnavailable.into()),
            RenewalFailure::GoogleUnavailable,
            true,
        ),
    ] {
        let world = World::new();
        let id = world.connect(1, channel("old"));
        world.table.write(id, [(Column::WebhookNotBefore, world.now.get().into())]);
        world.watch_answers.replace([Err(answer)].into());
        check_failed(&renew_once(&world, id, Trigger::Sweep), failure);
        let row = world.row(id);
        assert_eq!(row.webhook_id, Some(ChannelId::new("old")));
        assert_eq!(row.webhook_error.as_deref(), Some(failure.code()));
        assert_eq!(row.webhook_attempts, 1);
        assert_eq!(row.webhook_pending_id.is_some(), pending, "a channel that may exist stays named");
        assert_eq!(row.webhook_lease_until, world.now.get() + TimeDelta::seconds(10));
        assert!(row.webhook_not_before >= world.now.get() + TimeDelta::seconds(30));
        assert!(world.stopped.borrow().is_empty());
    }
}

#[test]
fn a_channel_that_an_abandoned_renewal_may_have_opened_is_stopped_by_the_next() {
    let world = World::new();
    let id = world.connect(1, channel("old"));
    world.table.write(
        id,
        [(Column::WebhookPendingId, "abandoned".into()), (Column::WebhookNotBefore, world.now.get().into())],
    );
    renew_once(&world, id, Trigger::Sweep);
    assert_eq!(*world.stopped.borrow(), [ChannelId::new("old"), ChannelId::new("abandoned")]);
}

#[test]
fn reconnected_since_it_was_read_a_connection_is_renewed_with_its_new_consent() {
    let world = World::new();
    let id = world.connect(1, []);
    let row = world.row(id);
    reconnect(&world, id);
    let renewal = finish(renew_channel(&world, &world.targeted(), &row, Trigger::Sweep));
    assert!(matches!(renewal, Renewal::Renewed(_)), "{renewal:?}");
}

#[test]
fn reconnected_meanwhile_the_channel_of_the_old_consent_is_stopped() {
    // The channel is not committed by the second update; the third, which disowns it, is made until it is answered.
    for fate in [None, Some((3, Fate::Lost)), Some((3, Fate::Unanswered))] {
        let world = World::new();
        let id = world.connect(1, channel("old"));
        world.table.write(id, [(Column::WebhookNotBefore, world.now.get().into())]);
        world.fate.set(fate);
        world.during_watch.replace(Some(Box::new(move |world| reconnect(world, id))));
        assert!(matches!(renew_once(&world, id, Trigger::Sweep), Renewal::GivenUp(_)), "{fate:?}");
        let row = world.row(id);
        assert_eq!((row.webhook_id, row.webhook_pending_id), (Some(ChannelId::new("old")), None));
        assert_eq!(row.webhook_not_before, crate::world::START, "due again at once");
        assert_eq!(*world.stopped.borrow(), *world.opened.borrow(), "{fate:?}");
    }
}

#[test]
fn reconnected_meanwhile_a_renewal_that_fails_makes_way_in_five_seconds() {
    for expires_in in [TimeDelta::zero(), TimeDelta::hours(1)] {
        let world = World::new();
        let id = world.connect(1, []);
        world.table.write(id, [(Column::ExpiresAt, (crate::world::START + expires_in).into())]);
        world
            .watch_answers
            .replace([Err(WatchFailure::Refused(RenewalFailure::GoogleRejected.into()))].into());
        world.after_update.replace(Some((1, Box::new(move |world| reconnect(world, id)))));
        assert!(matches!(renew_once(&world, id, Trigger::Sweep), Renewal::GivenUp(_)), "{expires_in}");
        let row = world.row(id);
        assert_eq!((row.webhook_pending_id, row.webhook_error), (None, None), "{expires_in}");
        let lease_until = crate::world::START + TimeDelta::seconds(5);
        assert_eq!((row.webhook_lease_until, row.webhook_not_before), (lease_until, crate::world::START));
    }
}

#[test]
fn an_access_token_of_a_consent_that_was_replaced_opens_no_channel() {
    let world = World::new();
    let id = world.connect(1, [(Column::ExpiresAt, crate::world::START.into())]);
    world.after_update.replace(Some((1, Box::new(move |world| reconnect(world, id)))));
    assert!(matches!(renew_once(&world, id, Trigger::Sweep), Renewal::GivenUp(_)));
    assert_eq!((world.token_renewals.get(), world.asked.borrow().len()), (1, 0));
}

#[test]
fn a_superseded_renewal_asks_google_for_nothing_more() {
    let world = World::new();
    let id = world.connect(1, []);
    world.watch_answers.replace([Err(WatchFailure::ChannelIdNotUnique)].into());
    world.during_watch.replace(Some(Box::new(move |world| {
        world.table.write(id, [(Column::WebhookPendingId, "another's".into())]);
    })));
    assert!(matches!(renew_once(&world, id, Trigger::Sweep), Renewal::GivenUp(_)));
    assert_eq!(world.asked.borrow().len(), 1);
    assert_eq!(world.row(id).webhook_pending_id, Some(ChannelId::new("another's")));
}

#[test]
fn a_channel_is_stopped_on_its_own_resource_or_if_that_is_unknown_on_the_new_ones() {
    for (resource, stopped_on) in [(Some("of another calendar"), "of another calendar"), (None, RESOURCE)] {
        let world = World::new();
        let id = world.connect(1, channel("old"));
        let due = (Column::WebhookNotBefore, world.now.get().into());
        world.table.write(id, [due, (Column::WebhookResourceId, resource.into())]);
        renew_once(&world, id, Trigger::Sweep);
        assert_eq!(*world.stopped_on.borrow(), [ResourceId::new(stopped_on)]);
    }
}

#[test]
fn paused_meanwhile_the_new_channel_is_stopped() {
    let world = World::new();
    let id = world.connect(1, []);
    world.during_watch.replace(Some(Box::new(move |world| {
        world.table.write(id, [(Column::SyncEnabled, Value::Boolean(false))]);
    })));
    assert!(matches!(renew_once(&world, id, Trigger::Sweep), Renewal::GivenUp(_)));
    assert_eq!(*world.stopped.borrow(), *world.opened.borrow());
}

#[test]
fn deleted_meanwhile_both_channels_are_stopped() {
    let world = World::new();
    let id = world.connect(1, channel("old"));
    world.table.write(id, [(Column::WebhookNotBefore, world.now.get().into())]);
    world.during_watch.replace(Some(Box::new(move |world| world.table.delete(id))));
    assert!(matches!(renew_once(&world, id, Trigger::Sweep), Renewal::GivenUp(_)));
    assert_eq!(world.stopped.borrow().len(), 2);
    assert!(world.stopped.borrow().contains(&ChannelId::new("old")));
}

#[test]
fn a_rotated_refresh_token_is_stored_without_starting_over() {
    let world = World::new();
    let id = world.connect(1, []);
    world.table.write(id, [(Column::ExpiresAt, crate::world::START.into())]);
    world.token_answers.replace([Ok(rotated_token())].into());
    world.during_watch.replace(Some(Box::new(move |world| {
        let row = world.row(id);
        assert_eq!(row.webhook_attempts, 1, "what the claim booked stands, for it is the same consent");
        assert!(row.webhook_not_before > world.now.get());
    })));
    assert!(matches!(renew_once(&world, id, Trigger::Sweep), Renewal::Renewed(_)));
    assert_eq!(world.table.value(id, Column::RefreshToken), Value::Secret("rotated".to_owned()));
    assert!(world.row(id).webhook_id.is_some());
}

#[test]
fn a_renewal_replaces_no_pending_channel_but_the_one_that_was_read() {
    for (read, pending) in [(None, Some("another")), (Some("read"), Some("another")), (Some("read"), None)] {
        let world = World::new();
        let id = world.connect(1, []);
        world.table.write(id, [(Column::WebhookPendingId, read.into())]);
        let row = world.row(id);
        world.table.write(id, [(Column::WebhookPendingId, pending.into())]);
        let renewal = finish(renew_channel(&world, &world.targeted(), &row, Trigger::Sweep));
        assert_eq!(renewal, Renewal::NotOurs, "{read:?} read, {pending:?} by then");
        let stays = pending.map(ChannelId::new);
        assert_eq!(world.row(id).webhook_pending_id, stays, "or it would never be stopped");
    }
}

#[test]
fn resumed_since_it_was_read_a_connection_keeps_its_channel() {
    for (column, paused) in
        [(Column::SyncEnabled, Value::Boolean(false)), (Column::IsActive, Value::Boolean(false))]
    {
        let world = World::new();
        let id = world.connect(1, channel("current"));
        world.table.write(id, [(column, paused)]);
        let row = world.row(id);
        world.table.write(id, [(column, Value::Boolean(true))]);
        assert!(!finish(retire(&world, &row)), "{column:?}");
        assert_eq!(world.row(id).webhook_id, Some(ChannelId::new("current")));
        assert!(world.stopped.borrow().is_empty());
    }
}

#[test]
fn a_retired_channel_is_stopped_with_the_newest_access_token() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    world.table.write(id, [(Column::SyncEnabled, Value::Boolean(false))]);
    let row = world.row(id);
    world.table.write(id, [(Column::AccessToken, Value::Secret("newer".to_owned()))]);
    assert!(finish(retire(&world, &row)));
    assert_eq!(*world.stopped_with.borrow(), [AccessToken::new("newer")]);
}

#[test]
fn whichever_update_fails_one_channel_is_left_and_it_is_the_stored_one() {
    for fate in [Fate::Lost, Fate::Unanswered] {
        for failing in 1..=6 {
            let world = World::new();
            let id = world.connect(1, channel("old"));
            world.table.write(id, [(Column::WebhookNotBefore, world.now.get().into())]);
            world.opened.borrow_mut().push(ChannelId::new("old"));
            world.fate.set(Some((failing, fate)));
            renew_once(&world, id, Trigger::Sweep);
            for _ in 0..3 {
                world.pass(TimeDelta::minutes(5));
                renew_once(&world, id, Trigger::Sweep);
            }
            let row = world.row(id);
            let stopped = world.stopped.borrow();
            let live: Vec<_> =
                world.opened.borrow().iter().filter(|opened| !stopped.contains(opened)).cloned().collect();
            assert_eq!(
                Some(live.as_slice()),
                row.webhook_id.as_ref().map(std::slice::from_ref),
                "{failing} {fate:?}"
            );
            assert_ne!(row.webhook_id, Some(ChannelId::new("old")));
        }
    }
}

#[test]
fn there_is_no_watch_without_time_for_it() {
    let world = World::new();
    let id = world.connect(1, []);
    let invocation = world.targeted();
    world.pass(TimeDelta::seconds(46));
    assert_eq!(finish(renew_channel(&world, &invocation, &world.row(id), Trigger::Sweep)), Renewal::NotOurs);
    assert_eq!(world.updates.get(), 0);
}

#[test]
fn a_claim_that_leaves_no_time_for_the_watch_is_given_back() {
    for (second, watches) in [(45, 2), (46, 1)] {
        let world = World::new();
        let id = world.connect(1, channel("old"));
        world.table.write(id, [(Column::WebhookNotBefore, crate::world::START.into())]);
        world.during_watch.replace(Some(Box::new(move |world| world.pass(TimeDelta::seconds(second)))));
        world.watch_answers.replace([Err(WatchFailure::ChannelIdNotUnique)].into());
        let renewal = renew_once(&world, id, Trigger::Sweep);
        assert_eq!(world.asked.borrow().len(), watches, "second {second}");
        let row = world.row(id);
        assert_eq!(row.webhook_pending_id, None);
        assert_eq!((row.webhook_attempts, row.webhook_error), (0, None));
        if watches == 1 {
            assert_eq!(row.webhook_lease_until, Timestamp::default());
            assert!(matches!(renewal, Renewal::GivenUp(_)), "{renewal:?}");
            assert_eq!(row.webhook_id, Some(ChannelId::new("old")));
            assert_eq!(row.webhook_not_before, world.now.get(), "due again at once");
        }
    }
}

#[test]
fn a_short_grant_is_renewed_halfway() {
    let world = World::new();
    let id = world.connect(1, []);
    let granted = OpenedChannel {
        resource_id: ResourceId::new(RESOURCE),
        expiration: crate::world::START + TimeDelta::seconds(60),
    };
    world.watch_answers.replace([Ok(granted)].into());
    renew_once(&world, id, Trigger::Sweep);
    let due = (world.row(id).webhook_not_before - crate::world::START).num_seconds();
    assert!((27..=30).contains(&due), "{due} s");
}

#[test]
fn setup_keeps_a_channel_that_is_well_and_replaces_any_other() {
    let foreign = (Column::WebhookOpenedAt, Value::Time(Timestamp::default()));
    for (change, opened) in [
        (None, 0),
        (Some(foreign), 1),
        (Some((Column::WebhookExpiration, Value::Time(crate::world::START))), 1),
        (Some((Column::WebhookAttempts, Value::Integer(1))), 1),
        (Some((Column::WebhookNotBefore, Value::Time(crate::world::START))), 1),
    ] {
        let world = World::new();
        let id = world.connect(1, channel("old"));
        world.table.write(id, change.clone());
        let result = set_up(&world, world.row(id)).unwrap();
        assert_eq!(matches!(result, SetUp::Opened(_)), opened == 1, "{change:?}");
        assert_eq!(world.opened.borrow().len(), opened, "{change:?}");
    }
}

#[test]
fn setup_tells_what_a_look_was_refused_and_keeps_the_channel() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    world.table.write(id, [(Column::WebhookError, "calendar_not_found".into())]);
    let result = set_up(&world, world.row(id));
    assert!(matches!(result, Err(Refusal::Failed(RenewalFailure::CalendarNotFound))));
    assert!(world.asked.borrow().is_empty());
}

#[test]
fn a_setup_that_waits_reads_all_its_rows_at_once_and_claims_none_of_them() {
    let world = World::new();
    let busy = (Column::WebhookLeaseUntil, (crate::world::START + TimeDelta::seconds(90)).into());
    let rows: Vec<_> = (1..=20).map(|number| world.row(world.connect(number, [busy.clone()]))).collect();
    let results = finish(setup(&world, &world.targeted(), &rows));
    assert_eq!(results.len(), 20);
    assert!(results.iter().all(|result| matches!(result, Err(Refusal::TooSoon { .. }))));
    assert_eq!((world.reads.get(), world.updates.get()), (15, 0));
}

fn set_up(world: &World, row: Connection) -> setup::Result {
    finish(setup(world, &world.targeted(), &[row])).remove(0)
}

#[test]
fn setup_waits_for_another_that_is_opening_the_channel() {
    let world = World::new();
    let id = world.connect(1, []);
    world
        .table
        .write(id, [(Column::WebhookLeaseUntil, (crate::world::START + TimeDelta::seconds(90)).into())]);
    let refusal = set_up(&world, world.row(id)).unwrap_err();
    assert!(matches!(refusal, Refusal::TooSoon { .. }));
    assert!(world.now.get() >= crate::world::START + TimeDelta::seconds(15));
}

#[test]
fn a_setup_that_waits_while_the_database_does_not_answer_does_not_say_that_there_is_no_connection() {
    let world = World::new();
    let id = world.connect(1, []);
    world
        .table
        .write(id, [(Column::WebhookLeaseUntil, (crate::world::START + TimeDelta::minutes(1)).into())]);
    world.unanswered_read.set(Some(Column::Id));
    let unavailable = Refusal::Failed(RenewalFailure::DatabaseUnavailable);
    assert_eq!(set_up(&world, world.row(id)), Err(unavailable));
}

#[test]
fn setup_does_not_wait_for_a_connection_that_was_paused_or_disconnected_since_it_was_read() {
    for (column, refusal) in
        [(Column::SyncEnabled, Refusal::Paused), (Column::IsActive, Refusal::Disconnected)]
    {
        let world = World::new();
        let id = world.connect(1, []);
        let row = world.row(id);
        world.table.write(id, [(column, Value::Boolean(false))]);
        assert_eq!(set_up(&world, row), Err(refusal));
    }
}

#[test]
fn setup_opens_no_second_channel_when_the_first_cannot_be_stored() {
    for fate in [Fate::Lost, Fate::Unanswered] {
        let world = World::new();
        let id = world.connect(1, []);
        world.fate.set(Some((2, fate)));
        let result = set_up(&world, world.row(id));
        assert_eq!(world.opened.borrow().len(), 1, "{fate:?}");
        match fate {
            Fate::Lost => {
                assert_eq!(result, Err(Refusal::Failed(RenewalFailure::DatabaseUnavailable)));
                assert_eq!(*world.stopped.borrow(), *world.opened.borrow());
                assert!(world.row(id).webhook_not_before > world.now.get(), "what the claim booked stands");
            }
            Fate::Unanswered => assert!(matches!(result, Ok(SetUp::Opened(_))), "it was stored after all"),
        }
    }
}

#[test]
fn the_button_runs_even_if_google_is_down() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    world
        .watch_answers
        .replace([Err(WatchFailure::Doubtful(RenewalFailure::GoogleUnavailable.into()))].into());
    let invocation = world.targeted();
    let refreshed = finish(refresh(&world, &invocation, &world.row(id)));
    assert_eq!(refreshed.result, Err(Refusal::Failed(RenewalFailure::GoogleUnavailable)));
    finish(follow_up_refresh(&world, &invocation, refreshed));
    assert_eq!(world.runs.borrow().len(), 1);
}

#[test]
fn the_button_runs_even_if_its_renewal_was_given_up() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    world.during_watch.replace(Some(Box::new(move |world| reconnect(world, id))));
    let invocation = world.targeted();
    let refreshed = finish(refresh(&world, &invocation, &world.row(id)));
    assert!(matches!(refreshed.result, Err(Refusal::TooSoon { .. })), "{:?}", refreshed.result);
    finish(follow_up_refresh(&world, &invocation, refreshed));
    assert_eq!(world.runs.borrow().len(), 1);
}

#[test]
fn the_button_works_once_in_thirty_seconds() {
    let world = World::new();
    let id = world.connect(1, channel("current"));
    let press = || {
        let invocation = world.targeted();
        let refreshed = finish(refresh(&world, &invocation, &world.row(id)));
        let result = refreshed.result;
        finish(follow_up_refresh(&world, &invocation, refreshed));
        result
    };
    assert_eq!(press(), Ok(()));
    world.pass(TimeDelta::seconds(9));
    let Err(Refusal::TooSoon { retry_after }) = press() else { panic!("it was too soon") };
    assert!((19..=20).contains(&retry_after.as_secs()), "{retry_after:?}");
    world.pass(TimeDelta::seconds(21));
    assert_eq!(press(), Ok(()));
    assert_eq!(world.opened.borrow().len(), 2);
}

#[test]
fn the_button_is_refused_for_what_the_row_says_now() {
    let too_soon = Refusal::TooSoon { retry_after: std::time::Duration::from_secs(30) };
    for (column, value, refusal) in [
        (Column::WebhookOpenedAt, Value::Time(crate::world::START), too_soon),
        (Column::SyncEnabled, Value::Boolean(false), Refusal::Paused),
    ] {
        let world = World::new();
        let id = world.connect(1, channel("current"));
        let row = world.row(id);
        world.table.write(id, [(column, value)]);
        assert_eq!(finish(refresh(&world, &world.targeted(), &row)).result, Err(refusal));
    }
}

#[test]
fn a_time_that_never_comes_is_too_soon_for_thirty_seconds_more() {
    for column in [Column::WebhookOpenedAt, Column::WebhookLeaseUntil] {
        let world = World::new();
        let id = world.connect(1, channel("current"));
        world.table.write(id, [(column, Timestamp::MAX_UTC.into())]);
        let refreshed = finish(refresh(&world, &world.targeted(), &world.row(id)));
        let retry_after = std::time::Duration::from_secs(30);
        assert_eq!(refreshed.result, Err(Refusal::TooSoon { retry_after }), "{column:?}");
    }
}

#[test]
fn google_is_asked_for_twelve_channels_a_minute_at_most() {
    let unauthorized = || Err(WatchFailure::Unauthorized(RenewalFailure::ReconnectRequired.into()));
    let opened =
        || Ok(OpenedChannel { resource_id: ResourceId::new(RESOURCE), expiration: Timestamp::MAX_UTC });
    let failed = || Err(WatchFailure::Refused(RenewalFailure::CalendarNotFound.into()));
    for last in [opened, failed] {
        let world = World::new();
        let id = world.connect(1, []);
        for second in 0..120 {
            world
                .watch_answers
                .replace([unauthorized(), Err(WatchFailure::ChannelIdNotUnique), last()].into());
            // The calendar is changed again and again.
            world.table.write(id, [(Column::CalendarId, format!("calendar {second}").as_str().into())]);
            renew_once(&world, id, Trigger::Setup);
            world.pass(TimeDelta::seconds(1));
        }
        let asked = world.asked.borrow().len();
        assert!((18..=24 + 3).contains(&asked), "{asked} in two minutes");
    }
}

#[test]
fn a_channel_whose_commit_takes_effect_after_it_was_given_up_is_not_stopped() {
    let world = World::new();
    let id = world.connect(1, channel("old"));
    world.table.write(id, [(Column::WebhookNotBefore, world.now.get().into())]);
    // The claim is the first update, the commit the second; it arrives behind the third.
    world.fate.set(Some((2, Fate::Lost)));
    let commit = move |world: &World| {
        if let Some(pending) = world.row(id).webhook_pending_id {
            let current = (Column::WebhookId, (&pending).into());
            world.table.write(id, [current, (Column::WebhookPendingId, Value::Null)]);
        }
    };
    world.after_update.replace(Some((3, Box::new(commit))));
    renew_once(&world, id, Trigger::Sweep);
    let current = world.row(id).webhook_id.unwrap();
    assert!(!world.stopped.borrow().contains(&current));
}

#[test]
fn of_a_users_setups_three_wait_and_the_fourth_is_told_to_come_back() {
    use futures_util::FutureExt;
    let world = World::new();
    // No sleep ends.
    world.tokens_take_time.set(true);
    let busy = (Column::WebhookLeaseUntil, (crate::world::START + TimeDelta::seconds(90)).into());
    let rows = [world.row(world.connect(1, [busy]))];
    let invocation = world.targeted();
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut setup = Box::pin(setup(&world, &invocation, &rows));
        assert!(setup.as_mut().now_or_never().is_none());
        waiting.push(setup);
    }
    let fourth = || setup(&world, &invocation, &rows).now_or_never();
    assert!(matches!(fourth().as_deref(), Some([Err(Refusal::TooSoon { .. })])));
    waiting.pop();
    assert!(fourth().is_none());
}

#[test]
fn a_failure_that_passes_leaves_what_was_told_while_google_was_asked() {
    let world = World::new();
    let id = world.connect(1, []);
    world.during_watch.replace(Some(Box::new(move |world| {
        world.table.write(id, [(Column::WebhookError, "calendar_not_found".into())]);
    })));
    world
        .watch_answers
        .replace([Err(WatchFailure::Doubtful(RenewalFailure::GoogleUnavailable.into()))].into());
    check_failed(&renew_once(&world, id, Trigger::Sweep), RenewalFailure::GoogleUnavailable);
    let row = world.row(id);
    assert_eq!(row.webhook_error.as_deref(), Some("calendar_not_found"));
    assert!(row.webhook_pending_id.is_some(), "the channel may exist");
    let seconds = row.webhook_not_before.signed_duration_since(world.now.get()).num_seconds();
    assert!((30..=36).contains(&seconds), "{seconds} s");
}
