//! Connections that fail or hang do not keep others waiting. So a sweep asks at once what is due, takes what has waited
//! longest first, runs beside renewals, and leaves no place idle; sweeps that overlap do the work of as many; and what
//! failed together does not come back together.

use std::collections::{BTreeMap, BTreeSet};

use protocol::connection::Connection;
use protocol::event::Event;
use protocol::schedule::{INVOCATION_END, RENEWAL_BACKOFF, ROWS_AT_ONCE, RUN_BACKOFF, RUNS_PER_INVOCATION};
use protocol::table::{Column, Filter, Query};
use protocol::transition::Transition;

use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::check::record::connection::Case;
use crate::check::record::invocation::Conduct;
use crate::check::row::{PERMANENT, after_refusal, doubled, is_owed_and_due};
use crate::due::is_consenting;
use crate::fact::{Answer, Deed, Fact, Moment, Request, Step};
use crate::subject::{Broken, Purpose, connection_number};
use crate::time::{Instant, SECOND, START, delta, instant};

/// So many delays in a row do not lack jitter by chance.
const IN_A_ROW: u32 = 5;

#[derive(Default)]
pub(super) struct NobodyStarves {
    /// By number of the invocation.
    queues: BTreeMap<usize, Queues>,
    /// How often in a row a delay had no jitter, by what it delays.
    unjittered: BTreeMap<&'static str, u32>,
    /// When sweeps started together, how many, and how many runs were owed.
    together: Option<(Instant, usize, usize)>,
}

/// What a sweep has found, and what it made of it.
#[derive(Default)]
struct Queues {
    /// Connections yet to be renewed, and since when they are due.
    due: Vec<(usize, Instant)>,
    due_read_at: Instant,
    /// Whose renewal it has asked for: the next page may still have them.
    had_their_turn: BTreeSet<usize>,
    /// Whether some rows, which are not in `due`, are looked at before they are renewed.
    look_first: bool,
    /// Connections yet to be run, and since when they are due.
    owed: Vec<(usize, Instant)>,
    renewals: usize,
    /// When its renewals ended, those included whose claim was lost.
    ended: Vec<Instant>,
    runs: usize,
    /// How many pages of each it has read.
    pages: BTreeMap<Queue, usize>,
}

/// What a sweep reads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Queue {
    Renewals,
    Runs,
}

impl Queue {
    fn of(query: &Query) -> Option<Self> {
        let asks = |column| {
            query.filters.iter().any(|filter| matches!(filter, Filter::Lte(asked, _) if *asked == column))
        };
        let runs = || asks(Column::SyncNotBefore).then_some(Self::Runs);
        asks(Column::WebhookNotBefore).then_some(Self::Renewals).or_else(runs)
    }
}

impl Check for NobodyStarves {
    fn read(&mut self, record: &Record, at: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        match fact {
            Fact::Applied(step) => self.has_jitter(record, step, found),
            Fact::Of(invocation, deed) if invocation.purpose == Purpose::Sweep => {
                if let Some(life) = record.life(*invocation) {
                    self.queues.entry(invocation.number).or_default().read(at, life, deed, found);
                }
                if deed.is_last() {
                    self.queues.remove(&invocation.number);
                }
            }
            Fact::Reached(Moment::SweepsTogether { sweeps }) => {
                let is_run = |case: &Case| case.broken != Some(Broken::Refusing);
                let owed =
                    record.rows().filter(|(case, row)| is_run(case) && is_owed_and_due(row, at)).count();
                self.together = Some((at, *sweeps, owed));
            }
            Fact::Reached(Moment::SweepsServed) => {
                let Some((since, sweeps, owed)) = self.together.take() else { return };
                let calls = record.cases().iter().flat_map(|case| &case.calls);
                let calls = calls.filter(|call| **call >= since).count();
                if calls < owed.min(RUNS_PER_INVOCATION as usize * sweeps) {
                    let what = format!("{sweeps} sweeps made {calls} runs of {owed} that were owed");
                    found.broken(None, what);
                }
            }
            Fact::Reached(Moment::CrowdServed { first, run }) => {
                for (case, row) in record.rows().filter(|(case, _)| case.number >= *first) {
                    if row.webhook_id.is_none() || (*run && !case.ran_since(START, at)) {
                        let what = "it still waits, and others came first again and again";
                        found.broken(case.number, what);
                    }
                }
            }
            _ => {}
        }
    }
}

