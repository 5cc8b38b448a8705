//! The control API itself, and the life of the server.

use fake_google::{Config, FakeGoogle};
use serde_json::json;

use crate::receiver::Receiver;
use crate::world::{ADA, BOB, World, assert_error, channel_body};

#[tokio::test]
async fn an_account_is_granted_with_everything_a_test_needs() {
    let world = World::start().await;
    let before = chrono::Utc::now();
    let answer = world.control("accounts", json!({"email": ADA, "access_token_seconds": 60})).await;
    assert_eq!((&answer["email"], &answer["client_id"]), (&ADA.into(), &"fake-client-id".into()));
    assert!(answer["refresh_token"].is_string());
    let expires_at = chrono::DateTime::parse_from_rfc3339(answer["expires_at"].as_str().unwrap()).unwrap();
    assert!((59..70).contains(&(expires_at.to_utc() - before).num_seconds()));
}

#[tokio::test]
async fn mistakes_in_control_requests_are_explained() {
    let world = World::start().await;
    for (path, body, status) in [
        ("accounts", json!({"email": "nobody"}), 400),
        ("accounts", json!({}), 400),
        ("accounts", json!({"email": ADA, "scope": "x"}), 400),
        ("calendars", json!({"email": ADA, "id": "team"}), 404),
        ("revoke", json!({"email": ADA}), 404),
        ("delivery", json!({"sync": "sometimes"}), 400),
        ("ttl", json!({"cap": 1}), 400),
        ("channels/unknown/expire", json!({}), 404),
        ("channels/unknown/forget", json!({}), 404),
        ("channels/unknown/notify", json!({}), 404),
        ("events", json!({"email": ADA, "events": 1}), 404),
        ("events", json!({"email": ADA}), 400),
        ("nothing", json!({}), 404),
    ] {
        let (found, answer) = world.try_control(path, body).await;
        assert_eq!(found, status, "{path}: {answer}");
        assert!(answer["error"].is_string(), "{path}: {answer}");
    }
}

#[tokio::test]
async fn channels_are_listed_by_account_and_address() {
    let (world, one, other) = (World::start().await, Receiver::start().await, Receiver::start().await);
    let (ada, bob) = (world.account(ADA).await, world.account(BOB).await);
    world.watch(&ada, channel_body("a1", &one)).await;
    world.watch(&ada, channel_body("a2", &other)).await;
    world.watch(&bob, channel_body("b", &one)).await;
    let ids = async |query: String| {
        let found = world.inspect(&format!("channels{query}")).await;
        found.iter().map(|channel| channel["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(String::new()).await, ["a1", "a2", "b"]);
    assert_eq!(ids(format!("?email={ADA}")).await, ["a1", "a2"]);
    assert_eq!(ids(format!("?address={}", one.url)).await, ["a1", "b"]);
    assert_eq!(ids(format!("?email={ADA}&address={}", one.url)).await, ["a1"]);
    let channel = &world.inspect("channels").await[0];
    assert_eq!((&channel["calendar_id"], &channel["client_id"]), (&ADA.into(), &"fake-client-id".into()));
    assert_eq!((&channel["state"], &channel["last_message_number"]), (&"live".into(), &1.into()));
}

#[tokio::test]
async fn calls_are_logged_with_their_account() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let grant = world.control("accounts", json!({"email": ADA})).await;
    let token = grant["access_token"].as_str().unwrap();
    let channel = world.open_channel(token, "c", &receiver).await;
    world.stop(token, &channel).await;
    world.renew_token(grant["refresh_token"].as_str().unwrap()).await;
    world.get("/calendars/primary/events", "ya29.unknown").await;
    let log = world.inspect("requests").await;
    let told: Vec<_> =
        log.iter().map(|call| json!([call["operation"], call["email"], call["status"]])).collect();
    let expected = [
        json!(["watch", ADA, 200]),
        json!(["stop", ADA, 204]),
        json!(["token", ADA, 200]),
        json!(["list", null, 401]),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_reset_forgets_everything() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let token = world.account(ADA).await;
    world.open_channel(&token, "c", &receiver).await;
    world.control("client", json!({"client_id": "other"})).await;
    world.control("faults", json!({"operation": "any", "status": 500, "times": null})).await;
    world.control("reset", json!({})).await;
    assert_error(&world.get("/calendars/primary/events", &token).await, 401, "authError");
    let token = world.account(ADA).await;
    assert!(world.inspect("channels").await.is_empty());
    world.open_channel(&token, "c", &receiver).await;
}

#[tokio::test]
async fn unknown_paths_and_methods_are_errors_of_google() {
    let world = World::start().await;
    assert_error(&world.get("/nothing", "x").await, 404, "notFound");
    assert_error(&world.delete("/channels/stop", "x").await, 405, "httpMethodNotAllowed");
}

#[tokio::test]
async fn a_stopped_or_dropped_server_answers_nobody_even_on_open_connections() {
    for stop in [true, false] {
        let world = World::start().await;
        let (url, http) = (world.google.url(), world.http.clone());
        assert!(http.get(&url).send().await.is_ok());
        if stop {
            world.google.stop().await;
        } else {
            drop(world);
        }
        http.get(&url).send().await.unwrap_err();
    }
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let google = FakeGoogle::start(Config::default()).await.unwrap();
    let port = google.url().rsplit(':').next().unwrap().parse().unwrap();
    let error = FakeGoogle::start(Config { port, ..Config::default() }).await.err().unwrap();
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
}

#[tokio::test]
async fn a_calendar_can_change_without_a_notification() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let token = world.account(ADA).await;
    world.open_channel(&token, "c", &receiver).await;
    let body = json!({"email": ADA, "events": 2, "more": true, "silently": true});
    assert_eq!(world.control("events", body.clone()).await, json!({"events": 2}));
    assert_eq!(world.control("events", body).await, json!({"events": 4}));
    world.insert(&token, "told").await;
    assert_eq!(receiver.of_channel("c", 2).await.len(), 2, "the sync message and one change");
}

#[tokio::test]
async fn a_calendar_is_filled_at_once_and_that_is_one_change() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let token = world.account(ADA).await;
    world.open_channel(&token, "c", &receiver).await;
    world.insert(&token, "there before").await;
    let body = json!({"email": ADA, "events": 5000, "from": "2030-01-01T00:00:00Z"});
    assert_eq!(world.control("events", body.clone()).await, json!({"events": 5000}));
    assert_eq!(world.control("events", body).await, json!({"events": 5000}));
    let (_, page) = world.get("/calendars/primary/events?maxResults=2500", &token).await;
    assert_eq!(page["items"][1]["start"], json!({"dateTime": "2030-01-01T01:00:00.000Z", "timeZone": "UTC"}));
    let path = format!(
        "/calendars/primary/events?maxResults=2500&pageToken={}",
        page["nextPageToken"].as_str().unwrap()
    );
    let (_, page) = world.get(&path, &token).await;
    assert_eq!((page["items"].as_array().unwrap().len(), page.get("nextPageToken")), (2500, None));
    // The sync message, the event there before, and all the others.
    receiver.of_channel("c", 3).await;
    world.insert(&token, "there after").await;
    assert_eq!(receiver.of_channel("c", 4).await.len(), 4);
}
