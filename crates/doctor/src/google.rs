//! Whether Google accepts the OAuth client, and lets the Calendar API be used.

use adapters::google::parse_token_response;
use chrono::DateTime;
use protocol::failure::{RenewalFailure, Word};

use crate::check::{Check, Id, count};
use crate::health::{Health, Members, Refused, word};
use crate::home::Home;
use crate::variables::shown;
use machine::http::Reply;

/// Judges the token endpoint's answer to a refresh token that nobody was ever given: a client that is accepted is told
/// `invalid_grant`.
pub fn judge_client(home: Home, token_url: &str, reply: &Reply) -> Check {
    let id = Id::GoogleClient;
    let url = shown(token_url);
    let answer = match reply {
        Ok(answer) => answer,
        Err(silence) => {
            return Check::wrong(
                id,
                silence.code(),
                format!("{url} cannot be reached from here: {}", silence.text()),
                "look at this machine's network, and try again",
            );
        }
    };
    // When it was asked does not matter.
    let renewed = parse_token_response(&answer.response, DateTime::default());
    let said = renewed.as_ref().err().and_then(|refused| refused.reason.as_ref());
    let said = said.map_or("no word of Google", Word::as_str);
    match renewed.as_ref().map_err(|refused| refused.failure) {
        Err(RenewalFailure::ReconnectRequired) if said == "invalid_grant" => {
            Check::ok(id, "Google accepts GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET")
        }
        // A client that may not ask for tokens at all.
        Err(RenewalFailure::OauthClientInvalid | RenewalFailure::ReconnectRequired) => Check::wrong(
            id,
            "oauth_client_invalid",
            "Google does not accept GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET",
            format!(
                "compare both with Google Cloud (APIs & Services, Credentials, the OAuth client that users consented to), \
                 correct supabase/.env, and {}",
                home.set_variables()
            ),
        ),
        // A page that is not found is another address's.
        Err(failure @ (RenewalFailure::GoogleRateLimited | RenewalFailure::GoogleUnavailable))
            if answer.status() != 404 =>
        {
            Check::wrong(
                id,
                failure.code(),
                format!("{url} does not work at the moment (HTTP {})", answer.status()),
                "try again in a few minutes",
            )
        }
        _ => Check::wrong(
            id,
            "unexpected_answer",
            format!("{url} answers otherwise than Google (HTTP {}, {said})", answer.status(),),
            "remove GOOGLE_OAUTH_TOKEN_URL, which is for tests, and compare GOOGLE_CLIENT_ID with Google Cloud",
        ),
    }
}

/// The client that the functions have, as far as connections tell.
pub fn judge_deployed_client(home: Home, health: &Health, members: &Members) -> Vec<Check> {
    let refused = failing(health, members, |code| code == "oauth_client_invalid");
    refused
        .into_iter()
        .map(|refused| {
            let line = format!(
                "Google does not accept the OAuth client of the deployed functions, for {}{}",
                count(refused.affected.count, "connection"),
                refused.said()
            );
            let next = format!(
                "the functions may have another GOOGLE_CLIENT_ID or GOOGLE_CLIENT_SECRET than supabase/.env: {}; then \
                 scripts/doctor --fix",
                home.set_variables()
            );
            Check::wrong(Id::GoogleClient, format!("deployed_{}", refused.code), line, next)
                .about(refused.affected)
        })
        .collect()
}

/// Judges the Calendar API by what renewals met there.
pub fn judge_calendar(home: Home, health: &Health, members: &Members) -> Vec<Check> {
    let id = Id::GoogleCalendar;
    let failing =
        failing(health, members, |code| !RenewalFailure::parse(code).is_some_and(is_told_elsewhere));
    if failing.is_empty() {
        let live: u64 =
            health.connections.iter().filter(|(status, _)| is_live(status)).map(|(_, count)| count).sum();
        return vec![match live {
            0 => {
                Check::unknown(id, "not judged: no connection is live, so Google was not asked for anything")
            }
            _ => Check::ok(
                id,
                "no renewal fails because the API is not enabled, its quota is used up, or Google does not answer",
            ),
        }];
    }
    failing
        .into_iter()
        .map(|refused| {
            let (code, (what, next)) = (word(refused.code), explain(home, &refused));
            let line =
                format!("{what}: {code}, {}{}", count(refused.affected.count, "connection"), refused.said());
            Check::wrong(id, code, line, next).about(refused.affected)
        })
        .collect()
}

