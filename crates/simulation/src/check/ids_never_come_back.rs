//! An id that is out of both columns never comes back, and Google is not asked for a channel by one that was replaced.

use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::check::record::connection::{given_up, ids};
use crate::fact::{Deed, Fact, Request};
use crate::subject::short;
use crate::time::Instant;

#[derive(Default)]
pub(super) struct IdsNeverComeBack;

impl Check for IdsNeverComeBack {
    fn read(&mut self, record: &Record, _: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        match fact {
            Fact::Applied(step) => {
                let gone = record.case(step.connection).map_or(&[][..], |case| &case.gone);
                let mut gone = gone.iter().map(|(id, _)| id).chain(given_up(step));
                if let Some(id) = gone.find(|gone| ids(step.after).any(|id| id == *gone)) {
                    let what = format!("id {} was out of both columns and came back", short(id));
                    found.broken(step.connection, what);
                }
            }
            Fact::Of(invocation, Deed::Asks(Request::Watch { connection: Some(connection), channel })) => {
                let pending = record.life(*invocation).and_then(|life| life.pending.get(connection));
                if pending != Some(channel) {
                    let what = format!("{invocation} asks for a channel by an id that it replaced");
                    found.broken(*connection, what);
                }
            }
            _ => {}
        }
    }
}
