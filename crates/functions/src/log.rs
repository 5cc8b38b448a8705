//! The log: one flat JSON object a line. `event` and `level` always; no secret, no address, no calendar id.

use adapters::json::{Field, object};
use adapters::timestamp::format_timestamp;
use chrono::TimeDelta;
use protocol::Timestamp;
use protocol::connection::{ChannelId, ConnectionId};
use protocol::event::{Event, Level};
use protocol::failure::Word;
use protocol::transition::Transition;

use crate::function::Function;
use crate::problem::Problem;
use crate::reply::Note;

/// A line with these fields after `level` and `event`.
fn line(level: Level, event: &str, fields: &[(&str, Field<'_>)]) -> (Level, String) {
    let level_name = match level {
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    let head = [("level", level_name.into()), ("event", event.into())];
    (level, object(&[&head, fields].concat()))
}

/// The line of a request: what was asked and answered.
pub(crate) fn request_line(
    function: Function,
    method: &str,
    status: u16,
    note: Option<Note>,
    problem: Option<&Problem>,
    duration: TimeDelta,
) -> (Level, String) {
    let level = match status {
        500 => Level::Error,
        501.. => Level::Warn,
        _ => Level::Info,
    };
    let method: String = method.chars().filter(char::is_ascii_alphabetic).take(16).collect();
    let mut fields = vec![
        ("function", function.name().into()),
        ("method", method.into()),
        ("status", status.into()),
        ("duration_ms", duration.num_milliseconds().into()),
    ];
    fields.extend(note.map(|note| ("outcome", note.outcome.into())));
    let connection = note.and_then(|note| note.connection);
    fields.extend(connection.map(|connection| ("connection_id", connection.to_string().into())));
    let request = note.and_then(|note| note.request);
    fields.extend(request.map(|request| ("request_id", request.to_string().into())));
    fields.extend(problem.map(|problem| ("code", problem.code().into())));
    if let Some(Problem::Misconfigured(misconfigured)) = problem {
        fields.push(("variable", misconfigured.variable.into()));
        fields.push(("problem", misconfigured.problem.into()));
    }
    line(level, "request", &fields)
}

/// The line of something that happened besides.
pub fn event_line(event: &Event) -> (Level, String) {
    let id = |connection: &ConnectionId| ("connection_id", connection.to_string().into());
    let time = |time: &Option<Timestamp>| time.map(format_timestamp).into();
    let fields = match event {
        Event::RunSucceeded { connection, request, reason, duration, lag } => vec![
            id(connection),
            ("request_id", request.to_string().into()),
            ("reason", reason.code().into()),
            ("duration_ms", millis(*duration).into()),
            ("lag_ms", lag.map(millis).into()),
        ],
        Event::RunSettled { connection, request, reason } => {
            vec![id(connection), ("request_id", request.to_string().into()), ("reason", reason.code().into())]
        }
        Event::NotificationMissed { connection, channel } | Event::ChannelRetired { connection, channel } => {
            vec![id(connection), ("channel_id", channel.as_ref().map(ChannelId::as_str).into())]
        }
        Event::SweepsMissing { connection, look_at } => {
            vec![id(connection), ("look_at", time(&Some(*look_at)))]
        }
        Event::LookFailed { connection, code, reason, look_at } => vec![
            id(connection),
            ("code", (*code).into()),
            ("reason", reason.as_ref().map(Word::as_str).into()),
            ("look_at", time(look_at)),
        ],
        Event::GoogleRefused { connection, failure, reason, retry_at } => vec![
            id(connection),
            ("code", failure.code().into()),
            ("reason", reason.as_ref().map(Word::as_str).into()),
            ("retry_at", time(&Some(*retry_at))),
        ],
        Event::RunFailed { connection, request, reason, failure, retry_at } => vec![
            id(connection),
            ("request_id", request.to_string().into()),
            ("reason", reason.code().into()),
            ("code", failure.code().into()),
            ("retry_at", time(retry_at)),
        ],
        Event::RunLeaseLost { connection }
        | Event::RenewalSuperseded { connection }
        | Event::RefreshTokenMissing { connection } => vec![id(connection)],
        Event::ChannelOpened { connection, channel, expiration } => vec![
            id(connection),
            ("channel_id", channel.as_str().into()),
            ("expiration", format_timestamp(*expiration).into()),
        ],
        Event::RenewalFailed { connection, failure, reason, retry_at } => vec![
            id(connection),
            ("code", failure.code().into()),
            ("reason", reason.as_ref().map(Word::as_str).into()),
            ("retry_at", time(retry_at)),
        ],
        Event::ChannelStopped { connection, channel } | Event::ChannelGone { connection, channel } => {
            vec![id(connection), ("channel_id", channel.as_str().into())]
        }
        Event::ChannelNotStopped { connection, channel, failure } => vec![
            id(connection),
            ("channel_id", channel.as_str().into()),
            ("code", failure.code().into()),
            ("reason", failure.reason().map(Word::as_str).into()),
        ],
        Event::UnreadableRow(row) => {
            let connection = row.id.map(|connection| connection.to_string());
            vec![("connection_id", connection.into()), ("column", row.column.name().into())]
        }
        Event::CallFailed { service, transition, status, code, refusal } => {
            let mut fields = vec![
                ("service", service.name().into()),
                ("transition", transition.map(Transition::name).into()),
                ("status", (*status).into()),
                ("code", code.as_str().into()),
            ];
            fields.extend(refusal.as_deref().map(|refusal| ("message", refusal.into())));
            fields
        }
    };
    line(event.level(), event.name(), &fields)
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
