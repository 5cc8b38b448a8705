//! Every number of the protocol, and when things are due.

use std::time::Duration;

use chrono::TimeDelta;

use crate::Timestamp;
use crate::connection::{Connection, RequestId};
use crate::failure::{Refused, RenewalFailure};

pub const DATABASE_TIMEOUT: Duration = Duration::from_secs(5);
/// For everything before Google is answered. Google waits longer, but counts slow answers as failures.
pub const RECEIVE_TIMEOUT: TimeDelta = TimeDelta::milliseconds(4_500);
pub const GOOGLE_TIMEOUT: Duration = Duration::from_secs(8);
pub const STOP_TIMEOUT: Duration = Duration::from_secs(5);
pub const RUN_TIMEOUT: Duration = Duration::from_secs(50);

/// Longer than the slowest path through a renewal (75 s).
pub const RENEWAL_LEASE: TimeDelta = TimeDelta::seconds(90);
/// After a renewal failed, nobody tries again for so long, the user's button included.
pub const LEASE_AFTER_FAILURE: TimeDelta = TimeDelta::seconds(10);
/// And for each time that it asked Google for a channel: 12 a minute at most, however often the consent or the calendar
/// is changed.
pub const LEASE_AFTER_WATCH: TimeDelta = TimeDelta::seconds(5);
/// What must be left of the lease and of the invocation when Google is asked for a channel.
pub const TIME_TO_WATCH: TimeDelta = TimeDelta::seconds(25);
/// An access token is renewed when less than this is left of it.
pub const TOKEN_MARGIN: TimeDelta = TimeDelta::seconds(60);
/// The button renews a connection at most once in this time.
pub const REFRESH_INTERVAL: TimeDelta = TimeDelta::seconds(30);
/// 30 days, Google's maximum; it may grant less.
pub const CHANNEL_TTL: Duration = Duration::from_secs(2_592_000);
/// A run finds an access token with so much left of it.
pub const TOKEN_MARGIN_OF_A_RUN: TimeDelta = TimeDelta::minutes(5);

/// How often a calendar is looked at whose channel is well, unless the operator says otherwise. Google's notifications
/// are not 100 % reliable.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(6 * 3600);
/// And while it is not well, or Google sends no notifications for the calendar.
pub const LOOK_INTERVAL_WITHOUT_CHANNEL: TimeDelta = TimeDelta::minutes(15);
/// Of a look that is due, a new token and a second try included.
pub const LONGEST_DUE_LOOK: TimeDelta = TimeDelta::seconds(40);
/// Of the look after a stop that Google refused with a 401, a new token included where there is time.
pub const LOOK_OF_A_STOP: TimeDelta = TimeDelta::seconds(15);
/// Of a whole look, however many pages it reads.
pub const LOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// What is read of a calendar in one look, in bytes: about 5,000 plain events.
pub const LONGEST_LOOK: usize = 2 * 1024 * 1024;
/// How many pages are read in one look, of 250 events each.
pub const PAGES_PER_LOOK: usize = 20;
/// Once a renewal has been due for so long, its calendar is looked at without it.
pub const RENEWAL_IS_LATE: TimeDelta = TimeDelta::minutes(15);
/// Where looks fail for so long without anybody's fault, a run is made blindly.
pub const BLIND_RUN_AFTER: TimeDelta = TimeDelta::hours(24);
/// What passes by itself is told once a look is so late.
pub const LOOK_IS_LATE: TimeDelta = TimeDelta::hours(1);
/// Before every so many attempts of a run the calendar is looked at: no look is due while a run is owed, and where the
/// consent was withdrawn or the calendar is gone, the app's function fails for that.
pub const ATTEMPTS_FOR_A_LOOK: i64 = 3;
/// A channel of this age that did not tell of a change is replaced.
pub const CHANNEL_IS_YOUNG: TimeDelta = TimeDelta::hours(1);
/// Token and look end so long after the lease was taken, or it would not outlive the callee.
pub const PREPARATION: TimeDelta = TimeDelta::seconds(20);

