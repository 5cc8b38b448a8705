//! Looks at calendars of the fake Google over HTTP.

use std::time::Duration;

use protocol::Timestamp;
use protocol::connection::{AccessToken, CalendarId};
use protocol::failure::{Refused, RenewalFailure, Word};
use protocol::look::{Anchor, Look, LookFailure, Seen};
use protocol::ports::{Clock, Google};
use serde_json::{Value, json};

use crate::google::{Account, control};

/// On a machine whose cores are busy.
const TIMEOUT: Duration = Duration::from_secs(60);
const ADA: &str = "ada@example.com";

fn anchor(account: &Account) -> Anchor {
    Anchor::of_look(account.deployment.now(), None)
}

async fn look_from(account: &Account, anchor: Anchor) -> Result<Look, LookFailure> {
    account.deployment.look(&account.access_token, None, anchor, TIMEOUT).await
}

/// Calls the Calendar API as the app does; what it answers.
async fn call(account: &Account, method: reqwest::Method, path: &str, body: Value) -> Value {
    let url = format!("{}/calendars/primary/events{path}", account.google.calendar_api_url());
    let request = reqwest::Client::new().request(method, url).bearer_auth(account.access_token.expose());
    let response = request.json(&body).send().await.unwrap();
    assert!(response.status().is_success(), "{}", response.text().await.unwrap());
    response.json().await.unwrap_or_default()
}

async fn lists(account: &Account) -> usize {
    let url = format!("{}/control/requests", account.google.url());
    let requests: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    requests.as_array().unwrap().iter().filter(|request| request["operation"] == "list").count()
}

/// An hour, `days` from `now` on.
fn session(now: Timestamp, days: i64, summary: &str) -> Value {
    let at = |minutes: i64| {
        (now + chrono::TimeDelta::days(days) + chrono::TimeDelta::minutes(minutes)).to_rfc3339()
    };
    json!({
        "summary": summary, "start": { "dateTime": at(0), "timeZone": "UTC" },
        "end": { "dateTime": at(60), "timeZone": "UTC" },
        "extendedProperties": { "private": { "app": "planner" } },
    })
}

#[tokio::test]
async fn a_calendar_of_2600_events_is_read_in_eleven_pages_and_one_edit_shows() {
    let account = Account::new().await;
    control(&account.google, "events", &json!({ "email": ADA, "events": 2600 })).await;
    let anchor = anchor(&account);
    let first = look_from(&account, anchor).await.unwrap();
    assert_eq!(lists(&account).await, 11);
    assert_eq!(first.calendar_name.as_ref().unwrap().as_str(), ADA);
    let again = look_from(&account, anchor).await;
    assert!(again.unwrap().shows_no_change(Some(&first.seen)));
    assert_eq!(Seen::parse(&first.seen.to_string()), Some(first.seen));

    let last = call(&account, reqwest::Method::GET, "?maxResults=2500", json!({})).await;
    let id = last["items"][2499]["id"].as_str().unwrap().to_owned();
    let edited =
        call(&account, reqwest::Method::PATCH, &format!("/{id}"), json!({ "location": "Oslo" })).await;
    assert_eq!(edited["location"], "Oslo");
    assert!(!look_from(&account, anchor).await.unwrap().shows_no_change(Some(&first.seen)));
    call(&account, reqwest::Method::PATCH, &format!("/{id}"), json!({ "location": null })).await;
    assert!(look_from(&account, anchor).await.unwrap().shows_no_change(Some(&first.seen)));
}

#[tokio::test]
async fn a_calendar_of_5000_plain_events_can_be_read_and_a_larger_one_is_not_known() {
    let account = Account::new().await;
    control(&account.google, "events", &json!({ "email": ADA, "events": 5000 })).await;
    let anchor = anchor(&account);
    assert!(look_from(&account, anchor).await.is_ok());
    assert_eq!(lists(&account).await, 20);
    control(&account.google, "events", &json!({ "email": ADA, "events": 5001 })).await;
    let larger = look_from(&account, anchor).await;
    assert_eq!(larger, Err(LookFailure::TooLarge));
}

#[tokio::test]
async fn a_calendar_of_more_than_two_megabytes_is_not_read_to_its_end() {
    let account = Account::new().await;
    let now = account.deployment.now();
    let mut event = session(now, 1, "long");
    event["description"] = "x".repeat(700_000).into();
    for _ in 0..3 {
        call(&account, reqwest::Method::POST, "", event.clone()).await;
    }
    assert_eq!(look_from(&account, anchor(&account)).await, Err(LookFailure::TooLarge));
}

