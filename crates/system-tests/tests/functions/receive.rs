//! `google-calendar-webhook`, spoken to by a channel that the connection has opened.

use std::time::Duration;

use futures_util::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{Caller, Connection, RECEIVE, SETUP, is_epoch, time, until};
use tokio::time::Instant;
use uuid::Uuid;

use crate::case::cases;
use crate::moment::{ago, assert_between, born};
use crate::notification::Notification;
use crate::scene::Scene;
use crate::table::each;
use crate::tap::{Asked, Spoil};

cases! {
    shared: [
        a_change_is_answered_after_one_database_request_and_followed_by_a_run,
        an_event_in_the_calendar_leads_to_a_run,
        google_says_hello_before_or_after_it_answers_the_watch,
        a_duplicate_or_late_notification_changes_nothing,
        a_duplicate_starts_a_run_that_is_owed,
        numbers_have_gaps_and_are_large,
        any_state_but_sync_is_a_change,
        an_orphan_is_heard_and_stopped,
        an_orphan_that_opens_is_stopped_without_a_run,
        the_channel_of_before_a_renewal_is_heard_and_stopped,
        a_pending_channel_is_heard_and_kept,
        a_channel_that_becomes_the_current_one_meanwhile_loses_nothing,
        a_paused_or_disconnected_connection_keeps_the_request_and_gives_up_the_channel,
        nobody_elses_connection_is_looked_at,
        an_answer_of_the_database_that_is_not_understood_is_a_503,
        a_slow_database_is_a_503_within_five_seconds,
        a_body_is_never_read,
        the_log_says_what_each_notification_was_and_whose,
        a_notification_that_google_repeats_is_not_lost,
    ],
    alone: [
        a_database_that_is_down_is_a_503_and_google_repeats,
        a_change_that_a_trigger_does_not_keep_is_a_503,
    ],
}

fn touches(connection: &Connection) -> impl Fn(&Asked) -> bool + Send + Sync + use<> {
    let (id, hash) = (connection.id.to_string(), connection.token_hash.clone());
    move |asked| asked.is_rest() && (asked.uri.contains(&id) || asked.uri.contains(&hash))
}

async fn a_change_is_answered_after_one_database_request_and_followed_by_a_run(scene: &Scene) {
    let connection = scene.open().await;
    let row = scene.row(&connection).await;
    let started = Instant::now();
    // Only the first request is let through at once: an answer that waits for a second one comes late.
    let first = std::sync::atomic::AtomicBool::new(true);
    let touches_connection = touches(&connection);
    let touches_again = move |asked: &Asked| {
        touches_connection(asked) && !first.swap(false, std::sync::atomic::Ordering::Relaxed)
    };
    scene.backdrop.tap.spoil(1, Spoil::Delay(Duration::from_secs(3)), touches_again);
    let answer = scene.notify(&Notification::of(&connection, &row, 5)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.took < Duration::from_millis(2500), "{:?}", answer.took);

    let touches = touches(&connection);
    let asked = scene.backdrop.tap.asked(|asked| asked.at >= started && touches(asked));
    assert_eq!(asked[0].method, Method::PATCH);
    for part in [&format!("webhook_token_hash=eq.{}", connection.token_hash), "webhook_message_number=lt.5"] {
        assert!(asked[0].uri.contains(part), "{}", asked[0].uri);
    }
    let stored = scene.row(&connection).await;
    assert_eq!(stored["webhook_message_number"], 5);
    let request: Uuid = asked[0].json()["sync_request_id"].as_str().unwrap().parse().unwrap();
    assert!(born(request) > ago(30));

    scene.until_runs(&connection, 2).await;
    let run = scene.runs(&connection).await.remove(1);
    assert_eq!((run.request_id, run.connection_id), (request, connection.id));
    assert!(time(&scene.row(&connection).await["last_sync_at"]) >= run.started_at);
}

