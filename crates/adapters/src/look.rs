//! A calendar's content as a digest: `events.list`, page by page, and what of an event counts.
//!
//! An event is reduced to what a schedule can be made of, in words that do not depend on how Google puts it: nothing,
//! `null` and the documented default are the same, as are two ways to write one moment. Ids, tags and times of edits
//! never count, so that an app that deletes its events and writes the same ones again leaves the same digest. Ids only
//! tell which exceptions belong to which series.
//!
//! Sources: Calendar API reference, `Events: list` and `Events` (the resource); guide "Recurring events".

use std::collections::BinaryHeap;

use chrono::{DateTime, SecondsFormat};
use protocol::Timestamp;
use protocol::connection::{AccessToken, CalendarId};
use protocol::failure::RenewalFailure;
use protocol::look::{Anchor, CalendarName, Digest, Look, LookFailure, Seen};
use protocol::schedule::{LONGEST_LOOK, PAGES_PER_LOOK};
use serde_json::{Map, Value as Json};
use sha2::{Digest as _, Sha256};

use crate::configuration::Configuration;
use crate::google::{authorization, events_url};
use crate::http::{HttpRequest, HttpResponse, percent_encode};
use crate::verdict;

/// What is asked for: what counts, which events belong together, and what the answer itself is called.
const FIELDS: &str = "kind,summary,timeZone,nextPageToken,items(id,recurringEventId,status,summary,description,\
    location,transparency,visibility,eventType,start,end,originalStartTime,recurrence,\
    attendees(self,responseStatus),extendedProperties)";

/// The texts of an event, each with the value that nothing stands for.
const TEXTS: [(&str, &str); 7] = [
    ("status", "confirmed"),
    ("summary", ""),
    ("description", ""),
    ("location", ""),
    ("transparency", "opaque"),
    ("visibility", "default"),
    ("eventType", "default"),
];

type Hash = [u8; 32];

/// One reading of a calendar, page after page.
pub struct Reading<'a> {
    configuration: &'a Configuration,
    access_token: &'a AccessToken,
    calendar: Option<&'a CalendarId>,
    anchor: Anchor,
    /// What may still be read, in bytes.
    left: usize,
    /// Those that led to the pages so far; of the first page there is none.
    page_tokens: Vec<String>,
    /// Told on every page; the last one counts.
    calendar_name: Option<CalendarName>,
    time_zone: String,
    entries: BinaryHeap<Entry>,
}

impl<'a> Reading<'a> {
    pub fn new(
        configuration: &'a Configuration,
        access_token: &'a AccessToken,
        calendar: Option<&'a CalendarId>,
        anchor: Anchor,
    ) -> Self {
        Self {
            configuration,
            access_token,
            calendar,
            anchor,
            left: LONGEST_LOOK,
            page_tokens: Vec::new(),
            calendar_name: None,
            time_zone: String::new(),
            entries: BinaryHeap::new(),
        }
    }

    /// Whether a page has been read.
    pub fn has_begun(&self) -> bool {
        !self.page_tokens.is_empty()
    }

    /// `events.list`, the next page. Refused without asking where no request could be made of it.
    pub fn request(&self) -> Result<HttpRequest, LookFailure> {
        let not_found = LookFailure::Refused(RenewalFailure::CalendarNotFound.into());
        let events = events_url(self.configuration, self.calendar).ok_or(not_found)?;
        let authorization = authorization(self.access_token)
            .ok_or_else(|| LookFailure::Unauthorized(RenewalFailure::ReconnectRequired.into()))?;
        let from = self.anchor.time().to_rfc3339_opts(SecondsFormat::Secs, true);
        let mut url = format!("{events}?timeMin={from}&singleEvents=false&maxResults=250&fields={FIELDS}");
        if let Some(token) = self.page_tokens.last() {
            url.push_str("&pageToken=");
            url.push_str(&percent_encode(token));
        }
        let request = HttpRequest::get(url).header("authorization", authorization);
        Ok(HttpRequest { longest_answer: self.left, ..request })
    }

