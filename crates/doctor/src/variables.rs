//! The variables that the functions are deployed with, as this machine has them.

use std::collections::{BTreeMap, BTreeSet};

use adapters::address;
use adapters::configuration::{Configuration, Environment, Misconfigured, VARIABLES};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};
use url::Url;

use crate::check::{Check, Id};
use crate::home::Home;

pub const SUPABASE_URL: &str = "SUPABASE_URL";
pub const CLIENT_ID: &str = "GOOGLE_CLIENT_ID";
pub const CLIENT_SECRET: &str = "GOOGLE_CLIENT_SECRET";
const SECRET_KEYS: &str = "SUPABASE_SECRET_KEYS";
/// One key alone, as the dashboard shows it.
pub const SECRET_KEY: &str = "SUPABASE_SECRET_KEY";
const SERVICE_ROLE_KEY: &str = "SUPABASE_SERVICE_ROLE_KEY";
const KEYS: [&str; 3] = [SECRET_KEYS, SECRET_KEY, SERVICE_ROLE_KEY];

/// The variables as the functions understand them.
pub struct Variables {
    /// Whatever is wrong is replaced by something harmless, and named in `unusable`.
    pub configuration: Configuration,
    unusable: BTreeSet<&'static str>,
    problems: Vec<Problem>,
}

#[derive(Debug, PartialEq, Eq)]
struct Problem {
    code: &'static str,
    line: String,
    next: String,
}

impl Variables {
    pub fn parse(mut variables: BTreeMap<String, String>, now: DateTime<Utc>) -> Option<Self> {
        variables.retain(|_, value| !value.is_empty());
        let home = Home::of(variables.get(SUPABASE_URL).map_or("", String::as_str));
        let mut problems = key_problems(home, &variables, now);
        let mut unusable: BTreeSet<&'static str> =
            if problems.is_empty() { BTreeSet::new() } else { BTreeSet::from([SECRET_KEYS]) };
        if !variables.contains_key(SECRET_KEYS)
            && let Some(key) = variables.get(SECRET_KEY)
        {
            let keys = json!({ "default": key }).to_string();
            variables.insert(SECRET_KEYS.to_owned(), keys);
        }
        // `Configuration` names one problem at a time: put it right and look again.
        for _ in VARIABLES {
            // A variable that is set to nothing is not set.
            let value = |name| (name, variables.get(name).map_or("", String::as_str));
            match Configuration::parse(&Environment::from(VARIABLES.map(value))) {
                Ok(configuration) => return Some(Self { configuration, unusable, problems }),
                Err(misconfigured) => {
                    let variable = misconfigured.variable;
                    let is_key = KEYS.contains(&variable);
                    if !is_key || !unusable.contains(SECRET_KEYS) {
                        problems.push(problem(home, misconfigured, variables.contains_key(variable)));
                    }
                    unusable.insert(if is_key { SECRET_KEYS } else { variable });
                    if is_key {
                        variables.remove(SERVICE_ROLE_KEY);
                        variables.insert(SECRET_KEYS.to_owned(), json!({ "default": "none" }).to_string());
                    } else {
                        variables.insert(variable.to_owned(), placeholder(variable).to_owned());
                    }
                }
            }
        }
        None
    }

    pub fn home(&self) -> Home {
        Home::of(&self.configuration.supabase_url)
    }

    /// Whether the project can be asked with what there is.
    pub fn has_project(&self) -> bool {
        self.has(SUPABASE_URL)
    }

    pub fn has_key(&self) -> bool {
        self.has(SECRET_KEYS)
    }

    pub fn has_google_client(&self) -> bool {
        self.has(CLIENT_ID) && self.has(CLIENT_SECRET) && self.has("GOOGLE_OAUTH_TOKEN_URL")
    }

    pub fn has_callback(&self) -> bool {
        self.has(SUPABASE_URL) && self.has("CALENDAR_WEBHOOK_URL")
    }

    fn has(&self, variable: &str) -> bool {
        !self.unusable.contains(variable)
    }

    pub fn judge(&self) -> Vec<Check> {
        let id = Id::Variables;
        if self.problems.is_empty() {
            return vec![Check::ok(id, "set and well-formed: address, secret key, Google client")];
        }
        let wrong = self.problems.iter();
        wrong.map(|problem| Check::wrong(id, problem.code, &problem.line, &problem.next)).collect()
    }
}

/// All values that must never be printed.
pub fn secrets(variables: &BTreeMap<String, String>) -> Vec<String> {
    let mut secrets: Vec<String> = Vec::new();
    for name in [SECRET_KEYS, SECRET_KEY, SERVICE_ROLE_KEY, CLIENT_SECRET] {
        let Some(value) = variables.get(name) else { continue };
        secrets.push(value.clone());
        let named: Json = serde_json::from_str(value).unwrap_or_default();
        let keys = named.as_object().into_iter().flatten();
        secrets.extend(keys.filter_map(|(_, key)| key.as_str()).map(str::to_owned));
    }
    secrets
}