#[tokio::test]
async fn an_app_that_writes_its_sessions_again_leaves_what_a_look_sees() {
    let account = Account::new().await;
    let now = account.deployment.now();
    let write = async || {
        let mut ids = Vec::new();
        for (days, summary) in [(1, "Run"), (2, "Swim"), (2, "Swim"), (3, "Rest")] {
            let written = call(&account, reqwest::Method::POST, "", session(now, days, summary)).await;
            ids.push(written["id"].as_str().unwrap().to_owned());
        }
        ids
    };
    let mut series = session(now, 0, "stand-up");
    series["recurrence"] = json!(["RRULE:FREQ=DAILY;COUNT=5"]);
    let series = call(&account, reqwest::Method::POST, "", series).await;
    let first = write().await;
    let anchor = anchor(&account);
    let seen = look_from(&account, anchor).await.unwrap().seen;
    for id in first {
        call(&account, reqwest::Method::DELETE, &format!("/{id}"), json!({})).await;
    }
    assert!(!look_from(&account, anchor).await.unwrap().shows_no_change(Some(&seen)));
    write().await;
    assert!(look_from(&account, anchor).await.unwrap().shows_no_change(Some(&seen)));
    // What ended before the anchor is not looked at.
    call(&account, reqwest::Method::POST, "", session(now, -2, "over")).await;
    assert!(look_from(&account, anchor).await.unwrap().shows_no_change(Some(&seen)));
    let tomorrow = (now + chrono::TimeDelta::days(1)).format("%Y%m%dT%H%M%SZ");
    let instance = format!("/{}_{tomorrow}", series["id"].as_str().unwrap());
    call(&account, reqwest::Method::DELETE, &instance, json!({})).await;
    assert!(!look_from(&account, anchor).await.unwrap().shows_no_change(Some(&seen)));
}

#[tokio::test]
async fn every_refusal_of_a_look_is_told_apart_on_whichever_page_it_comes() {
    use LookFailure::{Doubtful, TooLarge};
    use RenewalFailure as Failure;
    let said = |failure: Failure, reason: &str| Refused { reason: Word::parse(reason), ..failure.into() };
    let refused = |failure, reason| LookFailure::Refused(said(failure, reason));
    let unauthorized = |reason| LookFailure::Unauthorized(said(Failure::ReconnectRequired, reason));
    let account = Account::new().await;
    control(&account.google, "events", &json!({ "email": ADA, "events": 300 })).await;
    let fault = async |fault: Value| control(&account.google, "faults", &fault).await;
    let html = "<h1>Bad Gateway</h1>";
    for (answer, expected) in [
        (json!({ "status": 401, "reason": "authError" }), unauthorized("authError")),
        (
            json!({ "status": 403, "reason": "insufficientPermissions" }),
            refused(Failure::PermissionMissing, "insufficientPermissions"),
        ),
        (
            json!({ "status": 403, "reason": "rateLimitExceeded" }),
            refused(Failure::GoogleRateLimited, "rateLimitExceeded"),
        ),
        (json!({ "status": 404, "reason": "notFound" }), refused(Failure::CalendarNotFound, "notFound")),
        (json!({ "status": 410, "reason": "deleted" }), refused(Failure::CalendarNotFound, "deleted")),
        (json!({ "status": 429 }), refused(Failure::GoogleRateLimited, "rateLimitExceeded")),
        (json!({ "status": 500 }), refused(Failure::GoogleUnavailable, "backendError")),
        (json!({ "status": 502, "body": html }), refused(Failure::GoogleUnavailable, "")),
        (json!({ "status": 200, "body": html }), Doubtful),
        (json!({ "status": 200, "body": {} }), Doubtful),
        (json!({ "status": 0 }), refused(Failure::GoogleUnavailable, "")),
    ] {
        let mut first = answer.clone();
        first["operation"] = json!("list");
        fault(first.clone()).await;
        assert_eq!(look_from(&account, anchor(&account)).await, Err(expected.clone()), "{answer}");
        fault(json!({ "operation": "list", "delay_ms": 1 })).await;
        fault(first).await;
        // The calendar was there for the first page.
        let is_gone =
            matches!(&expected, LookFailure::Refused(it) if it.failure == Failure::CalendarNotFound);
        let expected = if is_gone { Doubtful } else { expected };
        assert_eq!(look_from(&account, anchor(&account)).await, Err(expected), "{answer} on the second page");
    }
    let nobody = AccessToken::new("ya29.unknown");
    let look = account.deployment.look(&nobody, None, anchor(&account), TIMEOUT).await;
    assert_eq!(look, Err(unauthorized("authError")));
    let broken = AccessToken::new("ya29\nx: y");
    let look = account.deployment.look(&broken, None, anchor(&account), TIMEOUT).await;
    assert_eq!(look, Err(unauthorized("")));
    let nowhere = CalendarId::new("..");
    let look =
        account.deployment.look(&account.access_token, Some(&nowhere), anchor(&account), TIMEOUT).await;
    assert_eq!(look, Err(refused(Failure::CalendarNotFound, "")));

    // The time is that of the whole look.
    let slow = async || {
        let timeout = Duration::from_secs(2);
        account.deployment.look(&account.access_token, None, anchor(&account), timeout).await
    };
    fault(json!({ "operation": "list", "delay_ms": 30_000 })).await;
    assert_eq!(slow().await, Err(refused(Failure::GoogleUnavailable, "")));
    fault(json!({ "operation": "list", "delay_ms": 1 })).await;
    fault(json!({ "operation": "list", "delay_ms": 30_000 })).await;
    assert_eq!(slow().await, Err(TooLarge));
    assert!(look_from(&account, anchor(&account)).await.is_ok());
}

#[tokio::test]
async fn a_calendar_of_any_id_is_looked_at() {
    let account = Account::new().await;
    let id = "team/a b#1?x=%@example.com";
    control(&account.google, "calendars", &json!({ "email": ADA, "id": id })).await;
    let calendar = CalendarId::new(id);
    let look =
        account.deployment.look(&account.access_token, Some(&calendar), anchor(&account), TIMEOUT).await;
    assert_eq!(look.unwrap().calendar_name.unwrap().as_str(), id);
}
