//! Whether calendars are looked at in time, though Google is silent.

use protocol::schedule::{LOOKS_PER_SWEEP, MOST_PARTS};

use crate::check::{Check, Id, count};
use crate::health::Health;

/// So many sweeps' looks may wait: with one sweep a minute, none waits longer than that many minutes.
const SWEEPS: u64 = 10;

pub fn judge(health: &Health, schedule_is_wrong: bool) -> Check {
    let id = Id::Looks;
    let due = count(health.due_looks, "calendar");
    if health.due_looks <= SWEEPS * LOOKS_PER_SWEEP as u64 {
        let line = if health.due_looks == 0 { "none due".to_owned() } else { format!("{due} due") };
        return Check::ok(id, line);
    }
    let next = if schedule_is_wrong {
        "put the schedule right first: sweeps look at calendars".to_owned()
    } else {
        format!(
            "a sweep looks at {LOOKS_PER_SWEEP} calendars: let more sweeps run at once, with a greater `parallel` (at \
             most {MOST_PARTS}) in schedule_calendar_webhook_refresh, or look less often, by CALENDAR_LOOK_HOURS"
        )
    };
    Check::wrong(id, "looks_overdue", format!("{due} due for a look: the sweeps do not keep up"), next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::healthy;

    #[test]
    fn looks_may_wait_for_some_sweeps_but_not_for_many() {
        for (due, schedule_is_wrong, next) in [
            (0, true, None),
            (500, true, None),
            (501, true, Some("the schedule")),
            (501, false, Some("parallel")),
        ] {
            let health = Health { due_looks: due, ..healthy() };
            let check = judge(&health, schedule_is_wrong);
            match next {
                None => assert_eq!(check.next, None, "{due}"),
                Some(says) => assert!(check.next.unwrap().contains(says), "{due}"),
            }
        }
    }
}
