//! What a renewal has to ask next, once an update of it met no row or was not answered: what became of its channel is
//! looked up by writes, each asked twice at most, and only then by a read.

use std::collections::{BTreeMap, BTreeSet};

use protocol::connection::{Connection, ResourceId};
use protocol::table::{Column, Update, Value};

use crate::life::Life;
use crate::promise::Promise;
use crate::world::World;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// Gives the pending id up.
    Disown,
    /// Finds the channel stored after all, by a write.
    LookUp,
    /// Finds the row deleted, or not.
    Read,
}

#[derive(Default)]
pub(crate) struct Sequel {
    next: BTreeMap<usize, Question>,
    /// What was not answered once.
    repeated: BTreeMap<usize, Question>,
    /// Of which connections it stays unknown what became of the channel.
    unknown: BTreeSet<usize>,
}

/// What an update of a renewal is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Claim,
    Commit,
    Failure,
    Disown,
    LookUp,
}

impl Kind {
    fn of(update: &Update) -> Option<Self> {
        let value = |column| update.set.iter().find(|(set, _)| *set == column).map(|(_, value)| value);
        match (value(Column::WebhookId), value(Column::WebhookPendingId), value(Column::WebhookError)) {
            (Some(Value::Text(_)), None, _) => Some(Self::LookUp),
            (Some(Value::Text(_)), Some(_), _) => Some(Self::Commit),
            (None, Some(Value::Text(_)), _) => Some(Self::Claim),
            (None, _, Some(Value::Text(_))) => Some(Self::Failure),
            (None, Some(Value::Null), None) if update.set.len() == 2 => Some(Self::Disown),
            _ => None,
        }
    }
}

impl Sequel {
    pub(crate) fn asks(&mut self, connection: usize, update: &Update) {
        let asked = match Kind::of(update) {
            Some(Kind::Disown) => Some(Question::Disown),
            Some(Kind::LookUp) => Some(Question::LookUp),
            Some(Kind::Claim) => {
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

    /// What it heard: none = no answer, and in it none = no row.
    pub(crate) fn hears(&mut self, connection: usize, update: &Update, answer: Option<&Option<Connection>>) {
        let next = match (Kind::of(update), answer) {
            (None, _) => return,
            (Some(Kind::Claim | Kind::Failure), None) | (_, Some(Some(_))) => None,
            (Some(Kind::Claim), Some(None)) => None,
            (Some(Kind::Commit), _) | (Some(Kind::Failure), Some(None)) => Some(Question::Disown),
            (Some(Kind::Disown), None) => Some(Question::Disown),
            (Some(Kind::Disown), Some(None)) | (Some(Kind::LookUp), None) => Some(Question::LookUp),
            (Some(Kind::LookUp), Some(None)) => Some(Question::Read),
        };
        let unanswered = matches!(Kind::of(update), Some(Kind::Disown | Kind::LookUp)) && answer.is_none();
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

    /// Whether its row was to be read now.
    pub(crate) fn reads(&mut self, connection: usize) -> bool {
        let was_to = self.next.get(&connection) == Some(&Question::Read);
        if was_to {
            self.next.remove(&connection);
        }
        was_to
    }

    pub(crate) fn knows(&self, connection: usize) -> bool {
        !self.unknown.contains(&connection)
    }
}

/// An instance ends by itself.
pub(crate) fn judge(world: &World, life: &Life) {
    if let Some((connection, question)) = life.sequel.borrow().next.first_key_value() {
        let what = format!("{life} does not ask what became of its channel: {question:?} was to come");
        world.broke(Promise::OneLiveChannel, Some(*connection), what);
    }
}

/// The row of a connection whose new channel is not stored is gone: all that is known of its channels is to be stopped.
pub(crate) fn row_is_gone(world: &World, life: &Life, connection: usize) {
    let google = world.google.borrow();
    let opened = life.opened.borrow();
    let opened = opened.iter().find(|(_, of)| **of == connection).and_then(|(id, _)| google.channel(id));
    let Some(resource) = opened.map(|channel| channel.calendar.resource()) else { return };
    if let Some(replaced) = life.replaces.borrow_mut().remove(&connection) {
        let known = |known: Option<ResourceId>| Some(known.unwrap_or_else(|| resource.clone()));
        let to_stop = replaced.into_iter().map(|(id, of)| (id, (connection, known(of))));
        life.to_stop.borrow_mut().extend(to_stop);
    }
}
