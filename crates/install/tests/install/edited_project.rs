use crate::sandbox::{CONFIG, FUNCTIONS, RECORD, SERVE, SETUP, Sandbox, assert_same, older_payload};

#[test]
fn an_edited_file_is_shown_and_stays() {
    let sandbox = Sandbox::fresh();
    sandbox.install_version(&older_payload(), "20250202000000");
    sandbox.write(SERVE, "// mine\n");
    sandbox
        .install(&["--yes"])
        .succeeded()
        .with(&format!("{SERVE} was edited since it was installed, and stays"))
        .with("-// mine");
    assert_eq!(sandbox.read(SERVE), "// mine\n");
    assert!(sandbox.has(SETUP));
    // Still known as edited.
    sandbox.install(&[]).succeeded().with("was edited").with("Nothing to do");
}

#[test]
fn of_an_edited_file_with_the_line_ends_of_windows_the_edit_alone_is_shown() {
    let sandbox = Sandbox::installed();
    let ours = sandbox.read(SERVE).replace('\n', "\r\n");
    sandbox.write(SERVE, &format!("{ours}// mine\r\n"));
    let said = sandbox.install(&[]).succeeded().with("\n          -// mine\n");
    let removed = said.text.lines().filter(|line| line.starts_with("          -") && !line.contains("---"));
    assert_eq!(removed.count(), 1, "{}", said.text);
}

#[test]
fn an_edited_file_is_overwritten_only_when_told() {
    let sandbox = Sandbox::installed();
    let ours = sandbox.read(SERVE);
    sandbox.write(SERVE, "// mine\n");
    sandbox.install(&["--yes", "--replace", "--diff"]).succeeded().with("-// mine");
    assert_eq!(sandbox.read(SERVE), ours);
}

#[test]
fn an_edited_migration_is_never_overwritten() {
    let sandbox = Sandbox::installed();
    let migration = format!("supabase/migrations/{}", sandbox.migrations()[0]);
    sandbox.write(&migration, "select 2;\n");
    let before = sandbox.tree();
    sandbox.install(&["--yes", "--replace"]).succeeded().with(&migration).with("Nothing to do");
    assert_same(&sandbox.tree(), &before);
}

#[test]
fn a_file_of_the_projects_own_is_never_overwritten() {
    let sandbox = Sandbox::lived_in();
    sandbox.write(SERVE, "export const mine = 1;\n");
    let before = sandbox.tree();
    for arguments in [["--yes"].as_slice(), &["--yes", "--replace"]] {
        sandbox.install(arguments).failed().with(&format!("{SERVE} is a file of your own")).with("rename it");
        assert_same(&sandbox.tree(), &before);
    }
}

#[test]
fn a_table_keeps_its_other_keys_and_their_comments() {
    let sandbox = Sandbox::fresh();
    let table =
        "\n[functions.setup-calendar-webhook]\nenabled = true # for now\nverify_jwt = true # why not\n";
    let config = format!("{}{table}", sandbox.read(CONFIG));
    sandbox.write(CONFIG, &config);
    sandbox.install(&["--yes"]).succeeded();
    let changed = table.replace("verify_jwt = true", "verify_jwt = false");
    assert!(sandbox.read(CONFIG).contains(&changed), "{}", sandbox.read(CONFIG));
    sandbox.uninstall(&["--yes"]).succeeded();
    assert_eq!(sandbox.read(CONFIG), config);
}

