//! What is known of a connection.

use std::rc::Rc;

use protocol::connection::{ChannelId, Connection};
use protocol::schedule::STOPS_A_MINUTE;
use protocol::transition::Transition;

use crate::assumption::SKEW;
use crate::check::record::google::Consent;
use crate::check::row::is_live;
use crate::fact::Step;
use crate::subject::{Broken, Invocation, Row, Run, Writes};
use crate::time::{Instant, MINUTE};

pub(in crate::check) struct Case {
    pub(in crate::check) number: usize,
    /// None = deleted.
    pub(in crate::check) row: Option<Rc<Row>>,
    pub(in crate::check) broken: Option<Broken>,
    pub(in crate::check) writes: Writes,
    pub(in crate::check) changes: Vec<KnownChange>,
    pub(in crate::check) runs: Vec<Made>,
    /// When `recalculate-schedule` was called, whether or not the call arrived.
    pub(in crate::check) calls: Vec<Instant>,
    /// When looks were made that showed that nothing changed.
    pub(in crate::check) settled: Vec<Instant>,
    /// When those of them were made before a run.
    pub(in crate::check) settled_runs: Vec<Instant>,
    /// When a look that was due was claimed.
    pub(in crate::check) looks: Vec<Instant>,
    /// When Google was asked for a channel.
    pub(in crate::check) watches: Vec<Instant>,
    /// When its channel was stored.
    pub(in crate::check) committed_at: Option<Instant>,
    /// When channels were.
    commits: Vec<Instant>,
    /// When a look asked for a run.
    reconciled: Vec<Instant>,
    /// When the host app last wrote to its row.
    pub(in crate::check) written_at: Option<Instant>,
    /// When a renewed access token was last stored.
    pub(in crate::check) token_stored_at: Option<Instant>,
    /// Every id that a renewal claimed.
    pub(in crate::check) renewals: Vec<Renewal>,
    /// Every id that the row named and names no more, and since when.
    pub(in crate::check) gone: Vec<(ChannelId, Instant)>,
    /// When channels spoke that are not its own.
    pub(super) orphans: Vec<Instant>,
    /// For which consent and calendar Google really said something that is worth waiting a day.
    pub(in crate::check) excuses: Vec<Consent>,
}

/// Something in a calendar changed.
pub(in crate::check) struct KnownChange {
    pub(super) number: usize,
    pub(in crate::check) at: Instant,
    /// A notification of it was answered with 2xx.
    pub(in crate::check) acknowledged: bool,
    /// No channel of the connection could report it.
    pub(in crate::check) unseen: bool,
    /// The host app wrote it.
    pub(in crate::check) own: bool,
}

/// A run, and what was known of it to its holder.
pub(in crate::check) struct Made {
    pub(in crate::check) run: Run,
    /// Until when its holder believed to hold the lease.
    pub(in crate::check) lease_until: Instant,
    /// The holder waited for the end and learned of it.
    pub(in crate::check) heard: bool,
}

pub(in crate::check) struct Renewal {
    pub(in crate::check) channel: ChannelId,
    pub(in crate::check) claimed_at: Instant,
    /// The row's error as the claim read it.
    pub(in crate::check) error: Option<String>,
    /// Whether the connection was live when it was claimed.
    pub(in crate::check) live: bool,
    pub(in crate::check) holder: Invocation,
}

/// The ids that a row names.
pub(in crate::check) fn ids(row: &Connection) -> impl Iterator<Item = &ChannelId> {
    row.webhook_id.iter().chain(&row.webhook_pending_id)
}

/// The ids that a row names no more.
pub(in crate::check) fn given_up<'a>(step: &Step<'a>) -> impl Iterator<Item = &'a ChannelId> {
    let (before, after) = (step.before, step.after);
    ids(before).filter(|id| !ids(after).any(|after| after == *id))
}

