//! No two runs of one connection go on while their leases hold. So a lease is taken when the one before is over, is
//! touched by its holder alone, is told apart from every other, and outlives its callee.

use protocol::connection::Connection;
use protocol::transition::Transition;

use crate::assumption::{CALLEE_LIFE, SKEW};
use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::check::record::connection::{Case, Made};
use crate::fact::{Fact, Step};
use crate::subject::Run;
use crate::time::{Instant, SECOND, instant};

#[derive(Default)]
pub(super) struct OneRunAtATime {
    /// How many leases in a row lasted a whole number of seconds.
    alike: u32,
}

impl Check for OneRunAtATime {
    fn read(&mut self, record: &Record, at: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        match fact {
            Fact::Applied(step) => self.steps(record, at, step, found),
            Fact::RunStarted(run) => starts(record, run, found),
            _ => {}
        }
    }
}

impl OneRunAtATime {
    fn steps(&mut self, record: &Record, at: Instant, step: &Step<'_>, found: &mut Found<'_>) {
        let Some(life) = record.life(step.invocation) else { return };
        let lease = |row: &Connection| instant(row.sync_lease_until);
        let held = lease(step.before);
        let own = life.holds(step.connection, held);
        let mut broken = |what: &str| found.broken(step.connection, format!("{} {what}", step.invocation));
        match step.transition {
            Transition::ClaimRun | Transition::KeepRun => {
                if !own && held > at + SKEW {
                    broken("took over a run's lease that holds");
                }
                // Two that claim at one instant by their clocks are told apart by their leases.
                let is_whole = (lease(step.after) - life.clock(step.sent_at)) % SECOND == 0;
                if step.transition == Transition::ClaimRun {
                    self.alike = if is_whole { self.alike + 1 } else { 0 };
                    if self.alike == 5 {
                        broken("holds a lease that another may have, too");
                    }
                }
            }
            Transition::FailRun | Transition::DoubtRun if !own => {
                broken("wrote its error over somebody else's run");
            }
            Transition::FinishRun
            | Transition::SettleRun
            | Transition::LeaveRun
            | Transition::PauseRun
            | Transition::RefuseRun
            | Transition::AwaitConsent
                if !own && held > 0 =>
            {
                broken("gave back a lease that is not its own");
            }
            _ => {}
        }
    }
}

fn starts(record: &Record, run: &Run, found: &mut Found<'_>) {
    let (connection, holder) = (run.connection, run.holder);
    let Some(life) = record.life(holder) else { return };
    let Some(claim) = life.claims.get(&connection) else {
        return found.broken(connection, format!("{holder} runs without a lease"));
    };
    if !life.frozen && claim.lease_until < run.start + CALLEE_LIFE + SKEW {
        found.broken(connection, format!("{holder} calls what may outlive its lease"));
    }
    if record.case(connection).is_some_and(|case| overlaps(record, case, run, claim.lease_until)) {
        found.broken(connection, format!("{holder} runs while another run goes on"));
    }
}

/// Two runs at a time are wrong, unless one's holder stood still long enough to lose its lease.
fn overlaps(record: &Record, case: &Case, run: &Run, lease_until: Instant) -> bool {
    let was_frozen = |run: &Run| record.life(run.holder).is_some_and(|life| life.frozen);
    // Until then a lease may have been taken over, by another clock.
    let holds = |lease_until: Instant| lease_until > run.start + SKEW;
    let mut others = case.runs.iter().rev().take(8);
    others.any(|Made { run: other, lease_until: held, .. }| {
        let is_excused = (was_frozen(other) || was_frozen(run)) && !(holds(*held) && holds(lease_until));
        other.end > run.start && !is_excused
    })
}