async fn an_event_in_the_calendar_leads_to_a_run(scene: &Scene) {
    let connection = scene.open().await;
    let row = scene.row(&connection).await;
    scene.change(&connection).await;
    scene.until_runs(&connection, 2).await;
    let deliveries = scene.deliveries(row["webhook_id"].as_str().unwrap()).await;
    assert!(deliveries.iter().all(|delivery| delivery["status"] == 200), "{deliveries:?}");
}

async fn google_says_hello_before_or_after_it_answers_the_watch(scene: &Scene) {
    let rows = [
        ("before", json!({ "sync": "before" })),
        ("after", json!({ "sync": "after" })),
        ("long after", json!({ "sync": "after", "sync_delay_ms": 800 })),
    ];
    each(rows, |rule| async move {
        let connection = scene.connection().await;
        let before = rule["sync"] == "before";
        scene.delivery(&connection, rule).await;
        scene.open_channel(&connection).await;
        let row = scene.row(&connection).await;
        if before {
            assert_eq!(row["webhook_confirmed_id"], row["webhook_id"]);
        }
        scene.set(&connection, "webhook_opened_at = now() - interval '1 hour'").await;
        assert_eq!(scene.status(&connection).await["status"], "active");
        // Hello is no change.
        assert_eq!(scene.runs(&connection).await.len(), 1);
    })
    .await;

    let silent = scene.connection().await;
    scene.delivery(&silent, json!({ "sync": "dropped" })).await;
    scene.call(SETUP, Caller::Service, silent.target()).await.connections();
    assert_eq!(scene.status(&silent).await["status"], "active");
    scene.set(&silent, "webhook_opened_at = now() - interval '6 minutes'").await;
    assert_eq!(scene.status(&silent).await["status"], "unconfirmed");
    scene.speak(&silent, scene.row(&silent).await["webhook_id"].as_str().unwrap()).await;
    until("confirmed by a change", || async {
        (scene.status(&silent).await["status"] == "active").then_some(())
    })
    .await;
}

async fn a_duplicate_or_late_notification_changes_nothing(scene: &Scene) {
    let connection = scene.open().await;
    let row = scene.row(&connection).await;
    let numbered = |number| Notification::of(&connection, &row, number);
    assert_eq!(scene.notify(&numbered(10)).await.status, 200);
    scene.until_runs(&connection, 2).await;
    let before = scene.row(&connection).await;
    let late =
        [numbered(10), numbered(3), numbered(1), numbered(1).state("sync"), numbered(12).state("sync")];
    for notification in late {
        assert_eq!(scene.notify(&notification).await.status, 200, "{notification:?}");
        assert_eq!(scene.row(&connection).await, before, "{notification:?}");
    }
    assert_eq!(scene.runs(&connection).await.len(), 2);
}

async fn a_duplicate_starts_a_run_that_is_owed(scene: &Scene) {
    let connection = scene.open().await;
    let row = scene.row(&connection).await;
    scene.set(&connection, &format!("sync_request_id = '{}'", Uuid::new_v4())).await;
    assert_eq!(scene.notify(&Notification::of(&connection, &row, 1)).await.status, 200);
    scene.until_runs(&connection, 2).await;
}

async fn numbers_have_gaps_and_are_large(scene: &Scene) {
    let connection = scene.open().await;
    let row = scene.row(&connection).await;
    for number in [2, 100, 9_007_199_254_740_993, 9_007_199_254_740_994, i64::MAX as u64] {
        assert_eq!(scene.notify(&Notification::of(&connection, &row, number)).await.status, 200);
        assert_eq!(scene.row(&connection).await["webhook_message_number"], json!(number));
    }
}

async fn any_state_but_sync_is_a_change(scene: &Scene) {
    let connection = scene.open().await;
    let row = scene.row(&connection).await;
    for (number, state) in (2..).zip(["exists", "not_exists", "SYNC", "something-new", "x"]) {
        let notification = Notification::of(&connection, &row, number).state(state);
        assert_eq!(scene.notify(&notification).await.status, 200);
        let row = scene.row(&connection).await;
        assert_eq!(row["webhook_message_number"], json!(number), "{state}");
    }
}

