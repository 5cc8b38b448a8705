use std::fs;

use install::Payload;
use system_tests::{package_in, typed};
use toml_edit::DocumentMut;

use crate::cli::{self, said, said_on_terminal};
use crate::sandbox::{CONFIG, FUNCTIONS, RECORD, SERVE, SETUP, Sandbox, assert_same, payload};

#[test]
fn a_fresh_project_gets_everything() {
    let sandbox = Sandbox::fresh();
    sandbox.install(&["--yes"]).succeeded();
    let Payload { files, migrations, functions, .. } = payload();
    assert_eq!(functions, FUNCTIONS);
    for (path, content) in files {
        assert_eq!(fs::read(sandbox.path(&path)).unwrap(), content, "{path}");
    }
    let installed = sandbox.migrations();
    assert_eq!(installed.len(), migrations.len());
    for (file, migration) in installed.iter().zip(migrations) {
        assert!(file.ends_with(&format!("_{}", migration.name)), "{file}");
        assert_eq!(fs::read(sandbox.path(&format!("supabase/migrations/{file}"))).unwrap(), migration.sql);
    }
    let config: DocumentMut = sandbox.read(CONFIG).parse().unwrap();
    for function in FUNCTIONS {
        assert_eq!(config["functions"][function]["verify_jwt"].as_bool(), Some(false), "{function}");
    }
    assert!(!sandbox.has("supabase/functions/recalculate-schedule"));
}

#[test]
fn a_path_with_a_space_is_told_as_it_is_to_be_typed() {
    let sandbox = Sandbox::fresh();
    sandbox.write("my app/supabase/config.toml", &sandbox.read(CONFIG));
    let app = sandbox.path("my app");
    let mut command = sandbox.home.command(cli::install());
    let typed = format!("{} --workdir '{}'", typed("deploy"), app.display());
    said(command.arg("--into").arg(&app).arg("--yes")).succeeded().with(&typed);
}

#[test]
fn config_toml_keeps_every_line_that_it_had() {
    let sandbox = Sandbox::lived_in();
    let before = sandbox.read(CONFIG);
    sandbox.install(&["--yes"]).succeeded();
    let after = sandbox.read(CONFIG);
    let added = after.strip_prefix(&before).expect("the old text comes first, unchanged");
    assert_eq!(added.matches("verify_jwt = false").count(), 3, "{added}");
}

#[test]
fn what_a_project_has_of_its_own_stays_untouched() {
    let sandbox = Sandbox::lived_in();
    let before = sandbox.tree();
    sandbox.install(&["--yes"]).succeeded();
    let after = sandbox.tree();
    for (path, content) in before.iter().filter(|(path, _)| *path != CONFIG) {
        assert_eq!(after.get(path), Some(content), "{path}");
    }
    assert!(after.len() > before.len());
}

#[test]
fn the_second_time_there_is_nothing_to_do() {
    let sandbox = Sandbox::lived_in();
    sandbox.install(&["--yes"]).succeeded().without("Nothing to do");
    let before = sandbox.tree();
    sandbox.install(&[]).succeeded().with("Nothing to do");
    assert_same(&sandbox.tree(), &before);
}

#[test]
fn a_dry_run_shows_each_file_and_on_request_each_line_and_writes_nothing() {
    let sandbox = Sandbox::lived_in();
    let before = sandbox.tree();
    sandbox
        .install(&["--dry-run"])
        .succeeded()
        .with(&format!("  add     {SETUP}\n"))
        .with("--diff shows every line")
        .without("+++");
    sandbox
        .install(&["--dry-run", "--diff"])
        .succeeded()
        .with(&format!("--- /dev/null\n+++ b/{SETUP}\n@@ -0,0 +1,6 @@\n+// Put here by"))
        .with(&format!("--- a/{CONFIG}\n+++ b/{CONFIG}\n"))
        .with("+[functions.setup-calendar-webhook]\n+verify_jwt = false\n")
        .with("  add     supabase/functions/_shared/wasm/module.js (")
        .with("KB, generated)")
        .with("Nothing was written")
        .without("AGFzbQ");
    assert_same(&sandbox.tree(), &before);
}

#[test]
fn without_a_terminal_somebody_must_have_agreed() {
    let sandbox = Sandbox::fresh();
    let before = sandbox.tree();
    sandbox.install(&[]).failed().with("--yes");
    assert_same(&sandbox.tree(), &before);
}