/// Everything ends by then: hosted workers take no new work after half their wall clock (75 of 150 s on the free plan).
pub const INVOCATION_END: TimeDelta = TimeDelta::seconds(70);
/// And so long before the worker is killed, where that is sooner.
pub const LEFT_OF_THE_WALL_CLOCK: TimeDelta = TimeDelta::seconds(10);
/// What workers live on the free plan.
pub const WALL_CLOCK: Duration = Duration::from_secs(150);
/// No renewal starts after this second of an invocation.
pub const LAST_RENEWAL: TimeDelta = TimeDelta::seconds(45);
/// No run starts after this second of a sweep, where it would keep the answer waiting.
pub const LAST_RUN_OF_A_SWEEP: TimeDelta = TimeDelta::seconds(10);
/// What must be left for a run, elsewhere.
pub const SHORTEST_RUN: TimeDelta = TimeDelta::seconds(5);
/// And after it, for the write that ends it.
pub const SPARE: TimeDelta = TimeDelta::seconds(5);
/// How often a notification's row is judged, should it move in between.
pub const JUDGEMENTS: usize = 3;
/// Another setup may be opening the channel right now: worth waiting for this long, and reading the rows this often.
pub const SETUP_PATIENCE: TimeDelta = TimeDelta::seconds(15);
pub const SETUP_READS_EVERY: Duration = Duration::from_secs(1);
/// So many requests of one user wait at a time, in one instance.
pub const SETUPS_THAT_WAIT: usize = 3;

/// In a minute one instance stops so many channels that spoke with a connection's token and are not in its row: anybody
/// who knows the token can name any number of them.
pub const STOPS_A_MINUTE: usize = 12;
/// A wait shorter than this may be slept out after a notification.
pub const LONGEST_SLEEP: TimeDelta = TimeDelta::seconds(10);
/// Hosted Edge Functions limit nested calls, and a worker has two seconds of CPU.
pub const RUNS_PER_INVOCATION: u32 = 25;
/// What a step of the sweep reads at a time: less than what is read of an answer, whatever is stored. Of a row come three
/// values of up to 4,096 characters, each of which may take six bytes in JSON, and short ones.
pub const ROWS_PER_PAGE: usize = 50;
/// How many channels a sweep renews at most, how many it gives up, and how many of deleted connections it stops.
pub const RENEWALS_PER_SWEEP: usize = 200;
/// So many sweeps may share the work.
pub const MOST_PARTS: usize = 20;
/// And how many rows of each step are at Google at a time.
pub const ROWS_AT_ONCE: usize = 8;
pub const LOOKS_PER_SWEEP: usize = 50;
/// When looks of one invocation that succeeded, or found a calendar too large, have read so many bytes, no other begins,
/// but those of renewals that keep failing: each megabyte takes 25 to 40 ms of a worker's two seconds of CPU.
pub const READ_BY_LOOKS: usize = 10 * 1024 * 1024;
/// So many of a sweep's runs are kept for what looks find, while any are due.
pub const RUNS_KEPT_FOR_LOOKS: u32 = 5;
/// No look starts after this second of a sweep.
pub const LAST_LOOK_OF_A_SWEEP: TimeDelta = TimeDelta::seconds(30);
/// When a deleted connection's channel that was not stopped is tried again, and until when.
pub const FAREWELL_INTERVAL: TimeDelta = TimeDelta::hours(1);
pub const FAREWELLS_LAST: TimeDelta = TimeDelta::hours(24);