    /// Reads a page; what the look found if it was the last one.
    pub fn read(&mut self, response: &HttpResponse, now: Timestamp) -> Result<Option<Look>, LookFailure> {
        if !response.is_success() {
            return Err(self.refused(response, now));
        }
        self.left = self.left.checked_sub(response.body.len()).ok_or(LookFailure::TooLarge)?;
        let page: Json = serde_json::from_str(&response.body).map_err(|_| LookFailure::Doubtful)?;
        if verdict::is_error(&page) {
            return Err(self.refused(response, now));
        }
        let page_token = self.read_page(&page).ok_or(LookFailure::Doubtful)?;
        if !page_token.is_empty() {
            self.page_tokens.push(page_token.to_owned());
            let has_room = self.page_tokens.len() < PAGES_PER_LOOK && self.left > 0;
            return if has_room { Ok(None) } else { Err(LookFailure::TooLarge) };
        }
        // An all-day event begins when its day begins there.
        let mut content = Content::new();
        content.text(&self.time_zone);
        content.0.extend_from_slice(&hash_of_all(series(std::mem::take(&mut self.entries))));
        let seen = Seen { anchor: self.anchor, digest: Digest(content.hash()) };
        let size = LONGEST_LOOK - self.left;
        Ok(Some(Look { size, seen, calendar_name: self.calendar_name.take() }))
    }

    /// After the first page, what would blame the calendar is about the page alone.
    fn refused(&self, response: &HttpResponse, now: Timestamp) -> LookFailure {
        match verdict::of_list(response, now) {
            LookFailure::Refused(refused)
                if refused.failure == RenewalFailure::CalendarNotFound && !self.page_tokens.is_empty() =>
            {
                LookFailure::Doubtful
            }
            failure => failure,
        }
    }

    /// The token of the next page, empty if there is none. Nothing where this is no page.
    fn read_page<'p>(&mut self, page: &'p Json) -> Option<&'p str> {
        let page = page.as_object()?;
        let token = text(page, "nextPageToken")?;
        // A page may be empty although others follow. Something else than a page never is a calendar without events.
        let is_page = page.get("items").is_some_and(Json::is_array)
            || !token.is_empty()
            || text(page, "kind")? == "calendar#events";
        if !is_page || self.page_tokens.iter().any(|known| known == token) {
            return None;
        }
        for event in array(page.get("items"))? {
            self.entries.extend(Entry::of(event.as_object()?)?);
        }
        self.calendar_name = CalendarName::parse(text(page, "summary")?);
        self.time_zone = text(page, "timeZone")?.to_owned();
        Some(token)
    }
}

/// What is kept of an event while the pages are read.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    /// The id of the series that this is an exception of, or the event's own. It brings a series and its exceptions
    /// together and does not count.
    series: String,
    kind: Kind,
    content: Hash,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// An event that happens once, or a series.
    Event,
    /// An instance of a series that is not as the series has it.
    Exception,
    /// An instance of a series that does not take place.
    Cancelled,
}

impl Entry {
    /// Of an event as Google tells it. None where it makes no sense; nothing of one that is deleted.
    fn of(event: &Map<String, Json>) -> Option<Option<Self>> {
        let (id, recurring) = (text(event, "id")?, text(event, "recurringEventId")?);
        let kind = match (text(event, "status")? == "cancelled", recurring.is_empty()) {
            (true, true) => return Some(None),
            (true, false) => Kind::Cancelled,
            (false, false) => Kind::Exception,
            (false, true) => Kind::Event,
        };
        let mut content = Content::new();
        for (name, default) in TEXTS {
            let text = text(event, name)?;
            content.text(if text.is_empty() { default } else { text });
        }
        let required = if kind == Kind::Cancelled { &["originalStartTime"][..] } else { &["start", "end"] };
        for name in ["start", "end", "originalStartTime"] {
            content.time(event.get(name), required.contains(&name))?;
        }
        content.recurrence(event.get("recurrence"))?;
        content.text(own_response(event.get("attendees"))?);
        let properties = object(event.get("extendedProperties"))?;
        for kind in ["private", "shared"] {
            content.properties(properties.and_then(|properties| properties.get(kind)))?;
        }
        let series = if recurring.is_empty() { id } else { recurring };
        Some(Some(Self { series: series.to_owned(), kind, content: content.hash() }))
    }

