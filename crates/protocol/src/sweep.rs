//! The sweep: one pass of cron over every connection that needs something, bounded in time, work and memory. Any
//! number may overlap, for every step is claimed row by row.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use futures_util::future::{FutureExt, LocalBoxFuture};
use futures_util::lock::Mutex;
use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::Timestamp;
use crate::connection::{Connection, ConnectionId, Farewell};
use crate::due_look::{DueLook, look_if_due};
use crate::failure::{DatabaseUnavailable, consenting};
use crate::farewell::see_off;
use crate::invocation::Invocation;
use crate::ports::Ports;
use crate::recalculation::Reason;
use crate::renew::{Renewal, RenewedChannel, renew_channel};
use crate::retire::retire;
use crate::run::{Beforehand, Outcome, run};
use crate::schedule::{
    DATABASE_TIMEOUT, LOOKS_PER_SWEEP, MOST_PARTS, RENEWAL_IS_LATE, RENEWALS_PER_SWEEP, ROWS_AT_ONCE,
    ROWS_PER_PAGE, RUNS_KEPT_FOR_LOOKS, RUNS_PER_INVOCATION,
};
use crate::table::{Column, Filter, Query, google, live};
use crate::transition::Trigger;

/// What a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Channels opened.
    pub renewed: u32,
    /// Paused or disconnected connections whose channel was given up.
    pub stopped: u32,
    /// Connections whose last run succeeded.
    pub synced: u32,
    /// Owed runs that were not needed: a look showed the calendar as the last one found it.
    pub settled: u32,
    /// Calendars that were due for a look.
    pub looked: u32,
    /// Those of them for which a run was asked.
    pub reconciled: u32,
    /// Those of them whose change no notification told.
    pub missed: u32,
    /// Renewals and runs that failed, with their codes.
    pub failed: Vec<(ConnectionId, String)>,
    /// Runs owed and due afterwards: not 0 for long means that the sweeps do not keep up.
    pub remaining: u64,
}

/// Which of several sweeps that share the work this is, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part(usize);

impl Part {
    /// None where there are not so many parts.
    pub fn new(part: usize, parts: usize) -> Option<Self> {
        ((1..=MOST_PARTS).contains(&parts) && part < parts).then_some(Self(part))
    }

    /// How many rows are left to the parts before this one, each of which does so much.
    const fn offset(self, capacity: usize) -> usize {
        self.0 * capacity
    }
}

/// Fails where the database did not answer what there is to do, or what remains; what was found is done all the same.
pub async fn sweep<P: Ports>(
    ports: &P,
    invocation: &Invocation,
    part: Part,
) -> Result<Swept, DatabaseUnavailable> {
    invocation.keep_for_looks(RUNS_KEPT_FOR_LOOKS);
    let sweep = Sweep {
        ports,
        invocation,
        swept: RefCell::default(),
        owed: Feed::new(
            [(owed_and_due(ports), Column::SyncNotBefore)],
            part.offset(RUNS_PER_INVOCATION as usize),
        ),
        settled: Cell::new(0),
        dead_consents: Cell::new(0),
        to_look_at: Feed::new(to_look_at(ports), part.offset(LOOKS_PER_SWEEP)),
        looks_left: Cell::new(LOOKS_PER_SWEEP),
        lookers: Cell::new(ROWS_AT_ONCE),
        due: Feed::new([(due(ports), Column::WebhookNotBefore)], part.offset(RENEWALS_PER_SWEEP)),
        renewals_left: Cell::new(RENEWALS_PER_SWEEP),
        to_retire: Feed::new(
            to_retire().map(|filters| (filters, Column::Id)),
            part.offset(RENEWALS_PER_SWEEP),
        ),
        farewells: RefCell::default(),
    };
    // Concurrently, so that runs that hang do not keep channels from being renewed.
    let mut steps: FuturesUnordered<Step<'_>> = FuturesUnordered::new();
    steps.extend((0..RUNS_PER_INVOCATION).map(|_| sweep.run_next().boxed_local()));
    steps.extend((0..ROWS_AT_ONCE).map(|_| sweep.renew_next().boxed_local()));
    steps.extend((0..ROWS_AT_ONCE).map(|_| sweep.look_next().boxed_local()));
    steps.extend((0..ROWS_AT_ONCE).map(|_| sweep.retire_next().boxed_local()));
    steps.push(sweep.find_farewells(part).boxed_local());
    let mut result = Ok(());
    while let Some(next) = steps.next().await {
        match next {
            Ok(Next(next)) => steps.extend(next),
            Err(unavailable) => result = Err(unavailable),
        }
    }
    drop(steps);
    result?;
    let mut swept = sweep.swept.into_inner();
    swept.remaining = ports.count(owed_and_due(ports), DATABASE_TIMEOUT).await?;
    Ok(swept)
}