#[test]
fn other_ways_to_write_the_tables_are_understood() {
    for own in [
        "functions = { hello = { verify_jwt = true }, setup-calendar-webhook = { verify_jwt = true } }\n",
        "[functions]\nsetup-calendar-webhook.verify_jwt = true\n",
        "[functions.\"setup-calendar-webhook\"]\nimport_map = ''",
        "project_id = 'x'\r\n[functions.setup-calendar-webhook]\r\n# nothing\r\n",
        "project_id = 'x' # the last line has no end",
        "\u{feff}project_id = 'x'\r\n[functions.setup-calendar-webhook]\nverify_jwt = true\r\n# mixed\n",
    ] {
        let sandbox = Sandbox::fresh();
        sandbox.write(CONFIG, own);
        sandbox.install(&["--yes"]).succeeded();
        let config: toml_edit::DocumentMut = sandbox.read(CONFIG).parse().unwrap();
        for function in FUNCTIONS {
            let verify_jwt = &config["functions"][function]["verify_jwt"];
            assert_eq!(verify_jwt.as_bool(), Some(false), "{function} in {own}");
        }
        assert_eq!(sandbox.read(CONFIG).matches("\r\n").count() > 0, own.contains("\r\n"), "{own}");
        sandbox.install(&[]).succeeded().with("Nothing to do");
        sandbox.uninstall(&["--yes"]).succeeded();
        assert_eq!(sandbox.read(CONFIG), own);
    }
}

#[test]
fn settings_that_would_keep_a_function_from_being_served_are_named() {
    for (setting, key) in [
        ("enabled = false", "enabled"),
        ("entrypoint = \"./functions/other/main.ts\"", "entrypoint"),
        ("import_map = \"./functions/setup-calendar-webhook/elsewhere.json\"", "import_map"),
    ] {
        let sandbox = Sandbox::fresh();
        let config = sandbox.read(CONFIG);
        sandbox.write(CONFIG, &format!("{config}\n[functions.setup-calendar-webhook]\n{setting}\n"));
        let before = sandbox.tree();
        sandbox.install(&["--yes"]).failed().with(&format!("{key} in [functions.setup-calendar-webhook]"));
        assert_same(&sandbox.tree(), &before);
    }
}

#[test]
fn the_table_that_supabase_functions_new_writes_is_kept() {
    let sandbox = Sandbox::fresh();
    let import_map = "import_map = \"./functions/setup-calendar-webhook/deno.json\"";
    let config = sandbox.read(CONFIG);
    sandbox.write(CONFIG, &format!("{config}\n[functions.setup-calendar-webhook]\n{import_map}\n"));
    sandbox.install(&["--yes"]).succeeded();
    assert!(sandbox.read(CONFIG).contains(import_map));
}