/// An address without what may be secret in it.
pub fn shown(url: &str) -> String {
    Url::parse(url).map_or_else(
        |_| "(not an address)".to_owned(),
        |url| format!("{}{}", url.origin().ascii_serialization(), url.path().trim_end_matches('/')),
    )
}

fn placeholder(variable: &str) -> &'static str {
    match variable {
        "RECALCULATE_SCHEDULE_LEASE_SECONDS" => "180",
        "CALENDAR_LOOK_HOURS" => "6",
        "FUNCTION_WALL_CLOCK_SECONDS" => "150",
        variable if variable.ends_with("_URL") => "https://example.invalid",
        _ => "none",
    }
}

fn problem(home: Home, misconfigured: Misconfigured, is_set: bool) -> Problem {
    let variable = misconfigured.variable;
    let next = match variable {
        SUPABASE_URL => "give --url https://<ref>.supabase.co, or set SUPABASE_URL".to_owned(),
        CLIENT_ID | CLIENT_SECRET => format!(
            "take it from Google Cloud (APIs & Services, Credentials, the OAuth client), put it into supabase/.env, and {}",
            home.set_variables()
        ),
        _ if KEYS.contains(&variable) => {
            format!("{}, and put it into supabase/.env as SUPABASE_SECRET_KEY", take_a_secret_key(home))
        }
        _ => format!(
            "correct it in supabase/.env, and {}; or remove it, for the default",
            home.set_variables()
        ),
    };
    let where_read = ". It is read where the doctor is called; --env-file names another file";
    let is_plain_http = misconfigured.problem == address::Problem::PlainHttp.text();
    Problem {
        code: match is_set {
            true if is_plain_http => "not_https",
            true => "malformed",
            false => "missing",
        },
        line: misconfigured.to_string(),
        next: if is_set || variable == SUPABASE_URL { next } else { format!("{next}{where_read}") },
    }
}

/// What is wrong with the kind of a key, and not only with its form.
fn key_problems(home: Home, variables: &BTreeMap<String, String>, now: DateTime<Utc>) -> Vec<Problem> {
    let url = variables.get(SUPABASE_URL).map(String::as_str).unwrap_or_default();
    let mut problems = Vec::new();
    for variable in KEYS {
        let Some(value) = variables.get(variable) else { continue };
        let named: Json = serde_json::from_str(value).unwrap_or_default();
        let keys: Vec<&str> = match named.as_object() {
            Some(named) if variable == SECRET_KEYS => named.values().filter_map(Json::as_str).collect(),
            _ if variable == SECRET_KEYS => continue,
            _ => vec![value.as_str()],
        };
        let found = keys.into_iter().find_map(|key| wrong_kind(key, url, now));
        problems.extend(found.map(|(code, what)| Problem {
            code,
            line: format!("{variable} {what}"),
            next: take_a_secret_key(home),
        }));
    }
    problems
}

fn take_a_secret_key(home: Home) -> String {
    format!(
        "take a secret key (sb_secret_…, or the legacy service_role key) of this project from {}",
        home.where_keys_are()
    )
}

fn wrong_kind(key: &str, url: &str, now: DateTime<Utc>) -> Option<(&'static str, &'static str)> {
    if key.starts_with("sb_publishable_") {
        return Some(("not_a_secret_key", "is a publishable key, which pages use, and not a secret one"));
    }
    if key.starts_with("sbp_") {
        return Some((
            "not_a_secret_key",
            "is an access token of the Supabase CLI, and not a key of the project",
        ));
    }
    let claims = claims(key)?;
    let text = |name: &str| claims.get(name).and_then(Json::as_str);
    match text("role") {
        Some("service_role") => {}
        Some("anon") => {
            return Some(("not_a_secret_key", "is the anon key, which pages use, and not service_role"));
        }
        _ => return Some(("not_a_secret_key", "is a user's JWT, and not a key of the project")),
    }
    if claims.get("exp").and_then(Json::as_i64).is_some_and(|expires| expires <= now.timestamp()) {
        return Some(("key_expired", "has expired"));
    }
    let of_project = Url::parse(url).ok()?.host_str()?.strip_suffix(".supabase.co")?.to_owned();
    if text("ref").is_some_and(|reference| reference != of_project) {
        return Some(("key_of_another_project", "is a key of another project than this address"));
    }
    None
}

