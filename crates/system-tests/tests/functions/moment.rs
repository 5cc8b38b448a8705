//! Times, as rows and ids tell them.

use std::fmt::Debug;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use system_tests::time;
use uuid::Uuid;

/// From now, in seconds.
#[track_caller]
pub(crate) fn seconds_ahead(value: &Value) -> f64 {
    (time(value) - Utc::now()).as_seconds_f64()
}

pub(crate) fn ago(seconds: i64) -> DateTime<Utc> {
    Utc::now() - TimeDelta::seconds(seconds)
}

/// The time of a UUIDv7.
#[track_caller]
pub(crate) fn born(id: Uuid) -> DateTime<Utc> {
    assert_eq!(id.get_version_num(), 7, "{id}");
    let milliseconds = id.as_u128() >> 80;
    DateTime::from_timestamp_millis(i64::try_from(milliseconds).unwrap()).unwrap()
}

/// A UUIDv7 of this time.
pub(crate) fn uuid_born(at: DateTime<Utc>) -> Uuid {
    let milliseconds = u128::try_from(at.timestamp_millis()).unwrap() << 80;
    let rest = Uuid::new_v4().as_u128() & !(0xffff_ffff_ffff_f000_0000_0000_0000_0000);
    Uuid::from_u128(milliseconds | (0x7000 << 64) | rest)
}

#[track_caller]
pub(crate) fn assert_between<T: PartialOrd + Debug>(value: T, least: T, most: T, what: &str) {
    assert!(value >= least && value <= most, "{what}: {value:?} is not between {least:?} and {most:?}");
}
