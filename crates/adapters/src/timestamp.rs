//! Timestamps as PostgREST, `@supabase/lite` and Google write them.

use chrono::{DateTime, Datelike, SecondsFormat, TimeDelta};
use protocol::Timestamp;

/// Reads what PostgreSQL prints: `2026-01-01T00:00:00.123456+00:00` (PostgREST) or `2026-01-01 00:00:00+00` (lite).
/// `infinity`, years beyond 9999 and years before Christ become the nearest time that can be held.
pub fn parse_timestamp(text: &str) -> Option<Timestamp> {
    match text {
        "infinity" => return Some(Timestamp::MAX_UTC),
        "-infinity" => return Some(Timestamp::MIN_UTC),
        _ if text.ends_with(" BC") => return Some(Timestamp::MIN_UTC),
        _ => {}
    }
    if text.bytes().take_while(u8::is_ascii_digit).count() > 4 {
        return Some(Timestamp::MAX_UTC);
    }
    // To RFC 3339, which chrono reads at a tenth of the size of its general parser: `T` between date and time, and a
    // whole zone, UTC where the column of some host has none.
    let (date, time) = text.split_once(['T', ' '])?;
    let (time, zone) = time.split_at(time.find(['+', '-', 'Z']).unwrap_or(time.len()));
    // Before zones were made even, they had seconds: in a database that prints them, so has the epoch.
    let (zone, seconds) = match zone.len() {
        0 => ("Z".to_owned(), 0),
        3 => (format!("{zone}:00"), 0),
        9 => {
            let (zone, seconds) = zone.split_at_checked(6)?;
            let digits =
                seconds.strip_prefix(':').filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
            (zone.to_owned(), digits.parse().ok().filter(|seconds| *seconds < 60)?)
        }
        _ => (zone.to_owned(), 0),
    };
    let time = DateTime::parse_from_rfc3339(&format!("{date}T{time}{zone}")).ok()?.to_utc();
    let seconds = TimeDelta::seconds(seconds);
    if zone.starts_with('-') { time.checked_add_signed(seconds) } else { time.checked_sub_signed(seconds) }
}

/// Writes a time for a filter or a column, to the microsecond and ending in `Z`: a `+` in a query string reads as a
/// space.
pub fn format_timestamp(time: Timestamp) -> String {
    if time == Timestamp::MAX_UTC {
        "infinity".to_owned()
    } else if time == Timestamp::MIN_UTC {
        "-infinity".to_owned()
    } else {
        time.to_rfc3339_opts(SecondsFormat::Micros, true)
    }
}

/// Google's expirations, milliseconds since 1970, up to the year 9999, after which PostgreSQL does not understand what
/// chrono prints.
pub fn parse_epoch_millis(millis: u64) -> Option<Timestamp> {
    DateTime::from_timestamp_millis(i64::try_from(millis).ok()?).filter(|time| time.year() <= 9999)
}

/// Reads HTTP's dates as they are written today: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7).
pub fn parse_http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: &str = "Jan01 Feb02 Mar03 Apr04 May05 Jun06 Jul07 Aug08 Sep09 Oct10 Nov11 Dec12";
    let (_weekday, date) = text.strip_suffix(" GMT")?.split_once(", ")?;
    let (day, date) = date.split_once(' ')?;
    let (month, date) = date.split_once(' ')?;
    let (year, time) = date.split_once(' ')?;
    let month = MONTHS.split(' ').find_map(|number| number.strip_prefix(month))?;
    parse_timestamp(&[year, "-", month, "-", day, "T", time, "Z"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_time_is_read() {
        for (text, expected) in [
            ("2026-01-02T03:04:05+00:00", "2026-01-02T03:04:05.000000Z"),
            ("2026-01-02T03:04:05.123456+00:00", "2026-01-02T03:04:05.123456Z"),
            ("2026-01-02T03:04:05.12Z", "2026-01-02T03:04:05.120000Z"),
            ("2026-01-02T05:04:05+02:00", "2026-01-02T03:04:05.000000Z"),
            ("2026-01-02 03:04:05+00", "2026-01-02T03:04:05.000000Z"),
            ("2026-01-02 03:04:05.5+00", "2026-01-02T03:04:05.500000Z"),
            ("1969-12-31T23:15:30-00:44:30", "1970-01-01T00:00:00.000000Z"),
            ("1900-01-01T00:19:32+00:19:32", "1900-01-01T00:00:00.000000Z"),
            ("2026-01-02 08:34:05+05:30", "2026-01-02T03:04:05.000000Z"),
            ("2026-01-02T03:04:05", "2026-01-02T03:04:05.000000Z"),
            ("1970-01-01T00:00:00+00:00", "1970-01-01T00:00:00.000000Z"),
            ("infinity", "infinity"),
            ("-infinity", "-infinity"),
            ("294276-12-31T23:59:59+00:00", "infinity"),
            ("0044-03-15T00:00:00+00:00 BC", "-infinity"),
        ] {
            assert_eq!(parse_timestamp(text).map(format_timestamp).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            "soon",
            "2026-13-01T00:00:00Z",
            "2026-01-02",
            "1e9",
            "2026-01-02T03:04:05+00:00:60",
            "2026-01-02T03:04:05+00:00:+5",
            "2026-01-02T03:04:05+00:00.05",
        ] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
    }

    #[test]
    fn a_date_of_http_is_read_as_it_is_written_today() {
        let date = parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").map(format_timestamp);
        assert_eq!(date.as_deref(), Some("1994-11-06T08:49:37.000000Z"));
        for text in [
            "",
            "GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT GMT",
        ] {
            assert_eq!(parse_http_date(text), None, "{text}");
        }
    }

    #[test]
    fn an_expiration_lies_before_the_year_10000() {
        assert_eq!(
            parse_epoch_millis(1_426_325_213_000).map(format_timestamp).as_deref(),
            Some("2015-03-14T09:26:53.000000Z")
        );
        assert!(parse_epoch_millis(253_402_300_799_999).is_some());
        for millis in [253_402_300_800_000, 9_223_372_036_854_775_807, u64::MAX] {
            assert_eq!(parse_epoch_millis(millis), None, "{millis}");
        }
    }
}