    /// What counts, beside what belongs together already.
    fn alone(content: Hash) -> Self {
        Self { series: String::new(), kind: Kind::Event, content }
    }
}

/// Brings each series and its exceptions together. Exceptions do not name it by what counts, and a cancelled one does
/// not even say what it is that does not take place; one whose series is not there (any more) means nothing, and
/// Google goes on telling it.
fn series(entries: BinaryHeap<Entry>) -> BinaryHeap<Entry> {
    let entries = entries.into_sorted_vec();
    let together = entries.chunk_by(|one, next| one.series == next.series).filter_map(|together| {
        let has_series = together.iter().any(|entry| entry.kind == Kind::Event);
        let counts = |entry: &&Entry| has_series || entry.kind != Kind::Cancelled;
        let mut counting = together.iter().filter(counts);
        let first = counting.next()?;
        let mut content = Content(first.content.to_vec());
        counting.for_each(|entry| content.0.extend_from_slice(&entry.content));
        // Most events are alone, and have been hashed.
        Some(if content.0.len() == first.content.len() { first.content } else { content.hash() })
    });
    together.map(Entry::alone).collect()
}

/// Of contents in any order. One that is there twice counts twice. Sorted by a heap, 2 KB smaller than `sort`.
fn hash_of_all(entries: BinaryHeap<Entry>) -> Hash {
    let mut hasher = Sha256::new();
    entries.into_sorted_vec().iter().for_each(|entry| hasher.update(entry.content));
    hasher.finalize().into()
}

/// What counts of an event, in a fixed order, every text behind its length.
struct Content(Vec<u8>);

impl Content {
    /// With room for a plain event.
    fn new() -> Self {
        Self(Vec::with_capacity(512))
    }

    fn hash(&self) -> Hash {
        Sha256::digest(&self.0).into()
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A day, or a moment whatever the offset it is written with, and a time zone.
    fn time(&mut self, time: Option<&Json>, is_required: bool) -> Option<()> {
        let empty = Map::new();
        let time = object(time)?.unwrap_or(&empty);
        let (date, moment) = (text(time, "date")?, text(time, "dateTime")?);
        if is_required && date.is_empty() && moment.is_empty() {
            return None;
        }
        self.text(date);
        match DateTime::parse_from_rfc3339(moment) {
            Ok(moment) => {
                // No text is that long.
                self.number(u64::MAX);
                self.0.extend_from_slice(&moment.timestamp_micros().to_le_bytes());
            }
            Err(_) => self.text(moment),
        }
        self.text(text(time, "timeZone")?);
        Some(())
    }

    /// Rules and dates, in any order (RFC 5545).
    fn recurrence(&mut self, lines: Option<&Json>) -> Option<()> {
        let mut hashes = BinaryHeap::new();
        for line in array(lines)? {
            hashes.push(Entry::alone(Sha256::digest(line.as_str()?).into()));
        }
        self.number(hashes.len() as u64);
        if !hashes.is_empty() {
            self.0.extend_from_slice(&hash_of_all(hashes));
        }
        Some(())
    }

    /// Keys and values, by key, as `Map` has them.
    fn properties(&mut self, properties: Option<&Json>) -> Option<()> {
        let empty = Map::new();
        let properties = object(properties)?.unwrap_or(&empty);
        let is_there = |(_, value): &(&String, &Json)| !value.is_null();
        self.number(properties.iter().filter(is_there).count() as u64);
        for (key, value) in properties.iter().filter(is_there) {
            self.text(key);
            self.text(value.as_str()?);
        }
        Some(())
    }
}

/// The response of the user whose calendar it is; empty where it is not the user's to respond.
fn own_response(attendees: Option<&Json>) -> Option<&str> {
    for attendee in array(attendees)? {
        let attendee = attendee.as_object()?;
        if attendee.get("self") == Some(&Json::Bool(true)) {
            return text(attendee, "responseStatus");
        }
    }
    Some("")
}

/// A text, empty where it is not there; none where it is something else.
fn text<'a>(object: &'a Map<String, Json>, name: &str) -> Option<&'a str> {
    match object.get(name) {
        None | Some(Json::Null) => Some(""),
        Some(Json::String(text)) => Some(text),
        Some(_) => None,
    }
}

