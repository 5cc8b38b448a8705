//! `refresh-calendar-webhook` as cron calls it.

use futures_util::future::join_all;
use protocol::schedule::RUNS_PER_INVOCATION;
use serde_json::{Value, json};
use system_tests::{Answer, Caller, Connection, REFRESH, is_epoch, until};
use uuid::Uuid;

use crate::case::cases;
use crate::moment::{ago, assert_between, seconds_ahead, uuid_born};
use crate::scene::Scene;
use crate::tap::Spoil;

const RUNS: usize = RUNS_PER_INVOCATION as usize;

cases! {
    shared: [],
    alone: [
        a_sweep_with_nothing_to_do_says_so,
        a_sweep_that_a_copy_of_the_database_asks_for_is_refused,
        a_sweep_renews_what_is_due_and_nothing_else,
        a_sweep_retires_paused_and_disconnected_connections,
        a_sweep_runs_what_is_owed,
        a_sweep_makes_so_many_runs_and_tells_what_remains,
        runs_after_renewals_count_too,
        a_sweep_tells_what_has_failed,
        a_bad_row_does_not_block_the_others,
        sweeps_at_once_do_no_work_twice,
        rows_of_another_provider_are_never_touched,
        a_resumed_connection_gets_a_channel_and_its_run,
        a_run_that_hangs_does_not_keep_channels_from_being_renewed,
        a_sweep_goes_on_renewing_with_an_abandoned_channel_to_stop,
    ],
}

pub(crate) async fn sweep(scene: &Scene) -> Answer {
    let answer = scene.call(REFRESH, Caller::Service, "{}").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

fn summary(renewed: u64, stopped: u64, synced: u64, reconciled: u64) -> Value {
    json!({
        "renewed": renewed, "stopped": stopped, "synced": synced, "settled": 0, "looked": 0,
        "reconciled": reconciled, "missed": 0, "failed": [], "remaining": 0,
    })
}

/// Rows with a channel that nobody has to renew and a calendar that nobody has to look at, neither of which Google
/// knows.
async fn well(scene: &Scene, count: usize, and: &str) -> Vec<Connection> {
    let mut connections = Vec::new();
    for _ in 0..count {
        let user = Uuid::new_v4();
        scene.makes_rows_of(user);
        let rows = scene
            .sql(
                "insert into calendar_connections (user_id, provider, access_token, refresh_token, expires_at,
                     webhook_id, webhook_resource_id, webhook_expiration, webhook_opened_at, webhook_not_before,
                     last_sync_at, sync_look_at)
                   values ($1, 'google', 'ya29.well', '1//well', now() + interval '1 hour',
                     gen_random_uuid(), 'resource', now() + interval '20 days', now() - interval '1 hour',
                     now() + interval '18 days', now() - interval '1 hour', now() + interval '6 hours')
                   returning id, webhook_token, webhook_token_hash",
                &[&user],
            )
            .await
            .unwrap();
        let connection = Connection {
            id: rows[0].get(0),
            user,
            email: String::new(),
            token: rows[0].get(1),
            token_hash: rows[0].get(2),
            calendar_token: String::new(),
        };
        if !and.is_empty() {
            scene.set(&connection, and).await;
        }
        connections.push(connection);
    }
    connections
}

/// A connection without a channel whose calendar need not be looked at.
async fn new(scene: &Scene) -> Connection {
    let connection = scene.connection().await;
    scene.set(&connection, "last_sync_at = now(), sync_look_at = now() + interval '6 hours'").await;
    connection
}

fn owed() -> String {
    format!("sync_request_id = '{}'", uuid_born(ago(1)))
}

async fn a_sweep_with_nothing_to_do_says_so(scene: &mut Scene) {
    assert_eq!(sweep(scene).await.body, summary(0, 0, 0, 0));
    let connections = well(scene, 3, "").await;
    let before = scene.row(&connections[0]).await;
    assert_eq!(sweep(scene).await.body, summary(0, 0, 0, 0));
    assert_eq!(scene.call(REFRESH, Caller::Service, "").await.body, summary(0, 0, 0, 0));
    assert_eq!(scene.row(&connections[0]).await, before);
}

