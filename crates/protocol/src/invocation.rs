//! What one invocation of an Edge Function may still do.

use std::cell::Cell;
use std::time::Duration;

use chrono::TimeDelta;

use crate::Timestamp;
use crate::schedule::{
    DATABASE_TIMEOUT, INVOCATION_END, LAST_LOOK_OF_A_SWEEP, LAST_RENEWAL, LAST_RUN_OF_A_SWEEP,
    LONGEST_DUE_LOOK, LONGEST_SLEEP, READ_BY_LOOKS, RUN_TIMEOUT, RUNS_PER_INVOCATION, SHORTEST_RUN, SPARE,
    TIME_TO_WATCH, invocation_end,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// For one connection or one user: a notification, a setup, the button.
    Targeted,
    /// For everybody, from cron.
    Sweep,
}

#[derive(Debug)]
pub struct Invocation {
    started_at: Timestamp,
    /// When everything ends, counted from the start.
    end: TimeDelta,
    kind: Kind,
    runs_left: Cell<u32>,
    /// Of those, for what looks find.
    kept_for_looks: Cell<u32>,
    runs_refused: Cell<bool>,
    /// What its looks have read.
    bytes_read: Cell<usize>,
}

impl Invocation {
    pub fn new(kind: Kind, started_at: Timestamp) -> Self {
        Self {
            started_at,
            end: INVOCATION_END,
            kind,
            runs_left: Cell::new(RUNS_PER_INVOCATION),
            kept_for_looks: Cell::new(0),
            runs_refused: Cell::new(false),
            bytes_read: Cell::new(0),
        }
    }

