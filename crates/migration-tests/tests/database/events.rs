//! What `calendar_connection_events` tells, of whom and for how long.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::project::Caller::{Service, User};
use crate::project::Outcome::Rows;
use crate::project::{Caller, Project, with};

const USER: Uuid = Uuid::from_u128(7);

/// A connection that has been well for long, but for `different`.
async fn connection(project: &Project, different: &Value) -> Uuid {
    let id = Uuid::new_v4();
    let well = json!({
        "id": id, "user_id": USER, "refresh_token": "refresh", "webhook_id": "channel",
        "webhook_confirmed_id": "channel", "webhook_expiration": "2099-01-01T00:00:00+00:00",
        "webhook_not_before": "2098-01-01T00:00:00+00:00", "sync_look_at": "2098-01-01T00:00:00+00:00",
        "last_sync_at": "2026-01-01T00:00:00+00:00",
    });
    let row = with(well.as_object().unwrap().clone(), different);
    assert_eq!(project.insert(Service, &row.into()).await, Rows(1));
    id
}

/// What was told of the connection since it was asked last.
async fn told(project: &Project, id: Uuid) -> Vec<String> {
    let sql =
        "with told as (delete from public.calendar_connection_events where connection_id = $1 returning *)
               select coalesce(array_agg(concat_ws(' ', event, reason, detail) order by id), '{}') from told";
    project.value(sql, &[&id]).await
}

async fn write(project: &Project, caller: Caller, id: Uuid, change: Value) {
    assert_eq!(project.update(caller, id, &change).await, Rows(1), "{caller:?} writes {change}");
}

#[tokio::test]
async fn what_any_role_does_to_a_connection_is_told() {
    let project = Project::migrated().await;
    // A host that lets its page write more.
    project
        .sql(
            "grant insert, update on public.calendar_connections to authenticated;
             create policy own on public.calendar_connections for insert to authenticated
               with check (user_id = auth.uid())",
        )
        .await;
    for caller in [Service, User(USER)] {
        for (start, change, expected) in [
            (json!({}), json!({ "sync_enabled": false }), &["paused"][..]),
            (json!({}), json!({ "sync_enabled": null }), &[]),
            (json!({ "sync_enabled": false }), json!({ "sync_enabled": null }), &["resumed"]),
            (json!({ "sync_enabled": false }), json!({ "sync_enabled": true }), &["resumed"]),
            (json!({}), json!({ "is_active": false }), &["disconnected"]),
            (json!({}), json!({ "is_active": null }), &["disconnected"]),
            (json!({}), json!({ "is_active": false, "sync_enabled": false }), &["disconnected"]),
            (json!({ "is_active": false }), json!({ "is_active": null }), &[]),
            (json!({ "is_active": false }), json!({ "sync_enabled": false }), &[]),
            (json!({ "is_active": null }), json!({ "is_active": true }), &["reconnected"]),
            (
                json!({ "is_active": false, "sync_enabled": false }),
                json!({ "is_active": true, "sync_enabled": true }),
                &["reconnected"],
            ),
            (json!({}), json!({ "refresh_token": "another" }), &["reconnected"]),
            (json!({}), json!({ "refresh_token": "another", "access_token": "another" }), &["reconnected"]),
            (json!({ "sync_enabled": false }), json!({ "refresh_token": "another" }), &["reconnected"]),
            (json!({ "is_active": false }), json!({ "refresh_token": "another" }), &[]),
            (json!({}), json!({ "refresh_token": null }), &[]),
            (json!({}), json!({ "refresh_token": "" }), &[]),
            (json!({}), json!({ "calendar_id": "another" }), &[]),
            (json!({}), json!({ "provider": "outlook" }), &["deleted"]),
            (json!({ "provider": "outlook" }), json!({ "provider": "google" }), &["reconnected"]),
            (json!({ "provider": "outlook" }), json!({ "is_active": false }), &[]),
        ] {
            let id = connection(&project, &start).await;
            told(&project, id).await;
            write(&project, caller, id, change.clone()).await;
            assert_eq!(told(&project, id).await, expected, "{caller:?} writes {change} over {start}");
        }
        // The beginning and the end.
        for (row, expected) in [
            (json!({}), &["connected"][..]),
            (json!({ "sync_enabled": false }), &["connected"]),
            (json!({ "is_active": false }), &[]),
            (json!({ "is_active": null }), &[]),
            (json!({ "provider": "outlook" }), &[]),
        ] {
            let id = Uuid::new_v4();
            let values = json!({ "id": id, "user_id": USER });
            let values = with(values.as_object().unwrap().clone(), &row);
            assert_eq!(project.insert(caller, &values.into()).await, Rows(1));
            assert_eq!(told(&project, id).await, expected, "{caller:?} inserts {row}");
            let delete = "delete from public.calendar_connections where id = $1";
            assert_eq!(project.act(caller, delete, &[&id]).await, Rows(1));
            let expected: &[&str] = if row["provider"] == "outlook" { &[] } else { &["deleted"] };
            assert_eq!(told(&project, id).await, expected, "{caller:?} deletes {row}");
        }
    }
}

