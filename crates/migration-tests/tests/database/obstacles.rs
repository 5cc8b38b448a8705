//! What keeps the functions from working on the database is told, with the SQL that mends it.

use local_supabase::{repository, schema};
use serde_json::{Value, json};

use crate::project::Caller::Service;
use crate::project::Project;

const OBSTACLES: &str = "select * from public.calendar_webhook_obstacles(true)";

async fn connected() -> Project {
    let project = Project::migrated().await;
    project.sql("insert into public.calendar_connections (user_id) values (gen_random_uuid())").await;
    project
}

#[track_caller]
fn obstacle(obstacle: &str, what: &str, remedy: &str) -> Value {
    json!({ "obstacle": obstacle, "what": what, "remedy": remedy })
}

#[tokio::test]
async fn a_project_that_is_well_has_none_and_an_attempt_to_write_leaves_nothing() {
    let project = connected().await;
    let row = "select to_jsonb(c) from public.calendar_connections c";
    let before: Value = project.value(row, &[]).await;
    assert_eq!(project.select(Service, OBSTACLES).await, [] as [Value; 0]);
    assert_eq!(project.value::<Value>(row, &[]).await, before);
}

#[tokio::test]
async fn what_keeps_users_from_seeing_their_connection_is_told() {
    let table = "public.calendar_connections";
    let unreadable = "change what does this: a policy of public.calendar_connections, or what it calls";
    let hidden = "see which rows the policies of public.calendar_connections let a user read";
    for (fault, told, what) in [
        (
            "create policy all_of_it on {} using (exists (select from {} as other where other.user_id = auth.uid()))",
            "status_unreadable",
            "a user's read of public.calendar_connection_status fails: infinite recursion detected in policy for \
             relation \"calendar_connections\" (42P17)",
        ),
        (
            "create function public.is_member() returns boolean language sql as 'select true';
             revoke execute on function public.is_member from public, authenticated;
             create policy members on {} using (public.is_member())",
            "status_unreadable",
            "a user's read of public.calendar_connection_status fails: permission denied for function is_member (42501)",
        ),
        (
            "do $$ declare name text; begin
               for name in select polname from pg_policy where polrelid = '{}'::regclass loop
                 execute format('drop policy %I on {}', name);
               end loop;
             end $$",
            "status_hidden",
            "a user whose token says no more than the user's id sees no own row of {}",
        ),
        (
            "create policy members on {} as permissive for select to authenticated
               using (auth.jwt() ->> 'aal' = 'aal2');
             drop policy \"Users see their own calendar connections\" on {}",
            "status_hidden",
            "a user whose token says no more than the user's id sees no own row of {}",
        ),
        (
            "revoke select on {} from authenticated",
            "status_hidden",
            "pages may not read {}, so they show no connection",
        ),
    ] {
        let project = connected().await;
        project.sql(&fault.replace("{}", table)).await;
        let found = project.select(Service, OBSTACLES).await;
        let remedy = found[0]["remedy"].as_str().unwrap().to_owned();
        assert_eq!(found, [obstacle(told, &what.replace("{}", table), &remedy)]);
        let expected = if told == "status_hidden" { hidden } else { unreadable };
        if told == "status_hidden" && !remedy.starts_with("see ") {
            project.sql(&remedy).await;
            assert_eq!(project.select(Service, OBSTACLES).await, [] as [Value; 0], "{remedy}");
        } else {
            assert_eq!(remedy, expected);
        }
        assert_eq!(project.value::<String>("select current_user::text", &[]).await, "postgres");
    }
}

#[tokio::test]
async fn a_provider_that_is_spelt_otherwise_is_told() {
    let project = connected().await;
    let insert = "insert into public.calendar_connections (user_id, provider)
                  select gen_random_uuid(), unnest(array['Google', 'Google', 'outlook'])";
    project.sql(insert).await;
    let found = project.select(Service, OBSTACLES).await;
    let remedy = found[0]["remedy"].as_str().unwrap().to_owned();
    let what = "connections whose provider is 'Google', not 'google', are ignored: 2";
    assert_eq!(found, [obstacle("provider_misspelt", what, &remedy)]);
    project.sql(&remedy).await;
    assert_eq!(project.select(Service, OBSTACLES).await, [] as [Value; 0]);
    // Another provider's subscription is none of ours.
    project
        .sql("update public.calendar_connections set webhook_id = 'theirs' where provider = 'outlook'")
        .await;
    let renamed = "update public.calendar_connections set provider = 'calendar', webhook_id = 'ours',
                     webhook_opened_at = now(), webhook_expiration = now() + interval '1 day'
                   where provider = 'google'";
    project.sql(renamed).await;
    let [told] = project.select(Service, OBSTACLES).await.try_into().unwrap();
    let what = "connections whose provider is 'calendar', not 'google', still have a channel of Google's: 3";
    assert_eq!((told["obstacle"].as_str(), told["what"].as_str()), (Some("channel_left"), Some(what)));
}