/// A step of the sweep. Steps go on side by side; each says which ones follow from it.
type Step<'a> = LocalBoxFuture<'a, Result<Next<'a>, DatabaseUnavailable>>;

struct Next<'a>(Vec<Step<'a>>);

impl Next<'_> {
    const NOTHING: Self = Next(Vec::new());
}

struct Sweep<'a, P> {
    ports: &'a P,
    invocation: &'a Invocation,
    swept: RefCell<Swept>,
    owed: Feed,
    /// Owed runs that a look showed to be needless.
    settled: Cell<usize>,
    /// Owed runs that were not made because the consent is dead.
    dead_consents: Cell<usize>,
    to_look_at: Feed,
    looks_left: Cell<usize>,
    /// How many looks may still find something to run.
    lookers: Cell<usize>,
    due: Feed,
    renewals_left: Cell<usize>,
    to_retire: Feed,
    farewells: RefCell<std::vec::IntoIter<Farewell>>,
}

/// Rows that wait for one of the few that are worked on at a time; read page after page, so that those that fail or
/// refuse do not hide the next.
struct Feed(Mutex<Pages>);

struct Pages {
    queries: Vec<Query>,
    /// Others come before this part, and begin at the front.
    has_others_before: bool,
    page: std::vec::IntoIter<Connection>,
    /// A row that still meets the query after its turn is put off until the next sweep.
    had_their_turn: BTreeSet<ConnectionId>,
}

impl Feed {
    /// From `offset` on first, then what the parts before this one have left.
    fn new(questions: impl IntoIterator<Item = (Vec<Filter>, Column)>, offset: usize) -> Self {
        let mut queries = Vec::new();
        for (filters, order) in questions {
            let first = Query::first(ROWS_PER_PAGE, filters, order);
            let own = (offset > 0).then(|| Query { offset, ..first.clone() });
            queries.extend([first].into_iter().chain(own));
        }
        let page = Vec::new().into_iter();
        let (has_others_before, had_their_turn) = (offset > 0, BTreeSet::new());
        Self(Mutex::new(Pages { queries, has_others_before, page, had_their_turn }))
    }

    /// None where there is no other, or `may_go_on` says so.
    async fn next<P: Ports>(
        &self,
        ports: &P,
        may_go_on: impl Fn() -> bool,
    ) -> Result<Option<Connection>, DatabaseUnavailable> {
        // While one reads a page, the others wait for it here.
        let mut pages = self.0.lock().await;
        let Pages { queries, has_others_before, page, had_their_turn } = &mut *pages;
        loop {
            if !may_go_on() {
                return Ok(None);
            }
            if let Some(row) = page.next() {
                return Ok(Some(row));
            }
            let Some(query) = queries.last_mut() else { return Ok(None) };
            let mut rows = ports.select(query.clone(), DATABASE_TIMEOUT).await;
            if *has_others_before && query.offset == 0 && rows.as_ref().is_ok_and(|rows| !rows.is_empty()) {
                // The parts before this one may be claiming these: what they leave is there after another round trip.
                rows = ports.select(query.clone(), DATABASE_TIMEOUT).await;
            }
            let Ok(rows) = rows else {
                queries.clear();
                return Err(DatabaseUnavailable);
            };
            let (read, is_last) = (rows.len(), rows.len() < query.limit);
            let rows = rows.into_iter().flatten();
            let next: Vec<_> = rows.filter(|row| had_their_turn.insert(row.id)).collect();
            // What was done is not among the rows any more, and what refused is skipped.
            query.offset += read - next.len();
            if is_last {
                queries.pop();
            }
            *page = next.into_iter();
        }
    }
}