async fn a_sweep_renews_what_is_due_and_nothing_else(scene: &mut Scene) {
    let scene = &*scene;
    let due = [
        ("new", None),
        (
            "expiring",
            Some(
                "webhook_expiration = now() + interval '1 day', webhook_not_before = now() - interval '1 s'",
            ),
        ),
        ("expired", Some("webhook_expiration = 'epoch', webhook_not_before = 'epoch'")),
        ("foreign", Some("webhook_opened_at = 'epoch', webhook_not_before = 'epoch'")),
        (
            "retry",
            Some("webhook_error = 'reconnect_required', webhook_attempts = 3, webhook_not_before = 'epoch'"),
        ),
    ];
    let mut renewed = Vec::new();
    for (name, change) in due {
        let connection = new(scene).await;
        if let Some(change) = change {
            scene.open_channel(&connection).await;
            scene.change_silently(&connection).await;
            scene.set(&connection, change).await;
        }
        renewed.push((name, connection));
    }
    let mut kept = Vec::new();
    for change in [
        "webhook_error = null",
        "webhook_error = 'google_unavailable', webhook_attempts = 2",
        "webhook_not_before = 'epoch', webhook_lease_until = now() + interval '1 minute'",
        "webhook_id = null, webhook_error = 'calendar_not_found'",
    ] {
        let connection = scene.open().await;
        scene.set(&connection, change).await;
        kept.push((scene.row(&connection).await, connection));
    }

    assert_eq!(sweep(scene).await.body, summary(5, 0, 5, 0));
    for (name, connection) in &renewed {
        let row = scene.settled(connection).await;
        let id = row["webhook_id"].as_str().unwrap();
        until(&format!("one live channel: {name}"), || async {
            (scene.live_channels(connection).await == [id]).then_some(())
        })
        .await;
        assert_between(seconds_ahead(&row["webhook_not_before"]), 25.1 * 86400.0, 28.1 * 86400.0, name);
        assert_eq!((&row["webhook_error"], &row["webhook_attempts"]), (&Value::Null, &json!(0)), "{name}");
    }
    for (before, connection) in kept {
        assert_eq!(scene.row(&connection).await, before);
    }
    assert_eq!(sweep(scene).await.body, summary(0, 0, 0, 0));
}

async fn a_sweep_retires_paused_and_disconnected_connections(scene: &mut Scene) {
    let scene = &*scene;
    let mut retired = Vec::new();
    for change in [
        "sync_enabled = false",
        "is_active = false",
        "is_active = null",
        "is_active = false, sync_enabled = false",
    ] {
        let connection = scene.open().await;
        let channel = scene.row(&connection).await["webhook_id"].as_str().unwrap().to_owned();
        scene.set(&connection, change).await;
        retired.push((connection, channel));
    }
    let pending = scene.connection().await;
    scene.set(&pending, "sync_enabled = false, webhook_pending_id = 'may-exist'").await;
    let without = scene.connection().await;
    scene.set(&without, "sync_enabled = false").await;
    let untouched = scene.row(&without).await;

    assert_eq!(sweep(scene).await.body, summary(0, 5, 0, 0));
    for (connection, channel) in &retired {
        scene.until_stopped(connection, channel).await;
        let row = scene.row(connection).await;
        for column in ["webhook_id", "webhook_expiration", "webhook_resource_id", "webhook_pending_id"] {
            assert_eq!(row[column], Value::Null, "{column}");
        }
        assert!(is_epoch(&row["webhook_not_before"]) && is_epoch(&row["webhook_opened_at"]), "{row}");
        assert_eq!(scene.runs(connection).await.len(), 1);
    }
    assert_eq!(scene.row(&pending).await["webhook_pending_id"], Value::Null);
    assert_eq!(scene.row(&without).await, untouched);
    assert_eq!(sweep(scene).await.body, summary(0, 0, 0, 0));
}

async fn a_sweep_runs_what_is_owed(scene: &mut Scene) {
    let scene = &*scene;
    let runs = [
        well(scene, 1, &owed()).await,
        well(scene, 1, &format!("{}, sync_attempts = 4, sync_error = 'recalculate_500'", owed())).await,
        well(scene, 1, &format!("sync_request_id = '{}'", Uuid::new_v4())).await,
        // Somebody whose isolate was killed.
        well(scene, 1, &format!("{}, sync_attempts = 1, sync_lease_until = now() - interval '1 s'", owed()))
            .await,
        // The calendar cannot be watched, and yet the user can be recalculated.
        well(scene, 1, &format!("{}, webhook_error = 'push_not_supported'", owed())).await,
    ]
    .concat();
    let mut kept = Vec::new();
    for change in [
        "sync_not_before = now() + interval '1 minute'",
        "sync_lease_until = now() + interval '1 minute'",
        "sync_enabled = false, webhook_id = null",
        "is_active = false, webhook_id = null",
        "is_active = null, webhook_id = null",
    ] {
        kept.push(well(scene, 1, &format!("{}, {change}", owed())).await.remove(0));
    }
    assert_eq!(sweep(scene).await.body, summary(0, 0, 5, 0));
    for connection in &runs {
        let row = scene.row(connection).await;
        assert_eq!((&row["sync_request_id"], &row["sync_error"]), (&Value::Null, &Value::Null));
        assert_eq!(scene.runs(connection).await.len(), 1);
    }
    for connection in &kept {
        assert!(scene.row(connection).await["sync_request_id"].is_string());
        assert!(scene.runs(connection).await.is_empty());
    }
}

