//! The table as its readers see it: an answer of Google, what it means, which word is told of it, and when Google is
//! asked again. Another answer is another line.

use chrono::{DateTime, TimeDelta};
use protocol::connection::{AccessToken, CalendarId};
use protocol::look::Anchor;
use protocol::schedule::renewal_retry;
use serde_json::json;

use super::*;
use crate::configuration::{Configuration, Environment};
use crate::google::{parse_stop_response, parse_token_response, parse_watch_response};
use crate::look::Reading;

/// Sun, 22 Nov 2026 16:00:00 GMT.
pub(super) fn now() -> Timestamp {
    DateTime::from_timestamp(1_795_363_200, 0).unwrap()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Watch,
    List,
    Stop,
    Token,
}

pub(super) use Ask::{List, Stop, Token, Watch};

pub(super) fn response(status: u16, body: &str) -> HttpResponse {
    HttpResponse { status, body: body.to_owned(), ..HttpResponse::default() }
}

pub(super) fn configuration() -> Configuration {
    let environment = Environment::from([
        ("SUPABASE_URL", "https://project.supabase.co"),
        ("SUPABASE_SERVICE_ROLE_KEY", "key"),
        ("GOOGLE_CLIENT_ID", "id"),
        ("GOOGLE_CLIENT_SECRET", "secret"),
    ]);
    Configuration::parse(&environment).unwrap()
}

/// What becomes of an answer: a word of its own where it is not a failure that is booked, or not at once.
fn meaning(ask: Ask, response: &HttpResponse) -> (String, Refused) {
    let plain = || Refused::new(GoogleRejected);
    let (code, refused) = match ask {
        Watch => match parse_watch_response(response, now()) {
            Ok(_) => ("opened", plain()),
            Err(WatchFailure::ChannelIdNotUnique) => ("another_id", plain()),
            Err(WatchFailure::Unauthorized(refused)) => ("another_token", refused),
            Err(WatchFailure::Refused(refused)) => (refused.failure.code(), refused),
            // A channel may exist.
            Err(WatchFailure::Doubtful(refused)) => {
                return (format!("{}?", refused.failure.code()), refused);
            }
            // And cannot be stopped.
            Err(WatchFailure::Unusable(refused)) => return (format!("{}!", refused.failure.code()), refused),
        },
        Stop => match parse_stop_response(response, now()) {
            Ok(()) => ("stopped", plain()),
            Err(StopFailure::Unknown) => ("channel_unknown", plain()),
            Err(StopFailure::Unauthorized(refused)) => ("another_token", refused),
            Err(StopFailure::Refused(refused)) => (refused.failure.code(), refused),
        },
        List => {
            let (configuration, access_token) = (configuration(), AccessToken::new("access"));
            let (calendar, anchor) = (CalendarId::new("primary"), Anchor::of_look(now(), None));
            let mut reading = Reading::new(&configuration, &access_token, Some(&calendar), anchor);
            match reading.read(response, now()) {
                Ok(_) => ("read", plain()),
                Err(LookFailure::Unauthorized(refused)) => ("another_token", refused),
                Err(LookFailure::Refused(refused)) => (refused.failure.code(), refused),
                Err(other) => (other.code(), plain()),
            }
        }
        Token => match parse_token_response(response, now()) {
            Ok(_) => ("renewed", plain()),
            Err(refused) => (refused.failure.code(), refused),
        },
    };
    (code.to_owned(), refused)
}

#[track_caller]
fn check(ask: Ask, response: &HttpResponse, code: &str, reason: &str, retry_in: i64) {
    let (actual, refused) = meaning(ask, response);
    let told = refused.reason.as_ref().map_or("", Word::as_str);
    let delay = renewal_retry(now(), 0, Some(&refused), 0) - now();
    assert_eq!(
        (actual.as_str(), told, delay.num_seconds()),
        (code, reason, retry_in),
        "{ask:?} {} {}",
        response.status,
        response.body
    );
}

/// In seconds, after the first failure.
const SOON: i64 = 30;
const DAILY: i64 = 86_400;

