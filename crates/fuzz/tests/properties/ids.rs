//! Ids: of channels, as Google allows them; of connections and users; of sync requests, whose time is when they arose.

use chrono::{DateTime, TimeDelta};
use functions::Function;
use fuzz::project::{KEY, Post, Project, empty};
use protocol::connection::RequestId;
use serde_json::json;
use uuid::Uuid;

use crate::{for_all, text};

const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// What becomes of a notification on this channel, and how often the database was asked.
fn notify(channel: &str) -> (u16, usize) {
    let headers = [
        ("x-goog-channel-id", channel),
        ("x-goog-channel-token", TOKEN),
        ("x-goog-resource-id", "r"),
        ("x-goog-resource-state", "exists"),
        ("x-goog-message-number", "7"),
    ];
    let project = Project::new(empty);
    let handled = project.handle(Function::GoogleCalendarWebhook, &Post::new(&headers, b""));
    (handled.answer.status, project.asked().len())
}

#[test]
fn every_channel_id_that_google_allows_is_looked_for_and_no_other() {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=";
    let allowed = |rng: &mut fastrand::Rng| -> String {
        let length = *rng.choice(&[1, 2, 36, 63, 64]).unwrap();
        (0..length).map(|_| char::from(*rng.choice(ALPHABET).unwrap())).collect()
    };
    for_all(allowed, |channel| assert_eq!(notify(channel), (404, 2)));
    for_all(
        |rng| {
            let mut channel = allowed(rng);
            let at = rng.usize(0..=channel.len());
            // Never one of the alphabet, nor what a header cannot hold.
            let odd = *rng
                .choice(&[' ', '.', ',', ':', '*', '%', '&', '?', '#', '(', '"', '~', '\\', 'é', '🗓'])
                .unwrap();
            channel.insert(at, odd);
            channel
        },
        |channel| assert_eq!(notify(channel), (400, 0)),
    );
    for_all(|rng| allowed(rng) + &"x".repeat(64), |channel| assert_eq!(notify(channel), (400, 0)));
}

/// Whom a service's request with this id looks for.
fn looked_for(id: &str) -> Option<String> {
    let project = Project::new(empty);
    let body = json!({ "connection_id": id }).to_string();
    let handled =
        project.handle(Function::SetupCalendarWebhook, &Post::new(&[("apikey", KEY)], body.as_bytes()));
    let url = project.asked().pop().map(|request| request.url);
    assert_eq!(handled.answer.status, if url.is_some() { 404 } else { 400 });
    url.map(|url| {
        url.split(['?', '&']).find_map(|parameter| parameter.strip_prefix("id=eq.")).unwrap().to_owned()
    })
}

#[test]
fn a_uuid_in_any_of_its_forms_is_the_same_row() {
    for_all(
        |rng| Uuid::from_u128(rng.u128(..)),
        |id| {
            let printed = id.hyphenated().to_string();
            for form in [
                printed.clone(),
                printed.to_uppercase(),
                id.simple().to_string(),
                id.braced().to_string(),
                id.urn().to_string(),
            ] {
                assert_eq!(looked_for(&form).as_deref(), Some(printed.as_str()), "{form}");
            }
        },
    );
}

#[test]
fn a_text_that_is_no_uuid_reaches_no_row() {
    for_all(text, |text| assert_eq!(looked_for(text), None));
    for_all(
        |rng| {
            let mut id = Uuid::from_u128(rng.u128(..)).to_string();
            let at = rng.usize(0..=id.len());
            id.insert_str(at, rng.choice(["0", "-", " ", "%", ",", "g", "\0", "\n", "٣", "é"]).unwrap());
            id
        },
        |id| assert_eq!(looked_for(id), None),
    );
}

#[test]
fn a_request_id_is_a_uuid_of_version_7_and_tells_when_it_arose_to_the_millisecond() {
    for_all(
        |rng| (rng.i64(0..(1 << 48) * 1000), rng.u128(..)),
        |(microseconds, random)| {
            let at = DateTime::from_timestamp_micros(*microseconds).unwrap();
            let id = RequestId::fresh(at, *random);
            // RFC 9562, 5.7: 48 bits of milliseconds, the version, the variant, and chance.
            assert_eq!((id.0.as_u128() >> 80, id.0.as_u128() >> 76 & 0xf), (*microseconds as u128 / 1000, 7));
            assert_eq!(id.0.as_u128() >> 62 & 0b11, 0b10);
            let arose = id.arose_at().unwrap();
            assert!(arose <= at && at - arose < TimeDelta::milliseconds(1));
            assert_ne!(id, RequestId::fresh(at, random.rotate_left(1) ^ 1));
        },
    );
}

#[test]
fn later_requests_have_later_ids_and_ids_of_another_version_tell_no_time() {
    for_all(
        |rng| (rng.i64(0..1 << 47), rng.i64(1..1 << 40), rng.u128(..), rng.u128(..)),
        |(milliseconds, later, one, other)| {
            let at = |milliseconds| DateTime::from_timestamp_millis(milliseconds).unwrap();
            assert!(
                RequestId::fresh(at(*milliseconds), *one)
                    < RequestId::fresh(at(milliseconds + later), *other)
            );
        },
    );
    for_all(
        |rng| Uuid::from_u128(rng.u128(..) & !(0xf << 76) | u128::from(rng.u8(8..15) % 7) << 76),
        |id| assert_eq!(RequestId(*id).arose_at(), None),
    );
}
