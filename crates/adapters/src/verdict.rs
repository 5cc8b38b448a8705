//! What Google's refusals mean: one table, for `events.watch`, `events.list`, `channels.stop` and the token endpoint
//! alike.
//!
//! Google says why in words, and one answer may hold several: `error.errors[].reason` and `error.details[].reason` of
//! the Calendar API, `error` and `error_subtype` of the token endpoint. All four are read in every answer, and a word
//! that only the other speaker knows decides nothing. The first known word decides; where there is none, the HTTP
//! status does. A word that decides nothing is told all the same. An error that came with a success is judged as one
//! that came with the status in its `error.code`.
//!
//! Sources: Calendar API guides "Handle API errors" and "Push notifications", Identity guide "Using OAuth 2.0 for Web
//! Server Applications" ("Authorization errors"), "Standard error messages" of the older Google APIs,
//! `google.api.ErrorReason`, and the reports that stand beside a word.

use std::time::Duration;

use protocol::Timestamp;
use protocol::failure::RenewalFailure::{
    self as Failure, BlockedByPolicy, CalendarNotFound, GoogleApiDisabled, GoogleRateLimited, GoogleRejected,
    GoogleUnavailable, NoCalendar, OauthClientInvalid, PermissionMissing, PushNotSupported,
    ReconnectRequired, WebhookUrlRejected,
};
use protocol::failure::{Refused, StopFailure, WatchFailure, Word};
use protocol::look::LookFailure;
use serde_json::Value as Json;

use crate::http::HttpResponse;
use crate::json::number;
use crate::timestamp::parse_http_date;

#[cfg(test)]
mod replay;
#[cfg(test)]
mod tests;

/// What a word means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The channel's id was used before.
    AnotherId,
    /// The access token is not good (any more).
    AnotherToken,
    Fails(Failure),
    /// This, unless another word says more.
    FailsAtLeast(Failure),
}

/// Who says it. Neither speaks of what only the other knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaker {
    CalendarApi,
    TokenEndpoint,
    Both,
}

use Meaning::{AnotherId, AnotherToken, Fails, FailsAtLeast};
use Speaker::{Both, CalendarApi, TokenEndpoint};

/// Stands before some words of the Calendar API about channels.
const PUSH: &str = "push.";

