//! What the documentation says of values that occur in many places, written anew.

use serde_json::Value as Json;
use url::Url;

/// An answer's status, on a line of its own, and its body. Without one it is 200.
pub(crate) fn status_and_body(data: &[u8]) -> (u16, &[u8]) {
    let line_end = data.iter().position(|byte| *byte == b'\n');
    let split = line_end.and_then(|at| Some((data.get(..at)?, data.get(at + 1..)?)));
    let status = split.and_then(|(line, _)| std::str::from_utf8(line).ok()?.parse().ok());
    match (status, split) {
        (Some(status @ 200..=599), Some((_, body))) => (status, body),
        _ => (200, data),
    }
}

/// A UUID in any of its written forms (RFC 9562): with or without dashes, in braces, as URN; in lower case with dashes.
pub(crate) fn uuid(text: &str) -> Option<String> {
    let dashed = text.strip_prefix("urn:uuid:").or_else(|| text.strip_prefix('{')?.strip_suffix('}'));
    let groups: Vec<&str> = match dashed {
        Some(dashed) => dashed.split('-').collect(),
        None if text.contains('-') => text.split('-').collect(),
        None => {
            let cut = |from, to| text.get(from..to);
            vec![cut(0, 8)?, cut(8, 12)?, cut(12, 16)?, cut(16, 20)?, text.get(20..)?]
        }
    };
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let is_hex = groups.iter().all(|group| group.chars().all(|c| c.is_ascii_hexdigit()));
    (lengths == [8, 4, 4, 4, 12] && is_hex).then(|| groups.join("-").to_ascii_lowercase())
}

/// One that may stand in a header as it is.
pub(crate) fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| ('!'..='~').contains(&c))
}

/// A point in time as PostgreSQL prints it, in microseconds since 1970. What lies beyond the years 0 to 9999 is only
/// told apart by its sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Time {
    Before,
    At(i128),
    After,
}

pub(crate) fn time(text: &str) -> Option<Time> {
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    match text {
        "infinity" => return Some(Time::After),
        "-infinity" => return Some(Time::Before),
        _ if text.ends_with(" BC") => return Some(Time::Before),
        _ if digits > 4 => return Some(Time::After),
        _ => {}
    }
    let mut rest = text;
    let [year, month, day] =
        [number(&mut rest, 4, "-")?, number(&mut rest, 2, "-")?, number(&mut rest, 2, "T ")?];
    let [hour, minute] = [number(&mut rest, 2, ":")?, number(&mut rest, 2, ":")?];
    let second = number(&mut rest, 2, "")?;
    let mut microseconds = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.chars().take_while(char::is_ascii_digit).count();
        let (fraction, zone) = fraction.split_at_checked(digits).filter(|_| digits > 0)?;
        let padded: String = fraction.chars().chain("000000".chars()).take(6).collect();
        microseconds = padded.parse().ok()?;
        rest = zone;
    }
    let offset = match rest {
        "" | "Z" => 0,
        _ => {
            let sign = if rest.starts_with('-') { -1 } else { 1 };
            let mut zone = rest.strip_prefix(['+', '-'])?;
            let mut parts = vec![number(&mut zone, 2, "")?];
            while let Some(mut part) = zone.strip_prefix(':').filter(|_| parts.len() < 3) {
                parts.push(number(&mut part, 2, "")?);
                zone = part;
            }
            let limits = [(23, 3600), (59, 60), (59, 1)];
            if !zone.is_empty() || parts.iter().zip(limits).any(|(part, (most, _))| *part > most) {
                return None;
            }
            sign * parts.iter().zip(limits).map(|(part, (_, seconds))| part * seconds).sum::<i128>()
        }
    };
    let days_in_month = match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    // A second 60 is a leap second.
    if !(1..=days_in_month).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let minutes = (days_since_1970(year, month, day) * 24 + hour) * 60 + minute;
    Some(Time::At((minutes * 60 + second - offset) * 1_000_000 + microseconds))
}

/// Takes a number of so many digits off the front, and one of the characters behind it if any are given.
fn number(rest: &mut &str, length: usize, ends: &str) -> Option<i128> {
    let digits = rest.chars().take_while(char::is_ascii_digit).count();
    let (number, behind) = rest.split_at_checked(digits).filter(|_| digits == length)?;
    *rest = match ends {
        "" => behind,
        _ => behind.strip_prefix(|c| ends.contains(c))?,
    };
    number.parse().ok()
}

/// In the Gregorian calendar, counting from March: the days of the years, of the months, and the day.
fn days_since_1970(year: i128, month: i128, day: i128) -> i128 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

/// The filters of a request to PostgREST, sorted: its parameters but for those that say what is returned.
pub(crate) fn filters(url: &str) -> Vec<(String, String)> {
    let url = Url::parse(url);
    assert!(url.is_ok(), "an address that is none");
    let mut filters: Vec<_> =
        url.iter().flat_map(Url::query_pairs).map(|(a, b)| (a.into(), b.into())).collect();
    filters.retain(|(name, _): &(String, String)| !["select", "order", "limit"].contains(&name.as_str()));
    filters.sort();
    filters
}

/// Asserts that none of the secrets is in the text. Words without a digit or a sign may be anywhere.
pub(crate) fn assert_hidden<'a>(text: &str, secrets: impl IntoIterator<Item = &'a str>) {
    for secret in secrets {
        let is_word = secret.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
        assert!(secret.len() < 12 || is_word || !text.contains(secret), "{secret:?} is told: {text}");
    }
}

/// The strings of a JSON value, however deep.
pub(crate) fn strings<'a>(json: &'a Json, found: &mut Vec<&'a str>) {
    match json {
        Json::String(text) => found.push(text),
        Json::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Json::Object(fields) => fields.values().for_each(|field| strings(field, found)),
        _ => {}
    }
}