impl<P: Ports> Sweep<'_, P> {
    /// Makes the next run that no other sweep was faster to claim.
    async fn run_next(&self) -> Result<Next<'_>, DatabaseUnavailable> {
        let may_run = || {
            // Runs that were not made take none of the sweep's runs, but each has asked Google for a token or a calendar.
            let are_few =
                self.settled.get() < LOOKS_PER_SWEEP && self.dead_consents.get() < RENEWALS_PER_SWEEP;
            are_few && self.invocation.may_run(self.ports.now(), None)
        };
        while let Some(row) = self.owed.next(self.ports, may_run).await? {
            match self.run(row, Reason::Owed, Beforehand::Nothing).await {
                Outcome::Synced | Outcome::Failed(_) => break,
                Outcome::Settled => self.settled.set(self.settled.get() + 1),
                Outcome::NoConsent(_) => self.dead_consents.set(self.dead_consents.get() + 1),
                Outcome::NotRun => {}
            }
        }
        Ok(Next::NOTHING)
    }

    /// Looks at the next calendar. Its run does not keep the one after it waiting.
    async fn look_next(&self) -> Result<Next<'_>, DatabaseUnavailable> {
        let row = match self.next_to_look_at().await {
            Ok(Some(row)) => row,
            end => {
                self.lookers.set(self.lookers.get() - 1);
                let next = if self.lookers.get() == 0 { self.run_instead_of_looks() } else { Next::NOTHING };
                let mut next = next.0;
                next.extend(end.err().map(|unavailable| async move { Err(unavailable) }.boxed_local()));
                return Ok(Next(next));
            }
        };
        let mut next = vec![self.look_next().boxed_local()];
        next.extend(self.look(&row).await);
        Ok(Next(next))
    }

    async fn next_to_look_at(&self) -> Result<Option<Connection>, DatabaseUnavailable> {
        self.to_look_at.next(self.ports, || self.may_look()).await
    }

    fn may_look(&self) -> bool {
        self.looks_left.get() > 0 && self.invocation.may_look(self.ports.now())
    }

    /// Looks at a calendar. → the run that the look asks for
    async fn look(&self, row: &Connection) -> Option<Step<'_>> {
        self.looks_left.set(self.looks_left.get().saturating_sub(1));
        let looked = look_if_due(self.ports, self.invocation, row).await;
        if looked == DueLook::NotOurs {
            self.looks_left.set(self.looks_left.get() + 1);
            return None;
        }
        let mut swept = self.swept.borrow_mut();
        swept.looked += 1;
        let DueLook::RunAsked { row, found, missed } = looked else { return None };
        swept.reconciled += 1;
        swept.missed += u32::from(missed);
        let beforehand = found.map_or(Beforehand::Irrelevant, Beforehand::Found);
        Some(self.run_for_look(*row, beforehand).boxed_local())
    }

    /// What no look needed goes to runs that are owed.
    fn run_instead_of_looks(&self) -> Next<'_> {
        self.invocation.keep_for_looks(0);
        Next((0..RUNS_KEPT_FOR_LOOKS).map(|_| self.run_next().boxed_local()).collect())
    }

    async fn run_for_look(
        &self,
        row: Connection,
        beforehand: Beforehand,
    ) -> Result<Next<'_>, DatabaseUnavailable> {
        self.invocation.use_kept_for_look();
        self.run(row, Reason::Reconciliation, beforehand).await;
        Ok(Next::NOTHING)
    }

    /// Renews the next channel. Its run does not keep the one after it waiting.
    async fn renew_next(&self) -> Result<Next<'_>, DatabaseUnavailable> {
        let may_renew = || self.renewals_left.get() > 0 && self.invocation.may_renew(self.ports.now());
        while let Some(row) = self.due.next(self.ports, may_renew).await? {
            self.renewals_left.set(self.renewals_left.get() - 1);
            // A channel that opens is followed by a look. One that keeps failing is not: it is renewed after a look at its
            // calendar. Where this sweep has no look left, both wait for the next, which begins with the longest due.
            let is_to_be_looked_at = row.webhook_attempts > 0 && is_due_for_look(&row, self.ports.now());
            let has_look_left = self.looks_left.get() > 0 && !self.invocation.has_read_enough();
            if is_to_be_looked_at && !has_look_left {
                continue;
            }
            if !is_to_be_looked_at || !self.may_look() {
                return self.renew(row).await;
            }
            let run = self.look(&row).await;
            return Ok(Next(run.into_iter().chain([self.renew(row).boxed_local()]).collect()));
        }
        Ok(Next::NOTHING)
    }

    async fn renew(&self, row: Connection) -> Result<Next<'_>, DatabaseUnavailable> {
        let mut next = vec![self.renew_next().boxed_local()];
        match renew_channel(self.ports, self.invocation, &row, Trigger::Sweep).await {
            Renewal::Renewed(renewed) => {
                self.swept.borrow_mut().renewed += 1;
                next.push(self.follow_up(*renewed).boxed_local());
            }
            Renewal::Failed(failure, _) => {
                self.swept.borrow_mut().failed.push((row.id, failure.code().to_owned()));
            }
            Renewal::GivenUp(_) => {}
            // Google was not asked.
            Renewal::NotOurs | Renewal::Unanswered => self.renewals_left.set(self.renewals_left.get() + 1),
        }
        Ok(Next(next))
    }

    async fn follow_up(&self, renewed: RenewedChannel) -> Result<Next<'_>, DatabaseUnavailable> {
        let connection = renewed.row.id;
        self.count(connection, renewed.follow_up(self.ports, self.invocation, Reason::ChannelOpened).await);
        Ok(Next::NOTHING)
    }

    async fn retire_next(&self) -> Result<Next<'_>, DatabaseUnavailable> {
        let may_retire = || {
            let is_full = self.swept.borrow().stopped as usize >= RENEWALS_PER_SWEEP;
            !is_full && self.invocation.may_renew(self.ports.now())
        };
        let Some(row) = self.to_retire.next(self.ports, may_retire).await? else { return Ok(Next::NOTHING) };
        if retire(self.ports, &row).await {
            self.swept.borrow_mut().stopped += 1;
        }
        Ok(Next(vec![self.retire_next().boxed_local()]))
    }

    /// Channels of deleted connections.
    async fn find_farewells(&self, part: Part) -> Result<Next<'_>, DatabaseUnavailable> {
        let offset = part.offset(RENEWALS_PER_SWEEP);
        let mut farewells = Vec::new();
        for page in (0..RENEWALS_PER_SWEEP).step_by(ROWS_PER_PAGE) {
            let read = self.ports.farewells(self.ports.now(), offset + page, ROWS_PER_PAGE, DATABASE_TIMEOUT);
            farewells.extend(read.await?);
            if farewells.len() < page + ROWS_PER_PAGE {
                break;
            }
        }
        self.farewells.replace(farewells.into_iter());
        Ok(Next((0..ROWS_AT_ONCE).map(|_| self.see_off_next().boxed_local()).collect()))
    }

    async fn see_off_next(&self) -> Result<Next<'_>, DatabaseUnavailable> {
        let in_time = self.invocation.may_renew(self.ports.now());
        let Some(farewell) = self.farewells.borrow_mut().next().filter(|_| in_time) else {
            return Ok(Next::NOTHING);
        };
        see_off(self.ports, &farewell).await;
        Ok(Next(vec![self.see_off_next().boxed_local()]))
    }

    async fn run(&self, row: Connection, reason: Reason, beforehand: Beforehand) -> Outcome {
        let connection = row.id;
        let outcome = run(self.ports, self.invocation, row, reason, beforehand).await;
        self.count(connection, outcome);
        outcome
    }

    fn count(&self, connection: ConnectionId, outcome: Outcome) {
        let mut swept = self.swept.borrow_mut();
        match outcome {
            Outcome::Synced => swept.synced += 1,
            Outcome::Settled => swept.settled += 1,
            Outcome::Failed(failure) => swept.failed.push((connection, failure.code())),
            Outcome::NoConsent(failure) => swept.failed.push((connection, failure.code().to_owned())),
            Outcome::NotRun => {}
        }
    }
}