/// `error.errors`, the older kind, and `error.details`, the newer one.
fn api(errors: &[&str], details: &[&str], status: &str) -> String {
    let list =
        |reasons: &[&str]| reasons.iter().map(|reason| json!({ "reason": reason })).collect::<Vec<_>>();
    let mut error = json!({ "code": 0, "message": "ada@example.com may not do this" });
    if !errors.is_empty() {
        error["errors"] = list(errors).into();
    }
    if !details.is_empty() {
        error["details"] = list(details).into();
    }
    if !status.is_empty() {
        error["status"] = status.into();
    }
    json!({ "error": error }).to_string()
}

/// What the Calendar API refuses means the same whatever was asked of it.
#[test]
fn the_calendar_api_is_understood() {
    for (status, errors, details, word_of_status, code, reason, retry_in) in [
        // The access token.
        (401, &["authError"][..], &[][..], "", "another_token", "authError", DAILY),
        (401, &["required"], &["CREDENTIALS_MISSING"], "UNAUTHENTICATED", "another_token", "required", DAILY),
        (
            401,
            &[],
            &["ACCESS_TOKEN_EXPIRED"],
            "UNAUTHENTICATED",
            "another_token",
            "ACCESS_TOKEN_EXPIRED",
            DAILY,
        ),
        (401, &[], &["ACCOUNT_STATE_INVALID"], "", "another_token", "ACCOUNT_STATE_INVALID", DAILY),
        (401, &[], &[], "UNAUTHENTICATED", "another_token", "UNAUTHENTICATED", DAILY),
        (401, &["insufficientPermissions"], &[], "", "another_token", "insufficientPermissions", DAILY),
        (401, &["userRateLimitExceeded"], &[], "", "another_token", "userRateLimitExceeded", DAILY),
        (403, &["authError"], &[], "", "another_token", "authError", DAILY),
        (403, &[], &[], "UNAUTHENTICATED", "another_token", "UNAUTHENTICATED", DAILY),
        // The consent.
        (403, &["insufficientPermissions"], &[], "", "permission_missing", "insufficientPermissions", DAILY),
        (
            403,
            &[],
            &["ACCESS_TOKEN_SCOPE_INSUFFICIENT"],
            "PERMISSION_DENIED",
            "permission_missing",
            "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
            DAILY,
        ),
        (
            403,
            &["insufficientPermissions"],
            &["ACCESS_TOKEN_SCOPE_INSUFFICIENT"],
            "PERMISSION_DENIED",
            "permission_missing",
            "insufficientPermissions",
            DAILY,
        ),
        (403, &["domainPolicy"], &[], "", "blocked_by_policy", "domainPolicy", DAILY),
        (403, &["accountDisabled"], &[], "", "blocked_by_policy", "accountDisabled", DAILY),
        (
            403,
            &["forbidden"],
            &["USER_BLOCKED_BY_ADMIN"],
            "PERMISSION_DENIED",
            "blocked_by_policy",
            "USER_BLOCKED_BY_ADMIN",
            DAILY,
        ),
        (403, &["accountDeleted"], &[], "", "reconnect_required", "accountDeleted", DAILY),
        // The calendar.
        (403, &["notACalendarUser"], &[], "", "no_calendar", "notACalendarUser", DAILY),
        (403, &["forbidden"], &[], "", "calendar_not_found", "forbidden", DAILY),
        (403, &["requiredAccessLevel"], &[], "", "calendar_not_found", "requiredAccessLevel", DAILY),
        (404, &["notFound"], &[], "", "calendar_not_found", "notFound", DAILY),
        (404, &[], &[], "NOT_FOUND", "calendar_not_found", "NOT_FOUND", DAILY),
        (410, &["deleted"], &[], "", "calendar_not_found", "deleted", DAILY),
        (410, &[], &[], "", "calendar_not_found", "", DAILY),
        (410, &["updatedMinTooLongAgo"], &[], "", "google_rejected", "updatedMinTooLongAgo", SOON),
        (
            403,
            &["forbidden"],
            &["ACCOUNT_STATE_INVALID"],
            "",
            "calendar_not_found",
            "ACCOUNT_STATE_INVALID",
            DAILY,
        ),
        // The operator.
        (403, &["accessNotConfigured"], &[], "", "google_api_disabled", "accessNotConfigured", SOON),
        (
            403,
            &[],
            &["SERVICE_DISABLED"],
            "PERMISSION_DENIED",
            "google_api_disabled",
            "SERVICE_DISABLED",
            SOON,
        ),
        (403, &["forbidden"], &["SERVICE_DISABLED"], "", "google_api_disabled", "SERVICE_DISABLED", SOON),
        (
            403,
            &[],
            &["API_KEY_SERVICE_BLOCKED"],
            "PERMISSION_DENIED",
            "google_api_disabled",
            "API_KEY_SERVICE_BLOCKED",
            SOON,
        ),
        (
            403,
            &[],
            &["BILLING_DISABLED"],
            "PERMISSION_DENIED",
            "google_api_disabled",
            "BILLING_DISABLED",
            SOON,
        ),
        // Nobody.
        (403, &["rateLimitExceeded"], &[], "", "google_rate_limited", "rateLimitExceeded", SOON),
        (403, &["userRateLimitExceeded"], &[], "", "google_rate_limited", "userRateLimitExceeded", SOON),
        (403, &["quotaExceeded"], &[], "", "google_rate_limited", "quotaExceeded", SOON),
        (403, &["dailyLimitExceeded"], &[], "", "google_rate_limited", "dailyLimitExceeded", SOON),
        (403, &["concurrentLimitExceeded"], &[], "", "google_rate_limited", "concurrentLimitExceeded", SOON),
        (403, &["servingLimitExceeded"], &[], "", "google_rate_limited", "servingLimitExceeded", SOON),
        (403, &["dailyLimitExceededUnreg"], &[], "", "google_rate_limited", "dailyLimitExceededUnreg", SOON),
        (403, &["rateLimitExceededUnreg"], &[], "", "google_rate_limited", "rateLimitExceededUnreg", SOON),
        (
            403,
            &["userRateLimitExceededUnreg"],
            &[],
            "",
            "google_rate_limited",
            "userRateLimitExceededUnreg",
            SOON,
        ),
        (403, &["USERRATELIMITEXCEEDED"], &[], "", "google_rate_limited", "USERRATELIMITEXCEEDED", SOON),
        (402, &["dailyLimitExceeded402"], &[], "", "google_rate_limited", "dailyLimitExceeded402", SOON),
        (
            403,
            &["rateLimitExceeded"],
            &["RATE_LIMIT_EXCEEDED"],
            "PERMISSION_DENIED",
            "google_rate_limited",
            "rateLimitExceeded",
            SOON,
        ),
        (
            403,
            &["forbidden"],
            &["RATE_LIMIT_EXCEEDED"],
            "",
            "google_rate_limited",
            "RATE_LIMIT_EXCEEDED",
            SOON,
        ),
        (429, &[], &[], "RESOURCE_EXHAUSTED", "google_rate_limited", "RESOURCE_EXHAUSTED", SOON),
        (400, &[], &[], "RESOURCE_EXHAUSTED", "google_rate_limited", "RESOURCE_EXHAUSTED", SOON),
        (403, &["forbidden"], &[], "RESOURCE_EXHAUSTED", "google_rate_limited", "RESOURCE_EXHAUSTED", SOON),
        (429, &["whatever"], &[], "", "google_rate_limited", "whatever", SOON),
        (412, &["conditionNotMet"], &[], "", "google_unavailable", "conditionNotMet", SOON),
        (400, &["backendError"], &[], "", "google_unavailable", "backendError", SOON),
        // Not known, and told.
        (403, &[], &[], "PERMISSION_DENIED", "google_rejected", "PERMISSION_DENIED", SOON),
        (403, &["somethingNew"], &[], "PERMISSION_DENIED", "google_rejected", "somethingNew", SOON),
        (403, &[], &["SOMETHING_NEW"], "PERMISSION_DENIED", "google_rejected", "SOMETHING_NEW", SOON),
        (400, &["badRequest"], &[], "INVALID_ARGUMENT", "google_rejected", "badRequest", SOON),
        (400, &["invalid"], &[], "", "google_rejected", "invalid", SOON),
        (403, &["ada@example.com"], &["a sentence"], "", "google_rejected", "", SOON),
        (403, &["ada@example.com", "notNice"], &[], "", "google_rejected", "notNice", SOON),
        // Several: the first that is known.
        (403, &["somethingNew", "quotaExceeded"], &[], "", "google_rate_limited", "quotaExceeded", SOON),
        (403, &["forbidden", "domainPolicy"], &[], "", "blocked_by_policy", "domainPolicy", DAILY),
        (403, &["domainPolicy"], &["SERVICE_DISABLED"], "", "blocked_by_policy", "domainPolicy", DAILY),
        // Words of the token endpoint are none here.
        (400, &["invalid_grant"], &[], "", "google_rejected", "invalid_grant", SOON),
    ] {
        let answer = response(status, &api(errors, details, word_of_status));
        for ask in [Watch, List] {
            check(ask, &answer, code, reason, retry_in);
        }
        match (code, status) {
            ("calendar_not_found", 404) | (_, 410) => check(Stop, &answer, "channel_unknown", "", SOON),
            ("calendar_not_found", _) => check(Stop, &answer, "google_rejected", reason, SOON),
            _ => check(Stop, &answer, code, reason, retry_in),
        }
    }
}