/// Apps connect in one, two or three writes.
#[tokio::test]
async fn a_new_connection_is_told_of_once_however_its_app_writes_it() {
    let project = Project::migrated().await;
    let new = async || {
        let id = Uuid::new_v4();
        let row = json!({ "id": id, "user_id": USER, "is_active": false });
        assert_eq!(project.insert(Service, &row).await, Rows(1));
        id
    };
    let id = new().await;
    write(&project, Service, id, json!({ "refresh_token": "refresh", "is_active": true })).await;
    assert_eq!(told(&project, id).await, ["connected"]);
    let id = new().await;
    write(&project, Service, id, json!({ "refresh_token": "refresh" })).await;
    write(&project, Service, id, json!({ "is_active": true })).await;
    assert_eq!(told(&project, id).await, ["connected"]);
    let id = new().await;
    write(&project, Service, id, json!({ "is_active": true })).await;
    write(&project, Service, id, json!({ "refresh_token": "refresh" })).await;
    assert_eq!(told(&project, id).await, ["connected"]);

    // Before anything was synced, too, a second time is a second time.
    let id = new().await;
    for active in [true, false, true] {
        write(&project, Service, id, json!({ "is_active": active })).await;
    }
    assert_eq!(told(&project, id).await, ["connected", "disconnected", "reconnected"]);
    let row = json!({ "id": id, "user_id": USER, "refresh_token": "refresh" });
    let id = Uuid::new_v4();
    for token in ["first", "second", "second"] {
        let callback = with(row.as_object().unwrap().clone(), &json!({ "id": id, "refresh_token": token }));
        assert_eq!(project.upsert(Service, &callback.into()).await, Rows(1));
    }
    assert_eq!(told(&project, id).await, ["connected", "reconnected"]);
}

#[tokio::test]
async fn what_happens_all_the_time_is_not_told() {
    let project = Project::migrated().await;
    let id = connection(&project, &json!({})).await;
    assert_eq!(told(&project, id).await, ["connected"]);
    let time = "2026-02-02T00:00:00+00:00";
    for change in [
        json!({ "webhook_message_number": 9, "sync_request_id": Uuid::new_v4(), "webhook_notified_at": time }),
        json!({ "sync_lease_until": time, "sync_attempts": 1 }),
        json!({ "sync_request_id": null, "last_sync_at": time, "sync_seen": "digest", "calendar_name": "Work" }),
        json!({ "sync_error": "recalculate_500" }),
        json!({ "sync_look_at": time }),
        json!({ "webhook_pending_id": "next", "webhook_attempts": 1, "webhook_not_before": time }),
        json!({ "webhook_id": "next", "webhook_pending_id": null, "webhook_attempts": 0 }),
        json!({ "webhook_error": "google_unavailable", "webhook_error_reason": "backendError" }),
        json!({ "webhook_error": "google_rate_limited" }),
        json!({ "webhook_error": "google_rejected" }),
        json!({ "webhook_error": "push_not_supported" }),
        json!({ "webhook_error": null, "webhook_error_reason": null }),
        json!({ "access_token": "another", "expires_at": time }),
        json!({ "refresh_token": "rotated", "webhook_source": "rotated" }),
        json!({ "user_id": USER, "calendar_id": "primary" }),
    ] {
        write(&project, Service, id, change.clone()).await;
        assert_eq!(told(&project, id).await, [""; 0], "{change}");
    }
}

