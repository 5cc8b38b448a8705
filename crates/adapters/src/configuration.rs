//! The environment of the functions, checked before anything is built from it: `postgrest` panics on a key with a
//! newline.

use std::fmt;
use std::time::Duration;

use protocol::schedule::{LOOK_INTERVAL, WALL_CLOCK};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value as Json;

use crate::address;
use crate::http::{HttpRequest, is_header_safe};

const GOOGLE_CALENDAR_API_URL: &str = "https://www.googleapis.com/calendar/v3";
const GOOGLE_OAUTH_TOKEN_URL: &str = "https://oauth2.googleapis.com/token";

/// All that is read of the environment.
pub const VARIABLES: [&str; 12] = [
    "SUPABASE_URL",
    "SUPABASE_SECRET_KEYS",
    "SUPABASE_SERVICE_ROLE_KEY",
    "GOOGLE_CLIENT_ID",
    "GOOGLE_CLIENT_SECRET",
    "CALENDAR_WEBHOOK_URL",
    "RECALCULATE_SCHEDULE_URL",
    "RECALCULATE_SCHEDULE_LEASE_SECONDS",
    "CALENDAR_LOOK_HOURS",
    "FUNCTION_WALL_CLOCK_SECONDS",
    "GOOGLE_CALENDAR_API_URL",
    "GOOGLE_OAUTH_TOKEN_URL",
];

/// The environment as handed over: names and values.
#[derive(Clone, Default)]
pub struct Environment(Vec<(String, String)>);

impl Environment {
    /// A variable's value; one that is set to nothing is not set.
    fn get(&self, variable: &str) -> Option<&str> {
        debug_assert!(VARIABLES.contains(&variable), "{variable} is not read");
        let (_, value) = self.0.iter().rfind(|(name, _)| name == variable)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    fn require(&self, variable: &'static str) -> Result<&str, Misconfigured> {
        self.get(variable).ok_or(Misconfigured { variable, problem: "is not set" })
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self(variables.map(|(variable, value)| (variable.to_owned(), value.to_owned())).into())
    }
}

/// Asks for each variable by its name: all the others, some thirty, would be a call or two into JavaScript each at
/// every cold start.
impl<'de> Deserialize<'de> for Environment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Variables;

        impl<'de> Visitor<'de> for Variables {
            type Value = Environment;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Environment, A::Error> {
                let mut environment = Environment::default();
                while let Some(variable) = map.next_entry()? {
                    environment.0.push(variable);
                }
                Ok(environment)
            }
        }

        deserializer.deserialize_struct("Environment", &VARIABLES, Variables)
    }
}

/// A key that opens everything in the project.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(String);

impl SecretKey {
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Keys of the current kind are opaque and go in `apikey` alone; a legacy key is a JWT and goes in
    /// `Authorization` too.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("apikey", self.0.clone())];
        if !self.0.starts_with("sb_") {
            headers.push(("authorization", format!("Bearer {}", self.0)));
        }
        headers
    }

    /// Makes it a request of the service.
    #[must_use]
    pub fn authorize(&self, request: HttpRequest) -> HttpRequest {
        self.headers().into_iter().fold(request, |request, (name, value)| request.header(name, value))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What is wrong with the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misconfigured {
    pub variable: &'static str,
    pub problem: &'static str,
}

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.variable, self.problem)
    }
}

/// The environment, valid.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Without a slash at the end, as all URLs here.
    pub supabase_url: String,
    /// The key that the functions use.
    pub key: SecretKey,
    /// Every key by which a caller is known as a service.
    pub service_keys: Vec<SecretKey>,
    pub client_id: String,
    pub client_secret: ClientSecret,
    /// The public address of `google-calendar-webhook`.
    pub webhook_url: String,
    pub calendar_api_url: String,
    pub oauth_token_url: String,
    pub recalculate_url: String,
    /// How long a run keeps others out: longer than `recalculate-schedule` can live.
    pub run_lease: Duration,
    /// How often a calendar is looked at whose channel is well.
    pub look_interval: Duration,
    /// How long a worker lives.
    pub wall_clock: Duration,
}

