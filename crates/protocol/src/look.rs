//! A look: one reading of a calendar, to see whether it is as the last successful run found it. It decides nothing by
//! itself, and what it cannot tell never skips a run.
//!
//! What is kept of a look is where it began, its [`Anchor`], and a [`Digest`] of the contents of the events from there
//! on. Two looks compare only from the same anchor, so a look that is to be compared takes that of the one before it.

use std::fmt;

use chrono::{DateTime, TimeDelta};

use crate::Timestamp;
use crate::failure::Refused;
use crate::table::Value;

/// How far before the first look the calendar is read: what has just ended may still matter to a schedule.
const BEFORE_THE_FIRST_LOOK: TimeDelta = TimeDelta::days(1);
/// An older anchor is given up, or a calendar would be read from ever further back.
const ANCHOR_LASTS: TimeDelta = TimeDelta::days(30);
const FAR_AHEAD: TimeDelta = TimeDelta::days(10 * 365);
/// What is kept of a calendar's name, in characters. Google takes no longer ones than 254.
const LONGEST_NAME: usize = 254;

/// Events that end after this moment are looked at. A whole second: Google ignores what is finer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor(Timestamp);

impl Anchor {
    /// The anchor of a look at `now` that is to be compared with `seen`: the same, as long as it lasts. One that lies
    /// ahead would hide what is going on, and counts as none.
    pub fn of_look(now: Timestamp, seen: Option<&Seen>) -> Self {
        let lasts = |anchor: &Self| {
            let age = now.signed_duration_since(anchor.0);
            age >= TimeDelta::zero() && age < ANCHOR_LASTS
        };
        seen.map(|seen| seen.anchor).filter(lasts).unwrap_or_else(|| {
            let seconds = (now - BEFORE_THE_FIRST_LOOK).timestamp();
            Self(DateTime::from_timestamp(seconds, 0).unwrap_or_default())
        })
    }

    /// So far ahead that only series without an end are listed: of a look that only learns whether the calendar may be
    /// read.
    pub fn far_ahead(now: Timestamp) -> Self {
        Self(DateTime::from_timestamp((now + FAR_AHEAD).timestamp(), 0).unwrap_or_default())
    }

    pub const fn time(self) -> Timestamp {
        self.0
    }
}

/// SHA-256 of the contents of a calendar's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

/// What a look saw. Written as `1 1767225600 ` and 64 hex digits: a version, which changes with whatever goes into the
/// digest, the anchor in seconds since 1970, the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub anchor: Anchor,
    pub digest: Digest,
}

const VERSION: &str = "1";

impl Seen {
    /// Reads what stands in `sync_seen`. Whatever this version would not have written is not known.
    pub fn parse(text: &str) -> Option<Self> {
        let (anchor, digest) = text.strip_prefix(VERSION)?.strip_prefix(' ')?.split_once(' ')?;
        let anchor = Anchor(DateTime::from_timestamp(anchor.parse().ok()?, 0)?);
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(digest.get(2 * index..2 * index + 2)?, 16).ok()?;
        }
        let seen = Self { anchor, digest: Digest(bytes) };
        (seen.to_string() == text).then_some(seen)
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION} {} ", self.anchor.0.timestamp())?;
        self.digest.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl From<&Seen> for Value {
    fn from(seen: &Seen) -> Self {
        Self::Text(seen.to_string())
    }
}

/// What a calendar is called, for people; of a primary calendar it is the account's address. Never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct CalendarName(String);

impl CalendarName {
    /// Of Google's `summary`; none where nothing is left of it without control characters, of which PostgreSQL cannot
    /// hold one at all.
    pub fn parse(summary: &str) -> Option<Self> {
        let name: String = summary.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
        let name = name.trim();
        (!name.is_empty()).then(|| Self(name.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CalendarName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl From<&CalendarName> for Value {
    fn from(name: &CalendarName) -> Self {
        Self::Text(name.0.clone())
    }
}

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// What was read, in bytes.
    pub size: usize,
    pub seen: Seen,
    pub calendar_name: Option<CalendarName>,
}

impl Look {
    /// Whether it shows the calendar exactly as the last successful run found it. Only then may a run be skipped: what
    /// was not known then skips none.
    pub fn shows_no_change(&self, seen: Option<&Seen>) -> bool {
        Some(&self.seen) == seen
    }
}

/// Why a look found nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookFailure {
    /// The access token is not valid (any more): renew it, once. With what it is where the new one is not valid either.
    Unauthorized(Refused),
    /// Google refused, or did not answer: to be booked as a renewal's would be, where it does not pass by itself.
    Refused(Refused),
    /// There is more in the calendar than a look reads, or than Google tells in the time that the look has.
    TooLarge,
    /// Google answered, but what it says makes no sense.
    Doubtful,
}

impl LookFailure {
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unauthorized(_) => "unauthorized",
            Self::Refused(refused) => refused.failure.code(),
            Self::TooLarge => "calendar_too_large",
            Self::Doubtful => "calendar_unreadable",
        }
    }

