//! What happens in a history, for people to read.

use protocol::Timestamp;
use protocol::failure::RunFailure;
use protocol::look::Seen;
use protocol::table::{Column, Value};
use uuid::Uuid;

use crate::fact::{Answer, Deed, Fact, Step};
use crate::subject::{Invocation, connection_of, short};
use crate::time::{Instant, SECOND, instant, seconds};

#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) connection: Option<usize>,
    pub(crate) text: String,
}

impl Line {
    pub(crate) fn new(at: Instant, connection: Option<usize>, what: &str) -> Self {
        let whose = connection.map_or_else(|| "  ".to_owned(), |number| format!("c{number}"));
        Self { connection, text: format!("{:>11} {whose} {what}", seconds(at)) }
    }

    /// None = not worth a line.
    pub(crate) fn of(at: Instant, fact: &Fact<'_>) -> Option<Self> {
        let (connection, what) = tell(fact)?;
        Some(Self::new(at, connection, &what))
    }
}

fn tell(fact: &Fact<'_>) -> Option<(Option<usize>, String)> {
    Some(match fact {
        Fact::Connected { connection, broken, .. } => {
            let broken = broken.map(|broken| format!("; for good: {broken:?}"));
            (Some(*connection), format!("connects{}", broken.unwrap_or_default()))
        }
        Fact::Written { connection, set, .. } => {
            (Some(*connection), format!("the host writes {}", list(set)))
        }
        Fact::Deleted { connection } => (Some(*connection), "the host deletes the row".to_owned()),
        Fact::Planned { calendar, plans } => {
            // Every user has two accounts.
            let which = if calendar.second { "second calendar" } else { "calendar" };
            let account = calendar.account;
            (Some(account / 2), format!("plans {} in the {which} of account {account}", plans.0))
        }
        Fact::Changed { connection, unseen, own, .. } => {
            let unseen = if *unseen { ", and no channel tells" } else { "" };
            let by = if *own { " by the host's own writes" } else { "" };
            (Some(*connection), format!("calendar changes{by}{unseen}"))
        }
        Fact::LookArrived { invocation, connection, answer, .. } => {
            let what = match answer {
                Ok(look) => format!("finds {}", contents(&look.seen)),
                Err(failure) => format!("finds {}", failure.code()),
            };
            (Some(*connection), format!("{invocation} looks and {what}"))
        }
        Fact::Revoked { connection, .. } => (*connection, "revokes the consent".to_owned()),
        Fact::ChannelOpened(channel) => {
            (channel.connection, format!("Google opens channel {}", short(&channel.id)))
        }
        Fact::ChannelStopped { connection, channel } => {
            (*connection, format!("Google stops channel {}", short(channel)))
        }
        Fact::ChannelForgotten { connection, channel } => {
            (Some(*connection), format!("Google forgets channel {}", short(channel)))
        }
        Fact::CalendarGone { connection, .. } => {
            (Some(*connection), "Google tells nobody that the calendar is gone".to_owned())
        }
        Fact::Notified { connection, notification: told } => {
            let (channel, state, number) = (short(&told.channel), told.state, told.number);
            (*connection, format!("Google notifies {channel} {state:?} {number}"))
        }
        Fact::Applied(Step { invocation, connection, transition, set, .. }) => {
            (Some(*connection), format!("{invocation} {}: {}", transition.name(), list(set)))
        }
        Fact::Missed { invocation, connection, transition, set } => {
            (*connection, format!("{invocation} {} meets no row: {}", transition.name(), list(set)))
        }
        Fact::RunStarted(run) => {
            let read = run.read.map_or_else(|| "nothing".to_owned(), |(_, plans)| plans.0.to_string());
            let (holder, request) = (run.holder, last(run.request.0));
            (Some(run.connection), format!("{holder} calls run …{request}, which reads {read}"))
        }
        Fact::RunEnded(run) => {
            let how = if run.succeeds { "writes the schedule" } else { "fails" };
            (Some(run.connection), format!("run …{} {how}", last(run.request.0)))
        }
        Fact::Of(invocation, deed) => return tell_deed(*invocation, deed),
        _ => return None,
    })
}

fn tell_deed(invocation: Invocation, deed: &Deed<'_>) -> Option<(Option<usize>, String)> {
    let (connection, what) = match deed {
        Deed::Logs(event) => (Some(connection_of(event)?), format!("logs {}", event.name())),
        Deed::Hears(Answer::Run { connection, result: Err(RunFailure::RateLimited { .. }) }) => {
            (Some(*connection), "is refused a nested call".to_owned())
        }
        Deed::StandsStill(pause) => {
            (invocation.connection(), format!("stands still for {} s", pause / SECOND))
        }
        Deed::Crashes => (invocation.connection(), "crashes".to_owned()),
        _ => return None,
    };
    Some((connection, format!("{invocation} {what}")))
}

fn list(set: &[(Column, Value)]) -> String {
    let set = set.iter().map(|(column, value)| {
        let value = match value {
            Value::Time(time) if *time == Timestamp::default() => "epoch".to_owned(),
            Value::Time(time) => seconds(instant(*time)),
            Value::Uuid(id) => format!("…{}", last(*id)),
            Value::Text(text) => text.get(..6).unwrap_or(text).to_owned(),
            value => format!("{value:?}"),
        };
        format!("{}={value}", column.name())
    });
    set.collect::<Vec<_>>().join(" ")
}

/// The beginning of a digest is enough to tell it from others.
fn contents(seen: &Seen) -> String {
    let [plans, sessions, time @ .., _, _] = seen.digest.0;
    let rest = time.iter().fold(0_u64, |rest, byte| rest.wrapping_mul(31).wrapping_add((*byte).into()));
    format!(
        "{plans} and sessions {sessions}-{:02x} since {}",
        rest & 0xff,
        seconds(instant(seen.anchor.time()))
    )
}

/// The random end of a UUID.
fn last(id: Uuid) -> String {
    format!("{:04x}", id.as_u128() & 0xffff)
}
