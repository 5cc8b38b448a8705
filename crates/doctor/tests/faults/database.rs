//! Migrations that are missing, and tables that are not what they should be.

use crate::case::cases;
use crate::world::World;

cases! {
    a_missing_migration_is_told,
    missing_columns_and_columns_of_another_type_are_told,
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
            "alter table calendar_connections rename column webhook_resource_id to elsewhere",
        ],
    )
    .await;
    let report = world.examine().await;
    changed(
        world,
        &[
            "alter table calendar_connections
             alter column expires_at type timestamptz using to_timestamp(expires_at)",
            "alter table calendar_connections rename column elsewhere to webhook_resource_id",
        ],
    )
    .await;
    report.finds(&[
        ("schema", "columns_missing", "calendar_connections lacks columns: webhook_resource_id"),
        (
            "schema",
            "column_of_wrong_type",
            "calendar_connections has columns of another type: expires_at is bigint, not timestamp with time zone",
        ),
    ]);
    world.examine().await.is_all_well();
}
