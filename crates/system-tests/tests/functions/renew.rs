//! The renewal that setup, button and sweep share: tokens, fences, and answers that get lost.

use chrono::{TimeDelta, Utc};
use futures_util::future::join;
use serde_json::{Value, json};
use system_tests::{Answer, Caller, Connection, REFRESH, SETUP, is_epoch, time, until};

use crate::case::cases;
use crate::moment::{assert_between, seconds_ahead};
use crate::notification::Notification;
use crate::scene::Scene;
use crate::table::each;
use crate::tap::{Asked, Spoil};

cases! {
    shared: [
        an_access_token_is_renewed_when_less_than_a_minute_is_left,
        an_access_token_that_google_refuses_is_renewed_once,
        a_rotated_refresh_token_is_stored_without_a_fresh_start,
        a_revoked_grant_asks_for_a_reconnection_which_starts_afresh,
        a_connection_without_a_refresh_token_asks_for_a_reconnection,
        a_used_channel_id_is_replaced_by_another,
        a_channel_that_may_exist_is_stopped_by_the_next_renewal,
        a_consent_given_meanwhile_is_not_overwritten,
        a_channel_for_the_calendar_of_before_is_stopped,
        a_pause_meanwhile_stops_the_new_channel,
        a_row_deleted_meanwhile_stops_both_channels,
        a_claim_whose_answer_is_lost_asks_google_nothing,
        a_commit_whose_answer_is_lost_is_looked_up,
        a_commit_that_is_never_answered_stops_nothing_that_is_stored,
        what_google_says_is_not_repeated,
        a_channel_is_disowned_before_it_is_stopped,
        the_new_channel_is_open_before_the_old_one_is_stopped,
    ],
    alone: [],
}

async fn set_up(scene: &Scene, connection: &Connection) -> Answer {
    scene.call(SETUP, Caller::Service, connection.target()).await
}

async fn an_access_token_is_renewed_when_less_than_a_minute_is_left(scene: &Scene) {
    let rows = [("-1 hour", 1), ("30 seconds", 1), ("50 seconds", 1), ("75 seconds", 0), ("1 hour", 0)];
    each(rows.map(|row| (row.0, row)), |(left, tokens)| async move {
        let connection = scene.connection().await;
        // The run after it, which would renew the token in its own turn, has to wait.
        let not_before = "sync_not_before = now() + interval '1 hour'";
        scene.set(&connection, &format!("expires_at = now() + interval '{left}', {not_before}")).await;
        let before = scene.row(&connection).await;
        set_up(scene, &connection).await.connections();
        let after = scene.row(&connection).await;
        assert_eq!(scene.asked_google(&connection, "token").await, tokens);
        assert_eq!(scene.asked_google(&connection, "watch").await, 1);
        assert_eq!(after["access_token"] != before["access_token"], tokens > 0);
        assert_eq!(after["refresh_token"], before["refresh_token"]);
        if tokens > 0 {
            assert_between(seconds_ahead(&after["expires_at"]), 3500.0, 3600.0, "the token's life");
        }
    })
    .await;
}

async fn an_access_token_that_google_refuses_is_renewed_once(scene: &Scene) {
    let connection = scene.connection().await;
    let before = scene.row(&connection).await;
    scene.google_control("expire-access-tokens", json!({ "email": connection.email })).await;
    set_up(scene, &connection).await.connections();
    let after = scene.row(&connection).await;
    assert_ne!(after["access_token"], before["access_token"]);
    assert_eq!(scene.asked_google(&connection, "token").await, 1);
    assert_eq!(scene.asked_google(&connection, "watch").await, 2);
}

