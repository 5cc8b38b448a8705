//! What a sweep, a setup or the button answers is what happened, by what the invocation learned that it did.

use std::collections::{BTreeMap, BTreeSet};

use protocol::connection::Connection;
use protocol::event::Event;
use protocol::failure::DatabaseUnavailable;
use protocol::refusal::Refusal;
use protocol::schedule::{REFRESH_INTERVAL, SETUP_PATIENCE, SETUPS_THAT_WAIT};
use protocol::setup::SetUp;
use protocol::sweep::Swept;
use protocol::transition::Transition;

use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::check::record::invocation::Conduct;
use crate::check::row::{PASSING, is_live, is_owed_and_due, is_well};
use crate::due::DEAD;
use crate::fact::{Answer, Deed, Fact, Request};
use crate::subject::{Purpose, connection_number, connection_of};
use crate::time::{Instant, SECOND, delta, instant, micros};

#[derive(Default)]
pub(super) struct AnswersAreTrue {
    /// By number of the invocation.
    deeds: BTreeMap<usize, Deeds>,
}

/// What an invocation knows that it did.
#[derive(Default)]
struct Deeds {
    renewed: u32,
    stopped: u32,
    looked: u32,
    reconciled: u32,
    missed: u32,
    /// Its claims of runs: of which connection, and how the last run under each ended.
    runs: Vec<(usize, Option<Ended>)>,
    /// Why renewals failed.
    failures: Vec<(usize, String)>,
    /// How many runs truly were owed and due when it asked.
    remaining: Option<u64>,
    /// The row that it read last, of a connection that it is about.
    read: Option<Connection>,
}

/// How a run ended, or why it was not made.
#[derive(Clone, PartialEq)]
enum Ended {
    Succeeded,
    Settled,
    Failed(String),
}

impl Check for AnswersAreTrue {
    fn read(&mut self, record: &Record, at: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        match fact {
            Fact::CountArrived { invocation, asked_at } => {
                let clock = record.life(*invocation).map_or(at, |life| life.clock(*asked_at));
                let remaining = record.rows().filter(|(_, row)| is_owed_and_due(row, clock)).count();
                self.deeds.entry(invocation.number).or_default().remaining = Some(remaining as u64);
            }
            Fact::Applied(step) if step.transition == Transition::AwaitConsent => {
                let code = step.after.sync_error.clone().unwrap_or_default();
                let deeds = self.deeds.entry(step.invocation.number).or_default();
                deeds.ends(step.connection, Ended::Failed(code));
            }
            Fact::Of(invocation, deed) => {
                let Some(life) = record.life(*invocation) else { return };
                let deeds = self.deeds.entry(invocation.number).or_default();
                deeds.note(life, deed);
                deeds.judge(record, at, life, deed, &mut |what: String| {
                    found.broken(invocation.connection(), format!("{invocation} {what}"));
                });
                if deed.is_last() {
                    self.deeds.remove(&invocation.number);
                }
            }
            _ => {}
        }
    }
}

impl Deeds {
    fn note(&mut self, life: &Conduct, deed: &Deed<'_>) {
        match *deed {
            Deed::Hears(Answer::Update { transition, row: Some(Some(row)), .. }) => {
                self.did(transition, row);
            }
            Deed::Hears(Answer::Run { connection, result }) => {
                let ended = match result {
                    Ok(()) => Ended::Succeeded,
                    Err(failure) => Ended::Failed(failure.code()),
                };
                self.ends(connection, ended);
            }
            Deed::Logs(event @ Event::RunSettled { .. }) => {
                if let Some(connection) = connection_of(event) {
                    self.ends(connection, Ended::Settled);
                }
            }
            // Why nothing was called stands in the row in the end, if that can be written down.
            Deed::Asks(Request::Update {
                connection: Some(connection),
                transition: Transition::AwaitConsent,
            }) => {
                let said = life.said.get(&connection);
                let said = said.and_then(|said| said.iter().rev().find(|said| is_dead(said.code)));
                let code = said.map_or("reconnect_required", |said| said.code);
                self.ends(connection, Ended::Failed(code.to_owned()));
            }
            // What passes by itself leaves what stands in the row.
            Deed::Logs(Event::RenewalFailed { connection, failure, .. })
                if PASSING.contains(&failure.code()) =>
            {
                let connection = connection_number(*connection);
                if let Some((_, code)) = self.failures.iter_mut().rev().find(|(of, _)| *of == connection) {
                    failure.code().clone_into(code);
                }
            }
            Deed::Logs(Event::NotificationMissed { .. }) => self.missed += 1,
            // What a renewal reads to see whether its row is gone is no concern of its caller's.
            Deed::Hears(Answer::Select { query, rows: Some(rows) })
                if life.invocation.purpose != Purpose::Sweep && life.sequel.is_read_by(query).is_none() =>
            {
                self.read = rows.first().and_then(|row| row.as_ref().ok()).cloned();
            }
            _ => {}
        }
    }

