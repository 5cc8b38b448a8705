//! The token endpoint's answer (RFC 6749, 5): an access token that can be sent and how long it is good for, or why not.

use std::time::Duration;

use protocol::connection::RefreshToken;
use protocol::failure::RenewalFailure as Failure;
use protocol::ports::Google;
use serde_json::Value as Json;

use crate::oracle::{assert_hidden, is_visible, status_and_body, strings};
use crate::project::{CLIENT_SECRET, Project, finish, response};

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
    if status < 300 {
        let seconds =
            json.get("expires_in").and_then(Json::as_u64).filter(|seconds| *seconds <= u32::MAX.into());
        match (renewed, token("access_token").zip(seconds)) {
            (Ok(renewed), Some((access_token, seconds))) => {
                assert!(renewed.access_token.expose() == access_token);
                assert_eq!(renewed.expires_in, Duration::from_secs(seconds));
                assert!(renewed.refresh_token.as_ref().map(|token| token.expose()) == token("refresh_token"));
            }
            (renewed, granted) => {
                assert!(granted.is_none());
                assert_eq!(renewed, Err(Failure::GoogleRejected.into()));
            }
        }
    } else {
        let expected = match (status, reason(&json)) {
            (_, "invalid_grant") => Failure::ReconnectRequired,
            (_, "deleted_client" | "invalid_client" | "unauthorized_client") => Failure::OauthClientInvalid,
            (429, _) | (_, "rate_limit_exceeded") => Failure::GoogleRateLimited,
            (500.., _) => Failure::GoogleUnavailable,
            _ => Failure::GoogleRejected,
        };
        assert_eq!(renewed, Err(expected.into()));
    }
    let mut secrets = vec![REFRESH_TOKEN, CLIENT_SECRET];
    strings(&json, &mut secrets);
    assert_hidden(&project.log(), secrets);
}

/// OAuth's word; a Calendar error here would be read as one.
fn reason(json: &Json) -> &str {
    let error = json.get("error").unwrap_or(&Json::Null);
    let first = |list: &str| error.get(list)?.get(0)?.get("reason")?.as_str();
    let reason = first("errors").or_else(|| first("details")).or_else(|| error.as_str()).unwrap_or_default();
    reason.strip_prefix("push.").unwrap_or(reason)
}