/// What a renewal that failed waits at first, and a run; doubled with every failure.
pub const RENEWAL_BACKOFF: TimeDelta = TimeDelta::seconds(30);
pub const RUN_BACKOFF: TimeDelta = TimeDelta::seconds(1);
/// With its jitter an hour. Without any at the limit, what failed together would come back together for ever.
pub const LONGEST_BACKOFF: TimeDelta = TimeDelta::minutes(57);
pub const LONGEST_JITTER: TimeDelta = TimeDelta::minutes(3);
pub const DAILY: TimeDelta = TimeDelta::hours(24);
/// A channel is renewed so long before it expires, or halfway for short grants.
pub const RENEWED_BEFORE_EXPIRY: TimeDelta = TimeDelta::hours(48);
/// So many echoes are let pass before the brake grips.
pub const FREE_ECHOES: i64 = 3;
pub const LONGEST_BRAKE: TimeDelta = TimeDelta::minutes(2);
/// A request that arises so soon after a run, or during it, may be the run's own echo.
pub const ECHO: TimeDelta = TimeDelta::seconds(20);
/// So long after a run its calendar is looked at before the next: an echo may be late.
pub const LATE_ECHO: TimeDelta = TimeDelta::minutes(2);
/// A run that waits longer than this for an old failure is brought forward by a new change.
pub const LONGEST_WAIT_OF_A_CHANGE: TimeDelta = TimeDelta::minutes(2);
/// And than this by one that may be an echo of the attempt that failed, or an app that writes and then fails would be
/// run every two minutes for ever.
pub const LONGEST_WAIT_OF_AN_ECHO: TimeDelta = TimeDelta::minutes(15);

/// Until when nobody tries again after a renewal that asked Google for a channel so many times.
pub fn lease_after_watches(now: Timestamp, watches: i32) -> Timestamp {
    now + LEASE_AFTER_WATCH * watches.max(1)
}

/// How long a worker of this age lives. It is given requests for half of its life: a process that is given them for
/// longer is ended by no clock.
pub fn life_left(wall_clock: Duration, age: Duration) -> Duration {
    wall_clock.saturating_sub(age.min(wall_clock / 2))
}

/// When an invocation ends at the latest in a worker that lives so long from its start on.
pub fn invocation_end(life_left: Duration) -> TimeDelta {
    let life_left = TimeDelta::from_std(life_left).unwrap_or(TimeDelta::MAX);
    INVOCATION_END.min(life_left - LEFT_OF_THE_WALL_CLOCK)
}

/// When to try a renewal again that has `attempts` failures behind it, the last of which was `refused`. What only a
/// person can mend is tried daily, and what Google refuses without a reason that is known ever less often, down to
/// daily: nobody may ever mend it. Not before Google says, but after a day whatever it says.
pub fn renewal_retry(now: Timestamp, attempts: i64, refused: Option<&Refused>, random: u128) -> Timestamp {
    let longest = match refused.map(|refused| refused.failure) {
        Some(failure) if !failure.is_retryable() => return now + DAILY,
        Some(RenewalFailure::GoogleRejected) => DAILY,
        _ => LONGEST_BACKOFF,
    };
    let asked_for = refused.map_or(TimeDelta::zero(), asked_to_wait);
    now + with_jitter(doubled(RENEWAL_BACKOFF, attempts).min(longest).max(asked_for), random)
}

/// How long Google asks not to be asked again; a day, whatever it says beyond.
pub fn asked_to_wait(refused: &Refused) -> TimeDelta {
    refused
        .retry_after
        .map_or(TimeDelta::zero(), |wait| TimeDelta::from_std(wait).unwrap_or(DAILY).min(DAILY))
}

/// When to try a run again after `attempts` without success, the one just ended included.
pub fn run_retry(now: Timestamp, attempts: i64, random: u128) -> Timestamp {
    now + with_jitter(doubled(RUN_BACKOFF, attempts).min(LONGEST_BACKOFF), random)
}