#[tokio::test]
async fn what_a_person_must_mend_is_told_with_its_code_and_googles_word() {
    let project = Project::migrated().await;
    for code in [
        "reconnect_required",
        "permission_missing",
        "blocked_by_policy",
        "no_calendar",
        "calendar_not_found",
        "google_api_disabled",
        "oauth_client_invalid",
        "webhook_url_rejected",
    ] {
        let id = connection(&project, &json!({})).await;
        told(&project, id).await;
        let refused = json!({ "webhook_error": code, "webhook_error_reason": "invalid_grant" });
        write(&project, Service, id, refused).await;
        assert_eq!(told(&project, id).await, [format!("broken {code} invalid_grant")]);
    }
    let id = connection(&project, &json!({})).await;
    let endless = json!({ "webhook_error": "no_calendar", "webhook_error_reason": "x".repeat(5000) });
    write(&project, Service, id, endless).await;
    assert_eq!(told(&project, id).await[1], format!("broken no_calendar {}", "x".repeat(64)));
    // Nobody depends on one that is paused or disconnected.
    for start in [json!({ "sync_enabled": false }), json!({ "is_active": false })] {
        let id = connection(&project, &start).await;
        told(&project, id).await;
        write(&project, Service, id, json!({ "webhook_error": "reconnect_required" })).await;
        assert_eq!(told(&project, id).await, [""; 0], "{start}");
        write(&project, Service, id, json!({ "webhook_error": null })).await;
        assert_eq!(told(&project, id).await, [""; 0], "{start}");
    }
}

/// What was told in all, the log being kept.
async fn story(project: &Project, id: Uuid) -> Vec<String> {
    let sql = "select coalesce(array_agg(concat_ws(' ', event, reason) order by id), '{}')
               from public.calendar_connection_events where connection_id = $1";
    project.value(sql, &[&id]).await
}

#[tokio::test]
async fn a_broken_connection_is_told_of_once_and_healed_when_it_works_again() {
    let project = Project::migrated().await;
    let error = |code: Option<&str>| json!({ "webhook_error": code });
    let next = || json!({ "webhook_id": Uuid::new_v4(), "webhook_error": null });
    let dead = Some("reconnect_required");
    for (what, changes, expected) in [
        // It is tried daily, and the token endpoint may be out of order meanwhile.
        (
            "tried daily",
            vec![error(dead), error(Some("google_unavailable")), error(dead), error(None), error(None)],
            &["broken reconnect_required", "healed"][..],
        ),
        (
            "healed at last",
            vec![error(dead), error(Some("google_unavailable")), error(None)],
            &["broken reconnect_required", "healed"],
        ),
        (
            "another reason",
            vec![error(dead), error(Some("permission_missing")), error(Some("permission_missing"))],
            &["broken reconnect_required", "broken permission_missing"],
        ),
        (
            "a calendar without push",
            vec![error(Some("calendar_not_found")), error(Some("push_not_supported"))],
            &["broken calendar_not_found", "healed"],
        ),
        (
            "twice",
            vec![error(dead), next(), error(dead), next()],
            &["broken reconnect_required", "healed", "broken reconnect_required", "healed"],
        ),
        (
            "a new consent that helps",
            vec![error(dead), json!({ "refresh_token": "another" }), next()],
            &["broken reconnect_required", "reconnected", "healed"],
        ),
        (
            "a new consent that helps a calendar without push",
            vec![error(dead), json!({ "refresh_token": "another" }), error(Some("push_not_supported"))],
            &["broken reconnect_required", "reconnected", "healed"],
        ),
        (
            "a new consent where the old one was well",
            vec![json!({ "refresh_token": "another" }), next()],
            &["reconnected"],
        ),
        (
            "a new consent that does not help",
            vec![error(dead), json!({ "refresh_token": "another" }), error(dead)],
            &["broken reconnect_required", "reconnected", "broken reconnect_required"],
        ),
        // Whether the other calendar is well is known only when its channel is open.
        (
            "another calendar",
            vec![error(Some("calendar_not_found")), json!({ "calendar_id": "another" }), next()],
            &["broken calendar_not_found", "healed"],
        ),
        (
            "another calendar that is gone too",
            vec![
                error(Some("calendar_not_found")),
                json!({ "calendar_id": "another" }),
                error(Some("calendar_not_found")),
            ],
            &["broken calendar_not_found"],
        ),
        (
            "paused meanwhile, and given up",
            vec![
                error(dead),
                json!({ "sync_enabled": false }),
                json!({ "webhook_id": null, "webhook_error": null }),
                json!({ "sync_enabled": true }),
                error(dead),
                next(),
            ],
            &["broken reconnect_required", "paused", "resumed", "healed"],
        ),
        (
            "disconnected meanwhile",
            vec![error(dead), json!({ "is_active": false }), json!({ "is_active": true }), next()],
            &[
                "broken reconnect_required",
                "disconnected",
                "reconnected",
                "broken reconnect_required",
                "healed",
            ],
        ),
    ] {
        let id = connection(&project, &json!({})).await;
        told(&project, id).await;
        for change in changes {
            write(&project, Service, id, change).await;
        }
        assert_eq!(story(&project, id).await, expected, "{what}");
    }
    // The log keeps 30 days; a connection may be broken for longer.
    let id = connection(&project, &error(dead)).await;
    told(&project, id).await;
    write(&project, Service, id, error(None)).await;
    assert_eq!(told(&project, id).await, ["healed"]);
}

