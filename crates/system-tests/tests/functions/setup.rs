//! `setup-calendar-webhook`: whom it opens a channel for, what it stores, and that it opens one only.

use chrono::{TimeDelta, Utc};
use futures_util::future::join;
use serde_json::{Value, json};
use system_tests::{Caller, SETUP, time, until};
use uuid::Uuid;

use crate::case::cases;
use crate::moment::{ago, assert_between, born};
use crate::scene::Scene;
use crate::table::each;

cases! {
    shared: [
        somebody_who_loses_the_claim_for_long_is_told_when_to_come_back,
        somebody_who_loses_the_claim_is_answered_as_soon_as_the_row_is_well,
        a_channel_is_opened_and_stored_as_google_granted_it,
        a_second_call_returns_the_same_channel_without_asking_google,
        two_calls_at_once_open_one_channel,
        a_new_channel_is_followed_by_a_run,
        an_answer_is_a_row_of_the_view,
        a_user_reaches_own_connections_only,
        a_service_names_a_connection_or_a_user,
        a_failing_connection_does_not_hide_the_one_that_is_well,
        without_a_well_connection_the_first_live_one_answers,
        a_live_connection_is_found_behind_any_number_of_old_ones,
        a_connection_that_is_deleted_before_the_answer_is_not_there,
        a_channel_that_is_not_well_is_replaced_and_stopped,
        any_calendar_id_reaches_google,
        a_calendar_id_is_taken_for_what_it_was_meant_to_be,
        a_connection_without_a_refresh_token_is_set_up_with_a_warning,
        null_in_sync_enabled_means_enabled,
    ],
    alone: [
        a_short_grant_is_due_after_half_its_lifetime,
    ],
}

async fn a_channel_is_opened_and_stored_as_google_granted_it(scene: &Scene) {
    let connection = scene.connection().await;
    let before = Utc::now();
    let answer = scene.call(SETUP, Caller::Service, connection.target()).await;
    let after = Utc::now();
    assert_eq!(answer.connections().len(), 1);

    let row = scene.settled(&connection).await;
    let channels = scene.channels(&connection).await;
    assert_eq!(channels.len(), 1, "{channels:?}");
    let channel = &channels[0];
    assert_eq!(row["webhook_id"], json!(channel.id));
    assert_eq!(row["webhook_resource_id"], json!(channel.resource_id));
    assert_eq!(channel.token.as_ref(), Some(&connection.token));
    assert_eq!(channel.calendar_id, connection.email);
    assert_eq!(channel.address, format!("{}/functions/v1/google-calendar-webhook", scene.backdrop.tap.url()));

    let expiration = time(&row["webhook_expiration"]);
    assert_eq!(expiration.timestamp_millis(), channel.expiration.timestamp_millis());
    assert_between((expiration - before).num_seconds(), 2_592_000 - 60, 2_592_000 + 60, "30 days");
    let second = TimeDelta::seconds(1);
    assert_between(time(&row["webhook_opened_at"]), before - second, after + second, "opened at");
    let latest = expiration - TimeDelta::hours(48);
    let earliest = latest - (latest - before) / 10;
    assert_between(time(&row["webhook_not_before"]), earliest - second, latest + second, "due");

    assert_eq!(row["webhook_pending_id"], Value::Null);
    assert_eq!(row["webhook_error"], Value::Null);
    assert_eq!(row["webhook_attempts"], 0);
    assert_eq!(time(&row["webhook_lease_until"]) - time(&row["webhook_opened_at"]), TimeDelta::seconds(5));
    assert_eq!(row["webhook_token"], json!(connection.token));
    assert_eq!(scene.asked_google(&connection, "watch").await, 1);
    assert_eq!(scene.asked_google(&connection, "token").await, 0);
}

async fn a_short_grant_is_due_after_half_its_lifetime(scene: &mut Scene) {
    for (granted, early) in [(600, 300), (86_400, 43_200), (4 * 86_400, 48 * 3600), (7 * 86_400, 48 * 3600)] {
        scene.google_control("ttl", json!({ "cap_seconds": granted })).await;
        let connection = scene.open().await;
        let row = scene.row(&connection).await;
        let expiration = time(&row["webhook_expiration"]);
        let lifetime = (expiration - Utc::now()).num_seconds();
        assert_between(lifetime, granted - 30, granted + 1, "the lifetime");
        let ahead = (expiration - time(&row["webhook_not_before"])).num_seconds();
        // Or up to a tenth sooner.
        let most = early + (granted - early) / 10;
        assert_between(ahead, early - 2, most + 2, &format!("due before the end of {granted} s"));
        let status = if granted <= 86_400 { "expiring" } else { "active" };
        assert_eq!(scene.status(&connection).await["status"], status, "{granted}");
    }
    scene.google_control("ttl", json!({ "cap_seconds": 30 * 86_400 })).await;
}

