//! Events: written, read, listed.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{ADA, BOB, World, assert_error, event, summaries};

const EVENTS: &str = "/calendars/primary/events";

#[tokio::test]
async fn an_event_is_inserted_read_patched_replaced_and_deleted() {
    let world = World::start().await;
    let token = world.account(ADA).await;
    let created = world.insert(&token, "Lunch").await;
    assert_eq!(
        (&created["kind"], &created["status"], &created["sequence"]),
        (&"calendar#event".into(), &"confirmed".into(), &0.into())
    );
    assert_eq!(created["organizer"]["email"], ADA);
    let path = format!("/calendars/ada%40example.com/events/{}", created["id"].as_str().unwrap());
    assert_eq!(world.get(&path, &token).await.1, created);

    let (_, renamed) = world.patch(&path, &token, json!({"summary": "Late lunch", "location": "Oslo"})).await;
    assert_eq!((&renamed["summary"], &renamed["sequence"]), (&"Late lunch".into(), &0.into()));
    assert_ne!(renamed["etag"], created["etag"]);
    let (_, moved) = world.patch(&path, &token, json!({"end": {"dateTime": "2030-03-01T11:00:00Z"}})).await;
    assert_eq!((&moved["location"], &moved["sequence"]), (&"Oslo".into(), &1.into()));
    let (_, cleared) = world.patch(&path, &token, json!({"location": null})).await;
    assert_eq!(cleared.get("location"), None);
    let (_, replaced) = world.put(&path, &token, event("Dinner", 19)).await;
    assert_eq!((&replaced["summary"], &replaced["id"]), (&"Dinner".into(), &created["id"]));

    assert_eq!(world.delete(&path, &token).await, (204.try_into().unwrap(), Value::Null));
    assert_eq!(world.get(&path, &token).await.1["status"], "cancelled");
    assert_error(&world.delete(&path, &token).await, 410, "deleted");
    assert_error(&world.get(&format!("{EVENTS}/missing"), &token).await, 404, "notFound");
}

#[tokio::test]
async fn bad_events_are_refused_in_google_s_words() {
    let world = World::start().await;
    let token = world.account(ADA).await;
    let with = |changes: Value| {
        let mut body = event("x", 9);
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        body
    };
    for (body, reason) in [
        (json!({"summary": "x"}), "required"),
        (with(json!({"end": null})), "required"),
        (with(json!({"end": {"dateTime": "2030-03-01T08:00:00Z"}})), "timeRangeEmpty"),
        (with(json!({"start": {"dateTime": "tomorrow"}})), "invalid"),
        (with(json!({"start": {"date": "2030-03-01", "dateTime": "2030-03-01T09:00:00Z"}})), "invalid"),
        (with(json!({"id": "Not-Base32"})), "invalid"),
        (with(json!({"recurrence": ["RRULE:FREQ=DAILY"]})), "required"),
        (with(json!({"recurrence": ["DAILY"]})), "invalid"),
        (with(json!({"recurrence": ["RRULE:COUNT=2"]})), "invalid"),
        (with(json!({"recurrence": "RRULE:FREQ=DAILY"})), "invalid"),
        (with(json!({"extendedProperties": {"private": {"a": 1}}})), "invalid"),
        (json!([]), "parseError"),
    ] {
        assert_error(&world.post(EVENTS, &token, body).await, 400, reason);
    }
    assert_eq!(world.post(EVENTS, &token, with(json!({"id": "abcde"}))).await.0, 200);
    assert_error(&world.post(EVENTS, &token, with(json!({"id": "abcde"}))).await, 409, "duplicate");
}