#[test]
fn on_a_terminal_it_asks() {
    let sandbox = Sandbox::fresh();
    let before = sandbox.tree();
    let mut install = cli::install();
    install.arg("--into").arg(sandbox.root());
    said_on_terminal(&sandbox.home, &install, "\n")
        .failed()
        .with("Do this? --diff shows every line. [y/N]")
        .with("nothing was written");
    assert_same(&sandbox.tree(), &before);
    said_on_terminal(&sandbox.home, &install, "y\n").succeeded().with("Done.");
    assert!(sandbox.has(SETUP));
}

#[test]
fn migrations_come_after_all_that_the_project_has() {
    let sandbox = Sandbox::fresh();
    sandbox.write("supabase/migrations/20990101000000_theirs.sql", "select 1;\n");
    // The CLI takes neither for a migration.
    sandbox.write("supabase/migrations/seed.sql", "select 2;\n");
    sandbox.write("supabase/migrations/undo_20990101000000.sql", "select 3;\n");
    sandbox.install(&["--yes"]).succeeded();
    let migrations = sandbox.migrations();
    assert_eq!(migrations[0], "20990101000000_theirs.sql");
    assert_eq!(migrations[1], "20990101000001_calendar_webhooks.sql");
}

#[test]
fn what_was_copied_by_hand_is_recognized() {
    let sandbox = Sandbox::fresh();
    let payload = payload();
    for (path, content) in &payload.files {
        sandbox.write(path, std::str::from_utf8(content).unwrap());
    }
    for (second, migration) in payload.migrations.iter().enumerate() {
        let sql = std::str::from_utf8(&migration.sql).unwrap();
        sandbox.write(&format!("supabase/migrations/2026112200000{second}_{}", migration.name), sql);
    }
    let before = sandbox.migrations();
    sandbox
        .install(&["--yes"])
        .succeeded()
        .without("  add     supabase/functions")
        .without("  add     supabase/migr");
    assert_eq!(sandbox.migrations(), before);
}

#[test]
fn an_interrupted_installation_is_repaired_by_the_next_one() {
    for next in [
        "supabase/functions/_shared/wasm/module.js",
        SETUP,
        "supabase/migrations/20300101000000_calendar_webhooks.sql",
    ] {
        let sandbox = Sandbox::fresh();
        let project = sandbox.project();
        let plan = install::install(&payload(), &project, false, "20300101000000").unwrap();
        // It cannot be written: a directory is in its place.
        fs::create_dir_all(sandbox.path(next)).unwrap();
        assert!(plan.carry_out(&project).is_err(), "{next}");
        fs::remove_dir(sandbox.path(next)).unwrap();

        sandbox.install(&["--yes"]).succeeded();
        for (path, content) in payload().files {
            assert_eq!(fs::read(sandbox.path(&path)).unwrap(), content, "{path}");
        }
        sandbox.install(&[]).succeeded().with("Nothing to do");
        assert!(!sandbox.read(RECORD).contains("[writing]"));
    }
}

#[test]
fn lost_files_come_back() {
    let sandbox = Sandbox::installed();
    let before = sandbox.tree();
    fs::remove_file(sandbox.path(SERVE)).unwrap();
    let last = sandbox.migrations().pop().unwrap();
    fs::remove_file(sandbox.path(&format!("supabase/migrations/{last}"))).unwrap();
    sandbox.install(&["--yes"]).succeeded();
    assert_same(&sandbox.tree(), &before);
}

#[test]
fn a_directory_that_is_no_project_is_refused() {
    let sandbox = Sandbox::fresh();
    let into = |path: &str| said(sandbox.home.command(cli::install()).arg("--into").arg(sandbox.path(path)));
    into("supabase").failed().with("name its root");
    let mut inside = sandbox.home.command(cli::install());
    let root = format!("name its root, {}", sandbox.project().root().display());
    said(inside.current_dir(sandbox.path("supabase"))).failed().with(&root);
    into("supabase/functions").failed().with("supabase init");
    if package_in().is_none() {
        let repository = local_supabase::repository();
        said(sandbox.home.command(cli::install()).arg("--into").arg(repository))
            .failed()
            .with("this repository");
    }
}