async fn a_second_call_returns_the_same_channel_without_asking_google(scene: &Scene) {
    let connection = scene.open().await;
    let before = scene.row(&connection).await;
    for _ in 0..2 {
        let answer = scene.call(SETUP, Caller::Service, connection.target()).await;
        assert_eq!(answer.connections()[0]["webhook_id"], before["webhook_id"]);
        assert_eq!(answer.connections()[0]["status"], "active");
    }
    assert_eq!(scene.row(&connection).await, before);
    assert_eq!(scene.asked_google(&connection, "watch").await, 1);
    assert_eq!(scene.runs(&connection).await.len(), 1);
}

async fn two_calls_at_once_open_one_channel(scene: &Scene) {
    let connection = scene.connection().await;
    scene.fault(&connection, json!({ "operation": "watch", "delay_ms": 1500 })).await;
    let call = || scene.call(SETUP, Caller::Service, connection.target());
    let (one, other) = join(call(), call()).await;
    let id = &one.connections()[0]["webhook_id"];
    assert!(id.is_string(), "{}", one.text);
    assert_eq!(&other.connections()[0]["webhook_id"], id);
    assert_eq!(scene.asked_google(&connection, "watch").await, 1);
    assert_eq!(scene.live_channels(&connection).await, [id.as_str().unwrap()]);
}

