//! Dates: as PostgREST, lite and Google write them, and as they are written in filters.

use std::time::Duration;

use chrono::{DateTime, Datelike, FixedOffset, SecondsFormat};
use fastrand::Rng;
use fuzz::project::{NOW, Project, empty, finish, response};
use protocol::Timestamp;
use protocol::connection::{AccessToken, ChannelId, ChannelToken};
use protocol::ports::{Connections, Google};
use protocol::table::{Column, Filter, Query};
use serde_json::{Value as Json, json};
use url::Url;
use uuid::Uuid;

use crate::{for_all, text};

const TIMEOUT: Duration = Duration::from_secs(1);

/// A time as a row of the database holds it; `None` if that makes the row unreadable.
fn read(text: &str) -> Option<Timestamp> {
    let rows = json!([{ "id": Uuid::nil().to_string(), "expires_at": text }]).to_string();
    let project = Project::new(move |_| Ok(response(200, rows.as_bytes())));
    let query = Query::first(1, Vec::new(), Column::Id);
    let row = finish(project.deployment.select(query, TIMEOUT)).unwrap().remove(0);
    row.map(|row| row.expires_at.unwrap()).ok()
}

/// A time as a filter holds it.
fn written(time: Timestamp) -> String {
    let project = Project::new(empty);
    let filters = vec![Filter::Lt(Column::SyncLeaseUntil, time.into())];
    assert!(finish(project.deployment.count(filters, TIMEOUT)).is_ok());
    let url = Url::parse(&project.asked()[0].url).unwrap();
    let (_, value) = url.query_pairs().find(|(name, _)| name == "sync_lease_until").unwrap();
    value.strip_prefix("lt.").unwrap().to_owned()
}

/// What Google grants if it says that a channel expires then; `None` if that makes no sense.
/// When a channel ends, as Google says; none where it is when it was asked to.
fn granted(expiration: impl Into<Json>) -> Option<Timestamp> {
    let expiration = expiration.into();
    let answer = json!({ "resourceId": "r", "expiration": expiration }).to_string();
    let project = Project::new(move |_| Ok(response(200, answer.as_bytes())));
    let (access, channel, token) = (AccessToken::new("a"), ChannelId::new("c"), ChannelToken::new("t"));
    let watching = project.deployment.watch(&access, None, &channel, &token, TIMEOUT);
    let opened = finish(watching).unwrap();
    let asked_for = DateTime::from_timestamp_millis(NOW + 30 * 24 * 60 * 60 * 1000);
    Some(opened.expiration).filter(|expiration| Some(*expiration) != asked_for)
}

/// From the first to the last microsecond of the years with four digits, mostly of our time.
fn time(rng: &mut Rng) -> Timestamp {
    let range = match rng.bool() {
        true => -62_135_596_800_000_000..253_402_300_800_000_000,
        false => 0..4_102_444_800_000_000,
    };
    // Whole seconds and milliseconds are printed shorter.
    let unit = *rng.choice(&[1, 1000, 1_000_000]).unwrap();
    DateTime::from_timestamp_micros(rng.i64(range) / unit * unit).unwrap()
}

