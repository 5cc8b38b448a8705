//! Google's answers to `events.list`: what is in a calendar, or why that is not known. The same content has the same
//! digest in whatever words and pages it comes, and another has another.

use std::cell::Cell;
use std::time::Duration;

use protocol::Timestamp;
use protocol::connection::AccessToken;
use protocol::failure::{Refused, RenewalFailure as Failure};
use protocol::look::{Anchor, Look, LookFailure};
use protocol::ports::Google;
use protocol::schedule::{LONGEST_LOOK, PAGES_PER_LOOK};
use serde_json::{Map, Value as Json, json};
use url::Url;

use super::watch_answer::{Kind, assert_is_word, expected, words};
use crate::oracle::{assert_hidden, status_and_body, strings};
use crate::project::{NOW, Project, finish, response};

const ACCESS_TOKEN: &str = "ya29.a0AfB_byC0-token";

/// `data` is a page after the other, each a status, a newline and a body (without a status it is 200), with an empty
/// line between them; the last one comes again and again.
pub fn target(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let pages: Vec<(u16, String)> = text
        .split("\n\n")
        .map(|page| status_and_body(page.as_bytes()))
        .map(|(status, body)| (status, response(status, body).body))
        .collect();
    let (look, project) = look(&pages);
    let asked: Vec<Url> =
        project.asked().iter().filter_map(|request| Url::parse(&request.url).ok()).collect();
    assert!(!asked.is_empty() && asked.len() <= PAGES_PER_LOOK);
    let answers: Vec<&(u16, String)> = (0..asked.len()).filter_map(|n| answer(&pages, n)).collect();
    check_requests(&project, &asked, &answers);
    let parsed: Vec<Json> =
        answers.iter().map(|(_, body)| serde_json::from_str(body).unwrap_or_default()).collect();
    let failure = look.as_ref().err().map(|failure| without_a_word(failure, parsed.last()));
    assert_eq!(failure, expected_failure(&answers));
    if let Ok(look) = look {
        check(&look, &parsed);
    }
    let mut secrets = vec![ACCESS_TOKEN];
    parsed.iter().for_each(|json| strings(json, &mut secrets));
    let words: Vec<&str> = parsed.last().map(words).unwrap_or_default();
    secrets.retain(|text| !words.contains(text));
    assert_hidden(&project.log(), secrets);
}

/// What a failure is, once the word that is told of it is found in the last answer.
fn without_a_word(failure: &LookFailure, answer: Option<&Json>) -> LookFailure {
    let plain = |refused: &Refused| {
        if let Some((reason, answer)) = refused.reason.as_ref().zip(answer) {
            assert_is_word(reason.as_str(), answer);
        }
        Refused::new(refused.failure)
    };
    match failure {
        LookFailure::Unauthorized(refused) => LookFailure::Unauthorized(plain(refused)),
        LookFailure::Refused(refused) => LookFailure::Refused(plain(refused)),
        other => other.clone(),
    }
}

fn answer(pages: &[(u16, String)], number: usize) -> Option<&(u16, String)> {
    pages.get(number).or(pages.last())
}

fn look(pages: &[(u16, String)]) -> (Result<Look, LookFailure>, Project) {
    let (pages, number) = (pages.to_vec(), Cell::new(0));
    let project = Project::new(move |_| {
        let page = answer(&pages, number.replace(number.get() + 1));
        Ok(page.map_or_else(|| response(500, b""), |(status, body)| response(*status, body.as_bytes())))
    });
    let token = AccessToken::new(ACCESS_TOKEN);
    let look = finish(project.deployment.look(&token, None, anchor(), Duration::from_secs(8)));
    (look, project)
}

fn anchor() -> Anchor {
    Anchor::of_look(Timestamp::from_timestamp_millis(NOW).unwrap_or_default(), None)
}

fn check_requests(project: &Project, asked: &[Url], answers: &[&(u16, String)]) {
    let mut token = None;
    let mut left = LONGEST_LOOK;
    for ((url, request), (_, body)) in asked.iter().zip(project.asked()).zip(answers) {
        assert_eq!(url.path(), "/calendar/v3/calendars/primary/events");
        let parameter = |name: &str| {
            let found = url.query_pairs().find(|(parameter, _)| parameter == name);
            found.map(|(_, value)| value.into_owned())
        };
        assert_eq!(parameter("timeMin").as_deref(), Some("2026-11-21T16:00:00Z"));
        assert_eq!(parameter("pageToken"), token);
        assert_eq!(request.longest_answer, left);
        left = left.saturating_sub(body.len());
        let page: Json = serde_json::from_str(body).unwrap_or_default();
        token = page.get("nextPageToken").and_then(Json::as_str).map(str::to_owned);
    }
}

