//! Recurring events. A series is one event; an instance that is not as the series has it is another, its exception.
//! <https://developers.google.com/workspace/calendar/api/guides/recurringevents>

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::model::error::ApiError;
use crate::model::resource::{Resource, span};

pub(crate) fn is_series(event: &Resource) -> bool {
    event.get("recurrence").and_then(Value::as_array).is_some_and(|lines| !lines.is_empty())
}

/// Whether the recurrence of an event that is to be stored can be one.
pub(crate) fn check(event: &Resource) -> Result<(), ApiError> {
    let lines = match event.get("recurrence") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Array(lines)) if lines.is_empty() => return Ok(()),
        Some(Value::Array(lines)) => lines,
        Some(_) => return Err(ApiError::invalid("Invalid value for: recurrence")),
    };
    let invalid = || ApiError::invalid("Invalid recurrence rule.");
    for line in lines {
        let (kind, value) = line.as_str().and_then(|line| line.split_once([':', ';'])).ok_or_else(invalid)?;
        match kind {
            "RRULE" | "EXRULE" if part(value, "FREQ").is_some() => {}
            "RDATE" | "EXDATE" => {}
            _ => return Err(invalid()),
        }
    }
    for field in ["start", "end"] {
        let has = |key: &str| event.get(field).and_then(|time| time.get(key)).is_some_and(Value::is_string);
        if has("dateTime") && !has("timeZone") {
            let message = format!("Missing time zone definition for {field} time.");
            return Err(ApiError::new(400, "required", message));
        }
    }
    Ok(())
}

/// The end of the last instance, or somewhat later; none = there is always another. Rules that choose days within
/// their interval are not worked out.
pub(crate) fn end(series: &Resource) -> Option<DateTime<Utc>> {
    let (start, end) = span(series).ok()?;
    let lines = series.get("recurrence").and_then(Value::as_array)?;
    let mut last = start;
    for line in lines.iter().filter_map(Value::as_str) {
        if line.starts_with("RDATE") {
            return None;
        }
        let Some(rule) = line.strip_prefix("RRULE:") else { continue };
        let number = |name: &str| part(rule, name).and_then(|number| number.parse::<i32>().ok());
        let until = part(rule, "UNTIL").and_then(moment);
        let days = match part(rule, "FREQ")? {
            "DAILY" => 1,
            "WEEKLY" => 7,
            "MONTHLY" => 31,
            "YEARLY" => 366,
            _ => return None,
        };
        let counted =
            || Some(start + TimeDelta::days(days) * number("INTERVAL").unwrap_or(1) * number("COUNT")?);
        last = last.max(until.or_else(counted)?);
    }
    Some(last + (end - start))
}

/// The instance of a series that `id` names: the id of the series, an underscore, and when it would have begun. Any
/// time since the first instance is taken for one.
pub(crate) fn instance(series: &Resource, id: &str) -> Option<Resource> {
    let (_, suffix) = id.rsplit_once('_')?;
    let is_of_days = series.get("start")?.get("date").is_some();
    let at = moment(suffix).filter(|_| suffix.contains('T') != is_of_days)?;
    let (start, end) = span(series).ok()?;
    if at < start {
        return None;
    }
    let time = |field: &str, at: DateTime<Utc>| {
        if is_of_days {
            return json!({"date": at.format("%Y-%m-%d").to_string()});
        }
        let zone = series.get(field).and_then(|time| time.get("timeZone"));
        json!({"dateTime": at.format("%Y-%m-%dT%H:%M:%SZ").to_string(), "timeZone": zone})
    };
    let mut instance = series.clone();
    instance.remove("recurrence");
    for (field, value) in [
        ("id", id.into()),
        ("recurringEventId", series.get("id")?.clone()),
        ("originalStartTime", time("start", at)),
        ("start", time("start", at)),
        ("end", time("end", at + (end - start))),
    ] {
        instance.insert(field.to_owned(), value);
    }
    Some(instance)
}

/// All that is told of an instance that does not take place.
pub(crate) fn cancelled(exception: &Resource) -> Resource {
    let told = ["kind", "etag", "id", "status", "recurringEventId", "originalStartTime"];
    let fields = exception.iter().filter(|(field, _)| told.contains(&field.as_str()));
    fields.map(|(field, value)| (field.clone(), value.clone())).collect()
}

/// A part of a rule: `COUNT` of `FREQ=DAILY;COUNT=3`.
fn part<'a>(rule: &'a str, name: &str) -> Option<&'a str> {
    rule.split(';').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

/// `20300301` or `20300301T090000Z`.
fn moment(text: &str) -> Option<DateTime<Utc>> {
    let time = NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ").ok();
    let day = || Some(NaiveDate::parse_from_str(text, "%Y%m%d").ok()?.and_time(NaiveTime::MIN));
    Some(time.or_else(day)?.and_utc())
}