/// As PostgreSQL prints a fraction: without the zeros at its end.
fn fraction(time: Timestamp) -> String {
    let digits = format!(".{:06}", time.timestamp_subsec_micros());
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[test]
fn a_time_is_read_from_every_form_that_a_server_writes() {
    for_all(time, |time| {
        let (date, clock, fraction) = (time.format("%Y-%m-%d"), time.format("%H:%M:%S"), fraction(*time));
        for form in [
            format!("{date}T{clock}{fraction}+00:00"),
            format!("{date} {clock}{fraction}+00"),
            format!("{date}T{clock}{fraction}Z"),
            format!("{date}T{clock}{fraction}"),
        ] {
            assert_eq!(read(&form), Some(*time), "{form}");
        }
    });
}

#[test]
fn the_zone_that_a_time_is_written_in_does_not_change_it() {
    for_all(
        |rng| (time(rng), rng.i32(-15 * 4..=15 * 4) * 15 * 60),
        |(time, seconds)| {
            let there = time.with_timezone(&FixedOffset::east_opt(*seconds).unwrap());
            if (0..=9999).contains(&there.year()) {
                assert_eq!(
                    read(&there.to_rfc3339_opts(SecondsFormat::Micros, false)),
                    Some(*time),
                    "{there}"
                );
            }
        },
    );
}

#[test]
fn a_time_in_a_filter_ends_in_z_and_is_the_same_microsecond() {
    for_all(time, |time| {
        let written = written(*time);
        assert!(written.ends_with('Z') && !written.contains(['+', ' ']), "{written}");
        assert_eq!(read(&written), Some(*time));
    });
}

#[test]
fn times_beyond_all_calendars_are_read_and_written_as_such() {
    assert_eq!(read("infinity"), Some(Timestamp::MAX_UTC));
    assert_eq!(read("-infinity"), Some(Timestamp::MIN_UTC));
    assert_eq!(
        (written(Timestamp::MAX_UTC), written(Timestamp::MIN_UTC)),
        ("infinity".into(), "-infinity".into())
    );
    for_all(
        |rng| (rng.u32(1..=4713), rng.u32(10_000..=294_276), rng.u32(1..=12), rng.u32(1..=28)),
        |(before, after, month, day)| {
            for zone in ["T00:00:00+00:00", " 00:00:00+00"] {
                assert_eq!(
                    read(&format!("{before:04}-{month:02}-{day:02}{zone} BC")),
                    Some(Timestamp::MIN_UTC)
                );
                assert_eq!(read(&format!("{after}-{month:02}-{day:02}{zone}")), Some(Timestamp::MAX_UTC));
            }
        },
    );
}

#[test]
fn a_day_or_an_hour_that_is_none_makes_a_row_unreadable() {
    let parts = |rng: &mut Rng| {
        let mut parts =
            [2026, rng.u32(1..=12), rng.u32(1..=28), rng.u32(0..24), rng.u32(0..60), rng.u32(0..60)];
        let (at, value) = *rng
            .choice(&[(1, 0), (1, 13), (1, 99), (2, 0), (2, 32), (3, 24), (3, 99), (4, 60), (5, 61)])
            .unwrap();
        parts[at] = value;
        parts
    };
    for_all(parts, |[year, month, day, hour, minute, second]| {
        let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+00:00");
        assert_eq!(read(&text), None, "{text}");
    });
    for text in
        ["2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-06-31T00:00:00Z"]
    {
        assert_eq!(read(text), None, "{text}");
    }
    for_all(text, |text| assert!(read(text).is_none() || text.ends_with(" BC")));
}

#[test]
fn an_expiration_is_a_number_of_milliseconds_to_come() {
    for_all(
        |rng| rng.i64(NOW + 1..253_402_300_800_000),
        |milliseconds| {
            let fraction = format!("{milliseconds}.0999");
            for told in [Json::from(*milliseconds), milliseconds.to_string().into(), fraction.into()] {
                assert_eq!(granted(told).unwrap().timestamp_millis(), *milliseconds);
            }
        },
    );
    for_all(|rng| rng.i64(..=NOW), |milliseconds| assert_eq!(granted(milliseconds.to_string()), None));
    // From the year 10000 on PostgreSQL reads other digits than chrono prints.
    for_all(
        |rng| rng.i64(253_402_300_800_000..),
        |milliseconds| assert_eq!(granted(milliseconds.to_string()), None),
    );
    for_all(
        |rng| {
            let mut digits = rng.i64(NOW + 1..253_402_300_800_000).to_string();
            let at = rng.usize(0..=digits.len());
            digits.insert_str(
                at,
                rng.choice([" ", ",", "e", "x", "_", "٣", "\0", "-5-", "..", "0.5-"]).unwrap(),
            );
            digits
        },
        |text| assert_eq!(granted(text.as_str()), None),
    );
    for text in
        ["", "-", "+", "NaN", "Infinity", "1e13", "0x1", "9223372036854775808", "99999999999999999999999"]
    {
        assert_eq!(granted(text), None, "{text}");
    }
}
