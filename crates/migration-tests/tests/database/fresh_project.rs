//! The migration on an empty project.

use serde_json::json;
use uuid::Uuid;

use crate::catalog::{catalog, rows};
use crate::project::{Caller, Outcome, Project};

#[tokio::test]
async fn a_second_application_changes_neither_rows_nor_rights_nor_anything_else() {
    let project = Project::migrated().await;
    for number in 0..3 {
        let row = json!({
            "user_id": Uuid::new_v4(), "refresh_token": format!("refresh-{number}"), "webhook_id": "channel",
            "webhook_error": "google_unavailable", "webhook_attempts": number, "sync_enabled": null,
        });
        assert_eq!(project.insert(Caller::Service, &row).await, Outcome::Rows(1));
    }
    let before = (catalog(&project).await, rows(&project).await);
    project.migrate().await.unwrap();
    assert_eq!((catalog(&project).await, rows(&project).await), before);
}

/// Once it exists, the table is the project's own.
#[tokio::test]
async fn a_second_application_leaves_rights_that_were_changed_since_as_they_are() {
    let project = Project::migrated().await;
    project
        .sql(
            r#"do $$ declare name text; begin
                 for name in select policyname from pg_policies where tablename = 'calendar_connections'
                             and cmd = 'DELETE' loop
                   execute format('drop policy %I on public.calendar_connections', name);
                 end loop;
               end $$;
               create policy "staff" on public.calendar_connections for select to anon using (true);
               revoke update (is_active), delete on public.calendar_connections from authenticated;
               grant insert (user_id) on public.calendar_connections to authenticated;
               alter table public.calendar_connections disable row level security;"#,
        )
        .await;
    let before = catalog(&project).await;
    project.migrate().await.unwrap();
    assert_eq!(catalog(&project).await, before);
}

#[tokio::test]
async fn it_takes_no_superuser() {
    let project = Project::new().await;
    project
        .sql(
            "create role owner nosuperuser;
             grant usage, create on schema public to owner;
             grant usage on schema auth to owner;
             set role owner",
        )
        .await;
    project.migrate().await.unwrap();
    project.migrate().await.unwrap();
    project.sql("reset role").await;
    let owner: String = project
        .value("select tableowner::text from pg_tables where tablename = 'calendar_connections'", &[])
        .await;
    assert_eq!(owner, "owner");
}

#[tokio::test]
async fn every_column_has_its_type_and_its_default() {
    let project = Project::migrated().await;
    let epoch = "'1970-01-01 00:00:00+00'::timestamp with time zone";
    let time = "timestamp with time zone";
    for (column, kind, not_null, default) in [
        ("id", "uuid", true, None),
        ("user_id", "uuid", true, None),
        ("provider", "text", true, None),
        ("access_token", "text", false, None),
        ("refresh_token", "text", false, None),
        ("expires_at", time, false, None),
        ("calendar_id", "text", false, None),
        ("is_active", "boolean", false, None),
        ("webhook_id", "text", false, Some("")),
        ("webhook_expiration", time, false, Some("")),
        ("sync_enabled", "boolean", false, Some("true")),
        ("last_sync_at", time, false, Some("")),
        ("webhook_token", "text", true, None),
        ("webhook_token_hash", "text", true, Some("''::text")),
        ("webhook_source", "text", true, Some("''::text")),
        ("webhook_resource_id", "text", false, Some("")),
        ("webhook_pending_id", "text", false, Some("")),
        ("webhook_opened_at", time, true, Some(epoch)),
        ("webhook_confirmed_id", "text", false, Some("")),
        ("webhook_message_number", "bigint", true, Some("0")),
        ("webhook_lease_until", time, true, Some(epoch)),
        ("webhook_not_before", time, true, Some(epoch)),
        ("webhook_attempts", "integer", true, Some("0")),
        ("webhook_error", "text", false, Some("")),
        ("sync_request_id", "uuid", false, Some("")),
        ("sync_owed_since", time, false, Some("")),
        ("sync_lease_until", time, true, Some(epoch)),
        ("sync_not_before", time, true, Some(epoch)),
        ("sync_attempts", "integer", true, Some("0")),
        ("sync_streak", "integer", true, Some("0")),
        ("sync_error", "text", false, Some("")),
        ("sync_seen", "text", false, Some("")),
        ("sync_look_at", time, true, Some("now()")),
        ("webhook_notified_at", time, false, Some("")),
        ("webhook_error_reason", "text", false, Some("")),
        ("calendar_name", "text", false, Some("")),
    ] {
        let sql = "select jsonb_build_array(format_type(atttypid, atttypmod), attnotnull,
                                            coalesce(pg_get_expr(adbin, adrelid), ''))
                   from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
                   where attrelid = 'public.calendar_connections'::regclass and attname = $1::text";
        let actual: serde_json::Value = project.value(sql, &[&column]).await;
        assert_eq!((&actual[0], &actual[1]), (&json!(kind), &json!(not_null)), "{column}");
        if let Some(default) = default {
            assert_eq!(actual[2], json!(default), "{column}");
        }
    }
}