/// How long a change that is told at `now` waits for an owed run at most.
pub fn longest_wait(row: &Connection, now: Timestamp) -> TimeDelta {
    let delay = doubled(RUN_BACKOFF, row.sync_attempts).min(LONGEST_BACKOFF);
    // When the attempt before failed, or up to the jitter earlier.
    let failed_at = row.sync_not_before - delay;
    let is_soon_after = failed_at - LONGEST_JITTER <= now && now < failed_at + LATE_ECHO;
    // Another echo of the same attempt has brought it forward just now.
    let left = row.sync_not_before - now;
    let is_brought_forward = left <= LONGEST_WAIT_OF_AN_ECHO && left > LONGEST_WAIT_OF_AN_ECHO - LATE_ECHO;
    if is_soon_after || is_brought_forward { LONGEST_WAIT_OF_AN_ECHO } else { LONGEST_WAIT_OF_A_CHANGE }
}

/// When a claimed run may start again should its holder die: when its lease ends and, from the second attempt on,
/// a delay after that. With jitter, or runs that died of the same sweep as one that kills its isolate would share the
/// next one with it, too.
pub fn run_retry_after_crash(lease_until: Timestamp, attempts_before: i64, random: u128) -> Timestamp {
    match attempts_before {
        0 => lease_until,
        attempts => run_retry(lease_until, attempts, random),
    }
}

/// When a channel opened at `now` is due for renewal: 48 hours before it expires, or halfway for short grants; or up to a
/// tenth sooner, so that what was opened together is not for ever due together.
pub fn renewal_due(now: Timestamp, expiration: Timestamp, random: u128) -> Timestamp {
    // Google grants no more than was asked for, whatever it says; a day more is another clock.
    let asked_for = now + TimeDelta::from_std(CHANNEL_TTL).unwrap_or(TimeDelta::MAX);
    let is_believable = expiration < asked_for + DAILY;
    let expiration = if is_believable { expiration } else { asked_for };
    let lifetime = expiration.signed_duration_since(now);
    let wait = lifetime - RENEWED_BEFORE_EXPIRY.min(lifetime / 2);
    let permille = i32::try_from(random % 101).unwrap_or(0);
    now + (wait - wait / 1000 * permille)
}

/// The storm brake: how many successful runs in a row may have been echoes of the one before. `arose_at` is when
/// the run's request arose, `last_sync_at` when the run before it ended.
pub fn streak_after(streak: i64, arose_at: Option<Timestamp>, last_sync_at: Option<Timestamp>) -> i64 {
    if arose_within(ECHO, arose_at, last_sync_at) { one_more(streak) } else { 0 }
}

/// Whether a request may be an echo of the run before it, though perhaps a late one.
pub fn may_be_echo(arose_at: Option<Timestamp>, last_sync_at: Option<Timestamp>) -> bool {
    arose_within(LATE_ECHO, arose_at, last_sync_at)
}

fn arose_within(time: TimeDelta, arose_at: Option<Timestamp>, last_sync_at: Option<Timestamp>) -> bool {
    matches!((arose_at, last_sync_at), (Some(arose_at), Some(ended_at))
        if arose_at.signed_duration_since(ended_at) < time)
}

/// When a calendar looked at now is looked at again: `usual` from now while its channel is well, and soon after it is
/// not any more. With a tenth of jitter either way, or what was connected together would be looked at together for
/// ever.
pub fn next_look(row: &Connection, now: Timestamp, usual: Duration, random: u128) -> Timestamp {
    let without_channel = jittered(now, LOOK_INTERVAL_WITHOUT_CHANNEL, random);
    if !row.hears_of_changes(now) {
        return without_channel;
    }
    let usual = jittered(now, TimeDelta::from_std(usual).unwrap_or(TimeDelta::MAX), random);
    // Of `infinity` there is none.
    let soon_after =
        row.webhook_expiration.and_then(|expires| expires.checked_add_signed(LOOK_INTERVAL_WITHOUT_CHANNEL));
    soon_after.map_or(usual, |soon_after| usual.min(soon_after)).max(without_channel)
}

/// When a calendar whose look has begun is looked at again should its worker die.
pub fn next_look_after_crash(now: Timestamp, random: u128) -> Timestamp {
    jittered(now, LOOK_INTERVAL_WITHOUT_CHANNEL, random)
}

