//! Calls of `recalculate-schedule`: one at a time, retried until one succeeds, and braked in an echo loop.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use futures_util::future::join_all;
use serde_json::{Value, json};
use system_tests::{Connection, is_epoch, time, within};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::case::cases;
use crate::moment::{ago, assert_between, born, seconds_ahead, uuid_born};
use crate::notification::Notification;
use crate::scene::Scene;
use crate::table::each;
use crate::tap::{Asked, Spoil};

cases! {
    shared: [
        a_run_that_does_not_end_keeps_its_lease,
        an_echo_loop_is_braked_and_loses_nothing,
        a_burst_costs_a_leading_and_a_trailing_run,
        a_run_is_booked_before_it_starts,
        a_run_that_fails_is_repeated_until_one_succeeds,
        the_pause_between_failing_runs_grows_up_to_an_hour,
        a_run_that_may_still_be_working_keeps_its_lease,
        a_run_whose_connection_breaks_is_not_called_again,
        a_claim_or_an_end_that_is_never_answered_keeps_the_lease,
        a_request_during_a_run_is_followed_by_another_run,
        a_run_that_has_lost_its_lease_asks_for_another_one,
        the_brake_counts_successes_by_when_their_request_arose,
        nobody_runs_before_the_row_allows_it,
        a_pause_during_a_run_does_not_spoil_its_end,
    ],
    alone: [],
}