#[tokio::test]
async fn a_stale_etag_prevents_the_write() {
    let world = World::start().await;
    let token = world.account(ADA).await;
    let created = world.insert(&token, "Lunch").await;
    let path = format!("{EVENTS}/{}", created["id"].as_str().unwrap());
    world.patch(&path, &token, json!({"summary": "Dinner"})).await;
    let stale = world.api_request(Method::DELETE, &path, &token);
    let stale = stale.header("If-Match", created["etag"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(stale.status(), 412);
    let (_, current) = world.get(&path, &token).await;
    let etag = current["etag"].as_str().unwrap();
    let same = world.api_request(Method::GET, &path, &token).header("If-None-Match", etag);
    assert_eq!(same.send().await.unwrap().status(), 304);
}

#[tokio::test]
async fn lists_are_of_a_stretch_of_time() {
    let world = World::start().await;
    let token = world.account(ADA).await;
    for (summary, hour) in [("late", 15), ("early", 9), ("noon talk", 12)] {
        world.post(EVENTS, &token, event(summary, hour)).await;
    }
    let day = json!({"summary": "day", "start": {"date": "2030-03-02"}, "end": {"date": "2030-03-03"}});
    world.post(EVENTS, &token, day).await;
    for (query, expected) in [
        ("", vec!["late", "early", "noon talk", "day"]),
        ("?singleEvents=true&fields=items", vec!["late", "early", "noon talk", "day"]),
        ("?timeMin=2030-03-01T10:00:00Z", vec!["late", "noon talk", "day"]),
        ("?timeMax=2030-03-01T12:00:00Z", vec!["early"]),
        ("?singleEvents=true&orderBy=startTime&timeZone=UTC", vec!["early", "noon talk", "late", "day"]),
        ("?timeMin=2030-03-02T01:00:00%2B01:00", vec!["day"]),
    ] {
        let (status, list) = world.get(&format!("{EVENTS}{query}"), &token).await;
        assert_eq!((status.as_u16(), summaries(&list)), (200, expected), "{query}");
    }
    let (_, list) = world.get(EVENTS, &token).await;
    assert_eq!((&list["kind"], &list["accessRole"]), (&"calendar#events".into(), &"owner".into()));
    for (query, reason) in [
        ("?orderBy=startTime", "invalid"),
        ("?orderBy=summary", "invalid"),
        ("?q=lunch", "invalid"),
        ("?timeMin=2030-03-01T12:00:00Z&timeMax=2030-03-01T12:00:00Z", "timeRangeEmpty"),
        ("?timeMin=noon", "badRequest"),
        ("?maxResults=0", "invalid"),
        ("?pageToken=unknown", "invalid"),
        ("?privateExtendedProperty=app", "invalid"),
        ("?singleEvents=yes", "invalid"),
        ("?fields=items(id", "invalidParameter"),
        ("?fields=items)", "invalidParameter"),
        ("?fields=,", "invalidParameter"),
        ("?fields=item", "invalidParameter"),
        ("?fields=items(name)", "invalidParameter"),
        ("?fields=items/name", "invalidParameter"),
    ] {
        assert_error(&world.get(&format!("{EVENTS}{query}"), &token).await, 400, reason);
    }
}

#[tokio::test]
async fn lists_are_sorted_and_show_what_was_deleted_if_asked() {
    let world = World::start().await;
    let token = world.account(ADA).await;
    let (first, second) = (world.insert(&token, "first").await, world.insert(&token, "second").await);
    world.insert(&token, "third").await;
    let path = |event: &Value| format!("{EVENTS}/{}", event["id"].as_str().unwrap());
    tokio::time::sleep(Duration::from_millis(2)).await;
    world.patch(&path(&first), &token, json!({"summary": "first, later"})).await;
    world.api_request(Method::DELETE, &path(&second), &token).send().await.unwrap();
    for (query, expected) in [
        ("?orderBy=updated", vec!["third", "first, later"]),
        ("?showDeleted=false", vec!["first, later", "third"]),
    ] {
        let (_, list) = world.get(&format!("{EVENTS}{query}"), &token).await;
        assert_eq!(summaries(&list), expected, "{query}");
    }
    let (_, list) = world.get(&format!("{EVENTS}?showDeleted=true"), &token).await;
    let statuses: Vec<_> = list["items"].as_array().unwrap().iter().map(|event| &event["status"]).collect();
    assert_eq!(statuses, ["confirmed", "cancelled", "confirmed"]);
}

#[tokio::test]
async fn events_are_listed_by_their_private_properties() {
    let world = World::start().await;
    let token = world.account(ADA).await;
    for (summary, properties) in [
        ("none", json!({})),
        ("ours", json!({"private": {"app": "ours", "row": "1"}})),
        ("shared", json!({"shared": {"app": "ours"}})),
        ("theirs", json!({"private": {"app": "theirs"}})),
    ] {
        let mut body = event(summary, 9);
        body["extendedProperties"] = properties;
        assert_eq!(world.post(EVENTS, &token, body).await.0, 200);
    }
    let of = |properties: &'static [&str]| {
        let query: Vec<String> =
            properties.iter().map(|property| format!("privateExtendedProperty={property}")).collect();
        format!("{EVENTS}?{}", query.join("&"))
    };
    for (properties, expected) in [
        (&["app%3Dours"][..], vec!["ours"]),
        (&["app=ours", "row=1"], vec!["ours"]),
        (&["app=ours", "row=2"], vec![]),
        (&["app="], vec![]),
    ] {
        let (_, list) = world.get(&of(properties), &token).await;
        assert_eq!(summaries(&list), expected, "{properties:?}");
    }
}

#[tokio::test]
async fn deleted_events_are_not_listed() {
    let world = World::start().await;
    let token = world.account(ADA).await;
    let created = world.insert(&token, "gone").await;
    world.delete(&format!("{EVENTS}/{}", created["id"].as_str().unwrap()), &token).await;
    let (_, list) = world.get(EVENTS, &token).await;
    assert_eq!(list["items"], json!([]));
}

#[tokio::test]
async fn pages_follow_each_other_as_the_list_was_when_the_first_was_made() {
    let world = World::start().await;
    let token = world.account(ADA).await;
    for summary in ["a", "b", "c"] {
        world.insert(&token, summary).await;
    }
    let (_, first) = world.get(&format!("{EVENTS}?maxResults=2"), &token).await;
    assert_eq!(summaries(&first), ["a", "b"]);
    world.insert(&token, "between the pages").await;
    let next = first["nextPageToken"].as_str().unwrap();
    let (_, second) = world.get(&format!("{EVENTS}?maxResults=2&pageToken={next}"), &token).await;
    assert_eq!((summaries(&second), second.get("nextPageToken")), (vec!["c"], None));
}

#[tokio::test]
async fn calendars_are_private_until_shared_and_readers_may_not_write() {
    let world = World::start().await;
    let (ada, bob) = (world.account(ADA).await, world.account(BOB).await);
    let team = "team#1@group.calendar.google.com";
    let path = "/calendars/team%231%40group.calendar.google.com/events";
    world.control("calendars", json!({"email": ADA, "id": team})).await;
    assert_eq!(world.post(path, &ada, event("all hands", 9)).await.0, 200);
    assert_error(&world.get(path, &bob).await, 404, "notFound");
    assert_error(&world.get("/calendars/ada@example.com/events", &bob).await, 404, "notFound");
    world.control("calendars", json!({"email": BOB, "id": team, "access_role": "reader"})).await;
    let (_, list) = world.get(path, &bob).await;
    assert_eq!((summaries(&list), &list["accessRole"]), (vec!["all hands"], &"reader".into()));
    assert_error(&world.post(path, &bob, event("x", 9)).await, 403, "requiredAccessLevel");
}

#[tokio::test]
async fn a_list_holds_the_fields_that_were_asked_for() {
    let world = World::start().await;
    let token = world.account(ADA).await;
    world.insert(&token, "Lunch").await;
    let time = json!({"dateTime": "2030-03-01T09:00:00Z"});
    for (fields, expected) in [
        ("kind", json!({"kind": "calendar#events"})),
        ("kind,items(summary,location)", json!({"kind": "calendar#events", "items": [{"summary": "Lunch"}]})),
        ("items/start", json!({"items": [{"start": time}]})),
        ("items(start/dateTime,organizer(self)),timeZone", {
            json!({"items": [{"start": time, "organizer": {"self": true}}], "timeZone": "UTC"})
        }),
        ("nextPageToken", json!({})),
    ] {
        let (_, list) = world.get(&format!("{EVENTS}?fields={fields}"), &token).await;
        assert_eq!(list, expected, "{fields}");
    }
}

#[tokio::test]
async fn a_series_is_one_item_and_so_is_each_of_its_exceptions() {
    let world = World::start().await;
    let token = world.account(ADA).await;
    let daily = |rule: &str| {
        json!({
            "summary": "stand-up", "recurrence": [rule],
            "start": {"dateTime": "2030-03-01T09:00:00Z", "timeZone": "UTC"},
            "end": {"dateTime": "2030-03-01T10:00:00Z", "timeZone": "UTC"},
        })
    };
    let series = world.post(EVENTS, &token, daily("RRULE:FREQ=DAILY;COUNT=5")).await.1;
    let instance = |day: u32| format!("{EVENTS}/{}_203003{day:02}T090000Z", series["id"].as_str().unwrap());
    assert_eq!(world.get(&instance(2), &token).await.1["start"]["dateTime"], "2030-03-02T09:00:00Z");
    world.patch(&instance(2), &token, json!({"summary": "moved"})).await;
    assert_eq!(world.delete(&instance(3), &token).await.0, 204);
    assert_error(&world.delete(&instance(3), &token).await, 410, "deleted");
    let before_the_series = format!("{EVENTS}/{}_20300228T090000Z", series["id"].as_str().unwrap());
    assert_error(&world.get(&before_the_series, &token).await, 404, "notFound");

    let (_, list) = world.get(EVENTS, &token).await;
    assert_eq!(summaries(&list), ["stand-up", "moved", "-"]);
    let exception = &list["items"][1];
    assert_eq!((&exception["recurringEventId"], exception.get("recurrence")), (&series["id"], None));
    let cancelled = list["items"][2].as_object().unwrap();
    let expected = json!({"dateTime": "2030-03-03T09:00:00Z", "timeZone": "UTC"});
    assert_eq!((&cancelled["status"], &cancelled["originalStartTime"]), (&"cancelled".into(), &expected));
    assert_eq!((cancelled.len(), cancelled.get("start")), (6, None));

    for (query, expected) in [
        ("?singleEvents=false&timeMin=2030-03-02T09:30:00Z", vec!["stand-up", "moved", "-"]),
        ("?timeMin=2030-03-02T10:00:00Z", vec!["stand-up", "-"]),
        ("?timeMin=2030-03-04T00:00:00Z", vec!["stand-up"]),
        ("?timeMin=2030-03-07T00:00:00Z", vec![]),
    ] {
        let (_, list) = world.get(&format!("{EVENTS}{query}"), &token).await;
        assert_eq!(summaries(&list), expected, "{query}");
    }
    assert_error(&world.get(&format!("{EVENTS}?singleEvents=true"), &token).await, 400, "invalid");

    world.delete(&format!("{EVENTS}/{}", series["id"].as_str().unwrap()), &token).await;
    assert_eq!(world.get(EVENTS, &token).await.1["items"], json!([]), "exceptions go with their series");
    world.post(EVENTS, &token, daily("RRULE:FREQ=DAILY;UNTIL=20300303T090000Z")).await;
    world.post(EVENTS, &token, daily("RRULE:FREQ=WEEKLY")).await;
    let (_, list) = world.get(&format!("{EVENTS}?timeMin=2040-01-01T00:00:00Z"), &token).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
}
