//! What a caller is told, judged by what the instance learned that it did.

use std::collections::{BTreeMap, BTreeSet};

use protocol::connection::Connection;
use protocol::failure::{DatabaseUnavailable, RunFailure};
use protocol::refresh::Refreshed;
use protocol::refusal::Refusal;
use protocol::setup::SetUp;
use protocol::sweep::Swept;
use protocol::transition::Transition;

use crate::instance::Instance;
use crate::life::{Life, Purpose};
use crate::promise::Promise;
use crate::time::{Instant, SECOND, instant, micros, timestamp};
use crate::world::{World, connection_number, is_well};

/// How long a setup waits for whoever was faster.
const PATIENCE: Instant = 15 * SECOND;
/// The button's interval, and the longest that anybody is told to wait.
const INTERVAL: Instant = 30 * SECOND;

/// What an instance knows that it did.
#[derive(Default)]
pub(crate) struct Deeds {
    renewed: u32,
    stopped: u32,
    reconciled: u32,
    /// Its claims of runs: of which connection, and how the last run under each ended.
    runs: Vec<(usize, Option<Result<(), RunFailure>>)>,
    /// Why renewals failed, as it stands in their rows.
    failures: Vec<(usize, String)>,
    /// How many runs truly were owed and due when it asked.
    pub(crate) remaining: Option<u64>,
}

impl Deeds {
    /// An update met `row`.
    pub(crate) fn note(&mut self, transition: Transition, row: &Connection) {
        let connection = connection_number(row.id);
        match transition {
            Transition::RetireChannel => self.stopped += 1,
            // Looked up, a channel is found stored whose commit was not answered.
            Transition::CommitChannel | Transition::LookUpChannel => self.renewed += 1,
            Transition::FailRenewal | Transition::DoubtChannel => {
                self.failures.push((connection, row.webhook_error.clone().unwrap_or_default()));
            }
            Transition::ClaimRun => self.runs.push((connection, None)),
            Transition::Reconcile => self.reconciled += 1,
            _ => {}
        }
    }

    pub(crate) fn ran(&mut self, connection: usize, result: Result<(), RunFailure>) {
        if let Some((_, last)) = self.runs.iter_mut().rev().find(|(of, _)| *of == connection) {
            *last = Some(result);
        }
    }

    fn claimed_twice(&self) -> bool {
        let of: BTreeSet<usize> = self.runs.iter().map(|(connection, _)| *connection).collect();
        of.len() < self.runs.len()
    }
}

/// How many runs may start now.
pub(crate) fn owed_and_due(world: &World, clock: Instant) -> u64 {
    let ledgers = world.ledgers.borrow();
    let rows = ledgers.iter().filter_map(|ledger| ledger.row.as_ref());
    rows.filter(|row| is_owed_and_due(row, clock)).count() as u64
}

pub(crate) fn is_owed_and_due(row: &Connection, clock: Instant) -> bool {
    row.sync_request_id.is_some()
        && row.is_live()
        && instant(row.sync_lease_until) < clock
        && instant(row.sync_not_before) <= clock
}

fn broke(world: &World, life: &Life, what: &str) {
    world.broke(Promise::AnswersAreTrue, life.connection(), format!("{life} {what}"));
}