#[test]
fn a_linked_configuration_stays_a_link_and_private() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let sandbox = Sandbox::fresh();
    let (config, elsewhere) = (sandbox.path(CONFIG), sandbox.path("config.toml"));
    std::fs::rename(&config, &elsewhere).unwrap();
    std::fs::set_permissions(&elsewhere, std::fs::Permissions::from_mode(0o600)).unwrap();
    symlink("../config.toml", &config).unwrap();
    sandbox.install(&["--yes"]).succeeded();
    assert!(config.is_symlink());
    assert!(sandbox.read("config.toml").contains("[functions.setup-calendar-webhook]"));
    assert_eq!(std::fs::metadata(&elsewhere).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_damaged_record_or_configuration_is_named() {
    let sandbox = Sandbox::installed();
    let record = sandbox.read("supabase/calendar-webhooks.lock");
    for damaged in ["no TOML", &record.replace("supabase/functions/_shared/serve.ts", "supabase/../../x")] {
        sandbox.write("supabase/calendar-webhooks.lock", damaged);
        for said in [sandbox.install(&["--yes"]), sandbox.uninstall(&["--yes"])] {
            said.failed().with("calendar-webhooks.lock is damaged");
        }
    }
    sandbox.write("supabase/calendar-webhooks.lock", &record);
    sandbox.write(CONFIG, "[functions\n");
    sandbox.install(&["--yes"]).failed().with("supabase/config.toml is not TOML");
}

#[test]
fn a_link_to_nothing_is_named_before_anything_is_written() {
    for link in [SERVE, "supabase/functions/_shared", "supabase/functions", "supabase/migrations"] {
        let sandbox = Sandbox::fresh();
        let path = sandbox.path(link);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink("/nonexistent", path).unwrap();
        sandbox.install(&["--yes"]).failed().with(&format!("{link} is a symbolic link to nothing"));
        assert!(!sandbox.has(RECORD) && sandbox.path(link).is_symlink());
    }
}

#[test]
fn a_file_in_the_place_of_the_migrations_is_named_before_anything_is_written() {
    let sandbox = Sandbox::fresh();
    sandbox.write("supabase/migrations", "");
    let before = sandbox.tree();
    sandbox.install(&["--yes"]).failed().with("cannot read supabase/migrations");
    assert_same(&sandbox.tree(), &before);
}

#[test]
fn a_checkout_with_the_line_ends_of_windows_counts_as_not_edited() {
    let sandbox = Sandbox::installed();
    for (path, content) in sandbox.tree() {
        if !path.ends_with('/') {
            let text = String::from_utf8(content).unwrap();
            sandbox.write(&path, &text.replace('\n', "\r\n"));
        }
    }
    let before = sandbox.tree();
    sandbox.install(&[]).succeeded().with("Nothing to do").without("was edited");
    assert_same(&sandbox.tree(), &before);
    sandbox.uninstall(&["--yes"]).succeeded().without("was edited");
    assert!(!sandbox.has(SERVE) && !sandbox.has(RECORD) && sandbox.migrations().is_empty());

    let sandbox = Sandbox::fresh();
    sandbox.install_version(&older_payload(), "20250202000000");
    sandbox.write(SERVE, "// older\r\n");
    sandbox.install(&["--yes"]).succeeded().without("was edited");
    assert_ne!(sandbox.read(SERVE), "// older\r\n");
}

#[test]
fn nothing_is_written_or_removed_through_a_link_that_leads_out_of_the_project() {
    use std::os::unix::fs::symlink;

    let elsewhere = tempfile::tempdir().unwrap();
    let theirs = elsewhere.path().join("theirs");
    std::fs::write(&theirs, "theirs").unwrap();

    // Where half of a file would be written under a name that can be guessed.
    let sandbox = Sandbox::fresh();
    symlink(&theirs, sandbox.path("supabase/.config.toml.partial")).unwrap();
    sandbox.install(&["--yes"]).succeeded();
    assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "theirs");

    let shared = sandbox.path("supabase/functions/_shared");
    std::fs::rename(&shared, elsewhere.path().join("_shared")).unwrap();
    symlink(elsewhere.path().join("_shared"), &shared).unwrap();
    for said in [sandbox.install(&["--yes"]), sandbox.uninstall(&["--yes"])] {
        said.failed().with("leads out of the project, by a symbolic link");
    }
    assert!(elsewhere.path().join("_shared/serve.ts").is_file());
    assert!(sandbox.has(SETUP) && sandbox.has(RECORD));
}

#[test]
fn what_recalculate_schedule_still_needs_is_said() {
    let sandbox = Sandbox::fresh();
    sandbox
        .install(&["--dry-run"])
        .succeeded()
        .with("  needs   supabase/functions/recalculate-schedule: it is yours to write");
    sandbox.write("supabase/functions/recalculate-schedule/index.ts", "Deno.serve(() => new Response());\n");
    sandbox
        .install(&["--dry-run"])
        .succeeded()
        .with("  needs   verify_jwt = false under [functions.recalculate-schedule]");
    let config = sandbox.read(CONFIG);
    sandbox.write(CONFIG, &format!("{config}\n[functions.recalculate-schedule]\nverify_jwt = false\n"));
    sandbox
        .install(&["--yes"])
        .succeeded()
        .without("  needs   ")
        .with("supabase functions deploy recalculate-schedule");
}

#[test]
fn a_remote_that_keeps_a_function_from_being_called_is_named() {
    let sandbox = Sandbox::fresh();
    let config = sandbox.read(CONFIG);
    let remote = "\n[remotes.staging]\nproject_id = \"zyxwvutsrqponmlkjihg\"\n\
                  [remotes.staging.functions.google-calendar-webhook]\nverify_jwt = true\n\
                  [remotes.staging.functions.setup-calendar-webhook]\nenabled = false\n\
                  [remotes.staging.functions.theirs]\nverify_jwt = true\n";
    sandbox.write(CONFIG, &format!("{config}{remote}"));
    let said = sandbox.install(&["--yes"]).succeeded();
    assert_eq!(said.text.matches("[remotes.staging.functions.").count(), 2, "{}", said.text);
    said.with("verify_jwt in [remotes.staging.functions.google-calendar-webhook] is true")
        .with("enabled in [remotes.staging.functions.setup-calendar-webhook] is false: remove it");
}

