//! The token endpoint's answer (RFC 6749, 5): an access token that can be sent and how long it is good for, or why not.

use std::time::Duration;

use protocol::connection::RefreshToken;
use protocol::failure::RenewalFailure as Failure;
use protocol::ports::Google;
use serde_json::Value as Json;

use crate::oracle::{assert_hidden, is_visible, status_and_body, strings};
use crate::project::{CLIENT_SECRET, Project, finish, response};
use crate::targets::watch_answer::{Kind, assert_is_word, expected, letters, whole, words};

const REFRESH_TOKEN: &str = "1//0gRefresh-Token_0";

/// `data` is a status, a newline and a body; without a status it is 200.
pub fn target(data: &[u8]) {
    let (status, body) = status_and_body(data);
    let answer = response(status, body);
    let json: Json = serde_json::from_str(&answer.body).unwrap_or_default();
    let project = Project::new(move |_| Ok(answer.clone()));
    let renewed =
        finish(project.deployment.renew_token(&RefreshToken::new(REFRESH_TOKEN), Duration::from_secs(1)));
    let token = |name: &str| json.get(name).and_then(Json::as_str).filter(|token| is_visible(token));
    match (renewed, token("access_token")) {
        (Ok(renewed), Some(access_token)) if status < 300 => {
            assert!(renewed.access_token.expose() == access_token);
            let seconds = json.get("expires_in").and_then(whole);
            let seconds = seconds.filter(|seconds| (1..=86_400).contains(seconds));
            assert_eq!(renewed.expires_in, Duration::from_secs(seconds.unwrap_or(3600)));
            assert!(renewed.refresh_token.as_ref().map(|token| token.expose()) == token("refresh_token"));
            assert!(!lacks_a_calendar(&json), "it is good for no calendar");
        }
        (Err(refused), Some(_)) if status < 300 => {
            assert_eq!(refused.failure, Failure::PermissionMissing);
            assert!(lacks_a_calendar(&json), "it is good for a calendar");
        }
        (renewed, _) => {
            let refused = renewed.err();
            assert_eq!(refused.as_ref().map(|refused| refused.failure), Some(failure(status, &json)));
            if let Some(reason) = refused.and_then(|refused| refused.reason) {
                assert_is_word(reason.as_str(), &json);
            }
        }
    }
    let mut secrets = vec![REFRESH_TOKEN, CLIENT_SECRET];
    strings(&json, &mut secrets);
    secrets.retain(|text| !words(&json).contains(text));
    assert_hidden(&project.log(), secrets);
}

fn lacks_a_calendar(json: &Json) -> bool {
    let scopes: Vec<&str> =
        json.get("scope").and_then(Json::as_str).unwrap_or_default().split_whitespace().collect();
    let is_of_a_calendar = |scope: &&str| {
        let of_events = scope.starts_with("https://www.googleapis.com/auth/calendar.events");
        of_events || scope.starts_with("https://www.google.com/calendar/feeds") || SCOPES.contains(scope)
    };
    !scopes.is_empty() && !scopes.iter().any(is_of_a_calendar)
}

const SCOPES: [&str; 3] = [
    "https://www.googleapis.com/auth/calendar",
    "https://www.googleapis.com/auth/calendar.readonly",
    "https://www.googleapis.com/auth/calendar.app.created",
];

/// OAuth's words, and of the Calendar API's those that any service of Google's may say.
fn failure(status: u16, json: &Json) -> Failure {
    let answer = json.as_array().and_then(|answers| answers.first()).unwrap_or(json);
    let error = answer.get("error").unwrap_or(&Json::Null);
    let said = words(json);
    let status_word = error.get("status").and_then(Json::as_str);
    let known =
        said.iter().filter(|word| Some(**word) != status_word || error.is_string()).find_map(|word| {
            let word = word.strip_prefix("push.").unwrap_or(word);
            Some(match letters(word).as_str() {
                "invalidgrant" | "unauthorizedclient" => Failure::ReconnectRequired,
                "invalidscope" => Failure::PermissionMissing,
                "invalidclient" | "deletedclient" | "disabledclient" => Failure::OauthClientInvalid,
                _ => match expected(400, &serde_json::json!({ "error": { "errors": [{ "reason": word }] } }))
                {
                    Kind::Refused(
                        failure @ (Failure::BlockedByPolicy
                        | Failure::GoogleApiDisabled
                        | Failure::GoogleRateLimited
                        | Failure::GoogleUnavailable),
                    ) => failure,
                    _ => return None,
                },
            })
        });
    match (status, known) {
        (500.., Some(Failure::GoogleRateLimited)) => Failure::GoogleRateLimited,
        (500.., _) => Failure::GoogleUnavailable,
        (429, _) => Failure::GoogleRateLimited,
        (_, Some(failure)) => failure,
        (_, None) if status_word == Some("RESOURCE_EXHAUSTED") => Failure::GoogleRateLimited,
        (404 | 408 | 412, None) => Failure::GoogleUnavailable,
        (_, None) => Failure::GoogleRejected,
    }
}