impl NobodyStarves {
    fn has_jitter(&mut self, record: &Record, step: &Step<'_>, found: &mut Found<'_>) {
        let Some(life) = record.life(step.invocation) else { return };
        let (before, after) = (step.before, step.after);
        let clock = life.clock(step.sent_at);
        let (renewal, run) = (instant(after.webhook_not_before), instant(after.sync_not_before));
        let (what, backoff, delay) = match step.transition {
            Transition::ClaimRenewal if after.webhook_not_before > after.webhook_lease_until => {
                let backoff = doubled(delta(RENEWAL_BACKOFF), before.webhook_attempts);
                ("a renewal that may crash", backoff, renewal - clock)
            }
            Transition::FailRenewal | Transition::DoubtChannel => {
                let is_permanent = |error: &String| PERMANENT.contains(&error.as_str());
                if after.webhook_error.as_ref().is_some_and(is_permanent) {
                    return;
                }
                let error = after.webhook_error.as_deref().unwrap_or_default();
                let backoff = after_refusal(error, before.webhook_attempts - 1);
                ("a renewal that failed", backoff, renewal - clock)
            }
            Transition::ClaimRun if before.sync_attempts > 0 => {
                let backoff = doubled(delta(RUN_BACKOFF), before.sync_attempts);
                ("a run that may crash", backoff, run - instant(after.sync_lease_until))
            }
            Transition::FailRun => {
                ("a run that failed", doubled(delta(RUN_BACKOFF), before.sync_attempts), run - clock)
            }
            _ => return,
        };
        let count = self.unjittered.entry(what).or_default();
        *count = if delay == backoff { *count + 1 } else { 0 };
        if *count == IN_A_ROW {
            found.broken(step.connection, format!("{what} is delayed without jitter"));
        }
    }
}

impl Queues {
    fn read(&mut self, at: Instant, life: &Conduct, deed: &Deed<'_>, found: &mut Found<'_>) {
        match *deed {
            Deed::Asks(Request::Select(query)) => {
                let Some(queue) = Queue::of(query) else { return };
                let page = self.pages.entry(queue).or_default();
                if *page == 0 && life.age(at) > SECOND && !life.frozen {
                    let what = "asks late what is due, and keeps it waiting for the rest";
                    found.broken(None, format!("{} {what}", life.invocation));
                }
                *page += 1;
            }
            Deed::Hears(Answer::Select { query, rows: Some(rows) }) => {
                let rows = rows.iter().flatten();
                match Queue::of(query) {
                    Some(Queue::Renewals) => {
                        let clock = life.clock(at);
                        let (first, due): (Vec<_>, Vec<_>) =
                            rows.partition(|row| is_looked_at_first(row, clock));
                        self.look_first |= !first.is_empty();
                        let due = due.iter();
                        let due = due.map(|row| (connection_number(row.id), instant(row.webhook_not_before)));
                        let due = due.filter(|(of, _)| !self.had_their_turn.contains(of)).collect();
                        (self.due, self.due_read_at) = (due, at);
                    }
                    Some(Queue::Runs) => {
                        let owed = rows.map(|row| (connection_number(row.id), instant(row.sync_not_before)));
                        self.owed = owed.collect();
                    }
                    None => {}
                }
            }
            Deed::Asks(Request::Update { connection: Some(connection), transition }) if !life.frozen => {
                match transition {
                    Transition::ClaimRun => self.runs(life, connection, found),
                    Transition::ClaimRenewal => self.renews(at, life, connection, found),
                    _ => {}
                }
            }
            Deed::Hears(Answer::Update {
                transition: Transition::ClaimRenewal,
                row: None | Some(None),
                ..
            })
            | Deed::Logs(
                Event::ChannelOpened { .. } | Event::RenewalFailed { .. } | Event::RenewalSuperseded { .. },
            ) => self.ended.push(at),
            _ => {}
        }
    }

    fn runs(&mut self, life: &Conduct, connection: usize, found: &mut Found<'_>) {
        self.runs += 1;
        // What could not be run for want of budget may be passed over, and a run after a renewal has no turn.
        let has_turn = self.runs <= RUNS_PER_INVOCATION as usize && !life.pending.contains_key(&connection);
        if !takes_first(&mut self.owed, connection) && has_turn {
            found.broken(connection, format!("{} runs what has waited less than others", life.invocation));
        }
    }

    fn renews(&mut self, at: Instant, life: &Conduct, connection: usize, found: &mut Found<'_>) {
        self.had_their_turn.insert(connection);
        if !takes_first(&mut self.due, connection) {
            found.broken(connection, format!("{} renews what has waited less than others", life.invocation));
        }
        // Each takes the place of one that ended.
        let free_at = match self.renewals.checked_sub(ROWS_AT_ONCE) {
            None => Some(self.due_read_at),
            Some(before) => self.ended.get(before).copied(),
        };
        self.renewals += 1;
        // Or waits until the next page is read.
        let is_kept_waiting = free_at.is_some_and(|free_at| free_at.max(self.due_read_at) < at);
        if is_kept_waiting && !self.look_first {
            let what = format!("{} keeps a renewal waiting for what it need not", life.invocation);
            found.broken(connection, what);
        }
    }
}

/// Whether its renewal, which has failed before, may have to wait for a look in the same sweep.
fn is_looked_at_first(row: &Connection, clock: Instant) -> bool {
    row.webhook_attempts > 0
        && row.sync_request_id.is_none()
        && is_consenting(row)
        && instant(row.sync_look_at) <= clock + delta(INVOCATION_END)
}

/// Whether nobody in the queue has waited longer.
fn takes_first(queue: &mut Vec<(usize, Instant)>, connection: usize) -> bool {
    let Some(place) = queue.iter().position(|(of, _)| *of == connection) else { return true };
    let (_, since) = queue.remove(place);
    queue.iter().all(|(_, at)| *at >= since)
}