async fn an_orphan_is_heard_and_stopped(scene: &Scene) {
    let connection = scene.open().await;
    let current = scene.row(&connection).await["webhook_id"].as_str().unwrap().to_owned();
    let orphan = scene.watch_directly(&connection, &Uuid::new_v4().to_string()).await;
    scene.speak(&connection, &orphan.id).await;
    scene.until_stopped(&connection, &orphan.id).await;
    scene.until_runs(&connection, 2).await;
    assert_eq!(scene.live_channels(&connection).await, [current.as_str()]);
    assert_eq!(scene.row(&connection).await["webhook_id"], json!(current));

    // One that speaks to a connection without any channel.
    let connection = scene.connection().await;
    let orphan = scene.watch_directly(&connection, &"x".repeat(64)).await;
    scene.speak(&connection, &orphan.id).await;
    scene.until_stopped(&connection, &orphan.id).await;
    until("a run", || async { (scene.runs(&connection).await.len() == 1).then_some(()) }).await;
}

async fn an_orphan_that_opens_is_stopped_without_a_run(scene: &Scene) {
    let connection = scene.open().await;
    let row = scene.row(&connection).await;
    let orphan = scene.watch_directly(&connection, &Uuid::new_v4().to_string()).await;
    let sync = Notification::of(&connection, &row, 1).channel(&orphan.id).state("sync");
    let answer = scene.notify(&sync).await;
    assert_eq!(answer.status, 200);
    scene.until_stopped(&connection, &orphan.id).await;
    assert_eq!(scene.runs(&connection).await.len(), 1, "the first one");
    assert_eq!(scene.row(&connection).await["sync_request_id"], Value::Null);
}

async fn the_channel_of_before_a_renewal_is_heard_and_stopped(scene: &Scene) {
    let connection = scene.open().await;
    let old = scene.row(&connection).await;
    scene.fault(&connection, json!({ "operation": "stop", "status": 500 })).await;
    scene.set(&connection, "webhook_not_before = 'epoch'").await;
    scene.open_channel(&connection).await;
    until("the stop that failed", || async {
        (scene.asked_google(&connection, "stop").await == 1).then_some(())
    })
    .await;
    assert_eq!(scene.live_channels(&connection).await.len(), 2);

    let runs = scene.runs(&connection).await.len();
    scene.speak(&connection, old["webhook_id"].as_str().unwrap()).await;
    scene.until_stopped(&connection, old["webhook_id"].as_str().unwrap()).await;
    scene.until_runs(&connection, runs + 1).await;
    let row = scene.row(&connection).await;
    assert_eq!(scene.live_channels(&connection).await, [row["webhook_id"].as_str().unwrap()]);
}

async fn a_pending_channel_is_heard_and_kept(scene: &Scene) {
    let connection = scene.open().await;
    let row = scene.row(&connection).await;
    let pending = scene.watch_directly(&connection, &Uuid::new_v4().to_string()).await;
    let claim = "webhook_lease_until = now() + interval '1 minute', webhook_pending_id";
    scene.set(&connection, &format!("{claim} = '{}'", pending.id)).await;
    let hello = Notification::of(&connection, &row, 1).channel(&pending.id).state("sync");
    assert_eq!(scene.notify(&hello).await.status, 200);
    assert_eq!(scene.row(&connection).await["webhook_confirmed_id"], json!(pending.id));

    let change = Notification::of(&connection, &row, 2).channel(&pending.id);
    assert_eq!(scene.notify(&change).await.status, 200);
    scene.until_runs(&connection, 2).await;
    let after = scene.row(&connection).await;
    assert_eq!(after["webhook_pending_id"], json!(pending.id));
    assert_eq!((&after["webhook_id"], &after["webhook_message_number"]), (&row["webhook_id"], &json!(1)));
    assert_eq!(scene.live_channels(&connection).await.len(), 2);
    assert_eq!(scene.asked_google(&connection, "stop").await, 0);
}

