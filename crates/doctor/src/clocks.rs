//! Whether all clocks show the same time: leases, renewals and expirations are compared across machines.

use chrono::{DateTime, TimeDelta, Utc};

use crate::check::{Check, Id};
use crate::health::duration;

const TOLERANCE: TimeDelta = TimeDelta::seconds(10);

/// What another clock showed, and what this machine's did meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub shown: DateTime<Utc>,
    pub here: DateTime<Utc>,
}

impl Reading {
    fn ahead(self) -> TimeDelta {
        self.shown - self.here
    }
}

pub fn judge(project: Option<Reading>, database: Option<Reading>) -> Check {
    let id = Id::Clocks;
    let (Some(project), Some(database)) = (project, database) else {
        return match project.or(database) {
            None => Check::after(id, Id::Project),
            Some(only) if only.ahead().abs() <= TOLERANCE => Check::unknown(
                id,
                "not judged: only one of the project's clocks could be read, and it is right",
            ),
            Some(only) => wrong("one of the project's clocks and this machine's", only.ahead()),
        };
    };
    let (project, database) = (project.ahead(), database.ahead());
    let differ = |a: TimeDelta, b: TimeDelta| (a - b).abs() > TOLERANCE;
    match (differ(project, TimeDelta::zero()), differ(database, TimeDelta::zero()), differ(project, database))
    {
        (false, false, false) => Check::ok(id, "this machine, the project and its database agree"),
        (true, _, false) | (_, true, false) => wrong("this machine's clock and the project's", project),
        (false, true, true) => wrong("the database's clock and all others", database),
        (true, false, true) => wrong("the project's gateway and all other clocks", project),
        (_, _, true) => wrong("the database's clock and the project's gateway", database - project),
    }
}

fn wrong(which: &str, by: TimeDelta) -> Check {
    Check::wrong(
        Id::Clocks,
        "clocks_differ",
        format!("{which} are {} apart", duration(by.abs())),
        "set the clock that is wrong by NTP (this machine: `timedatectl set-ntp true`); on a self-hosted project also \
         those of its hosts",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    #[track_caller]
    fn check(project: Option<i64>, database: Option<i64>, verdict: Verdict, says: &str) {
        let reading = |seconds| Reading {
            shown: DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds),
            here: DateTime::UNIX_EPOCH,
        };
        let check = judge(project.map(reading), database.map(reading));
        assert_eq!(check.verdict, verdict, "{check:?}");
        assert!(check.line.contains(says), "{check:?}");
    }

    #[test]
    fn ten_seconds_are_tolerated() {
        check(Some(-9), Some(1), Verdict::Ok, "agree");
        check(Some(10), Some(10), Verdict::Ok, "agree");
    }

    #[test]
    fn the_clock_that_differs_from_the_others_is_named() {
        check(Some(60), Some(61), Verdict::Wrong, "this machine's clock and the project's are 1 min apart");
        check(Some(0), Some(-3600), Verdict::Wrong, "the database's clock and all others are 1 h apart");
        check(Some(300), Some(0), Verdict::Wrong, "the project's gateway");
        check(
            Some(7),
            Some(-7),
            Verdict::Wrong,
            "the database's clock and the project's gateway are 14 s apart",
        );
        check(Some(11), Some(5), Verdict::Wrong, "this machine");
    }

    #[test]
    fn what_cannot_be_read_is_not_judged() {
        check(None, None, Verdict::Unknown, "project");
        check(Some(0), None, Verdict::Unknown, "only one");
        check(None, Some(20), Verdict::Wrong, "20 s");
    }
}