/// Runs that may start now.
fn owed_and_due<P: Ports>(ports: &P) -> Vec<Filter> {
    let now = ports.now();
    let mut filters = Vec::from(live());
    filters.extend(consenting());
    filters.extend([
        Filter::NotNull(Column::SyncRequestId),
        Filter::Lt(Column::SyncLeaseUntil, now.into()),
        Filter::Lte(Column::SyncNotBefore, now.into()),
    ]);
    filters
}

/// Calendars that are due for a look. A renewal that is due or going on makes the look itself, so its row is left out; but
/// not for longer than [`RENEWAL_IS_LATE`], for a row may refuse the claim.
fn to_look_at<P: Ports>(ports: &P) -> [(Vec<Filter>, Column); 2] {
    let now = ports.now();
    // The last is asked first. Each goes by the index that finds its rows: few are late, however many looks are due.
    let renewals = [
        (Filter::Gt(Column::WebhookNotBefore, now.into()), Column::SyncLookAt),
        (Filter::Lt(Column::WebhookNotBefore, (now - RENEWAL_IS_LATE).into()), Column::WebhookNotBefore),
    ];
    renewals.map(|(renewal, order)| {
        let mut filters = Vec::from(live());
        filters.extend(consenting());
        filters.extend([
            Filter::IsNull(Column::SyncRequestId),
            Filter::Lte(Column::SyncLookAt, now.into()),
            renewal,
            Filter::Lt(Column::WebhookLeaseUntil, now.into()),
        ]);
        (filters, order)
    })
}

