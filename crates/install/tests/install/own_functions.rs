//! Projects that have written functions of these names themselves.

use crate::sandbox::{CONFIG, SETUP, Sandbox, assert_same, payload};

const OWN: &str = "supabase/functions/setup-calendar-webhook";
const ASIDE: &str = "supabase/functions/_replaced/setup-calendar-webhook";

/// With one that the CLI made, and a helper.
fn hand_written() -> Sandbox {
    let sandbox = Sandbox::lived_in();
    sandbox.new_function("setup-calendar-webhook");
    sandbox.write(&format!("{OWN}/google.ts"), "export const watch = 1;\n");
    sandbox
}

#[test]
fn without_being_told_nothing_is_written() {
    let sandbox = hand_written();
    let before = sandbox.tree();
    sandbox.install(&["--yes"]).failed().with(&format!("{OWN} is a function of your own")).with("--replace");
    assert_same(&sandbox.tree(), &before);
}

#[test]
fn when_told_they_make_way_with_all_their_files() {
    let sandbox = hand_written();
    let before = sandbox.tree();
    sandbox.install(&["--yes", "--replace"]).succeeded().with(&format!("  move    {OWN} → {ASIDE}"));
    for file in ["index.ts", "google.ts", "deno.json"] {
        let moved = sandbox.read(&format!("{ASIDE}/{file}"));
        assert_eq!(moved.as_bytes(), before[&format!("{OWN}/{file}")], "{file}");
    }
    assert!(sandbox.read(SETUP).contains("serve(\"setup-calendar-webhook\")"));
    assert!(!sandbox.has(&format!("{OWN}/google.ts")));
    let config: toml_edit::DocumentMut = sandbox.read(CONFIG).parse().unwrap();
    let table = &config["functions"]["setup-calendar-webhook"];
    assert_eq!(table["verify_jwt"].as_bool(), Some(false));
    // Files of these names are ours now.
    assert!(table.get("import_map").is_some() && table.get("entrypoint").is_some());
    sandbox.install(&[]).succeeded().with("Nothing to do");
}

#[test]
fn they_come_back_when_ours_go() {
    let sandbox = hand_written();
    let before = sandbox.tree();
    sandbox.install(&["--yes", "--replace"]).succeeded();
    sandbox
        .uninstall(&["--yes"])
        .succeeded()
        .with("  supabase functions deploy setup-calendar-webhook ")
        .with("  supabase functions delete google-calendar-webhook\n");
    let mut after = sandbox.tree();
    let value = |config: &[u8]| toml_edit::de::from_slice::<serde_json::Value>(config).unwrap();
    assert_eq!(value(&after[CONFIG]), value(&before[CONFIG]));
    after.insert(CONFIG.to_owned(), before[CONFIG].clone());
    assert_same(&after, &before);
}

#[test]
fn what_was_set_aside_before_is_not_overwritten() {
    let sandbox = hand_written();
    sandbox.write(&format!("{ASIDE}/index.ts"), "// from before\n");
    let before = sandbox.tree();
    sandbox.install(&["--yes", "--replace"]).failed().with(&format!("{ASIDE} is in the way"));
    assert_same(&sandbox.tree(), &before);
}

#[test]
fn one_that_was_about_to_make_way_is_not_lost() {
    let sandbox = hand_written();
    let before = sandbox.tree();
    // A file where its directory is to be.
    sandbox.write("supabase/functions/_replaced", "");
    let plan = install::install(&payload(), &sandbox.project(), true, "20300101000000").unwrap();
    assert!(plan.carry_out(&sandbox.project()).is_err());
    std::fs::remove_file(sandbox.path("supabase/functions/_replaced")).unwrap();

    sandbox.install(&["--yes"]).failed().with(&format!("{OWN} is a function of your own"));
    sandbox.install(&["--yes", "--replace"]).succeeded();
    assert_eq!(sandbox.read(&format!("{ASIDE}/index.ts")).as_bytes(), before[SETUP]);
}