/// In upper or lower case, whatever stands between the letters; `*` at the end of a word: and whatever follows.
const WORDS: &[(Speaker, Meaning, &[&str])] = &[
    (CalendarApi, AnotherId, &["channelIdNotUnique"]),
    (CalendarApi, AnotherToken, &["authError"]),
    // The organisation's session policy, among others, is a subtype: `invalid_rapt`, `rapt_required`. A refresh token
    // of another OAuth client is answered with `unauthorized_client` (googleapis/google-api-dotnet-client#2802,
    // taylorwilsdon/google_workspace_mcp#933).
    (TokenEndpoint, Fails(ReconnectRequired), &["invalid_grant", "unauthorized_client"]),
    (CalendarApi, Fails(ReconnectRequired), &["accountDeleted"]),
    // GeneralTask/task-manager#2160, closeio/sync-engine#1016
    (CalendarApi, Fails(PermissionMissing), &["insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"]),
    (TokenEndpoint, Fails(PermissionMissing), &["invalid_scope"]),
    // `admin_policy_enforced`: dust-tt/dust#31975. `policy_enforced`, Advanced Protection: twentyhq/twenty#25148.
    (
        Both,
        Fails(BlockedByPolicy),
        &[
            "admin_policy_enforced",
            "policy_enforced",
            "org_internal",
            "access_denied",
            "domainPolicy",
            "accountDisabled",
            "disabledAccount",
            "userDisabled",
            "accountUnverified",
            "ORG_RESTRICTION_VIOLATION",
            "SECURITY_POLICY_VIOLATED",
            "USER_BLOCKED_BY_ADMIN",
        ],
    ),
    // webhookdb/webhookdb#624, closeio/sync-engine#462
    (CalendarApi, Fails(NoCalendar), &["notACalendarUser"]),
    (CalendarApi, Fails(CalendarNotFound), &["notFound", "deleted", "requiredAccessLevel"]),
    (CalendarApi, Fails(PushNotSupported), &["pushNotSupportedForRequestedResource"]),
    // allenporter/gcal_sync#167
    (
        Both,
        Fails(GoogleApiDisabled),
        &[
            "accessNotConfigured",
            "SERVICE_DISABLED",
            "API_KEY_SERVICE_BLOCKED",
            "BILLING_DISABLED",
            "CONSUMER_INVALID",
            "CONSUMER_SUSPENDED",
            "GCP_SUSPENDED",
            "RESOURCE_PROJECT_INVALID",
            "SERVICE_NOT_VISIBLE",
            "USER_PROJECT_DENIED",
        ],
    ),
    (CalendarApi, Fails(WebhookUrlRejected), &["webhookUrl*"]),
    (TokenEndpoint, Fails(OauthClientInvalid), &["invalid_client", "deleted_client", "disabled_client"]),
    // benjcunningham/googlecalendar#4, KeepSoftwareSimple/compass-calendar#335
    (
        Both,
        Fails(GoogleRateLimited),
        &[
            "rateLimitExceeded",
            "rateLimitExceededUnreg",
            "userRateLimitExceeded",
            "userRateLimitExceededUnreg",
            "quotaExceeded",
            "quotaExceeded402",
            "dailyLimitExceeded",
            "dailyLimitExceeded402",
            "dailyLimitExceededUnreg",
            "concurrentLimitExceeded",
            "servingLimitExceeded",
            "variableTermLimitExceeded",
            "variableTermExpiredDailyExceeded",
            "limitExceeded",
            "RESOURCE_QUOTA_EXCEEDED",
            "slow_down",
        ],
    ),
    (
        Both,
        Fails(GoogleUnavailable),
        &[
            "backendError",
            "backendNotConnected",
            "internalError",
            "internal_failure",
            "notReady",
            "server_error",
            "temporarily_unavailable",
        ],
    ),
    // Often stands beside what says more.
    (CalendarApi, FailsAtLeast(CalendarNotFound), &["forbidden"]),
];

/// What Google said.
struct Said<'a> {
    words: Vec<&'a str>,
    /// `error.code`, the HTTP status as the Calendar API says it.
    code: Option<u16>,
    /// Tells more than the word that it stands beside.
    subtype: Option<&'a str>,
    /// `error.status`, mostly the HTTP status in words, or whatever else stands where an error is said.
    status: Option<&'a str>,
    /// Whether it is an error of the Calendar API at all, and not of a gateway or a proxy.
    is_of_api: bool,
}

impl<'a> Said<'a> {
    fn read(body: &'a Json) -> Self {
        // Newer services put an answer into a list (vivet/GoogleApi#397).
        let body = body.get(0).unwrap_or(body);
        let text = |json: &'a Json, name: &str| json.get(name).and_then(Json::as_str);
        let error = body.get("error").unwrap_or(&Json::Null);
        let mut said = Self {
            words: Vec::new(),
            code: error.get("code").and_then(number).and_then(|code| u16::try_from(code).ok()),
            subtype: text(body, "error_subtype"),
            status: text(error, "status").or(error.as_str()),
            is_of_api: error.is_object(),
        };
        for list in ["errors", "details"] {
            for one in error.get(list).and_then(Json::as_array).map_or(&[][..], Vec::as_slice) {
                said.words.extend(text(one, "reason"));
            }
        }
        said.words.extend(error.as_str());
        said.words.extend(said.subtype);
        said
    }

