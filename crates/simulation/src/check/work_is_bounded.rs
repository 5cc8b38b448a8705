//! Calls are bounded: per invocation, per burst, per hour, for what is broken and for what is well. Nothing is done
//! before it is due, for nobody, or too late to end in time.

use std::collections::BTreeMap;

use protocol::event::Event;
use protocol::look::LookFailure;
use protocol::schedule::{
    DATABASE_TIMEOUT, GOOGLE_TIMEOUT, INVOCATION_END, LAST_RENEWAL, LAST_RUN_OF_A_SWEEP, LONGEST_LOOK,
    LONGEST_SLEEP, PREPARATION, READ_BY_LOOKS, REFRESH_INTERVAL, ROWS_AT_ONCE, RUNS_PER_INVOCATION,
    SETUP_READS_EVERY,
};
use protocol::transition::Transition;

use crate::assumption::SKEW;
use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::check::record::invocation::Conduct;
use crate::check::row::{hears, is_live, is_well};
use crate::due::{due_at, is_consenting};
use crate::fact::{Answer, Deed, Fact, Moment, Request, Step};
use crate::subject::{Purpose, Writes, connection_of};
use crate::time::{HOUR, Instant, MILLISECOND, SECOND, delta, instant, micros};

/// How long an invocation may take to learn that it must end.
const LAST_WORDS: Instant = 30 * SECOND;
/// What a commit takes, and two looks at a clock.
const COMMIT: Instant = micros(DATABASE_TIMEOUT) + SECOND;

#[derive(Default)]
pub(super) struct WorkIsBounded {
    /// By number of the invocation.
    work: BTreeMap<usize, Work>,
}

#[derive(Default)]
struct Work {
    /// How many connections there were for a sweep to do something for, and how many at all.
    connections: (usize, usize),
    /// How many renewals it has begun, and not ended.
    renewals: usize,
    /// How often it asked for an access token for the renewal under way, by connection.
    token_requests: BTreeMap<usize, usize>,
    /// A setup has answered its caller.
    answered: bool,
    /// What its looks have read, in bytes.
    read: usize,
    /// The row of its connection told as it began that Google gives no access token.
    knew_dead: bool,
}

impl Check for WorkIsBounded {
    fn read(&mut self, record: &Record, at: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        match fact {
            Fact::Of(invocation, Deed::Starts { .. }) => {
                let work = self.work.entry(invocation.number).or_default();
                work.connections = connections(record, at);
                work.knew_dead =
                    invocation.connection().is_some_and(|connection| is_dead(record, connection));
            }
            Fact::Of(invocation, deed) => {
                let work = self.work.entry(invocation.number).or_default();
                if let Some(life) = record.life(*invocation) {
                    work.read(record, at, life, deed, found);
                }
                if deed.is_last() {
                    self.work.remove(&invocation.number);
                }
            }
            Fact::Applied(step) => {
                let Some(life) = record.life(step.invocation) else { return };
                match step.transition {
                    Transition::ClaimRun | Transition::KeepRun => claims_run(at, life, step, found),
                    Transition::ClaimRenewal => {
                        let work = self.work.entry(step.invocation.number).or_default();
                        work.token_requests.insert(step.connection, 0);
                        claims_renewal(record, at, step, found);
                    }
                    _ => {}
                }
            }
            Fact::RunStarted(run) => {
                let Some(life) = record.life(run.holder) else { return };
                let claim = life.claims.get(&run.connection);
                let claimed_at = claim.map(|claim| claim.sent_at);
                if life.refused_at.is_some() && claimed_at > life.refused_at {
                    let what = format!("{} goes on after nested calls were refused", run.holder);
                    found.broken(run.connection, what);
                }
            }
            Fact::Reached(moment) => reached(record, at, *moment, found),
            _ => {}
        }
    }
}

/// How many connections a sweep has something to do for, and how many there are.
fn connections(record: &Record, at: Instant) -> (usize, usize) {
    let all = record.cases().len();
    // Invocations of less quiet times may go on for a while.
    if at < record.quiet_from.saturating_add(HOUR) {
        return (all, all);
    }
    let due = record.rows().filter(|(_, row)| due_at(row) <= at + SKEW + SECOND).count();
    // Of a row that was deleted the channels are to be stopped.
    let deleted = record.cases().iter().filter(|case| case.row.is_none()).count();
    (due + deleted, all)
}

