//! Arguments, variables and files.

use std::fs;

use system_tests::package_in;

use crate::case::cases;
use crate::world::World;

cases! {
    help_names_every_option_and_exit_code,
    what_is_not_understood_is_told_with_exit_code_2,
    every_missing_variable_is_told,
    variables_come_from_a_file_and_the_environment_wins,
    credentials_in_an_address_are_not_printed,
}

async fn help_names_every_option_and_exit_code(world: &mut World) {
    let report = world.run(&["--help"], &[]).await;
    assert_eq!(report.code, 0);
    for part in ["--url", "--env-file", "--json", "--fix", "--yes", "Exit codes: 0", "SUPABASE_SECRET_KEY"] {
        assert!(report.text.contains(part), "{part}: {}", report.text);
    }
}

async fn what_is_not_understood_is_told_with_exit_code_2(world: &mut World) {
    let key = world.stack.keys().secret.clone();
    for (arguments, says) in [
        (vec!["--nonsense"], "--nonsense"),
        (vec![key.as_str()], "unexpected argument"),
        (vec!["--yes"], "--fix"),
    ] {
        let report = world.run(&arguments, &[]).await;
        assert_eq!(report.code, 2, "{}", report.text);
        assert!(report.text.contains(says), "{says}: {}", report.text);
    }
    let report = world.run(&["--env-file", "missing.env"], &[]).await;
    // Node looks for a file of that option before it starts a program: github.com/nodejs/node/issues/54232.
    assert_eq!(report.code, if package_in().is_some() { 9 } else { 2 }, "{}", report.text);
    assert!(report.text.contains("missing.env"), "{}", report.text);
}

async fn every_missing_variable_is_told(world: &mut World) {
    world.open().await;
    let unset = ["SUPABASE_SECRET_KEY", "GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"].map(|name| (name, ""));
    let report = world.examine_with(&unset).await;
    report.finds(&[
        ("variables", "missing", "SUPABASE_SECRET_KEYS is not set, and neither is SUPABASE_SERVICE_ROLE_KEY"),
        ("variables", "missing", "GOOGLE_CLIENT_ID is not set"),
        ("variables", "missing", "GOOGLE_CLIENT_SECRET is not set"),
    ]);
    report.says("–", "project", "not judged: put variables right first");
    report.says("–", "google-client", "not judged: put variables right first");
    // What needs no key is looked at all the same.
    report.says("✓", "setup-calendar-webhook", "deployed, and reached without a JWT");

    let report = world.examine_with(&[("SUPABASE_URL", "no-address-at-all")]).await;
    let line = "SUPABASE_URL is not an http or https URL without user, query and fragment";
    report.finds(&[("variables", "malformed", line)]);
    report.says("–", "connections", "not judged: put variables right first");
}

async fn variables_come_from_a_file_and_the_environment_wins(world: &mut World) {
    world.open().await;
    let supabase = world.directory.path().join("supabase");
    fs::create_dir(&supabase).unwrap();
    let key = world.stack.keys().secret.as_str();
    let file =
        format!("SUPABASE_SECRET_KEYS='{{\"default\":\"{key}\"}}'\nGOOGLE_CLIENT_SECRET=wrong\nOTHER=x\n");
    fs::write(supabase.join(".env"), file).unwrap();
    let from_the_file = world.examine_with(&[("SUPABASE_SECRET_KEY", "")]).await;
    let wrong_client = world.examine_with(&[("SUPABASE_SECRET_KEY", ""), ("GOOGLE_CLIENT_SECRET", "")]).await;
    fs::remove_dir_all(supabase).unwrap();
    from_the_file.is_all_well();
    assert_eq!(wrong_client.check("google-client")["code"], "oauth_client_invalid", "{}", wrong_client.text);
}

async fn credentials_in_an_address_are_not_printed(world: &mut World) {
    let with_password = world.detour.url.replace("http://", "http://someone:hunter2@");
    let callback = format!("{with_password}/google?apikey=hunter2");
    for arguments in [[].as_slice(), &["--json"]] {
        let variables = [("SUPABASE_URL", with_password.as_str()), ("CALENDAR_WEBHOOK_URL", &callback)];
        let report = world.run(arguments, &variables).await;
        assert_eq!(report.code, 1, "{}", report.text);
        assert!(!report.text.contains("hunter2") && !report.text.contains("someone"), "{}", report.text);
    }
}