/// What a JWT says of itself.
fn claims(key: &str) -> Option<Json> {
    let mut parts = key.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://abcdefghijklmnopqrst.supabase.co";

    fn parse(changes: &[(&str, &str)]) -> Variables {
        let mut variables: BTreeMap<String, String> = [
            (SUPABASE_URL, URL),
            (SECRET_KEY, "sb_secret_0123456789abcdef"),
            (CLIENT_ID, "id.apps.googleusercontent.com"),
            (CLIENT_SECRET, "GOCSPX-0123456789abcdef"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        variables.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Variables::parse(variables, DateTime::UNIX_EPOCH).unwrap()
    }

    fn jwt(claims: &Json) -> String {
        format!("eyJhbGciOiJIUzI1NiJ9.{}.signature", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    fn codes(variables: &Variables) -> Vec<(String, String)> {
        variables.judge().into_iter().filter_map(|check| Some((check.code?, check.line))).collect()
    }

    #[test]
    fn either_way_to_name_a_key_will_do() {
        let legacy =
            jwt(&json!({ "role": "service_role", "ref": "abcdefghijklmnopqrst", "exp": 4_000_000_000_i64 }));
        for changes in [
            vec![],
            vec![(SECRET_KEY, ""), (SECRET_KEYS, r#"{"default":"sb_secret_0123456789abcdef"}"#)],
            vec![(SECRET_KEY, ""), (SERVICE_ROLE_KEY, legacy.as_str())],
        ] {
            let variables = parse(&changes);
            assert_eq!(codes(&variables), []);
            assert!(variables.has_project() && variables.has_key() && variables.has_google_client());
        }
    }

    #[test]
    fn everything_that_is_missing_or_malformed_is_named_at_once_and_no_value_is_shown() {
        let changes = [
            (SUPABASE_URL, "no-address-secret"),
            (CLIENT_ID, ""),
            (CLIENT_SECRET, "with a space-secret"),
            (SECRET_KEY, ""),
            (SECRET_KEYS, "sb_secret_not_json"),
            ("CALENDAR_WEBHOOK_URL", "ftp://secret@example.com"),
        ];
        let variables = parse(&changes);
        let codes = codes(&variables);
        for (code, variable) in [
            ("malformed", SUPABASE_URL),
            ("missing", CLIENT_ID),
            ("malformed", CLIENT_SECRET),
            ("malformed", SECRET_KEYS),
            ("malformed", "CALENDAR_WEBHOOK_URL"),
        ] {
            assert!(
                codes.iter().any(|(c, line)| c == code && line.starts_with(variable)),
                "{variable}: {codes:?}"
            );
        }
        assert_eq!(codes.len(), 5, "{codes:?}");
        for (_, value) in changes.into_iter().filter(|(_, value)| !value.is_empty()) {
            assert!(!codes.iter().any(|(_, line)| line.contains(value)), "{codes:?}");
        }
        assert!(!variables.has_project() && !variables.has_key() && !variables.has_google_client());
        assert!(!variables.has_callback());
    }

    #[test]
    fn a_key_of_the_wrong_kind_is_recognised() {
        let anon = jwt(&json!({ "role": "anon" }));
        let user = jwt(&json!({ "role": "authenticated", "sub": "x" }));
        let foreign = jwt(&json!({ "role": "service_role", "ref": "another" }));
        let expired = jwt(&json!({ "role": "service_role", "exp": 0 }));
        for (variable, value, code) in [
            (SECRET_KEY, "sb_publishable_0123456789", "not_a_secret_key"),
            (SECRET_KEY, "sbp_0123456789", "not_a_secret_key"),
            (
                SECRET_KEYS,
                r#"{"default":"sb_secret_x","web":"sb_publishable_0123456789"}"#,
                "not_a_secret_key",
            ),
            (SERVICE_ROLE_KEY, anon.as_str(), "not_a_secret_key"),
            (SERVICE_ROLE_KEY, &user, "not_a_secret_key"),
            (SERVICE_ROLE_KEY, &foreign, "key_of_another_project"),
            (SERVICE_ROLE_KEY, &expired, "key_expired"),
        ] {
            let variables = parse(&[(variable, value)]);
            let codes = codes(&variables);
            assert_eq!(codes.len(), 1, "{codes:?}");
            assert!(codes[0].0 == code && codes[0].1.starts_with(variable), "{codes:?}");
            assert!(!variables.has_key());
        }
    }

    #[test]
    fn a_key_is_not_sent_in_the_clear() {
        let variables = parse(&[(SUPABASE_URL, "http://abcdefghijklmnopqrst.supabase.co")]);
        assert_eq!(codes(&variables)[0].0, "not_https");
        assert!(!variables.has_project() && !variables.has_callback());
        assert!(parse(&[(SUPABASE_URL, "http://127.0.0.1:54321")]).has_project());
    }

    #[test]
    fn secrets_are_all_keys_by_themselves_too() {
        let variables = BTreeMap::from([
            (SECRET_KEYS.to_owned(), r#"{"default":"one","cron":"two"}"#.to_owned()),
            (CLIENT_SECRET.to_owned(), "three".to_owned()),
        ]);
        let secrets = secrets(&variables);
        for secret in ["one", "two", "three"] {
            assert!(secrets.iter().any(|known| known == secret));
        }
    }

    #[test]
    fn an_address_is_shown_without_credentials_and_query() {
        assert_eq!(
            shown("https://user:secret@host.example/path/?apikey=secret#x"),
            "https://host.example/path"
        );
        assert_eq!(shown("secret"), "(not an address)");
    }
}