async fn a_sweep_makes_so_many_runs_and_tells_what_remains(scene: &mut Scene) {
    let scene = &*scene;
    let connections = well(scene, RUNS + 7, &owed()).await;
    // Those with the earliest date come first.
    for connection in &connections[RUNS..] {
        scene.set(connection, "sync_not_before = now() - interval '1 minute'").await;
    }
    let first = sweep(scene).await.body;
    assert_eq!((&first["synced"], &first["remaining"]), (&json!(RUNS), &json!(7)), "{first}");
    let mut ran = 0;
    for connection in &connections {
        ran += scene.runs(connection).await.len();
    }
    assert_eq!(ran, RUNS);
    let second = sweep(scene).await.body;
    assert_eq!((&second["synced"], &second["remaining"]), (&json!(7), &json!(0)), "{second}");
    for connection in &connections {
        assert_eq!(scene.runs(connection).await.len(), 1);
    }
}

async fn runs_after_renewals_count_too(scene: &mut Scene) {
    let scene = &*scene;
    let mut connections = well(scene, RUNS - 3, &owed()).await;
    for _ in 0..6 {
        connections.push(new(scene).await);
    }
    let first = sweep(scene).await.body;
    assert_eq!((&first["renewed"], &first["synced"]), (&json!(6), &json!(RUNS)), "{first}");
    assert_eq!(first["remaining"], 3, "{first}");
    let second = sweep(scene).await.body;
    assert_eq!(second["remaining"], 0, "{second}");
    for connection in &connections {
        assert_eq!(scene.runs(connection).await.len(), 1);
    }
}

async fn a_sweep_tells_what_has_failed(scene: &mut Scene) {
    let scene = &*scene;
    let (watch, token) = (new(scene).await, new(scene).await);
    scene.fault(&watch, json!({ "operation": "watch", "status": 503 })).await;
    scene.set(&token, "expires_at = 'epoch', refresh_token = '1//revoked'").await;
    let good = new(scene).await;
    let run = well(scene, 1, &owed()).await.remove(0);
    scene.behave(&run, json!({ "status": 500 })).await;
    let answer = sweep(scene).await.body;
    assert_eq!((&answer["renewed"], &answer["synced"]), (&json!(1), &json!(1)), "{answer}");
    let mut failed = answer["failed"].as_array().unwrap().clone();
    let mut expected = [
        json!({ "connection_id": watch.id, "code": "google_unavailable" }),
        json!({ "connection_id": token.id, "code": "reconnect_required" }),
        json!({ "connection_id": run.id, "code": "recalculate_500" }),
    ];
    failed.sort_by_key(Value::to_string);
    expected.sort_by_key(Value::to_string);
    assert_eq!(failed, expected);
    assert_eq!(scene.row(&run).await["sync_error"], "recalculate_500");
    assert_eq!(scene.runs(&good).await.len(), 1);
    assert_eq!(scene.runs(&run).await.len(), 1);

    // Nothing of it is tried again before its time.
    let again = sweep(scene).await.body;
    assert_eq!(again, summary(0, 0, 0, 0));
}