async fn a_rotated_refresh_token_is_stored_without_a_fresh_start(scene: &Scene) {
    let connection =
        scene.connection_to(uuid::Uuid::new_v4(), json!({ "rotate_refresh_tokens": true })).await;
    scene.set(&connection, "expires_at = 'epoch', webhook_attempts = 2").await;
    let before = scene.row(&connection).await;
    scene.fault(&connection, json!({ "operation": "watch", "status": 503 })).await;
    assert_eq!(set_up(scene, &connection).await.outcome(), (502, "google_unavailable"));
    let after = scene.row(&connection).await;
    assert_ne!(after["refresh_token"], before["refresh_token"]);
    assert_ne!(after["webhook_source"], before["webhook_source"]);
    assert_eq!(after["webhook_source"].as_str().map(str::len), Some(64));
    assert_eq!(after["webhook_attempts"], 3);
    assert_between(seconds_ahead(&after["webhook_not_before"]), 115.0, 241.0, "the pause");

    // The second rotation is by the token of the first one.
    scene.set(&connection, "expires_at = 'epoch', webhook_lease_until = 'epoch'").await;
    scene.open_channel(&connection).await;
    assert_ne!(scene.row(&connection).await["refresh_token"], after["refresh_token"]);
}

async fn a_revoked_grant_asks_for_a_reconnection_which_starts_afresh(scene: &Scene) {
    let connection = scene.open().await;
    let old = scene.row(&connection).await;
    scene.google_control("revoke", json!({ "email": connection.email })).await;
    scene.set(&connection, "webhook_not_before = 'epoch'").await;
    assert_eq!(set_up(scene, &connection).await.outcome(), (409, "reconnect_required"));
    let revoked = scene.row(&connection).await;
    assert_eq!(revoked["webhook_id"], old["webhook_id"]);
    assert_eq!(scene.status(&connection).await["status"], "reconnect_required");
    assert_between(seconds_ahead(&revoked["webhook_not_before"]), 86_390.0, 90_000.0, "the pause");

    let account = scene.grant(&connection.email, json!({})).await;
    let text = |field: &str| account[field].as_str().unwrap().to_owned();
    let tokens = format!(
        "access_token = '{}', refresh_token = '{}', expires_at = now() + interval '1 hour'",
        text("access_token"),
        text("refresh_token"),
    );
    scene.set(&connection, &tokens).await;
    let reconnected = scene.row(&connection).await;
    assert_eq!((&reconnected["webhook_error"], &reconnected["webhook_attempts"]), (&Value::Null, &json!(0)));
    // Now, and not before everybody; the lease of the renewal that failed stays for some seconds.
    assert_between(seconds_ahead(&reconnected["webhook_not_before"]), -60.0, 0.0, "due");
    scene.open_channel(&connection).await;
    assert_eq!(scene.status(&connection).await["status"], "active");
}

async fn a_connection_without_a_refresh_token_asks_for_a_reconnection(scene: &Scene) {
    let connection = scene.connection().await;
    scene.set(&connection, "refresh_token = null, expires_at = 'epoch'").await;
    assert_eq!(set_up(scene, &connection).await.outcome(), (409, "reconnect_required"));
    assert_eq!(scene.asked_google(&connection, "watch").await, 0);
}

async fn a_used_channel_id_is_replaced_by_another(scene: &Scene) {
    let connection = scene.connection().await;
    // The work is done first: the id is used, by a channel that nobody will name again.
    let fault = json!({ "operation": "watch", "status": 400, "reason": "channelIdNotUnique", "after": true });
    scene.fault(&connection, fault).await;
    set_up(scene, &connection).await.connections();
    let row = scene.settled(&connection).await;
    let channels = scene.channels(&connection).await;
    assert_eq!(channels.len(), 2);
    assert_eq!(row["webhook_id"], json!(channels[1].id));
    assert_eq!(scene.asked_google(&connection, "watch").await, 2);

    scene.speak(&connection, &channels[0].id).await;
    scene.until_stopped(&connection, &channels[0].id).await;
}

async fn a_channel_that_may_exist_is_stopped_by_the_next_renewal(scene: &Scene) {
    let rows = [
        ("503", json!({ "operation": "watch", "status": 503, "after": true })),
        ("no answer in 8 seconds", json!({ "operation": "watch", "delay_ms": 9000, "after": true })),
    ];
    each(rows, |fault| async move {
        let connection = scene.connection().await;
        scene.fault(&connection, fault).await;
        assert_eq!(set_up(scene, &connection).await.outcome(), (502, "google_unavailable"));
        let row = scene.row(&connection).await;
        let doubtful = scene.channels(&connection).await.remove(0);
        assert_eq!(row["webhook_pending_id"], json!(doubtful.id));
        assert_eq!(doubtful.state, "live");

        // What it says counts, and does not end it.
        scene.speak(&connection, &doubtful.id).await;
        until("a run", || async { (scene.runs(&connection).await.len() == 1).then_some(()) }).await;
        assert_eq!(scene.live_channels(&connection).await, [doubtful.id.as_str()]);

        scene.set(&connection, "webhook_lease_until = 'epoch', webhook_not_before = 'epoch'").await;
        scene.open_channel(&connection).await;
        scene.until_stopped(&connection, &doubtful.id).await;
        let row = scene.row(&connection).await;
        assert_eq!(scene.live_channels(&connection).await, [row["webhook_id"].as_str().unwrap()]);
    })
    .await;
}