impl Case {
    pub(super) fn new(number: usize, row: &Rc<Row>, broken: Option<Broken>, writes: Writes) -> Self {
        Self {
            number,
            row: Some(Rc::clone(row)),
            broken,
            writes,
            changes: Vec::new(),
            runs: Vec::new(),
            calls: Vec::new(),
            settled: Vec::new(),
            settled_runs: Vec::new(),
            looks: Vec::new(),
            watches: Vec::new(),
            committed_at: None,
            commits: Vec::new(),
            reconciled: Vec::new(),
            written_at: None,
            token_stored_at: None,
            renewals: Vec::new(),
            gone: Vec::new(),
            orphans: Vec::new(),
            excuses: Vec::new(),
        }
    }

    /// Whether more channels that are not its own have just spoken than are stopped.
    pub(in crate::check) fn is_flooded(&self, now: Instant) -> bool {
        let since = now - MINUTE - 2 * SKEW;
        self.orphans.iter().filter(|at| **at > since).count() > STOPS_A_MINUTE
    }

    pub(in crate::check) fn renewal(&self, channel: &ChannelId) -> Option<&Renewal> {
        self.renewals.iter().find(|renewal| renewal.channel == *channel)
    }

    /// Whether a successful run that ended by now started at `since` or later.
    pub(in crate::check) fn ran_since(&self, since: Instant, now: Instant) -> bool {
        self.runs.iter().any(|Made { run, .. }| run.succeeds && run.start >= since && run.end <= now)
    }

    /// Whether the calendar was looked at since then, by a run or by a look that showed that none is needed.
    pub(in crate::check) fn seen_since(&self, since: Instant, now: Instant) -> bool {
        self.ran_since(since, now) || self.settled.iter().any(|at| *at >= since)
    }

    /// The run that wrote the schedule that stays.
    pub(in crate::check) fn last_word(&self, now: Instant) -> Option<&Made> {
        let written = self.runs.iter().filter(|Made { run, .. }| run.succeeds && run.end <= now);
        written.max_by_key(|made| made.run.end)
    }

    pub(in crate::check) fn commits_after(&self, since: Instant) -> usize {
        self.commits.iter().filter(|at| **at > since).count()
    }

    pub(in crate::check) fn reconciled_after(&self, since: Instant) -> usize {
        self.reconciled.iter().filter(|at| **at > since).count()
    }

    pub(in crate::check) fn runs_that_ended_well_after(&self, since: Instant) -> usize {
        self.runs.iter().filter(|made| made.run.start > since && made.run.succeeds).count()
    }

    /// How many runs started after a time.
    pub(in crate::check) fn runs_after(&self, since: Instant) -> usize {
        self.runs.iter().filter(|made| made.run.start > since).count()
    }

    pub(in crate::check) fn looked_after(&self, since: Instant) -> bool {
        self.looks.last().is_some_and(|at| *at > since)
    }

    pub(in crate::check) fn watches_after(&self, since: Instant) -> usize {
        self.watches.iter().filter(|at| **at > since).count()
    }

    pub(super) fn steps(&mut self, at: Instant, step: &Step<'_>) {
        self.gone.extend(given_up(step).map(|id| (id.clone(), at)));
        if step.before.webhook_id != step.after.webhook_id {
            self.committed_at = step.after.webhook_id.is_some().then_some(at);
        }
        match step.transition {
            Transition::ClaimLook => self.looks.push(at),
            Transition::CommitChannel => self.commits.push(at),
            Transition::Reconcile => self.reconciled.push(at),
            Transition::StoreToken => self.token_stored_at = Some(at),
            _ => {}
        }
        if matches!(step.transition, Transition::ClaimRenewal | Transition::ReissueChannel) {
            // An id written over another one goes on with the other's claim.
            let claims = step.transition == Transition::ClaimRenewal;
            let replaced = step.before.webhook_pending_id.as_ref().and_then(|id| self.renewal(id));
            let replaced = replaced.filter(|_| !claims);
            let claimed_at = replaced.map_or(at, |renewal| renewal.claimed_at);
            let error = replaced.map_or(&step.before.webhook_error, |renewal| &renewal.error).clone();
            self.renewals.extend(step.after.webhook_pending_id.iter().map(|id| Renewal {
                channel: id.clone(),
                claimed_at,
                error: error.clone(),
                live: !claims || is_live(step.after),
                holder: step.invocation,
            }));
        }
        self.row = Some(Rc::clone(step.after));
    }
}
