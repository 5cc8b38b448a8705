//! Whether each of the three functions is deployed, starts, is configured, and is reached without a JWT.

use adapters::configuration::{SecretKey, VARIABLES};
use adapters::http::HttpRequest;
use serde_json::{Value as Json, json};

use crate::check::{Check, Id};
use crate::home::Home;
use machine::Machine;
use machine::http::{Reply, Silence};

/// As anybody without credentials, with a notification of a channel that nobody has: google-calendar-webhook looks for
/// it by an update that matches no row and answers 404, the others 401, and nothing comes of it.
pub fn knock(url: &str, machine: &dyn Machine) -> HttpRequest {
    let token = machine.uuid().simple().to_string() + &machine.uuid().simple().to_string();
    [
        ("x-goog-channel-id", machine.uuid().to_string()),
        ("x-goog-channel-token", token),
        ("x-goog-resource-id", "doctor".to_owned()),
        ("x-goog-resource-state", "exists".to_owned()),
        ("x-goog-message-number", "1".to_owned()),
    ]
    .into_iter()
    .fold(HttpRequest::post(url, "application/json", "{}".to_owned()), |request, (name, value)| {
        request.header(name, value)
    })
}

/// As the service, about a connection that does not exist: the function looks for it and answers 404.
pub fn ask(url: &str, key: &SecretKey, machine: &dyn Machine) -> HttpRequest {
    let body = json!({ "connection_id": machine.uuid() });
    key.authorize(HttpRequest::post(url, "application/json", body.to_string()))
}

/// What such a request meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    Ours,
    /// Ours, which says that this secret key is none of the project's.
    KeyUnknown,
    /// Ours, whose database refuses it.
    DatabaseRefused,
    /// Ours, whose database does not answer it.
    DatabaseSilent,
    /// Supabase's gateway wants a JWT.
    JwtWanted,
    NotDeployed,
    /// Ours, without a usable variable: its name and what is wrong with it.
    Misconfigured(String),
    DoesNotStart(u16),
    /// Ours, or the gateway: something broke.
    Failing(u16),
    /// Ours, to which Google's headers do not come.
    HeadersRemoved,
    /// What stands before the functions answers with a page: a CDN, a firewall, maintenance.
    InFront(u16),
    /// Somebody else's code.
    Foreign(u16),
    Silent(Silence),
}

pub fn probe(reply: &Reply) -> Probe {
    let answer = match reply {
        Ok(answer) => answer,
        Err(silence) => return Probe::Silent(*silence),
    };
    let body = answer.json();
    let text = |pointer| body.pointer(pointer).and_then(Json::as_str);
    // Every error of ours has this shape, and no answer of the gateway does.
    if let Some(code) = text("/error/code") {
        return match (answer.status(), code) {
            (401, "unauthenticated")
                if text("/error/message").is_some_and(|said| said.contains("secret key")) =>
            {
                Probe::KeyUnknown
            }
            (401, "unauthenticated")
                if text("/error/message").is_some_and(|said| said.contains("X-Goog-Channel-Token")) =>
            {
                Probe::HeadersRemoved
            }
            (401, "unauthenticated") | (404, "unknown_channel" | "no_connection") => Probe::Ours,
            (503, "database_refused") => Probe::DatabaseRefused,
            (503, "database_unavailable") => Probe::DatabaseSilent,
            (500, "misconfigured") => {
                Probe::Misconfigured(misconfiguration(text("/error/message").unwrap_or_default()))
            }
            (status @ 500.., _) => Probe::Failing(status),
            (status, _) => Probe::Foreign(status),
        };
    }
    if answer.is_barred() {
        return Probe::InFront(answer.status());
    }
    // The gateway: `{"code": 401, "message": "Missing authorization header"}`, later `{"code": "UNAUTHORIZED_…", …}`,
    // once `{"msg": "Error: Missing authorization header"}` where it is self-hosted.
    let message = text("/message").or_else(|| text("/msg")).unwrap_or_default().to_ascii_lowercase();
    let code = text("/code").unwrap_or_default();
    let about_jwt = code.starts_with("UNAUTHORIZED")
        || ["authorization header", "jwt", "api key"].iter().any(|words| message.contains(words));
    // The self-hosted router's word for any failure of a worker is a 500: `{"msg": "InvalidWorkerCreation: …"}`.
    let is_not_there = ["could not find an appropriate entrypoint", "failed to read path"];
    match answer.status() {
        401 if about_jwt => Probe::JwtWanted,
        500 if is_not_there.iter().any(|words| message.contains(words)) => Probe::NotDeployed,
        500 if message.contains("worker boot error") => Probe::DoesNotStart(500),
        404 if code == "NOT_FOUND" || message.contains("function was not found") => Probe::NotDeployed,
        status @ (503 | 546) => Probe::DoesNotStart(status),
        status @ 500.. => Probe::Failing(status),
        status => Probe::Foreign(status),
    }
}

