//! Notifications: their headers, their order, their retries.

use std::time::Duration;

use fake_google::Config;
use serde_json::json;
use tokio::net::TcpListener;

use crate::receiver::{Notification, Receiver};
use crate::world::{ADA, BOB, World, channel_body};

fn numbers(notifications: &[Notification]) -> Vec<u64> {
    notifications.iter().map(Notification::number).collect()
}

#[tokio::test]
async fn a_notification_carries_google_s_headers_and_nothing_else() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let token = world.account(ADA).await;
    let mut body = channel_body("c", &receiver);
    body["token"] = "secret".into();
    let (_, channel) = world.watch(&token, body).await;
    receiver.of_channel("c", 1).await;
    world.insert(&token, "Lunch").await;
    let received = receiver.of_channel("c", 2).await;
    for (notification, state) in received.iter().zip(["sync", "exists"]) {
        assert_eq!(notification.header("x-goog-resource-state"), state);
        assert_eq!(notification.header("x-goog-channel-token"), "secret");
        assert_eq!(notification.header("x-goog-resource-id"), channel["resourceId"]);
        assert_eq!(notification.header("x-goog-resource-uri"), channel["resourceUri"]);
        let expiration =
            chrono::DateTime::parse_from_rfc2822(notification.header("x-goog-channel-expiration"));
        let granted: i64 = channel["expiration"].as_str().unwrap().parse().unwrap();
        assert_eq!(expiration.unwrap().timestamp(), granted / 1000);
        assert!(notification.header("x-goog-channel-expiration").ends_with(" GMT"));
        assert!(notification.header("user-agent").starts_with("APIs-Google; (+https://"));
        assert_eq!(notification.header("content-length"), "0");
        assert!(notification.body.is_empty());
    }
    assert_eq!(received[0].number(), 1);
    assert!(received[1].number() > 1);
}

#[tokio::test]
async fn without_a_channel_token_no_header_is_sent() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let token = world.account(ADA).await;
    world.open_channel(&token, "c", &receiver).await;
    assert!(!receiver.received("c")[0].headers.contains_key("x-goog-channel-token"));
}

#[tokio::test]
async fn every_change_reaches_every_live_channel_of_its_calendar_in_order() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let (ada, bob) = (world.account(ADA).await, world.account(BOB).await);
    for (id, token) in [("a1", &ada), ("a2", &ada), ("b", &bob)] {
        world.open_channel(token, id, &receiver).await;
    }
    let event = world.insert(&ada, "x").await;
    let path = format!("/calendars/primary/events/{}", event["id"].as_str().unwrap());
    world.patch(&path, &ada, json!({"summary": "y"})).await;
    world.delete(&path, &ada).await;
    world.insert(&bob, "fence").await;
    for id in ["a1", "a2"] {
        let received = numbers(&receiver.of_channel(id, 4).await);
        assert!(received.is_sorted_by(|a, b| a < b), "{received:?}");
        assert_eq!(received.len(), 4);
    }
    assert_eq!(receiver.of_channel("b", 2).await.len(), 2);
}

#[tokio::test]
async fn stopped_and_expired_channels_are_silent_unless_the_control_api_speaks() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let token = world.account(ADA).await;
    let stopped = world.open_channel(&token, "stopped", &receiver).await;
    world.open_channel(&token, "expired", &receiver).await;
    world.open_channel(&token, "live", &receiver).await;
    world.stop(&token, &stopped).await;
    world.control("channels/expired/expire", json!({})).await;
    world.insert(&token, "x").await;
    receiver.of_channel("live", 2).await;
    let late = world.control("channels/stopped/notify", json!({})).await;
    let odd = json!({"state": "not_exists", "message_number": 77});
    world.control("channels/expired/notify", odd).await;
    let stopped = receiver.of_channel("stopped", 2).await;
    assert_eq!(numbers(&stopped), [1, late["message_number"].as_u64().unwrap()]);
    let expired = receiver.of_channel("expired", 2).await;
    assert_eq!(numbers(&expired), [1, 77]);
    assert_eq!(expired[1].header("x-goog-resource-state"), "not_exists");
}

#[tokio::test]
async fn overload_answers_are_retried_with_growing_pauses_and_the_same_number() {
    let config = Config { retry_base: Duration::from_millis(30), ..Config::default() };
    let (world, receiver) = (World::start_with(config).await, Receiver::start().await);
    let token = world.account(ADA).await;
    world.open_channel(&token, "c", &receiver).await;
    receiver.answer_with([500, 502, 503, 504]);
    world.insert(&token, "x").await;
    let received = receiver.of_channel("c", 6).await;
    assert_eq!(received.len(), 6);
    assert!(received[1..].iter().all(|notification| notification.number() == received[1].number()));
    let pauses: Vec<_> = received[1..].windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    for (pause, least) in pauses.iter().zip([30, 60, 120, 240]) {
        assert!(*pause >= Duration::from_millis(least), "{pauses:?}");
    }
    let log =
        world.inspect_until("deliveries?channel_id=c", |log| log.len() == 2 && log[1]["attempts"] == 5).await;
    assert_eq!((&log[1]["status"], &log[1]["resource_state"]), (&200.into(), &"exists".into()));
}