#[test]
fn a_recalculate_schedule_in_another_language_or_place_is_the_projects_own() {
    let verify_jwt = "verify_jwt = false under [functions.recalculate-schedule]";
    for (file, entrypoint, needs) in [
        ("recalculate-schedule/index.js", None, "entrypoint = \"./functions/recalculate-schedule/index.js\""),
        ("recalculate-schedule/index.js", Some("./functions/recalculate-schedule/index.js"), verify_jwt),
        ("recalc.ts", Some("./functions/recalc.ts"), verify_jwt),
    ] {
        let sandbox = Sandbox::fresh();
        sandbox.write(&format!("supabase/functions/{file}"), "Deno.serve(() => new Response());\n");
        if let Some(entrypoint) = entrypoint {
            let config = sandbox.read(CONFIG);
            let table = format!("\n[functions.recalculate-schedule]\nentrypoint = \"{entrypoint}\"\n");
            sandbox.write(CONFIG, &format!("{config}{table}"));
        }
        for arguments in [&["--dry-run"] as &[&str], &["--dry-run", "--with-sample"]] {
            sandbox
                .install(arguments)
                .succeeded()
                .without("supabase/functions/recalculate-schedule/index.ts")
                .without("it is yours to write")
                .with(&format!("  needs   {needs}"));
        }
    }
}

#[test]
fn an_entrypoint_without_its_file_is_no_function() {
    let sandbox = Sandbox::fresh();
    let config = sandbox.read(CONFIG);
    let table =
        "\n[functions.recalculate-schedule]\nentrypoint = \"./functions/recalculate-schedule/index.ts\"\n";
    sandbox.write(CONFIG, &format!("{config}{table}"));
    sandbox.install(&["--dry-run"]).succeeded().with("it is yours to write");
    sandbox
        .install(&["--dry-run", "--with-sample"])
        .succeeded()
        .with("supabase/functions/recalculate-schedule/index.ts");
}

#[test]
fn secrets_that_git_would_commit_are_ignored_from_then_on() {
    let ignored = "supabase/.gitignore";
    for is_repository in [true, false] {
        let sandbox = Sandbox::fresh();
        if is_repository {
            let mut git = std::process::Command::new("git");
            assert!(git.args(["init", "--quiet"]).current_dir(sandbox.root()).status().unwrap().success());
        }
        // As `supabase init` writes it in a repository.
        let before = ".branches\n.temp\n\n# dotenvx\n.env.keys\n.env.local\n.env.*.local\n";
        sandbox.write(ignored, before);
        sandbox
            .install(&["--yes"])
            .succeeded()
            .with(&format!("  change  {ignored}"))
            .with("supabase/.env is for secrets, and nothing had Git ignore it");
        let after = sandbox.read(ignored);
        assert_eq!(after.strip_prefix(before), Some(".env\n"));
        sandbox.write("supabase/.env", "GOOGLE_CLIENT_SECRET=x\n");
        sandbox.install(&[]).succeeded().with("Nothing to do").without("is for secrets");
    }
}

#[test]
fn of_secrets_that_are_committed_it_is_told_how_they_get_out_of_git() {
    let sandbox = Sandbox::fresh();
    sandbox.write("supabase/.env", "GOOGLE_CLIENT_SECRET=x\n");
    for arguments in [["init", "--quiet"].as_slice(), &["add", "--force", "supabase/.env"]] {
        let mut git = std::process::Command::new("git");
        assert!(git.args(arguments).current_dir(sandbox.root()).status().unwrap().success());
    }
    sandbox.install(&["--yes"]).succeeded().with("git rm --cached supabase/.env");
    let ignored = sandbox.read("supabase/.gitignore");
    sandbox.install(&["--yes"]).succeeded().with("git rm --cached supabase/.env").with("Nothing to do");
    assert_eq!(sandbox.read("supabase/.gitignore"), ignored);
}
