use std::fs;

use crate::sandbox::{CONFIG, RECORD, SERVE, Sandbox, older_payload, payload};

const RETIRED: &str = "supabase/functions/_shared/old/retired.ts";

fn older() -> Sandbox {
    let sandbox = Sandbox::lived_in();
    sandbox.install_version(&older_payload(), "20250202000000");
    sandbox
}

#[test]
fn an_older_installation_is_brought_up_to_date() {
    let sandbox = older();
    assert!(sandbox.has(RETIRED));
    sandbox
        .install(&["--yes", "--diff"])
        .succeeded()
        .with(&format!("  change  {SERVE}"))
        .with(&format!("  remove  {RETIRED}"))
        .with("-// older");
    for (path, content) in payload().files {
        assert_eq!(fs::read(sandbox.path(&path)).unwrap(), content, "{path}");
    }
    assert!(!sandbox.has("supabase/functions/_shared/old"));
    sandbox.install(&[]).succeeded().with("Nothing to do");
}

#[test]
fn a_migration_that_was_installed_stays_and_its_new_version_is_another_one() {
    let sandbox = older();
    let old = "supabase/migrations/20250202000000_calendar_webhooks.sql";
    sandbox.install(&["--yes"]).succeeded();
    assert_eq!(sandbox.read(old), "select 1;\n");
    let migrations = sandbox.migrations();
    assert_eq!(migrations.len(), 2 + payload().migrations.len(), "{migrations:?}");
    for migration in payload().migrations {
        let new = migrations.iter().rfind(|file| file.ends_with(&format!("_{}", migration.name))).unwrap();
        assert_eq!(fs::read(sandbox.path(&format!("supabase/migrations/{new}"))).unwrap(), migration.sql);
    }
}

#[test]
fn a_retired_file_that_was_edited_stays() {
    let sandbox = older();
    sandbox.write(RETIRED, "export const mine = 1;\n");
    sandbox.install(&["--yes"]).succeeded().with("it is yours now");
    assert_eq!(sandbox.read(RETIRED), "export const mine = 1;\n");
    sandbox.install(&[]).succeeded().with("Nothing to do");
}

#[test]
fn an_update_that_was_interrupted_goes_on() {
    let sandbox = older();
    let project = sandbox.project();
    let plan = install::install(&payload(), &project, false, "20300101000000").unwrap();
    // The code is written by then; a directory is in the place of what comes next.
    let next = sandbox.path("supabase/migrations/20300101000000_calendar_webhooks.sql");
    fs::create_dir(&next).unwrap();
    assert!(plan.carry_out(&project).is_err());
    fs::remove_dir(&next).unwrap();
    assert!(sandbox.has(RETIRED) && sandbox.read(SERVE) != "// older\n");

    sandbox.install(&["--yes"]).succeeded().without("\n  note    ");
    for (path, content) in payload().files {
        assert_eq!(fs::read(sandbox.path(&path)).unwrap(), content, "{path}");
    }
    assert!(!sandbox.has(RETIRED));
}

#[test]
fn an_update_adds_no_table_twice() {
    let sandbox = older();
    sandbox.install(&["--yes"]).succeeded();
    assert_eq!(sandbox.read(CONFIG).matches("[functions.setup-calendar-webhook]").count(), 1);
}

/// The record as a package of another version has left it.
fn recorded_by(sandbox: &Sandbox, version: &str) -> String {
    let ours = format!("package = \"{}\"", env!("CARGO_PKG_VERSION"));
    let record = sandbox.read(RECORD);
    assert!(record.contains(&ours), "{record}");
    record.replace(&ours, &format!("package = \"{version}\""))
}

#[test]
fn the_record_tells_the_version_from_then_on() {
    let sandbox = older();
    let before = recorded_by(&sandbox, "0.0.9");
    sandbox.write(RECORD, &before);
    sandbox.install(&["--yes"]).succeeded().with(&format!("  change  {RECORD}"));
    recorded_by(&sandbox, "");
    sandbox.install(&[]).succeeded().with("Nothing to do");

    // As it was before it told.
    sandbox.write(RECORD, &recorded_by(&sandbox, "").replace("package = \"\"\n", ""));
    sandbox.install(&["--yes"]).succeeded().with(&format!("  change  {RECORD}"));
    recorded_by(&sandbox, "");
}

#[test]
fn what_a_newer_version_has_installed_is_left_alone() {
    let sandbox = Sandbox::installed();
    sandbox.write(RECORD, &recorded_by(&sandbox, "99.0.0"));
    let before = sandbox.tree();
    for said in [sandbox.install(&["--yes", "--replace"]), sandbox.uninstall(&["--yes"])] {
        said.failed().with("was installed: 99.0.0.").with("@latest");
    }
    assert_eq!(sandbox.tree(), before);
}