/// Waits until a renewal has claimed the row, and returns the id of the channel that it opens.
async fn claimed(scene: &Scene, connection: &Connection) -> String {
    let row = scene.row_where(connection, "a claim", |row| row["webhook_pending_id"].is_string()).await;
    row["webhook_pending_id"].as_str().unwrap().to_owned()
}

async fn a_consent_given_meanwhile_is_not_overwritten(scene: &Scene) {
    let settings = json!({ "rotate_refresh_tokens": true });
    let connection = scene.connection_to(uuid::Uuid::new_v4(), settings).await;
    scene.set(&connection, "expires_at = 'epoch'").await;
    scene.fault(&connection, json!({ "operation": "token", "delay_ms": 1500 })).await;
    let account = scene.grant(&format!("other.{}", connection.email), json!({})).await;
    let text = |field: &str| account[field].as_str().unwrap().to_owned();
    let (access, refresh) = (text("access_token"), text("refresh_token"));
    let reconnect = async {
        claimed(scene, &connection).await;
        let tokens = format!(
            "access_token = '{access}', refresh_token = '{refresh}', expires_at = now() + interval '1 hour'"
        );
        scene.set(&connection, &tokens).await;
    };
    let (_, ()) = join(set_up(scene, &connection), reconnect).await;
    let row = scene.row(&connection).await;
    assert_eq!((&row["access_token"], &row["refresh_token"]), (&json!(access), &json!(refresh)));
    assert_eq!(row["webhook_error"], Value::Null);
    // Whatever was opened with the consent of before has been stopped.
    until("no channel of the account of before", || async {
        scene.live_channels(&connection).await.is_empty().then_some(())
    })
    .await;
}

async fn a_channel_for_the_calendar_of_before_is_stopped(scene: &Scene) {
    let connection = scene.connection().await;
    let calendar = format!("team-{}@group.calendar.google.com", connection.id);
    scene.google_control("calendars", json!({ "email": connection.email, "id": calendar })).await;
    scene.fault(&connection, json!({ "operation": "watch", "delay_ms": 1500 })).await;
    let change = async {
        let pending = claimed(scene, &connection).await;
        scene.set(&connection, &format!("calendar_id = '{calendar}'")).await;
        pending
    };
    let (_, pending) = join(set_up(scene, &connection), change).await;
    scene.until_stopped(&connection, &pending).await;
    set_up(scene, &connection).await.connections();
    let row = scene.settled(&connection).await;
    let live = scene.live_channels(&connection).await;
    assert_eq!(live, [row["webhook_id"].as_str().unwrap()]);
    assert_eq!(scene.channel(&connection, &live[0]).await.calendar_id, calendar);
}

async fn a_pause_meanwhile_stops_the_new_channel(scene: &Scene) {
    let rows = [("sync_enabled = false", (409, "paused")), ("is_active = false", (409, "disconnected"))];
    each(rows.map(|row| (row.0, row)), |(change, expected)| async move {
        let connection = scene.connection().await;
        scene.fault(&connection, json!({ "operation": "watch", "delay_ms": 1500 })).await;
        let pause = async {
            let pending = claimed(scene, &connection).await;
            scene.set(&connection, change).await;
            pending
        };
        let (answer, pending) = join(set_up(scene, &connection), pause).await;
        assert_eq!(answer.outcome(), expected, "{}", answer.text);
        scene.until_stopped(&connection, &pending).await;
        let row = scene.row(&connection).await;
        assert_eq!((&row["webhook_id"], &row["webhook_pending_id"]), (&Value::Null, &Value::Null));
        assert!(scene.runs(&connection).await.is_empty());
    })
    .await;
}