    fn ends(&mut self, connection: usize, ended: Ended) {
        if let Some((_, last)) = self.runs.iter_mut().rev().find(|(of, _)| *of == connection) {
            // A run that was made counts more than one after it that was not needed.
            let is_made = ended == Ended::Settled && *last == Some(Ended::Succeeded);
            *last = if is_made { last.take() } else { Some(ended) };
        }
    }

    fn did(&mut self, transition: Transition, row: &Connection) {
        let connection = connection_number(row.id);
        match transition {
            Transition::RetireChannel => self.stopped += 1,
            // Looked up, a channel is found stored whose commit was not answered.
            Transition::CommitChannel | Transition::LookUpChannel => self.renewed += 1,
            Transition::FailRenewal | Transition::DoubtChannel => {
                self.failures.push((connection, row.webhook_error.clone().unwrap_or_default()));
            }
            Transition::ClaimRun => self.runs.push((connection, None)),
            Transition::ClaimLook => self.looked += 1,
            Transition::Reconcile => self.reconciled += 1,
            _ => {}
        }
    }

    fn judge(
        &self,
        record: &Record,
        at: Instant,
        life: &Conduct,
        deed: &Deed<'_>,
        broken: &mut impl FnMut(String),
    ) {
        let refusal = match deed {
            Deed::Sweeps(answer) => return self.sweeps(life, answer, broken),
            Deed::SetsUp(answer) => {
                self.renews(matches!(answer, Ok(SetUp::Opened(_))), broken);
                let is_well = |row: &Connection| is_well(row, life.clock(at));
                if **answer == Ok(SetUp::Found) && !self.read.as_ref().is_some_and(is_well) {
                    broken("finds a channel well that is not".to_owned());
                }
                answer.as_ref().err().copied()
            }
            Deed::Refreshes(refreshed) => {
                self.renews(refreshed.result.is_ok(), broken);
                refreshed.result.err()
            }
            _ => None,
        };
        if let Some(refusal) = refusal.filter(|refusal| !self.refuses_truly(record, at, life, *refusal)) {
            broken(format!("answers {refusal:?}, which is not so"));
        }
    }

    fn renews(&self, told: bool, broken: &mut impl FnMut(String)) {
        match (told, self.renewed == 1) {
            (true, false) => broken("tells of a channel that it did not store".to_owned()),
            (false, true) => broken("stored a channel untold".to_owned()),
            _ => {}
        }
    }

    fn refuses_truly(&self, record: &Record, at: Instant, life: &Conduct, refusal: Refusal) -> bool {
        let row = self.read.as_ref();
        match refusal {
            Refusal::NoConnection => row.is_none(),
            Refusal::Disconnected => row.is_some_and(|row| !row.is_active),
            Refusal::Paused => row.is_some_and(|row| row.is_active && !row.sync_enabled),
            Refusal::TooSoon { retry_after } => {
                row.is_some_and(|row| is_too_soon(record, at, life, row, micros(retry_after)))
            }
            Refusal::Failed(failure) => {
                let is_last = self.failures.last().is_some_and(|(_, code)| code == failure.code());
                // Told of the channel that it keeps, of which a look was refused the calendar.
                let is_read = row.is_some_and(|row| {
                    row.webhook_error.as_deref() == Some(failure.code()) && row.webhook_attempts == 0
                });
                let keeps_channel = is_read && self.failures.is_empty() && self.renewed == 0;
                is_last || keeps_channel || life.unanswered_at.is_some()
            }
        }
    }

