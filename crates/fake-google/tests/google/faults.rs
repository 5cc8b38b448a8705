//! Faults on demand.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::world::{ADA, BOB, World, assert_error, assert_oauth_error, channel_body, event, summaries};

const EVENTS: &str = "/calendars/primary/events";

#[tokio::test]
async fn every_documented_error_can_be_had_once() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let token = world.account(ADA).await;
    for (status, reason, domain) in [
        (400, "channelIdNotUnique", "global"),
        (400, "pushNotSupportedForRequestedResource", "global"),
        (400, "push.webhookUrlNotHttps", "global"),
        (401, "push.webhookUrlUnauthorized", "global"),
        (401, "authError", "global"),
        (403, "rateLimitExceeded", "usageLimits"),
        (429, "rateLimitExceeded", "usageLimits"),
        (403, "userRateLimitExceeded", "usageLimits"),
        (403, "quotaExceeded", "usageLimits"),
        (403, "accessNotConfigured", "usageLimits"),
        (403, "insufficientPermissions", "global"),
        (404, "notFound", "global"),
        (500, "backendError", "global"),
        (503, "backendError", "global"),
    ] {
        world.control("faults", json!({"operation": "watch", "status": status, "reason": reason})).await;
        let refused = world.watch(&token, channel_body("never", &receiver)).await;
        assert_error(&refused, status, reason);
        assert_eq!(refused.1["error"]["errors"][0]["domain"], domain);
    }
    assert_eq!(world.watch(&token, channel_body("never", &receiver)).await.0, 200);
}

#[tokio::test]
async fn the_token_endpoint_fails_in_its_own_words() {
    let world = World::start().await;
    let grant = world.control("accounts", json!({"email": ADA})).await;
    let refresh_token = grant["refresh_token"].as_str().unwrap();
    for (status, reason, error) in [
        (400, Value::Null, "invalid_grant"),
        (401, Value::Null, "invalid_client"),
        (503, Value::Null, "internal_failure"),
        (400, "invalid_scope".into(), "invalid_scope"),
    ] {
        let fault = json!({"operation": "token", "email": ADA, "status": status, "reason": reason});
        world.control("faults", fault).await;
        assert_oauth_error(&world.renew_token(refresh_token).await, status, error);
    }
    assert_eq!(world.renew_token(refresh_token).await.0, 200);
}

#[tokio::test]
async fn faults_strike_their_account_and_operation_as_often_as_told() {
    let world = World::start().await;
    let (ada, bob) = (world.account(ADA).await, world.account(BOB).await);
    world.control("faults", json!({"operation": "events", "email": ADA, "status": 500, "times": 2})).await;
    assert_eq!(world.get(EVENTS, &bob).await.0, 200);
    assert_error(&world.stop(&ada, &json!({"id": "x", "resourceId": "y"})).await, 404, "notFound");
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(world.get(EVENTS, &ada).await.0.as_u16());
    }
    assert_eq!(statuses, [500, 500, 200]);
    world.control("faults", json!({"operation": "any", "status": 503, "times": null})).await;
    for _ in 0..3 {
        assert_eq!(world.get(EVENTS, &bob).await.0, 503);
    }
    world.clear("faults").await;
    assert_eq!(world.get(EVENTS, &bob).await.0, 200);
}

#[tokio::test]
async fn a_fault_of_lists_strikes_lists_alone() {
    let world = World::start().await;
    let token = world.account(ADA).await;
    for (status, reason) in [
        (401, "authError"),
        (403, "insufficientPermissions"),
        (403, "rateLimitExceeded"),
        (404, "notFound"),
        (410, "deleted"),
        (429, "rateLimitExceeded"),
        (503, "backendError"),
    ] {
        world.control("faults", json!({"operation": "list", "status": status, "reason": reason})).await;
        world.insert(&token, "written all the same").await;
        assert_error(&world.get(EVENTS, &token).await, status, reason);
    }
    assert_eq!(world.get(EVENTS, &token).await.0, 200);
}

#[tokio::test]
async fn the_body_of_an_answer_can_be_anything() {
    let world = World::start().await;
    let token = world.account(ADA).await;
    world.control("faults", json!({"operation": "events", "status": 200, "body": {"odd": 1}})).await;
    assert_eq!(world.get(EVENTS, &token).await, (200.try_into().unwrap(), json!({"odd": 1})));
    world.control("faults", json!({"operation": "events", "status": 502, "body": "<h1>Bad</h1>"})).await;
    let response = world.api_request(Method::GET, EVENTS, &token).send().await.unwrap();
    assert_eq!(response.status(), 502);
    assert_eq!(response.text().await.unwrap(), "<h1>Bad</h1>");
    let fault = json!({"operation": "events", "status": 429, "body": {}, "retry_after": "7200"});
    world.control("faults", fault).await;
    let response = world.api_request(Method::GET, EVENTS, &token).send().await.unwrap();
    assert_eq!(response.headers()["retry-after"], "7200");
}

#[tokio::test]
async fn an_answer_can_be_lost_before_or_after_the_work() {
    let world = World::start().await;
    let token = world.account(ADA).await;
    for (summary, after) in [("undone", false), ("done", true)] {
        world.control("faults", json!({"operation": "events", "status": 0, "after": after})).await;
        let request = world.api_request(Method::POST, EVENTS, &token).json(&event(summary, 9));
        request.send().await.unwrap_err();
    }
    let fault = json!({"operation": "events", "status": 500, "after": true});
    world.control("faults", fault).await;
    assert_eq!(world.post(EVENTS, &token, event("done too", 9)).await.0, 500);
    let (_, list) = world.get(EVENTS, &token).await;
    assert_eq!(summaries(&list), ["done", "done too"]);
    let log = world.inspect("requests").await;
    let statuses: Vec<_> = log.iter().map(|request| request["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [0, 0, 500, 200]);
}

#[tokio::test]
async fn a_slow_call_is_done_although_its_caller_hangs_up() {
    let world = World::start().await;
    let token = world.account(ADA).await;
    world.control("faults", json!({"operation": "events", "delay_ms": 150})).await;
    let started = Instant::now();
    let request = world.api_request(Method::POST, EVENTS, &token).json(&event("late", 9));
    request.timeout(Duration::from_millis(50)).send().await.unwrap_err();
    world.inspect_until("requests", |log| log.len() == 1).await;
    assert!(started.elapsed() >= Duration::from_millis(150));
    assert_eq!(summaries(&world.get(EVENTS, &token).await.1), ["late"]);
}

#[tokio::test]
async fn faults_that_make_no_sense_are_refused() {
    let world = World::start().await;
    for (fault, complaint) in [
        (json!({"operation": "nap", "status": 500}), "unknown variant `nap`"),
        (json!({"operation": "any", "statsu": 500}), "unknown field `statsu`"),
        (json!({"operation": "any"}), "status or a delay_ms"),
        (json!({"operation": "any", "status": 42}), "from 200 to 599"),
        (json!({"operation": "any", "delay_ms": 1, "reason": "x"}), "need a status"),
        (json!({"operation": "any", "status": 500, "times": 0}), "at least 1"),
    ] {
        let (status, answer) = world.try_control("faults", fault).await;
        assert_eq!(status, 400);
        assert!(answer["error"].as_str().unwrap().contains(complaint), "{answer}");
    }
}