#[test]
fn what_only_a_watch_is_told_is_understood() {
    for (status, reason, code, told, retry_in) in [
        (400, "channelIdNotUnique", "another_id", "", SOON),
        (400, "push.channelIdNotUnique", "another_id", "", SOON),
        (
            400,
            "pushNotSupportedForRequestedResource",
            "push_not_supported",
            "pushNotSupportedForRequestedResource",
            DAILY,
        ),
        (400, "push.webhookUrlNotHttps", "webhook_url_rejected", "push.webhookUrlNotHttps", SOON),
        (
            400,
            "push.webhookUrlNoHostOrAddress",
            "webhook_url_rejected",
            "push.webhookUrlNoHostOrAddress",
            SOON,
        ),
        (401, "push.webhookUrlUnauthorized", "webhook_url_rejected", "push.webhookUrlUnauthorized", SOON),
        (401, "webhookUrlUnauthorized", "webhook_url_rejected", "webhookUrlUnauthorized", SOON),
        (403, "push.webhookUrlSomethingNew", "webhook_url_rejected", "push.webhookUrlSomethingNew", SOON),
        (401, "push.somethingNew", "google_rejected", "push.somethingNew", SOON),
        (500, "backendError", "google_unavailable?", "backendError", SOON),
        (503, "rateLimitExceeded", "google_rate_limited?", "rateLimitExceeded", SOON),
        (503, "forbidden", "google_unavailable?", "forbidden", SOON),
        (503, "channelIdNotUnique", "google_unavailable?", "channelIdNotUnique", SOON),
    ] {
        check(Watch, &response(status, &api(&[reason], &[], "")), code, told, retry_in);
    }
}