async fn a_bad_row_does_not_block_the_others(scene: &mut Scene) {
    let scene = &*scene;
    scene.sql("alter table calendar_connections alter column user_id drop not null", &[]).await.unwrap();
    let mut bad = Vec::new();
    for change in [
        "expires_at = 'infinity'",
        "expires_at = '-infinity'",
        "webhook_expiration = 'infinity', webhook_id = 'x'",
        "webhook_expiration = '-infinity', webhook_id = 'x'",
        "last_sync_at = 'infinity'",
        "last_sync_at = '-infinity'",
        "expires_at = '200000-01-01'",
        "expires_at = '0044-03-15 BC'",
        "webhook_opened_at = 'infinity'",
        "webhook_not_before = '-infinity'",
        "sync_not_before = '-infinity'",
        "sync_lease_until = '-infinity'",
        "webhook_lease_until = '-infinity'",
        "access_token = E'a\\nb'",
        "access_token = E'a\\nb', expires_at = now() + interval '1 hour'",
        "refresh_token = E'a\\r\\nb: c', expires_at = 'epoch'",
        "access_token = 'é☃'",
        "access_token = null",
        "access_token = ''",
        "refresh_token = null",
        "webhook_token = E'a\\nb'",
        "webhook_token = ''",
        "webhook_id = E'a\\nb', webhook_resource_id = ''",
        "webhook_pending_id = 'a,b(c)\"d'",
        "calendar_id = ''",
        "calendar_id = '../../x'",
        "webhook_attempts = -5",
        "webhook_attempts = 2147483647",
        "sync_attempts = 2147483647",
        "sync_streak = 2147483647",
        "webhook_message_number = -1",
    ] {
        let connection = scene.connection().await;
        scene.set(&connection, &format!("{change}, {}, created_at = 'epoch'", owed())).await;
        bad.push(connection);
    }
    let nobodys = scene.connection().await;
    scene.set(&nobodys, &format!("user_id = null, {}", owed())).await;
    let good = [scene.connection().await, scene.connection().await];
    // Later than all the bad ones.
    for connection in &good {
        scene.set(connection, "webhook_not_before = now() - interval '1 s'").await;
    }
    let owed_run =
        well(scene, 1, &format!("{}, sync_not_before = now() - interval '1 s'", owed())).await.remove(0);

    // The bad ones may use up the runs of a sweep, never those of the next ones.
    for _ in 0..4 {
        sweep(scene).await;
    }
    for connection in &good {
        let row = scene.row(connection).await;
        assert!(row["webhook_id"].is_string() && row["webhook_error"].is_null(), "{row}");
        assert!(!scene.runs(connection).await.is_empty());
    }
    assert_eq!(scene.runs(&owed_run).await.len(), 1);
    for connection in &bad {
        assert!(scene.runs(connection).await.iter().all(|run| !run.overlapped));
        let answer = scene.call(REFRESH, Caller::Service, connection.target()).await;
        assert_ne!(answer.outcome(), (500, "internal"), "the button");
    }

    scene.sql("delete from calendar_connections where user_id is null", &[]).await.unwrap();
    scene.sql("alter table calendar_connections alter column user_id set not null", &[]).await.unwrap();
}

async fn sweeps_at_once_do_no_work_twice(scene: &mut Scene) {
    let scene = &*scene;
    let mut due = Vec::new();
    let mut paused = Vec::new();
    for _ in 0..6 {
        due.push(new(scene).await);
    }
    for _ in 0..3 {
        let connection = scene.open().await;
        scene.set(&connection, "sync_enabled = false").await;
        paused.push(connection);
    }
    let runs = well(scene, 6, &owed()).await;
    let answers = join_all((0..8).map(|_| sweep(scene))).await;
    let total =
        |field: &str| -> u64 { answers.iter().map(|answer| answer.body[field].as_u64().unwrap()).sum() };
    assert_eq!((total("renewed"), total("stopped")), (6, 3));
    assert!(answers.iter().all(|answer| answer.body["failed"] == json!([])), "{answers:?}");
    for connection in &due {
        assert_eq!(scene.asked_google(connection, "watch").await, 1);
        assert_eq!(scene.live_channels(connection).await.len(), 1);
    }
    for connection in due.iter().chain(&runs) {
        assert_eq!(scene.runs(connection).await.len(), 1);
        assert!(scene.row(connection).await["sync_request_id"].is_null());
    }
}

async fn rows_of_another_provider_are_never_touched(scene: &mut Scene) {
    let scene = &*scene;
    let mut before = Vec::new();
    for change in [
        owed(),
        "sync_look_at = 'epoch'".to_owned(),
        "webhook_not_before = 'epoch', webhook_id = null".to_owned(),
        "sync_enabled = false".to_owned(),
        "is_active = false, webhook_pending_id = 'x'".to_owned(),
    ] {
        let connection = scene.open().await;
        scene.set(&connection, &format!("{change}, provider = 'outlook'")).await;
        before.push((scene.row(&connection).await, connection));
    }
    assert_eq!(sweep(scene).await.body, summary(0, 0, 0, 0));
    for (row, connection) in &before {
        for function in [system_tests::SETUP, REFRESH] {
            let answer = scene.call(function, Caller::Service, connection.target()).await;
            assert_eq!(answer.outcome(), (404, "no_connection"));
        }
        if row["webhook_id"].is_string() {
            let change = crate::notification::Notification::of(connection, row, 9);
            assert_eq!(scene.notify(&change).await.outcome(), (404, "unknown_channel"));
            let orphan = change.channel("orphan");
            assert_eq!(scene.notify(&orphan).await.outcome(), (404, "unknown_channel"));
        }
        assert_eq!(&scene.row(connection).await, row);
        assert_eq!(scene.runs(connection).await.len(), 1);
    }
}