#[tokio::test]
async fn a_user_sees_what_befell_their_own_connections_and_nobody_elses() {
    let project = Project::migrated().await;
    let other = Uuid::new_v4();
    let (mine, theirs) =
        (connection(&project, &json!({})).await, connection(&project, &json!({ "user_id": other })).await);
    write(
        &project,
        Service,
        mine,
        json!({ "webhook_error": "no_calendar", "webhook_error_reason": "notACalendarUser" }),
    )
    .await;
    let select = "select connection_id, user_id, event, reason, detail from public.calendar_connection_events order by id";
    let event = |id: Uuid, user: Uuid, event: &str| json!({ "connection_id": id, "user_id": user, "event": event, "reason": null, "detail": null });
    let mut broken = event(mine, USER, "broken");
    broken["reason"] = json!("no_calendar");
    broken["detail"] = json!("notACalendarUser");
    let own = [event(mine, USER, "connected"), broken.clone()];
    assert_eq!(project.select(User(USER), select).await, own);
    assert_eq!(project.select(User(other), select).await, [event(theirs, other, "connected")]);
    assert!(project.select(User(Uuid::new_v4()), select).await.is_empty());
    let all = [event(mine, USER, "connected"), event(theirs, other, "connected"), broken];
    assert_eq!(project.select(Service, select).await, all);
    // They remain when the connection is gone.
    let delete = "delete from public.calendar_connections";
    assert_eq!(project.act(User(USER), delete, &[]).await, Rows(1));
    assert_eq!(project.select(User(USER), select).await.last(), Some(&event(mine, USER, "deleted")));
}

/// How Supabase Auth deletes a user: a role that has no business in the schema `public`.
const AUTH: &str = "
grant usage on schema auth to supabase_auth_admin;
grant all on auth.users to supabase_auth_admin;
revoke usage on schema public from public;
insert into auth.users (id) select unnest(array['00000000-0000-0000-0000-000000000007',
                                           '00000000-0000-0000-0000-000000000008']::uuid[]);
alter table public.calendar_connections add foreign key (user_id) references auth.users on delete cascade;";

#[tokio::test]
async fn a_user_is_deleted_with_connections_and_both_are_remembered() {
    let project = Project::migrated().await;
    project.sql(AUTH).await;
    let id = connection(&project, &json!({ "webhook_resource_id": "resource" })).await;
    connection(&project, &json!({ "user_id": Uuid::from_u128(8) })).await;
    told(&project, id).await;
    project
        .sql(&format!("set role supabase_auth_admin; delete from auth.users where id = '{USER}'; reset role"))
        .await;
    assert_eq!(told(&project, id).await, ["deleted"]);
    let farewells = "select array_agg(concat_ws(' ', connection_id, webhook_id, webhook_resource_id))
                     from public.calendar_webhook_farewells";
    let farewells: Vec<String> = project.value(farewells, &[]).await;
    assert_eq!(farewells, [format!("{id} channel resource")]);
    let left: i64 = project.value("select count(*) from public.calendar_connections", &[]).await;
    assert_eq!(left, 1);
}

#[tokio::test]
async fn a_user_who_pauses_and_resumes_without_end_keeps_the_newest_two_hundred_events() {
    let project = Project::migrated().await;
    let other = connection(&project, &json!({ "user_id": Uuid::from_u128(8) })).await;
    let ids = [connection(&project, &json!({})).await, connection(&project, &json!({})).await];
    for round in 0..125 {
        for id in ids {
            write(&project, User(USER), id, json!({ "sync_enabled": round % 2 == 1 })).await;
        }
    }
    let count = "select count(*) from public.calendar_connection_events where user_id = $1";
    assert_eq!(project.value::<i64>(count, &[&USER]).await, 200);
    assert_eq!(story(&project, ids[0]).await.len(), 100);
    assert_eq!(story(&project, ids[0]).await.last().unwrap(), "paused");
    assert_eq!(story(&project, other).await, ["connected"]);
    // Nor by connections that come and go.
    project.sql("grant insert on public.calendar_connections to authenticated").await;
    project.sql("alter table public.calendar_connections disable row level security").await;
    for _ in 0..20 {
        let row = json!({ "id": Uuid::new_v4(), "user_id": USER });
        assert_eq!(project.insert(User(USER), &row).await, Rows(1));
        let delete = "delete from public.calendar_connections where id = $1::text::uuid";
        assert_eq!(project.act(User(USER), delete, &[&row["id"].as_str().unwrap()]).await, Rows(1));
    }
    assert_eq!(project.value::<i64>(count, &[&USER]).await, 200);
}