/// Whether another check tells of it: connections, google-client or callback-url.
fn is_told_elsewhere(failure: RenewalFailure) -> bool {
    !failure.is_retryable()
        || matches!(failure, RenewalFailure::OauthClientInvalid | RenewalFailure::WebhookUrlRejected)
}

fn is_live(status: &str) -> bool {
    !matches!(status, "paused" | "disconnected")
}

fn failing<'a>(health: &'a Health, members: &'a Members, wanted: fn(&str) -> bool) -> Vec<Refused<'a>> {
    let codes = health.failing_renewals.keys().filter(|code| wanted(code));
    codes.flat_map(|code| members.refused(health, code)).collect()
}

fn explain(home: Home, refused: &Refused) -> (&'static str, String) {
    let (what, next) = match refused.code {
        "google_api_disabled" if refused.reason.is_some_and(is_of_project) => (
            "Google does not serve the Google Cloud project of the OAuth client",
            "open that project in the Google Cloud console and settle what it says of billing or a suspension, then run \
             scripts/doctor --fix",
        ),
        "google_api_disabled" => (
            "the Google Calendar API is not enabled",
            "enable it in the Google Cloud project of the OAuth client (APIs & Services, Library, Google Calendar \
             API), then run scripts/doctor --fix",
        ),
        "google_rate_limited" => (
            "Google's quota is used up",
            "renewals and looks are retried by themselves. If it stays, see Google Cloud (APIs & Services, Google Calendar API, \
             Quotas) for who uses it up, and ask for more",
        ),
        "google_unavailable" => (
            "Google does not answer, or with a 5xx",
            "renewals and looks are retried by themselves; if it stays, see https://www.google.com/appsstatus",
        ),
        "google_rejected" if refused.reason.is_none() => (
            "Google, or a proxy on the way to it, refuses without a word of why",
            "see Google Cloud (APIs & Services, Google Calendar API, Metrics) for errors of the same time: if it has none, \
             look for what stands between the functions and Google, and at GOOGLE_CALENDAR_API_URL and \
             GOOGLE_OAUTH_TOKEN_URL if they are set; renewals and looks are retried by themselves, ever less often",
        ),
        "google_rejected" => (
            "Google refuses for a reason that is not known here",
            "look up Google's own word for it; renewals and looks are retried by themselves, ever less often",
        ),
        "database_unavailable" => {
            return (
                "the database did not answer during a renewal",
                format!("renewals and looks are retried by themselves; if it stays, {}", home.see_health()),
            );
        }
        _ => (
            "renewals or looks fail",
            "read the log of refresh-calendar-webhook: its `renewal_failed` and `google_refused` lines",
        ),
    };
    (what, next.to_owned())
}

