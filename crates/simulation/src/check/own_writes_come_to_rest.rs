//! A host that writes its sessions into the watched calendar is run twice per real change, not for ever.

use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::check::record::connection::Case;
use crate::fact::{Fact, Moment};
use crate::subject::{Broken, Writes};
use crate::time::{HOUR, Instant, MINUTE};

/// One for the change, and one for what that wrote.
const RUNS_PER_CHANGE: usize = 2;

#[derive(Default)]
pub(super) struct OwnWritesComeToRest;

impl Check for OwnWritesComeToRest {
    fn read(&mut self, record: &Record, _: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        let (since, what) = match fact {
            Fact::Reached(Moment::EchoesOver) => {
                (record.quiet_from + 10 * MINUTE, "in 50 minutes in which nobody did anything")
            }
            Fact::Reached(Moment::Calm) => (record.quiet_from + HOUR, "in two quiet hours"),
            Fact::Reached(Moment::Reconciled) => (record.calm_from, "in a quiet day"),
            Fact::Reached(Moment::ChangesSeen { since }) => (*since, "of one change"),
            _ => return,
        };
        // A run whose holder crashes is made again and again.
        for (case, _) in record.rows().filter(|(case, _)| comes_to_rest(case) && !record.has_crashing()) {
            let changes = case.changes.iter().filter(|change| change.at >= since && !change.own).count();
            // A channel that is opened, a button and a look in doubt or after a change that nobody told are reasons,
            // too. What was owed before is one.
            let owed = usize::from(!matches!(fact, Fact::Reached(Moment::ChangesSeen { .. })));
            let changes = changes.min(1).max(owed);
            let reasons = changes + case.commits_after(since) + case.reconciled_after(since);
            let runs = case.runs_that_ended_well_after(since);
            if runs > RUNS_PER_CHANGE * reasons {
                found.broken(case.number, format!("{runs} runs for {reasons} reasons {what}"));
            }
        }
    }
}

fn comes_to_rest(case: &Case) -> bool {
    case.writes != Writes::Restless && case.broken.is_none_or(|broken| matches!(broken, Broken::NoPush))
}
