//! What looks cost: measured and printed. The limits are far above what is measured, for machines differ.

#![allow(clippy::disallowed_macros, reason = "what is measured is printed")]

use std::fs;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{Caller, Connection, REFRESH};
use tokio::time::Instant;
use uuid::Uuid;

use crate::case::cases;
use crate::scene::Scene;
use crate::standalone::Standalone;

cases! {
    shared: [],
    alone: [
        a_full_sweep_stays_below_the_cpu_that_a_worker_has,
        a_look_costs_a_request_for_each_page,
    ],
}

/// A connection with a channel that nobody has to renew and a calendar that holds so many events.
async fn with_events(scene: &Scene, events: usize) -> Connection {
    let user = Uuid::new_v4();
    scene.makes_rows_of(user);
    let email = format!("{}@gmail.com", Uuid::new_v4().simple());
    let connection = scene.connect(user, &email, json!({})).await;
    let fill = json!({ "email": email, "events": events, "from": "2130-01-01T00:00:00Z" });
    scene.google_control("events", fill).await;
    let channel =
        "webhook_id = gen_random_uuid(), webhook_resource_id = 'resource', webhook_message_number = 1,
        webhook_expiration = now() + interval '20 days', webhook_opened_at = now() - interval '1 hour',
        webhook_not_before = now() + interval '18 days', last_sync_at = now() - interval '1 hour'";
    scene.set(&connection, channel).await;
    connection
}

async fn let_looks_be_due(scene: &Scene, connections: &[Connection]) {
    let ids: Vec<Uuid> = connections.iter().map(|connection| connection.id).collect();
    let due = "update calendar_connections set sync_look_at = now() - interval '1 second' where id = any($1)";
    scene.sql(due, &[&ids]).await.unwrap();
}

/// What a process has used of all processors so far, in user and kernel mode.
fn cpu_of(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("a process of Linux");
    let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
    let ticks = |field: usize| fields.split_whitespace().nth(field).unwrap().parse::<u64>().unwrap();
    // Ticks are hundredths of a second wherever Deno runs.
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}

struct Cost {
    cpu: Duration,
    took: Duration,
    swept: Value,
}

async fn sweep(scene: &Scene, function: &Standalone) -> Cost {
    let (before, started) = (cpu_of(function.process_id()), Instant::now());
    let answer = function.call(scene, Caller::Service, "{}").await;
    let took = started.elapsed();
    assert_eq!(answer.status, 200, "{}", answer.text);
    // The sweep's row in the table is written after the answer.
    tokio::time::sleep(Duration::from_millis(300)).await;
    Cost { cpu: cpu_of(function.process_id()) - before, took, swept: answer.body }
}

async fn a_full_sweep_stays_below_the_cpu_that_a_worker_has(scene: &mut Scene) {
    let scene = &*scene;
    let function = Standalone::start(scene, REFRESH, &[]).await;
    let idle = sweep(scene, &function).await;
    let connections = join_all((0..50).map(|_| with_events(scene, 300))).await;
    let_looks_be_due(scene, &connections).await;
    let first = sweep(scene, &function).await;
    let owed = sweep(scene, &function).await;
    let_looks_be_due(scene, &connections).await;
    let again = sweep(scene, &function).await;
    for (what, cost) in [
        ("the first sweep of a process, with nothing to do", &idle),
        ("calendars of 300 events that were never looked at", &first),
        ("what that left", &owed),
        ("the same calendars again, half of which are as they were", &again),
    ] {
        let Cost { cpu, took, swept } = cost;
        // No run starts after second 10, so that a busy machine makes fewer.
        let (looked, synced) = (&swept["looked"], &swept["synced"]);
        let kind = scene.backdrop.kind.name;
        println!("{kind}: {what}: {looked} looks, {synced} runs: {cpu:?} of CPU, {took:.2?}");
    }
    function.end(scene).await;
    assert_eq!(first.swept["looked"], 50, "{}", first.swept);
    assert!(first.cpu < Duration::from_secs(2), "{:?} of CPU", first.cpu);
}

async fn a_look_costs_a_request_for_each_page(scene: &mut Scene) {
    let scene = &*scene;
    let function = Standalone::start(scene, REFRESH, &[]).await;
    let calendars = [(300, 2, with_events(scene, 300).await), (5_000, 20, with_events(scene, 5_000).await)];
    // The first looks lead to runs, the others to nothing.
    let first = sweep(scene, &function).await.swept;
    assert_eq!((&first["looked"], &first["synced"]), (&json!(2), &json!(2)), "{first}");
    for (_, _, connection) in &calendars {
        let row = scene.row(connection).await;
        assert!(row["sync_seen"].is_string(), "{row}");
    }
    let mut idle = Vec::new();
    let mut looks = [Vec::new(), Vec::new()];
    for _ in 0..5 {
        idle.push(sweep(scene, &function).await);
        for ((_, pages, connection), looks) in calendars.iter().zip(&mut looks) {
            scene.set(connection, "sync_streak = 0").await;
            let_looks_be_due(scene, std::slice::from_ref(connection)).await;
            let before = scene.asked_google(connection, "list").await;
            let look = sweep(scene, &function).await;
            assert_eq!(
                (&look.swept["looked"], &look.swept["reconciled"]),
                (&json!(1), &json!(0)),
                "{}",
                look.swept
            );
            assert_eq!(scene.asked_google(connection, "list").await, before + pages);
            looks.push(look);
        }
    }
    let kind = scene.backdrop.kind.name;
    let median = |costs: &mut Vec<Cost>| {
        costs.sort_by_key(|cost| cost.took);
        let took = costs[costs.len() / 2].took;
        costs.sort_by_key(|cost| cost.cpu);
        (costs[costs.len() / 2].cpu, took)
    };
    let (cpu, took) = median(&mut idle);
    println!("{kind}: a sweep with nothing to do: {cpu:?} of CPU, {took:.2?}");
    for ((events, pages, connection), mut looks) in calendars.iter().zip(looks) {
        let (cpu, took) = median(&mut looks);
        let bytes = bytes_of_a_look(scene, connection, *pages).await;
        println!(
            "{kind}: a sweep with one look of {events} events: {cpu:?} of CPU, {took:.2?}; {pages} pages, {bytes} bytes"
        );
    }
    function.end(scene).await;
}

/// What Google answers to the last look, asked once more.
async fn bytes_of_a_look(scene: &Scene, connection: &Connection, pages: usize) -> usize {
    let requests: Vec<Value> = scene.google_list("requests").await;
    let lists = requests
        .iter()
        .filter(|request| request["operation"] == "list" && request["email"] == connection.email.as_str());
    let queries: Vec<&str> = lists.filter_map(|request| request["query"].as_str()).collect();
    let mut bytes = 0;
    for query in &queries[queries.len() - pages..] {
        let answer = scene.calendar(Method::GET, connection, &format!("?{query}")).send().await.unwrap();
        assert!(answer.status().is_success(), "{query}: {answer:?}");
        bytes += answer.bytes().await.unwrap().len();
    }
    bytes
}
