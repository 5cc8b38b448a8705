//! An echo loop is slowed down, and nothing else is. So every request tells when it arose, and a run that succeeds
//! counts as an echo where its request arose soon after the run before.

use protocol::schedule::{ECHO, FREE_ECHOES, LONGEST_BRAKE};
use protocol::transition::Transition;

use crate::assumption::SKEW;
use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::check::row::{arose_at, asks_for_a_run};
use crate::fact::{Fact, Moment, Step};
use crate::time::{Instant, MINUTE, SECOND, delta, instant};

#[derive(Default)]
pub(super) struct EchoesAreBraked;

impl Check for EchoesAreBraked {
    fn read(&mut self, record: &Record, at: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        match fact {
            Fact::Applied(step) if asks_for_a_run(step) => tells_when(record, at, step, found),
            Fact::Applied(step)
                if matches!(
                    step.transition,
                    Transition::FinishRun
                        | Transition::SettleRun
                        | Transition::KeepRun
                        | Transition::LeaveRun
                ) =>
            {
                succeeds(record, step, found);
            }
            Fact::Reached(Moment::EchoesOver) => {
                // An echo every two minutes or so, once the brake grips.
                let since = record.quiet_from + 10 * MINUTE;
                for (case, _) in record.rows() {
                    let runs = case.runs_after(since);
                    if runs > 60 {
                        let what = format!("{runs} runs in 50 minutes in which nobody did anything");
                        found.broken(case.number, what);
                    }
                }
            }
            _ => {}
        }
    }
}

fn succeeds(record: &Record, step: &Step<'_>, found: &mut Found<'_>) {
    let (before, after) = (step.before, step.after);
    let Some(life) = record.life(step.invocation) else { return };
    let claim = life.claims.get(&step.connection);
    let ran_for = claim.and_then(|claim| claim.request);
    let is_echo = ran_for
        .and_then(arose_at)
        .zip(before.last_sync_at)
        .is_some_and(|(arose_at, last_ended_at)| arose_at - instant(last_ended_at) < delta(ECHO));
    let streak = if is_echo { before.sync_streak + 1 } else { 0 };
    // What was settled is in doubt, whatever it was settled for.
    let is_settled = claim.is_some_and(|claim| claim.called_at.is_none());
    let streak = if is_settled { streak.max(1) } else { streak };
    let brake = (SECOND << streak.clamp(0, 20)).min(delta(LONGEST_BRAKE));
    let brake = if streak < FREE_ECHOES { 0 } else { brake };
    let waits = instant(after.sync_not_before) - after.last_sync_at.map_or(0, instant);
    let goes_on = step.transition == Transition::KeepRun;
    if (after.sync_streak, waits) != (streak, brake) || (goes_on && brake > 0) {
        let (invocation, is, seconds) = (step.invocation, after.sync_streak, waits / SECOND);
        let what = format!("{invocation} takes it for echo {is} and waits {seconds} s");
        found.broken(step.connection, format!("{what}, not for {streak} and {} s", brake / SECOND));
    }
}

fn tells_when(record: &Record, at: Instant, step: &Step<'_>, found: &mut Found<'_>) {
    let Some(request) = step.after.sync_request_id else { return };
    // What the clock is off, and what looks and a slow request take.
    let tolerance = SKEW + 15 * SECOND;
    let is_told = arose_at(request).is_some_and(|arose_at| (at - arose_at).abs() <= tolerance);
    if !is_told && record.life(step.invocation).is_some_and(|life| !life.frozen) {
        let what = format!("{} wrote a request that does not tell when it arose", step.invocation);
        found.broken(step.connection, what);
    }
}
