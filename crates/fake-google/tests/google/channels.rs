//! `events.watch` and `channels.stop`.

use fake_google::Config;
use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::world::{ADA, BOB, World, assert_error, channel_body};

fn lifetime_seconds(channel: &Value, before: chrono::DateTime<chrono::Utc>) -> i64 {
    let expiration: i64 = channel["expiration"].as_str().unwrap().parse().unwrap();
    (expiration - before.timestamp_millis()) / 1000
}

#[tokio::test]
async fn a_channel_is_described_as_documented() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let token = world.account(ADA).await;
    let mut body = channel_body("c-1_+/=", &receiver);
    body["token"] = "secret".into();
    let (status, channel) = world.watch(&token, body).await;
    assert_eq!(status, 200);
    assert_eq!(
        (&channel["kind"], &channel["id"], &channel["token"]),
        (&"api#channel".into(), &"c-1_+/=".into(), &"secret".into())
    );
    let uri = format!("{}/calendars/ada%40example.com/events?alt=json", world.google.calendar_api_url());
    assert_eq!(channel["resourceUri"], uri);
    let (_, by_address) =
        world.post("/calendars/ada@example.com/events/watch", &token, channel_body("c2", &receiver)).await;
    assert_eq!(channel["resourceId"], by_address["resourceId"]);
    assert_eq!(by_address.get("token"), None);
}

#[tokio::test]
async fn lifetimes_are_by_default_seven_days_at_most_thirty_and_can_be_cut_shorter() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let token = world.account(ADA).await;
    let lifetime = async |id: &str, ttl: Option<&str>| {
        let before = chrono::Utc::now();
        let mut body = channel_body(id, &receiver);
        if let Some(ttl) = ttl {
            body["params"] = json!({"ttl": ttl});
        }
        lifetime_seconds(&world.watch(&token, body).await.1, before)
    };
    let near =
        |seconds: i64, expected: i64| assert!((expected..expected + 10).contains(&seconds), "{seconds}");
    near(lifetime("a", None).await, 7 * 86_400);
    near(lifetime("b", Some("3600")).await, 3600);
    near(lifetime("c", Some("99999999")).await, 30 * 86_400);
    world.control("ttl", json!({"cap_seconds": 60})).await;
    near(lifetime("d", Some("2592000")).await, 60);
    near(lifetime("e", None).await, 60);
}

#[tokio::test]
async fn bad_watch_requests_are_refused() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let token = world.account(ADA).await;
    let with = |changes: Value| {
        let mut body = channel_body("c", &receiver);
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        body
    };
    for (body, reason) in [
        (with(json!({"id": null})), "required"),
        (with(json!({"id": ""})), "required"),
        (with(json!({"id": "x".repeat(65)})), "invalid"),
        (with(json!({"id": "a b"})), "invalid"),
        (with(json!({"type": null})), "required"),
        (with(json!({"type": "email"})), "invalid"),
        (with(json!({"address": null})), "required"),
        (with(json!({"address": "nowhere"})), "invalid"),
        (with(json!({"address": "http://example.com/hook"})), "push.webhookUrlNotHttps"),
        (with(json!({"token": "x".repeat(257)})), "invalid"),
        (with(json!({"params": {"ttl": 60}})), "invalid"),
        (with(json!({"params": {"ttl": "soon"}})), "invalid"),
        (json!("no object"), "parseError"),
    ] {
        assert_error(&world.watch(&token, body).await, 400, reason);
    }
    let longest = with(json!({"id": "x".repeat(64), "token": "x".repeat(256), "params": {"ttl": "60"}}));
    assert_eq!(world.watch(&token, longest).await.0, 200);
    let missing = world.post("/calendars/nobody/events/watch", &token, channel_body("d", &receiver)).await;
    assert_error(&missing, 404, "notFound");
    let stranger = world.watch("ya29.unknown", channel_body("d", &receiver)).await;
    assert_error(&stranger, 401, "authError");
}