#[test]
fn the_calendar_api_is_understood_where_it_speaks_as_the_token_endpoint_does() {
    for (body, code, reason, retry_in) in [
        (r#"{"error":"admin_policy_enforced"}"#, "blocked_by_policy", "admin_policy_enforced", DAILY),
        // A gateway may say so.
        (r#"{"error":"access_denied"}"#, "google_rejected", "access_denied", SOON),
        (r#"{"error":"insufficient_permissions"}"#, "google_rejected", "insufficient_permissions", SOON),
        (r#"{"error":"quotaExceeded"}"#, "google_rate_limited", "quotaExceeded", SOON),
        // Words of the token endpoint are none here.
        (r#"{"error":"invalid_grant"}"#, "google_rejected", "invalid_grant", SOON),
    ] {
        for ask in [Watch, List, Stop] {
            check(ask, &response(403, body), code, reason, retry_in);
        }
    }
}

#[test]
fn the_token_endpoint_is_understood() {
    for (status, body, code, reason, retry_in) in [
        (400, r#"{"error":"invalid_grant"}"#, "reconnect_required", "invalid_grant", DAILY),
        (
            400,
            r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#,
            "reconnect_required",
            "invalid_grant",
            DAILY,
        ),
        (
            400,
            r#"{"error":"invalid_grant","error_description":"reauth related error (invalid_rapt)","error_subtype":"invalid_rapt"}"#,
            "reconnect_required",
            "invalid_rapt",
            DAILY,
        ),
        (
            400,
            r#"{"error":"invalid_grant","error_subtype":"rapt_required"}"#,
            "reconnect_required",
            "rapt_required",
            DAILY,
        ),
        (
            400,
            r#"{"error":"invalid_grant","error_subtype":"ada@example.com"}"#,
            "reconnect_required",
            "invalid_grant",
            DAILY,
        ),
        (401, r#"{"error":"unauthorized_client"}"#, "reconnect_required", "unauthorized_client", DAILY),
        (400, r#"{"error":"invalid_scope"}"#, "permission_missing", "invalid_scope", DAILY),
        (400, r#"{"error":"admin_policy_enforced"}"#, "blocked_by_policy", "admin_policy_enforced", DAILY),
        (400, r#"{"error":"policy_enforced"}"#, "blocked_by_policy", "policy_enforced", DAILY),
        (403, r#"{"error":"org_internal"}"#, "blocked_by_policy", "org_internal", DAILY),
        (403, r#"{"error":"access_denied"}"#, "blocked_by_policy", "access_denied", DAILY),
        (
            403,
            r#"{"error":"something_new","error_subtype":"access_denied"}"#,
            "blocked_by_policy",
            "access_denied",
            DAILY,
        ),
        (401, r#"{"error":"invalid_client"}"#, "oauth_client_invalid", "invalid_client", SOON),
        (401, r#"{"error":"deleted_client"}"#, "oauth_client_invalid", "deleted_client", SOON),
        (401, r#"{"error":"disabled_client"}"#, "oauth_client_invalid", "disabled_client", SOON),
        (403, r#"{"error":"rate_limit_exceeded"}"#, "google_rate_limited", "rate_limit_exceeded", SOON),
        (429, "", "google_rate_limited", "", SOON),
        (
            400,
            r#"{"error":"temporarily_unavailable"}"#,
            "google_unavailable",
            "temporarily_unavailable",
            SOON,
        ),
        (500, r#"{"error":"internal_failure"}"#, "google_unavailable", "internal_failure", SOON),
        (503, r#"{"error":"invalid_grant"}"#, "google_unavailable", "invalid_grant", SOON),
        (502, "<html>Bad Gateway</html>", "google_unavailable", "", SOON),
        (404, "<html>Not Found</html>", "google_unavailable", "", SOON),
        (404, "", "google_unavailable", "", SOON),
        (408, "", "google_unavailable", "", SOON),
        (400, r#"{"error":"invalid_request"}"#, "google_rejected", "invalid_request", SOON),
        (400, r#"{"error":"something_new"}"#, "google_rejected", "something_new", SOON),
        (400, r#"{"error":"Bad Request"}"#, "google_rejected", "", SOON),
        (401, "", "google_rejected", "", SOON),
        (403, "<html>", "google_rejected", "", SOON),
        (302, "", "google_rejected", "", SOON),
        (200, "<html>Sign in</html>", "google_rejected", "", SOON),
        (200, r#"{"error":"something_new"}"#, "google_rejected", "something_new", SOON),
        (200, r#"{"error":"invalid_grant"}"#, "reconnect_required", "invalid_grant", DAILY),
        // Words of the Calendar API are none here.
        (404, r#"{"error":{"errors":[{"reason":"notFound"}]}}"#, "google_unavailable", "notFound", SOON),
        (403, r#"{"error":{"errors":[{"reason":"forbidden"}]}}"#, "google_rejected", "forbidden", SOON),
        (401, r#"{"error":{"status":"UNAUTHENTICATED"}}"#, "google_rejected", "UNAUTHENTICATED", SOON),
    ] {
        check(Token, &response(status, body), code, reason, retry_in);
    }
}

#[test]
fn what_is_no_word_of_google_is_judged_by_its_status() {
    let rpc_help = r#"{"error":{"code":403,"status":"PERMISSION_DENIED","details":
        [{"@type":"type.googleapis.com/google.rpc.Help","links":[{"url":"https://example.com"}]},
         {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"SERVICE_DISABLED"}]}}"#;
    check(Watch, &response(403, rpc_help), "google_api_disabled", "SERVICE_DISABLED", SOON);
    check(Watch, &response(403, &format!("[{rpc_help}]")), "google_api_disabled", "SERVICE_DISABLED", SOON);
    for (status, body, code, retry_in) in [
        (401, "", "another_token", DAILY),
        (401, "<html>", "another_token", DAILY),
        (401, r#"{"error":"unauthorized"}"#, "another_token", DAILY),
        (403, "<html><title>Error 403 (Forbidden)!!1</title>", "google_rejected", SOON),
        (403, "", "google_rejected", SOON),
        (400, "null", "google_rejected", SOON),
        (302, "", "google_rejected", SOON),
        (404, "", "google_unavailable", SOON),
        (404, "<html>", "google_unavailable", SOON),
        (404, r#"{"message":"no Route matched with those values"}"#, "google_unavailable", SOON),
        (404, "[]", "google_unavailable", SOON),
        (408, "<html>", "google_unavailable", SOON),
        (410, "<html>", "google_unavailable", SOON),
        (412, "", "google_unavailable", SOON),
        (413, "<html>", "google_rejected", SOON),
        (429, "<html>", "google_rate_limited", SOON),
        (500, "", "google_unavailable", SOON),
        (502, "<html>", "google_unavailable", SOON),
        (504, "upstream request timeout", "google_unavailable", SOON),
        (599, "{", "google_unavailable", SOON),
    ] {
        let answer = response(status, body);
        let told = if body.contains("unauthorized") { "unauthorized" } else { "" };
        check(List, &answer, code, told, retry_in);
        let of_watch = if status >= 500 { "google_unavailable?" } else { code };
        check(Watch, &answer, of_watch, told, retry_in);
        check(Stop, &answer, code, told, retry_in);
    }
    // A proxy's word is not the calendar's.
    check(Watch, &response(403, r#"{"error":"forbidden"}"#), "google_rejected", "forbidden", SOON);
    check(Watch, &response(404, r#"{"error":"not_found"}"#), "google_unavailable", "not_found", SOON);
}

#[test]
fn google_is_not_asked_again_before_it_says() {
    for (status, body) in [
        (403, api(&["userRateLimitExceeded"], &[], "")),
        (403, String::new()),
        (429, String::new()),
        (404, String::new()),
    ] {
        for (retry_after, seconds) in [
            ("7200", 7200),
            (" 7200 ", 7200),
            ("Sun, 22 Nov 2026 18:00:00 GMT", 7200),
            ("Sun, 22 Nov 2026 15:00:00 GMT", SOON),
            ("0", SOON),
            ("31536000", DAILY),
            ("99999999999999999999", DAILY),
            ("-1", SOON),
            ("soon", SOON),
            ("", SOON),
        ] {
            let answer =
                HttpResponse { retry_after: Some(retry_after.to_owned()), ..response(status, &body) };
            for ask in [Watch, List, Stop, Token] {
                let (_, refused) = meaning(ask, &answer);
                let delay = renewal_retry(now(), 0, Some(&refused), 0) - now();
                assert_eq!(delay.num_seconds(), seconds, "{ask:?} {status} {retry_after}");
            }
        }
    }
    // What only a person can mend waits for the day.
    let answer =
        HttpResponse { retry_after: Some("60".to_owned()), ..response(404, &api(&["notFound"], &[], "")) };
    check(Watch, &answer, "calendar_not_found", "notFound", DAILY);
}

#[test]
fn a_channel_is_opened_whatever_is_said_of_its_end() {
    let asked_for = now() + TimeDelta::days(30);
    let told = DateTime::from_timestamp(1_893_456_000, 0).unwrap();
    for (expiration, expected) in [
        (json!("1893456000000"), told),
        (json!(1_893_456_000_000_u64), told),
        (json!(1_893_456_000_000.0), told),
        (json!("1893456000000.5"), told),
        (json!(null), asked_for),
        (json!("soon"), asked_for),
        (json!(""), asked_for),
        (json!("1"), asked_for),
        (json!(-1), asked_for),
        (json!("-1893456000000"), asked_for),
        (json!(1e300), asked_for),
        (json!("99999999999999999999"), asked_for),
        (json!([1_893_456_000_000_u64]), asked_for),
    ] {
        let body = json!({ "resourceId": "r", "expiration": expiration }).to_string();
        let opened = parse_watch_response(&response(200, &body), now()).unwrap();
        assert_eq!((opened.resource_id.as_str(), opened.expiration), ("r", expected), "{body}");
    }
    let opened = parse_watch_response(&response(200, r#"{"resourceId":"r"}"#), now()).unwrap();
    assert_eq!(opened.expiration, asked_for);
}

#[test]
fn a_channel_without_a_resource_cannot_be_stopped_before_it_speaks() {
    for body in ["", "{}", "[]", r#"{"resourceId":""}"#, r#"{"resourceId":7}"#, r#"{"resourceId":"a\nb"}"#] {
        check(Watch, &response(200, body), "google_rejected!", "", SOON);
    }
    // A proxy's.
    check(Watch, &response(200, "\n<html>"), "google_unavailable?", "", SOON);
}

/// What Google says of it is told, and the status in the body counts; a channel may exist all the same.
#[test]
fn an_error_that_came_with_a_success_is_understood() {
    for (code, reason, of_list, retry_in) in [
        (json!(403), "insufficientPermissions", "permission_missing", DAILY),
        (json!("403"), "INSUFFICIENTPERMISSIONS", "permission_missing", DAILY),
        (json!(403), "userRateLimitExceeded", "google_rate_limited", SOON),
        (json!(404), "notFound", "calendar_not_found", DAILY),
        (json!(410), "fullSyncRequired", "google_rejected", SOON),
        (json!(429), "somethingNew", "google_rate_limited", SOON),
        (json!(503), "domainPolicy", "google_unavailable", SOON),
        (json!(200), "somethingNew", "google_rejected", SOON),
        (json!(null), "somethingNew", "google_rejected", SOON),
        (json!(99_999), "somethingNew", "google_rejected", SOON),
    ] {
        let body = json!({ "error": { "code": code, "errors": [{ "reason": reason }] } }).to_string();
        for status in [200, 206] {
            let answer = response(status, &body);
            check(Watch, &answer, &format!("{of_list}!"), reason, retry_in);
            check(List, &answer, of_list, reason, retry_in);
            match (of_list, reason) {
                ("calendar_not_found", _) | (_, "fullSyncRequired") => {
                    check(Stop, &answer, "channel_unknown", "", SOON);
                }
                _ => check(Stop, &answer, of_list, reason, retry_in),
            }
        }
    }
    for (body, code, reason) in [
        (r#"{"error":{"code":401}}"#, "another_token", ""),
        (r#"{"error":{"code":401,"status":"UNAUTHENTICATED"}}"#, "another_token", "UNAUTHENTICATED"),
        (r#"{"error":{"errors":[{"reason":"authError"}]}}"#, "another_token", "authError"),
    ] {
        for ask in [List, Stop] {
            check(ask, &response(200, body), code, reason, DAILY);
        }
        check(Watch, &response(200, body), "google_rejected!", reason, SOON);
    }
    check(Watch, &response(200, r#"{"error":"somethingNew"}"#), "google_rejected!", "somethingNew", SOON);
    check(Token, &response(200, r#"{"error":{"code":503}}"#), "google_unavailable", "", SOON);
}

#[test]
fn a_token_is_good_for_an_hour_unless_something_else_is_said() {
    for (expires_in, expected) in [
        (json!(3599), 3599),
        (json!("3599"), 3599),
        (json!(3599.7), 3599),
        (json!("3599.7"), 3599),
        (json!(60), 60),
        (json!(null), 3600),
        (json!("soon"), 3600),
        (json!(""), 3600),
        (json!(0), 3600),
        (json!(0.5), 3600),
        (json!(-1), 3600),
        (json!(1e12), 3600),
        (json!(4_294_967_296_u64), 3600),
        (json!({}), 3600),
    ] {
        let body =
            json!({ "access_token": "a", "token_type": "Bearer", "expires_in": expires_in }).to_string();
        let renewed = parse_token_response(&response(200, &body), now()).unwrap();
        assert_eq!(renewed.expires_in.as_secs(), expected, "{body}");
    }
    check(Token, &response(200, r#"{"access_token":"a","token_type":"Bearer"}"#), "renewed", "", SOON);
}

#[test]
fn a_token_without_a_calendar_is_no_permission() {
    const CALENDAR: &str = "https://www.googleapis.com/auth/calendar";
    for (scope, code, retry_in) in [
        (json!(CALENDAR), "renewed", SOON),
        (json!(format!("openid {CALENDAR}.readonly email")), "renewed", SOON),
        (json!(format!("openid,{CALENDAR}.readonly, email")), "renewed", SOON),
        (json!(format!("{CALENDAR}.events")), "renewed", SOON),
        (json!(format!("{CALENDAR}.events.readonly")), "renewed", SOON),
        (json!(format!("{CALENDAR}.events.owned")), "renewed", SOON),
        (json!(format!("{CALENDAR}.app.created")), "renewed", SOON),
        (json!("https://www.google.com/calendar/feeds"), "renewed", SOON),
        (json!(null), "renewed", SOON),
        (json!(7), "renewed", SOON),
        (json!(" "), "renewed", SOON),
        (json!("openid email"), "permission_missing", DAILY),
        (json!(format!("{CALENDAR}.calendarlist.readonly")), "permission_missing", DAILY),
        (json!(format!("{CALENDAR}.settings.readonly")), "permission_missing", DAILY),
        (json!(format!("{CALENDAR}.freebusy")), "permission_missing", DAILY),
        (json!("https://www.googleapis.com/auth/calendars"), "permission_missing", DAILY),
    ] {
        let body = json!({ "access_token": " a\n", "expires_in": 3599, "scope": scope }).to_string();
        check(Token, &response(200, &body), code, "", retry_in);
    }
}

#[test]
fn only_google_says_that_a_channel_is_stopped() {
    check(Stop, &response(204, ""), "stopped", "", SOON);
    check(Stop, &response(200, "\n"), "stopped", "", SOON);
    check(Stop, &response(200, "{}"), "stopped", "", SOON);
    check(Stop, &response(200, "<html>"), "google_rejected", "", SOON);
    // It is gone where Google says so, and not where a gateway does.
    check(Stop, &response(410, r#"{"error":{"code":410}}"#), "channel_unknown", "", SOON);
    check(
        Stop,
        &response(410, r#"{"error":{"errors":[{"reason":"deleted"}]}}"#),
        "channel_unknown",
        "",
        SOON,
    );
    check(Stop, &response(410, r#"{"error":"Gone"}"#), "google_unavailable", "Gone", SOON);
}

#[test]
fn a_word_stands_in_one_row() {
    let mut seen = Vec::new();
    for (speaker, _, words) in WORDS {
        for word in *words {
            let speakers = if *speaker == Both { vec![CalendarApi, TokenEndpoint] } else { vec![*speaker] };
            for speaker in speakers {
                let place = (speaker == CalendarApi, *word);
                assert!(!seen.contains(&place), "{word} stands twice");
                seen.push(place);
            }
            assert!(Word::parse(word.trim_end_matches('*')).is_some(), "{word} could not be told");
        }
    }
}