async fn a_channel_that_becomes_the_current_one_meanwhile_loses_nothing(scene: &Scene) {
    let connection = scene.open().await;
    let row = scene.row(&connection).await;
    let id = Uuid::new_v4().to_string();
    scene.watch_directly(&connection, &id).await;
    scene.set(&connection, &format!("webhook_pending_id = '{id}'")).await;
    // The commit lands between the two looks: after the verdict "not an orphan", before the row is read.
    let hash = connection.token_hash.clone();
    let held = scene.backdrop.tap.hold(move |asked| asked.method == "GET" && asked.uri.contains(&hash));
    let commit = async {
        held.reached().await;
        let committed = format!("webhook_id = '{id}', webhook_pending_id = null, webhook_message_number = 0");
        scene.set(&connection, &committed).await;
        held.release();
    };
    let change = Notification::of(&connection, &row, 3).channel(&id);
    let (answer, ()) = join(scene.notify(&change), commit).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(scene.row(&connection).await["webhook_message_number"], 3);
    scene.until_runs(&connection, 2).await;
    assert_eq!(scene.asked_google(&connection, "stop").await, 0);
}

async fn a_paused_or_disconnected_connection_keeps_the_request_and_gives_up_the_channel(scene: &Scene) {
    let rows = ["sync_enabled = false", "is_active = false", "is_active = null"];
    each(rows.map(|row| (row, row)), |change| async move {
        let connection = scene.open().await;
        let row = scene.row(&connection).await;
        scene.set(&connection, &format!("{change}, webhook_error = 'google_unavailable'")).await;
        assert_eq!(scene.notify(&Notification::of(&connection, &row, 9)).await.status, 200);
        scene.until_stopped(&connection, row["webhook_id"].as_str().unwrap()).await;
        let after = scene.row(&connection).await;
        for column in ["id", "expiration", "resource_id", "pending_id", "error"] {
            assert_eq!(after[&format!("webhook_{column}")], Value::Null, "{column}");
        }
        for column in ["message_number", "attempts"] {
            assert_eq!(after[&format!("webhook_{column}")], 0, "{column}");
        }
        assert!(is_epoch(&after["webhook_opened_at"]) && is_epoch(&after["webhook_not_before"]), "{after}");
        assert!(after["sync_request_id"].is_string(), "{after}");
        assert_eq!(after["last_sync_at"], row["last_sync_at"]);
        assert_eq!(scene.runs(&connection).await.len(), 1);

        // A last word of the stopped channel.
        assert_eq!(scene.notify(&Notification::of(&connection, &row, 10)).await.status, 200);
        scene.set(&connection, "sync_enabled = true, is_active = true").await;
        scene.open_channel(&connection).await;
        assert_eq!(scene.runs(&connection).await.len(), 2);
    })
    .await;
}

async fn nobody_elses_connection_is_looked_at(scene: &Scene) {
    let user = Uuid::new_v4();
    let (told, of_same_user) = (scene.connection_of(user).await, scene.connection_of(user).await);
    scene.open_channel(&told).await;
    scene.open_channel(&of_same_user).await;
    let stranger = scene.open().await;
    let before = [scene.row(&of_same_user).await, scene.row(&stranger).await];
    let row = scene.row(&told).await;
    let runs = scene.runs(&told).await.len();
    let started = Instant::now();
    assert_eq!(scene.notify(&Notification::of(&told, &row, 2)).await.status, 200);
    until("the run", || async { (scene.runs(&told).await.len() > runs).then_some(()) }).await;
    scene.settled(&told).await;
    assert_eq!([scene.row(&of_same_user).await, scene.row(&stranger).await], before);
    for other in [&of_same_user, &stranger] {
        let touches = touches(other);
        // The sample app itself reads the row of the connection that it is called for, and no other.
        assert!(scene.backdrop.tap.asked(|asked| asked.at >= started && touches(asked)).is_empty());
    }
    let last = scene.runs(&told).await.pop().unwrap();
    assert_eq!(last.connection_id, told.id);
}