/// What the answers, none of which is there for nothing, come to if they are no calendar.
fn expected_failure(answers: &[&(u16, String)]) -> Option<LookFailure> {
    let mut tokens: Vec<String> = Vec::new();
    let mut length = 0;
    for (number, (status, body)) in answers.iter().enumerate() {
        let is_last = number + 1 == answers.len();
        length += body.len();
        let failure = match page(*status, body, &tokens) {
            _ if length > LONGEST_LOOK => Some(LookFailure::TooLarge),
            Err(failure) => Some(failure),
            Ok(token) => {
                let more = !token.is_empty();
                tokens.push(token);
                let is_full = tokens.len() == PAGES_PER_LOOK || length == LONGEST_LOOK;
                assert_eq!(is_last, !more || is_full, "it stops where there is no more to read");
                (more && is_full).then_some(LookFailure::TooLarge)
            }
        };
        if failure.is_some() {
            assert!(is_last, "it reads on after {failure:?}");
            return failure;
        }
    }
    None
}

/// The token of the next page.
fn page(status: u16, body: &str, tokens: &[String]) -> Result<String, LookFailure> {
    if status >= 300 {
        let json: Json = serde_json::from_str(body).unwrap_or_default();
        return Err(match expected(status, &json) {
            // The calendar was there for the pages before.
            Kind::Refused(Failure::CalendarNotFound) if !tokens.is_empty() => LookFailure::Doubtful,
            Kind::AnotherToken => LookFailure::Unauthorized(Failure::ReconnectRequired.into()),
            Kind::Refused(failure) | Kind::Doubtful(failure) => LookFailure::Refused(failure.into()),
            Kind::AnotherId => LookFailure::Refused(Failure::GoogleRejected.into()),
        });
    }
    let page: Map<String, Json> = serde_json::from_str(body).map_err(|_| LookFailure::Doubtful)?;
    let has = |name: &str| page.get(name).unwrap_or(&Json::Null);
    let is_events = has("kind").as_str() == Some("calendar#events");
    let token = has("nextPageToken").as_str().unwrap_or_default();
    let makes_sense = ["nextPageToken", "summary", "timeZone"].into_iter().all(|name| is_text(has(name)))
        && (has("items").is_array() || (has("items").is_null() && (is_events || !token.is_empty())))
        && (has("items").is_array() || !token.is_empty() || is_text(has("kind")))
        && has("items").as_array().into_iter().flatten().all(is_event)
        && !tokens.iter().any(|known| known == token);
    if makes_sense { Ok(token.to_owned()) } else { Err(LookFailure::Doubtful) }
}

fn is_text(json: &Json) -> bool {
    json.is_string() || json.is_null()
}

fn is_event(event: &Json) -> bool {
    let has = |name: &str| event.get(name).unwrap_or(&Json::Null);
    let is_cancelled = has("status").as_str() == Some("cancelled");
    let is_instance = has("recurringEventId").as_str().is_some_and(|id| !id.is_empty());
    let ids = ["id", "recurringEventId", "status"];
    if !event.is_object() || !ids.into_iter().all(|name| is_text(has(name))) {
        return false;
    }
    if is_cancelled && !is_instance {
        return true;
    }
    let needed: &[&str] = if is_cancelled { &["originalStartTime"] } else { &["start", "end"] };
    let is_time = |time: &Json, needed: bool| {
        let has = |name: &str| time.get(name).unwrap_or(&Json::Null);
        let says = |name: &str| has(name).as_str().is_some_and(|text| !text.is_empty());
        (time.is_null() || time.is_object())
            && ["date", "dateTime", "timeZone"].into_iter().all(|name| is_text(has(name)))
            && (!needed || says("date") || says("dateTime"))
    };
    let texts = ["summary", "description", "location", "transparency", "visibility", "eventType"];
    let each = |json: &Json, is: &dyn Fn(&Json) -> bool| match json {
        Json::Null => true,
        Json::Array(items) => items.iter().all(is),
        _ => false,
    };
    let properties = |json: &Json| match json {
        Json::Null => true,
        Json::Object(properties) => properties.values().all(is_text),
        _ => false,
    };
    let extended = has("extendedProperties");
    let own = has("attendees").as_array().into_iter().flatten().position(is_self);
    let before_own =
        has("attendees").as_array().map(|all| all.get(..=own.unwrap_or(all.len())).unwrap_or(all));
    texts.into_iter().all(|name| is_text(has(name)))
        && ["start", "end", "originalStartTime"]
            .into_iter()
            .all(|name| is_time(has(name), needed.contains(&name)))
        && each(has("recurrence"), &Json::is_string)
        && each(has("attendees"), &|_| true)
        && before_own.into_iter().flatten().all(Json::is_object)
        && before_own
            .into_iter()
            .flatten()
            .filter(|attendee| is_self(attendee))
            .all(|own| is_text(own.get("responseStatus").unwrap_or(&Json::Null)))
        && (extended.is_null() || extended.is_object())
        && ["private", "shared"].into_iter().all(|kind| properties(extended.get(kind).unwrap_or(&Json::Null)))
}

