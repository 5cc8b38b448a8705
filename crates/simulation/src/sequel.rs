//! What a renewal has to ask next, once an update of it met no row or was not answered: what became of its channel is
//! looked up by writes, each asked twice at most, and only then by a read.

use std::collections::{BTreeMap, BTreeSet};

use protocol::connection::{Connection, ResourceId};
use protocol::transition::Transition;

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

impl Sequel {
    pub(crate) fn asks(&mut self, connection: usize, transition: Transition) {
        let asked = match transition {
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

    /// What it heard: none = no answer, and in it none = no row.
    pub(crate) fn hears(
        &mut self,
        connection: usize,
        transition: Transition,
        answer: Option<&Option<Connection>>,
    ) {
        use Transition::{
            ClaimRenewal, CommitChannel, DisownChannel, DoubtChannel, FailRenewal, LookUpChannel,
            ReissueChannel,
        };
        let next = match (transition, answer) {
            (ClaimRenewal | ReissueChannel, _) | (FailRenewal | DoubtChannel, None) => None,
            (CommitChannel | FailRenewal | DoubtChannel | DisownChannel | LookUpChannel, Some(Some(_))) => {
                None
            }
            (CommitChannel, _) | (FailRenewal | DoubtChannel, Some(None)) | (DisownChannel, None) => {
                Some(Question::Disown)
            }
            (DisownChannel, Some(None)) | (LookUpChannel, None) => Some(Question::LookUp),
            (LookUpChannel, Some(None)) => Some(Question::Read),
            _ => return,
        };
        let unanswered = matches!(transition, DisownChannel | LookUpChannel) && answer.is_none();
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
