//! The log: one flat JSON object a line. `event` and `level` always; no secret, no address, no calendar id.

use adapters::timestamp::format_timestamp;
use chrono::TimeDelta;
use protocol::Timestamp;
use protocol::event::{Event, Level};
use serde_json::{Map, Value as Json};

use crate::Function;
use crate::problem::Problem;

/// A line in the making.
struct Line {
    level: Level,
    fields: Map<String, Json>,
}

impl Line {
    fn new(level: Level, event: &str) -> Self {
        let level_name = match level {
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        Self { level, fields: Map::new() }.with("level", level_name).with("event", event)
    }

    fn with(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    fn with_time(self, name: &str, time: Option<Timestamp>) -> Self {
        self.with(name, time.map(format_timestamp))
    }

    fn finish(self) -> (Level, String) {
        (self.level, Json::Object(self.fields).to_string())
    }
}

/// The line of a request: what was asked and answered.
pub(crate) fn request_line(
    function: Function,
    method: &str,
    status: u16,
    note: Option<&str>,
    problem: Option<&Problem>,
    duration: TimeDelta,
) -> (Level, String) {
    let level = match status {
        500 => Level::Error,
        501.. => Level::Warn,
        _ => Level::Info,
    };
    let mut line = Line::new(level, "request")
        .with("function", function.name())
        .with("method", method.chars().filter(char::is_ascii_alphabetic).take(16).collect::<String>())
        .with("status", status)
        .with("duration_ms", duration.num_milliseconds());
    if let Some(note) = note {
        line = line.with("outcome", note);
    }
    if let Some(problem) = problem {
        line = line.with("code", problem.code());
    }
    if let Some(Problem::Misconfigured(misconfigured)) = problem {
        line = line.with("variable", misconfigured.variable).with("problem", misconfigured.problem);
    }
    line.finish()
}

/// The line of something that happened besides.
pub fn event_line(event: &Event) -> (Level, String) {
    let line = Line::new(event.level(), event.name());
    let line = match event {
        Event::RunSucceeded { connection, request, reason, duration, lag } => line
            .with("connection_id", connection.to_string())
            .with("request_id", request.to_string())
            .with("reason", reason.code())
            .with("duration_ms", millis(*duration))
            .with("lag_ms", lag.map(millis)),
        Event::RunFailed { connection, request, reason, failure, retry_at } => line
            .with("connection_id", connection.to_string())
            .with("request_id", request.to_string())
            .with("reason", reason.code())
            .with("code", failure.code())
            .with_time("retry_at", *retry_at),
        Event::RunLeaseLost { connection }
        | Event::RenewalSuperseded { connection }
        | Event::ChannelRetired { connection } => line.with("connection_id", connection.to_string()),
        Event::ChannelOpened { connection, channel, expiration } => line
            .with("connection_id", connection.to_string())
            .with("channel_id", channel.as_str())
            .with_time("expiration", Some(*expiration)),
        Event::RenewalFailed { connection, failure, retry_at } => line
            .with("connection_id", connection.to_string())
            .with("code", failure.code())
            .with_time("retry_at", *retry_at),
        Event::ChannelStopped { connection, channel } => {
            line.with("connection_id", connection.to_string()).with("channel_id", channel.as_str())
        }
        Event::ChannelNotStopped { connection, channel, failure } => line
            .with("connection_id", connection.to_string())
            .with("channel_id", channel.as_str())
            .with("status", failure.status),
        Event::UnreadableRow(row) => {
            line.with("connection_id", row.id.map(|id| id.to_string())).with("column", row.column.name())
        }
        Event::CallFailed { service, status, code } => {
            line.with("service", service.name()).with("status", *status).with("code", code.as_str())
        }
    };
    line.finish()
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
