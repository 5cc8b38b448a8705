//! The schedule that stays was computed after the last change. So an invocation that learns that its lease was lost
//! asks for another run, for its callee may have written after the newer one.

use std::collections::BTreeSet;

use protocol::transition::Transition;

use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::check::record::connection::{Case, KnownChange};
use crate::fact::{Answer, Deed, Fact, Moment, Request};
use crate::subject::{Invocation, Row};
use crate::time::{Instant, seconds};

pub(super) struct TheLastWordIsNotStale {
    /// Also judges what the protocol is known not to see.
    known_limit: bool,
    /// Invocations that asked under a lease with a run made under it, and of which connection.
    fenced: BTreeSet<(usize, usize)>,
    /// Invocations that were told that their lease was lost, and have asked for no other run.
    lost: BTreeSet<(usize, usize)>,
}

impl Check for TheLastWordIsNotStale {
    fn read(&mut self, record: &Record, at: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        match fact {
            Fact::Of(invocation, deed) => self.read_deed(record, *invocation, deed, found),
            Fact::Reached(Moment::Calm | Moment::BurstOver { .. }) => {
                record.rows().for_each(|(case, row)| self.last_word(record, at, case, row, found));
            }
            _ => {}
        }
    }
}

impl TheLastWordIsNotStale {
    pub(super) fn new(known_limit: bool) -> Self {
        Self { known_limit, fenced: BTreeSet::new(), lost: BTreeSet::new() }
    }

    fn read_deed(&mut self, record: &Record, invocation: Invocation, deed: &Deed<'_>, found: &mut Found<'_>) {
        let Some(life) = record.life(invocation) else { return };
        match *deed {
            Deed::Asks(Request::Update { connection: Some(connection), transition }) => {
                let holder = (invocation.number, connection);
                if transition == Transition::LoseRun {
                    self.lost.remove(&holder);
                } else if is_fenced(transition)
                    && life.claims.get(&connection).is_some_and(|claim| claim.called_at.is_some())
                {
                    self.fenced.insert(holder);
                }
            }
            Deed::Hears(Answer::Update { connection: Some(connection), transition, row }) => {
                let holder = (invocation.number, connection);
                if is_fenced(transition) && self.fenced.remove(&holder) {
                    // Asked once more without what a look found, it may still hold its lease.
                    match row {
                        Some(None) => self.lost.insert(holder),
                        _ => self.lost.remove(&holder),
                    };
                }
            }
            Deed::Ends if !life.frozen => {
                let lost = self.lost.range((invocation.number, 0)..(invocation.number + 1, 0)).next();
                if let Some((_, connection)) = lost {
                    let what = "learned that its lease was lost, and asked for no other run";
                    found.broken(*connection, format!("{invocation} {what}"));
                }
            }
            _ => {}
        }
    }

    fn last_word(&self, record: &Record, at: Instant, case: &Case, row: &Row, found: &mut Found<'_>) {
        let Some(last) = case.last_word(at) else { return };
        let (start, end) = (last.run.start, last.run.end);
        let is_overwritten = |change: &KnownChange| {
            change.at > start
                && !change.own
                && (change.acknowledged || change.unseen)
                && case.ran_since(change.at, at)
        };
        if row.sync_request_id.is_some() || !case.changes.iter().any(is_overwritten) {
            return;
        }
        if !record.is_unnoticed(last) || self.known_limit {
            let (start, end) = (seconds(start), seconds(end));
            let what = format!("the run from {start} s to {end} s wrote last, and a change came meanwhile");
            found.broken(case.number, what);
        }
    }
}

/// Whether an update depends on its invocation's lease. FinishRun does on the request as well: where it meets no row,
/// there may just be a newer one.
fn is_fenced(transition: Transition) -> bool {
    matches!(
        transition,
        Transition::KeepRun
            | Transition::LeaveRun
            | Transition::PauseRun
            | Transition::FailRun
            | Transition::RefuseRun
            | Transition::AwaitConsent
            | Transition::DoubtRun
    )
}