async fn an_answer_of_the_database_that_is_not_understood_is_a_503(scene: &Scene) {
    let rows = [
        ("400", Spoil::Answer(400, r#"{"code":"PGRST100","message":"no"}"#)),
        ("404", Spoil::Answer(404, "{}")),
        ("409", Spoil::Answer(409, r#"{"code":"40001"}"#)),
        ("429", Spoil::Answer(429, "slow down")),
        ("500", Spoil::Answer(500, "{}")),
        ("503", Spoil::Answer(503, "{}")),
        ("544", Spoil::Answer(544, "")),
        ("HTML", Spoil::Answer(200, "<h1>Hello</h1>")),
        ("an object", Spoil::Answer(200, "{}")),
        ("nothing", Spoil::Answer(200, "")),
        ("half an array", Spoil::Answer(200, r#"[{"id":"#)),
        ("an array of numbers", Spoil::Answer(200, "[1]")),
        ("a row without columns", Spoil::Answer(200, "[{}]")),
        ("a cut connection", Spoil::Cut),
    ];
    each(rows, |spoil| async move {
        let connection = scene.open().await;
        let row = scene.row(&connection).await;
        scene.backdrop.tap.spoil(None, spoil, touches(&connection));
        let answer = scene.notify(&Notification::of(&connection, &row, 2)).await;
        assert_eq!(answer.outcome(), (503, "database_unavailable"), "{}", answer.text);
        assert_eq!(scene.row(&connection).await, row);
    })
    .await;
}

async fn a_slow_database_is_a_503_within_five_seconds(scene: &Scene) {
    let connection = scene.open().await;
    let row = scene.row(&connection).await;
    let id = connection.id;
    let (mut client, driver) =
        tokio_postgres::connect(&scene.stack().database_url().unwrap(), tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(driver);
    let lock = client.transaction().await.unwrap();
    lock.query("select from calendar_connections where id = $1 for update", &[&id]).await.unwrap();
    let notifications = (2..6).map(|number| Notification::of(&connection, &row, number));
    let answers = join_all(notifications.map(|one| async move { scene.notify(&one).await })).await;
    lock.rollback().await.unwrap();
    for answer in answers {
        assert_eq!(answer.outcome(), (503, "database_unavailable"), "{}", answer.text);
        // 4.5 s, and what a busy machine adds; Google gives up later.
        assert_between(answer.took.as_secs_f64(), 3.0, 9.0, "the patience");
    }
    drop(client);
    driver.await.unwrap().unwrap();
    // Repeated by Google, it counts, whether or not the one before has landed after all.
    let runs = scene.runs(&connection).await.len();
    assert_eq!(scene.notify(&Notification::of(&connection, &row, 6)).await.status, 200);
    until("a run", || async { (scene.runs(&connection).await.len() > runs).then_some(()) }).await;
}

async fn a_body_is_never_read(scene: &Scene) {
    let connection = scene.open().await;
    let row = scene.row(&connection).await;
    for (number, body) in (2..).zip([b"{".to_vec(), vec![0xff; 5 << 20]]) {
        let change = Notification::of(&connection, &row, number);
        assert_eq!(scene.notify_with(Method::POST, &change, body).await.status, 200);
        assert_eq!(scene.row(&connection).await["webhook_message_number"], json!(number));
    }
}

async fn a_notification_that_google_repeats_is_not_lost(scene: &Scene) {
    let connection = scene.open().await;
    let channel = scene.row(&connection).await["webhook_id"].as_str().unwrap().to_owned();
    scene.backdrop.tap.spoil(2, Spoil::Answer(500, "{}"), touches(&connection));
    scene.speak(&connection, &channel).await;
    scene.until_runs(&connection, 2).await;
    let last = scene.deliveries(&channel).await.pop().unwrap();
    assert_eq!((&last["attempts"], &last["status"]), (&json!(3), &json!(200)), "{last}");
}

async fn a_change_that_a_trigger_does_not_keep_is_a_503(scene: &mut Scene) {
    let scene = &*scene;
    let connection = scene.open().await;
    scene.settled(&connection).await;
    let row = scene.row(&connection).await;
    for sql in [
        "create function forget() returns trigger language plpgsql as $$begin return null; end$$",
        "create trigger forget before update on calendar_connections for each row execute function forget()",
    ] {
        scene.sql(sql, &[]).await.unwrap();
    }
    let change = Notification::of(&connection, &row, 7);
    let answers = [scene.notify(&change).await, scene.notify(&change).await];
    scene.sql("drop function forget cascade", &[]).await.unwrap();
    for answer in answers {
        assert_eq!(answer.outcome(), (503, "database_unavailable"), "{}", answer.text);
    }
    assert_eq!(scene.notify(&change).await.status, 200);
}

async fn a_database_that_is_down_is_a_503_and_google_repeats(scene: &mut Scene) {
    let connection = scene.open().await;
    let row = scene.row(&connection).await;
    let channel = row["webhook_id"].as_str().unwrap();
    scene.postgrest().stop().await;
    let answer = scene.notify(&Notification::of(&connection, &row, 2)).await;
    assert_eq!(answer.outcome(), (503, "database_unavailable"), "{}", answer.text);
    let answer = scene.call(SETUP, Caller::Service, connection.target()).await;
    assert_eq!(answer.outcome(), (503, "database_unavailable"), "{}", answer.text);
    scene.speak(&connection, channel).await;
    until_delivered(scene, channel, 503).await;
    scene.postgrest().restart().await.unwrap();
    until_delivered(scene, channel, 200).await;
    scene.until_runs(&connection, 2).await;
}

async fn until_delivered(scene: &Scene, channel: &str, status: u16) {
    until(&format!("{status} to Google"), || async {
        let last = scene.deliveries(channel).await.pop()?;
        (last["status"] == status && last["resource_state"] == "exists").then_some(())
    })
    .await;
}

async fn the_log_says_what_each_notification_was_and_whose(scene: &Scene) {
    let connection = scene.open().await;
    let row = scene.row(&connection).await;
    let stranger = Uuid::new_v4();
    for notification in [
        Notification::of(&connection, &row, 5),
        Notification::of(&connection, &row, 5),
        Notification::of(&connection, &row, 6).channel(stranger),
    ] {
        assert_eq!(scene.notify(&notification).await.status, 200);
        scene.settled(&connection).await;
    }
    let ours = connection.id.to_string();
    let logged = || async {
        let log = scene.stack().function_log(RECEIVE);
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["connection_id"] == ours).collect::<Vec<_>>()
    };
    let count = |lines: &[Value], event: &str, outcome: &Value| {
        lines.iter().filter(|line| line["event"] == event && line["outcome"] == *outcome).count()
    };
    until("every line", || async {
        let lines = logged().await;
        let requests = ["opened", "changed", "late", "orphan"];
        let told = requests.iter().all(|outcome| count(&lines, "request", &json!(outcome)) == 1);
        (told && count(&lines, "run_succeeded", &Value::Null) >= 2).then_some(())
    })
    .await;
    for line in logged().await {
        let fields: &[&str] = match line["event"].as_str().unwrap() {
            "request" => &["level", "function", "method", "status", "duration_ms"],
            "run_succeeded" => &["level", "request_id", "reason", "duration_ms", "lag_ms"],
            _ => &["level"],
        };
        assert!(fields.iter().all(|field| !line[field].is_null()), "{line}");
    }
}
