//! What the CLI uploads, and nothing else, plays the whole story.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use local_supabase::repository;
use tempfile::TempDir;

use crate::cli::{self, said};
use crate::management_api::{ManagementApi, PROJECT};
use crate::sandbox::Sandbox;

/// Installed into a project with functions of its own, deployed from there, and unpacked into an empty one.
fn deployed() -> TempDir {
    let sandbox = Sandbox::lived_in();
    sandbox.install(&["--yes"]).succeeded();
    let api = ManagementApi::start();
    let mut command = sandbox.home.command(cli::deploy());
    command.arg("--workdir").arg(sandbox.root()).args(["--yes", "--project-ref", PROJECT]);
    for step in ["files", "secrets", "migrations", "doctor"] {
        command.args(["--skip", step]);
    }
    said(command.envs(api.environment(&sandbox.home))).succeeded();

    let online = tempfile::tempdir().unwrap();
    api.unpack(online.path());
    let migrations = online.path().join("supabase/migrations");
    fs::create_dir(&migrations).unwrap();
    for migration in sandbox.migrations() {
        fs::copy(sandbox.path(&format!("supabase/migrations/{migration}")), migrations.join(migration))
            .unwrap();
    }
    online
}

fn the_story_holds(project: &Path, arguments: &[&str]) {
    // Its people are not patient: two at once, and the tests beside them, are too much for a small machine.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock();
    let mut demo = Command::new(env!("CARGO"));
    demo.args(["run", "--quiet", "--package", "dev-stack", "--", "--demo", "--project"]).arg(project);
    said(demo.args(arguments).current_dir(repository())).succeeded().with("All of it held");
}

#[test]
fn the_story_holds_on_the_newest_deno() {
    the_story_holds(deployed().path(), &[]);
}

#[test]
fn the_story_holds_on_the_oldest_deno_that_counts() {
    the_story_holds(deployed().path(), &["--deno", "floor", "--keys", "legacy"]);
}
