//! Migrations that are missing, and tables that are not what they should be.

use dev_stack::Config;
use local_supabase::Backend;

use crate::case::cases;
use crate::world::World;

cases! {
    a_missing_migration_is_told,
    missing_columns_and_columns_of_another_type_are_told,
    what_the_functions_may_not_do_is_told_with_its_remedy,
    a_trigger_that_raises_is_told_by_its_own_words,
    a_trigger_that_keeps_a_change_out_is_told,
    a_schema_that_the_service_may_not_use_is_told,
    a_service_from_which_rows_are_hidden_is_told,
}

/// PostgREST looks at the schema when it starts.
async fn changed(world: &mut World, sql: &[&str]) {
    for sql in sql {
        world.sql(sql).await;
    }
    world.stack.postgrest().unwrap().restart().await.unwrap();
}

async fn a_missing_migration_is_told(world: &mut World) {
    world.open().await;
    changed(world, &["alter view calendar_webhook_health rename to elsewhere"]).await;
    let report = world.examine().await;
    changed(world, &["alter view elsewhere rename to calendar_webhook_health"]).await;
    report.finds(&[("schema", "migration_missing", "the database lacks calendar_webhook_health")]);
    report.says("–", "schedule", "not judged: put schema right first");
    world.examine().await.is_all_well();
}

async fn missing_columns_and_columns_of_another_type_are_told(world: &mut World) {
    world.open().await;
    changed(
        world,
        &[
            "alter table calendar_connections
             alter column expires_at type bigint using extract(epoch from expires_at)",
            "alter table calendar_connections rename column sync_not_before to elsewhere",
        ],
    )
    .await;
    let report = world.examine().await;
    changed(
        world,
        &[
            "alter table calendar_connections
             alter column expires_at type timestamptz using to_timestamp(expires_at)",
            "alter table calendar_connections rename column elsewhere to sync_not_before",
        ],
    )
    .await;
    report.finds(&[
        ("schema", "columns_missing", "calendar_connections lacks columns: sync_not_before"),
        (
            "schema",
            "column_of_wrong_type",
            "calendar_connections has columns of another type: expires_at is bigint, not timestamp with time zone",
        ),
    ]);
    world.examine().await.is_all_well();
}

async fn what_the_functions_may_not_do_is_told_with_its_remedy(world: &mut World) {
    world.open().await;
    for (fault, code, line) in [
        (
            "revoke update on calendar_connections from service_role",
            "privilege_missing",
            "service_role may not update public.calendar_connections",
        ),
        (
            "revoke select on calendar_connection_status from authenticated",
            "privilege_missing",
            "authenticated may not select public.calendar_connection_status",
        ),
        (
            "revoke insert on calendar_webhook_sweeps from service_role",
            "privilege_missing",
            "service_role may not insert public.calendar_webhook_sweeps",
        ),
        (
            "do $$ begin
               alter table calendar_webhook_sweeps add column tenant uuid not null default gen_random_uuid();
               alter table calendar_webhook_sweeps alter tenant drop default;
             end $$",
            "column_unfilled",
            "public.calendar_webhook_sweeps has a column tenant that takes no null and has no default, so that nothing can \
             be stored there",
        ),
        (
            "revoke execute on function calendar_webhook_obstacles(boolean) from service_role",
            "privilege_missing",
            "service_role may not execute public.calendar_webhook_obstacles",
        ),
        (
            "alter table calendar_connections disable trigger keep_calendar_webhook_columns",
            "trigger_disabled",
            "the trigger keep_calendar_webhook_columns of public.calendar_connections is disabled",
        ),
        (
            "do $$ begin
               grant select on calendar_connections to authenticated;
               alter table calendar_connections disable row level security;
             end $$",
            "security_off",
            "row level security of public.calendar_connections is off, and authenticated may read every user's tokens",
        ),
        (
            "create policy everyone on calendar_connections to authenticated using (true) with check (true)",
            "security_off",
            "the policy everyone of public.calendar_connections lets authenticated read every user's tokens",
        ),
        (
            "alter view calendar_connection_status set (security_invoker = off)",
            "security_off",
            "public.calendar_connection_status is read with its owner's rights, and shows every user's connections to all",
        ),
    ] {
        world.sql(fault).await;
        let report = world.examine().await;
        let remedy = report.check("database")["next"].as_str().unwrap().to_owned();
        let remedy = remedy.strip_prefix("in the SQL editor: `").and_then(|sql| sql.strip_suffix('`'));
        world.sql(remedy.unwrap_or_else(|| panic!("{}", report.text))).await;
        report.finds(&[("database", code, line)]);
        world.examine().await.is_all_well();
    }

    // A table of the host's own, as it is without any grant.
    world.sql("revoke all on calendar_connections from service_role").await;
    let report = world.examine().await;
    world.sql("grant all on calendar_connections to service_role").await;
    let line = "service_role may not update public.calendar_connections";
    report.says("✗", "database", line);
    report.says("–", "schema", "not judged: put database right first");
    report.says("–", "google-calendar-webhook", "not judged: put database right first");
    assert!(report.wrong().iter().all(|(id, _)| *id == "database"), "{}", report.text);
    world.examine().await.is_all_well();
}

