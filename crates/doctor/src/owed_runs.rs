//! Whether what is owed is done in time.

use chrono::TimeDelta;
use protocol::schedule::{MOST_PARTS, RUNS_PER_INVOCATION};

use crate::check::{Check, Id, count};
use crate::health::{Health, duration};

/// A change is followed by its run within seconds, by the storm brake after two minutes at most.
const LONG: TimeDelta = TimeDelta::minutes(10);

pub fn judge(health: &Health, schedule_is_wrong: bool) -> Check {
    let id = Id::OwedRuns;
    let oldest = health.oldest_owed_since.map(|since| health.since(since));
    let runs = count(health.owed_runs, "run");
    let Some(oldest) = oldest.filter(|oldest| *oldest > LONG) else {
        return Check::ok(
            id,
            match oldest {
                None => "none".to_owned(),
                Some(oldest) => format!("{runs}, the oldest for {}", duration(oldest)),
            },
        );
    };
    let failing: u64 = health.failing_runs.values().sum();
    let next = if schedule_is_wrong {
        "put the schedule right first: sweeps make the runs that are left over".to_owned()
    } else if failing > 0 {
        format!("see recalculate-schedule above: {} failing", count(failing, "run"))
    } else if health.last_sweep.as_ref().is_some_and(|sweep| sweep.remaining > 0) {
        format!(
            "a sweep makes {RUNS_PER_INVOCATION} runs: let more sweeps run at once, with a greater `parallel` (at most \
             {MOST_PARTS}) in schedule_calendar_webhook_refresh"
        )
    } else {
        "read the log of refresh-calendar-webhook: its `run_failed` and `run_lease_lost` lines".to_owned()
    };
    Check::wrong(id, "runs_overdue", format!("{runs} owed, the oldest for {}", duration(oldest)), next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Sweep, healthy};

    fn next(minutes: i64, change: impl FnOnce(&mut Health), schedule_is_wrong: bool) -> Option<String> {
        let mut health = healthy();
        health.owed_runs = 3;
        health.oldest_owed_since = Some(health.checked_at - TimeDelta::minutes(minutes));
        change(&mut health);
        judge(&health, schedule_is_wrong).next
    }

    #[test]
    fn a_run_may_be_owed_for_minutes_but_not_for_long() {
        assert_eq!(judge(&healthy(), true).line, "none");
        assert_eq!(next(10, |_| {}, true), None);
        assert!(next(11, |_| {}, false).is_some());
    }

    #[test]
    fn the_next_step_follows_from_what_holds_the_runs_up() {
        for (change, schedule_is_wrong, says) in [
            ((|_| {}) as fn(&mut Health), true, "the schedule"),
            (
                |health| health.failing_runs = [("recalculate_500".to_owned(), 2)].into(),
                false,
                "2 runs failing",
            ),
            (
                |health| health.last_sweep = Some(Sweep { finished_at: health.checked_at, remaining: 9 }),
                false,
                "parallel",
            ),
            (|_| {}, false, "log"),
        ] {
            let next = next(60, change, schedule_is_wrong).unwrap();
            assert!(next.contains(says), "{next}");
        }
    }
}
