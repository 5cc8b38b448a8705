//! Google's answer to `events.watch`: a channel with a resource id and an expiration to come, or why there is none.

use std::time::Duration;

use protocol::connection::{AccessToken, ChannelId, ChannelToken};
use protocol::failure::{RenewalFailure as Failure, WatchFailure};
use protocol::ports::Google;
use serde_json::Value as Json;

use crate::oracle::{assert_hidden, is_visible, status_and_body, strings};
use crate::project::{NOW, Project, finish, response};

const ACCESS_TOKEN: &str = "ya29.a0AfB_byC0-token";
const CHANNEL_TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// What is asked for.
const THIRTY_DAYS: i64 = 30 * 24 * 60 * 60 * 1000;

/// `data` is a status, a newline and a body; without a status it is 200.
pub fn target(data: &[u8]) {
    let (status, body) = status_and_body(data);
    let answer = response(status, body);
    let is_page = status < 300 && answer.body.trim_start().starts_with('<');
    let json: Json = serde_json::from_str(&answer.body).unwrap_or_default();
    let project = Project::new(move |_| Ok(answer.clone()));
    let opened = finish(project.deployment.watch(
        &AccessToken::new(ACCESS_TOKEN),
        None,
        &ChannelId::new("channel"),
        &ChannelToken::new(CHANNEL_TOKEN),
        Duration::from_secs(1),
    ));
    let resource = json.get("resourceId").and_then(Json::as_str).filter(|text| is_visible(text));
    match (opened, resource) {
        (Ok(opened), Some(resource)) if status < 300 => {
            assert_eq!(opened.resource_id.as_str(), resource);
            let told = json.get("expiration").and_then(milliseconds).filter(|at| *at > NOW);
            assert_eq!(opened.expiration.timestamp_millis(), told.unwrap_or(NOW + THIRTY_DAYS));
        }
        (opened, resource) => {
            assert!(status >= 300 || resource.is_none(), "a channel that can be stopped is a channel");
            // A proxy's.
            let of_page = is_page.then_some(Kind::Doubtful(Failure::GoogleUnavailable));
            assert_eq!(
                opened.as_ref().err().map(kind),
                Some(of_page.unwrap_or_else(|| expected(status, &json)))
            );
            if let Err(failure) = opened {
                assert_tells_of_words(&failure, &json);
            }
        }
    }
    let mut secrets = vec![ACCESS_TOKEN, CHANNEL_TOKEN];
    strings(&json, &mut secrets);
    secrets.retain(|text| !words(&json).contains(text));
    assert_hidden(&project.log(), secrets);
}

/// A whole number, a text or a fraction of milliseconds, up to the year 9999.
fn milliseconds(json: &Json) -> Option<i64> {
    let whole = whole(json)?;
    (whole < 253_402_300_800_000).then(|| i64::try_from(whole).ok())?
}

/// A number that is not negative, as it is or as a text, without its fraction.
pub(super) fn whole(json: &Json) -> Option<u64> {
    match json {
        Json::Number(number) => number.as_u64().or_else(|| {
            let number = number.as_f64().filter(|number| *number >= 0.0 && *number < 1.0e19)?;
            format!("{:.0}", number.trunc()).parse().ok()
        }),
        Json::String(text) => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            fraction.chars().all(|c| c.is_ascii_digit()).then(|| whole.parse().ok())?
        }
        _ => None,
    }
}

/// What a failure is, without what is told of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    AnotherId,
    AnotherToken,
    Refused(Failure),
    Doubtful(Failure),
}

fn kind(failure: &WatchFailure) -> Kind {
    match failure {
        WatchFailure::ChannelIdNotUnique => Kind::AnotherId,
        WatchFailure::Unauthorized(_) => Kind::AnotherToken,
        WatchFailure::Refused(refused) => Kind::Refused(refused.failure),
        WatchFailure::Doubtful(refused) | WatchFailure::Unusable(refused) => Kind::Doubtful(refused.failure),
    }
}

fn assert_tells_of_words(failure: &WatchFailure, json: &Json) {
    if let WatchFailure::Unauthorized(refused)
    | WatchFailure::Refused(refused)
    | WatchFailure::Doubtful(refused)
    | WatchFailure::Unusable(refused) = failure
        && let Some(reason) = &refused.reason
    {
        assert_is_word(reason.as_str(), json);
    }
}