async fn a_row_deleted_meanwhile_stops_both_channels(scene: &Scene) {
    let connection = scene.open().await;
    let previous = scene.row(&connection).await["webhook_id"].as_str().unwrap().to_owned();
    scene.set(&connection, "webhook_not_before = 'epoch'").await;
    scene.fault(&connection, json!({ "operation": "watch", "delay_ms": 1500 })).await;
    let delete = async {
        let pending = claimed(scene, &connection).await;
        scene.sql("delete from calendar_connections where id = $1", &[&connection.id]).await.unwrap();
        pending
    };
    let (answer, pending) = join(set_up(scene, &connection), delete).await;
    assert_eq!(answer.outcome(), (404, "no_connection"), "{}", answer.text);
    scene.until_stopped(&connection, &pending).await;
    scene.until_stopped(&connection, &previous).await;
}

/// The claim of a renewal of this connection.
fn claims(connection: &Connection) -> impl Fn(&Asked) -> bool + Send + Sync + use<> {
    let id = connection.id.to_string();
    move |asked| {
        asked.method == "PATCH"
            && asked.uri.contains(&id)
            && asked.uri.contains("webhook_lease_until=lt.")
            && asked.json()["webhook_pending_id"].is_string()
    }
}

/// The commit of a renewal of this connection.
fn commits(connection: &Connection) -> impl Fn(&Asked) -> bool + Send + Sync + use<> {
    let id = connection.id.to_string();
    move |asked| {
        asked.method == "PATCH"
            && asked.uri.contains(&id)
            && asked.json()["webhook_id"].is_string()
            && asked.json()["webhook_resource_id"].is_string()
    }
}

async fn a_claim_whose_answer_is_lost_asks_google_nothing(scene: &Scene) {
    let connection = scene.open().await;
    scene.set(&connection, "webhook_opened_at = now() - interval '1 minute'").await;
    scene.backdrop.tap.spoil(1, Spoil::LoseAnswer, claims(&connection));
    let answer = scene.call(REFRESH, Caller::Service, connection.target()).await;
    assert!([429, 503].contains(&answer.status), "{}", answer.text);
    assert_eq!(scene.asked_google(&connection, "watch").await, 1);
    let row = scene.row(&connection).await;
    assert!(row["webhook_pending_id"].is_string(), "{row}");
    assert_between(seconds_ahead(&row["webhook_lease_until"]), 60.0, 91.0, "the lease");
    assert!(seconds_ahead(&row["webhook_not_before"]) > 60.0, "{row}");
    assert_eq!(row["webhook_attempts"], 1);

    scene.set(&connection, "webhook_lease_until = 'epoch'").await;
    scene.open_channel(&connection).await;
    assert_eq!(scene.live_channels(&connection).await.len(), 1);
}

async fn a_commit_whose_answer_is_lost_is_looked_up(scene: &Scene) {
    let connection = scene.open().await;
    let old = scene.row(&connection).await["webhook_id"].as_str().unwrap().to_owned();
    scene.set(&connection, "webhook_not_before = 'epoch'").await;
    scene.backdrop.tap.spoil(1, Spoil::LoseAnswer, commits(&connection));
    let answer = set_up(scene, &connection).await;
    let new = answer.connections()[0]["webhook_id"].as_str().unwrap().to_owned();
    assert_ne!(new, old);
    scene.until_stopped(&connection, &old).await;
    assert_eq!(scene.live_channels(&connection).await, [new]);
    scene.settled(&connection).await;
}