    /// What the first known word means from this mouth, and that word: as it was said, or as the table has it where a
    /// row cannot hold it so.
    fn known(&self, speaker: Speaker) -> Option<(Meaning, &'a str)> {
        let mut known = None;
        for said in &self.words {
            let Some((meaning, word)) = meaning_of(said, speaker) else { continue };
            let told = if Word::parse(said).is_some() { said } else { word };
            match meaning {
                FailsAtLeast(failure) => known = known.or(Some((Fails(failure), told))),
                meaning => return Some((meaning, told)),
            }
        }
        known
    }

    /// The word to tell: a subtype, the word that decided, or whatever was said.
    fn word(&self, decided: Option<&'a str>) -> Option<Word> {
        let first = [self.subtype, decided, self.words.first().copied(), self.status];
        let told = first.into_iter().flatten().find_map(Word::parse);
        told.or_else(|| self.words.iter().copied().find_map(Word::parse))
    }
}

fn meaning_of(said: &str, speaker: Speaker) -> Option<(Meaning, &'static str)> {
    let said = if starts_with(said, PUSH) { said.get(PUSH.len()..).unwrap_or_default() } else { said };
    WORDS.iter().filter(|(by, ..)| *by == speaker || *by == Both).find_map(|(_, meaning, words)| {
        let word = words.iter().find(|word| match word.strip_suffix('*') {
            Some(start) => starts_with(said, start),
            None => letters(said).eq(letters(word)),
        })?;
        Some((*meaning, *word))
    })
}

/// What one service writes `domainPolicy`, another writes `domain_policy`.
fn letters(word: &str) -> impl Iterator<Item = u8> {
    word.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase())
}

fn starts_with(said: &str, start: &str) -> bool {
    said.get(..start.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(start))
}

/// The meaning of an answer, what to tell of it, and the HTTP status that it is about.
struct Verdict {
    meaning: Meaning,
    refused: Refused,
    status: u16,
}

fn judge(response: &HttpResponse, speaker: Speaker, now: Timestamp) -> Verdict {
    let body = parse_json(response);
    let said = Said::read(&body);
    // `{"error":"forbidden"}` may be a gateway's, and so may what else blames somebody in everybody's words.
    let is_anybodys = |(meaning, word): &(Meaning, &str)| {
        matches!(meaning, Fails(CalendarNotFound | PermissionMissing)) || *word == "access_denied"
    };
    let is_googles = speaker == TokenEndpoint || said.is_of_api;
    let known = said.known(speaker).filter(|known| is_googles || !is_anybodys(known));
    let code = said.code.filter(|code| response.is_success() && (400..600).contains(code));
    let status = code.unwrap_or(response.status);
    // Our address is refused with a 401, too.
    let is_of_push = known.is_some_and(|(meaning, _)| meaning == Fails(WebhookUrlRejected))
        || said.words.iter().any(|word| starts_with(word, PUSH));
    let is_forbidden = known.is_none_or(|(_, word)| letters(word).eq(letters("forbidden")));
    let says = |status: &str| said.status.is_some_and(|said| said.eq_ignore_ascii_case(status));
    let exhausted = Some("RESOURCE_EXHAUSTED").filter(|status| is_forbidden && says(status));
    let meaning = match (status, known) {
        // A failing server speaks of itself: it makes no person responsible.
        (500.., Some((Fails(GoogleRateLimited), _))) => Fails(GoogleRateLimited),
        (500.., _) => Fails(GoogleUnavailable),
        // Whatever else is said of it.
        (401, _) if speaker == CalendarApi && !is_of_push => AnotherToken,
        // A limit blames no person, also where another word stands beside it.
        (429, _) => Fails(GoogleRateLimited),
        _ if exhausted.is_some() => Fails(GoogleRateLimited),
        (_, Some((meaning, _))) => meaning,
        (_, None) if speaker == CalendarApi && says("UNAUTHENTICATED") => AnotherToken,
        (404, _) if speaker == CalendarApi && said.is_of_api => Fails(CalendarNotFound),
        // It has reasons that are not about the calendar: `fullSyncRequired`, `updatedMinTooLongAgo`.
        (410, _) if speaker == CalendarApi && said.is_of_api && said.words.is_empty() => {
            Fails(CalendarNotFound)
        }
        (404 | 408 | 412, _) => Fails(GoogleUnavailable),
        (410, _) if !said.is_of_api => Fails(GoogleUnavailable),
        _ => Fails(GoogleRejected),
    };
    let failure = match meaning {
        AnotherId => GoogleRejected,
        AnotherToken => ReconnectRequired,
        Fails(failure) | FailsAtLeast(failure) => failure,
    };
    let retry_after = response.retry_after.as_deref().and_then(|text| parse_retry_after(text, now));
    let decided = known.map(|(_, word)| word);
    let mut words = said.words.iter().copied().filter(|word| Word::parse(word).is_some());
    let telling = words.find(|word| !letters(word).eq(letters("forbidden")));
    let reason = said.word(if is_forbidden { telling.or(exhausted).or(decided) } else { decided });
    let refused = Refused { failure, reason, retry_after };
    Verdict { meaning, refused, status }
}

