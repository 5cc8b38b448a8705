//! A project that is not configured says so at every request, by the name of the variable, and in its log.

use crate::case::cases;
use crate::scene::Scene;
use crate::standalone::Standalone;
use crate::table::each;
use system_tests::{Caller, FUNCTIONS, REFRESH};

cases! {
    shared: [
        a_missing_variable_is_named_by_every_function,
        a_malformed_variable_is_named,
        either_generation_of_keys_will_do,
    ],
    alone: [],
}

async fn is_misconfigured(scene: &Scene, function: &str, changes: &[(&str, Option<&str>)], names: &[&str]) {
    let standalone = Standalone::start(scene, function, changes).await;
    for caller in [Caller::Service, Caller::Nobody] {
        let answer = standalone.call(scene, caller, "{}").await;
        assert_eq!(answer.outcome(), (500, "misconfigured"), "{function}: {}", answer.text);
        let message = answer.body["error"]["message"].as_str().unwrap();
        assert!(names.iter().any(|name| message.contains(name)), "{function}: {message}");
        for (_, value) in changes {
            // A key may hide in a value that is not what it should be.
            assert!(value.is_none_or(|value| value.len() < 6 || !message.contains(value)), "{message}");
        }
    }
    let log = standalone.end(scene).await;
    assert!(names.iter().any(|name| log.contains(name)), "{function}: {log}");
    for (_, value) in changes {
        assert!(value.is_none_or(|value| value.len() < 6 || !log.contains(value)), "{log}");
    }
}

const KEYS: [&str; 2] = ["SUPABASE_SECRET_KEYS", "SUPABASE_SERVICE_ROLE_KEY"];

async fn a_missing_variable_is_named_by_every_function(scene: &Scene) {
    let mut rows = Vec::new();
    for function in FUNCTIONS {
        for name in ["SUPABASE_URL", "GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"] {
            rows.push((format!("{function} without {name}"), (function, vec![(name, None)], vec![name])));
        }
        let keys = KEYS.map(|name| (name, None)).to_vec();
        rows.push((format!("{function} without keys"), (function, keys, KEYS.to_vec())));
    }
    each(rows, |(function, changes, names)| async move {
        is_misconfigured(scene, function, &changes, &names).await;
    })
    .await;
}

async fn a_malformed_variable_is_named(scene: &Scene) {
    let rows = [
        ("SUPABASE_URL", ""),
        ("SUPABASE_URL", "no address"),
        ("SUPABASE_URL", "ftp://example.com"),
        ("SUPABASE_URL", "http://"),
        ("GOOGLE_CLIENT_ID", ""),
        ("GOOGLE_CLIENT_SECRET", ""),
        ("CALENDAR_WEBHOOK_URL", "no address"),
        ("GOOGLE_CALENDAR_API_URL", "no address"),
        ("GOOGLE_OAUTH_TOKEN_URL", "no address"),
        ("RECALCULATE_SCHEDULE_URL", "no address"),
        ("SUPABASE_SERVICE_ROLE_KEY", "sb_secret_with\na_newline"),
        ("SUPABASE_SERVICE_ROLE_KEY", "sb_secret_with_é"),
        ("SUPABASE_SECRET_KEYS", "no json at all"),
        ("SUPABASE_SECRET_KEYS", "[\"sb_secret_in_a_list\"]"),
        ("SUPABASE_SECRET_KEYS", "{\"default\": 5}"),
        ("SUPABASE_SECRET_KEYS", "{\"default\": \"\"}"),
        ("SUPABASE_SECRET_KEYS", "{\"default\": \"sb_secret_with\\na_newline\"}"),
    ];
    let rows = rows.into_iter().enumerate().map(|(index, (name, value))| {
        // The other generation's key would do.
        let mut changes: Vec<(&str, Option<&str>)> =
            if KEYS.contains(&name) { KEYS.map(|key| (key, None)).to_vec() } else { vec![] };
        changes.push((name, Some(value)));
        (format!("{name}={value:?}"), (FUNCTIONS[index % 3], changes, name))
    });
    each(rows, |(function, changes, name)| async move {
        is_misconfigured(scene, function, &changes, &[name]).await;
    })
    .await;
}

async fn either_generation_of_keys_will_do(scene: &Scene) {
    let (current_key, legacy_key) = (scene.keys.secret.as_str(), scene.keys.legacy_service_role.as_str());
    let json = format!(r#"{{"other":"sb_secret_other","default":"{current_key}"}}"#);
    let rows = [("current", (true, false)), ("legacy", (false, true)), ("both", (true, true))];
    let json = json.as_str();
    each(rows, |(current, legacy)| async move {
        let connection = scene.open().await;
        let changes = [
            ("SUPABASE_SECRET_KEYS", current.then_some(json)),
            ("SUPABASE_SERVICE_ROLE_KEY", legacy.then_some(legacy_key)),
        ];
        let standalone = Standalone::start(scene, REFRESH, &changes).await;
        for (key, configured) in [(current_key, current), (legacy_key, legacy)] {
            let request = scene.http.post(format!("http://{}/", standalone.address()));
            let answer = scene.send(request.header("apikey", key).json(&connection.target())).await;
            let expected = if configured { (429, "too_soon") } else { (401, "unauthenticated") };
            assert_eq!(answer.outcome(), expected, "{}", answer.text);
        }
    })
    .await;
}