fn is_self(attendee: &Json) -> bool {
    attendee.get("self") == Some(&Json::Bool(true))
}

fn check(found: &Look, pages: &[Json]) {
    assert_eq!(found.seen.anchor, anchor());
    let last = pages.last().cloned().unwrap_or_default();
    let name: String = last.get("summary").and_then(Json::as_str).unwrap_or_default().to_owned();
    let name: String = name.chars().filter(|c| !c.is_control()).take(254).collect();
    let told = found.calendar_name.as_ref().map_or("", |name| name.as_str());
    assert_eq!(told, name.trim());

    let items = pages.iter().filter_map(|page| page.get("items")?.as_array());
    let events: Vec<Json> = items.flatten().cloned().collect();
    let again = |events: &[Json]| {
        let page = json!({ "timeZone": last.get("timeZone"), "items": events });
        // It may be longer with what is added here, and so may what serde_json writes.
        let page = serde_json::to_string(&page).unwrap_or_default();
        if page.len() > LONGEST_LOOK { None } else { look(&[(200, page)]).0.ok() }
    };
    let told_otherwise: Vec<Json> = events.iter().rev().map(in_other_words).collect();
    if let Some(again) = again(&told_otherwise) {
        assert_eq!(again.seen, found.seen);
    }
    let more: Vec<Json> = events.iter().cloned().chain([one_more()]).collect();
    if let Some(more) = again(&more) {
        assert_ne!(more.seen, found.seen);
    }
    let is_there = |event: &Json| event.get("status").and_then(Json::as_str) != Some("cancelled");
    if let Some(at) = events.iter().position(is_there) {
        let mut changed = events.clone();
        for event in changed.iter_mut().skip(at).take(1).filter_map(Json::as_object_mut) {
            let summary = event.get("summary").and_then(Json::as_str).unwrap_or_default();
            let summary = format!("{summary}!");
            event.insert("summary".to_owned(), summary.into());
        }
        if let Some(changed) = again(&changed) {
            assert_ne!(changed.seen, found.seen);
        }
    }
}

/// The same event, written by another hand at another time.
fn in_other_words(event: &Json) -> Json {
    let Some(event) = event.as_object() else { return Json::Null };
    let mut told = event.clone();
    for name in ["id", "recurringEventId"] {
        if let Some(Json::String(id)) = told.get_mut(name)
            && !id.is_empty()
        {
            id.insert(0, 'z');
        }
    }
    for (name, default) in [
        ("status", "confirmed"),
        ("transparency", "opaque"),
        ("visibility", "default"),
        ("eventType", "default"),
        ("summary", ""),
        ("location", ""),
    ] {
        if told.get(name).is_none_or(Json::is_null) {
            told.insert(name.to_owned(), default.into());
        }
    }
    for name in ["etag", "updated", "iCalUID", "sequence", "colorId"] {
        told.insert(name.to_owned(), json!({ "whatever": [name] }));
    }
    for name in ["recurrence", "extendedProperties", "attendees", "originalStartTime"] {
        told.entry(name).or_insert(Json::Null);
    }
    told.into()
}

fn one_more() -> Json {
    json!({ "id": "one more", "start": { "date": "2026-12-01" }, "end": { "date": "2026-12-02" } })
}