#[tokio::test]
async fn times_that_the_functions_never_write_are_told() {
    let project = connected().await;
    // With what is written at most.
    for (column, longest) in [
        ("webhook_lease_until", "90 s"),
        ("sync_lease_until", "420 s"),
        ("webhook_opened_at", "10 s"),
        ("sync_not_before", "2 h"),
        ("sync_look_at", "27 h"),
        ("webhook_not_before", "29 days"),
    ] {
        let longest = format!("now() + interval '{longest}'");
        for (time, is_told) in [("now() + interval '32 days'", true), ("'infinity'", true), (&longest, false)]
        {
            project.sql(&format!("update public.calendar_connections set {column} = {time}")).await;
            let found = project.select(Service, OBSTACLES).await;
            assert_eq!(!found.is_empty(), is_told, "{column} {time}: {found:?}");
            if let [told] = found.as_slice() {
                let what =
                    "connections with a time so far ahead that only a wrong clock can have written it: 1";
                assert_eq!(
                    (told["obstacle"].as_str(), told["what"].as_str()),
                    (Some("time_ahead"), Some(what))
                );
                project.sql(told["remedy"].as_str().unwrap()).await;
                assert_eq!(project.select(Service, OBSTACLES).await, [] as [Value; 0], "{column} {time}");
            }
        }
    }
}

#[tokio::test]
async fn a_status_view_that_is_not_ours_is_told() {
    let project = connected().await;
    let ours: String =
        project.value("select pg_get_viewdef('public.calendar_connection_status'::regclass)", &[]).await;
    let ours = ours.trim_end_matches(';');
    let filtered = format!(
        "create or replace view public.calendar_connection_status with (security_invoker = true) as
           select * from ({ours}) as ours where user_id = auth.uid()"
    );
    project.sql(&filtered).await;
    let told = project.select(Service, OBSTACLES).await;
    assert_eq!(told[0]["obstacle"], "status_replaced");
    project.migrate().await.unwrap();
    assert_eq!(project.select(Service, OBSTACLES).await, [] as [Value; 0]);
    project.sql("drop view public.calendar_connection_status cascade").await;
    let told = project.select(Service, OBSTACLES).await;
    assert!(told.iter().any(|told| told["obstacle"] == "status_unreadable"), "{told:?}");
}