/// Whether the row is due for a look, too.
fn is_due_for_look(row: &Connection, now: Timestamp) -> bool {
    row.dead_consent().is_none() && row.sync_request_id.is_none() && row.sync_look_at <= now
}

/// Missing, expiring, foreign and failed channels alike: whatever is due.
fn due<P: Ports>(ports: &P) -> Vec<Filter> {
    let now = ports.now();
    let mut filters = Vec::from(live());
    filters.extend([
        Filter::Lte(Column::WebhookNotBefore, now.into()),
        Filter::Lt(Column::WebhookLeaseUntil, now.into()),
    ]);
    filters
}

/// Disconnected or paused, with a channel or only a pending one.
fn to_retire() -> [Vec<Filter>; 4] {
    let disconnected = [google(), Filter::NotTrue(Column::IsActive)];
    let paused = [google(), Filter::IsTrue(Column::IsActive), Filter::IsFalse(Column::SyncEnabled)];
    let open = [Filter::NotNull(Column::WebhookId)];
    let pending = [Filter::IsNull(Column::WebhookId), Filter::NotNull(Column::WebhookPendingId)];
    [
        [&disconnected[..], &open].concat(),
        [&disconnected[..], &pending].concat(),
        [&paused[..], &open].concat(),
        [&paused[..], &pending].concat(),
    ]
}
