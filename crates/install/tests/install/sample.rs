//! The sample app's functions, for a project that lacks them.

use std::fs;

use toml_edit::DocumentMut;

use crate::sandbox::{CONFIG, RECORD, Sandbox, assert_same, payload};

const SAMPLE: [&str; 3] = ["recalculate-schedule", "google-oauth-start", "google-oauth-callback"];
const RECALCULATE: &str = "supabase/functions/recalculate-schedule/index.ts";
const CALLBACK: &str = "supabase/functions/google-oauth-callback/index.ts";

fn with_sample(sandbox: &Sandbox) -> String {
    sandbox.install(&["--yes", "--with-sample"]).succeeded().text
}

#[test]
fn a_project_that_has_nothing_of_its_own_gets_all_of_it() {
    let sandbox = Sandbox::fresh();
    let said = with_sample(&sandbox);
    assert!(!said.contains("needs   supabase/functions/recalculate-schedule"), "{said}");
    let repository = local_supabase::repository().join("crates/sample-app/supabase/functions");
    for name in SAMPLE {
        let path = format!("{name}/index.ts");
        let written = sandbox.read(&format!("supabase/functions/{path}"));
        assert_eq!(written, fs::read_to_string(repository.join(&path)).unwrap());
    }
    let config: DocumentMut = sandbox.read(CONFIG).parse().unwrap();
    for name in SAMPLE {
        assert_eq!(config["functions"][name]["verify_jwt"].as_bool(), Some(false), "{name}");
    }
    assert!(sandbox.migrations().last().unwrap().ends_with("_sessions.sql"), "{:?}", sandbox.migrations());
    assert_eq!(sandbox.migrations().len(), payload().migrations.len() + 1);

    let before = sandbox.tree();
    sandbox.install(&["--yes", "--with-sample"]).succeeded().with("Nothing to do");
    sandbox.install(&["--yes"]).succeeded().with("Nothing to do");
    assert_same(&sandbox.tree(), &before);
}

#[test]
fn what_is_there_stays_and_only_the_rest_is_written() {
    let sandbox = Sandbox::fresh();
    sandbox.write(RECALCULATE, "Deno.serve(() => new Response());\n");
    with_sample(&sandbox);
    assert_eq!(sandbox.read(RECALCULATE), "Deno.serve(() => new Response());\n");
    assert!(!sandbox.has("supabase/functions/recalculate-schedule/plan.ts"));
    assert!(sandbox.has(CALLBACK));
    assert!(!sandbox.migrations().iter().any(|file| file.ends_with("_sessions.sql")));
}

#[test]
fn without_being_asked_nothing_of_it_is_written() {
    let sandbox = Sandbox::fresh();
    sandbox.install(&["--yes"]).succeeded().with("--with-sample writes one to start from");
    assert!(SAMPLE.iter().all(|name| !sandbox.has(&format!("supabase/functions/{name}"))));
}

#[test]
fn what_was_edited_is_never_touched_again() {
    let sandbox = Sandbox::fresh();
    with_sample(&sandbox);
    sandbox.write(RECALCULATE, "// mine\n");
    for arguments in [&["--yes"] as &[&str], &["--yes", "--with-sample"], &["--yes", "--replace"]] {
        sandbox.install(arguments).succeeded();
        assert_eq!(sandbox.read(RECALCULATE), "// mine\n");
    }
    let before = sandbox.tree();
    sandbox
        .uninstall(&["--yes"])
        .succeeded()
        .with("the sample app's functions were edited, and all of them stay");
    assert_eq!(sandbox.read(RECALCULATE), "// mine\n");
    assert!(sandbox.has(CALLBACK) && !sandbox.has(RECORD));
    // Nothing of it stops working.
    let is_of_sample =
        |path: &&String| !path.contains("calendar-webhook") && !path.contains("calendar_webhook");
    let after = sandbox.tree();
    for path in before.keys().filter(is_of_sample).filter(|path| !path.contains("_shared")) {
        assert!(after.contains_key(path), "{path}");
    }
    let config: DocumentMut = sandbox.read(CONFIG).parse().unwrap();
    assert!(SAMPLE.iter().all(|name| config["functions"][*name]["verify_jwt"].as_bool() == Some(false)));
}

#[test]
fn what_an_interruption_left_is_completed() {
    let sandbox = Sandbox::fresh();
    with_sample(&sandbox);
    let whole = sandbox.tree();
    sandbox.uninstall(&["--yes"]).succeeded();
    sandbox.write("supabase/functions/recalculate-schedule/plan.ts", "// another\n");
    let said = with_sample(&sandbox);
    assert!(said.contains("plan.ts is another one than the sample app's, and stays"), "{said}");
    let functions = whole.keys().filter(|path| path.contains("/functions/"));
    assert!(functions.into_iter().all(|path| sandbox.has(path)), "{said}");
    assert!(sandbox.migrations().iter().any(|file| file.ends_with("_sessions.sql")));
}

#[test]
fn a_table_of_its_name_keeps_the_samples_out() {
    let sandbox = Sandbox::fresh();
    sandbox.write("supabase/migrations/20200101000000_own.sql", "create table sessions(id int);\n");
    let said = with_sample(&sandbox);
    assert!(said.contains("makes a table sessions, so that of the sample app is left out"), "{said}");
    assert!(!sandbox.migrations().iter().any(|file| file.ends_with("_sessions.sql")));
}

#[test]
fn it_is_taken_back_with_the_rest() {
    for sandbox in [Sandbox::fresh(), Sandbox::lived_in()] {
        let before = sandbox.tree();
        with_sample(&sandbox);
        sandbox
            .uninstall(&["--yes"])
            .succeeded()
            .with("supabase functions delete google-oauth-start")
            .with("drop table if exists public.session_plans, public.sessions");
        assert_same(&sandbox.tree(), &before);
    }
}
