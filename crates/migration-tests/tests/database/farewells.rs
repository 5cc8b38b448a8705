//! What is kept of a deleted connection, so that its channel can be stopped.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::project::Caller::{Service, User};
use crate::project::Outcome::Rows;
use crate::project::{Caller, Project, with};

const USER: Uuid = Uuid::from_u128(7);

/// A connection with a channel, and with a renewal under way.
fn open() -> Map<String, Value> {
    let row = json!({
        "id": Uuid::new_v4(), "user_id": USER, "access_token": "access", "refresh_token": "refresh",
        "expires_at": "2030-01-01T00:00:00+00:00", "calendar_id": "ada@example.com", "webhook_id": "channel",
        "webhook_pending_id": "pending", "webhook_resource_id": "resource",
        "webhook_expiration": "2031-01-01T00:00:00+00:00",
    });
    row.as_object().unwrap().clone()
}

async fn insert(project: &Project, row: &Map<String, Value>) {
    assert_eq!(project.insert(Service, &row.clone().into()).await, Rows(1));
}

async fn delete(project: &Project, caller: Caller, row: &Map<String, Value>) {
    let delete = "delete from public.calendar_connections where id = $1::text::uuid";
    assert_eq!(project.act(caller, delete, &[&row["id"].as_str().unwrap()]).await, Rows(1), "{caller:?}");
}

/// All farewells, without number and time.
async fn farewells(project: &Project) -> Vec<Value> {
    let mut rows =
        project.select(Service, "select * from public.calendar_webhook_farewells order by id").await;
    for row in &mut rows {
        row.as_object_mut()
            .unwrap()
            .retain(|name, _| !["id", "deleted_at", "not_before"].contains(&name.as_str()));
    }
    rows
}

async fn forget(project: &Project) {
    project.sql("truncate public.calendar_webhook_farewells").await;
}

#[tokio::test]
async fn any_role_that_deletes_a_connection_leaves_what_its_channel_is_stopped_with() {
    let project = Project::migrated().await;
    for caller in [Service, User(USER)] {
        let row = open();
        insert(&project, &row).await;
        delete(&project, caller, &row).await;
        let expected = json!({
            "connection_id": row["id"], "webhook_id": "channel", "webhook_pending_id": "pending",
            "webhook_resource_id": "resource", "webhook_expiration": "2031-01-01T00:00:00+00:00",
            "access_token": "access", "refresh_token": "refresh", "expires_at": "2030-01-01T00:00:00+00:00",
        });
        assert_eq!(farewells(&project).await, [expected], "{caller:?}");
        let due = "select deleted_at = not_before and deleted_at > now() - interval '10 s'
                   from public.calendar_webhook_farewells";
        assert!(project.value::<bool>(due, &[]).await);
        forget(&project).await;
    }
}

#[tokio::test]
async fn a_token_that_is_too_long_to_be_read_is_not_kept() {
    let project = Project::migrated().await;
    for (length, is_kept) in [(4096, true), (4097, false)] {
        let token = "x".repeat(length);
        let row = with(open(), &json!({ "access_token": token, "refresh_token": token }));
        insert(&project, &row).await;
        delete(&project, Service, &row).await;
        let farewell = farewells(&project).await.remove(0);
        for column in ["access_token", "refresh_token"] {
            assert_eq!(farewell[column] == json!(token), is_kept, "{length}");
        }
        forget(&project).await;
    }
}

#[tokio::test]
async fn only_a_connection_with_a_channel_leaves_a_farewell() {
    let project = Project::migrated().await;
    for (different, expected) in [
        (json!({ "webhook_pending_id": null }), 1),
        (json!({ "webhook_id": null, "webhook_expiration": null }), 1),
        (json!({ "webhook_expiration": null, "webhook_pending_id": null }), 1),
        // Paused and disconnected ones may still have theirs.
        (json!({ "sync_enabled": false }), 1),
        (json!({ "is_active": false, "refresh_token": null }), 1),
        (json!({ "webhook_id": null, "webhook_pending_id": null }), 0),
        // Expired: but the one that is being opened is not.
        (json!({ "webhook_expiration": "2020-01-01T00:00:00+00:00", "webhook_pending_id": null }), 0),
        (json!({ "webhook_expiration": "2020-01-01T00:00:00+00:00" }), 1),
        (json!({ "provider": "outlook" }), 0),
    ] {
        let row = with(open(), &different);
        insert(&project, &row).await;
        delete(&project, User(USER), &row).await;
        assert_eq!(farewells(&project).await.len(), expected, "{different}");
        forget(&project).await;
    }
}

