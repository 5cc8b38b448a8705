//! What is in a calendar, as far as it makes a difference: what its user has planned, and the sessions that the host
//! app writes beside it.

use protocol::look::Digest;

use crate::subject::Plans;
use crate::world::dice::Dice;

/// So few that what is changed is often changed back.
const PLANS: usize = 3;

#[derive(Clone, Default)]
pub(crate) struct Contents {
    plans: Plans,
    sessions: Option<Sessions>,
    /// The ids that events were given so far.
    ids: u64,
}

/// The host app's own events.
#[derive(Clone, Copy)]
struct Sessions {
    /// What they were planned around, and what else stands in them.
    content: (Plans, i64),
    id: u64,
}

impl Contents {
    pub(crate) fn plans(&self) -> Plans {
        self.plans
    }

    /// The user creates, changes or deletes an event.
    pub(crate) fn edit(&mut self, dice: &Dice) {
        let others: Vec<_> =
            (0..PLANS).map(|plans| Plans(plans as u8)).filter(|it| *it != self.plans).collect();
        self.plans = dice.pick(&others).unwrap_or(self.plans);
    }

    /// The host app writes its sessions over those that are there. Returns whether there was anything to write.
    pub(crate) fn write_in_place(&mut self, content: (Plans, i64)) -> bool {
        match &mut self.sessions {
            Some(sessions) if sessions.content == content => return false,
            Some(sessions) => sessions.content = content,
            None => self.recreate(content),
        }
        true
    }

    /// The host app deletes its sessions and creates them again.
    pub(crate) fn recreate(&mut self, content: (Plans, i64)) {
        self.ids += 1;
        self.sessions = Some(Sessions { content, id: self.ids });
    }

    /// By content; with a deliberate bug by the events' ids as well.
    pub(crate) fn digest(&self, by_id: bool) -> Digest {
        let mut digest = [0; 32];
        let (content, id) = self.sessions.map_or(((Plans::default(), 0), 0), |it| (it.content, it.id));
        let id = if by_id { id } else { u64::from(id > 0) };
        let bytes =
            [self.plans.0, content.0.0].into_iter().chain(content.1.to_be_bytes()).chain(id.to_be_bytes());
        digest.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        Digest(digest)
    }
}