async fn a_resumed_connection_gets_a_channel_and_its_run(scene: &mut Scene) {
    let scene = &*scene;
    for (pause, resume) in
        [("sync_enabled = false", "sync_enabled = true"), ("is_active = false", "is_active = true")]
    {
        let connection = scene.open().await;
        let row = scene.row(&connection).await;
        let old = row["webhook_id"].as_str().unwrap();
        scene.set(&connection, pause).await;
        scene.change(&connection).await;
        scene.until_stopped(&connection, old).await;
        let runs = scene.runs(&connection).await.len();
        assert_eq!(sweep(scene).await.body, summary(0, 0, 0, 0));
        assert_eq!(scene.runs(&connection).await.len(), runs);

        scene.set(&connection, resume).await;
        assert_eq!(scene.status(&connection).await["status"], "not_set_up");
        let answer = sweep(scene).await.body;
        assert_eq!((&answer["renewed"], &answer["remaining"]), (&json!(1), &json!(0)), "{answer}");
        let row = scene.settled(&connection).await;
        assert_eq!(scene.live_channels(&connection).await, [row["webhook_id"].as_str().unwrap()]);
        assert!(scene.runs(&connection).await.len() > runs);
        scene.clear().await.unwrap();
    }
}

async fn a_run_that_hangs_does_not_keep_channels_from_being_renewed(scene: &mut Scene) {
    let scene = &*scene;
    let hanging = well(scene, 3, &owed()).await;
    for connection in &hanging {
        scene.behave(connection, json!({ "delay_ms": 5000, "times": 1 })).await;
    }
    let due = new(scene).await;
    let look = async {
        until("a channel", || async { scene.row(&due).await["webhook_id"].is_string().then_some(()) }).await;
        scene.runs(&hanging[0]).await.iter().all(|run| run.finished_at.is_none())
    };
    let (answer, renewed_meanwhile) = futures_util::future::join(sweep(scene), look).await;
    assert!(renewed_meanwhile);
    assert_eq!(answer.body, summary(1, 0, 4, 0));
}

async fn a_sweep_goes_on_renewing_with_an_abandoned_channel_to_stop(scene: &mut Scene) {
    let scene = &*scene;
    let connection = new(scene).await;
    let fault = json!({ "operation": "watch", "status": 503, "after": true, "times": 2 });
    scene.fault(&connection, fault).await;
    for _ in 0..2 {
        let failed = sweep(scene).await.body;
        assert_eq!(failed["failed"][0]["code"], "google_unavailable", "{failed}");
        scene.set(&connection, "webhook_lease_until = 'epoch', webhook_not_before = 'epoch'").await;
    }
    assert_eq!(sweep(scene).await.body, summary(1, 0, 1, 0));
    let row = scene.settled(&connection).await;
    let current = row["webhook_id"].as_str().unwrap();
    for channel in scene.channels(&connection).await {
        // The first one was replaced without a resource id to stop it by: it is stopped when it speaks.
        if channel.state == "live" && channel.id != current {
            scene.speak(&connection, &channel.id).await;
            scene.until_stopped(&connection, &channel.id).await;
        }
    }
    assert_eq!(scene.live_channels(&connection).await, [current]);
}

async fn a_sweep_that_a_copy_of_the_database_asks_for_is_refused(scene: &mut Scene) {
    let asked_at = "2026-11-29T12:00:00.123456Z";
    // One of the keys is the stack's.
    let legacy = format!("Bearer {}", scene.keys.legacy_service_role);
    let keys = [("apikey", scene.keys.secret.clone()), ("authorization", legacy)];
    let headers = [keys.as_slice(), &[("x-requested-at", asked_at.to_owned())]].concat();
    let answer = scene.call(REFRESH, Caller::With(&headers), "{}").await;
    assert_eq!(answer.outcome(), (409, "another_project"), "{}", answer.text);
    let own = format!("insert into calendar_webhook_requests (id, requested_at) values (1, '{asked_at}')");
    scene.sql(&own, &[]).await.unwrap();
    assert_eq!(scene.call(REFRESH, Caller::With(&headers), "{}").await.status, 200);
    // One that cannot tell is believed.
    scene.sql("delete from calendar_webhook_requests", &[]).await.unwrap();
    scene
        .backdrop
        .tap
        .spoil(1, Spoil::Answer(503, "{}"), |asked| asked.uri.contains("calendar_webhook_requests"));
    assert_eq!(scene.call(REFRESH, Caller::With(&headers), "{}").await.status, 200);
}