async fn change(scene: &Scene, connection: &Connection, number: u64) {
    let row = scene.row(connection).await;
    let answer = scene.notify(&Notification::of(connection, &row, number)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

async fn a_burst_costs_a_leading_and_a_trailing_run(scene: &Scene) {
    let connection = scene.open().await;
    let row = scene.row(&connection).await;
    scene.behave(&connection, json!({ "delay_ms": 2500 })).await;
    change(scene, &connection, 2).await;
    scene.until_started(&connection, 2).await;
    let changes = (3..23).map(|number| Notification::of(&connection, &row, number));
    let answers = join_all(changes.map(|change| async move { scene.notify(&change).await })).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let last_change = Utc::now();
    scene.settled(&connection).await;
    let runs = scene.runs(&connection).await;
    // The first one is that of setup.
    assert_eq!(runs.len(), 3, "{runs:?}");
    assert!(runs.iter().all(|run| !run.overlapped && run.finished_at.is_some()), "{runs:?}");
    assert!(runs[2].started_at > last_change, "{runs:?}");
    assert_eq!(scene.row(&connection).await["webhook_message_number"], 22);
}

async fn a_run_is_booked_before_it_starts(scene: &Scene) {
    let connection = scene.open().await;
    scene.behave(&connection, json!({ "delay_ms": 1500, "times": 1 })).await;
    change(scene, &connection, 2).await;
    scene.until_started(&connection, 2).await;
    let during = scene.row(&connection).await;
    assert_eq!(during["sync_attempts"], 1);
    assert_between(seconds_ahead(&during["sync_lease_until"]), 170.0, 181.0, "the lease");
    assert!(time(&during["sync_not_before"]) >= time(&during["sync_lease_until"]), "{during}");
    let request: Uuid = during["sync_request_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(scene.runs(&connection).await[1].request_id, request);
    assert_eq!(scene.status(&connection).await["sync_status"], "pending");
    let after = scene.settled(&connection).await;
    assert_eq!((&after["sync_attempts"], &after["sync_error"]), (&json!(0), &Value::Null));
    assert!(time(&after["sync_not_before"]) <= Utc::now(), "{after}");
    assert!(time(&after["last_sync_at"]) > time(&during["last_sync_at"]));
    assert_eq!(scene.status(&connection).await["sync_status"], "idle");
}

async fn a_run_that_fails_is_repeated_until_one_succeeds(scene: &Scene) {
    each([500, 400, 401, 404, 409, 503].map(|status| (status, status)), |status| async move {
        let connection = scene.open().await;
        scene.behave(&connection, json!({ "status": status, "times": 1 })).await;
        change(scene, &connection, 2).await;
        let failed = scene.row_where(&connection, "an error", |row| row["sync_error"].is_string()).await;
        assert_eq!(failed["sync_error"], json!(format!("recalculate_{status}")));
        assert!(failed["sync_request_id"].is_string(), "{failed}");
        assert_eq!(scene.status(&connection).await["sync_status"], "failing");
        assert_eq!(scene.status(&connection).await["sync_error"], failed["sync_error"]);

        // The function may wait for the retry itself; if not, the next notification finds it due.
        scene.set(&connection, "sync_not_before = 'epoch'").await;
        change(scene, &connection, 3).await;
        let after = scene.settled(&connection).await;
        assert_eq!((&after["sync_attempts"], &after["sync_error"]), (&json!(0), &Value::Null));
        let runs = scene.runs(&connection).await;
        assert!(runs.len() >= 3 && runs.iter().all(|run| !run.overlapped), "{runs:?}");
    })
    .await;
}

async fn the_pause_between_failing_runs_grows_up_to_an_hour(scene: &Scene) {
    // Attempts before, and the least pause after one more.
    let rows = [(3, 16.0), (5, 64.0), (9, 1024.0), (20, 3600.0), (2_000_000_000, 3600.0)];
    each(rows.map(|row| (row.0, row)), |(attempts, pause)| async move {
        let connection = scene.open().await;
        scene.set(&connection, &format!("sync_attempts = {attempts}")).await;
        scene.behave(&connection, json!({ "status": 500 })).await;
        change(scene, &connection, 2).await;
        let failed = scene.row_where(&connection, "an error", |row| row["sync_error"].is_string()).await;
        assert!(is_epoch(&failed["sync_lease_until"]), "{failed}");
        assert_eq!(failed["sync_attempts"], json!(attempts + 1));
        let most = f64::min(pause * 2.0, 3600.0) + 1.0;
        assert_between(seconds_ahead(&failed["sync_not_before"]), pause * 0.75, most, "the pause");
    })
    .await;
}

async fn a_run_that_may_still_be_working_keeps_its_lease(scene: &Scene) {
    // The gateway's, the runtime's, and those of a proxy that has lost its patience.
    let rows = [502, 504, 546, 520, 524].map(|status| (status, json!({ "status": status, "times": 1 })));
    each(rows, |behaviour| async move {
        let connection = scene.open().await;
        scene.behave(&connection, behaviour).await;
        change(scene, &connection, 2).await;
        let failed = scene.row_where(&connection, "an error", |row| row["sync_error"].is_string()).await;
        still_leased(scene, &connection, &failed).await;
        let runs = scene.runs(&connection).await.len();
        change(scene, &connection, 3).await;
        let told = scene.row(&connection).await;
        assert_eq!(told["sync_lease_until"], failed["sync_lease_until"]);
        assert_ne!(told["sync_request_id"], failed["sync_request_id"]);
        assert_eq!(scene.runs(&connection).await.len(), runs);

        scene.set(&connection, "sync_lease_until = 'epoch', sync_not_before = 'epoch'").await;
        change(scene, &connection, 4).await;
        let after = scene.settled(&connection).await;
        assert_eq!((&after["sync_attempts"], &after["sync_error"]), (&json!(0), &Value::Null));
        assert_eq!(scene.runs(&connection).await.len(), runs + 1);
    })
    .await;
}

async fn still_leased(scene: &Scene, connection: &Connection, failed: &Value) {
    assert!(failed["sync_request_id"].is_string(), "{failed}");
    assert!(seconds_ahead(&failed["sync_lease_until"]) > 100.0, "{failed}");
    assert!(time(&failed["sync_not_before"]) >= time(&failed["sync_lease_until"]), "{failed}");
    assert_eq!(scene.status(connection).await["sync_status"], "failing");
}

async fn a_run_whose_connection_breaks_is_not_called_again(scene: &Scene) {
    let connection = scene.open().await;
    scene.behave(&connection, json!({ "delay_ms": 2000 })).await;
    let user = connection.user.to_string();
    let calls = move |asked: &Asked| {
        asked.uri == "/functions/v1/recalculate-schedule" && asked.json()["user_id"] == user.as_str()
    };
    scene.backdrop.tap.spoil(1, Spoil::HangUp(Duration::from_millis(300)), calls.clone());
    let before = scene.backdrop.tap.asked(&calls).len();
    change(scene, &connection, 2).await;
    let ended = scene.row_where(&connection, "an error or an end", |row| {
        row["sync_error"].is_string() || row["sync_request_id"].is_null()
    });
    let ended = ended.await;
    // It is still working: a second call would be a second run at once.
    let runs = scene.runs(&connection).await;
    assert!(runs.iter().all(|run| !run.overlapped), "{runs:?}");
    assert_eq!(scene.backdrop.tap.asked(&calls).len(), before + 1);
    still_leased(scene, &connection, &ended).await;
}

async fn a_claim_or_an_end_that_is_never_answered_keeps_the_lease(scene: &Scene) {
    // How the run is claimed, and how it ends.
    let rows = [
        ("claim", ("sync_lease_until=lt.", Spoil::LoseAnswer, 1)),
        ("end", ("sync_lease_until=eq.", Spoil::Cut, 2)),
    ];
    each(rows, |(filter, spoil, runs)| async move {
        let connection = scene.open().await;
        let id = connection.id.to_string();
        scene.backdrop.tap.spoil(None, spoil, move |asked| {
            asked.method == "PATCH" && asked.uri.contains(&id) && asked.uri.contains(filter)
        });
        change(scene, &connection, 2).await;
        let leased = scene.row_where(&connection, "a lease", |row| !is_epoch(&row["sync_lease_until"])).await;
        scene.until_started(&connection, runs).await;
        change(scene, &connection, 3).await;
        // Nothing shows the end of background work that does nothing.
        sleep(Duration::from_millis(700)).await;
        let row = scene.row(&connection).await;
        assert_eq!(row["sync_lease_until"], leased["sync_lease_until"]);
        assert!(row["sync_request_id"].is_string() && row["sync_attempts"] == 1, "{row}");
        assert_eq!(scene.runs(&connection).await.len(), runs);
    })
    .await;
}

async fn a_run_that_does_not_end_keeps_its_lease(scene: &Scene) {
    let connection = scene.open().await;
    scene.behave(&connection, json!({ "delay_ms": 56_000, "times": 1 })).await;
    let started = Instant::now();
    change(scene, &connection, 2).await;
    let failed = within(Duration::from_secs(65), "an error", || async {
        let row = scene.row(&connection).await;
        row["sync_error"].is_string().then_some(row)
    })
    .await;
    assert!(started.elapsed() >= Duration::from_secs(48), "the timeout of a run");
    still_leased(scene, &connection, &failed).await;
}

async fn a_request_during_a_run_is_followed_by_another_run(scene: &Scene) {
    let connection = scene.open().await;
    scene.behave(&connection, json!({ "delay_ms": 1000, "times": 1 })).await;
    change(scene, &connection, 2).await;
    scene.until_started(&connection, 2).await;
    let during = Utc::now();
    change(scene, &connection, 3).await;
    scene.settled(&connection).await;
    let runs = scene.runs(&connection).await;
    assert_eq!(runs.len(), 3, "{runs:?}");
    assert!(runs[2].started_at >= runs[1].finished_at.unwrap(), "{runs:?}");
    assert!(born(runs[2].request_id) >= during - TimeDelta::milliseconds(5), "{runs:?}");
}

async fn a_run_that_has_lost_its_lease_asks_for_another_one(scene: &Scene) {
    let connection = scene.open().await;
    scene.behave(&connection, json!({ "delay_ms": 1500, "times": 1 })).await;
    change(scene, &connection, 2).await;
    scene.until_started(&connection, 2).await;
    // Another holder came, ran, and has released; or is still at it.
    scene.set(&connection, "sync_lease_until = now() + interval '1 minute', sync_request_id = null").await;
    let stolen = scene.row(&connection).await;
    let after =
        scene.row_where(&connection, "a fresh request", |row| row["sync_request_id"].is_string()).await;
    assert_eq!(after["sync_lease_until"], stolen["sync_lease_until"]);
    assert_eq!(after["last_sync_at"], stolen["last_sync_at"]);
    let fresh: Uuid = after["sync_request_id"].as_str().unwrap().parse().unwrap();
    assert!(born(fresh) > ago(20) && fresh != scene.runs(&connection).await[1].request_id);
}

async fn an_echo_loop_is_braked_and_loses_nothing(scene: &Scene) {
    let connection = scene.open().await;
    scene.behave(&connection, json!({ "echo": true, "times": 6 })).await;
    // By Google, which numbers the echoes too.
    scene.change(&connection).await;
    let braked = scene.row_where(&connection, "a streak", |row| {
        row["sync_streak"].as_i64() >= Some(3)
            && is_epoch(&row["sync_lease_until"])
            && row["sync_request_id"].is_string()
    });
    let braked = braked.await;
    let pause = time(&braked["sync_not_before"]) - time(&braked["last_sync_at"]);
    assert_between(pause.as_seconds_f64(), 7.5, 8.5, "the pause of a streak of 3");
    let runs = scene.runs(&connection).await;
    assert_between(runs.len(), 4, 6, "runs before the brake");
    assert!(runs.iter().all(|run| !run.overlapped));

    // When the pause is over, the next notification runs what is owed, unless that was done already.
    let over = time(&braked["sync_not_before"]);
    sleep((over - Utc::now()).to_std().unwrap_or_default()).await;
    change(scene, &connection, 1_000).await;
    scene.until_started(&connection, runs.len() + 1).await;
    let next = &scene.runs(&connection).await[runs.len()];
    assert!(next.started_at >= over, "a run during the pause");
}

async fn the_brake_counts_successes_by_when_their_request_arose(scene: &Scene) {
    // Seconds since the last run and since the owed request arose, the streak before and after, and the pause.
    let rows = [
        ("soon after the last run", (Some(60), Some(55), 0, 1, 0.0)),
        ("during the last run", (Some(60), Some(70), 1, 2, 0.0)),
        ("a third time", (Some(60), Some(45), 2, 3, 8.0)),
        ("a fourth time", (Some(60), Some(45), 3, 4, 16.0)),
        ("again and again", (Some(60), Some(45), 20, 21, 120.0)),
        ("beyond all powers of two", (Some(60), Some(45), 5000, 5001, 120.0)),
        ("20 seconds after", (Some(60), Some(35), 5, 0, 0.0)),
        ("just within 20 seconds", (Some(60), Some(42), 5, 6, 64.0)),
        ("long waited for", (Some(7200), Some(3600), 5, 0, 0.0)),
        ("no run before", (None, Some(1), 5, 0, 0.0)),
        ("no time in it", (Some(60), None, 5, 0, 0.0)),
    ];
    each(rows, |(last, request, before, after, pause)| async move {
        let connection = scene.open().await;
        let request = request.map_or_else(Uuid::new_v4, |seconds| uuid_born(ago(seconds)));
        let last = last.map_or("null".to_owned(), |last| format!("now() - interval '{last} seconds'"));
        let owed = format!("last_sync_at = {last}, sync_request_id = '{request}', sync_streak = {before}");
        scene.set(&connection, &owed).await;
        // A duplicate starts what is owed, and asks for nothing by itself.
        let row = scene.row(&connection).await;
        scene.set(&connection, "webhook_message_number = 5").await;
        assert_eq!(scene.notify(&Notification::of(&connection, &row, 5)).await.status, 200);
        let row = scene.settled(&connection).await;
        assert_eq!(row["sync_streak"], json!(after));
        let braked = (time(&row["sync_not_before"]) - time(&row["last_sync_at"])).as_seconds_f64();
        assert_between(braked, pause - 0.5, pause + 0.5, "the pause");
    })
    .await;
}

async fn nobody_runs_before_the_row_allows_it(scene: &Scene) {
    let rows = [
        ("a lease", "sync_lease_until = now() + interval '1 minute'"),
        ("a pause", "sync_not_before = now() + interval '1 minute'"),
    ];
    each(rows, |state| async move {
        let connection = scene.open().await;
        scene.set(&connection, state).await;
        for number in 2..5 {
            change(scene, &connection, number).await;
        }
        let row = scene.row(&connection).await;
        assert!(row["sync_request_id"].is_string(), "{row}");
        assert_eq!(row["sync_attempts"], 0);
        // Nothing shows the end of background work that does nothing.
        sleep(Duration::from_millis(500)).await;
        assert_eq!(scene.runs(&connection).await.len(), 1);
    })
    .await;
}

async fn a_pause_during_a_run_does_not_spoil_its_end(scene: &Scene) {
    let connection = scene.open().await;
    scene.behave(&connection, json!({ "delay_ms": 1000, "times": 1 })).await;
    change(scene, &connection, 2).await;
    scene.until_started(&connection, 2).await;
    scene.set(&connection, "sync_enabled = false").await;
    let after = scene.settled(&connection).await;
    assert_eq!(after["sync_attempts"], 0);
    assert_eq!(scene.runs(&connection).await.len(), 2);
    assert!(seconds_ahead(&after["last_sync_at"]) > -10.0);
}