#[tokio::test]
async fn other_answers_are_final() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let token = world.account(ADA).await;
    world.open_channel(&token, "c", &receiver).await;
    receiver.answer_with([404, 302, 429, 501]);
    for count in 2..6 {
        world.insert(&token, "x").await;
        receiver.of_channel("c", count).await;
    }
    world.insert(&token, "fence").await;
    let log = world.inspect_until("deliveries?channel_id=c", |log| log.len() == 6).await;
    let statuses: Vec<_> = log.iter().map(|delivery| delivery["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 404, 302, 429, 501, 200]);
    assert!(log.iter().all(|delivery| delivery["attempts"] == 1));
}

#[tokio::test]
async fn a_receiver_that_is_down_or_silent_is_tried_as_often_as_configured() {
    let config = Config {
        retry_base: Duration::from_millis(1),
        delivery_attempts: 3,
        delivery_timeout: Duration::from_millis(50),
        ..Config::default()
    };
    let world = World::start_with(config).await;
    let token = world.account(ADA).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for (id, address) in [("silent", silent.local_addr().unwrap()), ("gone", gone)] {
        let body = json!({"id": id, "type": "web_hook", "address": format!("http://{address}/")});
        assert_eq!(world.watch(&token, body).await.0, 200);
        let log = world
            .inspect_until(&format!("deliveries?channel_id={id}"), |log| {
                log.first().is_some_and(|delivery| delivery["attempts"] == 3)
            })
            .await;
        assert_eq!((log.len(), &log[0]["status"]), (1, &json!(null)));
    }
}

#[tokio::test]
async fn the_sync_message_can_arrive_before_watch_is_answered_or_never() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let token = world.account(ADA).await;
    world.control("delivery", json!({"sync": "before"})).await;
    world.watch(&token, channel_body("early", &receiver)).await;
    assert_eq!(receiver.received("early").len(), 1);
    world.control("delivery", json!({"sync": "dropped"})).await;
    world.watch(&token, channel_body("mute", &receiver)).await;
    world.insert(&token, "x").await;
    assert_eq!(receiver.of_channel("mute", 1).await[0].header("x-goog-resource-state"), "exists");
    world.control("delivery", json!({"sync": "after", "sync_delay_ms": 60_000})).await;
    world.watch(&token, channel_body("late", &receiver)).await;
    assert!(receiver.received("late").is_empty());
}

#[tokio::test]
async fn changes_can_be_dropped_duplicated_and_reordered() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let token = world.account(ADA).await;
    world.open_channel(&token, "c", &receiver).await;
    let last = async || world.inspect("channels").await[0]["last_message_number"].as_u64().unwrap();

    world.control("delivery", json!({"drop": 1, "duplicate": 1})).await;
    world.insert(&token, "dropped").await;
    let dropped = last().await;
    world.insert(&token, "twice").await;
    let twice = last().await;
    world.insert(&token, "once").await;
    let once = last().await;
    assert!(dropped < twice);
    assert_eq!(numbers(&receiver.of_channel("c", 4).await), [1, twice, twice, once]);

    world.control("delivery", json!({"reorder": 3})).await;
    let mut made = Vec::new();
    for summary in ["a", "b", "c"] {
        world.insert(&token, summary).await;
        made.push(last().await);
    }
    made.reverse();
    assert_eq!(numbers(&receiver.of_channel("c", 7).await)[4..], made);

    world.control("delivery", json!({"reorder": 9})).await;
    world.insert(&token, "held").await;
    world.clear("delivery").await;
    receiver.of_channel("c", 8).await;
}

#[tokio::test]
async fn a_rule_for_one_account_leaves_the_others_alone() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let (ada, bob) = (world.account(ADA).await, world.account(BOB).await);
    world.open_channel(&ada, "a", &receiver).await;
    world.open_channel(&bob, "b", &receiver).await;
    world.control("delivery", json!({"email": ADA, "drop": 1})).await;
    world.insert(&ada, "dropped").await;
    world.insert(&bob, "x").await;
    world.insert(&ada, "x").await;
    receiver.of_channel("b", 2).await;
    assert_eq!(receiver.of_channel("a", 2).await.len(), 2);
    let sent = world.inspect_until("deliveries?channel_id=a", |log| log.len() == 2).await;
    assert_eq!(sent[1]["attempts"], 1);
}

#[tokio::test]
async fn delayed_notifications_keep_their_order() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let token = world.account(ADA).await;
    world.open_channel(&token, "c", &receiver).await;
    world.control("delivery", json!({"delay_ms": 100})).await;
    let before = std::time::Instant::now();
    world.insert(&token, "slow").await;
    world.clear("delivery").await;
    world.insert(&token, "quick").await;
    let received = receiver.of_channel("c", 3).await;
    assert!(numbers(&received).is_sorted());
    assert!(received[1].at - before >= Duration::from_millis(100));
}