/// Whether a body says that something was refused, whatever the HTTP status says.
pub(crate) fn is_error(body: &Json) -> bool {
    let body = body.get(0).unwrap_or(body);
    body.get("error").is_some_and(|error| !error.is_null())
}

/// Of `events.watch`. After a 5xx there may be a channel, whatever is said of it, and after a success without a
/// resource.
pub(crate) fn of_watch(response: &HttpResponse, now: Timestamp) -> WatchFailure {
    let Verdict { meaning, refused, .. } = judge(response, CalendarApi, now);
    match meaning {
        _ if response.status >= 500 => WatchFailure::Doubtful(refused),
        // A page is a proxy's: what Google answered, if it was asked, nobody knows.
        _ if response.is_success() && response.body.trim_start().starts_with('<') => {
            WatchFailure::Doubtful(Refused { failure: GoogleUnavailable, ..refused })
        }
        _ if response.is_success() => {
            let failure = if meaning == AnotherToken { GoogleRejected } else { refused.failure };
            WatchFailure::Unusable(Refused { failure, ..refused })
        }
        AnotherId => WatchFailure::ChannelIdNotUnique,
        AnotherToken => WatchFailure::Unauthorized(refused),
        Fails(_) | FailsAtLeast(_) => WatchFailure::Refused(refused),
    }
}

/// Of `events.list`.
pub(crate) fn of_list(response: &HttpResponse, now: Timestamp) -> LookFailure {
    match judge(response, CalendarApi, now) {
        Verdict { meaning: AnotherToken, refused, .. } => LookFailure::Unauthorized(refused),
        Verdict { refused, .. } => LookFailure::Refused(refused),
    }
}

/// Of `channels.stop`, which knows channels and no calendars.
pub(crate) fn of_stop(response: &HttpResponse, now: Timestamp) -> StopFailure {
    let Verdict { meaning, refused, status } = judge(response, CalendarApi, now);
    match meaning {
        AnotherToken => StopFailure::Unauthorized(refused),
        Fails(CalendarNotFound) if status == 404 => StopFailure::Unknown,
        // Unless what says so is no answer of Google's.
        _ if status == 410 && meaning != Fails(GoogleUnavailable) => StopFailure::Unknown,
        Fails(CalendarNotFound) => StopFailure::Refused(Refused { failure: GoogleRejected, ..refused }),
        _ => StopFailure::Refused(refused),
    }
}

/// Of the token endpoint.
pub(crate) fn of_token(response: &HttpResponse, now: Timestamp) -> Refused {
    judge(response, TokenEndpoint, now).refused
}

/// How long not to ask again: seconds, or until a date (RFC 9110, 10.2.3).
fn parse_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More than a number holds is the largest that there is.
        return Some(text.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    parse_http_date(text)?.signed_duration_since(now).to_std().ok()
}

/// The body of a response; null where it is no JSON.
pub(crate) fn parse_json(response: &HttpResponse) -> Json {
    serde_json::from_str(&response.body).unwrap_or_default()
}
