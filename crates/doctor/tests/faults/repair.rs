//! `--fix`.

use serde_json::{Value, json};

use crate::case::cases;
use crate::world::World;

cases! {
    fix_puts_right_what_is_broken_and_leaves_alone_what_is_not,
    fix_sweeps_where_nobody_does,
    fix_changes_nothing_without_a_yes,
}

async fn fix_puts_right_what_is_broken_and_leaves_alone_what_is_not(world: &mut World) {
    let (well, paused) = (world.open().await, world.open().await);
    world.set(&paused, "sync_enabled = false").await;
    let (fresh, expired, failing) = (world.connection().await, world.open().await, world.open().await);
    world
        .set(
            &expired,
            "webhook_expiration = now() - interval '1 minute', webhook_opened_at = now() - interval '1 day'",
        )
        .await;
    world
        .set(
            &failing,
            "sync_request_id = gen_random_uuid(), sync_error = 'recalculate_401', sync_attempts = 1, \
             sync_not_before = now() + interval '1 hour', webhook_opened_at = now() - interval '1 day'",
        )
        .await;
    let before = channels(world, [well.id, paused.id].as_slice()).await;
    let report = world.run(&["--fix", "--yes", "--json"], &[]).await;
    assert_eq!(report.code, 0, "{}", report.text);
    let report: Value = serde_json::from_str(&report.text).unwrap();
    let mut repairs = report["repairs"].as_array().unwrap().clone();
    repairs.sort_by_key(Value::to_string);
    let mut expected = [
        ("setup-calendar-webhook", fresh.id),
        ("refresh-calendar-webhook", expired.id),
        ("refresh-calendar-webhook", failing.id),
    ]
    .map(|(function, id)| json!({ "function": function, "connection_id": id, "status": 200, "code": null }));
    expected.sort_by_key(Value::to_string);
    assert_eq!(repairs, expected);
    for connection in [&fresh, &expired, &failing] {
        world.wait(connection, "webhook_expiration > now() and sync_request_id is null").await;
    }
    assert_eq!(channels(world, [well.id, paused.id].as_slice()).await, before);
}

async fn channels(world: &World, ids: &[uuid::Uuid]) -> Vec<Option<String>> {
    let sql = "select webhook_id from calendar_connections where id = any($1) order by id";
    world.project.sql(sql, &[&ids]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

async fn fix_sweeps_where_nobody_does(world: &mut World) {
    world.open().await;
    world.sql("delete from calendar_webhook_sweeps").await;
    let report = world.run(&["--fix", "--yes"], &[]).await;
    assert!(report.text.contains("\n✓ make one sweep now (refresh-calendar-webhook)\n"), "{}", report.text);
    assert!(report.text.contains("\nAfterwards:\n"), "{}", report.text);
}

async fn fix_changes_nothing_without_a_yes(world: &mut World) {
    let connection = world.connection().await;
    let report = world.run(&["--fix"], &[]).await;
    assert_eq!(report.code, 2, "{}", report.text);
    assert!(report.text.contains("no terminal to ask on: add --yes"), "{}", report.text);
    let report = world.run(&["--fix", "--json"], &[]).await;
    assert_eq!(report.code, 2, "{}", report.text);
    world.wait(&connection, "webhook_id is null and webhook_attempts = 0").await;
}
