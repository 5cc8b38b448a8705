//! `refresh-calendar-webhook` as the user's button.

use futures_util::future::join_all;
use serde_json::{Value, json};
use system_tests::{Caller, REFRESH};
use uuid::Uuid;

use crate::case::cases;
use crate::moment::seconds_ahead;
use crate::scene::Scene;
use crate::table::each;

cases! {
    shared: [
        the_button_renews_stops_the_old_channel_and_runs,
        the_button_does_so_once_in_thirty_seconds,
        the_button_tells_what_is_wrong_and_runs_all_the_same,
        the_button_renews_all_connections_of_its_user_and_no_others,
        a_backend_can_press_the_button_too,
        two_clicks_at_once_renew_once,
        a_renewal_going_on_makes_the_button_wait,
        the_button_does_not_wait_for_a_backoff,
        a_connection_that_is_not_live_says_why,
    ],
    alone: [],
}

const OLD: &str = "webhook_opened_at = now() - interval '1 minute'";

async fn the_button_renews_stops_the_old_channel_and_runs(scene: &Scene) {
    let user = scene.user().await;
    let connection = scene.connection_of(user.id).await;
    scene.open_channel(&connection).await;
    scene.set(&connection, OLD).await;
    let old = scene.row(&connection).await["webhook_id"].as_str().unwrap().to_owned();
    let answer = scene.call(REFRESH, Caller::User(&user), "").await;
    let row = &answer.connections()[0];
    assert_eq!(row["status"], "active");
    assert_ne!(row["webhook_id"], json!(old));
    scene.until_stopped(&connection, &old).await;
    scene.until_started(&connection, 2).await;
    let settled = scene.settled(&connection).await;
    assert_eq!(settled["webhook_id"], row["webhook_id"]);
    assert_eq!(scene.live_channels(&connection).await, [row["webhook_id"].as_str().unwrap()]);
    assert!(!scene.runs(&connection).await.iter().any(|run| run.overlapped));
}

async fn the_button_does_so_once_in_thirty_seconds(scene: &Scene) {
    let user = scene.user().await;
    let connection = scene.connection_of(user.id).await;
    scene.open_channel(&connection).await;
    for (age, left) in [(0, 30), (20, 10)] {
        let opened = format!("webhook_opened_at = now() - interval '{age} seconds'");
        scene.set(&connection, &opened).await;
        let before = scene.row(&connection).await;
        let answer = scene.call(REFRESH, Caller::User(&user), connection.target()).await;
        assert_eq!(answer.outcome(), (429, "too_soon"), "{}", answer.text);
        let retry_after: i64 = answer.header("retry-after").parse().unwrap();
        assert!(
            (1..=30).contains(&retry_after) && (left - 3..=left + 1).contains(&retry_after),
            "{retry_after}"
        );
        let exposed = answer.header("access-control-expose-headers").to_lowercase();
        assert!(exposed.contains("retry-after"), "{exposed}");
        assert_eq!(scene.row(&connection).await, before);
    }
    assert_eq!(scene.asked_google(&connection, "watch").await, 1);

    scene.set(&connection, "webhook_opened_at = now() - interval '31 seconds'").await;
    scene.call(REFRESH, Caller::User(&user), connection.target()).await.connections();
    let again = scene.call(REFRESH, Caller::User(&user), connection.target()).await;
    assert_eq!(again.outcome(), (429, "too_soon"));
}

async fn the_button_tells_what_is_wrong_and_runs_all_the_same(scene: &Scene) {
    let rows = [
        ("unavailable", json!({ "operation": "watch", "status": 503 }), (502, "google_unavailable")),
        (
            "no push",
            json!({ "operation": "watch", "status": 400, "reason": "pushNotSupportedForRequestedResource" }),
            (422, "push_not_supported"),
        ),
        (
            "revoked",
            json!({ "operation": "token", "status": 400, "reason": "invalid_grant" }),
            (409, "reconnect_required"),
        ),
        ("limited", json!({ "operation": "watch", "status": 429 }), (502, "google_rate_limited")),
    ];
    each(rows.map(|row| (row.0, row)), |(_, fault, expected)| async move {
        let connection = scene.open().await;
        let expired = if fault["operation"] == "token" { ", expires_at = 'epoch'" } else { "" };
        scene.set(&connection, &format!("{OLD}{expired}")).await;
        let old = scene.row(&connection).await["webhook_id"].clone();
        scene.fault(&connection, fault).await;
        let answer = scene.call(REFRESH, Caller::Service, connection.target()).await;
        assert_eq!(answer.outcome(), expected, "{}", answer.text);
        // Without a consent there is nothing to run with.
        let row = if expected.0 == 409 {
            scene.row(&connection).await
        } else {
            scene.until_started(&connection, 2).await;
            scene.settled(&connection).await
        };
        assert_eq!(row["sync_request_id"].is_string(), expected.0 == 409);
        assert_eq!((&row["webhook_id"], &row["webhook_error"]), (&old, &json!(expected.1)));
        assert_eq!(scene.live_channels(&connection).await, [old.as_str().unwrap()]);
    })
    .await;
}

