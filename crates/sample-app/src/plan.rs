//! Where sessions go among the events of a calendar. Pure: the same input always gives the same plan.

use chrono::{DateTime, TimeDelta, Utc};

/// A stretch of time, its end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
}

impl Slot {
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    fn moved_to(&self, start: DateTime<Utc>) -> Self {
        Self { start, end: start + self.length() }
    }

    fn length(&self) -> TimeDelta {
        self.end - self.start
    }
}

/// A slot for each session, in the order in which the user wants them. Those that can stay where they are
/// wanted do; the others then get the earliest free slot after that, in order.
pub(crate) fn plan(preferred: &[Slot], busy: &[Slot]) -> Vec<Slot> {
    let mut taken: Vec<Slot> = busy.to_vec();
    let mut order: Vec<usize> = (0..preferred.len()).collect();
    order.sort_by_key(|&session| preferred.get(session));

    let mut planned = preferred.to_vec();
    let mut displaced = Vec::new();
    for &session in &order {
        let Some(slot) = preferred.get(session) else { continue };
        if taken.iter().any(|other| other.overlaps(slot)) {
            displaced.push(session);
        } else {
            taken.push(*slot);
        }
    }
    for session in displaced {
        let Some(slot) = planned.get_mut(session) else { continue };
        *slot = earliest_free(*slot, &mut taken);
        taken.push(*slot);
    }
    planned
}

fn earliest_free(wanted: Slot, taken: &mut [Slot]) -> Slot {
    taken.sort();
    taken
        .iter()
        .fold(wanted, |slot, other| if other.overlaps(&slot) { slot.moved_to(other.end) } else { slot })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hours of one day: `slots("9-10 14-15.5")`.
    fn slots(text: &str) -> Vec<Slot> {
        let time = |hours: &str| {
            DateTime::UNIX_EPOCH + TimeDelta::minutes((hours.parse::<f64>().unwrap() * 60.0) as i64)
        };
        text.split_whitespace()
            .map(|slot| slot.split_once('-').unwrap())
            .map(|(start, end)| Slot { start: time(start), end: time(end) })
            .collect()
    }

    #[test]
    fn sessions_give_way_to_events_and_to_each_other() {
        for (preferred, busy, expected) in [
            // Nothing to do.
            ("", "9-10", ""),
            ("9-10", "", "9-10"),
            ("9-10", "8-9 10-11", "9-10"),
            // Out of the way, by no more than necessary and as long as before.
            ("9-10", "9-10", "10-11"),
            ("9-10", "8-9.5", "9.5-10.5"),
            ("9-10.5", "9.5-10", "10-11.5"),
            ("9-11", "9-10 11-12", "12-14"),
            ("9-10", "9-10 10.5-11 11-13", "13-14"),
            // Events may overlap each other, and come in any order.
            ("9-10", "11-12 9-11.5 9-9.5", "12-13"),
            // A displaced session does not displace another one.
            ("9-10 10-11", "9-10", "11-12 10-11"),
            ("10-11 9-10", "9-10", "10-11 11-12"),
            // Two displaced ones keep their order.
            ("9-10 9.5-10.5", "9-11", "11-12 12-13"),
            ("9.5-10.5 9-10", "9-11", "12-13 11-12"),
            // Two that want the same time: the first one gets it.
            ("9-10 9-10", "", "9-10 10-11"),
        ] {
            assert_eq!(plan(&slots(preferred), &slots(busy)), slots(expected), "{preferred} among {busy}");
        }
    }

    #[test]
    fn a_plan_without_the_event_is_the_one_before_it() {
        let preferred = slots("9-10 10-11 14-15");
        assert_ne!(plan(&preferred, &slots("9-10.5")), preferred);
        assert_eq!(plan(&preferred, &[]), preferred);
    }
}
