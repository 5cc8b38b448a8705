//! The migrations on a project that has had their first edition for a while.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::catalog::{catalog, rows};
use crate::project::Caller::{Service, User};
use crate::project::Outcome::{Denied, Rows};
use crate::project::{Project, message};

const USER: Uuid = Uuid::from_u128(7);

const ROWS: &str = "
insert into public.calendar_connections
    (user_id, refresh_token, is_active, sync_enabled, webhook_id, webhook_expiration, webhook_error, webhook_attempts,
     sync_request_id, last_sync_at, webhook_not_before)
  select case i when 0 then '00000000-0000-0000-0000-000000000007' else gen_random_uuid() end, 'refresh ' || i,
      i % 5 <> 4, i % 7 <> 6, 'channel-' || i, now() + interval '20 days',
      case i % 11 when 3 then 'reconnect_required' when 4 then 'google_unavailable' end, i % 3,
      case i % 13 when 0 then gen_random_uuid() end, '2026-01-01', '2030-01-01'
    from generate_series(0, 719) i;
insert into public.calendar_webhook_sweeps (duration_ms, renewed, stopped, synced, reconciled, failed, remaining)
  values (812, 1, 2, 3, 4, '[]', 5);";

async fn first_edition() -> Project {
    let project = Project::new().await;
    project.migrate_to_first_edition().await;
    project.sql(ROWS).await;
    project
}

const NEW: [&str; 5] =
    ["calendar_name", "sync_look_at", "sync_seen", "webhook_error_reason", "webhook_notified_at"];

#[tokio::test]
async fn every_row_keeps_what_it_had_and_is_looked_at_within_six_hours() {
    let project = first_edition().await;
    let before = rows(&project).await;
    project.migrate().await.unwrap();
    let after = rows(&project).await;
    for (before, after) in before.as_array().unwrap().iter().zip(after.as_array().unwrap()) {
        let (before, mut after) = (before.as_object().unwrap(), after.as_object().unwrap().clone());
        let new: Vec<_> = NEW.map(|column| after.remove(column).unwrap()).into();
        assert_eq!((&after, new.iter().filter(|value| value.is_null()).count()), (before, 4));
    }
    // Evenly, so that no sweep meets them all: in each of the six hours about a sixth.
    let hours = "select array_agg(rows::bigint order by hour) from (
        select width_bucket(extract(epoch from sync_look_at - now()), 0, 21600, 6) as hour, count(*) as rows
          from public.calendar_connections group by 1) as counted";
    let hours: Vec<i64> = project.value(hours, &[]).await;
    let hours: Vec<_> = hours.into_iter().filter(|rows| *rows > 5).collect();
    assert!(hours.len() == 6 && hours.iter().all(|rows| (70..180).contains(rows)), "{hours:?}");
    // Nobody did anything: nothing is told, and nothing is due that was not.
    let told: i64 = project.value("select count(*) from public.calendar_connection_events", &[]).await;
    assert_eq!(told, 0);
    let sweep = "select jsonb_build_array(duration_ms, looked, settled, missed, oldest_due_look_age)
                 from public.calendar_webhook_sweeps";
    assert_eq!(project.value::<Value>(sweep, &[]).await, json!([812, 0, 0, 0, null]));
    // What is inserted from now on is due now.
    project.sql("insert into public.calendar_connections (user_id) values (gen_random_uuid())").await;
    let due = "select count(*) from public.calendar_connections
               where webhook_id is null and sync_look_at between now() - interval '10 s' and now()";
    assert_eq!(project.value::<i64>(due, &[]).await, 1);
}

/// All that differs between two catalogs, but for the order of columns.
fn differences(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> Vec<String> {
    let names = one.keys().chain(other.keys()).collect::<std::collections::BTreeSet<_>>();
    names
        .into_iter()
        .filter(|name| one.get(*name) != other.get(*name))
        .map(|name| format!("{name}: {:?} {:?}", one.get(name), other.get(name)))
        .collect()
}

#[tokio::test]
async fn afterwards_everything_is_as_in_a_fresh_project_rights_included() {
    let project = first_edition().await;
    project.migrate().await.unwrap();
    let upgraded = catalog(&project).await;
    assert_eq!(differences(&upgraded, &catalog(&Project::migrated().await).await), [""; 0]);
    project.migrate().await.unwrap();
    assert_eq!(differences(&upgraded, &catalog(&project).await), [""; 0]);
}

/// By privileges on single columns, as the first edition's own table has them: what the view reads besides now is not
/// among them.
#[tokio::test]
async fn who_could_read_the_view_can_read_it_still() {
    let project = first_edition().await;
    project
        .sql(
            "create role reporting;
             grant usage on schema public to reporting;
             grant select on public.calendar_connection_status to reporting;
             grant select (id, user_id, calendar_id, provider, is_active, webhook_id, webhook_expiration,
                           webhook_opened_at, webhook_confirmed_id, webhook_message_number, webhook_error, sync_enabled,
                           sync_request_id, sync_error, last_sync_at) on public.calendar_connections to reporting;
             create policy reports on public.calendar_connections for select to reporting using (true);
             create view public.broken as select id from public.calendar_connection_status where status = 'expired'",
        )
        .await;
    let view = "select * from public.calendar_connection_status";
    for _ in 0..2 {
        assert_eq!(project.attempt(User(USER), view).await, Rows(1));
        assert_eq!(project.attempt(Service, view).await, Rows(720));
        project.sql(&format!("set role reporting; {view}; reset role")).await;
        project.migrate().await.unwrap();
    }
    let secret = "select sync_seen, sync_look_at from public.calendar_connections";
    assert_eq!(project.attempt(User(USER), secret).await, Denied);
    // What is taken away later stays away.
    project.sql("revoke select (calendar_name) on public.calendar_connections from authenticated").await;
    project.migrate().await.unwrap();
    assert_eq!(project.attempt(User(USER), view).await, Denied);
}

#[tokio::test]
async fn a_hosts_own_column_of_a_new_name_is_named_if_it_does_not_serve() {
    for (column, kind, problem) in [
        ("sync_look_at", "timestamptz", "sync_look_at is the name of a column that this migration adds"),
        ("sync_seen", "boolean", "sync_seen is boolean, not text"),
        ("calendar_name", "text not null default ''", "calendar_name does not take nulls"),
        ("webhook_notified_at", "bigint", "webhook_notified_at is bigint, not timestamp with time zone"),
    ] {
        let project = first_edition().await;
        project.sql(&format!("alter table public.calendar_connections add column {column} {kind}")).await;
        let before = catalog(&project).await;
        let error = message(&project.migrate().await.unwrap_err());
        assert!(error.contains(problem), "{error}");
        assert_eq!(catalog(&project).await, before);
        project.sql(&format!("alter table public.calendar_connections rename {column} to my_{column}")).await;
        for _ in 0..2 {
            project.migrate().await.unwrap();
        }
    }
}