async fn a_commit_that_is_never_answered_stops_nothing_that_is_stored(scene: &Scene) {
    let rows = [
        ("it landed", (Spoil::LoseAnswer, 200)),
        ("it did not land", (Spoil::Cut, 503)),
        ("500", (Spoil::Answer(500, "{}"), 503)),
    ];
    each(rows, |(spoil, status)| async move {
        let connection = scene.connection().await;
        scene.backdrop.tap.spoil(None, spoil, commits(&connection));
        let answer = set_up(scene, &connection).await;
        let row = scene.row(&connection).await;
        for live in scene.live_channels(&connection).await {
            assert!(
                [&row["webhook_id"], &row["webhook_pending_id"]].contains(&&json!(live)),
                "{live}: {row}"
            );
        }
        if let Some(stored) = row["webhook_id"].as_str() {
            assert_eq!(scene.channel(&connection, stored).await.state, "live");
        }
        // An error never means a channel a second.
        let watches = scene.asked_google(&connection, "watch").await;
        assert_eq!((answer.status, watches), (status, 1), "{}", answer.text);
    })
    .await;
}

async fn what_google_says_is_not_repeated(scene: &Scene) {
    for operation in ["watch", "token"] {
        let connection = scene.connection().await;
        scene.set(&connection, "expires_at = 'epoch'").await;
        let row = scene.row(&connection).await;
        let said = format!("{} {} {}", row["access_token"], row["refresh_token"], row["webhook_token"]);
        let reasons = json!([{ "domain": "global", "reason": said, "message": said }]);
        let body = match operation {
            "watch" => json!({ "error": { "code": 400, "message": said, "errors": reasons } }),
            _ => json!({ "error": said, "error_description": said }),
        };
        scene.fault(&connection, json!({ "operation": operation, "status": 400, "body": body })).await;
        let answer = set_up(scene, &connection).await;
        assert_eq!(answer.outcome(), (502, "google_rejected"), "{}", answer.text);
        assert!(!answer.text.contains(&connection.token), "{}", answer.text);
        assert_eq!(scene.row(&connection).await["webhook_error"], "google_rejected");
    }
}

async fn a_channel_is_disowned_before_it_is_stopped(scene: &Scene) {
    let connection = scene.connection().await;
    scene.fault(&connection, json!({ "operation": "watch", "delay_ms": 1000 })).await;
    let id = connection.id.to_string();
    let disowns = move |asked: &Asked| {
        asked.method == "PATCH"
            && asked.uri.contains(&id)
            && asked.json().get("webhook_pending_id") == Some(&Value::Null)
            && asked.json().get("webhook_id").is_none()
    };
    let held = scene.backdrop.tap.hold(disowns);
    let pause = async {
        let pending = claimed(scene, &connection).await;
        scene.set(&connection, "sync_enabled = false").await;
        held.reached().await;
        assert_eq!(scene.live_channels(&connection).await, [pending.as_str()]);
        held.release();
        scene.until_stopped(&connection, &pending).await;
    };
    let (answer, ()) = join(set_up(scene, &connection), pause).await;
    assert_eq!(answer.outcome(), (409, "paused"));
}

async fn the_new_channel_is_open_before_the_old_one_is_stopped(scene: &Scene) {
    let connection = scene.open().await;
    let row = scene.row(&connection).await;
    let old = row["webhook_id"].as_str().unwrap().to_owned();
    scene.set(&connection, "webhook_not_before = 'epoch'").await;
    let held = scene.backdrop.tap.hold(commits(&connection));
    let look = async {
        held.reached().await;
        assert_eq!(scene.live_channels(&connection).await.len(), 2);
        // A change during the overlap is heard by both; neither is stopped for it.
        let both = scene.row(&connection).await;
        let pending = both["webhook_pending_id"].as_str().unwrap().to_owned();
        for channel in [&old, &pending] {
            let change = Notification::of(&connection, &row, 7).channel(channel);
            assert_eq!(scene.notify(&change).await.status, 200);
        }
        until("the runs over", || async {
            let row = scene.row(&connection).await;
            (row["sync_request_id"].is_null() && is_epoch(&row["sync_lease_until"])).then_some(())
        })
        .await;
        assert_eq!(scene.live_channels(&connection).await.len(), 2);
        held.release();
    };
    let (answer, ()) = join(set_up(scene, &connection), look).await;
    let new = answer.connections()[0]["webhook_id"].as_str().unwrap().to_owned();
    scene.until_stopped(&connection, &old).await;
    assert_eq!(scene.live_channels(&connection).await, [new]);
    let row = scene.settled(&connection).await;
    assert!(time(&row["last_sync_at"]) > Utc::now() - TimeDelta::seconds(20));
}
