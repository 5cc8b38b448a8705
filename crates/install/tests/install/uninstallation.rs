use crate::sandbox::{FUNCTIONS, RECORD, SERVE, SETUP, Sandbox, assert_same};

#[test]
fn a_project_is_as_it_was_before() {
    for sandbox in [Sandbox::fresh(), Sandbox::lived_in()] {
        let before = sandbox.tree();
        sandbox.install(&["--yes"]).succeeded();
        assert_ne!(sandbox.tree(), before);
        sandbox.uninstall(&["--yes"]).succeeded();
        assert_same(&sandbox.tree(), &before);
    }
}

#[test]
fn what_stays_online_is_said() {
    let sandbox = Sandbox::installed();
    let version = sandbox.migrations()[0].split('_').next().unwrap().to_owned();
    let said = sandbox
        .uninstall(&["--yes"])
        .succeeded()
        .with(&format!("supabase migration repair --status reverted {version}"))
        .with("\n  update public.calendar_connections set sync_enabled = false where provider = 'google'")
        .with("RECALCULATE_SCHEDULE_LEASE_SECONDS")
        .with("drop view if exists public.calendar_webhook_health");
    for function in FUNCTIONS {
        assert!(said.text.contains(&format!("  supabase functions delete {function}\n")), "{}", said.text);
    }
}

#[test]
fn what_was_edited_stays() {
    let sandbox = Sandbox::installed();
    sandbox.write(SERVE, "// mine\n");
    sandbox.uninstall(&["--yes"]).succeeded().with(&format!("{SERVE} was edited"));
    assert_eq!(sandbox.read(SERVE), "// mine\n");
    assert!(!sandbox.has(SETUP));
    assert!(!sandbox.has(RECORD));
}

#[test]
fn a_dry_run_shows_it_and_removes_nothing() {
    let sandbox = Sandbox::installed();
    let before = sandbox.tree();
    sandbox.uninstall(&["--dry-run"]).succeeded().with(&format!("  remove  {SETUP}"));
    sandbox.uninstall(&[]).failed().with("--yes");
    assert_same(&sandbox.tree(), &before);
}

#[test]
fn where_nothing_was_installed_there_is_nothing_to_do() {
    let sandbox = Sandbox::fresh();
    let before = sandbox.tree();
    sandbox.uninstall(&["--yes"]).succeeded().with("Nothing to do");
    assert_same(&sandbox.tree(), &before);
}