fn object(json: Option<&Json>) -> Option<Option<&Map<String, Json>>> {
    match json {
        None | Some(Json::Null) => Some(None),
        Some(Json::Object(object)) => Some(Some(object)),
        Some(_) => None,
    }
}

fn array(json: Option<&Json>) -> Option<&[Json]> {
    match json {
        None | Some(Json::Null) => Some(&[]),
        Some(Json::Array(array)) => Some(array),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::configuration::Environment;

    fn response(status: u16, body: impl Into<String>) -> HttpResponse {
        HttpResponse { status, body: body.into(), ..HttpResponse::default() }
    }

    /// A look to which Google answers so, page by page.
    fn look(pages: impl IntoIterator<Item = HttpResponse>) -> Result<Look, LookFailure> {
        let configuration = Configuration::parse(&Environment::from([
            ("SUPABASE_URL", "https://project.supabase.co"),
            ("SUPABASE_SERVICE_ROLE_KEY", "key"),
            ("GOOGLE_CLIENT_ID", "client"),
            ("GOOGLE_CLIENT_SECRET", "secret"),
        ]));
        let (configuration, access_token) = (configuration.unwrap(), AccessToken::new("ya29.token"));
        let anchor = Anchor::of_look(DateTime::from_timestamp(1_767_312_000, 0).unwrap(), None);
        let mut reading = Reading::new(&configuration, &access_token, None, anchor);
        for page in pages {
            let request = reading.request()?;
            assert!(request.url.starts_with(
                "https://www.googleapis.com/calendar/v3/calendars/primary/events?timeMin=2026-01-01T00:00:00Z&"
            ));
            if let Some(look) = reading.read(&page, Timestamp::default())? {
                return Ok(look);
            }
        }
        panic!("it asks for more pages than there are")
    }

    fn page(items: &Json) -> HttpResponse {
        let page = json!({
            "kind": "calendar#events", "summary": "ada@example.com", "timeZone": "Europe/Oslo", "items": items,
        });
        response(200, page.to_string())
    }

    #[track_caller]
    fn digest(items: &Json) -> Digest {
        look([page(items)]).unwrap().seen.digest
    }

    fn with(event: &Json, changes: &Json) -> Json {
        let mut event = event.clone();
        event.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        event
    }

    fn meeting() -> Json {
        json!({
            "id": "one", "status": "confirmed", "summary": "Lunch", "eventType": "default",
            "start": { "dateTime": "2026-03-01T12:00:00+01:00", "timeZone": "Europe/Oslo" },
            "end": { "dateTime": "2026-03-01T13:00:00+01:00", "timeZone": "Europe/Oslo" },
        })
    }

    fn series_of(id: &str, summary: &str) -> Json {
        with(&meeting(), &json!({ "id": id, "summary": summary, "recurrence": ["RRULE:FREQ=DAILY"] }))
    }

    fn cancelled(series: &str) -> Json {
        json!({
            "id": format!("{series}_20260303T110000Z"), "status": "cancelled", "recurringEventId": series,
            "originalStartTime": { "dateTime": "2026-03-03T12:00:00+01:00", "timeZone": "Europe/Oslo" },
        })
    }

    #[test]
    fn the_same_content_in_other_words_has_the_same_digest() {
        for (one, other) in [
            // Nothing, null, empty and the documented default.
            (json!({}), json!({ "description": null, "location": "", "recurrence": [], "attendees": null })),
            (
                json!({}),
                json!({ "status": null, "transparency": "opaque", "visibility": "default", "eventType": null }),
            ),
            (json!({}), json!({ "extendedProperties": {}, "originalStartTime": null })),
            (json!({}), json!({ "extendedProperties": { "private": {}, "shared": { "a": null } } })),
            // One moment.
            (
                json!({}),
                json!({ "start": { "dateTime": "2026-03-01T11:00:00Z", "timeZone": "Europe/Oslo" } }),
            ),
            (
                json!({}),
                json!({ "end": { "date": null, "timeZone": "Europe/Oslo", "dateTime": "2026-03-01T12:00:00.000Z" } }),
            ),
            // Order, where it does not count.
            (
                json!({ "recurrence": ["RRULE:FREQ=DAILY", "EXDATE:20260305T110000Z"] }),
                json!({ "recurrence": ["EXDATE:20260305T110000Z", "RRULE:FREQ=DAILY"] }),
            ),
            (
                json!({ "extendedProperties": { "private": { "a": "1", "b": "2" } } }),
                json!({ "extendedProperties": { "shared": null, "private": { "b": "2", "a": "1" } } }),
            ),
            // Who else is invited, and what they say.
            (
                json!({ "attendees": [{ "self": true, "responseStatus": "accepted" }] }),
                json!({ "attendees": [
                    { "responseStatus": "declined" },
                    { "self": false },
                    { "self": true, "responseStatus": "accepted", "comment": "gladly" },
                ] }),
            ),
            // What is never content.
            (
                json!({}),
                json!({
                    "id": "another", "etag": "\"2\"", "created": "2026-01-01T00:00:00Z", "sequence": 7,
                    "updated": "2026-02-01T00:00:00Z", "iCalUID": "x@google.com", "htmlLink": "https://x",
                    "hangoutLink": "https://y", "conferenceData": { "conferenceId": "z" }, "kind": "calendar#event",
                }),
            ),
        ] {
            let (one, other) = (with(&meeting(), &one), with(&meeting(), &other));
            assert_eq!(digest(&json!([one])), digest(&json!([other])), "{one} {other}");
        }
    }

    #[test]
    fn every_change_of_the_content_changes_the_digest() {
        let mut digests = vec![(digest(&json!([])), "no event".to_owned())];
        for changes in [
            json!({}),
            json!({ "start": { "dateTime": "2026-03-01T12:00:01+01:00", "timeZone": "Europe/Oslo" } }),
            json!({ "start": { "dateTime": "2026-03-01T12:00:00+01:00", "timeZone": "Europe/Rome" } }),
            json!({ "start": { "dateTime": "2026-03-01T12:00:00+01:00" } }),
            json!({ "start": { "date": "2026-03-01" } }),
            json!({ "end": { "dateTime": "2026-03-01T14:00:00+01:00", "timeZone": "Europe/Oslo" } }),
            json!({ "start": { "date": "2026-03-01" }, "end": { "date": "2026-03-02" } }),
            json!({ "start": { "date": "2026-03-01" }, "end": { "date": "2026-03-03" } }),
            json!({ "start": { "dateTime": "2026-03-01T12:00:00" } }),
            json!({ "originalStartTime": { "dateTime": "2026-03-01T11:00:00+01:00" } }),
            json!({ "originalStartTime": { "date": "2026-03-01" } }),
            json!({ "status": "tentative" }),
            json!({ "summary": "lunch" }),
            json!({ "summary": "Lunch " }),
            json!({ "summary": null }),
            json!({ "summary": null, "description": "Lunch" }),
            json!({ "description": "Lunch" }),
            json!({ "location": "Lunch" }),
            json!({ "transparency": "transparent" }),
            json!({ "visibility": "private" }),
            json!({ "visibility": "public" }),
            json!({ "eventType": "outOfOffice" }),
            json!({ "recurrence": ["RRULE:FREQ=DAILY"] }),
            json!({ "recurrence": ["RRULE:FREQ=DAILY;COUNT=3"] }),
            json!({ "recurrence": ["RRULE:FREQ=DAILY", "EXDATE:20260305T110000Z"] }),
            json!({ "attendees": [{ "self": true, "responseStatus": "needsAction" }] }),
            json!({ "attendees": [{ "self": true, "responseStatus": "declined" }] }),
            json!({ "extendedProperties": { "private": { "a": "b" } } }),
            json!({ "extendedProperties": { "shared": { "a": "b" } } }),
            json!({ "extendedProperties": { "private": { "a": "b" }, "shared": { "x": "shared" } } }),
            json!({ "extendedProperties": { "private": { "a": "b", "shared": "x" } } }),
            json!({ "extendedProperties": { "private": { "a": "bshared" } } }),
        ] {
            digests.push((digest(&json!([with(&meeting(), &changes)])), changes.to_string()));
        }
        for (index, (one, what)) in digests.iter().enumerate() {
            for (other, than_what) in &digests[..index] {
                assert_ne!(one, other, "{what} {than_what}");
            }
        }
    }

    #[test]
    fn the_time_zone_of_the_calendar_counts_and_its_name_does_not() {
        let of = |name: &str, zone: &str| {
            let page = json!({ "summary": name, "timeZone": zone, "items": [meeting()] });
            look([response(200, page.to_string())]).unwrap()
        };
        let (one, renamed) = (of("Work", "Europe/Oslo"), of("Play", "Europe/Oslo"));
        assert_eq!(one.seen, renamed.seen);
        assert_eq!(renamed.calendar_name.unwrap().as_str(), "Play");
        assert_ne!(one.seen, of("Work", "Europe/Rome").seen);
    }

    #[test]
    fn events_count_in_any_order_and_on_any_page_and_each_as_often_as_it_is_there() {
        let events: Vec<Json> = (0..7)
            .map(|number| {
                with(&meeting(), &json!({ "id": number.to_string(), "summary": (number / 2).to_string() }))
            })
            .collect();
        let whole = digest(&json!(events));
        let reversed: Vec<&Json> = events.iter().rev().collect();
        assert_eq!(digest(&json!(reversed)), whole);
        let mut pages: Vec<HttpResponse> = events
            .iter()
            .enumerate()
            .map(|(number, event)| {
                let page = json!({ "items": [event], "timeZone": "Europe/Oslo", "nextPageToken": format!("t{number}") });
                response(200, page.to_string())
            })
            .collect();
        // Empty pages come before others, and Google may leave out what is empty.
        pages.insert(3, response(200, r#"{ "nextPageToken": "empty" }"#));
        pages.push(response(200, r#"{ "kind": "calendar#events", "timeZone": "Europe/Oslo" }"#));
        assert_eq!(look(pages).unwrap().seen.digest, whole);
        assert_ne!(digest(&json!(events[1..])), whole);
        assert_ne!(digest(&json!([events[0], events[0]])), digest(&json!([events[0]])));
        let (alike, twice) = (json!([events[0], events[1]]), json!([events[0], events[1], events[1]]));
        assert_ne!(digest(&alike), digest(&twice));
    }

    #[test]
    fn deleting_and_writing_the_same_again_leaves_the_same_digest() {
        let calendar = |generation: &str| {
            let id = |name: &str| format!("{name}{generation}");
            let moved = with(
                &meeting(),
                &json!({
                    "id": id("daily_20260302T110000Z"), "recurringEventId": id("daily"), "summary": "moved",
                    "originalStartTime": { "dateTime": "2026-03-02T12:00:00+01:00", "timeZone": "Europe/Oslo" },
                }),
            );
            json!([
                with(&meeting(), &json!({ "id": id("session"), "etag": generation, "updated": generation })),
                moved,
                cancelled(&id("daily")),
                series_of(&id("daily"), "stand-up"),
            ])
        };
        assert_eq!(digest(&calendar("first")), digest(&calendar("second")));
        // What is deleted may still be told.
        let mut told = calendar("second");
        told.as_array_mut().unwrap().extend([
            json!({ "id": "sessionfirst", "status": "cancelled" }),
            with(&meeting(), &json!({ "id": "other", "status": "cancelled" })),
            cancelled("dailyfirst"),
        ]);
        assert_eq!(digest(&told), digest(&calendar("first")));
    }

    #[test]
    fn an_exception_counts_as_one_of_its_series() {
        let (stand_up, review) = (series_of("a", "stand-up"), series_of("b", "review"));
        let one = digest(&json!([stand_up, review, cancelled("a")]));
        let other = digest(&json!([stand_up, review, cancelled("b")]));
        assert_ne!(one, other, "another series does not take place on that day");
        assert_ne!(digest(&json!([stand_up, review])), one);
        // Another id sorts in another place.
        let renamed = json!([series_of("z", "stand-up"), review, cancelled("z")]);
        assert_eq!(digest(&renamed), one);
        // Invited to one instance of a series that is somebody else's.
        let invited =
            json!({ "id": "x_1", "recurringEventId": "x", "originalStartTime": { "date": "2026-03-03" } });
        assert_ne!(digest(&json!([with(&meeting(), &invited)])), digest(&json!([])));
    }

    #[test]
    fn what_makes_no_sense_is_not_known() {
        let nested = format!(r#"{{ "items": [{}{}] }}"#, "[".repeat(5000), "]".repeat(5000));
        let mut bodies: Vec<String> = [
            "",
            "null",
            "[]",
            "{}",
            "<html>",
            "{\"items\": [",
            "{\"items\": null}",
            "{\"items\": {}}",
            &nested,
        ]
        .map(str::to_owned)
        .to_vec();
        for page in [
            json!({ "items": [], "nextPageToken": 7 }),
            json!({ "items": [], "summary": 7 }),
            json!({ "items": [], "timeZone": {} }),
            json!({ "kind": "calendar#event", "summary": "an event" }),
        ] {
            bodies.push(page.to_string());
        }
        for item in [json!(null), json!(1), json!("event"), json!([]), json!({})] {
            bodies.push(json!({ "items": [meeting(), item] }).to_string());
        }
        for changes in [
            json!({ "id": 1 }),
            json!({ "recurringEventId": [] }),
            json!({ "status": true }),
            json!({ "summary": 1 }),
            json!({ "start": null }),
            json!({ "start": {} }),
            json!({ "end": "2026-03-01" }),
            json!({ "end": { "date": 20_260_301 } }),
            json!({ "start": { "dateTime": "2026-03-01T12:00:00Z", "timeZone": 1 } }),
            json!({ "recurrence": "RRULE:FREQ=DAILY" }),
            json!({ "recurrence": [1] }),
            json!({ "attendees": {} }),
            json!({ "attendees": ["ada"] }),
            json!({ "attendees": [{ "self": true, "responseStatus": 1 }] }),
            json!({ "extendedProperties": [] }),
            json!({ "extendedProperties": { "private": [] } }),
            json!({ "extendedProperties": { "private": { "a": 1 } } }),
        ] {
            bodies.push(json!({ "items": [with(&meeting(), &changes)] }).to_string());
        }
        let mut nowhen = cancelled("a");
        nowhen["originalStartTime"] = Json::Null;
        bodies.push(json!({ "items": [nowhen] }).to_string());
        for body in bodies {
            assert_eq!(look([response(200, body.clone())]), Err(LookFailure::Doubtful), "{:.200}", body);
        }
    }

    #[test]
    fn a_look_ends_after_twenty_pages_two_megabytes_or_a_token_that_comes_again() {
        let page = |token: &str| response(200, json!({ "items": [], "nextPageToken": token }).to_string());
        let last = || response(200, r#"{ "items": [] }"#);
        let pages = |count: usize| (1..count).map(|number| page(&number.to_string())).chain([last()]);
        assert!(look(pages(20)).is_ok());
        assert_eq!(look(pages(21)), Err(LookFailure::TooLarge));
        assert_eq!(look(["a", "b", "a"].map(page)), Err(LookFailure::Doubtful));
        let long = |length: usize| {
            let empty = r#"{"items":[],"description":""}"#.len();
            response(200, format!(r#"{{"items":[],"description":"{}"}}"#, "x".repeat(length - empty)))
        };
        assert_eq!(look([long(LONGEST_LOOK)]).map(|look| look.size), Ok(LONGEST_LOOK));
        assert_eq!(look([long(LONGEST_LOOK + 1)]), Err(LookFailure::TooLarge));
        let first = page("a");
        let left = LONGEST_LOOK - first.body.len();
        assert!(look([first.clone(), long(left)]).is_ok());
        assert_eq!(look([first, long(left + 1)]), Err(LookFailure::TooLarge));
    }
}