/// When a calendar of which nothing was read is looked at again: as late as one whose channel is well, for a run is
/// made each time.
pub fn next_look_of_unread(now: Timestamp, usual: Duration, random: u128) -> Timestamp {
    jittered(now, TimeDelta::from_std(usual).unwrap_or(TimeDelta::MAX), random)
}

/// When to look again after `refused`: soon where it is news, for one answer may be wrong, and not before Google says.
/// What is told already and only a person can mend is looked at daily; what else is waits as long again as it has
/// waited, an hour at most, and a day where no reason is known.
pub fn look_retry(row: &Connection, now: Timestamp, refused: &Refused, random: u128) -> Timestamp {
    let longest = match refused.failure {
        failure if !failure.is_retryable() && row.webhook_error.as_deref() == Some(failure.code()) => {
            return now + DAILY;
        }
        RenewalFailure::GoogleRejected => DAILY,
        _ => LONGEST_BACKOFF,
    };
    let since = row.webhook_error.as_ref().and(row.last_sync_at);
    let waited = since.map_or(TimeDelta::zero(), |since| now.signed_duration_since(since));
    now + with_jitter(
        waited.max(LOOK_INTERVAL_WITHOUT_CHANNEL).min(longest).max(asked_to_wait(refused)),
        random,
    )
}

/// Whether the last that was known of a calendar is older than looks ought to leave it.
pub fn is_look_late(row: &Connection, now: Timestamp, usual: Duration) -> bool {
    let age = now.signed_duration_since(row.last_sync_at.unwrap_or_default());
    let usual = TimeDelta::from_std(usual).unwrap_or(TimeDelta::MAX);
    let interval = if row.hears_of_changes(now) { usual } else { LOOK_INTERVAL_WITHOUT_CHANNEL };
    age - LOOK_IS_LATE > interval / 10 * 11
}

/// Whether the look was due more than an hour before this change was told. Sweeps that come would have made it. A run that
/// ended within that hour may have kept them from it.
pub fn are_sweeps_missing(row: &Connection) -> bool {
    let told_at = row.sync_request_id.and_then(RequestId::arose_at);
    let is_long_ago = |time: Timestamp| told_at.is_some_and(|told_at| told_at - time > LOOK_IS_LATE);
    is_long_ago(row.sync_look_at) && row.last_sync_at.is_none_or(is_long_ago)
}

/// So long from now, a tenth more or less.
fn jittered(now: Timestamp, interval: TimeDelta, random: u128) -> Timestamp {
    let permille = i32::try_from(random % 201).unwrap_or(0);
    now + interval / 10 * 9 + interval / 1000 * permille
}

/// How long the next run waits after `streak` echoes. Bounds a `recalculate-schedule` that writes to the watched
/// calendar, so that every run causes the next notification.
pub fn brake(streak: i64) -> TimeDelta {
    if streak < FREE_ECHOES {
        TimeDelta::zero()
    } else {
        doubled(TimeDelta::seconds(1), streak).min(LONGEST_BRAKE)
    }
}

/// Counts on, as far as a column of PostgreSQL's `integer` can.
pub fn one_more(count: i64) -> i64 {
    count.saturating_add(1).min(i32::MAX.into())
}

/// `base` × 2^`times`, far beyond any limit rather than overflowing.
fn doubled(base: TimeDelta, times: i64) -> TimeDelta {
    let factor = 1_i32 << times.clamp(0, 20);
    base.checked_mul(factor).unwrap_or(TimeDelta::MAX)
}