impl Instance {
    pub(crate) fn judge_swept(&self, answer: &Result<Swept, DatabaseUnavailable>) {
        let demand = |holds: bool, otherwise: String| {
            if !holds {
                broke(&self.world, &self.life, &otherwise);
            }
        };
        let unanswered = self.life.last_unanswered.get() > 0;
        let Ok(swept) = answer else {
            return demand(unanswered, "has an answer to all that it asked, and gives none".to_owned());
        };
        let deeds = self.life.deeds.borrow();
        let count =
            |told: u32, done: u32, what| demand(told == done, format!("tells {told} {what}, not {done}"));
        count(swept.renewed, deeds.renewed, "renewals");
        count(swept.stopped, deeds.stopped, "retirements");
        count(swept.reconciled, deeds.reconciled, "reconciliations");
        let (told, remaining) = (swept.remaining, deeds.remaining);
        demand(remaining == Some(told), format!("tells that {told} runs remain, not {remaining:?}"));
        if deeds.claimed_twice() {
            // Whoever is told late that its run failed may try again at once, and tells the last try alone.
            return;
        }
        let runs = || deeds.runs.iter().filter_map(|(connection, result)| Some((*connection, (*result)?)));
        let synced = u32::try_from(runs().filter(|(_, result)| result.is_ok()).count()).unwrap_or(u32::MAX);
        count(swept.synced, synced, "connections synced");
        // How often each happened, less how often it is told.
        let mut untold: BTreeMap<(usize, String), i32> = BTreeMap::new();
        for (connection, code) in &swept.failed {
            *untold.entry((connection_number(*connection), code.clone())).or_default() -= 1;
        }
        let failed_runs = runs().filter_map(|(connection, result)| Some((connection, result.err()?.code())));
        for failure in failed_runs.chain(deeds.failures.iter().cloned()) {
            *untold.entry(failure).or_default() += 1;
        }
        for ((connection, code), times) in untold {
            // What could not be written down is told all the same.
            let holds = times == 0 || (times < 0 && unanswered);
            demand(holds, format!("tells {code} of c{connection} {times} times less than it happened"));
        }
    }

    pub(crate) fn judge_set_up(&self, answer: &Result<SetUp, Refusal>) {
        self.life.answered.set(true);
        self.judge_renewed(matches!(answer, Ok(SetUp::Opened(_))));
        match answer {
            Ok(SetUp::Opened(_)) => {}
            Ok(SetUp::Found) => self.judge_found(),
            Err(refusal) => self.judge_refusal(*refusal),
        }
    }

    pub(crate) fn judge_refreshed(&self, refreshed: &Refreshed) {
        self.judge_renewed(refreshed.result.is_ok());
        if let Err(refusal) = refreshed.result {
            self.judge_refusal(refusal);
        }
    }

    fn judge_renewed(&self, told: bool) {
        if told != (self.life.deeds.borrow().renewed == 1) {
            let what =
                if told { "tells of a channel that it did not store" } else { "stored a channel untold" };
            broke(&self.world, &self.life, what);
        }
    }

    fn judge_refusal(&self, refusal: Refusal) {
        let unanswered = self.life.last_unanswered.get() > 0;
        let read = self.life.read.borrow();
        let row = read.as_ref();
        let is_true = match refusal {
            Refusal::NoConnection => row.is_none(),
            Refusal::Disconnected => row.is_some_and(|row| !row.is_active),
            Refusal::Paused => row.is_some_and(|row| row.is_active && !row.sync_enabled),
            Refusal::TooSoon { retry_after } => {
                row.is_some_and(|row| self.is_too_soon(row, micros(retry_after)))
            }
            Refusal::Failed(failure) => {
                let deeds = self.life.deeds.borrow();
                unanswered || deeds.failures.last().is_some_and(|(_, code)| code == failure.code())
            }
        };
        if !is_true {
            broke(&self.world, &self.life, &format!("answers {refusal:?}, which is not so"));
        }
    }

    /// What is left of the interval or of the lease, and a setup has waited for it in vain.
    fn is_too_soon(&self, row: &Connection, retry_after: Instant) -> bool {
        let clock = self.life.clock(self.world.now());
        let free_at = instant(row.webhook_opened_at) + INTERVAL;
        let left = free_at.max(instant(row.webhook_lease_until)) - clock;
        let in_vain = match self.life.purpose {
            Purpose::Setup(_) => {
                self.life.age(self.world.now()) >= PATIENCE && !is_well(row, timestamp(clock))
            }
            _ => true,
        };
        row.is_live() && in_vain && retry_after == left.clamp(SECOND, INTERVAL)
    }
}
