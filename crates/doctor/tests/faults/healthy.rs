//! Projects that are well.

use std::time::Duration;

use dev_stack::Config;
use local_supabase::{Backend, Keys};
use system_tests::until;

use crate::case::cases;
use crate::world::World;

cases! {
    a_healthy_project_passes_every_check,
    a_key_that_the_functions_were_not_started_with_is_told,
    a_paused_and_a_disconnected_connection_are_told_but_not_wrong,
    a_project_that_nobody_has_connected_to_is_not_wrong,
}

async fn a_healthy_project_passes_every_check(world: &mut World) {
    world.open().await;
    world.open().await;
    let report = world.examine().await;
    report.is_all_well();
    report.says("✓", "connections", "2 connections in all: 2 active");
    assert!(report.text.contains(" ago, by another scheduler than pg_cron\n"), "{}", report.text);
    let callback = format!(
        "{}/functions/v1/google-calendar-webhook answers; it is accepted because the project is on this machine too, \
         Google could not reach it",
        world.detour.url
    );
    report.says("✓", "callback-url", &callback);
    // Seventeen checks, each once.
    assert_eq!(report.json["summary"]["ok"], 17);
}

async fn a_key_that_the_functions_were_not_started_with_is_told(world: &mut World) {
    world.open().await;
    let legacy = world.stack.keys().legacy_service_role.clone();
    let other = [("SUPABASE_SECRET_KEY", ""), ("SUPABASE_SERVICE_ROLE_KEY", legacy.as_str())];
    let unknown = "it does not know the secret key that is used here, though the project does: it was started with \
                   other keys";
    world.examine_with(&other).await.finds(&[
        ("setup-calendar-webhook", "key_unknown", unknown),
        ("refresh-calendar-webhook", "key_unknown", unknown),
    ]);
}

async fn a_paused_and_a_disconnected_connection_are_told_but_not_wrong(world: &mut World) {
    world.open().await;
    let (paused, disconnected) = (world.open().await, world.open().await);
    world.set(&paused, "sync_enabled = false").await;
    world.set(&disconnected, "is_active = false").await;
    let report = world.examine().await;
    report.is_all_well();
    report.says(
        "✓",
        "connections",
        "paused: 1 connection, paused by the user (sync_enabled is false): nothing is watched or recalculated until \
         resumed",
    );
    report.says(
        "✓",
        "connections",
        "disconnected: 1 connection, disconnected (is_active is not true): nothing is watched or recalculated until \
         connected again",
    );
    assert!(
        report.text.contains(&paused.id.to_string()) && report.text.contains(&disconnected.id.to_string())
    );
}

async fn a_project_that_nobody_has_connected_to_is_not_wrong(world: &mut World) {
    let report = world.examine().await;
    assert_eq!(report.code, 0, "{}", report.text);
    report.says("✓", "connections", "there are none yet: no row has the provider google");
    report.says("–", "recalculate-schedule", "not judged: it has not been called yet");
}

/// As `scripts/dev` starts it, with sweeps that come sooner.
pub(crate) async fn local_stack(backend: Backend) {
    let sweep_every = Some(Duration::from_secs(1));
    let world = World::start(Config { backend, keys: Keys::Both, sweep_every, ..Config::default() }).await;
    if backend == Backend::Postgrest {
        world.open().await;
    }
    let report = until("a project that was swept", || async {
        let report = world.run(&[], &[]).await;
        (!report.text.contains("✗ schedule")).then_some(report)
    })
    .await;
    assert_eq!(report.code, 0, "{}", report.text);
    assert!(report.text.contains("All is well"), "{}", report.text);
    world.stack.stop().await;
}

pub(crate) async fn on_lite() {
    let world = World::start(Config::default()).await;
    let report = world.examine().await;
    // Nobody has swept.
    assert_eq!(report.check("schedule")["code"], "not_scheduled");
    report.says("–", "schema", "both views answer; this backend does not tell the types of columns");
    for id in ["project", "setup-calendar-webhook", "clocks", "google-client", "connections"] {
        assert_eq!(report.check(id)["verdict"], "ok", "{}", report.text);
    }
    world.stack.stop().await;
}