/// The check of an address at which something else refuses, with a page.
pub fn in_front(id: Id, address: &str, status: u16) -> Check {
    Check::wrong(
        id,
        "page_in_front",
        format!(
            "a page answers at {address} (HTTP {status}), from what stands before Supabase: a CDN, a firewall, maintenance"
        ),
        "let requests to /functions/v1, /rest/v1 and /auth/v1 through there without a challenge: Google, the database and \
         pages call them",
    )
}

/// The check of an address before which something removes Google's headers.
pub fn headers_removed(id: Id, address: &str) -> Check {
    Check::wrong(
        id,
        "headers_removed",
        format!(
            "what stands before {address} removes the headers X-Goog-…, which every notification of Google has"
        ),
        "let these headers through there (a proxy, a CDN)",
    )
}

/// What our function says of its environment, if it is about a variable that we know.
fn misconfiguration(message: &str) -> String {
    let variable = message.split(' ').next().unwrap_or_default();
    let harmless = message.len() <= 120 && message.chars().all(|character| matches!(character, ' '..='~'));
    if VARIABLES.contains(&variable) && harmless {
        message.to_owned()
    } else {
        "a variable is not usable".to_owned()
    }
}

pub fn judge(home: Home, id: Id, probe: &Probe) -> Check {
    let name = id.name();
    match probe {
        Probe::Ours => Check::ok(id, "deployed, and reached without a JWT"),
        Probe::KeyUnknown => Check::wrong(
            id,
            "key_unknown",
            "it does not know the secret key that is used here, though the project does: it was started with other keys",
            format!("so that it gets the project's keys of now, {}", home.start_again(name)),
        ),
        Probe::DatabaseRefused => Check::wrong(
            id,
            "database_refused",
            "the database refuses what it asks (HTTP 503): its own key was replaced, or the table was changed",
            format!(
                "read call_failed in its log. If it names a key: {}. If it names a column or a function: {}",
                home.start_again(name),
                home.migrate()
            ),
        ),
        Probe::DatabaseSilent => Check::wrong(
            id,
            "database_unavailable",
            "its database does not answer it (HTTP 503)",
            format!(
                "{}; where SUPABASE_URL is yours to set, see that the function reaches it",
                home.see_health()
            ),
        ),
        Probe::JwtWanted => Check::wrong(
            id,
            "gateway_401",
            "Supabase's gateway refuses requests without a JWT (HTTP 401), before the function sees them",
            home.let_in(name),
        ),
        Probe::NotDeployed => Check::wrong(
            id,
            "not_deployed",
            "it is not deployed (HTTP 404)",
            format!("deploy it: {}", home.deploy(name)),
        ),
        Probe::Misconfigured(what) => Check::wrong(
            id,
            "misconfigured",
            format!("it is deployed, but its environment is not usable: {what}"),
            format!("put it into supabase/.env, and {}", home.set_variables()),
        ),
        Probe::DoesNotStart(status) => Check::wrong(
            id,
            "does_not_start",
            format!("it is deployed, but does not start (HTTP {status})"),
            format!(
                "{}; bring its files again (scripts/install --replace), and deploy it again: {}",
                home.read_log(name),
                home.deploy(name)
            ),
        ),
        Probe::Failing(status) => {
            Check::wrong(id, "failing", format!("it fails (HTTP {status})"), home.read_log(name))
        }
        Probe::HeadersRemoved => headers_removed(id, "its address"),
        Probe::InFront(status) => in_front(id, "its address", *status),
        Probe::Foreign(status) => Check::wrong(
            id,
            "not_ours",
            format!("something else of this name answers (HTTP {status})"),
            format!("an older function may be deployed in its place: deploy this one, {}", home.deploy(name)),
        ),
        Probe::Silent(silence) => {
            Check::wrong(id, silence.code(), format!("no answer: {}", silence.text()), home.read_log(name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::answer;
    use crate::home::assert_self_hosted;

    #[test]
    fn the_gateways_401_is_told_from_ours() {
        for (status, body, expected) in [
            (401, r#"{"error":{"code":"unauthenticated","message":"sign in"}}"#, Probe::Ours),
            (401, r#"{"code":401,"message":"Missing authorization header"}"#, Probe::JwtWanted),
            (401, r#"{"code":401,"message":"Invalid JWT"}"#, Probe::JwtWanted),
            (
                401,
                r#"{"code":"UNAUTHORIZED_NO_AUTH_HEADER","message":"Missing authorization header"}"#,
                Probe::JwtWanted,
            ),
            (401, r#"{"msg":"Error: Missing authorization header"}"#, Probe::JwtWanted),
            (401, r#"{"message":"No API key found in request"}"#, Probe::JwtWanted),
            (401, r#"{"error":"Unauthorized"}"#, Probe::Foreign(401)),
            (404, r#"{"code":"NOT_FOUND","message":"Requested function was not found"}"#, Probe::NotDeployed),
            (404, "not found", Probe::Foreign(404)),
            (403, "<!DOCTYPE html><title>Just a moment…", Probe::InFront(403)),
            (503, "\n<html>", Probe::InFront(503)),
            (404, "<html>", Probe::Foreign(404)),
            (502, "<html>", Probe::Failing(502)),
            (
                401,
                r#"{"error":{"code":"unauthenticated","message":"the notification has no X-Goog-Channel-Token"}}"#,
                Probe::HeadersRemoved,
            ),
            (200, "ok", Probe::Foreign(200)),
            (400, r#"{"error":{"code":"invalid_request"}}"#, Probe::Foreign(400)),
            (503, r#"{"code":"BOOT_ERROR","message":"Function failed to start"}"#, Probe::DoesNotStart(503)),
            (546, r#"{"code":"WORKER_LIMIT","message":"…"}"#, Probe::DoesNotStart(546)),
            (500, r#"{"error":{"code":"internal"}}"#, Probe::Failing(500)),
            (404, r#"{"error":{"code":"unknown_channel"}}"#, Probe::Ours),
            (404, r#"{"error":{"code":"no_connection"}}"#, Probe::Ours),
            (
                401,
                r#"{"error":{"code":"unauthenticated","message":"this secret key is none of this project's keys"}}"#,
                Probe::KeyUnknown,
            ),
            (503, r#"{"error":{"code":"database_refused"}}"#, Probe::DatabaseRefused),
            (503, r#"{"error":{"code":"database_unavailable"}}"#, Probe::DatabaseSilent),
            (503, r#"{"error":{"code":"auth_unavailable"}}"#, Probe::Failing(503)),
            (504, "", Probe::Failing(504)),
            (
                500,
                r#"{"msg":"InvalidWorkerCreation: worker boot error: failed to bootstrap runtime: could not find an appropriate entrypoint"}"#,
                Probe::NotDeployed,
            ),
            (
                500,
                r#"{"msg":"InvalidWorkerCreation: worker boot error: failed to read path: No such file or directory (os error 2)"}"#,
                Probe::NotDeployed,
            ),
            (
                500,
                r#"{"msg":"InvalidWorkerCreation: worker boot error: Uncaught SyntaxError: …"}"#,
                Probe::DoesNotStart(500),
            ),
            (
                500,
                r#"{"msg":"WorkerRequestCancelled: request has been cancelled by supervisor"}"#,
                Probe::Failing(500),
            ),
        ] {
            assert_eq!(probe(&Ok(answer(status, body))), expected, "{status} {body}");
        }
        assert_eq!(probe(&Err(Silence::TimedOut)), Probe::Silent(Silence::TimedOut));
    }

    #[test]
    fn a_missing_secret_is_named_and_nothing_else_is_repeated() {
        for (message, expected) in [
            ("GOOGLE_CLIENT_ID is not set", "GOOGLE_CLIENT_ID is not set"),
            ("GOOGLE_CLIENT_ID is\\nnot set", "a variable is not usable"),
            ("sb_secret_x is not set", "a variable is not usable"),
        ] {
            let body = format!(r#"{{"error":{{"code":"misconfigured","message":"{message}"}}}}"#);
            assert_eq!(probe(&Ok(answer(500, &body))), Probe::Misconfigured(expected.to_owned()));
        }
    }

    #[test]
    fn only_ours_is_well() {
        for probe in [
            Probe::KeyUnknown,
            Probe::DatabaseRefused,
            Probe::DatabaseSilent,
            Probe::JwtWanted,
            Probe::NotDeployed,
            Probe::Misconfigured(String::new()),
            Probe::DoesNotStart(546),
            Probe::Failing(500),
            Probe::HeadersRemoved,
            Probe::InFront(403),
            Probe::Foreign(200),
            Probe::Silent(Silence::Broken),
        ] {
            assert!(judge(Home::Hosted, Id::SetupCalendarWebhook, &probe).is_wrong());
            let next = judge(Home::SelfHosted, Id::SetupCalendarWebhook, &probe).next;
            assert_self_hosted(&next.expect("a next step"));
        }
        assert!(!judge(Home::Hosted, Id::SetupCalendarWebhook, &Probe::Ours).is_wrong());
    }
}
