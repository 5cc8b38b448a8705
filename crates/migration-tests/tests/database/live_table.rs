//! The migration on a table that a host app has had for long.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::catalog::{catalog, rows};
use crate::project::Caller::{Service, User};
use crate::project::Outcome::{self, Rows};
use crate::project::{Project, message};

/// Extra columns, a generated one among them; names and order differ from a table of the migration's own. It is older than
/// October 2026, and has the privileges that Supabase granted then.
const TABLE: &str = "
create table public.calendar_connections (
  email text,
  provider text not null,
  refresh_token text,
  access_token text,
  calendar_id text,
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null,
  expires_at timestamptz,
  is_active boolean,
  created_at timestamptz default now(),
  updated_at timestamptz not null default now(),
  scopes text[] not null default '{}',
  label text generated always as (provider || ':' || coalesce(calendar_id, '')) stored
);
grant all on public.calendar_connections to anon, authenticated, service_role;";

const PUBLISHED_COLUMNS: &str = "
alter table public.calendar_connections
  add column webhook_id text,
  add column webhook_expiration timestamptz,
  add column sync_enabled boolean default true,
  add column last_sync_at timestamptz;";

const ROWS: &str = "
insert into public.calendar_connections
  (id, user_id, provider, refresh_token, access_token, calendar_id, is_active, email, scopes, updated_at)
select gen_random_uuid(), gen_random_uuid(), provider, refresh_token, 'access', calendar_id, is_active,
    'ada@example.com', '{calendar,email}', '2020-02-02'
  from unnest(array['google', 'outlook']) provider,
    unnest(array[null, '', '1//refresh', 'with a\nnewline', 'ünï-\u{1F511}', 'back\\slash ''quoted''']) refresh_token,
    unnest(array[null, 'primary', 'ada@example.com', '']) calendar_id,
    unnest(array[null, true, false]) is_active;";

/// Half of the rows have a channel that somebody else's code opened; two share one.
const FOREIGN_CHANNELS: &str = "
update public.calendar_connections set
    webhook_id = case when access_token = 'access' and calendar_id = 'primary' then 'shared'
                      else 'channel-' || id end,
    webhook_expiration = now() + interval '3 days', last_sync_at = '2021-01-01', sync_enabled = null
  where is_active;";

/// What belongs to the host, and stays as it is.
const RIGHTS: &str = r#"
create role reporting;
alter table public.calendar_connections enable row level security;
create policy "own" on public.calendar_connections to authenticated
  using (user_id = auth.uid()) with check (user_id = auth.uid());
create policy "reports" on public.calendar_connections for select to reporting using (is_active);
revoke all on public.calendar_connections from anon;
revoke delete on public.calendar_connections from authenticated;
grant select (id, provider), update (label) on public.calendar_connections to reporting;
grant references (id) on public.calendar_connections to anon with grant option;
create view public.active_connections as select id, email from public.calendar_connections where is_active;
grant select on public.active_connections to reporting;"#;

const TRIGGERS: &str = "
create table public.audit (id bigint generated always as identity, connection uuid, operation text);
create function public.note_in_audit() returns trigger language plpgsql security definer as $$
begin
  insert into public.audit (connection, operation) values (coalesce(new.id, old.id), tg_op);
  return null;
end $$;
create trigger audit after insert or update or delete on public.calendar_connections
  for each row execute function public.note_in_audit();
create function public.set_updated_at() returns trigger language plpgsql as
  $$ begin new.updated_at := now(); return new; end $$;
create trigger handle_updated_at before update on public.calendar_connections
  for each row execute function public.set_updated_at();";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Published {
    Missing,
    Present,
}

async fn host(published: Published) -> Project {
    let project = Project::new().await;
    project.sql(TABLE).await;
    project.sql(ROWS).await;
    if published == Published::Present {
        project.sql(PUBLISHED_COLUMNS).await;
        project.sql(FOREIGN_CHANNELS).await;
    }
    project.sql(RIGHTS).await;
    project.sql(TRIGGERS).await;
    project
}