async fn a_new_channel_is_followed_by_a_run(scene: &Scene) {
    let connection = scene.connection().await;
    let before = ago(1);
    scene.call(SETUP, Caller::Service, connection.target()).await.connections();
    let row = scene.settled(&connection).await;
    let runs = scene.runs(&connection).await;
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_between(born(runs[0].request_id), before, Utc::now(), "the request's time");
    assert_between(time(&row["last_sync_at"]), runs[0].started_at, Utc::now(), "last_sync_at");

    let user = connection.user.to_string();
    let calls = scene.backdrop.tap.asked(|asked| {
        asked.uri == "/functions/v1/recalculate-schedule" && asked.json()["user_id"] == json!(user)
    });
    assert_eq!(calls.len(), 1);
    let body = calls[0].json();
    let request = runs[0].request_id.to_string();
    assert_eq!(body.as_object().unwrap().len(), 5, "{body}");
    assert_eq!(body["userId"], json!(user));
    assert_eq!(body["connection_id"], json!(connection.id));
    assert_eq!(body["request_id"], json!(request));
    assert!(body["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{body}");
    assert_eq!(calls[0].header("idempotency-key"), Some(request.as_str()));
    let keys = scene.headers(Caller::Service);
    let sent = ["apikey", "authorization"].map(|name| calls[0].headers.get(name));
    assert_eq!(sent, ["apikey", "authorization"].map(|name| keys.get(name)));
}

async fn an_answer_is_a_row_of_the_view(scene: &Scene) {
    let user = scene.user().await;
    let connection = scene.connection_of(user.id).await;
    let answer = scene.call(SETUP, Caller::User(&user), "{}").await;
    let mut keys: Vec<&String> = answer.connections()[0].as_object().unwrap().keys().collect();
    keys.sort();
    let expected = [
        "calendar_id",
        "calendar_name",
        "id",
        "last_sync_at",
        "status",
        "sync_error",
        "sync_status",
        "user_id",
        "webhook_error",
        "webhook_error_reason",
        "webhook_expiration",
        "webhook_id",
        "webhook_notified_at",
    ];
    assert_eq!(keys, expected);
    let shown = &answer.connections()[0];
    let row = scene.settled(&connection).await;
    assert_eq!(shown["id"], row["id"]);
    assert_eq!(shown["user_id"], row["user_id"]);
    assert_eq!(shown["webhook_id"], row["webhook_id"]);
    assert_eq!(time(&shown["webhook_expiration"]), time(&row["webhook_expiration"]));
    assert_eq!((&shown["status"], &shown["webhook_error"]), (&json!("active"), &Value::Null));
    assert!(["pending", "idle"].map(Value::from).contains(&shown["sync_status"]), "{shown}");
    assert_eq!(answer.body.as_object().unwrap().len(), 1, "{}", answer.text);
}

async fn a_user_reaches_own_connections_only(scene: &Scene) {
    let (user, other) = (scene.user().await, scene.user().await);
    let theirs = scene.connection_of(other.id).await;
    let untouched = scene.row(&theirs).await;

    let nothing = scene.call(SETUP, Caller::User(&user), "").await;
    assert_eq!(nothing.outcome(), (404, "no_connection"));
    let own = [scene.connection_of(user.id).await, scene.connection_of(user.id).await];

    for target in [theirs.id, Uuid::new_v4()] {
        let answer = scene.call(SETUP, Caller::User(&user), json!({ "connection_id": target })).await;
        assert_eq!(answer.outcome(), (404, "no_connection"));
    }
    let one = scene.call(SETUP, Caller::User(&user), own[0].target()).await;
    assert_eq!(one.connections().len(), 1);
    assert_eq!(one.connections()[0]["id"], json!(own[0].id));
    assert_eq!(scene.asked_google(&own[1], "watch").await, 0);

    let all = scene.call(SETUP, Caller::User(&user), "").await;
    assert_eq!(all.connections().len(), 2);
    assert!(all.connections().iter().all(|row| row["user_id"] == json!(user.id)), "{}", all.text);
    assert_eq!(scene.row(&theirs).await, untouched);
}

async fn a_service_names_a_connection_or_a_user(scene: &Scene) {
    let user = Uuid::new_v4();
    let connections = [scene.connection_of(user).await, scene.connection_of(user).await];
    for body in ["", "{}"] {
        assert_eq!(scene.call(SETUP, Caller::Service, body).await.outcome(), (400, "invalid_request"));
    }
    for target in [json!({ "connection_id": Uuid::new_v4() }), json!({ "user_id": Uuid::new_v4() })] {
        assert_eq!(scene.call(SETUP, Caller::Service, target).await.outcome(), (404, "no_connection"));
    }
    let answer = scene.call(SETUP, Caller::Service, json!({ "user_id": user })).await;
    assert_eq!(answer.connections().len(), 2);
    for connection in &connections {
        assert_eq!(scene.live_channels(connection).await.len(), 1);
    }
}

async fn a_failing_connection_does_not_hide_the_one_that_is_well(scene: &Scene) {
    let user = Uuid::new_v4();
    let (failing, well) = (scene.connection_of(user).await, scene.connection_of(user).await);
    let paused = scene.connection_of(user).await;
    scene.set(&failing, "created_at = now() - interval '1 day'").await;
    scene.set(&paused, "sync_enabled = false").await;
    let fault = json!({ "operation": "watch", "status": 404, "reason": "notFound" });
    scene.fault(&failing, fault).await;
    let answer = scene.call(SETUP, Caller::Service, json!({ "user_id": user })).await;
    let shown = |id: Uuid| {
        let row = answer.connections().iter().find(|row| row["id"] == json!(id));
        row.map(|row| (row["status"].as_str().unwrap(), row["webhook_error"].as_str()))
    };
    assert_eq!(shown(failing.id), Some(("unsupported", Some("calendar_not_found"))));
    assert_eq!(shown(well.id), Some(("active", None)));
    assert_eq!(shown(paused.id), Some(("paused", None)));
}

async fn without_a_well_connection_the_first_live_one_answers(scene: &Scene) {
    const PAUSED: &str = "sync_enabled = false";
    const DISCONNECTED: &str = "is_active = false";
    const UNKNOWN: &str = "is_active = null";
    const GONE: &str = "calendar_id = 'gone@example.com'";
    const REVOKED: &str = "refresh_token = '1//revoked', expires_at = 'epoch'";
    let rows: [(&[&str], _); 9] = [
        (&[PAUSED], (409, "paused")),
        (&[DISCONNECTED], (409, "disconnected")),
        (&[UNKNOWN], (409, "disconnected")),
        (&[PAUSED, DISCONNECTED], (409, "paused")),
        (&[DISCONNECTED, PAUSED], (409, "disconnected")),
        (&[PAUSED, REVOKED], (409, "reconnect_required")),
        (&[DISCONNECTED, GONE], (422, "calendar_not_found")),
        (&[GONE, REVOKED, PAUSED], (422, "calendar_not_found")),
        (&[REVOKED, GONE], (409, "reconnect_required")),
    ];
    let rows = rows.map(|row| (row.0.join(" · "), row));
    each(rows, |(states, expected)| async move {
        let user = Uuid::new_v4();
        for (age, state) in states.iter().rev().enumerate() {
            let connection = scene.connection_of(user).await;
            let created = format!("{state}, created_at = now() - interval '{age} days'");
            scene.set(&connection, &created).await;
        }
        let answer = scene.call(SETUP, Caller::Service, json!({ "user_id": user })).await;
        assert_eq!(answer.outcome(), expected, "{}", answer.text);
    })
    .await;
}

async fn a_live_connection_is_found_behind_any_number_of_old_ones(scene: &Scene) {
    let user = Uuid::new_v4();
    let connection = scene.connection_of(user).await;
    scene
        .sql(
            "insert into calendar_connections (user_id, provider, is_active, created_at)
               select $1, 'google', false, now() - number * interval '1 day' from generate_series(1, 60) as number",
            &[&user],
        )
        .await
        .unwrap();
    let answer = scene.call(SETUP, Caller::Service, json!({ "user_id": user })).await;
    assert_eq!(answer.connections()[0]["id"], json!(connection.id), "{}", answer.text);
    assert_eq!(answer.connections()[0]["status"], "active");
    assert_eq!(answer.connections().len(), 20);
}

async fn a_connection_that_is_deleted_before_the_answer_is_not_there(scene: &Scene) {
    let connection = scene.connection().await;
    let id = connection.id.to_string();
    let view = move |asked: &crate::tap::Asked| {
        asked.uri.starts_with("/rest/v1/calendar_connection_status") && asked.uri.contains(&id)
    };
    let held = scene.backdrop.tap.hold(view);
    let delete = async {
        held.reached().await;
        scene.sql("delete from calendar_connections where id = $1", &[&connection.id]).await.unwrap();
        held.release();
    };
    let (answer, ()) = join(scene.call(SETUP, Caller::Service, connection.target()), delete).await;
    assert_eq!(answer.outcome(), (404, "no_connection"), "{}", answer.text);
}

async fn a_channel_that_is_not_well_is_replaced_and_stopped(scene: &Scene) {
    let rows = [
        ("webhook_not_before = now() - interval '1 second'", true),
        ("webhook_attempts = 1", true),
        ("webhook_error = 'google_unavailable', webhook_attempts = 1", true),
        ("webhook_error = 'reconnect_required', webhook_not_before = now() + interval '1 day'", true),
        ("webhook_expiration = now() - interval '1 minute'", true),
        ("webhook_expiration = null", true),
        ("webhook_opened_at = 'epoch'", true),
        ("last_sync_at = null", false),
        ("webhook_opened_at = now() - interval '20 days'", false),
    ];
    each(rows.map(|row| (row.0, row)), |(change, replaced)| async move {
        let connection = scene.open().await;
        let old = scene.row(&connection).await["webhook_id"].as_str().unwrap().to_owned();
        scene.set(&connection, change).await;
        let answer = scene.call(SETUP, Caller::Service, connection.target()).await;
        let new = answer.connections()[0]["webhook_id"].as_str().unwrap();
        assert_eq!(new != old, replaced, "{}", answer.text);
        if replaced {
            scene.until_stopped(&connection, &old).await;
        }
        assert_eq!(scene.live_channels(&connection).await, [new]);
    })
    .await;
}

async fn any_calendar_id_reaches_google(scene: &Scene) {
    let ids =
        ["en.german#holiday@group.v.calendar.google.com", "a/b?c=d&e%20f+g@x", "räume und ☃@example.com"];
    each(ids.map(|id| (id, id)), |calendar| async move {
        let connection = scene.connection().await;
        let unique = format!("{calendar}{}", connection.id);
        let given = json!({ "email": connection.email, "id": unique });
        scene.google_control("calendars", given).await;
        scene.set(&connection, &format!("calendar_id = '{unique}'")).await;
        let answer = scene.call(SETUP, Caller::Service, connection.target()).await;
        assert_eq!(answer.connections()[0]["calendar_id"], json!(unique));
        assert_eq!(scene.channels(&connection).await[0].calendar_id, unique);
    })
    .await;
}

async fn a_calendar_id_is_taken_for_what_it_was_meant_to_be(scene: &Scene) {
    for (stored, meant) in [
        (" räume@example.com\t", "räume@example.com"),
        ("r%C3%A4ume%40example.com", "räume@example.com"),
        (" primary", "primary"),
    ] {
        let connection = scene.connection().await;
        let given = json!({ "email": connection.email, "id": "räume@example.com" });
        scene.google_control("calendars", given).await;
        scene.set(&connection, &format!("calendar_id = '{stored}'")).await;
        scene.call(SETUP, Caller::Service, connection.target()).await.connections();
        let watched = scene.channels(&connection).await[0].calendar_id.clone();
        let meant = if meant == "primary" { &connection.email } else { meant };
        assert_eq!(watched, meant, "{stored}");
    }
}

async fn a_connection_without_a_refresh_token_is_set_up_with_a_warning(scene: &Scene) {
    let connection = scene.connection().await;
    let answer = scene.call(SETUP, Caller::Service, connection.target()).await;
    assert!(answer.body.get("warnings").is_none(), "{}", answer.text);

    let connection = scene.connection().await;
    scene.set(&connection, "refresh_token = null").await;
    let answer = scene.call(SETUP, Caller::Service, connection.target()).await;
    assert_eq!(answer.connections()[0]["status"], "active");
    let warning = &answer.body["warnings"][0];
    assert_eq!(warning["code"], "refresh_token_missing");
    assert_eq!(warning["connection_id"], json!(connection.id));
    let message = warning["message"].as_str().unwrap();
    assert!(message.contains("access_type=offline and prompt=consent"), "{message}");
}

async fn null_in_sync_enabled_means_enabled(scene: &Scene) {
    let connection = scene.connection().await;
    scene.set(&connection, "sync_enabled = null").await;
    let answer = scene.call(SETUP, Caller::Service, connection.target()).await;
    assert_eq!(answer.connections()[0]["status"], "active");
    assert_eq!(scene.settled(&connection).await["sync_enabled"], Value::Null);
    assert_eq!(scene.runs(&connection).await.len(), 1);
}

async fn somebody_who_loses_the_claim_for_long_is_told_when_to_come_back(scene: &Scene) {
    each([28, 300].map(|lease| (format!("a lease of {lease} s"), lease)), |lease| async move {
        let connection = scene.connection().await;
        let held = format!("webhook_pending_id = 'held', webhook_lease_until = now() + interval '{lease} s'");
        scene.set(&connection, &held).await;
        let before = scene.row(&connection).await;
        let answer = scene.call(SETUP, Caller::Service, connection.target()).await;
        assert_eq!(answer.outcome(), (429, "too_soon"), "{}", answer.text);
        assert_between(answer.took.as_secs_f64(), 12.0, 20.0, "the patience");
        let retry_after: f64 = answer.header("retry-after").parse().expect("Retry-After");
        let left = (f64::from(lease) - answer.took.as_secs_f64()).min(30.0);
        assert_between(retry_after, left - 2.0, f64::min(left + 2.0, 30.0), "what is left of the lease");
        assert_eq!(scene.row(&connection).await, before);
        assert_eq!(scene.asked_google(&connection, "watch").await, 0);
    })
    .await;
}

async fn somebody_who_loses_the_claim_is_answered_as_soon_as_the_row_is_well(scene: &Scene) {
    let connection = scene.open().await;
    scene.set(&connection, "webhook_error = 'x', webhook_lease_until = now() + interval '1 minute'").await;
    let call = scene.call(SETUP, Caller::Service, connection.target());
    let mend = async {
        let reads = || async {
            let id = connection.id.to_string();
            let again = |asked: &crate::tap::Asked| asked.uri.contains("id=in.") && asked.uri.contains(&id);
            (!scene.backdrop.tap.asked(again).is_empty()).then_some(())
        };
        until("the row read again", reads).await;
        scene
            .set(
                &connection,
                "webhook_error = null, webhook_lease_until = 'epoch', webhook_opened_at = now()",
            )
            .await;
    };
    let (answer, ()) = join(call, mend).await;
    assert_eq!(answer.connections()[0]["status"], "active");
    assert_between(answer.took.as_secs_f64(), 0.0, 12.0, "less than its patience");
    assert_eq!(scene.asked_google(&connection, "watch").await, 1);
}