impl Work {
    fn read(&mut self, record: &Record, at: Instant, life: &Conduct, deed: &Deed<'_>, found: &mut Found<'_>) {
        let invocation = life.invocation;
        match *deed {
            Deed::Asks(Request::Watch { connection: Some(connection), .. }) => {
                // One, one with a fresh token, one with a fresh id.
                let watches = 1 + life.watches.get(&connection).copied().unwrap_or_default();
                if watches > 3 {
                    let what = format!("{invocation} asks for a channel {watches} times");
                    found.broken(connection, what);
                }
            }
            Deed::Asks(Request::Token { connection: Some(connection) }) => {
                let is_notification = matches!(invocation.purpose, Purpose::Receive(_));
                let case = record.case(connection);
                let is_untouched = case.is_none_or(|case| case.written_at < Some(life.started_at));
                if is_notification && self.knew_dead && is_untouched && is_dead(record, connection) {
                    let what = format!("{invocation} asks for an access token that Google does not give");
                    found.broken(connection, what);
                }
                let Some(token_requests) = self.token_requests.get_mut(&connection) else { return };
                *token_requests += 1;
                // A sweep may do so again for a channel that it stops, for a run and for a look.
                if *token_requests > if invocation.purpose == Purpose::Sweep { 4 } else { 1 } {
                    let what = format!("{invocation} asks for an access token {token_requests} times");
                    found.broken(connection, what);
                }
            }
            Deed::Asks(Request::Update {
                connection: Some(connection),
                transition: Transition::ClaimLook,
            }) if self.read >= READ_BY_LOOKS => {
                let what = format!("{invocation} begins a look after {} bytes of others", self.read);
                found.broken(connection, what);
            }
            Deed::Hears(Answer::Look { is_reading: true, answer, .. }) => {
                self.read += match answer {
                    Ok(look) => look.size,
                    Err(LookFailure::TooLarge) => LONGEST_LOOK,
                    Err(_) => 0,
                };
            }
            Deed::Asks(Request::Run { connection, timeout }) => calls(at, life, connection, timeout, found),
            Deed::Asks(Request::Update {
                connection: Some(connection),
                transition: Transition::ClaimRenewal,
            }) => self.renews(at, life, connection, found),
            Deed::Hears(Answer::Update {
                transition: Transition::ClaimRenewal,
                row: None | Some(None),
                ..
            }) => {
                self.renewals = self.renewals.saturating_sub(1);
            }
            Deed::Logs(
                event @ (Event::ChannelOpened { .. }
                | Event::RenewalFailed { .. }
                | Event::RenewalSuperseded { .. }),
            ) => {
                self.renewals = self.renewals.saturating_sub(1);
                self.token_requests.retain(|connection, _| Some(*connection) != connection_of(event));
            }
            Deed::SetsUp(_) => self.answered = true,
            Deed::Sleeps(duration) => self.sleeps(life, duration, found),
            Deed::Sweeps(_) => self.sweeps(record, life, found),
            Deed::Ends if !life.frozen && life.age(at) > delta(INVOCATION_END) + LAST_WORDS => {
                found.broken(None, format!("{invocation} went on for {} s", life.age(at) / SECOND));
            }
            _ => {}
        }
    }

    fn renews(&mut self, at: Instant, life: &Conduct, connection: usize, found: &mut Found<'_>) {
        if life.age(at) > delta(LAST_RENEWAL) {
            let what = format!("{} starts a renewal that may not end in time", life.invocation);
            found.broken(connection, what);
        }
        if life.invocation.purpose == Purpose::Sweep && !life.frozen && self.renewals >= ROWS_AT_ONCE {
            let what = format!("{} has more than {ROWS_AT_ONCE} renewals under way", life.invocation);
            found.broken(connection, what);
        }
        self.renewals += 1;
    }

    /// A notification's own short waits, and those between two looks of a setup.
    fn sleeps(&self, life: &Conduct, duration: Instant, found: &mut Found<'_>) {
        let looks = matches!(life.invocation.purpose, Purpose::Setup(_)) && !self.answered;
        let longest = if looks { micros(SETUP_READS_EVERY) } else { delta(LONGEST_SLEEP) + MILLISECOND };
        // A stop that waits for the access token that another asks for has a limit, which is no sleep.
        let is_limit = duration == micros(GOOGLE_TIMEOUT);
        if life.invocation.purpose == Purpose::Sweep && !is_limit || duration > longest {
            let what = format!("{} sleeps for {} ms", life.invocation, duration / MILLISECOND);
            found.broken(life.invocation.connection(), what);
        }
    }

    fn sweeps(&self, record: &Record, life: &Conduct, found: &mut Found<'_>) {
        let (due, all) = self.connections;
        // What a user makes due meanwhile, if by an invocation that is still at it, was not to be foreseen.
        let longest = delta(INVOCATION_END) + LAST_WORDS;
        let is_disturbed = record.disturbed_at.saturating_add(longest) > life.started_at;
        let connections = if is_disturbed { all } else { due };
        // Five reads, and for each connection at most a renewal with its run, a run, and a retirement.
        let (requests, runs) = (life.requests, life.runs);
        if runs > RUNS_PER_INVOCATION as usize || requests > 10 + 40 * connections {
            found.broken(None, format!("a sweep made {requests} requests and {runs} runs"));
        }
    }
}

/// Whether the row of a connection tells that its consent is dead, as one that is paused does not for long.
fn is_dead(record: &Record, connection: usize) -> bool {
    let row = record.case(connection).and_then(|case| case.row.as_ref());
    row.is_some_and(|row| is_live(row) && !is_consenting(row))
}

