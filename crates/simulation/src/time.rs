//! Virtual time: microseconds since the Unix epoch.

use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use protocol::Timestamp;

/// A point in virtual time, or a span of it.
pub(crate) type Instant = i64;

pub(crate) const MILLISECOND: Instant = 1_000;
pub(crate) const SECOND: Instant = 1_000_000;
pub(crate) const MINUTE: Instant = 60 * SECOND;
pub(crate) const HOUR: Instant = 60 * MINUTE;

/// When every history starts: 2026-06-01T00:00:00Z.
pub(crate) const START: Instant = 1_780_272_000 * SECOND;

pub(crate) fn timestamp(instant: Instant) -> Timestamp {
    DateTime::from_timestamp_micros(instant).unwrap_or_default()
}

pub(crate) fn instant(timestamp: Timestamp) -> Instant {
    timestamp.timestamp_micros()
}

/// A span as the protocol's schedule and its dates have it.
pub(crate) const fn delta(delta: TimeDelta) -> Instant {
    match delta.num_microseconds() {
        Some(micros) => micros,
        None => Instant::MAX / 4,
    }
}

/// A span as timeouts have it.
pub(crate) const fn micros(duration: Duration) -> Instant {
    let micros = duration.as_micros();
    if micros < i64::MAX as u128 / 4 { micros as Instant } else { Instant::MAX / 4 }
}

/// How far into the history, in seconds.
pub(crate) fn seconds(instant: Instant) -> String {
    let (sign, since) = if instant < START { ("-", START - instant) } else { ("", instant - START) };
    let millis = (since + MILLISECOND / 2) / MILLISECOND;
    format!("{sign}{}.{:03}", millis / 1000, millis % 1000)
}
