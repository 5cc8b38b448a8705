//! What a renewal has to ask next, once an update of it met no row or was not answered: what became of its channel is
//! looked up by writes, each asked twice at most, and only then by a read.

use std::collections::{BTreeMap, BTreeSet};

use protocol::connection::ConnectionId;
use protocol::table::{Column, Filter, Query, Value};
use protocol::transition::Transition;

use crate::subject::connection_number;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::check) enum Question {
    /// Keeps the pending id, for the channel may have spoken.
    Doubt,
    /// Gives the pending id up.
    Disown,
    /// Finds the channel stored after all, by a write.
    LookUp,
    /// Finds the row deleted, or not.
    Read,
}

#[derive(Default)]
pub(in crate::check) struct Sequel {
    next: BTreeMap<usize, Question>,
    /// What was not answered once.
    repeated: BTreeMap<usize, Question>,
    /// Of which connections it stays unknown what became of the channel.
    unknown: BTreeSet<usize>,
}

impl Sequel {
    pub(super) fn asks(&mut self, connection: usize, transition: Transition) {
        let asked = match transition {
            Transition::FailRenewal => Some(Question::Doubt),
            // Asked once more it tells nothing: something else was told meanwhile.
            Transition::DoubtChannel => {
                let next = self.next.get(&connection).copied();
                next.filter(|next| matches!(next, Question::Doubt | Question::Disown))
            }
            Transition::DisownChannel => Some(Question::Disown),
            Transition::LookUpChannel => Some(Question::LookUp),
            Transition::ClaimRenewal | Transition::ReissueChannel => {
                self.unknown.remove(&connection);
                self.repeated.remove(&connection);
                self.next.get(&connection).copied()
            }
            _ => None,
        };
        if asked.is_some() && self.next.get(&connection).copied() == asked {
            self.next.remove(&connection);
        }
    }

    /// What it heard: none = no answer, and else whether a row was met.
    pub(super) fn hears(&mut self, connection: usize, transition: Transition, met: Option<bool>) {
        use Transition::{
            ClaimRenewal, CommitChannel, DisownChannel, DoubtChannel, FailRenewal, LookUpChannel,
            ReissueChannel,
        };
        let next = match (transition, met) {
            (ClaimRenewal | ReissueChannel, _) | (FailRenewal | DoubtChannel, None) => None,
            (CommitChannel | FailRenewal | DoubtChannel | DisownChannel | LookUpChannel, Some(true)) => None,
            (FailRenewal, Some(false)) => Some(Question::Doubt),
            (CommitChannel, _) | (DoubtChannel, Some(false)) | (DisownChannel, None) => {
                Some(Question::Disown)
            }
            (DisownChannel, Some(false)) | (LookUpChannel, None) => Some(Question::LookUp),
            (LookUpChannel, Some(false)) => Some(Question::Read),
            _ => return,
        };
        let unanswered = matches!(transition, DisownChannel | LookUpChannel) && met.is_none();
        let repeated = self.repeated.remove(&connection);
        match next {
            Some(next) if unanswered && repeated == Some(next) => {
                self.unknown.insert(connection);
            }
            Some(next) => {
                self.next.insert(connection, next);
                self.repeated.extend(unanswered.then_some((connection, next)));
            }
            None => {}
        }
    }

    pub(super) fn reads(&mut self, query: &Query) {
        if let Some(connection) = self.is_read_by(query) {
            self.next.remove(&connection);
        }
    }

    /// The connection whose row was to be read, if this is how.
    pub(in crate::check) fn is_read_by(&self, query: &Query) -> Option<usize> {
        let [Filter::Eq(Column::Id, Value::Uuid(id))] = query.filters[..] else { return None };
        let connection = connection_number(ConnectionId(id));
        (self.next.get(&connection) == Some(&Question::Read)).then_some(connection)
    }

    /// What it has yet to ask.
    pub(in crate::check) fn next(&self) -> Option<(usize, Question)> {
        self.next.first_key_value().map(|(connection, question)| (*connection, *question))
    }

    /// Whether it knows what became of a connection's channel, as far as it has asked.
    pub(in crate::check) fn knows(&self, connection: usize) -> bool {
        !self.unknown.contains(&connection)
    }
}
