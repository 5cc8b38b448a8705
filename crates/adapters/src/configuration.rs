//! The environment of the functions, checked before anything is built from it: `postgrest` panics on a key with a
//! newline.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use crate::http::is_header_safe;

/// The environment as handed over: every variable that the functions read, set or not.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default)]
pub struct Environment {
    pub supabase_url: Option<String>,
    pub supabase_service_role_key: Option<String>,
    pub supabase_secret_keys: Option<String>,
    pub google_client_id: Option<String>,
    pub google_client_secret: Option<String>,
    pub calendar_webhook_url: Option<String>,
    pub google_calendar_api_url: Option<String>,
    pub google_oauth_token_url: Option<String>,
    pub recalculate_schedule_url: Option<String>,
    pub recalculate_schedule_lease_seconds: Option<String>,
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
}

#[derive(Clone, PartialEq, Eq)]
pub struct ClientSecret(pub(crate) String);

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Configuration {
    pub fn parse(environment: Environment) -> Result<Self, Misconfigured> {
        let supabase_url = parse_url("SUPABASE_URL", required("SUPABASE_URL", environment.supabase_url)?)?;
        let (key, service_keys) =
            parse_keys(environment.supabase_secret_keys, environment.supabase_service_role_key)?;
        let function = |name| format!("{supabase_url}/functions/v1/{name}");
        let url_or = |variable, value, default| match present(value) {
            Some(value) => parse_url(variable, value),
            None => Ok(default),
        };
        Ok(Self {
            webhook_url: url_or(
                "CALENDAR_WEBHOOK_URL",
                environment.calendar_webhook_url,
                function("google-calendar-webhook"),
            )?,
            recalculate_url: url_or(
                "RECALCULATE_SCHEDULE_URL",
                environment.recalculate_schedule_url,
                function("recalculate-schedule"),
            )?,
            calendar_api_url: url_or(
                "GOOGLE_CALENDAR_API_URL",
                environment.google_calendar_api_url,
                "https://www.googleapis.com/calendar/v3".to_owned(),
            )?,
            oauth_token_url: url_or(
                "GOOGLE_OAUTH_TOKEN_URL",
                environment.google_oauth_token_url,
                "https://oauth2.googleapis.com/token".to_owned(),
            )?,
            client_id: parse_word(
                "GOOGLE_CLIENT_ID",
                required("GOOGLE_CLIENT_ID", environment.google_client_id)?,
            )?,
            client_secret: ClientSecret(parse_word(
                "GOOGLE_CLIENT_SECRET",
                required("GOOGLE_CLIENT_SECRET", environment.google_client_secret)?,
            )?),
            run_lease: parse_lease(environment.recalculate_schedule_lease_seconds)?,
            supabase_url,
            key,
            service_keys,
        })
    }
}

fn present(value: Option<String>) -> Option<String> {
    value.filter(|value| !value.is_empty())
}

fn required(variable: &'static str, value: Option<String>) -> Result<String, Misconfigured> {
    present(value).ok_or(Misconfigured { variable, problem: "is not set" })
}

fn parse_word(variable: &'static str, value: String) -> Result<String, Misconfigured> {
    if is_header_safe(&value) {
        Ok(value)
    } else {
        Err(Misconfigured {
            variable,
            problem: "holds a space, a newline or another character that no such value has",
        })
    }
}

fn parse_url(variable: &'static str, value: String) -> Result<String, Misconfigured> {
    let malformed = Misconfigured { variable, problem: "is not an http or https URL" };
    let url = Url::parse(&parse_word(variable, value.clone())?).map_err(|_| malformed)?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(malformed);
    }
    Ok(value.trim_end_matches('/').to_owned())
}

/// Hosted projects of before November 2025 have the one variable, later ones the other (a JSON object of named
/// keys), some both.
fn parse_keys(
    secret_keys: Option<String>,
    service_role_key: Option<String>,
) -> Result<(SecretKey, Vec<SecretKey>), Misconfigured> {
    const SECRET_KEYS: &str = "SUPABASE_SECRET_KEYS";
    const SERVICE_ROLE_KEY: &str = "SUPABASE_SERVICE_ROLE_KEY";
    let service_role_key =
        present(service_role_key).map(|key| parse_word(SERVICE_ROLE_KEY, key)).transpose()?.map(SecretKey);
    let mut default = None;
    let mut service_keys: Vec<_> = service_role_key.iter().cloned().collect();
    if let Some(secret_keys) = present(secret_keys) {
        let named: std::collections::BTreeMap<String, String> = serde_json::from_str(&secret_keys)
            .map_err(|_| Misconfigured { variable: SECRET_KEYS, problem: "is not a JSON object of keys" })?;
        for (name, key) in named {
            let key = SecretKey(parse_word(SECRET_KEYS, key)?);
            if name == "default" {
                default = Some(key.clone());
            }
            service_keys.push(key);
        }
        if default.is_none() && service_role_key.is_none() {
            return Err(Misconfigured { variable: SECRET_KEYS, problem: "has no key named default" });
        }
    }
    let key = default.or(service_role_key).ok_or(Misconfigured {
        variable: SECRET_KEYS,
        problem: "is not set, and neither is SUPABASE_SERVICE_ROLE_KEY",
    })?;
    Ok((key, service_keys))
}