async fn a_trigger_that_raises_is_told_by_its_own_words(world: &mut World) {
    world.open().await;
    for sql in [
        "create function refuse() returns trigger language plpgsql as
           $$begin raise exception 'no seat for ada@gmail.com'; end$$",
        "create trigger seats before update on calendar_connections for each row execute function refuse()",
    ] {
        world.sql(sql).await;
    }
    let report = world.examine().await;
    world.sql("drop function refuse cascade").await;
    let line = "an update of public.calendar_connections fails: no seat for […] (P0001)";
    report.finds(&[("database", "write_refused", line)]);
    let next = report.check("database")["next"].as_str().unwrap();
    assert_eq!(next, "change what does this; triggers of your own on the table: seats");
}

async fn a_trigger_that_keeps_a_change_out_is_told(world: &mut World) {
    world.open().await;
    for statement in ["return null", "new.sync_request_id := old.sync_request_id; return new"] {
        for sql in [
            &format!(
                "create function keep_out() returns trigger language plpgsql as $$begin {statement}; end$$"
            ),
            "create trigger seats before update on calendar_connections for each row execute function keep_out()",
        ] {
            world.sql(sql).await;
        }
        let report = world.examine().await;
        world.sql("drop function keep_out cascade").await;
        let line = "an update of public.calendar_connections fails: sync_request_id is not stored, though nothing is \
                    refused (P0001)";
        report.finds(&[("database", "write_refused", line)]);
        let next = report.check("database")["next"].as_str().unwrap();
        assert_eq!(next, "change what does this; triggers of your own on the table: seats");
    }
    world.examine().await.is_all_well();
}

async fn a_schema_that_the_service_may_not_use_is_told(world: &mut World) {
    world.open().await;
    world.sql("revoke usage on schema public from public, service_role").await;
    let report = world.examine().await;
    world.sql("grant usage on schema public to public, service_role").await;
    assert_eq!(report.wrong()[0], ("project", "schema_closed"), "{}", report.text);
    world.examine().await.is_all_well();
}

async fn a_service_from_which_rows_are_hidden_is_told(world: &mut World) {
    world.open().await;
    // PostgreSQL goes on with the plans that a connection has made already.
    changed(world, &["alter role service_role nobypassrls"]).await;
    let report = world.examine().await;
    changed(world, &["alter role service_role bypassrls"]).await;
    report.says("✗", "database", "service_role does not bypass row level security, so it sees no rows");
    let next = report.check("database")["next"].as_str().unwrap();
    assert_eq!(next, "as a superuser: alter role service_role bypassrls");
    world.examine().await.is_all_well();
}

/// The database's key was replaced, and the functions were not started again.
pub(crate) async fn stale_key() {
    let stale = r#"{"default":"sb_secret_of_yesterday"}"#.to_owned();
    let world = World::start(Config {
        backend: Backend::Postgrest,
        extra_env: vec![("SUPABASE_SECRET_KEYS".to_owned(), stale)],
        ..Config::default()
    })
    .await;
    world.swept("now()").await;
    let unknown = "it does not know the secret key that is used here, though the project does: it was started with \
                   other keys";
    let refused =
        "the database refuses what it asks (HTTP 503): its own key was replaced, or the table was changed";
    world.examine().await.finds(&[
        ("setup-calendar-webhook", "key_unknown", unknown),
        ("google-calendar-webhook", "database_refused", refused),
        ("refresh-calendar-webhook", "key_unknown", unknown),
    ]);
    world.stack.stop().await;
}
