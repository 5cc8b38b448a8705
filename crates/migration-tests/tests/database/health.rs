//! What `calendar_webhook_health` counts.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::project::Caller::Service;
use crate::project::Outcome::Rows;
use crate::project::Project;

type Columns<'a> = &'a [(&'a str, &'a str)];

/// A connection that is well; values are SQL.
const WELL: Columns<'_> = &[
    ("user_id", "gen_random_uuid()"),
    ("provider", "'google'"),
    ("webhook_id", "'channel'"),
    ("webhook_confirmed_id", "'channel'"),
    ("webhook_opened_at", "now() - interval '10 days'"),
    ("webhook_expiration", "now() + interval '20 days'"),
    ("webhook_not_before", "now() + interval '18 days'"),
    ("last_sync_at", "'2026-01-01'"),
    ("sync_look_at", "now() + interval '1 hour'"),
];

const OWED: (&str, &str) = ("sync_request_id", "gen_random_uuid()");
const LOOK: (&str, &str) = ("sync_look_at", "now() - interval '1 second'");
const PAUSED: (&str, &str) = ("sync_enabled", "false");
const DISCONNECTED: (&str, &str) = ("is_active", "false");

/// Adds a connection that is well but for `different`.
async fn add(project: &Project, different: Columns<'_>) {
    let values: BTreeMap<_, _> = WELL.iter().chain(different).copied().collect();
    let columns: Vec<_> = values.keys().copied().collect();
    let values: Vec<_> = values.values().copied().collect();
    project
        .sql(&format!(
            "insert into public.calendar_connections ({}) values ({})",
            columns.join(", "),
            values.join(", ")
        ))
        .await;
}

async fn health(project: &Project) -> Map<String, Value> {
    let rows = project.select(Service, "select * from public.calendar_webhook_health").await;
    let [Value::Object(row)] = rows.as_slice() else { panic!("not one row: {rows:?}") };
    row.clone()
}

/// How the answer differs from that about no connection at all, but for the clock.
async fn difference(project: &Project) -> Value {
    let mut row = health(project).await;
    row.remove("checked_at");
    for age in ["oldest_owed_age", "oldest_due_look_age", "oldest_due_run_age", "oldest_due_renewal_age"] {
        row.remove(age);
    }
    let nothing = json!({
        "connections": {}, "owed_runs": 0, "oldest_owed_since": null, "failing_runs": {}, "failing_renewals": {},
        "expiring_1h": 0, "expiring_24h": 0, "expiring_48h": 0, "unconfirmed": 0, "last_success_at": null,
        "schedule": null, "last_sweep": null, "due_looks": 0, "due_runs": 0, "due_renewals": 0,
    });
    let nothing = nothing.as_object().unwrap();
    assert_eq!(row.keys().collect::<Vec<_>>(), nothing.keys().collect::<Vec<_>>());
    row.retain(|name, value| nothing[name] != *value);
    row.into()
}

#[tokio::test]
async fn it_has_exactly_one_row_of_the_documented_columns() {
    let project = Project::migrated().await;
    let columns: BTreeMap<String, String> = project
        .map(
            "select attname::text, format_type(atttypid, atttypmod) from pg_attribute
             where attrelid = 'public.calendar_webhook_health'::regclass and attnum > 0",
        )
        .await;
    let expected = [
        ("checked_at", "timestamp with time zone"),
        ("connections", "jsonb"),
        ("owed_runs", "bigint"),
        ("oldest_owed_since", "timestamp with time zone"),
        ("oldest_owed_age", "interval"),
        ("failing_runs", "jsonb"),
        ("failing_renewals", "jsonb"),
        ("expiring_1h", "bigint"),
        ("expiring_24h", "bigint"),
        ("expiring_48h", "bigint"),
        ("unconfirmed", "bigint"),
        ("last_success_at", "timestamp with time zone"),
        ("schedule", "jsonb"),
        ("last_sweep", "jsonb"),
        ("due_looks", "bigint"),
        ("oldest_due_look_age", "interval"),
        ("due_runs", "bigint"),
        ("oldest_due_run_age", "interval"),
        ("due_renewals", "bigint"),
        ("oldest_due_renewal_age", "interval"),
    ];
    assert_eq!(columns, expected.map(|(name, kind)| (name.to_owned(), kind.to_owned())).into());
    assert_eq!(difference(&project).await, json!({}));
    assert_eq!(health(&project).await["oldest_owed_age"], Value::Null);
}