#[tokio::test]
async fn http_on_this_machine_can_be_refused_too() {
    let world = World::start_with(Config { allow_http_loopback: false, ..Config::default() }).await;
    let receiver = Receiver::start().await;
    let token = world.account(ADA).await;
    let refused = world.watch(&token, channel_body("c", &receiver)).await;
    assert_error(&refused, 400, "push.webhookUrlNotHttps");
}

#[tokio::test]
async fn a_channel_id_is_used_up_even_when_its_channel_is_stopped() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let (ada, bob) = (world.account(ADA).await, world.account(BOB).await);
    let channel = world.open_channel(&ada, "c", &receiver).await;
    assert_error(&world.watch(&bob, channel_body("c", &receiver)).await, 400, "channelIdNotUnique");
    assert_eq!(world.stop(&ada, &channel).await.0, 204);
    assert_error(&world.watch(&ada, channel_body("c", &receiver)).await, 400, "channelIdNotUnique");
}

#[tokio::test]
async fn a_calendar_without_push_cannot_be_watched() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let token = world.account(ADA).await;
    world.control("calendars", json!({"email": ADA, "id": "holidays", "push": false})).await;
    let path = "/calendars/holidays/events/watch";
    let refused = world.post(path, &token, channel_body("c", &receiver)).await;
    assert_error(&refused, 400, "pushNotSupportedForRequestedResource");
    world.control("calendars", json!({"email": ADA, "id": "holidays", "push": true})).await;
    assert_eq!(world.post(path, &token, channel_body("c", &receiver)).await.0, 200);
}

#[tokio::test]
async fn only_the_opener_stops_a_live_channel_and_only_once() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let (ada, bob) = (world.account(ADA).await, world.account(BOB).await);
    let channel = world.open_channel(&ada, "c", &receiver).await;
    let wrong = json!({"id": "c", "resourceId": "wrong"});
    let unknown = json!({"id": "unknown", "resourceId": channel["resourceId"]});
    assert_error(&world.stop(&ada, &wrong).await, 404, "notFound");
    assert_error(&world.stop(&ada, &unknown).await, 404, "notFound");
    assert_error(&world.stop(&bob, &channel).await, 404, "notFound");
    assert_error(&world.stop(&ada, &json!({"id": "c"})).await, 400, "required");
    world.control("client", json!({"client_id": "other"})).await;
    let same_user_other_client = world.account(ADA).await;
    assert_error(&world.stop(&same_user_other_client, &channel).await, 404, "notFound");
    assert_eq!(world.inspect("channels?email=ada@example.com").await[0]["state"], "live");
    assert_eq!(world.stop(&ada, &channel).await, (204.try_into().unwrap(), Value::Null));
    assert_error(&world.stop(&ada, &channel).await, 404, "notFound");
}

#[tokio::test]
async fn a_forgotten_channel_looks_alive_never_speaks_and_is_unknown_to_stop() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let token = world.account(ADA).await;
    let forgotten = world.open_channel(&token, "forgotten", &receiver).await;
    world.open_channel(&token, "known", &receiver).await;
    world.control("channels/forgotten/forget", json!({})).await;
    world.insert(&token, "unheard").await;
    receiver.of_channel("known", 2).await;
    assert_eq!(receiver.of_channel("forgotten", 1).await.len(), 1);
    let channel = &world.inspect("channels").await[0];
    assert_eq!((&channel["state"], &channel["forgotten"]), (&"live".into(), &true.into()));
    assert_error(&world.stop(&token, &forgotten).await, 404, "notFound");
    let again = world.watch(&token, channel_body("forgotten", &receiver)).await;
    assert_error(&again, 400, "channelIdNotUnique");
}

#[tokio::test]
async fn an_expired_channel_is_unknown_to_stop() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let token = world.account(ADA).await;
    let channel = world.open_channel(&token, "c", &receiver).await;
    world.control("channels/c/expire", json!({})).await;
    assert_eq!(world.inspect("channels").await[0]["state"], "expired");
    assert_error(&world.stop(&token, &channel).await, 404, "notFound");
}
