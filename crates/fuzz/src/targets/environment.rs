//! The environment: refused by the name of a variable and without its value, or good for requests that can be sent.

use adapters::configuration::{Configuration, Environment, VARIABLES};
use functions::Function;
use protocol::ports::Connections;
use protocol::table::{Column, Query};
use serde_json::Value as Json;
use std::time::Duration;
use url::Url;

use crate::oracle::{assert_hidden, is_visible};
use crate::project::{Post, Project, empty, finish};

/// `data` is `NAME=value` a line; a value goes on in the next line after a backslash.
pub fn target(data: &[u8]) {
    let text = String::from_utf8_lossy(data).replace("\\\n", "\u{e000}");
    let variables: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.replace('\u{e000}', "\n")))
        .collect();
    let json: Json = variables.iter().cloned().map(|(name, value)| (name, Json::String(value))).collect();
    #[allow(clippy::unwrap_used, reason = "every object of strings is an environment")]
    let environment: Environment = serde_json::from_value(json).unwrap();
    // The last of several counts, and one that is set to nothing is not set.
    let value = |name: &str| {
        let last = variables.iter().rev().find(|(variable, _)| variable == name);
        last.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    match Configuration::parse(&environment) {
        Err(misconfigured) => {
            assert!(VARIABLES.contains(&misconfigured.variable));
            let told = misconfigured.to_string();
            assert!(told.contains(misconfigured.variable));
            let others =
                variables.iter().map(|(_, value)| value.as_str()).filter(|value| !VARIABLES.contains(value));
            assert_hidden(&told, others);
        }
        Ok(configuration) => {
            for name in ["SUPABASE_URL", "GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"] {
                assert!(value(name).is_some_and(is_visible), "{name}");
            }
            for name in VARIABLES.into_iter().filter(|name| name.ends_with("_URL")) {
                assert!(value(name).is_none_or(is_address), "{name}");
            }
            let lease = value("RECALCULATE_SCHEDULE_LEASE_SECONDS").unwrap_or("180").parse::<u64>();
            assert_eq!(lease.ok(), Some(configuration.run_lease.as_secs()));
            assert!((60..=420).contains(&configuration.run_lease.as_secs()));
            let printed = format!("{configuration:?}");
            let keys: Vec<&str> = configuration.service_keys.iter().map(|key| key.expose()).collect();
            let public: Vec<&str> = VARIABLES
                .into_iter()
                .filter(|name| !name.contains("KEY") && !name.contains("SECRET"))
                .filter_map(value)
                .collect();
            let secret = keys.iter().copied().chain(value("GOOGLE_CLIENT_SECRET"));
            assert_hidden(
                &printed,
                secret.filter(|secret| !public.iter().any(|public| public.contains(secret))),
            );
            is_good_for_requests(configuration.clone(), &keys);
        }
    }
}

fn is_address(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    is_visible(text) && (lower.starts_with("http:") || lower.starts_with("https:"))
}

fn is_good_for_requests(configuration: Configuration, keys: &[&str]) {
    let project = Project::configured(configuration, empty);
    let query = Query::first(1, Vec::new(), Column::Id);
    assert!(finish(project.deployment.select(query, Duration::from_secs(1))).is_ok());
    for request in project.asked() {
        let url = Url::parse(&request.url);
        assert!(
            url.is_ok_and(|url| url.path().ends_with("/rest/v1/calendar_connections")),
            "{}",
            request.url
        );
        for (name, value) in &request.headers {
            assert!(value.chars().all(|c| (' '..='~').contains(&c)), "{name}");
        }
    }
    for key in keys {
        let known =
            project.handle(Function::SetupCalendarWebhook, &Post::new(&[("apikey", key)], b"")).answer;
        assert_eq!(known.status, 400, "a service that names nobody");
    }
    let longer: String = keys.concat() + "x";
    let unknown =
        project.handle(Function::SetupCalendarWebhook, &Post::new(&[("apikey", &longer)], b"")).answer;
    assert_eq!(unknown.status, 401);
}