#[tokio::test]
async fn a_missing_privilege_or_trigger_is_told_and_its_remedy_mends_it() {
    let project = connected().await;
    let table = "public.calendar_connections";
    for (fault, told, what) in [
        ("revoke update on {} from service_role", "privilege_missing", "service_role may not update {}"),
        (
            "revoke select on public.calendar_connection_status from authenticated",
            "privilege_missing",
            "authenticated may not select public.calendar_connection_status",
        ),
        (
            "revoke execute on function public.calendar_webhook_state from service_role",
            "privilege_missing",
            "service_role may not execute public.calendar_webhook_state",
        ),
        (
            "revoke insert on public.calendar_webhook_sweeps from service_role",
            "privilege_missing",
            "service_role may not insert public.calendar_webhook_sweeps",
        ),
        (
            "revoke update (not_before) on public.calendar_webhook_farewells from service_role",
            "privilege_missing",
            "service_role may not update public.calendar_webhook_farewells",
        ),
        (
            "revoke select (calendar_name, sync_error) on {} from authenticated",
            "privilege_missing",
            "authenticated may not select {}",
        ),
        (
            "create role another; alter function public.note_calendar_connection_event owner to another;
             grant select, delete on public.calendar_connection_events to another",
            "privilege_missing",
            "another may not insert public.calendar_connection_events",
        ),
        (
            "revoke usage on schema public from public, authenticated",
            "privilege_missing",
            "authenticated may not use the schema public",
        ),
        (
            "alter table public.calendar_webhook_sweeps add column tenant uuid not null",
            "column_unfilled",
            "public.calendar_webhook_sweeps has a column tenant that takes no null and has no default, so that nothing can \
             be stored there",
        ),
        (
            "alter table {} disable trigger keep_calendar_webhook_columns",
            "trigger_disabled",
            "the trigger keep_calendar_webhook_columns of {} is disabled",
        ),
    ] {
        project.sql(&fault.replace("{}", table)).await;
        let found = project.select(Service, OBSTACLES).await;
        let remedy = found[0]["remedy"].as_str().unwrap().to_owned();
        assert_eq!(found, [obstacle(told, &what.replace("{}", table), &remedy)]);
        project.sql(&remedy).await;
        assert_eq!(project.select(Service, OBSTACLES).await, [] as [Value; 0], "{remedy}");
    }
    project.sql("drop trigger note_calendar_connection_event on public.calendar_connections").await;
    assert_eq!(
        project.select(Service, OBSTACLES).await,
        [obstacle(
            "trigger_missing",
            "the trigger note_calendar_connection_event of public.calendar_connections is missing",
            "apply both migrations again"
        )]
    );
    project.migrate().await.unwrap();
    assert_eq!(project.select(Service, OBSTACLES).await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_missing_privilege_is_the_only_cause_that_is_told() {
    for privilege in ["select", "update", "select, update"] {
        let project = connected().await;
        project.sql(&format!("revoke {privilege} on public.calendar_connections from service_role")).await;
        let told = project.select(Service, OBSTACLES).await;
        assert!(!told.is_empty());
        for obstacle in told {
            assert_eq!(obstacle["obstacle"], "privilege_missing", "{privilege}: {obstacle}");
        }
    }
}

#[tokio::test]
async fn a_trigger_of_the_hosts_that_keeps_a_change_from_being_stored_is_told() {
    let silently = "sync_request_id is not stored, though nothing is refused (P0001)";
    for (body, said) in [
        ("raise exception 'the season is over';", "the season is over (P0001)"),
        ("return null;", silently),
        ("new.sync_request_id := old.sync_request_id; return new;", silently),
        (
            "new.webhook_id := old.webhook_id; return new;",
            "webhook_id is not stored, though nothing is refused (P0001)",
        ),
    ] {
        let project = connected().await;
        project
            .sql(&format!(
                "create function public.refuse() returns trigger language plpgsql as $$begin {body} end$$;
                 create trigger season before update on public.calendar_connections
                   for each row execute function public.refuse()"
            ))
            .await;
        assert_eq!(
            project.select(Service, OBSTACLES).await,
            [obstacle(
                "write_refused",
                &format!("an update of public.calendar_connections fails: {said}"),
                "change what does this; triggers of your own on the table: season"
            )]
        );
        let untried = "select * from public.calendar_webhook_obstacles()";
        assert_eq!(project.select(Service, untried).await, [] as [Value; 0]);
    }
}

#[tokio::test]
async fn what_a_restrictive_policy_may_hide_is_not_told_as_open() {
    let project = connected().await;
    project
        .sql(
            "grant select on public.calendar_connections to authenticated;
             create policy everyone on public.calendar_connections for select to authenticated using (true);
             create policy tenant on public.calendar_connections as restrictive for delete to authenticated
               using (user_id = auth.uid())",
        )
        .await;
    let told = project.select(Service, OBSTACLES).await;
    assert_eq!(told.first().map(|told| &told["obstacle"]), Some(&json!("security_off")), "it hides nothing");
    project.sql("drop policy tenant on public.calendar_connections").await;
    project
        .sql(
            "create policy tenant on public.calendar_connections as restrictive to authenticated
               using (user_id = auth.uid())",
        )
        .await;
    assert_eq!(project.select(Service, OBSTACLES).await, [] as [Value; 0]);
    project.sql("alter view public.calendar_connection_status set (security_invoker = yes)").await;
    assert_eq!(project.select(Service, OBSTACLES).await, [] as [Value; 0]);
}

#[tokio::test]
async fn tokens_that_every_user_may_read_are_told() {
    let project = connected().await;
    project
        .sql(
            "alter table public.calendar_connections disable row level security;
             grant select on public.calendar_connections to authenticated",
        )
        .await;
    let told = project.select(Service, OBSTACLES).await;
    let told: Vec<_> = told.iter().map(|told| (&told["obstacle"], &told["remedy"])).collect();
    let remedy = json!("alter table public.calendar_connections enable row level security");
    assert!(told.contains(&(&json!("security_off"), &remedy)), "{told:?}");

    project
        .sql(
            "do $$declare own record; begin
               for own in select polname from pg_policy where polrelid = 'public.calendar_connections'::regclass loop
                 execute format('drop policy %I on public.calendar_connections', own.polname);
               end loop;
             end$$",
        )
        .await;
    let told = project.select(Service, OBSTACLES).await;
    let told = told.iter().find(|told| told["obstacle"] == "security_off").unwrap();
    project.sql(told["remedy"].as_str().unwrap()).await;
    assert_eq!(
        project.select(Service, OBSTACLES).await,
        [] as [Value; 0],
        "the remedy brings a policy along"
    );
    project.sql("alter table public.calendar_connections disable row level security").await;
    project.sql("revoke select on public.calendar_connections from anon, authenticated").await;
    let told = project.select(Service, OBSTACLES).await;
    assert!(!told.iter().any(|told| told["obstacle"] == "security_off"), "{told:?}");
}

#[tokio::test]
async fn the_migration_tells_what_a_table_that_was_there_lacks() {
    let project = Project::new().await;
    project
        .sql(
            "create table public.calendar_connections (
               id uuid primary key default gen_random_uuid(), user_id uuid not null, provider text not null,
               access_token text, refresh_token text, expires_at timestamptz, calendar_id text, is_active boolean,
               created_at timestamptz default now());
             revoke all on public.calendar_connections from service_role, authenticated, anon",
        )
        .await;
    let migrations = schema::migrations(&repository().join("supabase/migrations")).unwrap();
    let migrations: String = migrations.iter().map(|migration| migration.sql.as_str()).collect();
    for privilege in ["select", "update"] {
        let told = project.notices(&migrations).await;
        let expected = format!("service_role may not {privilege} public.calendar_connections");
        assert!(told.contains(&expected), "{told:?}");
        project.sql(&format!("grant {privilege} on public.calendar_connections to service_role")).await;
    }
    let told = project.notices(&migrations).await;
    assert!(!told.iter().any(|told| told.contains("may not")), "{told:?}");
}