    /// Whether Google let us read, and what it said does not tell how the calendar is: not known, so a run is due
    /// where a look was.
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::TooLarge | Self::Doubtful)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "1 1767225600 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn seconds(seconds: i64) -> Timestamp {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn seen() -> Seen {
        Seen::parse(TEXT).unwrap()
    }

    #[test]
    fn what_was_seen_is_read_as_it_was_written() {
        assert_eq!(seen().anchor.time(), seconds(1_767_225_600));
        assert_eq!(seen().digest.0[..3], [0x00, 0x11, 0x22]);
        assert_eq!(seen().to_string(), TEXT);
    }

    #[test]
    fn whatever_this_version_would_not_have_written_is_not_known() {
        for text in [
            "",
            "1",
            "2 1767225600 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
            "1 1767225600 00112233445566778899aabbccddeeff00112233445566778899aabbccddeef",
            "1 1767225600 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff0",
            "1 1767225600 00112233445566778899aabbccddeeff00112233445566778899aabbccddeefg",
            "1 1767225600 00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff",
            "1 1767225600 +0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
            "1 1767225600 ü112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
            "1 +1767225600 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
            "1 01767225600 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
            "1 1767225600.5 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
            "1 9223372036854775807 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
            " 1 1767225600 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
            "1 1767225600 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff ",
            "1  1767225600 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
            "rotated",
        ] {
            assert_eq!(Seen::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_first_look_begins_a_day_back_at_a_whole_second() {
        let now = seconds(1_767_225_600) + TimeDelta::milliseconds(999);
        assert_eq!(Anchor::of_look(now, None).time(), seconds(1_767_225_600 - 86_400));
    }

    #[test]
    fn a_later_look_begins_where_the_one_before_it_did_for_thirty_days() {
        let anchor = seen().anchor.time();
        for (age, kept) in [
            (TimeDelta::zero(), true),
            (TimeDelta::days(1), true),
            (TimeDelta::days(30) - TimeDelta::microseconds(1), true),
            (TimeDelta::days(30), false),
            (TimeDelta::days(3000), false),
            (TimeDelta::microseconds(-1), false),
        ] {
            let now = anchor + age;
            let expected = if kept { seen().anchor } else { Anchor::of_look(now, None) };
            assert_eq!(Anchor::of_look(now, Some(&seen())), expected, "{age}");
        }
    }

    #[test]
    fn only_the_same_digest_from_the_same_anchor_shows_no_change() {
        let look = |seen| Look { size: 0, seen, calendar_name: None };
        let other_digest = Seen { digest: Digest([0; 32]), ..seen() };
        let other_anchor = Seen { anchor: Anchor(seconds(0)), ..seen() };
        assert!(look(seen()).shows_no_change(Some(&seen())));
        for (found, before) in [(seen(), None), (other_digest, Some(seen())), (other_anchor, Some(seen()))] {
            assert!(!look(found).shows_no_change(before.as_ref()), "{found:?}");
        }
    }

    #[test]
    fn a_name_is_kept_without_what_a_column_cannot_hold() {
        let name = |summary: &str| CalendarName::parse(summary).map(|name| name.as_str().to_owned());
        for (summary, kept) in [
            ("Work", Some("Work")),
            (" ada@example.com\n", Some("ada@example.com")),
            ("a\0b\u{1b}\u{85}c", Some("abc")),
            ("", None),
            (" \t\0", None),
        ] {
            assert_eq!(name(summary).as_deref(), kept, "{summary:?}");
        }
        assert_eq!(name(&"ü".repeat(1000)).map(|name| name.chars().count()), Some(254));
        assert_eq!(format!("{:?}", CalendarName::parse("Work")), "Some([redacted])");
    }
}