#[tokio::test]
async fn each_kind_of_connection_is_counted_where_it_belongs() {
    let project = Project::migrated().await;
    let well = json!({ "connections": { "active": 1 }, "last_success_at": "2026-01-01T00:00:00+00:00" });
    let also = |more: Value| {
        let mut all = well.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let status = |status: &str| json!({ "connections": { status: 1 } });
    let since = "2026-01-02T00:00:00+00:00";
    let owed_since = ("sync_owed_since", "'2026-01-02'");
    let expires = |text: &'static str| ("webhook_expiration", text);
    let dead = |code: &'static str| ("webhook_error", code);
    let consent_is_dead = |code: &str| {
        also(json!({ "connections": { "reconnect_required": 1 }, "failing_renewals": { code: 1 } }))
    };
    let soon = "now() + interval '59 minutes'";
    let silent = [("webhook_confirmed_id", "null"), ("webhook_opened_at", "now() - interval '6 minutes'")];
    let cases: Vec<(Vec<(&str, &str)>, Value)> = vec![
        (vec![], well.clone()),
        (vec![("last_sync_at", "null")], json!({ "connections": { "active": 1 } })),
        // Owed runs.
        (vec![OWED, owed_since], also(json!({ "owed_runs": 1, "due_runs": 1, "oldest_owed_since": since }))),
        (vec![("webhook_not_before", "now() - interval '1 second'")], also(json!({ "due_renewals": 1 }))),
        (
            vec![OWED, owed_since, ("sync_error", "'recalculate_401'")],
            also(
                json!({ "owed_runs": 1, "due_runs": 1, "oldest_owed_since": since, "failing_runs": { "recalculate_401": 1 } }),
            ),
        ),
        (vec![("sync_error", "'recalculate_401'")], well.clone()),
        (
            vec![OWED, owed_since, ("sync_enabled", "null")],
            also(json!({ "owed_runs": 1, "due_runs": 1, "oldest_owed_since": since })),
        ),
        // Owed, but not due: backed off, or going on.
        (
            vec![OWED, owed_since, ("sync_not_before", "now() + interval '1 minute'")],
            also(json!({ "owed_runs": 1, "oldest_owed_since": since })),
        ),
        (
            vec![OWED, owed_since, ("sync_lease_until", "now() + interval '1 minute'")],
            also(json!({ "owed_runs": 1, "oldest_owed_since": since })),
        ),
        // Until the consent is given anew, nothing is done for the connection but its daily renewal.
        (vec![OWED, owed_since, LOOK, dead("'reconnect_required'")], consent_is_dead("reconnect_required")),
        (vec![OWED, owed_since, dead("'permission_missing'")], consent_is_dead("permission_missing")),
        (vec![LOOK, dead("'blocked_by_policy'")], consent_is_dead("blocked_by_policy")),
        (vec![LOOK, dead("'permission_missing'")], consent_is_dead("permission_missing")),
        // A look is due.
        (vec![LOOK], also(json!({ "due_looks": 1 }))),
        (vec![("sync_look_at", "now() + interval '1 second'")], well.clone()),
        (vec![LOOK, ("sync_enabled", "null")], also(json!({ "due_looks": 1 }))),
        (
            vec![LOOK, ("webhook_error", "'push_not_supported'"), ("webhook_id", "null")],
            also(json!({
                "connections": { "unsupported": 1 }, "failing_renewals": { "push_not_supported": 1 },
                "due_looks": 1,
            })),
        ),
        (
            vec![LOOK, OWED, owed_since],
            also(json!({ "owed_runs": 1, "due_runs": 1, "oldest_owed_since": since })),
        ),
        (vec![LOOK, PAUSED], also(status("paused"))),
        (vec![LOOK, DISCONNECTED], also(status("disconnected"))),
        (vec![LOOK, ("provider", "'outlook'")], json!({})),
        // Runs that nobody makes are owed to nobody.
        (vec![OWED, owed_since, PAUSED, ("sync_error", "'recalculate_401'")], also(status("paused"))),
        (
            vec![OWED, owed_since, DISCONNECTED, ("sync_error", "'recalculate_401'")],
            also(status("disconnected")),
        ),
        (vec![OWED, owed_since, ("is_active", "null")], also(status("disconnected"))),
        // Failing renewals, with and without a channel that is still open.
        (
            vec![("webhook_error", "'google_rate_limited'")],
            also(json!({ "failing_renewals": { "google_rate_limited": 1 } })),
        ),
        (
            vec![("webhook_error", "'google_api_disabled'"), ("webhook_id", "null")],
            also(
                json!({ "connections": { "not_set_up": 1 }, "failing_renewals": { "google_api_disabled": 1 } }),
            ),
        ),
        (
            vec![("webhook_error", "'reconnect_required'")],
            also(json!({
                "connections": { "reconnect_required": 1 }, "failing_renewals": { "reconnect_required": 1 },
            })),
        ),
        (
            vec![("webhook_error", "'calendar_not_found'")],
            also(
                json!({ "connections": { "unsupported": 1 }, "failing_renewals": { "calendar_not_found": 1 } }),
            ),
        ),
        (vec![("webhook_error", "'google_unavailable'"), PAUSED], also(status("paused"))),
        (vec![("webhook_error", "'google_unavailable'"), DISCONNECTED], also(status("disconnected"))),
        // Expiring channels.
        (vec![expires("now() + interval '49 hours'")], well.clone()),
        (vec![expires("now() + interval '47 hours'")], also(json!({ "expiring_48h": 1 }))),
        (
            vec![expires("now() + interval '23 hours'")],
            also(json!({ "connections": { "expiring": 1 }, "expiring_24h": 1, "expiring_48h": 1 })),
        ),
        (
            vec![expires(soon)],
            also(json!({
                "connections": { "expiring": 1 }, "expiring_1h": 1, "expiring_24h": 1, "expiring_48h": 1,
            })),
        ),
        (vec![expires("now() - interval '1 second'")], also(status("expired"))),
        (vec![expires("null")], also(status("expired"))),
        (vec![expires("'infinity'")], well.clone()),
        (vec![expires(soon), PAUSED], also(status("paused"))),
        (vec![expires(soon), DISCONNECTED], also(status("disconnected"))),
        // Silent ones.
        (silent.to_vec(), also(json!({ "connections": { "unconfirmed": 1 }, "unconfirmed": 1 }))),
        (vec![silent[0], ("webhook_opened_at", "now() - interval '4 minutes'")], well.clone()),
        ([&silent[..], &[PAUSED]].concat(), also(status("paused"))),
        // Other providers' connections do not count.
        (
            vec![("provider", "'outlook'"), OWED, owed_since, expires(soon), ("webhook_error", "'x'")],
            json!({}),
        ),
    ];
    for (different, expected) in &cases {
        add(&project, different).await;
        assert_eq!(difference(&project).await, *expected, "{different:?}");
        project.sql("delete from public.calendar_connections").await;
    }

    // All at once: the numbers add up.
    for (different, _) in &cases {
        add(&project, different).await;
    }
    let mut total = Map::new();
    for (_, expected) in &cases {
        for (name, value) in expected.as_object().unwrap() {
            let sum = total.entry(name.clone()).or_insert(json!({}));
            match value {
                Value::Object(counts) => {
                    for (key, count) in counts {
                        sum[key] = json!(sum[key].as_u64().unwrap_or(0) + count.as_u64().unwrap());
                    }
                }
                Value::Number(count) => *sum = json!(sum.as_u64().unwrap_or(0) + count.as_u64().unwrap()),
                other => *sum = other.clone(),
            }
        }
    }
    assert_eq!(difference(&project).await, Value::Object(total));
}

#[tokio::test]
async fn the_oldest_owed_run_and_the_newest_success_are_told() {
    let project = Project::migrated().await;
    for (owed, success) in [(60, 50), (3600, 3), (5, 40_000)] {
        let (owed, success) =
            (format!("now() - interval '{owed} s'"), format!("now() - interval '{success} s'"));
        add(&project, &[OWED, ("sync_owed_since", &owed), ("last_sync_at", &success)]).await;
    }
    // Neither counts: nobody waits for the one, and the other's is somebody else's.
    add(&project, &[OWED, PAUSED, ("sync_owed_since", "'2020-01-01'")]).await;
    add(&project, &[("provider", "'outlook'"), ("last_sync_at", "now()")]).await;
    let sql = "select jsonb_build_array(
                 extract(epoch from oldest_owed_age)::integer,
                 oldest_owed_since + oldest_owed_age = checked_at and checked_at = now(),
                 extract(epoch from checked_at - last_success_at)::integer)
               from public.calendar_webhook_health";
    let told: Value = project.value(sql, &[]).await;
    let (age, success) = (told[0].as_i64().unwrap(), told[2].as_i64().unwrap());
    assert!((3600..3700).contains(&age) && told[1] == true && (3..100).contains(&success), "{told}");
}

