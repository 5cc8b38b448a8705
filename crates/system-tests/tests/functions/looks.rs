//! Looks at the calendar: an app's own writes come to rest, and silence is not trusted.

use std::time::Duration;

use serde_json::{Value, json};
use system_tests::{Caller, Connection, REFRESH, SETUP, is_epoch, time, until};
use tokio::time::sleep;

use crate::case::cases;
use crate::moment::{ago, assert_between, seconds_ahead, uuid_born};
use crate::notification::Notification;
use crate::scene::Scene;
use crate::sweep::sweep;
use crate::table::each;
use crate::tap::Asked;

cases! {
    shared: [
        a_run_finds_a_token_that_is_good_for_five_minutes,
        a_token_endpoint_that_is_down_costs_no_run,
        a_notification_that_may_be_an_echo_is_answered_after_one_database_request,
        the_button_during_a_run_leads_to_another_one_whatever_the_calendar_is_like,
        a_notification_that_may_be_an_echo_is_settled_by_a_look,
    ],
    alone: [
        a_sweep_looks_at_calendars_that_are_due_and_at_no_others,
        an_edit_of_a_calendar_that_the_app_writes_to_costs_two_runs_at_most,
        a_channel_that_died_in_silence_is_noticed_by_a_look,
        a_consent_that_was_revoked_in_silence_is_noticed_by_a_look,
        a_run_that_is_owed_waits_for_a_new_consent,
        a_calendar_of_thousands_of_events_is_looked_at_page_by_page,
        a_calendar_without_push_is_synced_by_looks,
        the_channel_of_a_deleted_row_is_stopped,
    ],
}

const LOOK_IS_DUE: &str = "sync_look_at = now() - interval '1 second'";

async fn plan_sessions(scene: &Scene, connection: &Connection, count: i32) {
    let insert = "insert into sessions (user_id, title, starts_at, ends_at)
                    select $1, 'Session ' || n, start, start + interval '1 hour'
                    from generate_series(1, $2) n,
                      lateral (select timestamptz '2130-01-01 10:00Z' + n * interval '1 day' - interval '1 day') s(start)";
    scene.sql(insert, &[&connection.user, &count]).await.unwrap();
}

/// Sweeps as cron does, only more often, until nothing is owed and Google has nothing left to tell.
async fn at_rest(scene: &Scene, connection: &Connection) -> Value {
    until("a calendar and its connection at rest", || async {
        let row = scene.row(connection).await;
        let channel = scene.channel(connection, row["webhook_id"].as_str()?).await;
        let is_settled = row["sync_request_id"].is_null() && is_epoch(&row["sync_lease_until"]);
        if is_settled && row["webhook_message_number"] == channel.last_message_number {
            return Some(row);
        }
        let is_due = is_epoch(&row["sync_lease_until"]) && seconds_ahead(&row["sync_not_before"]) < 0.0;
        if row["sync_request_id"].is_string() && is_due {
            sweep(scene).await;
        }
        None
    })
    .await
}

/// A connection that was run and looked at an hour ago.
async fn opened(scene: &Scene) -> Connection {
    let connection = scene.open().await;
    scene.let_an_hour_pass(&connection).await;
    connection
}

/// Google says that something has changed, which nothing has.
async fn notify(scene: &Scene, connection: &Connection, number: u64) {
    let row = scene.row(connection).await;
    let notification = Notification { account: None, ..Notification::of(connection, &row, number) };
    let answer = scene.notify(&notification).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// The lines of `refresh-calendar-webhook` about this connection.
fn logged(scene: &Scene, connection: &Connection, event: &str) -> Vec<Value> {
    let (log, id) = (scene.stack().function_log(REFRESH), connection.id.to_string());
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["event"] == event && line["connection_id"] == id.as_str()).collect()
}

