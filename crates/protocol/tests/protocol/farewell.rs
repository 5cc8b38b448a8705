//! Channels of deleted connections.

use std::time::Duration;

use crate::world::{RESOURCE, START, World, finish};
use chrono::TimeDelta;
use protocol::connection::Farewell;
use protocol::connection::{AccessToken, ChannelId, ConnectionId, RefreshToken, ResourceId};
use protocol::failure::{Refused, RenewalFailure, StopFailure};
use protocol::sweep::{Part, sweep};
use uuid::Uuid;

fn farewell() -> Farewell {
    Farewell {
        id: 7,
        connection: ConnectionId(Uuid::from_u128(1)),
        deleted_at: START,
        not_before: START,
        channels: vec![ChannelId::new("current"), ChannelId::new("pending")],
        resource_id: Some(ResourceId::new(RESOURCE)),
        access_token: Some(AccessToken::new("access")),
        refresh_token: Some(RefreshToken::new("refresh")),
        expires_at: Some(START + TimeDelta::hours(1)),
    }
}

fn sweep_once(world: &World) {
    finish(sweep(world, &world.sweeping(), Part::default())).unwrap();
}

#[test]
fn the_channels_of_a_deleted_connection_are_stopped_and_it_is_forgotten() {
    let world = World::new();
    world.farewells.replace(vec![farewell()]);
    sweep_once(&world);
    assert_eq!(*world.stopped.borrow(), farewell().channels);
    assert_eq!((world.farewells.borrow().len(), world.token_renewals.get()), (0, 0));
}

#[test]
fn what_cannot_be_stopped_is_forgotten_at_once() {
    let dead = || Err(RenewalFailure::ReconnectRequired.into());
    let expired = Farewell { expires_at: Some(START), ..farewell() };
    for (kept, token) in [
        (Farewell { resource_id: None, ..farewell() }, None),
        (Farewell { refresh_token: None, ..expired.clone() }, None),
        (expired, Some(dead())),
    ] {
        let world = World::new();
        world.token_answers.replace(token.into_iter().collect());
        world.farewells.replace(vec![kept.clone()]);
        sweep_once(&world);
        assert_eq!((world.farewells.borrow().len(), world.stopped.borrow().len()), (0, 0), "{kept:?}");
    }
}

#[test]
fn what_a_policy_forbids_is_tried_again() {
    let policy = RenewalFailure::BlockedByPolicy;
    for expires_at in [Some(START), Some(START + TimeDelta::hours(1))] {
        let world = World::new();
        world.farewells.replace(vec![Farewell { expires_at, ..farewell() }]);
        world.token_answers.replace([Err(policy.into())].into());
        world.stop_answers.replace(vec![Err(StopFailure::Refused(policy.into())); 2].into());
        sweep_once(&world);
        assert_eq!(world.farewells.borrow().len(), 1, "{expires_at:?}");
    }
}

#[test]
fn what_google_does_not_do_now_is_tried_hourly_for_a_day() {
    let unavailable = || Err(StopFailure::Refused(RenewalFailure::GoogleUnavailable.into()));
    let world = World::new();
    world.farewells.replace(vec![Farewell { channels: vec![ChannelId::new("current")], ..farewell() }]);
    for _ in 0..=24 {
        assert_eq!(world.farewells.borrow().len(), 1);
        world.stop_answers.replace([unavailable()].into());
        sweep_once(&world);
        sweep_once(&world);
        assert!(world.stop_answers.borrow().is_empty(), "it is tried once an hour");
        world.pass(TimeDelta::hours(1));
    }
    assert_eq!(world.farewells.borrow().len(), 0);
}

#[test]
fn a_channel_that_google_does_not_know_yet_is_stopped_an_hour_later() {
    for (deleted_ago, asked) in [(TimeDelta::seconds(89), 4), (TimeDelta::seconds(90), 2)] {
        let world = World::new();
        world.farewells.replace(vec![Farewell { deleted_at: START - deleted_ago, ..farewell() }]);
        world.stop_answers.replace(vec![Err(StopFailure::Unknown); 4].into());
        for _ in 0..2 {
            sweep_once(&world);
            world.pass(TimeDelta::hours(1));
        }
        assert_eq!(4 - world.stop_answers.borrow().len(), asked, "{deleted_ago}");
        assert_eq!(world.farewells.borrow().len(), 0);
    }
}

#[test]
fn google_is_not_asked_again_before_it_says() {
    let limited =
        Refused { retry_after: Some(Duration::from_secs(7200)), ..RenewalFailure::GoogleRateLimited.into() };
    let of_the_token = (Some(Err(limited.clone())), None, START);
    let of_the_stop = (None, Some(Err(StopFailure::Refused(limited))), START + TimeDelta::hours(1));
    for (token, stop, expires_at) in [of_the_token, of_the_stop] {
        let world = World::new();
        world.token_answers.replace(token.into_iter().collect());
        world.stop_answers.replace(stop.into_iter().collect());
        world.farewells.replace(vec![Farewell {
            channels: vec![ChannelId::new("current")],
            expires_at: Some(expires_at),
            ..farewell()
        }]);
        for _ in 0..119 {
            sweep_once(&world);
            world.pass(TimeDelta::minutes(1));
        }
        assert_eq!((world.stopped.borrow().len(), world.farewells.borrow().len()), (0, 1));
        world.pass(TimeDelta::minutes(1));
        sweep_once(&world);
        assert_eq!((world.stopped.borrow().len(), world.farewells.borrow().len()), (1, 0));
    }
}

#[test]
fn a_token_that_google_does_not_accept_is_renewed_once() {
    let unauthorized = || Err(StopFailure::Unauthorized(RenewalFailure::ReconnectRequired.into()));
    for (refused, stopped, farewells) in [(1, 2, 0), (3, 0, 1)] {
        let world = World::new();
        world.farewells.replace(vec![farewell()]);
        world.stop_answers.replace((0..refused).map(|_| unauthorized()).collect());
        sweep_once(&world);
        assert_eq!((world.token_renewals.get(), world.stopped.borrow().len()), (1, stopped));
        assert_eq!(world.farewells.borrow().len(), farewells);
    }
}

#[test]
fn an_access_token_of_before_is_renewed_but_not_kept() {
    for expires_at in [Some(START), None] {
        let world = World::new();
        world.farewells.replace(vec![Farewell { expires_at, ..farewell() }]);
        sweep_once(&world);
        let stopped_with = world.stopped_with.borrow();
        assert_eq!(stopped_with.first(), Some(&AccessToken::new("renewed")), "{expires_at:?}");
        assert_eq!(world.updates.get(), 0);
    }
}

#[test]
fn a_channel_that_could_not_be_stopped_is_remembered_though_the_next_one_was() {
    let world = World::new();
    world.farewells.replace(vec![farewell()]);
    let unavailable = Err(StopFailure::Refused(RenewalFailure::GoogleUnavailable.into()));
    world.stop_answers.replace([unavailable, Ok(())].into());
    sweep_once(&world);
    assert_eq!((world.stopped.borrow().len(), world.farewells.borrow().len()), (1, 1));
}