fn parse_lease(seconds: Option<String>) -> Result<Duration, Misconfigured> {
    let Some(seconds) = present(seconds) else { return Ok(Duration::from_secs(180)) };
    match seconds.parse() {
        Ok(seconds @ 60..=420) => Ok(Duration::from_secs(seconds)),
        _ => Err(Misconfigured {
            variable: "RECALCULATE_SCHEDULE_LEASE_SECONDS",
            problem: "is not a whole number from 60 to 420",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment {
            supabase_url: Some("https://ref.supabase.co/".into()),
            supabase_service_role_key: Some("eyJ.legacy.key".into()),
            google_client_id: Some("id".into()),
            google_client_secret: Some("secret".into()),
            ..Environment::default()
        }
    }

    #[track_caller]
    fn check_misconfigured(change: impl FnOnce(&mut Environment), variable: &str) {
        let mut environment = environment();
        change(&mut environment);
        let problem = Configuration::parse(environment).map(|_| ()).unwrap_err();
        assert_eq!(problem.variable, variable);
    }

    #[test]
    fn the_addresses_follow_from_the_project() {
        let configuration = Configuration::parse(environment()).unwrap();
        assert_eq!(configuration.webhook_url, "https://ref.supabase.co/functions/v1/google-calendar-webhook");
        assert_eq!(
            configuration.recalculate_url,
            "https://ref.supabase.co/functions/v1/recalculate-schedule"
        );
    }

    #[test]
    fn what_is_missing_or_malformed_is_named() {
        check_misconfigured(|e| e.supabase_url = None, "SUPABASE_URL");
        check_misconfigured(|e| e.supabase_url = Some("ref.supabase.co".into()), "SUPABASE_URL");
        check_misconfigured(|e| e.supabase_url = Some("ftp://x".into()), "SUPABASE_URL");
        check_misconfigured(|e| e.google_client_id = Some(String::new()), "GOOGLE_CLIENT_ID");
        check_misconfigured(|e| e.google_client_secret = None, "GOOGLE_CLIENT_SECRET");
        check_misconfigured(|e| e.supabase_service_role_key = None, "SUPABASE_SECRET_KEYS");
        check_misconfigured(
            |e| e.supabase_service_role_key = Some("key\n".into()),
            "SUPABASE_SERVICE_ROLE_KEY",
        );
        check_misconfigured(|e| e.supabase_secret_keys = Some("sb_secret_x".into()), "SUPABASE_SECRET_KEYS");
        check_misconfigured(|e| e.calendar_webhook_url = Some("webhook".into()), "CALENDAR_WEBHOOK_URL");
        check_misconfigured(
            |e| e.recalculate_schedule_lease_seconds = Some("10".into()),
            "RECALCULATE_SCHEDULE_LEASE_SECONDS",
        );
    }

    #[test]
    fn either_kind_of_key_is_enough_and_the_current_kind_is_preferred() {
        let mut both = environment();
        both.supabase_secret_keys = Some(r#"{"default":"sb_secret_a","cron":"sb_secret_b"}"#.into());
        let configuration = Configuration::parse(both).unwrap();
        assert_eq!(configuration.key.headers(), [("apikey", "sb_secret_a".to_owned())]);
        assert_eq!(configuration.service_keys.len(), 3);

        let legacy = Configuration::parse(environment()).unwrap();
        assert_eq!(
            legacy.key.headers(),
            [("apikey", "eyJ.legacy.key".to_owned()), ("authorization", "Bearer eyJ.legacy.key".to_owned())]
        );
    }

    #[test]
    fn nothing_secret_prints_itself() {
        let printed = format!("{:?}", Configuration::parse(environment()).unwrap());
        assert!(!printed.contains("eyJ") && !printed.contains("\"secret\""), "{printed}");
    }
}
