//! Who may do what with what the migrations created.

use std::collections::BTreeSet;

use serde_json::json;
use uuid::Uuid;

use crate::project::Caller::{Anon, Service, User};
use crate::project::Outcome::{Denied, Failed, Rows};
use crate::project::Project;

/// What a signed-in user may do with a column of their own rows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Right {
    Nothing,
    Read,
    Write,
}
use Right::{Nothing, Read, Write};

/// Every column, so that a new one needs a decision here.
const COLUMNS: [(&str, Right); 38] = [
    ("id", Read),
    ("user_id", Read),
    ("provider", Read),
    ("access_token", Nothing),
    ("refresh_token", Nothing),
    ("expires_at", Read),
    ("calendar_id", Write),
    ("is_active", Write),
    ("created_at", Read),
    ("updated_at", Read),
    ("webhook_id", Read),
    ("webhook_expiration", Read),
    ("sync_enabled", Write),
    ("last_sync_at", Read),
    ("webhook_token", Nothing),
    ("webhook_token_hash", Nothing),
    ("webhook_source", Nothing),
    ("webhook_resource_id", Nothing),
    ("webhook_pending_id", Nothing),
    ("webhook_opened_at", Read),
    ("webhook_confirmed_id", Read),
    ("webhook_message_number", Read),
    ("webhook_lease_until", Nothing),
    ("webhook_not_before", Nothing),
    ("webhook_attempts", Nothing),
    ("webhook_error", Read),
    ("sync_request_id", Read),
    ("sync_owed_since", Nothing),
    ("sync_lease_until", Nothing),
    ("sync_not_before", Nothing),
    ("sync_attempts", Nothing),
    ("sync_streak", Nothing),
    ("sync_error", Read),
    ("sync_seen", Nothing),
    ("sync_look_at", Nothing),
    ("webhook_notified_at", Read),
    ("webhook_error_reason", Read),
    ("calendar_name", Read),
];

const ROLES: [&str; 3] = ["anon", "authenticated", "service_role"];
const ON_COLUMNS: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "REFERENCES"];
const ON_RELATIONS: [&str; 3] = ["DELETE", "TRUNCATE", "TRIGGER"];

/// The privileges on one column, or on the relation if it is `None`.
fn privileges(relation: &str, column: Option<&str>, role: &str) -> &'static [&'static str] {
    match (relation, role, column) {
        ("calendar_connections", "service_role", Some(_)) => &ON_COLUMNS,
        ("calendar_connections", "service_role", None) => &ON_RELATIONS,
        ("calendar_connections", "authenticated", None) => &["DELETE"],
        ("calendar_connections", "authenticated", Some(column)) => {
            let (_, right) = COLUMNS.iter().find(|(name, _)| *name == column).unwrap();
            match right {
                Nothing => &[],
                Read => &["SELECT"],
                Write => &["SELECT", "UPDATE"],
            }
        }
        ("calendar_connection_status", "authenticated" | "service_role", Some(_)) => &["SELECT"],
        ("calendar_webhook_health" | "calendar_webhook_backlog", "service_role", Some(_)) => &["SELECT"],
        ("calendar_connection_events", "authenticated" | "service_role", Some(_)) => &["SELECT"],
        ("calendar_connection_events", "service_role", None) => &["DELETE"],
        // What moves on when a sweep claims a farewell.
        ("calendar_webhook_farewells", "service_role", Some("not_before")) => &["SELECT", "UPDATE"],
        ("calendar_webhook_farewells", "service_role", Some(_)) => &["SELECT"],
        ("calendar_webhook_farewells", "service_role", None) => &["DELETE"],
        ("calendar_webhook_sweeps", "service_role", Some(_)) => &["SELECT", "INSERT"],
        ("calendar_webhook_sweeps", "service_role", None) => &["DELETE"],
        ("calendar_webhook_requests", "service_role", Some(_)) => &["SELECT"],
        _ => &[],
    }
}