#[derive(Clone, PartialEq, Eq)]
pub struct ClientSecret(pub(crate) String);

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Configuration {
    pub fn parse(environment: &Environment) -> Result<Self, Misconfigured> {
        let supabase_url = parse_url("SUPABASE_URL", environment.require("SUPABASE_URL")?)?;
        let (key, service_keys) = parse_keys(environment)?;
        let url_or = |variable, default: &dyn Fn() -> String| match environment.get(variable) {
            Some(value) => parse_url(variable, value),
            None => Ok(default()),
        };
        let function = |name| format!("{supabase_url}/functions/v1/{name}");
        Ok(Self {
            webhook_url: url_or("CALENDAR_WEBHOOK_URL", &|| function("google-calendar-webhook"))?,
            recalculate_url: url_or("RECALCULATE_SCHEDULE_URL", &|| function("recalculate-schedule"))?,
            calendar_api_url: url_or("GOOGLE_CALENDAR_API_URL", &|| GOOGLE_CALENDAR_API_URL.to_owned())?,
            oauth_token_url: url_or("GOOGLE_OAUTH_TOKEN_URL", &|| GOOGLE_OAUTH_TOKEN_URL.to_owned())?,
            client_id: parse_word("GOOGLE_CLIENT_ID", environment.require("GOOGLE_CLIENT_ID")?)?,
            client_secret: ClientSecret(parse_word(
                "GOOGLE_CLIENT_SECRET",
                environment.require("GOOGLE_CLIENT_SECRET")?,
            )?),
            run_lease: parse_lease(environment)?,
            look_interval: parse_look_interval(environment)?,
            wall_clock: parse_wall_clock(environment)?,
            supabase_url,
            key,
            service_keys,
        })
    }
}

fn parse_word(variable: &'static str, value: &str) -> Result<String, Misconfigured> {
    if is_header_safe(value) {
        Ok(value.to_owned())
    } else {
        Err(Misconfigured {
            variable,
            problem: "holds a space, a newline or another character that is not allowed",
        })
    }
}

fn parse_url(variable: &'static str, value: &str) -> Result<String, Misconfigured> {
    let url = parse_word(variable, value)?;
    match address::check(&url) {
        Ok(()) => Ok(url.trim_end_matches('/').to_owned()),
        Err(problem) => Err(Misconfigured { variable, problem: problem.text() }),
    }
}

/// Hosted projects of before November 2025 have the one variable, later ones the other (a JSON object of named
/// keys), some both. An empty key is not there: self-hosted templates write `{"default":""}`.
fn parse_keys(environment: &Environment) -> Result<(SecretKey, Vec<SecretKey>), Misconfigured> {
    const SECRET_KEYS: &str = "SUPABASE_SECRET_KEYS";
    const SERVICE_ROLE_KEY: &str = "SUPABASE_SERVICE_ROLE_KEY";
    let mut service_keys = Vec::new();
    let mut chosen = None;
    if let Some(key) = environment.get(SERVICE_ROLE_KEY) {
        let key = SecretKey(parse_word(SERVICE_ROLE_KEY, key)?);
        chosen = Some(key.clone());
        service_keys.push(key);
    }
    if let Some(secret_keys) = environment.get(SECRET_KEYS) {
        let malformed = Misconfigured { variable: SECRET_KEYS, problem: "is not a JSON object of keys" };
        let named: Json = serde_json::from_str(secret_keys).map_err(|_| malformed)?;
        for (name, key) in named.as_object().ok_or(malformed)? {
            let key = key.as_str().ok_or(malformed)?;
            if key.is_empty() {
                continue;
            }
            let key = SecretKey(parse_word(SECRET_KEYS, key)?);
            if name == "default" {
                chosen = Some(key.clone());
            }
            service_keys.push(key);
        }
        if chosen.is_none() {
            return Err(Misconfigured { variable: SECRET_KEYS, problem: "has no key named default" });
        }
    }
    let key = chosen.ok_or(Misconfigured {
        variable: SECRET_KEYS,
        problem: "is not set, and neither is SUPABASE_SERVICE_ROLE_KEY",
    })?;
    Ok((key, service_keys))
}

