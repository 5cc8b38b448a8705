//! Everything that Google may answer to `watch` and at its token endpoint, and what becomes of it.

use serde_json::{Value, json};

use crate::case::cases;
use crate::moment::{assert_between, seconds_ahead};
use crate::scene::Scene;
use crate::sweep::sweep;
use crate::table::each;

cases! {
    shared: [
        every_refusal_of_a_watch_has_its_code_and_its_backoff,
        every_refusal_of_a_token_has_its_code_and_its_backoff,
        an_end_that_makes_no_sense_is_when_it_was_asked_to_be,
        a_channel_without_a_resource_is_a_refusal_for_a_day,
        an_error_that_came_with_a_success_is_told,
        channels_whose_resource_is_not_told_do_not_add_up,
        the_pause_doubles_with_every_attempt_up_to_an_hour,
    ],
    alone: [google_is_not_asked_again_before_it_says,],
}

#[derive(Clone, Copy, PartialEq)]
enum Pause {
    /// 30 seconds at first.
    Short,
    /// What no retry mends.
    Day,
}
use Pause::{Day, Short};
use system_tests::{Caller, SETUP, until};

/// Whatever was asked of it.
async fn google_is_not_asked_again_before_it_says(scene: &mut Scene) {
    let scene = &*scene;
    let renewal = "webhook_not_before = now(), webhook_lease_until = 'epoch'";
    let connections = "calendar_connections where id";
    for (operation, change, column, of) in [
        ("watch", renewal.to_owned(), "webhook_not_before", connections),
        (
            "token",
            format!("{renewal}, expires_at = now() - interval '1 minute'"),
            "webhook_not_before",
            connections,
        ),
        ("list", "sync_look_at = now() - interval '1 second'".to_owned(), "sync_look_at", connections),
        ("stop", String::new(), "not_before", "calendar_webhook_farewells where connection_id"),
    ] {
        let connection = scene.open().await;
        scene.settled(&connection).await;
        let asked = scene.asked_google(&connection, operation).await;
        let fault =
            json!({ "operation": operation, "status": 429, "retry_after": "7200", "body": {}, "times": 9 });
        scene.fault(&connection, fault).await;
        if change.is_empty() {
            scene.sql("delete from calendar_connections where id = $1", &[&connection.id]).await.unwrap();
        } else {
            scene.set(&connection, &change).await;
        }
        for _ in 0..3 {
            sweep(scene).await;
        }
        assert_eq!(scene.asked_google(&connection, operation).await, asked + 1, "{operation}");
        let booked = format!("select extract(epoch from {column} - now())::float8 from {of} = $1");
        let booked = scene.sql(&booked, &[&connection.id]).await.unwrap()[0].get::<_, f64>(0);
        // With jitter.
        assert_between(booked, 7190.0, 7400.0, operation);
    }
}