    fn sweeps(
        &self,
        life: &Conduct,
        answer: &Result<Swept, DatabaseUnavailable>,
        broken: &mut impl FnMut(String),
    ) {
        let is_unanswered = life.unanswered_at.is_some();
        let Ok(swept) = answer else {
            if !is_unanswered {
                broken("has an answer to all that it asked, and gives none".to_owned());
            }
            return;
        };
        let count = |ended: &Ended| self.ended_runs().filter(|(_, last)| *last == ended).count();
        let (synced, settled) = (count(&Ended::Succeeded), count(&Ended::Settled));
        let twice = self.claimed_twice();
        for (told, done, what) in [
            (swept.renewed, self.renewed as usize, "renewals"),
            (swept.stopped, self.stopped as usize, "retirements"),
            (swept.reconciled, self.reconciled as usize, "reconciliations"),
            (swept.looked, self.looked as usize, "looks"),
            (swept.missed, self.missed as usize, "missed notifications"),
            (swept.synced, if twice { swept.synced as usize } else { synced }, "synced"),
            (swept.settled, if twice { swept.settled as usize } else { settled }, "settled"),
        ] {
            if told as usize != done {
                broken(format!("tells {told} {what}, not {done}"));
            }
        }
        if self.remaining != Some(swept.remaining) {
            broken(format!("tells that {} runs remain, not {:?}", swept.remaining, self.remaining));
        }
        // An invocation that is told late that its run failed may try again at once, and tells the last try alone.
        if !self.claimed_twice() {
            self.tells_failures(swept, is_unanswered, broken);
        }
    }

    fn tells_failures(&self, swept: &Swept, is_unanswered: bool, broken: &mut impl FnMut(String)) {
        // How often each happened, less how often it is told. A run and a renewal side by side may hear of different
        // reasons why the consent is dead.
        let reason = |code: &str| if is_dead(code) { "a dead consent".to_owned() } else { code.to_owned() };
        let mut untold: BTreeMap<(usize, String), i32> = BTreeMap::new();
        for (connection, code) in &swept.failed {
            *untold.entry((connection_number(*connection), reason(code))).or_default() -= 1;
        }
        let runs = self.ended_runs().filter_map(|(connection, ended)| match ended {
            Ended::Failed(code) => Some((connection, code.clone())),
            Ended::Succeeded | Ended::Settled => None,
        });
        for (connection, code) in runs.chain(self.failures.iter().cloned()) {
            *untold.entry((connection, reason(&code))).or_default() += 1;
        }
        for ((connection, code), times) in untold {
            // What could not be written down is told all the same.
            if !(times == 0 || (times < 0 && is_unanswered)) {
                broken(format!("tells {code} of c{connection} {times} times less than it happened"));
            }
        }
    }

    fn ended_runs(&self) -> impl Iterator<Item = (usize, &Ended)> {
        self.runs.iter().filter_map(|(connection, ended)| Some((*connection, ended.as_ref()?)))
    }

    fn claimed_twice(&self) -> bool {
        let of: BTreeSet<usize> = self.runs.iter().map(|(connection, _)| *connection).collect();
        of.len() < self.runs.len()
    }
}

fn is_dead(code: &str) -> bool {
    DEAD.iter().any(|failure| failure.code() == code)
}

/// What is left of the button's interval or of the lease, and a setup has waited for it in vain, or enough others wait.
fn is_too_soon(record: &Record, at: Instant, life: &Conduct, row: &Connection, retry_after: Instant) -> bool {
    let (clock, interval) = (life.clock(at), delta(REFRESH_INTERVAL));
    let free_at = (instant(row.webhook_opened_at) + interval).max(instant(row.webhook_lease_until));
    let in_vain = match life.invocation.purpose {
        Purpose::Setup(connection) => {
            let is_one_too_many = record.setups(connection) > SETUPS_THAT_WAIT;
            (life.age(at) >= delta(SETUP_PATIENCE) || is_one_too_many) && !is_well(row, clock)
        }
        _ => true,
    };
    is_live(row) && in_vain && retry_after == (free_at - clock).clamp(SECOND, interval)
}