/// Everything that was there is there, unchanged.
#[track_caller]
fn assert_kept(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) {
    for (name, definition) in before {
        assert_eq!(after.get(name), Some(definition), "{name}");
    }
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn the_host_keeps_what_it_has(published: Published) {
    let project = host(published).await;
    let (catalog_before, rows_before) = (catalog(&project).await, rows(&project).await);
    project.migrate().await.unwrap();

    assert_kept(&catalog_before, &catalog(&project).await);
    let rows_after = rows(&project).await;
    let (before, after) = (rows_before.as_array().unwrap(), rows_after.as_array().unwrap());
    assert_eq!((before.len(), after.len()), (144, 144));
    let mut tokens = HashSet::new();
    for (before, after) in before.iter().zip(after) {
        for (column, value) in
            before.as_object().unwrap().iter().filter(|(column, _)| *column != "updated_at")
        {
            assert_eq!(&after[column], value, "{column}");
        }
        let text = |column: &str| after[column].as_str();
        let token = text("webhook_token").unwrap();
        assert!(token.len() == 64 && token.bytes().all(|byte| byte.is_ascii_hexdigit()), "{token}");
        assert!(tokens.insert(token), "a token for two");
        assert_eq!(text("webhook_token_hash"), Some(sha256(token).as_str()));
        let (refresh_token, calendar) = (text("refresh_token"), text("calendar_id"));
        let source = format!("{}\n{}", refresh_token.unwrap_or(""), calendar.unwrap_or("primary"));
        assert_eq!(text("webhook_source"), Some(sha256(&source).as_str()), "{source:?}");
        if published == Published::Missing {
            assert_eq!((&after["sync_enabled"], &after["webhook_id"]), (&json!(true), &Value::Null));
        }
        // Somebody else's channel, or none: due for renewal at once.
        for column in ["webhook_opened_at", "webhook_not_before", "webhook_lease_until"] {
            assert_eq!(text(column), Some("1970-01-01T00:00:00+00:00"), "{column}");
        }
    }
    let once = (catalog(&project).await, rows_after);
    project.migrate().await.unwrap();
    assert_eq!((catalog(&project).await, rows(&project).await), once);
}

#[tokio::test]
async fn a_host_without_the_published_columns_keeps_rows_and_rights() {
    the_host_keeps_what_it_has(Published::Missing).await;
}

#[tokio::test]
async fn a_host_with_the_published_columns_keeps_rows_channels_and_rights() {
    the_host_keeps_what_it_has(Published::Present).await;
}

/// Or every connection seems to have been changed by its user just now.
#[tokio::test]
async fn the_hosts_triggers_do_not_see_the_migration() {
    let project = host(Published::Present).await;
    project.migrate().await.unwrap();
    let audited: i64 = project.value("select count(*) from public.audit", &[]).await;
    let touched = "select count(*) from public.calendar_connections where updated_at <> '2020-02-02'";
    assert_eq!((audited, project.value::<i64>(touched, &[]).await), (0, 0));
}

#[tokio::test]
async fn rows_are_written_afterwards_as_they_were_before() {
    let project = host(Published::Present).await;
    project.migrate().await.unwrap();
    project.sql("truncate public.audit").await;
    let (id, user) = (Uuid::new_v4(), Uuid::new_v4());
    let row = json!({ "id": id, "user_id": user, "provider": "google", "is_active": true });
    assert_eq!(project.insert(User(user), &row).await, Rows(1));
    assert_eq!(project.update(User(user), id, &json!({ "email": "new@example.com" })).await, Rows(1));
    assert_eq!(project.update(User(Uuid::new_v4()), id, &json!({ "email": "x" })).await, Rows(0));
    let reconnected = json!({ "id": id, "user_id": user, "provider": "google", "refresh_token": "another" });
    assert_eq!(project.upsert(Service, &reconnected).await, Rows(1));
    let operations: Vec<String> =
        project.value("select array_agg(operation order by id) from public.audit", &[]).await;
    assert_eq!(operations, ["INSERT", "UPDATE", "UPDATE"]);
    assert!(project.row(id).await["updated_at"].as_str() > Some("2020-02-02T00:00:00+00:00"));
}

/// What Supabase recommends to projects that do not want every function callable through the API.
#[tokio::test]
async fn rows_are_inserted_where_no_function_is_executable_by_default() {
    let project = Project::new().await;
    project.sql("alter default privileges revoke execute on functions from public").await;
    project.sql(TABLE).await;
    project.migrate().await.unwrap();
    for caller in [User(Uuid::new_v4()), Service] {
        let row = json!({ "user_id": Uuid::new_v4(), "provider": "google" });
        assert_eq!(project.insert(caller, &row).await, Rows(1), "{caller:?}");
    }
}

/// Or `supabase gen types` requires it in `Insert`, and the host's typed inserts no longer compile.
#[tokio::test]
async fn every_column_that_a_host_is_given_can_be_left_out_of_an_insert() {
    let project = host(Published::Missing).await;
    let before = project.columns("public.calendar_connections").await;
    project.migrate().await.unwrap();
    let added: Vec<String> = project
        .columns("public.calendar_connections")
        .await
        .into_iter()
        .filter(|column| !before.contains(column))
        .collect();
    assert!(added.len() > 20, "{added:?}");
    let required: Vec<String> = project
        .value(
            "select coalesce(array_agg(attname::text order by attnum), '{}') from pg_attribute
             where attrelid = 'public.calendar_connections'::regclass and attname = any($1::text[])
               and attnotnull and not atthasdef",
            &[&added],
        )
        .await;
    assert!(required.is_empty(), "{required:?}");

    project.sql("truncate public.calendar_connections").await;
    for _ in 0..2 {
        let row = json!({ "user_id": Uuid::new_v4(), "provider": "google" });
        assert_eq!(project.insert(Service, &row).await, Rows(1));
    }
    let hashes = "select count(distinct webhook_token_hash) from public.calendar_connections
                  where webhook_token_hash = encode(sha256(webhook_token::bytea), 'hex')";
    assert_eq!(project.value::<i64>(hashes, &[]).await, 2);
}

#[tokio::test]
async fn a_host_table_that_lacks_a_column_is_named_with_it_and_left_alone() {
    let project = Project::new().await;
    for column in [
        "id",
        "user_id",
        "provider",
        "access_token",
        "refresh_token",
        "expires_at",
        "calendar_id",
        "is_active",
        "created_at",
    ] {
        project.sql(TABLE).await;
        let drop = format!("alter table public.calendar_connections drop column {column} cascade");
        project.sql(&drop).await;
        let before = catalog(&project).await;
        let error = message(&project.migrate().await.unwrap_err());
        assert!(error.contains("calendar_connections") && error.contains(&format!(" {column} ")), "{error}");
        assert_eq!(catalog(&project).await, before, "{column}");
        project.sql("drop table public.calendar_connections").await;
    }
}

#[tokio::test]
async fn a_column_of_ours_that_somebody_dropped_is_brought_again() {
    for column in [
        "sync_streak",
        "webhook_token_hash",
        "webhook_source",
        "webhook_attempts",
        "sync_seen",
        "sync_look_at",
    ] {
        let project = Project::migrated().await;
        project.sql("insert into public.calendar_connections (user_id) values (gen_random_uuid())").await;
        let before = catalog(&project).await;
        project.sql(&format!("alter table public.calendar_connections drop column {column} cascade")).await;
        assert_ne!(catalog(&project).await, before, "{column}");
        project.migrate().await.unwrap();
        let obstacles =
            project.select(Service, "select * from public.calendar_webhook_obstacles(true)").await;
        assert!(obstacles.is_empty(), "{column}: {obstacles:?}");
    }
}

/// Types that a host may have made.
const TYPES: &str = "
create extension citext schema extensions;
create type public.provider as enum ('google', 'outlook');
create domain public.token as text check (value <> '');
create domain public.instant as timestamptz;
create domain public.switch as boolean;
create domain public.key as uuid;";

/// A host's table whose columns of these names are of these types.
async fn create_table_with(project: &Project, columns: &[(&str, &str)]) {
    project.sql(TABLE).await;
    project.sql(PUBLISHED_COLUMNS).await;
    for (column, kind) in columns {
        let change = format!("drop column if exists {column} cascade, add column {column} {kind}");
        project.sql(&format!("alter table public.calendar_connections {change}")).await;
    }
}

#[tokio::test]
async fn a_host_column_of_another_type_is_named_with_the_one_it_needs_and_left_alone() {
    let project = Project::new().await;
    for (column, kind, needed) in [
        ("id", "bigint", "uuid"),
        ("user_id", "text", "uuid"),
        ("access_token", "bytea", "text"),
        ("refresh_token", "jsonb", "text"),
        ("expires_at", "bigint", "timestamp with time zone"),
        ("calendar_id", "uuid", "text"),
        ("is_active", "integer", "boolean"),
        ("created_at", "date", "timestamp with time zone"),
        ("webhook_id", "text[]", "text"),
        ("webhook_expiration", "bigint", "timestamp with time zone"),
        ("webhook_expiration", "timestamp(3) without time zone", "timestamp with time zone"),
        ("sync_enabled", "text", "boolean"),
        ("last_sync_at", "character varying(40)", "timestamp with time zone"),
        ("webhook_error", "jsonb", "text"),
        ("sync_request_id", "text", "uuid"),
    ] {
        create_table_with(&project, &[(column, kind)]).await;
        let before = catalog(&project).await;
        let error = message(&project.migrate().await.unwrap_err());
        let expected = format!("do not fit: {column} is {kind}, not {needed} ");
        assert!(error.contains("calendar_connections") && error.contains(&expected), "{error}");
        assert_eq!(catalog(&project).await, before, "{column}");
        project.sql("drop table public.calendar_connections").await;
    }
}

#[tokio::test]
async fn a_hosts_own_column_that_could_not_hold_what_is_stored_is_refused() {
    let project = Project::new().await;
    for (column, kind, expected) in [
        ("webhook_id", "varchar(20)", "webhook_id is character varying(20), and is to hold 64"),
        ("calendar_name", "varchar(253)", "calendar_name is character varying(253), and is to hold 254"),
    ] {
        create_table_with(&project, &[(column, kind)]).await;
        let error = message(&project.migrate().await.unwrap_err());
        assert!(error.contains(expected), "{error}");
        project.sql("drop table public.calendar_connections").await;
    }
    create_table_with(&project, &[("webhook_id", "varchar(64)"), ("webhook_resource_id", "varchar")]).await;
    project.migrate().await.unwrap();
}

#[tokio::test]
async fn a_hosts_own_column_of_the_same_meaning_is_shared_if_it_takes_nulls() {
    let project = Project::new().await;
    for (column, kind) in [("webhook_id", "text"), ("webhook_resource_id", "text"), ("sync_error", "varchar")]
    {
        let not_null = format!("{kind} not null default ''");
        create_table_with(&project, &[(column, &not_null)]).await;
        let error = message(&project.migrate().await.unwrap_err());
        assert!(error.contains(&format!("do not fit: {column} does not take nulls ")), "{error}");
        project.sql(&format!("alter table public.calendar_connections alter {column} drop not null")).await;
        for _ in 0..2 {
            project.migrate().await.unwrap();
        }
        project.sql("drop table public.calendar_connections cascade").await;
    }
}

#[tokio::test]
async fn a_migration_behind_a_long_transaction_gives_up_and_is_applied_later() {
    let project = host(Published::Present).await;
    let before = catalog(&project).await;
    let other = project.cluster().connect().await.unwrap();
    other.batch_execute("begin; lock table public.calendar_connections in access share mode").await.unwrap();
    let error = message(&project.migrate().await.unwrap_err());
    assert!(error.contains("lock timeout"), "{error}");
    assert_eq!(catalog(&project).await, before);
    other.batch_execute("rollback").await.unwrap();
    project.migrate().await.unwrap();
}

#[tokio::test]
async fn a_hosts_own_column_of_one_of_our_names_is_named_and_left_alone() {
    let project = Project::new().await;
    for (column, kind) in [
        ("webhook_token", "text"),
        ("webhook_token_hash", "text"),
        ("webhook_source", "text"),
        ("sync_attempts", "integer not null default 0"),
    ] {
        create_table_with(&project, &[(column, kind)]).await;
        let before = catalog(&project).await;
        let error = message(&project.migrate().await.unwrap_err());
        let expected = format!("do not fit: {column} is the name of a column that this migration adds ");
        assert!(error.contains(&expected) && error.contains("rename columns of your own"), "{error}");
        assert_eq!(catalog(&project).await, before, "{column}");
        project.sql(&format!("alter table public.calendar_connections rename {column} to my_{column}")).await;
        project.migrate().await.unwrap();
        project.migrate().await.unwrap();
        project.sql("drop table public.calendar_connections cascade").await;
    }
}

#[tokio::test]
async fn a_dump_of_before_the_migration_is_restored_with_tokens_that_are_known() {
    let project = host(Published::Present).await;
    project.migrate().await.unwrap();
    // As `supabase db dump --data-only` has it done.
    project
        .sql(
            "set session_replication_role = replica;
             insert into public.calendar_connections (user_id, provider, refresh_token)
               select gen_random_uuid(), 'google', 'token ' || number from generate_series(1, 2) as number;
             set session_replication_role = origin",
        )
        .await;
    let known = "select count(*) from public.calendar_connections
        where webhook_token_hash = encode(sha256(convert_to(webhook_token, 'UTF8')), 'hex')
          and webhook_source = encode(sha256(convert_to(refresh_token || E'\\nprimary', 'UTF8')), 'hex')
          and refresh_token like 'token _'";
    assert_eq!(project.value::<i64>(known, &[]).await, 2);
}

#[tokio::test]
async fn all_that_a_host_table_lacks_is_told_at_once_with_what_converts_it() {
    let project = Project::new().await;
    create_table_with(&project, &[("expires_at", "bigint"), ("webhook_expiration", "bigint")]).await;
    project.sql("alter table public.calendar_connections drop column created_at").await;
    project
        .sql(
            "insert into public.calendar_connections (user_id, provider, expires_at)
              values (gen_random_uuid(), 'google', 1600000000)",
        )
        .await;
    let error = message(&project.migrate().await.unwrap_err());
    let expected = "do not fit: expires_at is bigint, not timestamp with time zone; created_at is missing; \
                    webhook_expiration is bigint, not timestamp with time zone ";
    assert!(error.contains(expected), "{error}");

    for (column, hint) in [("expires_at", true), ("webhook_expiration", false)] {
        let convert = format!(
            "alter table public.calendar_connections alter column {column} type timestamptz \
             using to_timestamp({column})"
        );
        assert_eq!(error.contains(&convert), hint, "{error}");
        project.sql(&convert).await;
    }
    project.sql("alter table public.calendar_connections add column created_at timestamptz").await;
    project.migrate().await.unwrap();
    let expires = "select expires_at = '2020-09-13 12:26:40+00' from public.calendar_connections";
    assert!(project.value::<bool>(expires, &[]).await);
}

#[tokio::test]
async fn a_host_may_have_any_type_that_serves_as_well() {
    let project = Project::new().await;
    project.sql(TYPES).await;
    let columns = [
        ("id", "key default gen_random_uuid()"),
        ("user_id", "key"),
        ("provider", "provider"),
        ("access_token", "token"),
        ("refresh_token", "varchar(2048)"),
        ("expires_at", "instant"),
        ("calendar_id", "extensions.citext"),
        ("is_active", "switch"),
        ("created_at", "timestamp(3)"),
        ("webhook_id", "varchar"),
        ("webhook_expiration", "timestamptz(0)"),
        ("sync_enabled", "switch"),
        ("last_sync_at", "instant"),
    ];
    create_table_with(&project, &columns).await;
    for _ in 0..2 {
        project.migrate().await.unwrap();
        let row = json!({ "user_id": Uuid::new_v4(), "provider": "google", "is_active": true });
        assert_eq!(project.insert(Service, &row).await, Rows(1));
    }
    let statuses = "select distinct status from public.calendar_connection_status";
    assert_eq!(project.texts(statuses).await, ["not_set_up"]);
}

#[tokio::test]
async fn health_tells_of_a_hosts_own_connections() {
    let project = host(Published::Present).await;
    project.migrate().await.unwrap();
    let health = "select connections, unconfirmed, last_success_at from public.calendar_webhook_health";
    // Somebody else's channels never spoke to us.
    let expected = json!({
        "connections": { "disconnected": 48, "unconfirmed": 24 },
        "unconfirmed": 24,
        "last_success_at": "2021-01-01T00:00:00+00:00",
    });
    assert_eq!(project.select(Service, health).await, [expected]);
    let outcome = project.attempt(User(Uuid::new_v4()), health).await;
    assert_eq!(outcome, Outcome::Denied);
}