struct Row {
    fault: Value,
    expected: (u16, &'static str),
    pause: Pause,
    /// Whether the channel may exist, so that its id is kept for the next renewal to stop.
    may_exist: bool,
    watches: usize,
    tokens: usize,
}

fn watch(status: u16, reason: &str, expected: (u16, &'static str), pause: Pause) -> (String, Row) {
    let fault = json!({ "operation": "watch", "status": status, "reason": reason });
    let row = Row { fault, expected, pause, may_exist: false, watches: 1, tokens: 0 };
    (format!("{status} {reason}"), row)
}

async fn every_refusal_of_a_watch_has_its_code_and_its_backoff(scene: &Scene) {
    let unavailable = (502, "google_unavailable");
    let limited = (502, "google_rate_limited");
    let rejected = (502, "google_rejected");
    let mut rows = vec![
        watch(400, "pushNotSupportedForRequestedResource", (422, "push_not_supported"), Day),
        watch(400, "push.webhookUrlNotHttps", (500, "webhook_url_rejected"), Short),
        watch(400, "push.webhookUrlUnauthorized", (500, "webhook_url_rejected"), Short),
        watch(401, "push.webhookUrlUnauthorized", (500, "webhook_url_rejected"), Short),
        watch(403, "rateLimitExceeded", limited, Short),
        watch(403, "userRateLimitExceeded", limited, Short),
        watch(403, "quotaExceeded", limited, Short),
        watch(429, "rateLimitExceeded", limited, Short),
        watch(429, "userRateLimitExceeded", limited, Short),
        watch(429, "quotaExceeded", limited, Short),
        watch(403, "insufficientPermissions", (409, "permission_missing"), Day),
        watch(403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT", (409, "permission_missing"), Day),
        watch(403, "domainPolicy", (409, "blocked_by_policy"), Day),
        watch(403, "notACalendarUser", (422, "no_calendar"), Day),
        watch(403, "requiredAccessLevel", (422, "calendar_not_found"), Day),
        watch(403, "accessNotConfigured", (500, "google_api_disabled"), Short),
        watch(404, "notFound", (422, "calendar_not_found"), Day),
        watch(403, "forbidden", (422, "calendar_not_found"), Day),
        watch(403, "somethingNew", rejected, Short),
        watch(400, "badRequest", rejected, Short),
        watch(400, "invalid", rejected, Short),
        watch(409, "duplicate", rejected, Short),
    ];
    for status in [500, 502, 503, 504] {
        let (name, row) = watch(status, "backendError", unavailable, Short);
        rows.push((name, Row { may_exist: true, ..row }));
    }
    let mut special = |name: &str, fault: Value, row: Row| rows.push((name.to_owned(), Row { fault, ..row }));
    let blank = || watch(500, "backendError", unavailable, Short).1;
    special(
        "503 as HTML",
        json!({ "operation": "watch", "status": 503, "body": "<h1>Service Unavailable</h1>" }),
        Row { may_exist: true, ..blank() },
    );
    special("cut", cut("watch"), Row { may_exist: true, ..blank() });
    special(
        "no answer in 8 seconds",
        json!({ "operation": "watch", "delay_ms": 9000, "after": true }),
        Row { may_exist: true, ..blank() },
    );
    special(
        "authError twice",
        json!({ "operation": "watch", "status": 401, "reason": "authError", "times": 2 }),
        Row { expected: (409, "reconnect_required"), pause: Day, watches: 2, tokens: 1, ..blank() },
    );
    special(
        "channelIdNotUnique twice",
        json!({ "operation": "watch", "status": 400, "reason": "channelIdNotUnique", "times": 2 }),
        Row { expected: rejected, may_exist: true, watches: 2, ..blank() },
    );
    each(rows, |row| refused(scene, row)).await;
}

async fn every_refusal_of_a_token_has_its_code_and_its_backoff(scene: &Scene) {
    let unavailable = (502, "google_unavailable");
    let rejected = (502, "google_rejected");
    let rows = [
        (
            "invalid_grant",
            json!({ "status": 400, "reason": "invalid_grant" }),
            (409, "reconnect_required"),
            Day,
        ),
        (
            "invalid_client",
            json!({ "status": 401, "reason": "invalid_client" }),
            (500, "oauth_client_invalid"),
            Short,
        ),
        ("invalid_request", json!({ "status": 400, "reason": "invalid_request" }), rejected, Short),
        ("something new", json!({ "status": 400, "reason": "something_new" }), rejected, Short),
        (
            "access_denied",
            json!({ "status": 403, "reason": "access_denied" }),
            (409, "blocked_by_policy"),
            Day,
        ),
        (
            "admin_policy_enforced",
            json!({ "status": 400, "reason": "admin_policy_enforced" }),
            (409, "blocked_by_policy"),
            Day,
        ),
        (
            "invalid_scope",
            json!({ "status": 400, "reason": "invalid_scope" }),
            (409, "permission_missing"),
            Day,
        ),
        (
            "a token for no calendar",
            json!({ "status": 200, "body": { "access_token": "a", "expires_in": 3599, "scope": "openid email" } }),
            (409, "permission_missing"),
            Day,
        ),
        (
            "unauthorized_client",
            json!({ "status": 401, "reason": "unauthorized_client" }),
            (409, "reconnect_required"),
            Day,
        ),
        ("500", json!({ "status": 500 }), unavailable, Short),
        ("503", json!({ "status": 503 }), unavailable, Short),
        ("503 as HTML", json!({ "status": 503, "body": "<h1>Unavailable</h1>" }), unavailable, Short),
        ("429", json!({ "status": 429 }), (502, "google_rate_limited"), Short),
        ("cut", cut("token"), unavailable, Short),
        ("no answer in 8 seconds", json!({ "delay_ms": 9000 }), unavailable, Short),
        ("200 {}", json!({ "status": 200, "body": {} }), rejected, Short),
        ("200 as HTML", json!({ "status": 200, "body": "<h1>Hello</h1>" }), rejected, Short),
        (
            "a number for a token",
            json!({ "status": 200, "body": { "access_token": 7, "expires_in": 3599 } }),
            rejected,
            Short,
        ),
        (
            "an empty token",
            json!({ "status": 200, "body": { "access_token": "", "expires_in": 3599 } }),
            rejected,
            Short,
        ),
        (
            "a newline in a token",
            json!({ "status": 200, "body": { "access_token": "a\nb", "expires_in": 3599 } }),
            rejected,
            Short,
        ),
    ];
    let rows = rows.map(|(name, mut fault, expected, pause)| {
        fault["operation"] = json!("token");
        (name, Row { fault, expected, pause, may_exist: false, watches: 0, tokens: 1 })
    });
    each(rows, |row| refused(scene, row)).await;
}

/// The newest Deno asks again by itself when a connection that it has used before is cut.
fn cut(operation: &str) -> Value {
    json!({ "operation": operation, "status": 0, "times": 2 })
}

/// Plays a first renewal that fails, and a second one that does not.
async fn refused(scene: &Scene, row: Row) {
    let Row { fault, expected, pause, may_exist, watches, tokens } = row;
    let connection = scene.connection().await;
    if fault["operation"] == "token" {
        scene.set(&connection, "expires_at = now() - interval '1 minute'").await;
    }
    let source = scene.row(&connection).await["webhook_source"].clone();
    let (hangs, is_cut) = (fault["delay_ms"].is_number(), fault["status"] == 0);
    let reason = fault["reason"].clone();
    scene.fault(&connection, fault).await;
    let answer = scene.call(SETUP, Caller::Service, connection.target()).await;
    let after = scene.row(&connection).await;
    assert_eq!(answer.outcome(), expected, "{}", answer.text);
    assert_eq!(after["webhook_error"], expected.1);
    if reason.is_string() {
        assert_eq!(after["webhook_error_reason"], reason, "Google's own word");
    }
    assert_eq!(after["webhook_attempts"], 1);
    assert_eq!(after["webhook_id"], Value::Null);
    assert_eq!(after["webhook_pending_id"].is_string(), may_exist, "{}", after["webhook_pending_id"]);
    assert_eq!(after["webhook_source"], source);
    assert_between(seconds_ahead(&after["webhook_lease_until"]), 5.0, 10.5, "the lease");
    let (least, most) = if pause == Day { (86_390.0, 90_000.0) } else { (20.0, 62.0) };
    assert_between(seconds_ahead(&after["webhook_not_before"]), least, most, "the pause");
    for (operation, expected) in [("watch", watches), ("token", tokens)] {
        let seen = scene.asked_google(&connection, operation).await;
        // One that hangs is logged when it is over; one that is cut may be asked twice.
        let least = if hangs { expected.saturating_sub(1) } else { expected };
        let most = if is_cut { expected * 2 } else { expected };
        assert_between(seen, least, most, operation);
    }
    assert!(scene.runs(&connection).await.is_empty());
    let status = match expected.1 {
        "reconnect_required" | "permission_missing" | "blocked_by_policy" => "reconnect_required",
        "push_not_supported" | "calendar_not_found" | "no_calendar" => "unsupported",
        _ => "not_set_up",
    };
    assert_eq!(scene.status(&connection).await["status"], status);

    let again = async || {
        scene.set(&connection, "webhook_lease_until = 'epoch', webhook_not_before = 'epoch'").await;
        scene.call(SETUP, Caller::Service, connection.target()).await
    };
    let mut answer = again().await;
    if is_cut && answer.status != 200 {
        answer = again().await;
    }
    assert_eq!(answer.connections()[0]["status"], "active");
    let well = scene.settled(&connection).await;
    assert_eq!((&well["webhook_error"], &well["webhook_attempts"]), (&Value::Null, &json!(0)));
    assert_eq!(well["webhook_error_reason"], Value::Null);
    assert_eq!(well["webhook_pending_id"], Value::Null);
    assert!(seconds_ahead(&well["webhook_lease_until"]) <= 5.0, "{well}");
}

async fn an_end_that_makes_no_sense_is_when_it_was_asked_to_be(scene: &Scene) {
    let rows = [
        ("none", Value::Null),
        ("in words", json!("soon")),
        ("beyond all years", json!("9".repeat(30))),
        ("beyond the database's years", json!(i64::MAX.to_string())),
        ("negative", json!("-1")),
        ("over", json!(1)),
    ];
    each(rows, |expiration| async move {
        let connection = scene.connection().await;
        let body = json!({ "kind": "api#channel", "resourceId": "resource", "expiration": expiration });
        scene.fault(&connection, json!({ "operation": "watch", "status": 200, "body": body })).await;
        let answer = scene.call(SETUP, Caller::Service, connection.target()).await;
        assert_eq!(answer.connections()[0]["status"], "active");
        let row = scene.row(&connection).await;
        let days = seconds_ahead(&row["webhook_expiration"]) / 86_400.0;
        assert_between(days, 29.9, 30.1, "days");
    })
    .await;
}

async fn a_channel_without_a_resource_is_a_refusal_for_a_day(scene: &Scene) {
    let rows = [
        ("empty object", json!({})),
        ("array", json!([])),
        ("no resource id", json!({ "kind": "api#channel", "id": "x", "expiration": "1900000000000" })),
        ("resource id as a number", json!({ "id": "x", "resourceId": 5, "expiration": "1900000000000" })),
        (
            "NUL in the resource id",
            json!({ "id": "x", "resourceId": "a\u{0}b", "expiration": "1900000000000" }),
        ),
    ];
    each(rows, |body| async move {
        let connection = scene.connection().await;
        scene.fault(&connection, json!({ "operation": "watch", "status": 200, "body": body })).await;
        let answer = scene.call(SETUP, Caller::Service, connection.target()).await;
        assert_eq!(answer.outcome(), (502, "google_rejected"), "{}", answer.text);
        let row = scene.row(&connection).await;
        assert_eq!((&row["webhook_id"], &row["webhook_error"]), (&Value::Null, &json!("google_rejected")));
        assert_between(seconds_ahead(&row["webhook_not_before"]), 86_390.0, 90_000.0, "the pause");

        scene.set(&connection, "webhook_lease_until = 'epoch'").await;
        scene.open_channel(&connection).await;
    })
    .await;
}

async fn an_error_that_came_with_a_success_is_told(scene: &Scene) {
    let rows = [
        ("quotaExceeded", (502, "google_rate_limited")),
        ("insufficientPermissions", (409, "permission_missing")),
        ("somethingNew", (502, "google_rejected")),
    ];
    each(rows.map(|row| (row.0, row)), |(reason, expected)| async move {
        let connection = scene.connection().await;
        let body = json!({ "error": { "code": 403, "errors": [{ "reason": reason }] } });
        scene.fault(&connection, json!({ "operation": "watch", "status": 200, "body": body })).await;
        let answer = scene.call(SETUP, Caller::Service, connection.target()).await;
        assert_eq!(answer.outcome(), expected, "{}", answer.text);
        let row = scene.row(&connection).await;
        assert_eq!(
            (&row["webhook_error"], &row["webhook_error_reason"]),
            (&json!(expected.1), &json!(reason))
        );
        assert_between(seconds_ahead(&row["webhook_not_before"]), 86_390.0, 90_000.0, "the pause");
    })
    .await;
}

async fn channels_whose_resource_is_not_told_do_not_add_up(scene: &Scene) {
    let connection = scene.connection().await;
    let fault = json!({ "operation": "watch", "status": 200, "body": {}, "after": true, "times": 3 });
    scene.fault(&connection, fault).await;
    for _ in 0..3 {
        scene.set(&connection, "webhook_lease_until = 'epoch'").await;
        let answer = scene.call(SETUP, Caller::Service, connection.target()).await;
        assert_eq!(answer.outcome(), (502, "google_rejected"), "{}", answer.text);
        until("the resource of the pending channel", || async {
            let row = scene.row(&connection).await;
            let is_heard = row["webhook_confirmed_id"] == row["webhook_pending_id"];
            (is_heard && row["webhook_resource_id"].is_string()).then_some(())
        })
        .await;
    }
    let pending = scene.row(&connection).await["webhook_pending_id"].as_str().unwrap().to_owned();
    assert_eq!(scene.live_channels(&connection).await, [pending]);
}

async fn the_pause_doubles_with_every_attempt_up_to_an_hour(scene: &Scene) {
    let rows =
        [(0, 30.0), (1, 60.0), (3, 240.0), (6, 1920.0), (7, 3600.0), (40, 3600.0), (2_147_483_646, 3600.0)];
    each(rows.map(|row| (row.0, row)), |(attempts, pause)| async move {
        let connection = scene.connection().await;
        scene.set(&connection, &format!("webhook_attempts = {attempts}")).await;
        scene.fault(&connection, json!({ "operation": "watch", "status": 503 })).await;
        let answer = scene.call(SETUP, Caller::Service, connection.target()).await;
        assert_eq!(answer.outcome(), (502, "google_unavailable"), "{}", answer.text);
        let row = scene.row(&connection).await;
        assert_eq!(row["webhook_attempts"], json!(attempts + 1));
        let most = f64::min(pause * 2.0, 3600.0) + 1.0;
        assert_between(seconds_ahead(&row["webhook_not_before"]), pause * 0.6, most, "the pause");
    })
    .await;
}