/// Reasons that enabling the API does not mend (`google.api.ErrorReason`).
fn is_of_project(word: &str) -> bool {
    let words =
        ["BILLING_DISABLED", "CONSUMER_", "GCP_SUSPENDED", "RESOURCE_PROJECT_INVALID", "USER_PROJECT_DENIED"];
    words.iter().any(|start| word.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;
    use crate::health::{healthy, refused};
    use crate::home::assert_self_hosted;
    use machine::http::Silence;

    use crate::answer::answer;

    #[test]
    fn a_client_that_is_accepted_is_told_that_the_token_is_not() {
        for (reply, code) in [
            (Ok(answer(400, r#"{"error":"invalid_grant"}"#)), None),
            (Ok(answer(401, r#"{"error":"invalid_client"}"#)), Some("oauth_client_invalid")),
            (Ok(answer(400, r#"{"error":"unauthorized_client"}"#)), Some("oauth_client_invalid")),
            (Ok(answer(503, "")), Some("google_unavailable")),
            (Ok(answer(429, "")), Some("google_rate_limited")),
            (Ok(answer(403, r#"{"error":"rate_limit_exceeded"}"#)), Some("google_rate_limited")),
            (Ok(answer(400, r#"{"error":"temporarily_unavailable"}"#)), Some("google_unavailable")),
            (Ok(answer(404, "<html>")), Some("unexpected_answer")),
            (Ok(answer(200, r#"{"access_token":"a","expires_in":1}"#)), Some("unexpected_answer")),
            (Err(Silence::TimedOut), Some("timed_out")),
        ] {
            let check = judge_client(Home::Hosted, "https://oauth2.googleapis.com/token", &reply);
            assert_eq!(check.code.as_deref(), code, "{check:?}");
            let check = judge_client(Home::SelfHosted, "https://oauth2.googleapis.com/token", &reply);
            assert_self_hosted(&check.next.unwrap_or_default());
        }
    }

    #[test]
    fn what_renewals_met_is_told_by_its_code_and_its_reason() {
        for code in [
            "google_api_disabled",
            "google_rate_limited",
            "google_unavailable",
            "google_rejected",
            "database_unavailable",
        ] {
            let mut health = healthy();
            let members =
                refused(&mut health, &[(code, None, 1), (code, Some("one"), 2), (code, Some("other"), 3)]);
            let checks = judge_calendar(Home::Hosted, &health, &members);
            let ends =
                ["1 connection", "2 connections (Google says one)", "3 connections (Google says other)"];
            assert_eq!(checks.len(), 3);
            for (number, (check, end)) in (1..).zip(checks.iter().zip(ends)) {
                assert_eq!(check.code.as_deref(), Some(code));
                assert!(check.line.ends_with(&format!(": {code}, {end}")), "{check:?}");
                assert_eq!(check.affected.as_ref().unwrap().ids.len(), number);
                assert!(!check.next.as_deref().unwrap().contains("read the log"), "{check:?}");
            }
            // A word is looked up only where there is one.
            let is_rejected = code == "google_rejected";
            for (check, what) in checks.iter().zip(["Metrics", "own word", "own word"]) {
                assert_eq!(check.next.as_deref().unwrap().contains(what), is_rejected, "{check:?}");
            }
            assert_eq!(checks[0].line.contains("without a word"), is_rejected);

            let unread = judge_calendar(Home::Hosted, &health, &Members::default());
            assert_eq!(unread.len(), 1);
            assert!(unread[0].line.ends_with(&format!(": {code}, 6 connections")), "{unread:?}");
        }
    }

    #[test]
    fn an_api_is_to_be_enabled_only_where_that_helps() {
        for (word, what) in [("SERVICE_DISABLED", "enable it"), ("CONSUMER_SUSPENDED", "a suspension")] {
            let mut health = healthy();
            let members = refused(&mut health, &[("google_api_disabled", Some(word), 1)]);
            let next = judge_calendar(Home::Hosted, &health, &members)[0].next.clone().unwrap();
            assert!(next.contains(what), "{word}: {next}");
        }
    }

    #[test]
    fn what_other_checks_tell_is_not_told_twice() {
        let mut health = healthy();
        for code in
            ["reconnect_required", "push_not_supported", "oauth_client_invalid", "webhook_url_rejected"]
        {
            health.failing_renewals.insert(code.to_owned(), 1);
        }
        assert_eq!(judge_calendar(Home::Hosted, &health, &Members::default())[0].verdict, Verdict::Ok);
        assert_eq!(judge_deployed_client(Home::Hosted, &health, &Members::default()).len(), 1);
        assert_eq!(judge_deployed_client(Home::Hosted, &healthy(), &Members::default()), []);
    }

    #[test]
    fn nothing_is_said_of_google_when_nobody_is_live() {
        let mut health = healthy();
        health.connections = [("paused".to_owned(), 2)].into();
        assert_eq!(judge_calendar(Home::Hosted, &health, &Members::default())[0].verdict, Verdict::Unknown);
    }

    #[test]
    fn a_word_that_is_none_of_ours_is_not_printed() {
        let mut health = healthy();
        health.failing_renewals.insert("me@example.com".to_owned(), 1);
        let check = &judge_calendar(Home::Hosted, &health, &Members::default())[0];
        assert!(check.line.contains("undocumented") && !check.line.contains('@'), "{check:?}");
    }
}
