//! An event as it is sent and stored, and when it is.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde_json::{Map, Value};

use crate::model::error::ApiError;

pub(crate) type Resource = Map<String, Value>;

/// From when to when the event lasts. Days count in UTC, the time zone of every calendar here.
pub(crate) fn span(event: &Resource) -> Result<(DateTime<Utc>, DateTime<Utc>), ApiError> {
    let (start, end) = (moment(event, "start")?, moment(event, "end")?);
    if end < start { Err(ApiError::of("timeRangeEmpty")) } else { Ok((start, end)) }
}

fn moment(event: &Resource, field: &str) -> Result<DateTime<Utc>, ApiError> {
    let Some(value) = event.get(field).and_then(Value::as_object).filter(|value| !value.is_empty()) else {
        return Err(ApiError::new(400, "required", format!("Missing {field} time.")));
    };
    let invalid = || ApiError::invalid(format!("Invalid {field} time."));
    match (value.get("date").and_then(Value::as_str), value.get("dateTime").and_then(Value::as_str)) {
        (Some(date), None) => {
            let date: NaiveDate = date.parse().map_err(|_| invalid())?;
            Ok(date.and_time(NaiveTime::MIN).and_utc())
        }
        (None, Some(time)) => match DateTime::parse_from_rfc3339(time) {
            Ok(time) => Ok(time.to_utc()),
            Err(_) => local_time(time, value.get("timeZone")).ok_or_else(invalid),
        },
        _ => Err(invalid()),
    }
}

/// A time without an offset; UTC is the only time zone known here by name.
fn local_time(time: &str, zone: Option<&Value>) -> Option<DateTime<Utc>> {
    let zone = zone.and_then(Value::as_str).filter(|zone| matches!(*zone, "UTC" | "Etc/UTC" | "GMT"));
    zone.and_then(|_| time.parse().ok()).map(|time: chrono::NaiveDateTime| time.and_utc())
}
