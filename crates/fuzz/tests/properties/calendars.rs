//! A calendar's id is one segment of the path of `events.watch`, whatever is in it (RFC 3986, 3.3).

use std::time::Duration;

use fuzz::project::{Project, finish, response};
use percent_encoding::percent_decode_str;
use protocol::connection::{AccessToken, CalendarId, ChannelId, ChannelToken};
use protocol::ports::Google;
use url::Url;

use crate::{for_all, text};

const BEFORE: &str = "https://www.googleapis.com/calendar/v3/calendars/";
const BEHIND: &str = "/events/watch";

/// The address that is asked for; `None` if nothing is.
fn address(calendar: Option<&str>) -> Option<String> {
    let project = Project::new(|_| Ok(response(500, b"")));
    let calendar = calendar.map(CalendarId::new);
    let (access, channel, token) = (AccessToken::new("a"), ChannelId::new("c"), ChannelToken::new("t"));
    let watching =
        project.deployment.watch(&access, calendar.as_ref(), &channel, &token, Duration::from_secs(1));
    assert!(finish(watching).is_err());
    project.asked().pop().map(|request| request.url)
}

fn is_one_segment(calendar: &str) {
    let address = address(Some(calendar));
    // Blanks around it are no part of it.
    let calendar = calendar.trim();
    let Some(address) = address else {
        // A segment that a client would take out of the path.
        assert!(["", ".", ".."].contains(&calendar));
        return;
    };
    let segment = address.strip_prefix(BEFORE).and_then(|rest| rest.strip_suffix(BEHIND)).unwrap();
    let is_unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let mut left = segment.chars();
    while let Some(c) = left.next() {
        let is_escape = c == '%' && left.by_ref().take(2).filter(char::is_ascii_hexdigit).count() == 2;
        assert!(is_escape || is_unreserved(c), "{segment}");
    }
    assert_eq!(percent_decode_str(segment).decode_utf8().unwrap(), calendar);
    // As what sends it reads it.
    let url = Url::parse(&address).unwrap();
    assert_eq!((url.as_str(), url.query(), url.fragment()), (address.as_str(), None, None));
    let segments: Vec<&str> = url.path_segments().unwrap().collect();
    assert_eq!(segments, ["calendar", "v3", "calendars", segment, "events", "watch"]);
}

#[test]
fn a_calendars_id_is_one_segment_of_the_path_and_decodes_to_itself_without_blanks_around() {
    for_all(text, |calendar| is_one_segment(calendar));
}

#[test]
fn so_is_every_calendar_that_google_knows_and_every_attempt_at_another_path() {
    for calendar in [
        "primary",
        "ada@example.com",
        "ada+work@example.com",
        "c_188a0b1c2d3e4f@resource.calendar.google.com",
        "en.german#holiday@group.v.calendar.google.com",
        "größe@example.com",
        "予定@example.com",
        "",
        ".",
        "..",
        "...",
        "../../users/me/calendarList",
        "..%2f..%2f",
        "%2e%2e",
        "a/../b",
        "a\\..\\b",
        "a?sendNotifications=true",
        "a#b",
        "a;b=c",
        "a%00",
        "a\0",
        "a\r\nHost: evil.example",
        "//evil.example/",
        "http://evil.example/",
        "@evil.example",
        "\u{202e}moc.elpmaxe@ada",
    ] {
        is_one_segment(calendar);
    }
    assert_eq!(address(None).unwrap(), format!("{BEFORE}primary{BEHIND}"));
    assert_eq!(
        address(Some("en.german#holiday@group.v.calendar.google.com")).unwrap(),
        format!("{BEFORE}en.german%23holiday%40group.v.calendar.google.com{BEHIND}")
    );
}