    /// In a worker that lives so long from the start on.
    #[must_use]
    pub fn within(self, life_left: Duration) -> Self {
        Self { end: invocation_end(life_left), ..self }
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// Takes one of the invocation's runs, if one may start now. `previous` is how long the run before it took.
    pub(crate) fn take_run(&self, now: Timestamp, previous: Option<TimeDelta>) -> bool {
        let may_run = self.may_run(now, previous);
        if may_run {
            self.runs_left.set(self.runs_left.get() - 1);
        }
        may_run
    }

    /// Whether there is a run to take.
    pub(crate) fn may_run(&self, now: Timestamp, previous: Option<TimeDelta>) -> bool {
        let in_time = match (self.kind, previous) {
            (Kind::Sweep, _) => self.elapsed(now) < LAST_RUN_OF_A_SWEEP,
            (Kind::Targeted, None) => self.left(now) > SHORTEST_RUN + SPARE,
            (Kind::Targeted, Some(previous)) => self.left(now) >= previous * 2 + SPARE,
        };
        in_time && self.runs_left.get() > self.kept_for_looks.get() && !self.runs_refused.get()
    }

    /// Nobody else takes the last `runs`.
    pub(crate) fn keep_for_looks(&self, runs: u32) {
        self.kept_for_looks.set(runs);
    }

    /// A look needs one of the runs that are kept, if any still are.
    pub(crate) fn use_kept_for_look(&self) {
        self.kept_for_looks.set(self.kept_for_looks.get().saturating_sub(1));
    }

    /// Gives a run back that did not take place after all.
    pub(crate) fn give_run_back(&self) {
        self.runs_left.set(self.runs_left.get() + 1);
    }

    /// Supabase refuses nested calls: nobody in this invocation tries another.
    pub(crate) fn end_runs(&self) {
        self.runs_refused.set(true);
    }

    /// Whether to sleep until a run is due: never in a sweep, where others wait.
    pub(crate) fn may_sleep(&self, now: Timestamp, wait: TimeDelta) -> bool {
        self.kind == Kind::Targeted && wait < LONGEST_SLEEP && self.left(now) > wait + SHORTEST_RUN + SPARE
    }

    pub(crate) fn may_look(&self, now: Timestamp) -> bool {
        self.elapsed(now) < LAST_LOOK_OF_A_SWEEP.min(self.end - LONGEST_DUE_LOOK) && !self.has_read_enough()
    }

    /// A look has read so many bytes.
    pub(crate) fn count_read(&self, size: usize) {
        self.bytes_read.set(self.bytes_read.get() + size);
    }

    /// Whether its looks have read so much that no other begins.
    pub(crate) fn has_read_enough(&self) -> bool {
        self.bytes_read.get() >= READ_BY_LOOKS
    }

    /// When a run must begin to have any time.
    pub(crate) fn last_start(&self) -> Timestamp {
        self.started_at + self.end - SHORTEST_RUN - SPARE
    }

    pub(crate) fn may_renew(&self, now: Timestamp) -> bool {
        self.elapsed(now) < LAST_RENEWAL.min(self.end - TIME_TO_WATCH)
    }

    /// The time limit of a run that starts now: what is left, less the write that ends it.
    pub(crate) fn run_timeout(&self, now: Timestamp) -> Duration {
        let left = self.left(now) - TimeDelta::from_std(DATABASE_TIMEOUT).unwrap_or(SPARE);
        RUN_TIMEOUT.min(left.to_std().unwrap_or_default())
    }

    pub(crate) fn left(&self, now: Timestamp) -> TimeDelta {
        self.end - self.elapsed(now)
    }

    pub(crate) fn elapsed(&self, now: Timestamp) -> TimeDelta {
        now.signed_duration_since(self.started_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::life_left;

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    fn second(seconds: i64) -> Timestamp {
        START + TimeDelta::seconds(seconds)
    }

    #[test]
    fn a_sweep_starts_no_run_after_its_tenth_second() {
        let sweep = Invocation::new(Kind::Sweep, START);
        assert!(sweep.take_run(second(9), None));
        assert!(!sweep.take_run(second(10), None));
    }

    #[test]
    fn an_invocation_starts_only_so_many_runs() {
        let sweep = Invocation::new(Kind::Sweep, START);
        assert_eq!((0..100).filter(|_| sweep.take_run(START, None)).count(), RUNS_PER_INVOCATION as usize);
        sweep.give_run_back();
        assert!(sweep.take_run(START, None));
    }

    #[test]
    fn a_trailing_run_starts_only_if_it_can_take_twice_as_long_as_the_one_before() {
        let notification = Invocation::new(Kind::Targeted, START);
        assert!(notification.take_run(second(35), Some(TimeDelta::seconds(15))));
        assert!(!notification.take_run(second(36), Some(TimeDelta::seconds(15))));
    }

    #[test]
    fn a_first_run_starts_only_if_more_than_ten_seconds_are_left() {
        let notification = Invocation::new(Kind::Targeted, START);
        assert!(notification.take_run(second(59), None));
        assert!(!notification.take_run(second(60), None));
    }

    #[test]
    fn a_wait_is_slept_out_if_it_is_short_and_leaves_time_for_the_run() {
        let notification = Invocation::new(Kind::Targeted, START);
        let wait = TimeDelta::seconds;
        for (now, wait, sleeps) in
            [(0, wait(9), true), (0, wait(10), false), (50, wait(9), true), (51, wait(9), false)]
        {
            assert_eq!(notification.may_sleep(second(now), wait), sleeps, "{wait} at second {now}");
        }
        assert!(!Invocation::new(Kind::Sweep, START).may_sleep(START, wait(1)));
    }

    #[test]
    fn there_is_no_renewal_after_second_45() {
        let notification = Invocation::new(Kind::Targeted, START);
        assert!(notification.may_renew(second(44)));
        assert!(!notification.may_renew(second(45)));
    }

    #[test]
    fn a_worker_that_lives_sixty_seconds_is_left_ten_seconds_early() {
        let short = |kind| Invocation::new(kind, START).within(Duration::from_secs(60));
        let notification = short(Kind::Targeted);
        assert_eq!(notification.run_timeout(START), Duration::from_secs(45));
        assert!(notification.may_renew(second(24)) && !notification.may_renew(second(25)));
        assert!(!notification.take_run(second(40), None));
        let sweep = short(Kind::Sweep);
        assert!(sweep.may_look(second(9)) && !sweep.may_look(second(10)));
        // A longer life changes nothing.
        let long = Invocation::new(Kind::Targeted, START).within(Duration::from_secs(400));
        assert_eq!(long.left(START), INVOCATION_END);
    }

    #[test]
    fn a_worker_that_has_lived_is_left_ten_seconds_before_its_end_too() {
        for (wall_clock, age, ends) in [
            (60, 0, 50),
            (60, 20, 30),
            (60, 30, 20),
            (60, 3600, 20),
            (150, 60, 70),
            (150, 75, 65),
            (400, 200, 70),
        ] {
            let left = life_left(Duration::from_secs(wall_clock), Duration::from_secs(age));
            let sweep = Invocation::new(Kind::Sweep, START).within(left);
            assert_eq!(sweep.left(START), TimeDelta::seconds(ends), "{wall_clock} s, {age} s old");
        }
    }

    #[test]
    fn a_run_never_outlasts_the_invocation() {
        let notification = Invocation::new(Kind::Targeted, START);
        assert_eq!(notification.run_timeout(START), Duration::from_secs(50));
        assert_eq!(notification.run_timeout(second(45)), Duration::from_secs(20));
        assert_eq!(notification.run_timeout(second(100)), Duration::ZERO);
    }
}