/// A host that keeps deleted rows: the channel is still the current one, and must not be stopped.
#[tokio::test]
async fn a_row_whose_deletion_the_host_turns_into_something_else_leaves_no_farewell() {
    let project = Project::migrated().await;
    project
        .sql(
            "create function public.keep_row() returns trigger language plpgsql as $$
             begin
               update public.calendar_connections set is_active = false where id = old.id;
               return null;
             end $$;
             create trigger zzz_keep_row before delete on public.calendar_connections
               for each row execute function public.keep_row()",
        )
        .await;
    let row = open();
    insert(&project, &row).await;
    let sql = "delete from public.calendar_connections";
    assert_eq!(project.act(User(USER), sql, &[]).await, Rows(0));
    assert!(farewells(&project).await.is_empty());
    let events = "select event from public.calendar_connection_events order by id";
    assert_eq!(project.texts(events).await, ["connected", "disconnected"]);
}

#[tokio::test]
async fn a_row_that_is_put_back_takes_its_farewell_back() {
    let project = Project::migrated().await;
    let (row, other) = (open(), open());
    for row in [&row, &other] {
        insert(&project, row).await;
        delete(&project, Service, row).await;
    }
    assert_eq!(farewells(&project).await.len(), 2);
    insert(&project, &row).await;
    let left = farewells(&project).await;
    assert_eq!((left.len(), &left[0]["connection_id"]), (1, &other["id"]));
    // Put back without a channel it has none to lose.
    let without = with(other, &json!({ "webhook_id": null, "webhook_pending_id": null }));
    insert(&project, &without).await;
    assert_eq!(farewells(&project).await, left);
}

#[tokio::test]
async fn a_hosts_time_without_a_zone_is_kept_as_utc() {
    let project = Project::new().await;
    project
        .sql(
            "create table public.calendar_connections (
               id uuid primary key, user_id uuid, provider text, access_token text, refresh_token text,
               expires_at timestamp, calendar_id varchar, is_active boolean, created_at timestamp, webhook_id varchar);
             grant all on public.calendar_connections to service_role",
        )
        .await;
    project.migrate().await.unwrap();
    let row = with(open(), &json!({ "expires_at": "2030-01-01T00:00:00", "provider": "google" }));
    insert(&project, &row).await;
    project.sql("set timezone = 'Asia/Tokyo'").await;
    delete(&project, Service, &row).await;
    project.sql("reset timezone").await;
    assert_eq!(farewells(&project).await[0]["expires_at"], "2030-01-01T00:00:00+00:00");
}

/// They hold tokens of somebody who has left.
#[tokio::test]
async fn no_farewell_outlives_a_day_and_the_sweep_after_it() {
    let project = Project::migrated().await;
    project
        .sql(
            "insert into public.calendar_webhook_farewells (connection_id, webhook_id, deleted_at) values
               (gen_random_uuid(), 'old', now() - interval '1 day 1 minute'),
               (gen_random_uuid(), 'new', now() - interval '23 hours')",
        )
        .await;
    let sweep = "insert into public.calendar_webhook_sweeps
        (duration_ms, renewed, stopped, synced, reconciled, failed, remaining) values (1, 0, 0, 0, 0, '[]', 0)";
    assert_eq!(project.act(Service, sweep, &[]).await, Rows(1));
    assert_eq!(project.texts("select webhook_id from public.calendar_webhook_farewells").await, ["new"]);
    // One of the sweeps that overlap claims it, by the time that it has read.
    let claim = "update public.calendar_webhook_farewells set not_before = now() + interval '1 minute'
                 where not_before <= now()";
    assert_eq!(project.act(Service, claim, &[]).await, Rows(1));
    assert_eq!(project.act(Service, claim, &[]).await, Rows(0));
    assert_eq!(project.act(Service, "delete from public.calendar_webhook_farewells", &[]).await, Rows(1));
}
