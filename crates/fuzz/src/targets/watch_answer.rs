//! Google's answer to `events.watch`: a channel with a resource id and an expiration to come, or why there is none.

use std::time::Duration;

use protocol::connection::{AccessToken, ChannelId, ChannelToken};
use protocol::failure::{Refused, RenewalFailure as Failure, WatchFailure};
use protocol::ports::Google;
use serde_json::Value as Json;

use crate::oracle::{assert_hidden, is_visible, status_and_body, strings};
use crate::project::{NOW, Project, finish, response};

const ACCESS_TOKEN: &str = "ya29.a0AfB_byC0-token";
const CHANNEL_TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// `data` is a status, a newline and a body; without a status it is 200.
pub fn target(data: &[u8]) {
    let (status, body) = status_and_body(data);
    let answer = response(status, body);
    let json: Json = serde_json::from_str(&answer.body).unwrap_or_default();
    let project = Project::new(move |_| Ok(answer.clone()));
    let opened = finish(project.deployment.watch(
        &AccessToken::new(ACCESS_TOKEN),
        None,
        &ChannelId::new("channel"),
        &ChannelToken::new(CHANNEL_TOKEN),
        Duration::from_secs(1),
    ));
    if status >= 300 {
        assert_eq!(opened.map(|_| ()), Err(refusal(status, reason(&json))));
    } else {
        let text = |name: &str| json.get(name).and_then(Json::as_str).filter(|text| is_visible(text));
        let granted =
            text("resourceId").zip(text("expiration").and_then(milliseconds).filter(|at| *at > NOW.into()));
        match (opened, granted) {
            (Ok(opened), Some((resource, expiration))) => {
                assert_eq!(opened.resource_id.as_str(), resource);
                assert_eq!(i128::from(opened.expiration.timestamp_millis()), expiration);
            }
            (opened, granted) => {
                assert_eq!(granted, None);
                assert_eq!(
                    opened.map(|_| ()),
                    Err(WatchFailure::Doubtful(Refused::new(Failure::GoogleRejected)))
                );
            }
        }
    }
    let mut secrets = vec![ACCESS_TOKEN, CHANNEL_TOKEN];
    strings(&json, &mut secrets);
    let documented = documented_reasons();
    secrets.retain(|text| !documented.contains(&text.strip_prefix("push.").unwrap_or(text)));
    assert_hidden(&project.log(), secrets);
}

/// A whole number of milliseconds, up to the year 9999.
fn milliseconds(text: &str) -> Option<i128> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let number: i128 = digits.parse().ok().filter(|_| digits.chars().all(|c| c.is_ascii_digit()))?;
    let number = if text.starts_with('-') { -number } else { number };
    (number.abs() < 253_402_300_800_000).then_some(number)
}

/// Calendar API guide, "Handle API errors": the first reason; Google's newer services have it among the details.
pub(super) fn reason(json: &Json) -> &str {
    let error = json.get("error").unwrap_or(&Json::Null);
    let first = |list: &str| error.get(list)?.get(0)?.get("reason")?.as_str();
    let reason = first("errors").or_else(|| first("details")).or_else(|| error.as_str()).unwrap_or_default();
    reason.strip_prefix("push.").unwrap_or(reason)
}

pub(super) fn refusal(status: u16, reason: &str) -> WatchFailure {
    for (documented, needs, failure) in DOCUMENTED {
        if reason == *documented && needs.is_none_or(|needed| status == needed) {
            return failure.clone();
        }
    }
    match status {
        404 | 410 => WatchFailure::Refused(Refused::new(Failure::CalendarNotFound)),
        429 => WatchFailure::Refused(Refused::new(Failure::GoogleRateLimited)),
        500.. => WatchFailure::Doubtful(Refused::new(Failure::GoogleUnavailable)),
        _ => WatchFailure::Refused(Refused::new(Failure::GoogleRejected)),
    }
}

const DOCUMENTED: &[(&str, Option<u16>, WatchFailure)] = &[
    ("channelIdNotUnique", None, WatchFailure::ChannelIdNotUnique),
    ("authError", Some(401), WatchFailure::Unauthorized(Refused::new(Failure::ReconnectRequired))),
    (
        "pushNotSupportedForRequestedResource",
        None,
        WatchFailure::Refused(Refused::new(Failure::PushNotSupported)),
    ),
    ("webhookUrlNotHttps", None, WatchFailure::Refused(Refused::new(Failure::WebhookUrlRejected))),
    ("webhookUrlUnauthorized", None, WatchFailure::Refused(Refused::new(Failure::WebhookUrlRejected))),
    ("insufficientPermissions", None, WatchFailure::Refused(Refused::new(Failure::ReconnectRequired))),
    ("rateLimitExceeded", None, WatchFailure::Refused(Refused::new(Failure::GoogleRateLimited))),
    ("userRateLimitExceeded", None, WatchFailure::Refused(Refused::new(Failure::GoogleRateLimited))),
    ("quotaExceeded", None, WatchFailure::Refused(Refused::new(Failure::GoogleRateLimited))),
    ("dailyLimitExceeded", None, WatchFailure::Refused(Refused::new(Failure::GoogleRateLimited))),
    ("accessNotConfigured", None, WatchFailure::Refused(Refused::new(Failure::GoogleApiDisabled))),
    ("SERVICE_DISABLED", None, WatchFailure::Refused(Refused::new(Failure::GoogleApiDisabled))),
];

/// What may stand in the log.
pub(super) fn documented_reasons() -> Vec<&'static str> {
    DOCUMENTED.iter().map(|(reason, ..)| *reason).collect()
}