fn parse_lease(environment: &Environment) -> Result<Duration, Misconfigured> {
    const LEASE_SECONDS: &str = "RECALCULATE_SCHEDULE_LEASE_SECONDS";
    match environment.get(LEASE_SECONDS).map(str::parse) {
        None => Ok(Duration::from_secs(180)),
        Some(Ok(seconds @ 60..=420)) => Ok(Duration::from_secs(seconds)),
        Some(_) => {
            Err(Misconfigured { variable: LEASE_SECONDS, problem: "is not a whole number from 60 to 420" })
        }
    }
}

fn parse_look_interval(environment: &Environment) -> Result<Duration, Misconfigured> {
    const LOOK_HOURS: &str = "CALENDAR_LOOK_HOURS";
    match environment.get(LOOK_HOURS).map(str::parse) {
        None => Ok(LOOK_INTERVAL),
        Some(Ok(hours @ 1..=24)) => Ok(Duration::from_secs(hours * 3600)),
        Some(_) => Err(Misconfigured { variable: LOOK_HOURS, problem: "is not a whole number from 1 to 24" }),
    }
}

fn parse_wall_clock(environment: &Environment) -> Result<Duration, Misconfigured> {
    const WALL_CLOCK_SECONDS: &str = "FUNCTION_WALL_CLOCK_SECONDS";
    match environment.get(WALL_CLOCK_SECONDS).map(str::parse) {
        None => Ok(WALL_CLOCK),
        Some(Ok(seconds @ 60..=400)) => Ok(Duration::from_secs(seconds)),
        Some(_) => Err(Misconfigured {
            variable: WALL_CLOCK_SECONDS,
            problem: "is not a whole number from 60 to 400",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVIRONMENT: [(&str, &str); 4] = [
        ("SUPABASE_URL", "https://ref.supabase.co/"),
        ("SUPABASE_SERVICE_ROLE_KEY", "eyJ.legacy.key"),
        ("GOOGLE_CLIENT_ID", "id"),
        ("GOOGLE_CLIENT_SECRET", "secret"),
    ];

    #[test]
    fn the_readme_explains_every_variable() {
        let readme = include_str!("../../../supabase/README.md");
        let (_, rest) = readme.split_once("\n## Environment\n").unwrap();
        let (environment, _) = rest.split_once("\n## ").unwrap();
        for name in VARIABLES {
            assert!(environment.contains(&format!("`{name}`")), "{name}");
        }
    }

    fn parse(more: &[(&str, &str)]) -> Result<Configuration, Misconfigured> {
        let mut environment = Environment::from(ENVIRONMENT);
        environment.0.extend(more.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        Configuration::parse(&environment)
    }

    #[test]
    fn the_addresses_follow_from_the_project() {
        let configuration = parse(&[]).unwrap();
        assert_eq!(configuration.webhook_url, "https://ref.supabase.co/functions/v1/google-calendar-webhook");
        assert_eq!(
            configuration.recalculate_url,
            "https://ref.supabase.co/functions/v1/recalculate-schedule"
        );
    }

    #[test]
    fn a_host_may_have_a_port_or_be_an_address() {
        for url in
            ["HTTPS://ref.supabase.co", "http://127.0.0.1:54321", "http://[::1]:54321/base", "http://[::1]"]
        {
            assert_eq!(parse(&[("SUPABASE_URL", url)]).unwrap().supabase_url, url);
        }
    }

    #[test]
    fn what_is_missing_or_malformed_is_named() {
        for (variable, value, named) in [
            ("SUPABASE_URL", "", "SUPABASE_URL"),
            ("SUPABASE_URL", "ref.supabase.co", "SUPABASE_URL"),
            ("SUPABASE_URL", "ftp://x", "SUPABASE_URL"),
            ("SUPABASE_URL", "http://ref.supabase.co", "SUPABASE_URL"),
            ("SUPABASE_URL", "https://", "SUPABASE_URL"),
            ("SUPABASE_URL", "https://user:password@ref.supabase.co", "SUPABASE_URL"),
            ("SUPABASE_URL", "https://ref.supabase.co:99999", "SUPABASE_URL"),
            ("SUPABASE_URL", "http://][::1]:8000", "SUPABASE_URL"),
            ("SUPABASE_URL", "http://[::1", "SUPABASE_URL"),
            ("SUPABASE_URL", "http://[1:2]", "SUPABASE_URL"),
            ("SUPABASE_URL", "http://a:b:80", "SUPABASE_URL"),
            ("SUPABASE_URL", "http://a:+80", "SUPABASE_URL"),
            ("SUPABASE_URL", "http://127.0.0.0.1", "SUPABASE_URL"),
            ("SUPABASE_URL", "http://256.0.0.1", "SUPABASE_URL"),
            ("SUPABASE_URL", "http://../", "SUPABASE_URL"),
            ("SUPABASE_URL", "https://ref.supabase.co?x=y", "SUPABASE_URL"),
            ("GOOGLE_CLIENT_ID", "", "GOOGLE_CLIENT_ID"),
            ("GOOGLE_CLIENT_SECRET", "", "GOOGLE_CLIENT_SECRET"),
            ("SUPABASE_SERVICE_ROLE_KEY", "", "SUPABASE_SECRET_KEYS"),
            ("SUPABASE_SERVICE_ROLE_KEY", "key\n", "SUPABASE_SERVICE_ROLE_KEY"),
            ("SUPABASE_SECRET_KEYS", "sb_secret_x", "SUPABASE_SECRET_KEYS"),
            ("SUPABASE_SECRET_KEYS", "{\"default\":1}", "SUPABASE_SECRET_KEYS"),
            ("SUPABASE_SECRET_KEYS", "{\"default\":\"with a space\"}", "SUPABASE_SECRET_KEYS"),
            ("CALENDAR_WEBHOOK_URL", "webhook", "CALENDAR_WEBHOOK_URL"),
            ("RECALCULATE_SCHEDULE_LEASE_SECONDS", "10", "RECALCULATE_SCHEDULE_LEASE_SECONDS"),
            ("CALENDAR_LOOK_HOURS", "0", "CALENDAR_LOOK_HOURS"),
            ("CALENDAR_LOOK_HOURS", "25", "CALENDAR_LOOK_HOURS"),
            ("CALENDAR_LOOK_HOURS", "6h", "CALENDAR_LOOK_HOURS"),
            ("FUNCTION_WALL_CLOCK_SECONDS", "59", "FUNCTION_WALL_CLOCK_SECONDS"),
            ("FUNCTION_WALL_CLOCK_SECONDS", "401", "FUNCTION_WALL_CLOCK_SECONDS"),
        ] {
            let problem = parse(&[(variable, value)]).map(|_| ()).unwrap_err();
            assert_eq!(problem.variable, named, "{variable}={value}");
        }
    }

    #[test]
    fn either_kind_of_key_is_enough_and_the_current_kind_is_preferred() {
        let both =
            parse(&[("SUPABASE_SECRET_KEYS", r#"{"default":"sb_secret_a","cron":"sb_secret_b"}"#)]).unwrap();
        assert_eq!(both.key.headers(), [("apikey", "sb_secret_a".to_owned())]);
        assert_eq!(both.service_keys.len(), 3);

        let legacy = parse(&[]).unwrap();
        assert_eq!(
            legacy.key.headers(),
            [("apikey", "eyJ.legacy.key".to_owned()), ("authorization", "Bearer eyJ.legacy.key".to_owned())]
        );
    }

    #[test]
    fn a_worker_lives_as_long_as_is_said() {
        assert_eq!(parse(&[]).unwrap().wall_clock, Duration::from_secs(150));
        let short = parse(&[("FUNCTION_WALL_CLOCK_SECONDS", "60")]).unwrap();
        assert_eq!(short.wall_clock, Duration::from_secs(60));
    }

    #[test]
    fn an_empty_secret_key_is_not_there() {
        let self_hosted = parse(&[("SUPABASE_SECRET_KEYS", r#"{"default":""}"#)]).unwrap();
        assert_eq!(self_hosted.key.expose(), "eyJ.legacy.key");
        assert_eq!(self_hosted.service_keys.len(), 1);
    }

    #[test]
    fn nothing_secret_prints_itself() {
        let printed = format!("{:?}", parse(&[]).unwrap());
        assert!(!printed.contains("eyJ") && !printed.contains("\"secret\""), "{printed}");
    }
}