/// Up to a fifth more, three minutes at most, so that what failed together does not come back together.
fn with_jitter(delay: TimeDelta, random: u128) -> TimeDelta {
    let permille = i32::try_from(random % 1001).unwrap_or(0);
    delay.checked_add(&((delay / 5).min(LONGEST_JITTER) / 1000 * permille)).unwrap_or(delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[track_caller]
    fn check_seconds(time: Timestamp, seconds: std::ops::RangeInclusive<i64>) {
        let actual = time.signed_duration_since(NOW).num_seconds();
        assert!(seconds.contains(&actual), "{actual} s is not in {seconds:?}");
    }

    #[test]
    fn a_failing_renewal_is_tried_ever_less_often_but_hourly_at_least() {
        for (attempts, seconds) in
            [(0, 30..=36), (1, 60..=72), (3, 240..=288), (7, 3420..=3600), (i64::MAX, 3420..=3600)]
        {
            check_seconds(renewal_retry(NOW, attempts, None, 77), seconds);
        }
    }

    #[test]
    fn what_only_a_person_can_mend_is_tried_daily() {
        use RenewalFailure as Failure;
        for failure in [
            Failure::ReconnectRequired,
            Failure::PermissionMissing,
            Failure::BlockedByPolicy,
            Failure::NoCalendar,
            Failure::CalendarNotFound,
            Failure::PushNotSupported,
        ] {
            check_seconds(renewal_retry(NOW, 0, Some(&failure.into()), 0), 86_400..=86_400);
        }
    }

    #[test]
    fn a_refusal_for_no_known_reason_is_tried_ever_less_often_down_to_daily() {
        for (attempts, seconds) in [
            (0, 30..=36),
            (7, 3840..=4020),
            (11, 61_440..=61_620),
            (12, 86_400..=86_580),
            (99, 86_400..=86_580),
        ] {
            let refused = RenewalFailure::GoogleRejected.into();
            check_seconds(renewal_retry(NOW, attempts, Some(&refused), 77), seconds);
        }
    }

    #[test]
    fn google_is_not_asked_again_before_it_says_but_within_a_day() {
        for (asked_for, seconds) in [
            (0, 60..=60),
            (59, 60..=60),
            (7200, 7200..=7200),
            (86_400, 86_400..=86_400),
            (9_000_000, 86_400..=86_400),
            (u64::MAX, 86_400..=86_400),
        ] {
            let retry_after = Some(Duration::from_secs(asked_for));
            let refused = Refused { retry_after, ..RenewalFailure::GoogleUnavailable.into() };
            check_seconds(renewal_retry(NOW, 1, Some(&refused), 0), seconds);
        }
    }

    #[test]
    fn a_failing_run_is_tried_again_after_two_seconds_then_four() {
        for (attempts, seconds) in [(1, 2..=2), (2, 4..=4), (12, 3420..=3600)] {
            check_seconds(run_retry(NOW, attempts, 999), seconds);
        }
    }

    #[test]
    fn a_channel_is_due_two_days_before_it_expires_or_halfway_or_up_to_a_tenth_sooner() {
        let days = 86_400;
        for (lifetime, latest) in
            [(30 * days, 28 * days), (60, 30), (9_999 * days, 28 * days), (0, 0), (-60, -30)]
        {
            let due = |random| renewal_due(NOW, NOW + TimeDelta::seconds(lifetime), random);
            check_seconds(due(0), latest..=latest);
            check_seconds(due(100), latest / 10 * 9..=latest / 10 * 9);
            assert_eq!(due(1) == due(2), lifetime == 0, "{lifetime} s");
        }
    }

    #[test]
    fn only_requests_close_to_the_run_before_them_count_as_echoes() {
        let ended_at = Some(NOW);
        for (arose_after, streak) in [(-300, 4), (-5, 4), (0, 4), (19, 4), (20, 0), (3600, 0)] {
            let arose_at = Some(NOW + TimeDelta::seconds(arose_after));
            assert_eq!(streak_after(3, arose_at, ended_at), streak, "{arose_after} s");
        }
        assert_eq!(streak_after(3, None, ended_at), 0);
        assert_eq!(streak_after(3, Some(NOW), None), 0);
    }

    #[test]
    fn the_brake_grips_at_the_third_echo_and_holds_two_minutes_at_most() {
        let seconds: Vec<i64> = (0..9).map(|streak| brake(streak).num_seconds()).collect();
        assert_eq!(seconds, [0, 0, 0, 8, 16, 32, 64, 120, 120]);
    }
}