/// A run starts early enough to end with its invocation.
fn calls(at: Instant, life: &Conduct, connection: usize, timeout: Instant, found: &mut Found<'_>) {
    let age = life.age(at);
    // That it is the row's turn is written before a sweep's last run, and a token and a look may come between.
    let last = delta(LAST_RUN_OF_A_SWEEP) + 2 * micros(DATABASE_TIMEOUT) + delta(PREPARATION) + SECOND;
    let is_late = life.invocation.purpose == Purpose::Sweep && age > last && !life.frozen;
    let end = delta(INVOCATION_END) - micros(DATABASE_TIMEOUT) + SECOND;
    if is_late || (timeout > 0 && age + timeout > end) {
        let (after, up_to) = (age / SECOND, timeout / SECOND);
        let what = format!("{} calls after {after} s, for up to {up_to} s", life.invocation);
        found.broken(connection, what);
    }
}

fn claims_run(at: Instant, life: &Conduct, step: &Step<'_>, found: &mut Found<'_>) {
    let own = life.holds(step.connection, instant(step.before.sync_lease_until));
    if !own && instant(step.before.sync_not_before) > at + SKEW {
        found.broken(step.connection, format!("{} claimed a run before it was due", step.invocation));
    }
    if step.before.sync_request_id.is_none() {
        found.broken(step.connection, format!("{} claimed a run that nobody asked for", step.invocation));
    }
}

fn claims_renewal(record: &Record, at: Instant, step: &Step<'_>, found: &mut Found<'_>) {
    let (invocation, connection, before) = (step.invocation, step.connection, step.before);
    // The button's interval, less what two clocks may differ.
    let interval = delta(REFRESH_INTERVAL) - 2 * SKEW - COMMIT;
    let committed_at = record.case(connection).and_then(|case| case.committed_at);
    if matches!(invocation.purpose, Purpose::Button(_))
        && committed_at.is_some_and(|committed_at| at - committed_at < interval)
    {
        found.broken(connection, "the button renewed twice within seconds");
    }
    if invocation.purpose == Purpose::Sweep && instant(before.webhook_not_before) > at + SKEW {
        found.broken(connection, format!("{invocation} claimed a renewal before it was due"));
    }
    let tolerance = SKEW + 5 * SECOND;
    let was_well = is_well(before, at + tolerance) && is_well(before, at - tolerance);
    if was_well && matches!(invocation.purpose, Purpose::Setup(_) | Purpose::Sweep) {
        found.broken(connection, format!("{invocation} renewed a channel that was well"));
    }
}

fn reached(record: &Record, at: Instant, moment: Moment, found: &mut Found<'_>) {
    for (case, row) in record.rows() {
        let (runs, watches) = match moment {
            Moment::Calm => {
                let since = record.quiet_from + HOUR;
                (case.runs_after(since), case.watches_after(since))
            }
            Moment::Reconciled => (case.runs_after(record.calm_from), case.watches_after(record.calm_from)),
            // A channel that is due meanwhile leads to a run of its own, and what that writes to another.
            Moment::BurstOver { since } if record.is_healthy(case) => {
                (case.runs_after(since - 1).saturating_sub(2 * case.watches_after(since)), 0)
            }
            // A look that is due meanwhile leads to a run of its own.
            Moment::Repeated { since }
                if record.is_healthy(case) && !case.looked_after(since) && case.writes == Writes::Nothing =>
            {
                (case.runs_after(since), 0)
            }
            _ => (0, 0),
        };
        let (most_runs, most_watches, meanwhile) = match moment {
            // Every look leads to a run.
            Moment::Reconciled if !hears(row, at) || record.is_excused(case) => {
                (130, 45, "in a quiet day without a channel")
            }
            Moment::Calm if !hears(row, at) => (20, 12, "in two quiet hours without a channel"),
            // A channel that was opened late led to the first of them.
            Moment::Calm if case.broken.is_some() => (14, 12, "in two quiet hours"),
            Moment::Reconciled if case.broken.is_some() => (45, 45, "in a quiet day"),
            Moment::Reconciled => (20, 12, "in a quiet day"),
            Moment::BurstOver { .. } => (3, 0, "of one burst"),
            Moment::Repeated { .. } => (0, 0, "of a notification that came twice"),
            _ => (12, 12, "in two quiet hours"),
        };
        if runs > most_runs || watches > most_watches {
            let what = format!("{runs} runs and {watches} requests for channels {meanwhile}");
            found.broken(case.number, what);
        }
        if moment == Moment::Reconciled && !record.google.is_usable(row) {
            let asked = record.google.asked_in_vain(row).iter();
            let asked = asked.filter(|asked| **asked > record.calm_from).count();
            if asked > 4 {
                let what = format!("a consent that was revoked was tried {asked} times in a day");
                found.broken(case.number, what);
            }
        }
        if let Moment::HiccupOver { since, refused: true } = moment {
            // What is left of the 40 s by two clocks.
            let wait = since..(since + 40 * SECOND - 2 * SKEW - 2 * SECOND).min(at);
            let calls = case.calls.iter().filter(|call| wait.contains(*call)).count();
            if calls > 1 {
                found.broken(case.number, format!("{calls} calls, though the first was told to wait"));
            }
        }
    }
}