/// Told is what stands where Google has its words, as far as it is one.
pub(super) fn assert_is_word(told: &str, json: &Json) {
    assert!((1..=64).contains(&told.len()), "{told:?}");
    assert!(told.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.'), "{told:?}");
    assert!(
        words(json).iter().any(|word| letters(word).starts_with(&letters(told))),
        "{told:?} was not said"
    );
}

/// One service writes `domainPolicy`, another `domain_policy`.
pub(super) fn letters(word: &str) -> String {
    word.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Everything that Google may have meant as a word.
pub(super) fn words(json: &Json) -> Vec<&str> {
    let mut words = reasons(json);
    let answer = one(json);
    let error = answer.get("error").unwrap_or(&Json::Null);
    words.extend(error.as_str());
    words.extend(error.get("status").and_then(Json::as_str));
    words.extend(answer.get("error_subtype").and_then(Json::as_str));
    words
}

fn one(json: &Json) -> &Json {
    json.as_array().and_then(|answers| answers.first()).unwrap_or(json)
}

/// Calendar API guide, "Handle API errors"; Google's newer services have them among the details.
fn reasons(json: &Json) -> Vec<&str> {
    let error = one(json).get("error").unwrap_or(&Json::Null);
    let lists = ["errors", "details"].into_iter().filter_map(|name| error.get(name)?.as_array());
    lists.flatten().filter_map(|one| one.get("reason")?.as_str()).collect()
}

/// Of an answer that is no channel.
pub(super) fn expected(status: u16, json: &Json) -> Kind {
    let error = one(json).get("error").unwrap_or(&Json::Null);
    let reasons = reasons(json);
    let known = |reason: &&str| {
        let word = reason.strip_prefix("push.").unwrap_or(reason);
        let is_said = |known: &&str| letters(known) == letters(word);
        let documented = DOCUMENTED.iter().find(|(words, _)| words.iter().any(is_said));
        documented.map(|(_, meaning)| *meaning).or(word.starts_with("webhookUrl").then_some(Means::Url))
    };
    let meanings: Vec<Means> = reasons.iter().filter_map(known).collect();
    let first = meanings.iter().find(|meaning| **meaning != Means::Hidden).or(meanings.first()).copied();
    let of_our_address =
        first == Some(Means::Url) || reasons.iter().any(|reason| reason.starts_with("push."));
    let word = error.get("status").and_then(Json::as_str);
    match (status, first, word) {
        (200..=299, ..) => Kind::Doubtful(Failure::GoogleRejected),
        (500.., Some(Means::Is(Failure::GoogleRateLimited)), _) => Kind::Doubtful(Failure::GoogleRateLimited),
        (500.., ..) => Kind::Doubtful(Failure::GoogleUnavailable),
        (401, ..) if !of_our_address => Kind::AnotherToken,
        (429, ..) | (_, Some(Means::Hidden) | None, Some("RESOURCE_EXHAUSTED")) => {
            Kind::Refused(Failure::GoogleRateLimited)
        }
        (_, Some(Means::Id), _) => Kind::AnotherId,
        (_, Some(Means::Token), _) => Kind::AnotherToken,
        (_, Some(Means::Url), _) => Kind::Refused(Failure::WebhookUrlRejected),
        (_, Some(Means::Hidden), _) => Kind::Refused(Failure::CalendarNotFound),
        (_, Some(Means::Is(failure)), _) => Kind::Refused(failure),
        (_, None, Some("UNAUTHENTICATED")) => Kind::AnotherToken,
        (410, None, _) if error.is_object() && reasons.is_empty() => Kind::Refused(Failure::CalendarNotFound),
        (410, None, _) if !error.is_object() => Kind::Refused(Failure::GoogleUnavailable),
        (404, None, _) if error.is_object() => Kind::Refused(Failure::CalendarNotFound),
        (404 | 408 | 412, None, _) => Kind::Refused(Failure::GoogleUnavailable),
        (_, None, _) => Kind::Refused(Failure::GoogleRejected),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Means {
    Id,
    Token,
    Url,
    /// Says least of all.
    Hidden,
    Is(Failure),
}

const DOCUMENTED: &[(&[&str], Means)] = &[
    (&["channelIdNotUnique"], Means::Id),
    (&["authError"], Means::Token),
    (&["forbidden"], Means::Hidden),
    (&["pushNotSupportedForRequestedResource"], Means::Is(Failure::PushNotSupported)),
    (&["insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"], Means::Is(Failure::PermissionMissing)),
    (&["notACalendarUser"], Means::Is(Failure::NoCalendar)),
    (&["accountDeleted"], Means::Is(Failure::ReconnectRequired)),
    (
        &[
            "admin_policy_enforced",
            "policy_enforced",
            "org_internal",
            "access_denied",
            "domainPolicy",
            "accountDisabled",
            "accountUnverified",
            "ORG_RESTRICTION_VIOLATION",
            "USER_BLOCKED_BY_ADMIN",
        ],
        Means::Is(Failure::BlockedByPolicy),
    ),
    (&["notFound", "deleted", "requiredAccessLevel"], Means::Is(Failure::CalendarNotFound)),
    (
        &[
            "rateLimitExceeded",
            "userRateLimitExceeded",
            "quotaExceeded",
            "dailyLimitExceeded",
            "variableTermLimitExceeded",
            "limitExceeded",
            "RESOURCE_QUOTA_EXCEEDED",
        ],
        Means::Is(Failure::GoogleRateLimited),
    ),
    (
        &["backendError", "internalError", "internal_failure", "server_error", "temporarily_unavailable"],
        Means::Is(Failure::GoogleUnavailable),
    ),
    (
        &[
            "accessNotConfigured",
            "SERVICE_DISABLED",
            "API_KEY_SERVICE_BLOCKED",
            "CONSUMER_INVALID",
            "CONSUMER_SUSPENDED",
        ],
        Means::Is(Failure::GoogleApiDisabled),
    ),
];
