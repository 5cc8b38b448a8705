//! A function's process that is killed loses nothing: what it had begun is found by the next sweep.

use serde_json::{Value, json};
use system_tests::{Caller, RECEIVE, REFRESH, SETUP, until};

use crate::case::cases;
use crate::moment::{assert_between, seconds_ahead};
use crate::notification::Notification;
use crate::scene::Scene;

cases! {
    shared: [],
    alone: [
        a_run_whose_function_is_killed_is_repeated,
        a_renewal_whose_function_is_killed_is_repeated_and_its_channel_stopped,
        a_sweep_that_is_killed_is_taken_up_by_the_next_one,
    ],
}

async fn a_run_whose_function_is_killed_is_repeated(scene: &mut Scene) {
    let scene = &*scene;
    let connection = scene.open().await;
    let row = scene.row(&connection).await;
    scene.behave(&connection, json!({ "delay_ms": 1500, "times": 1 })).await;
    assert_eq!(scene.notify(&Notification::of(&connection, &row, 2)).await.status, 200);
    until("a run that has started", || async { (scene.runs(&connection).await.len() == 2).then_some(()) })
        .await;
    scene.stack().kill_function(RECEIVE).await;
    let killed = scene.row(&connection).await;
    assert!(killed["sync_request_id"].is_string() && seconds_ahead(&killed["sync_lease_until"]) > 100.0);
    assert_eq!(killed["sync_attempts"], 1);
    until("the end of the run", || async { scene.runs(&connection).await[1].finished_at }).await;
    scene.call(REFRESH, Caller::Service, "{}").await;
    assert_eq!(scene.runs(&connection).await.len(), 2);

    scene.set(&connection, "sync_lease_until = 'epoch', sync_not_before = 'epoch'").await;
    let answer = scene.call(REFRESH, Caller::Service, "{}").await;
    assert_eq!(answer.body["synced"], 1, "{}", answer.text);
    let after = scene.row(&connection).await;
    assert_eq!((&after["sync_request_id"], &after["sync_attempts"]), (&Value::Null, &json!(0)));
    let runs = scene.runs(&connection).await;
    assert_eq!(runs.len(), 3);
    assert!(runs.iter().all(|run| !run.overlapped), "{runs:?}");
}

async fn a_renewal_whose_function_is_killed_is_repeated_and_its_channel_stopped(scene: &mut Scene) {
    let scene = &*scene;
    let connection = scene.connection().await;
    scene.fault(&connection, json!({ "operation": "watch", "delay_ms": 2000, "after": true })).await;
    let request = scene.request(reqwest::Method::POST, SETUP).headers(scene.headers(Caller::Service));
    let call = request.json(&connection.target()).send();
    let kill = async {
        until("a channel at Google", || async { scene.channels(&connection).await.pop() }).await;
        scene.stack().kill_function(SETUP).await;
    };
    let (answer, ()) = futures_util::future::join(call, kill).await;
    assert!(!answer.is_ok_and(|answer| answer.status().is_success()));
    let killed = scene.row(&connection).await;
    let orphan = killed["webhook_pending_id"].as_str().unwrap().to_owned();
    assert_eq!(killed["webhook_id"], Value::Null);
    assert_eq!(killed["webhook_attempts"], 1);
    assert_between(seconds_ahead(&killed["webhook_lease_until"]), 60.0, 91.0, "the lease");
    assert!(seconds_ahead(&killed["webhook_not_before"]) > 60.0);

    let early = scene.call(REFRESH, Caller::Service, "{}").await;
    assert_eq!(early.body["renewed"], 0, "{}", early.text);
    scene.set(&connection, "webhook_lease_until = 'epoch', webhook_not_before = 'epoch'").await;
    let answer = scene.call(REFRESH, Caller::Service, "{}").await;
    assert_eq!(answer.body["renewed"], 1, "{}", answer.text);
    scene.until_stopped(&connection, &orphan).await;
    let row = scene.settled(&connection).await;
    assert_eq!(scene.live_channels(&connection).await, [row["webhook_id"].as_str().unwrap()]);
    assert_eq!(row["webhook_attempts"], 0);
}

async fn a_sweep_that_is_killed_is_taken_up_by_the_next_one(scene: &mut Scene) {
    let scene = &*scene;
    let mut connections = Vec::new();
    for _ in 0..3 {
        let connection = scene.open().await;
        scene.set(&connection, "sync_request_id = gen_random_uuid()").await;
        scene.behave(&connection, json!({ "delay_ms": 2000, "times": 1 })).await;
        connections.push(connection);
    }
    let request = scene.request(reqwest::Method::POST, REFRESH).headers(scene.headers(Caller::Service));
    let kill = async {
        until("a run that has started", || async {
            (scene.runs(&connections[0]).await.len() == 2).then_some(())
        })
        .await;
        scene.stack().kill_function(REFRESH).await;
    };
    let (answer, ()) = futures_util::future::join(request.body("{}").send(), kill).await;
    assert!(!answer.is_ok_and(|answer| answer.status().is_success()));
    for connection in &connections {
        until("the end of the run", || async {
            scene.runs(connection).await.iter().all(|run| run.finished_at.is_some()).then_some(())
        })
        .await;
        assert!(scene.row(connection).await["sync_request_id"].is_string());
        scene.set(connection, "sync_lease_until = 'epoch', sync_not_before = 'epoch'").await;
    }
    let answer = scene.call(REFRESH, Caller::Service, "{}").await;
    assert_eq!(
        (&answer.body["synced"], &answer.body["remaining"]),
        (&json!(3), &json!(0)),
        "{}",
        answer.text
    );
    for connection in &connections {
        assert!(scene.row(connection).await["sync_request_id"].is_null());
        assert!(!scene.runs(connection).await.iter().any(|run| run.overlapped));
    }
}