async fn a_sweep_looks_at_calendars_that_are_due_and_at_no_others(scene: &mut Scene) {
    let scene = &*scene;
    // What there is to find, and how many runs follow.
    let due = [
        ("nothing", "sync_streak = 0", 0),
        ("a change that Google kept to itself", "sync_streak = 0", 1),
        ("what was settled before", "sync_streak = 1", 1),
        ("what was never looked at", "sync_seen = null", 1),
    ];
    let mut looked_at = Vec::new();
    for (name, change, runs) in due {
        let connection = opened(scene).await;
        scene.set(&connection, &format!("{change}, {LOOK_IS_DUE}")).await;
        if name.contains("change") {
            scene.change_silently(&connection).await;
        }
        looked_at.push((name, connection, runs));
    }
    let mut kept = Vec::new();
    for change in [
        "sync_look_at = now() + interval '1 minute'".to_owned(),
        format!("{LOOK_IS_DUE}, webhook_error = 'reconnect_required'"),
        format!("{LOOK_IS_DUE}, webhook_error = 'permission_missing'"),
        format!("{LOOK_IS_DUE}, webhook_error = 'blocked_by_policy'"),
        format!("{LOOK_IS_DUE}, sync_enabled = false, webhook_id = null"),
        format!("{LOOK_IS_DUE}, is_active = false, webhook_id = null"),
        format!(
            "{LOOK_IS_DUE}, sync_request_id = '{}', sync_not_before = now() + interval '1 minute'",
            uuid_born(ago(1))
        ),
    ] {
        let connection = opened(scene).await;
        scene.set(&connection, &change).await;
        scene.set(&connection, "webhook_not_before = now() + interval '1 day'").await;
        let lists = scene.asked_google(&connection, "list").await;
        kept.push((scene.row(&connection).await, lists, connection));
    }
    let answer = sweep(scene).await.body;
    let counts =
        ["looked", "reconciled", "missed", "synced", "settled"].map(|field| answer[field].as_u64().unwrap());
    assert_eq!((counts, &answer["failed"]), ([4, 3, 1, 3, 0], &json!([])), "{answer}");
    for (name, connection, runs) in &looked_at {
        assert_eq!(scene.runs(connection).await.len(), 1 + runs, "{name}");
        let row = scene.row(connection).await;
        assert!(seconds_ahead(&row["last_sync_at"]) > -30.0, "{name}: {row}");
        assert_between(seconds_ahead(&row["sync_look_at"]), 5.3 * 3600.0, 6.7 * 3600.0, name);
    }
    for (row, lists, connection) in &kept {
        assert_eq!(&scene.row(connection).await, row);
        assert_eq!(scene.asked_google(connection, "list").await, *lists);
        assert_eq!(scene.runs(connection).await.len(), 1);
    }
    // Nothing more is asked of Google than one list a look.
    assert_eq!(sweep(scene).await.body["looked"], 0);
}