const FUNCTIONS: [(&str, &[&str]); 11] = [
    ("calendar_webhook_obstacles(boolean)", &["service_role"]),
    ("calendar_webhook_schedule()", &["service_role"]),
    ("calendar_webhook_state(calendar_connections)", &["service_role"]),
    ("forget_old_calendar_webhook_sweeps()", &[]),
    ("keep_calendar_webhook_farewell()", &[]),
    ("measure_calendar_webhook_backlog()", &[]),
    ("note_calendar_connection_event()", &[]),
    // A trigger's function cannot be called.
    ("keep_calendar_webhook_columns()", &ROLES),
    ("request_calendar_webhook_refresh(integer)", &[]),
    ("schedule_calendar_webhook_refresh(text,text,interval,integer)", &[]),
    ("unschedule_calendar_webhook_refresh()", &[]),
];

/// Every column of every relation, every role and every privilege: nobody has more than is written here, or less.
#[tokio::test]
async fn the_whole_table_of_privileges_is_as_written() {
    let project = Project::migrated().await;
    let mut expected = BTreeSet::new();
    for relation in [
        "calendar_connections",
        "calendar_connection_status",
        "calendar_webhook_health",
        "calendar_webhook_sweeps",
        "calendar_webhook_requests",
        "calendar_webhook_backlog",
        "calendar_connection_events",
        "calendar_webhook_farewells",
    ] {
        let columns = project.columns(&format!("public.{relation}")).await;
        for role in ROLES {
            for column in &columns {
                for privilege in privileges(relation, Some(column), role) {
                    expected.insert(format!("{role}: {privilege} {relation}.{column}"));
                }
            }
            for privilege in privileges(relation, None, role) {
                expected.insert(format!("{role}: {privilege} {relation}"));
            }
        }
    }
    for (function, roles) in FUNCTIONS {
        expected.extend(roles.iter().map(|role| format!("{role}: EXECUTE {function}")));
    }

    let sql = "
        with ours as (
          select oid, relname from pg_class
            where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')
              and starts_with(relname, 'calendar_'))
        select format('%s: %s %s.%s', role, privilege, relname, attname), ''
          from ours join pg_attribute on attrelid = ours.oid and attnum > 0 and not attisdropped,
            unnest(array['anon', 'authenticated', 'service_role']) role,
            unnest(array['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) privilege
          where has_column_privilege(role, ours.oid, attnum, privilege)
        union all select format('%s: %s %s', role, privilege, relname), ''
          from ours, unnest(array['anon', 'authenticated', 'service_role']) role,
            unnest(array['DELETE', 'TRUNCATE', 'TRIGGER']) privilege
          where has_table_privilege(role, ours.oid, privilege)
        union all select format('%s: EXECUTE %s', role, replace(pg_proc.oid::regprocedure::text, 'public.', '')), ''
          from pg_proc, unnest(array['anon', 'authenticated', 'service_role']) role
          where pronamespace = 'public'::regnamespace and (proname like '%calendar_webhook%' or proname like '%calendar_connection%')
            and has_function_privilege(role, pg_proc.oid, 'EXECUTE')";
    let actual: BTreeSet<_> = project.map(sql).await.into_keys().collect();
    let missing: Vec<_> = expected.difference(&actual).collect();
    let surplus: Vec<_> = actual.difference(&expected).collect();
    assert!(missing.is_empty() && surplus.is_empty(), "missing: {missing:#?}, surplus: {surplus:#?}");
    // A sequence is a way to disturb inserts.
    let sequences: i64 = project
        .value(
            "select count(*) from pg_class, unnest(array['anon', 'authenticated']) role
             where relkind = 'S' and starts_with(relname, 'calendar_') and has_sequence_privilege(role, oid, 'UPDATE')",
            &[],
        )
        .await;
    assert_eq!(sequences, 0);
}

#[tokio::test]
async fn only_the_owner_schedules_and_only_the_service_reads_health_and_writes_sweeps() {
    let (project, owner) = two_rows().await;
    let (user, nobody) = (User(owner), [Denied, Denied, Denied]);
    let sweep = "insert into public.calendar_webhook_sweeps
        (duration_ms, renewed, stopped, synced, reconciled, failed, remaining) values (1, 2, 3, 4, 5, '[]', 6)";
    assert_eq!(project.act(Service, sweep, &[]).await, Rows(1));
    project.sql("insert into public.calendar_webhook_requests (id) values (1)").await;
    project
        .sql("insert into public.calendar_webhook_farewells (connection_id) values (gen_random_uuid())")
        .await;
    let services = |rows| [Denied, Denied, Rows(rows)];
    for (statement, expected) in [
        ("select public.schedule_calendar_webhook_refresh('https://example.com', 'key')", nobody.clone()),
        ("select public.unschedule_calendar_webhook_refresh()", nobody.clone()),
        ("select public.request_calendar_webhook_refresh(1)", nobody.clone()),
        ("select public.calendar_webhook_schedule()", services(1)),
        ("select * from public.calendar_webhook_obstacles(true)", services(0)),
        ("select * from public.calendar_webhook_health", services(1)),
        ("select checked_at from public.calendar_webhook_health", services(1)),
        (sweep, services(1)),
        ("select * from public.calendar_webhook_sweeps", services(1)),
        ("delete from public.calendar_webhook_sweeps", services(1)),
        ("update public.calendar_webhook_sweeps set renewed = 0", nobody.clone()),
        ("truncate public.calendar_webhook_sweeps", nobody.clone()),
        ("select * from public.calendar_webhook_backlog", services(1)),
        // Both connections were connected; one of them is the user's.
        ("select * from public.calendar_connection_events", [Denied, Rows(1), Rows(2)]),
        ("delete from public.calendar_connection_events", services(2)),
        ("update public.calendar_connection_events set event = 'healed'", nobody.clone()),
        (
            "insert into public.calendar_connection_events (connection_id, event) values (gen_random_uuid(), 'healed')",
            nobody.clone(),
        ),
        ("truncate public.calendar_connection_events", nobody.clone()),
        ("select * from public.calendar_webhook_farewells", services(1)),
        ("update public.calendar_webhook_farewells set not_before = now()", services(1)),
        ("update public.calendar_webhook_farewells set webhook_id = 'x'", nobody.clone()),
        (
            "insert into public.calendar_webhook_farewells (connection_id) values (gen_random_uuid())",
            nobody.clone(),
        ),
        ("delete from public.calendar_webhook_farewells", services(1)),
        ("truncate public.calendar_webhook_farewells", nobody.clone()),
        ("select * from public.calendar_webhook_requests", services(1)),
        ("insert into public.calendar_webhook_requests (id) values (2)", nobody.clone()),
        ("delete from public.calendar_webhook_requests", nobody.clone()),
    ] {
        for (caller, expected) in [Anon, user, Service].into_iter().zip(expected) {
            assert_eq!(project.attempt(caller, statement).await, expected, "{caller:?}: {statement}");
        }
    }
}

/// As supabase/lite does with its first request.
#[tokio::test]
async fn where_everything_is_granted_to_everybody_row_level_security_still_holds() {
    let (project, owner) = two_rows().await;
    let sweep = "insert into public.calendar_webhook_sweeps
        (duration_ms, renewed, stopped, synced, reconciled, failed, remaining) values (1, 2, 3, 4, 5, '[]', 6)";
    assert_eq!(project.act(Service, sweep, &[]).await, Rows(1));
    project.sql("insert into public.calendar_webhook_requests (id) values (1)").await;
    project
        .sql("insert into public.calendar_webhook_farewells (connection_id) values (gen_random_uuid())")
        .await;
    let grant = "grant all on all tables in schema public to anon, authenticated, service_role";
    project.sql(grant).await;
    for (statement, [by_anon, by_user, by_stranger]) in [
        ("select * from public.calendar_connections", [Rows(0), Rows(1), Rows(0)]),
        ("update public.calendar_connections set webhook_id = 'x'", [Rows(0), Rows(1), Rows(0)]),
        ("delete from public.calendar_connections", [Rows(0), Rows(1), Rows(0)]),
        (
            "insert into public.calendar_connections (user_id) values (gen_random_uuid())",
            [Denied, Denied, Denied],
        ),
        ("select * from public.calendar_connection_status", [Rows(0), Rows(1), Rows(0)]),
        ("select * from public.calendar_webhook_sweeps", [Rows(0), Rows(0), Rows(0)]),
        ("update public.calendar_webhook_sweeps set renewed = 0", [Rows(0), Rows(0), Rows(0)]),
        ("delete from public.calendar_webhook_sweeps", [Rows(0), Rows(0), Rows(0)]),
        (sweep, [Denied, Denied, Denied]),
        ("select * from public.calendar_connection_events", [Rows(0), Rows(1), Rows(0)]),
        ("update public.calendar_connection_events set event = 'healed'", [Rows(0), Rows(0), Rows(0)]),
        ("delete from public.calendar_connection_events", [Rows(0), Rows(0), Rows(0)]),
        (
            "insert into public.calendar_connection_events (connection_id, event) values (gen_random_uuid(), 'healed')",
            [Denied, Denied, Denied],
        ),
        ("select * from public.calendar_webhook_farewells", [Rows(0), Rows(0), Rows(0)]),
        ("update public.calendar_webhook_farewells set webhook_id = 'x'", [Rows(0), Rows(0), Rows(0)]),
        ("delete from public.calendar_webhook_farewells", [Rows(0), Rows(0), Rows(0)]),
        (
            "insert into public.calendar_webhook_farewells (connection_id) values (gen_random_uuid())",
            [Denied, Denied, Denied],
        ),
        ("select * from public.calendar_webhook_requests", [Rows(0), Rows(0), Rows(0)]),
        ("insert into public.calendar_webhook_requests (id) values (2)", [Denied, Denied, Denied]),
        // The function that it calls is not granted with the tables.
        ("select * from public.calendar_webhook_health", [Denied, Denied, Denied]),
    ] {
        for (caller, expected) in
            [(Anon, by_anon), (User(owner), by_user), (User(Uuid::new_v4()), by_stranger)]
        {
            assert_eq!(project.attempt(caller, statement).await, expected, "{caller:?}: {statement}");
        }
    }
    // Not even the functions' being granted shows more than the caller's own rows.
    project.sql("grant execute on all functions in schema public to anon, authenticated").await;
    let counted = "select connections, last_sweep from public.calendar_webhook_health";
    for (caller, connections) in
        [(Anon, json!({})), (User(owner), json!({ "not_set_up": 1 })), (User(Uuid::new_v4()), json!({}))]
    {
        let expected = json!({ "connections": connections, "last_sweep": null });
        assert_eq!(project.select(caller, counted).await, [expected], "{caller:?}");
    }
}

/// A table with one row of the user returned and one of somebody else.
async fn two_rows() -> (Project, Uuid) {
    let project = Project::migrated().await;
    let (owner, other) = (Uuid::new_v4(), Uuid::new_v4());
    for user in [owner, other] {
        let row = json!({ "user_id": user, "access_token": "access", "refresh_token": "refresh" });
        assert_eq!(project.insert(Service, &row).await, Rows(1));
    }
    (project, owner)
}

#[tokio::test]
async fn each_role_may_do_with_each_column_what_it_is_meant_to() {
    let (project, owner) = two_rows().await;
    let (owner, stranger) = (User(owner), User(Uuid::new_v4()));
    let names: Vec<_> = COLUMNS.iter().map(|(column, _)| column.to_string()).collect();
    let mut actual = project.columns("public.calendar_connections").await;
    let mut expected = names.clone();
    actual.sort();
    expected.sort();
    assert_eq!(actual, expected);

    for (column, right) in COLUMNS {
        let select = format!("select {column} from public.calendar_connections");
        let erase = format!("update public.calendar_connections set {column} = default");
        let rewrite = format!("update public.calendar_connections set {column} = {column}");
        let insert = format!("insert into public.calendar_connections ({column}) values (default)");
        let of_own = |allowed: bool, rows: u64| if allowed { Rows(rows) } else { Denied };
        for (caller, own) in [(owner, 1), (stranger, 0)] {
            assert_eq!(project.attempt(caller, &select).await, of_own(right != Nothing, own), "{select}");
            assert_eq!(project.attempt(caller, &erase).await, of_own(right == Write, own), "{erase}");
            assert_eq!(project.attempt(caller, &insert).await, Denied, "{insert}");
        }
        for statement in [&select, &erase, &insert] {
            assert_eq!(project.attempt(Anon, statement).await, Denied, "{statement}");
        }
        assert_eq!(project.attempt(Service, &select).await, Rows(2), "{select}");
        assert_eq!(project.attempt(Service, &rewrite).await, Rows(2), "{rewrite}");
    }
}

#[tokio::test]
async fn each_role_may_do_with_whole_rows_what_it_is_meant_to() {
    let (project, owner) = two_rows().await;
    let (owner, stranger) = (User(owner), User(Uuid::new_v4()));
    let nobody = [Denied, Denied, Denied];
    for (statement, [by_anon, by_stranger, by_owner], by_service) in [
        ("delete from public.calendar_connections", [Denied, Rows(0), Rows(1)], Rows(2)),
        ("select from public.calendar_connections", [Denied, Rows(0), Rows(1)], Rows(2)),
        ("select * from public.calendar_connections", nobody.clone(), Rows(2)),
        ("select connection from public.calendar_connections connection", nobody.clone(), Rows(2)),
        ("select to_jsonb(connection) from public.calendar_connections connection", nobody.clone(), Rows(2)),
        (
            "insert into public.calendar_connections (user_id) values (gen_random_uuid())",
            nobody.clone(),
            Rows(1),
        ),
        // A secret that cannot be selected cannot be guessed at either.
        ("select id from public.calendar_connections where access_token = 'access'", nobody.clone(), Rows(2)),
        ("select id from public.calendar_connections order by webhook_token", nobody.clone(), Rows(2)),
        (
            "update public.calendar_connections set sync_enabled = true where refresh_token = 'refresh'",
            nobody.clone(),
            Rows(2),
        ),
        (
            "update public.calendar_connections set sync_enabled = true returning webhook_token",
            nobody.clone(),
            Rows(2),
        ),
        ("delete from public.calendar_connections returning *", nobody.clone(), Rows(2)),
    ] {
        assert_eq!(project.attempt(Anon, statement).await, by_anon, "{statement}");
        assert_eq!(project.attempt(stranger, statement).await, by_stranger, "{statement}");
        assert_eq!(project.attempt(owner, statement).await, by_owner, "{statement}");
        assert_eq!(project.attempt(Service, statement).await, by_service, "{statement}");
    }
    // Row level security does not hold for these.
    for statement in [
        "truncate public.calendar_connections",
        "create trigger mine before insert on public.calendar_connections
           for each row execute function public.sessions_prefer_their_start()",
    ] {
        for caller in [Anon, stranger, owner] {
            assert_eq!(project.attempt(caller, statement).await, Denied, "{caller:?}: {statement}");
        }
    }
}

#[tokio::test]
async fn a_token_without_a_user_sees_no_row() {
    let (project, _) = two_rows().await;
    for claims in ["", "{}", r#"{"role": "authenticated"}"#, r#"{"sub": ""}"#] {
        let statement = format!(
            "with claims as materialized (select set_config('request.jwt.claims', '{claims}', true))
             select id from claims, public.calendar_connections"
        );
        let outcome = project.attempt(User(Uuid::nil()), &statement).await;
        assert_eq!(outcome, Rows(0), "{claims}");
    }
}

#[tokio::test]
async fn a_user_pauses_disconnects_moves_and_deletes_a_connection() {
    let (project, user) = two_rows().await;
    let owner = User(user);
    let id: Uuid =
        project.value("select id from public.calendar_connections where user_id = $1", &[&user]).await;
    let values = json!({ "sync_enabled": false, "is_active": false, "calendar_id": "work@example.com" });
    assert_eq!(project.update(owner, id, &values).await, Rows(1));
    let row = project.row(id).await;
    for (column, value) in values.as_object().unwrap() {
        assert_eq!(&row[column], value, "{column}");
    }
    // Nobody gives a connection away.
    assert_eq!(project.update(owner, id, &json!({ "user_id": Uuid::new_v4() })).await, Denied);
    let delete = "delete from public.calendar_connections where id = $1";
    assert_eq!(project.act(owner, delete, &[&id]).await, Rows(1));
}

#[tokio::test]
async fn a_token_is_unique_even_against_the_service() {
    let (project, _) = two_rows().await;
    let twins = "update public.calendar_connections set webhook_token = 'the same'";
    assert!(matches!(project.attempt(Service, twins).await, Failed(error) if error.starts_with("23505")));
}