const SWEEP: &str = "duration_ms, renewed, stopped, synced, reconciled, failed, remaining";

#[tokio::test]
async fn the_newest_sweep_is_shown_and_those_of_a_week_ago_are_gone() {
    let project = Project::migrated().await;
    let insert = format!("insert into public.calendar_webhook_sweeps (finished_at, {SWEEP})");
    for (finished, kept) in [
        ("now() - interval '8 days'", 0),
        ("now() - interval '6 days 23 hours'", 1),
        ("now() - interval '7 days 1 minute'", 1),
        ("now()", 2),
    ] {
        let sql = format!("{insert} values ({finished}, 1, 2, 3, 4, 5, '[]', 6)");
        assert_eq!(project.act(Service, &sql, &[]).await, Rows(1));
        let rows: i64 = project.value("select count(*) from public.calendar_webhook_sweeps", &[]).await;
        assert_eq!(rows, kept, "{finished}");
    }
    let failed = json!([{ "connection_id": Uuid::from_u128(1), "code": "recalculate_500" }]);
    let sql = format!("insert into public.calendar_webhook_sweeps ({SWEEP}) values (812, 1, 2, 3, 4, $1, 5)");
    assert_eq!(project.act(Service, &sql, &[&failed]).await, Rows(1));
    let mut sweep = health(&project).await.remove("last_sweep").unwrap();
    let finished: String = serde_json::from_value(sweep["finished_at"].take()).unwrap();
    let recent: bool = project
        .value("select $1::text::timestamptz between now() - interval '1 min' and now()", &[&finished])
        .await;
    assert!(recent, "{finished}");
    let expected = json!({
        "id": 5, "finished_at": null, "duration_ms": 812, "renewed": 1, "stopped": 2, "synced": 3, "reconciled": 4,
        "failed": failed, "remaining": 5, "looked": 0, "settled": 0, "missed": 0, "oldest_due_look_age": null,
        "oldest_due_run_age": null,
    });
    assert_eq!(sweep, expected);
}