async fn the_button_renews_all_connections_of_its_user_and_no_others(scene: &Scene) {
    let (user, other) = (scene.user().await, scene.user().await);
    let own = [scene.connection_of(user.id).await, scene.connection_of(user.id).await];
    let theirs = scene.connection_of(other.id).await;
    for connection in [&own[0], &own[1], &theirs] {
        scene.open_channel(connection).await;
        scene.set(connection, OLD).await;
    }
    let before = scene.row(&theirs).await;
    let forbidden = scene.call(REFRESH, Caller::User(&user), theirs.target()).await;
    assert_eq!(forbidden.outcome(), (404, "no_connection"));

    let one = scene.call(REFRESH, Caller::User(&user), own[0].target()).await;
    assert_eq!(one.connections().len(), 1);
    // The other one is renewed now, and that is enough; the first says that it is too soon by being as it is.
    let both = scene.call(REFRESH, Caller::User(&user), "{}").await;
    assert_eq!(both.connections().len(), 2);
    for connection in &own {
        assert_eq!(scene.asked_google(connection, "watch").await, 2);
    }
    assert_eq!(scene.row(&theirs).await, before);

    let nobody = scene.user().await;
    let answer = scene.call(REFRESH, Caller::User(&nobody), "").await;
    assert_eq!(answer.outcome(), (404, "no_connection"));
}

async fn a_backend_can_press_the_button_too(scene: &Scene) {
    let user = Uuid::new_v4();
    let connections = [scene.connection_of(user).await, scene.connection_of(user).await];
    for connection in &connections {
        scene.open_channel(connection).await;
        scene.set(connection, OLD).await;
    }
    let answer = scene.call(REFRESH, Caller::Service, json!({ "user_id": user })).await;
    assert_eq!(answer.connections().len(), 2);
    let again = scene.call(REFRESH, Caller::Service, connections[0].target()).await;
    assert_eq!(again.outcome(), (429, "too_soon"));
    for unknown in [json!({ "connection_id": Uuid::new_v4() }), json!({ "user_id": Uuid::new_v4() })] {
        assert_eq!(scene.call(REFRESH, Caller::Service, unknown).await.outcome(), (404, "no_connection"));
    }
}

async fn two_clicks_at_once_renew_once(scene: &Scene) {
    let connection = scene.open().await;
    scene.set(&connection, OLD).await;
    scene.fault(&connection, json!({ "operation": "watch", "delay_ms": 500 })).await;
    let clicks = (0..5).map(|_| scene.call(REFRESH, Caller::Service, connection.target()));
    let answers = join_all(clicks).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 429, 429, 429, 429]);
    scene.settled(&connection).await;
    assert_eq!(scene.asked_google(&connection, "watch").await, 2);
    assert!(!scene.runs(&connection).await.iter().any(|run| run.overlapped));
}

async fn a_renewal_going_on_makes_the_button_wait(scene: &Scene) {
    for (lease, left) in [(10, 10), (80, 30)] {
        let connection = scene.open().await;
        let held =
            format!("webhook_pending_id = 'x', webhook_lease_until = now() + interval '{lease} seconds'");
        scene.set(&connection, &format!("{OLD}, {held}")).await;
        let answer = scene.call(REFRESH, Caller::Service, connection.target()).await;
        assert_eq!(answer.outcome(), (429, "too_soon"), "{}", answer.text);
        let retry_after: i64 = answer.header("retry-after").parse().unwrap();
        assert!((left - 2..=left).contains(&retry_after), "{retry_after}");
        assert_eq!(scene.asked_google(&connection, "watch").await, 1);
    }
}

async fn the_button_does_not_wait_for_a_backoff(scene: &Scene) {
    let connection = scene.connection().await;
    let failing = "webhook_error = 'google_unavailable', webhook_attempts = 7, sync_attempts = 3";
    let later = "webhook_not_before = now() + interval '1 hour', sync_not_before = now() + interval '1 hour'";
    scene.set(&connection, &format!("{failing}, {later}")).await;
    let answer = scene.call(REFRESH, Caller::Service, connection.target()).await;
    assert_eq!(answer.connections()[0]["status"], "active");
    scene.until_started(&connection, 1).await;
    let row = scene.settled(&connection).await;
    assert_eq!((&row["webhook_error"], &row["webhook_attempts"]), (&Value::Null, &json!(0)));
    assert!(seconds_ahead(&row["webhook_lease_until"]) <= 5.0, "{row}");
}

async fn a_connection_that_is_not_live_says_why(scene: &Scene) {
    let rows = [
        ("sync_enabled = false", (409, "paused")),
        ("is_active = false", (409, "disconnected")),
        ("provider = 'outlook'", (404, "no_connection")),
    ];
    each(rows.map(|row| (row.0, row)), |(change, expected)| async move {
        let connection = scene.open().await;
        scene.set(&connection, &format!("{OLD}, {change}")).await;
        let before = scene.row(&connection).await;
        let answer = scene.call(REFRESH, Caller::Service, connection.target()).await;
        assert_eq!(answer.outcome(), expected, "{}", answer.text);
        assert_eq!(scene.row(&connection).await, before);
        assert_eq!(scene.runs(&connection).await.len(), 1);
    })
    .await;
}