async fn an_edit_of_a_calendar_that_the_app_writes_to_costs_two_runs_at_most(scene: &mut Scene) {
    let scene = &*scene;
    for style in ["in-place", "recreate"] {
        let connection = scene.connection().await;
        plan_sessions(scene, &connection, 3).await;
        scene.host_writes(&connection, style).await;
        scene.open_channel(&connection).await;
        at_rest(scene, &connection).await;
        assert!(scene.runs(&connection).await.len() <= 2, "{style}: connecting");

        for edit in ["first", "second"] {
            scene.let_an_hour_pass(&connection).await;
            let before = scene.runs(&connection).await.len();
            // Over the first of the sessions.
            let changed_at = scene.change(&connection).await;
            scene.until_run_after(&connection, changed_at).await;
            at_rest(scene, &connection).await;
            let runs = scene.runs(&connection).await.split_off(before);
            assert!((1..=2).contains(&runs.len()), "{style}, {edit} edit: {runs:?}");
            assert!(runs.iter().all(|run| run.succeeded() && !run.overlapped), "{style}: {runs:?}");
        }

        // Silence: nothing is asked of Google or of the app any more.
        let calls = async || {
            let list = scene.asked_google(&connection, "list").await;
            (scene.runs(&connection).await.len(), list, scene.asked_google(&connection, "events").await)
        };
        let before = calls().await;
        for _ in 0..3 {
            sweep(scene).await;
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(calls().await, before, "{style}");

        let starts = "select starts_at::text from sessions where user_id = $1 order by 1";
        let rows = scene.sql(starts, &[&connection.user]).await.unwrap();
        let planned: Vec<&str> = rows.iter().map(|row| &row.get::<_, &str>(0)[8..13]).collect();
        assert_eq!(planned, ["01 11", "02 10", "03 10"], "{style}: around the edit and not around itself");
        scene.clear().await.unwrap();
    }
}

async fn a_notification_that_may_be_an_echo_is_settled_by_a_look(scene: &Scene) {
    let connection = opened(scene).await;
    scene.set(&connection, "last_sync_at = now()").await;
    let before = scene.row(&connection).await;
    let lists = scene.asked_google(&connection, "list").await;
    notify(scene, &connection, 2).await;
    let settled = scene.settled(&connection).await;
    assert_eq!(scene.runs(&connection).await.len(), 1);
    assert_eq!(scene.asked_google(&connection, "list").await, lists + 1);
    assert_eq!(settled["sync_seen"], before["sync_seen"]);
    assert!(time(&settled["last_sync_at"]) > time(&before["last_sync_at"]), "{settled}");

    // The same notification of a calendar that is not what it was.
    scene.change_silently(&connection).await;
    notify(scene, &connection, 3).await;
    scene.until_runs(&connection, 2).await;
    assert_ne!(scene.row(&connection).await["sync_seen"], before["sync_seen"]);
}

async fn a_channel_that_died_in_silence_is_noticed_by_a_look(scene: &mut Scene) {
    let scene = &*scene;
    for (age, is_replaced) in [("2 hours", true), ("10 minutes", false)] {
        let connection = opened(scene).await;
        let opened = format!("webhook_opened_at = now() - interval '{age}'");
        scene.set(&connection, &opened).await;
        let dead = scene.row(&connection).await["webhook_id"].as_str().unwrap().to_owned();
        scene.google_control(&format!("channels/{dead}/forget"), json!({})).await;
        let changed_at = scene.change(&connection).await;
        let answer = sweep(scene).await.body;
        assert_eq!((&answer["looked"], scene.runs(&connection).await.len()), (&json!(0), 1), "{answer}");

        scene.set(&connection, LOOK_IS_DUE).await;
        let answer = sweep(scene).await.body;
        let told = ["looked", "reconciled", "missed", "failed"].map(|field| &answer[field]);
        assert_eq!(told, [&json!(1), &json!(1), &json!(1), &json!([])], "{answer}");
        let runs = scene.runs(&connection).await;
        assert_eq!(runs.len(), 2, "{runs:?}");
        assert!(runs[1].reason == "reconciliation" && runs[1].started_at > changed_at, "{runs:?}");
        let missed = logged(scene, &connection, "notification_missed");
        assert_eq!((missed.len(), &missed[0]["channel_id"]), (1, &json!(dead)), "{missed:?}");

        let answer = sweep(scene).await.body;
        assert_eq!(answer["renewed"], json!(u8::from(is_replaced)), "{age}: {answer}");
        let row = scene.settled(&connection).await;
        assert_eq!(row["webhook_id"] != json!(dead), is_replaced, "{age}: {row}");
        // A new channel alone is no reason for a run: a look shows that nothing changed.
        assert_eq!(scene.runs(&connection).await.len(), 2);
        if is_replaced {
            scene.let_an_hour_pass(&connection).await;
            scene.change(&connection).await;
            scene.until_runs(&connection, 3).await;
            assert_eq!(scene.runs(&connection).await[2].reason, "calendar_changed");
        }
        scene.clear().await.unwrap();
    }
}

async fn a_consent_that_was_revoked_in_silence_is_noticed_by_a_look(scene: &mut Scene) {
    let scene = &*scene;
    let connection = opened(scene).await;
    scene.google_control("revoke", json!({ "email": connection.email })).await;
    sweep(scene).await;
    assert_eq!(scene.status(&connection).await["status"], "active");

    scene.set(&connection, LOOK_IS_DUE).await;
    let answer = sweep(scene).await.body;
    assert_eq!((&answer["looked"], &answer["reconciled"]), (&json!(1), &json!(0)), "{answer}");
    let row = scene.row(&connection).await;
    assert_eq!(
        (&row["webhook_error"], &row["webhook_error_reason"]),
        (&json!("reconnect_required"), &json!("invalid_grant"))
    );
    let shown = scene.status(&connection).await;
    assert_eq!(
        (&shown["status"], &shown["webhook_error_reason"]),
        (&json!("reconnect_required"), &json!("invalid_grant"))
    );
    assert_eq!(scene.runs(&connection).await.len(), 1);
    let events = "select event, reason, detail from calendar_connection_events
                    where connection_id = $1 and event = 'broken'";
    let events = scene.sql(events, &[&connection.id]).await.unwrap();
    assert_eq!(events.len(), 1);
    let told = |column| events[0].get::<_, Option<&str>>(column);
    assert_eq!((told(1), told(2)), (Some("reconnect_required"), Some("invalid_grant")));

    // Nobody is asked again before its time.
    let asked = scene.asked_google(&connection, "list").await;
    scene.set(&connection, LOOK_IS_DUE).await;
    let answer = sweep(scene).await.body;
    assert_eq!((&answer["looked"], &answer["renewed"]), (&json!(0), &json!(0)), "{answer}");
    assert_eq!(scene.asked_google(&connection, "list").await, asked);
}

async fn a_run_that_is_owed_waits_for_a_new_consent(scene: &mut Scene) {
    let scene = &*scene;
    // What tells that the consent is dead: a due look before the change, or the run that the change asks for.
    for by_look in [true, false] {
        let connection = opened(scene).await;
        scene.google_control("revoke", json!({ "email": connection.email })).await;
        if by_look {
            scene.set(&connection, LOOK_IS_DUE).await;
            sweep(scene).await;
        } else {
            scene.set(&connection, "expires_at = now() - interval '1 hour'").await;
        }
        notify(scene, &connection, 2).await;
        let owed = scene.row_where(&connection, "a dead consent and a released lease", |row| {
            row["webhook_error"] == "reconnect_required" && is_epoch(&row["sync_lease_until"])
        });
        let owed = owed.await;
        assert!(owed["sync_request_id"].is_string(), "{owed}");
        for _ in 0..2 {
            let answer = sweep(scene).await.body;
            assert_eq!((&answer["synced"], &answer["remaining"]), (&json!(0), &json!(0)), "{answer}");
        }
        let waiting = scene.row(&connection).await;
        assert_eq!(waiting["sync_request_id"], owed["sync_request_id"]);
        assert_eq!(scene.runs(&connection).await.len(), 1);

        scene.reconnect(&connection, json!({})).await.unwrap();
        let reconnected_at = ago(0);
        let answer = sweep(scene).await.body;
        assert_eq!(answer["renewed"], 1, "{answer}");
        scene.until_run_after(&connection, reconnected_at).await;
        let row = scene.settled(&connection).await;
        assert_eq!((&row["webhook_error"], &row["webhook_error_reason"]), (&Value::Null, &Value::Null));
        assert_eq!(scene.status(&connection).await["status"], "active");
        let runs = scene.runs(&connection).await;
        assert!(runs.iter().all(|run| run.succeeded() && !run.overlapped), "{runs:?}");
        scene.clear().await.unwrap();
    }
}

async fn a_calendar_of_thousands_of_events_is_looked_at_page_by_page(scene: &mut Scene) {
    const EVENTS: usize = 2_600;
    const PAGES: usize = 11;
    let scene = &*scene;
    let connection = scene.connection().await;
    let filled = json!({ "email": connection.email, "events": EVENTS, "from": "2130-01-01T00:00:00Z" });
    scene.google_control("events", filled).await;
    scene.open_channel(&connection).await;
    let seen = scene.row(&connection).await["sync_seen"].clone();
    assert!(seen.is_string(), "{seen}");

    let look = async || {
        scene.let_an_hour_pass(&connection).await;
        scene.set(&connection, LOOK_IS_DUE).await;
        let before = scene.asked_google(&connection, "list").await;
        let answer = sweep(scene).await.body;
        assert_eq!((&answer["looked"], &answer["failed"]), (&json!(1), &json!([])), "{answer}");
        assert_eq!(scene.asked_google(&connection, "list").await, before + PAGES);
        answer["reconciled"].clone()
    };
    assert_eq!(look().await, 0);
    let row = scene.row(&connection).await;
    assert_eq!((&row["sync_seen"], scene.runs(&connection).await.len()), (&seen, 1));
    assert!(seconds_ahead(&row["last_sync_at"]) > -60.0, "{row}");
    assert_between(seconds_ahead(&row["sync_look_at"]), 5.3 * 3600.0, 6.7 * 3600.0, "the next look");

    scene.change_silently(&connection).await;
    assert_eq!(look().await, 1);
    let row = scene.row(&connection).await;
    assert!(row["sync_seen"].is_string() && row["sync_seen"] != seen, "{row}");
    assert_eq!(scene.runs(&connection).await.len(), 2);
    assert_eq!(look().await, 0);
}

async fn a_calendar_without_push_is_synced_by_looks(scene: &mut Scene) {
    let scene = &*scene;
    let connection = scene.connection().await;
    let without_push = json!({ "email": connection.email, "id": connection.email, "push": false });
    scene.google_control("calendars", without_push).await;
    let answer = scene.call(SETUP, Caller::Service, connection.target()).await;
    assert_eq!(answer.outcome(), (422, "push_not_supported"));
    // Nobody looks while a channel may be about to be opened.
    scene.set(&connection, "webhook_lease_until = 'epoch'").await;

    let look = async || {
        scene
            .set(&connection, &format!("{LOOK_IS_DUE}, last_sync_at = last_sync_at - interval '15 minutes'"))
            .await;
        let looked_at = ago(0);
        let answer = sweep(scene).await.body;
        assert_eq!((&answer["looked"], &answer["failed"]), (&json!(1), &json!([])), "{answer}");
        let row = scene.row(&connection).await;
        assert_between(seconds_ahead(&row["sync_look_at"]), 12.5 * 60.0, 17.0 * 60.0, "the next look");
        assert!(time(&row["last_sync_at"]) >= looked_at, "{row}");
        let shown = scene.status(&connection).await;
        assert_eq!(
            (&shown["status"], &shown["sync_status"]),
            (&json!("unsupported"), &json!("idle")),
            "{shown}"
        );
        assert_eq!(shown["last_sync_at"], row["last_sync_at"]);
        scene.runs(&connection).await.len()
    };
    // Nothing is known of the calendar at first.
    assert_eq!(look().await, 1);
    assert_eq!(look().await, 1);
    let changed_at = scene.change(&connection).await;
    assert_eq!(look().await, 2);
    let run = scene.runs(&connection).await.remove(1);
    assert!(run.reason == "reconciliation" && run.started_at > changed_at, "{run:?}");
    assert_eq!(look().await, 2);
    assert_eq!(logged(scene, &connection, "notification_missed"), [] as [Value; 0]);

    scene.behave(&connection, json!({ "status": 500, "times": 1 })).await;
    scene.change(&connection).await;
    scene.set(&connection, LOOK_IS_DUE).await;
    sweep(scene).await;
    let shown = scene.status(&connection).await;
    assert_eq!(
        (&shown["status"], &shown["sync_status"]),
        (&json!("unsupported"), &json!("failing")),
        "{shown}"
    );
}

async fn a_run_finds_a_token_that_is_good_for_five_minutes(scene: &Scene) {
    let rows = [
        ("dead for an hour", ("-1 hour", true)),
        ("good for four minutes", ("4 minutes", true)),
        ("good for ten minutes", ("10 minutes", false)),
    ];
    each(rows, |(left, is_renewed)| async move {
        let connection = opened(scene).await;
        // The app needs the token, and renews none itself.
        plan_sessions(scene, &connection, 1).await;
        if is_renewed {
            scene.set(&connection, "access_token = 'ya29.not-valid-any-more'").await;
        }
        scene.set(&connection, &format!("expires_at = now() + interval '{left}'")).await;
        let tokens = scene.asked_google(&connection, "token").await;
        scene.behave(&connection, json!({ "delay_ms": 1500, "times": 1 })).await;
        notify(scene, &connection, 2).await;
        let run = until("a run that has started", || async { scene.runs(&connection).await.get(1).cloned() });
        let run = run.await;
        let row = scene.row(&connection).await;
        let good_for = (time(&row["expires_at"]) - run.started_at).as_seconds_f64();
        assert!(good_for >= 300.0, "{left}: {good_for} s");
        let list = Connection {
            calendar_token: row["access_token"].as_str().unwrap().to_owned(),
            ..connection.clone()
        };
        let answer = scene.calendar(reqwest::Method::GET, &list, "").send().await.unwrap();
        assert!(answer.status().is_success(), "{left}: {answer:?}");
        scene.until_runs(&connection, 2).await;
        assert!(scene.runs(&connection).await[1].succeeded(), "{left}");
        assert_eq!(
            scene.asked_google(&connection, "token").await - tokens,
            usize::from(is_renewed),
            "{left}"
        );
    })
    .await;
}

async fn a_token_endpoint_that_is_down_costs_no_run(scene: &Scene) {
    let rows = [
        ("unavailable", json!({ "operation": "token", "status": 503, "times": null })),
        ("cut", json!({ "operation": "token", "status": 0, "times": null })),
    ];
    each(rows, |fault| async move {
        let connection = opened(scene).await;
        scene.fault(&connection, fault).await;
        scene.set(&connection, "expires_at = now() - interval '1 hour'").await;
        notify(scene, &connection, 2).await;
        scene.until_runs(&connection, 2).await;
        let row = scene.row(&connection).await;
        assert_eq!((&row["webhook_error"], &row["sync_error"]), (&Value::Null, &Value::Null));
        assert_eq!(scene.status(&connection).await["status"], "active");
    })
    .await;
}

fn touches(connection: &Connection) -> impl Fn(&Asked) -> bool + Send + Sync + Clone + use<> {
    let (id, hash) = (connection.id.to_string(), connection.token_hash.clone());
    move |asked| asked.is_rest() && (asked.uri.contains(&id) || asked.uri.contains(&hash))
}

async fn a_notification_that_may_be_an_echo_is_answered_after_one_database_request(scene: &Scene) {
    let connection = opened(scene).await;
    // Whatever else this notification leads to: a new token, a look, a run.
    scene.set(&connection, "last_sync_at = now(), sync_seen = null, expires_at = now()").await;
    let tap = &scene.backdrop.tap;
    let asked = |what: &dyn Fn(&Asked) -> bool| tap.asked(what).len();
    let before = asked(&touches(&connection));
    let google = async || {
        let token = scene.asked_google(&connection, "token").await;
        token + scene.asked_google(&connection, "list").await
    };
    let calls = google().await;
    // The first request is let through, the second one only once Google is answered.
    let first = std::sync::atomic::AtomicBool::new(true);
    let touches_connection = touches(&connection);
    let held = tap.hold(move |asked| {
        touches_connection(asked) && !first.swap(false, std::sync::atomic::Ordering::Relaxed)
    });
    notify(scene, &connection, 2).await;
    held.reached().await;
    let made = tap.asked(touches(&connection)).split_off(before);
    assert!(made.len() == 2 && made.iter().all(|asked| asked.method == "PATCH"), "{:?}", made[0].uri);
    assert!(made[0].uri.contains("webhook_message_number=lt.2"), "{}", made[0].uri);
    assert!(made[0].json()["webhook_notified_at"].is_string(), "{}", made[0].json());
    assert_eq!(google().await, calls, "nothing is asked of Google before");
    held.release();
    scene.until_runs(&connection, 2).await;
    assert_eq!(google().await, calls + 2);
    let row = scene.row(&connection).await;
    assert!(seconds_ahead(&row["webhook_notified_at"]) > -60.0, "{row}");
}

async fn the_button_during_a_run_leads_to_another_one_whatever_the_calendar_is_like(scene: &Scene) {
    let user = scene.user().await;
    let connection = scene.connection_of(user.id).await;
    scene.open_channel(&connection).await;
    let changes = "webhook_opened_at = now() - interval '1 minute', last_sync_at = now(), sync_seen = null";
    scene.set(&connection, changes).await;
    scene.behave(&connection, json!({ "delay_ms": 2500, "times": 1 })).await;
    // It is looked at before this run, and is the same ever after.
    notify(scene, &connection, 100).await;
    until("a run that has started", || async { (scene.runs(&connection).await.len() == 2).then_some(()) })
        .await;
    let pressed_at = ago(0);
    let answer = scene.call(REFRESH, Caller::User(&user), "").await;
    assert_eq!(answer.connections()[0]["status"], "active");
    scene.until_run_after(&connection, pressed_at).await;
    scene.settled(&connection).await;
    let runs = scene.runs(&connection).await;
    assert!(runs[1].started_at < pressed_at && runs[1].succeeded(), "{runs:?}");
    assert!(runs.iter().all(|run| !run.overlapped), "{runs:?}");
}

async fn the_channel_of_a_deleted_row_is_stopped(scene: &mut Scene) {
    let scene = &*scene;
    let owners = "create table public.owners (id uuid primary key)";
    scene.sql(owners, &[]).await.unwrap();
    let cascade = "alter table public.calendar_connections add constraint of_an_owner
                     foreign key (user_id) references public.owners (id) on delete cascade not valid";
    for by_cascade in [false, true] {
        let connection = scene.connection().await;
        scene.open_channel(&connection).await;
        let channel = scene.row(&connection).await["webhook_id"].as_str().unwrap().to_owned();
        if by_cascade {
            scene.sql("insert into public.owners values ($1)", &[&connection.user]).await.unwrap();
            scene.sql(cascade, &[]).await.unwrap();
            scene.sql("delete from public.owners where id = $1", &[&connection.user]).await.unwrap();
        } else {
            scene.sql("delete from calendar_connections where id = $1", &[&connection.id]).await.unwrap();
        }
        assert!(scene.row_by_id(connection.id).await.is_none(), "{by_cascade}");
        let kept = async || {
            let farewells = "select count(*) from calendar_webhook_farewells where connection_id = $1";
            scene.sql(farewells, &[&connection.id]).await.unwrap()[0].get::<_, i64>(0)
        };
        assert_eq!((kept().await, scene.live_channels(&connection).await), (1, vec![channel.clone()]));
        sweep(scene).await;
        assert_eq!(scene.channel(&connection, &channel).await.state, "stopped");
        assert_eq!(kept().await, 0);
        // Google may still say something.
        scene.speak(&connection, &channel).await;
        until("Google's word is answered", || async {
            scene.answers(&channel).await.last().copied().flatten().filter(|status| *status == 404)
        })
        .await;
    }
    scene.sql("drop table public.owners cascade", &[]).await.unwrap();
}