/// Each write deletes the oldest events of its user: two at a time must not wait for each other, or for a host's long
/// transaction.
#[tokio::test]
async fn two_writes_of_one_user_at_a_time_do_not_wait_for_each_other() {
    let project = Project::migrated().await;
    let ids = [connection(&project, &json!({})).await, connection(&project, &json!({})).await];
    let fill = format!(
        "insert into public.calendar_connection_events (connection_id, user_id, event)
         select '{}', '{USER}', 'paused' from generate_series(1, 300)",
        ids[0]
    );
    project.sql(&fill).await;
    let other = project.cluster().connect().await.unwrap();
    let pause =
        |id: Uuid| format!("update public.calendar_connections set sync_enabled = false where id = '{id}'");
    other.batch_execute(&format!("begin; {}", pause(ids[0]))).await.unwrap();
    project.sql(&format!("set lock_timeout = '2s'; {}; reset lock_timeout", pause(ids[1]))).await;
    other.batch_execute("commit").await.unwrap();
    assert_eq!(story(&project, ids[1]).await.last().unwrap(), "paused");
}

#[tokio::test]
async fn events_are_kept_for_thirty_days() {
    let project = Project::migrated().await;
    project
        .sql(
            "insert into public.calendar_connection_events (connection_id, event, at) values
               (gen_random_uuid(), 'paused', now() - interval '30 days 1 minute'),
               (gen_random_uuid(), 'resumed', now() - interval '29 days 23 hours')",
        )
        .await;
    let sweep = "insert into public.calendar_webhook_sweeps
        (duration_ms, renewed, stopped, synced, reconciled, failed, remaining) values (1, 0, 0, 0, 0, '[]', 0)";
    assert_eq!(project.act(Service, sweep, &[]).await, Rows(1));
    assert_eq!(project.texts("select event from public.calendar_connection_events").await, ["resumed"]);
}

/// Like the recipe of supabase/README.md: a trigger of the host's that has an e-mail sent. It runs for the writes of
/// every role.
#[tokio::test]
async fn a_trigger_of_the_hosts_hears_of_each_event_and_keeps_nothing_from_happening_when_it_fails() {
    let project = Project::migrated().await;
    project
        .sql(
            "create table public.outbox (user_id uuid, text text);
             revoke all on public.outbox from public, anon, authenticated, service_role;
             create function public.tell_by_mail() returns trigger language plpgsql as $$
             begin
               insert into public.outbox values (new.user_id, new.reason);
               if new.reason = 'calendar_not_found' then
                 raise exception 'the mail server is down';
               end if;
               return null;
             end $$;
             create trigger tell_by_mail after insert on public.calendar_connection_events
               for each row when (new.event = 'broken') execute function public.tell_by_mail()",
        )
        .await;
    let id = connection(&project, &json!({})).await;
    write(&project, Service, id, json!({ "webhook_error": "reconnect_required" })).await;
    write(&project, Service, id, json!({ "webhook_error": "calendar_not_found" })).await;
    assert_eq!(project.row(id).await["webhook_error"], "calendar_not_found");
    assert_eq!(project.texts("select text from public.outbox").await, ["reconnect_required"]);
    assert_eq!(story(&project, id).await, ["connected", "broken reconnect_required"]);
}

#[tokio::test]
async fn a_restored_dump_tells_nothing() {
    let project = Project::migrated().await;
    project
        .sql(
            "set session_replication_role = replica;
             insert into public.calendar_connections (user_id, webhook_id) values (gen_random_uuid(), 'channel');
             delete from public.calendar_connections;
             set session_replication_role = origin",
        )
        .await;
    for table in ["calendar_connection_events", "calendar_webhook_farewells"] {
        let rows: i64 = project.value(&format!("select count(*) from public.{table}"), &[]).await;
        assert_eq!(rows, 0, "{table}");
    }
}