/// In seconds, as health tells it now and as the newest sweep has noted it.
async fn oldest(project: &Project) -> [Option<i32>; 4] {
    let seconds = async |from: &str| {
        let sql = format!(
            "select array[extract(epoch from oldest_due_look_age), extract(epoch from oldest_due_run_age)]::integer[]
             from {from}"
        );
        project.value::<Vec<Option<i32>>>(&sql, &[]).await
    };
    let mut ages = seconds("public.calendar_webhook_health").await;
    ages.extend(seconds("public.calendar_webhook_sweeps order by id desc limit 1").await);
    ages.try_into().unwrap()
}

#[tokio::test]
async fn health_and_each_sweep_tell_for_how_long_the_oldest_look_and_run_have_been_due() {
    let project = Project::migrated().await;
    let sweep = format!(
        "insert into public.calendar_webhook_sweeps ({SWEEP}, looked, settled, missed)
         values (812, 1, 2, 3, 4, '[]', 5, 6, 7, 8)"
    );
    assert_eq!(project.act(Service, &sweep, &[]).await, Rows(1));
    assert_eq!(oldest(&project).await, [None; 4]);
    let told = "select jsonb_build_array(looked, settled, missed) from public.calendar_webhook_sweeps";
    assert_eq!(project.value::<Value>(told, &[]).await, json!([6, 7, 8]));

    let ago = |seconds: u32| format!("now() - interval '{seconds} s'");
    for (look, owed, not_before) in
        [(100, 5_000, "'epoch'".to_owned()), (7_000, 40, "'epoch'".to_owned()), (3, 90_000, ago(60))]
    {
        add(&project, &[("sync_look_at", &ago(look))]).await;
        let due = [OWED, ("sync_owed_since", &ago(owed)), ("sync_not_before", &not_before)];
        add(&project, &due).await;
    }
    // None of these counts: they wait for a person, for a time, or for nothing.
    let dead = ("webhook_error", "'permission_missing'");
    let (long_ago, owed) = (("sync_look_at", "'2020-01-01'"), ("sync_owed_since", "'2020-01-01'"));
    for different in [
        &[long_ago, dead][..],
        &[long_ago, PAUSED],
        &[OWED, owed, dead],
        &[OWED, owed, PAUSED],
        &[OWED, owed, ("sync_not_before", "now() + interval '1 hour'")],
    ] {
        add(&project, different).await;
    }
    assert_eq!(project.act(Service, &sweep, &[]).await, Rows(1));
    let [look, run, swept_look, swept_run] = oldest(&project).await.map(Option::unwrap);
    assert!((7_000..7_060).contains(&look) && (5_000..5_060).contains(&run), "{look} {run}");
    assert!((7_000..7_060).contains(&swept_look) && (5_000..5_060).contains(&swept_run));
}
