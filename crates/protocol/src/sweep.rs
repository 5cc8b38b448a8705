//! The sweep: one pass of cron over every connection that needs something, bounded in time, work and memory. Any
//! number may overlap, for every step is claimed row by row.

use std::cell::{Cell, RefCell};

use futures_util::future::{FutureExt, LocalBoxFuture};
use futures_util::stream::{FuturesUnordered, StreamExt};

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
    DATABASE_TIMEOUT, LOOKS_PER_SWEEP, ROWS_AT_ONCE, ROWS_PER_STEP, RUNS_KEPT_FOR_LOOKS, RUNS_PER_INVOCATION,
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

/// Fails where the database did not answer what there is to do, or what remains; what was found is done all the same.
pub async fn sweep<P: Ports>(ports: &P, invocation: &Invocation) -> Result<Swept, DatabaseUnavailable> {
    invocation.keep_for_looks(RUNS_KEPT_FOR_LOOKS);
    let sweep = Sweep {
        ports,
        invocation,
        swept: RefCell::default(),
        owed: RefCell::default(),
        to_look_at: RefCell::default(),
        lookers: Cell::new(ROWS_AT_ONCE),
        due: RefCell::default(),
        to_retire: RefCell::default(),
        farewells: RefCell::default(),
    };
    // Concurrently, so that runs that hang do not keep channels from being renewed.
    let mut steps: FuturesUnordered<Step<'_>> = FuturesUnordered::new();
    steps.push(sweep.find_owed().boxed_local());
    steps.push(sweep.find_due().boxed_local());
    steps.push(sweep.find_to_look_at().boxed_local());
    steps.push(sweep.find_to_retire().boxed_local());
    steps.push(sweep.find_farewells().boxed_local());
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
    /// More rows than this sweep has runs, for sweeps that overlap find the same ones and each row is one's alone.
    owed: RefCell<std::vec::IntoIter<Connection>>,
    /// Rows that wait for one of the few looks at a time.
    to_look_at: RefCell<std::vec::IntoIter<Connection>>,
    /// How many looks may still find something to run.
    lookers: Cell<usize>,
    /// Rows that wait for one of the few renewals at a time.
    due: RefCell<std::vec::IntoIter<Connection>>,
    to_retire: RefCell<std::vec::IntoIter<Connection>>,
    farewells: RefCell<std::vec::IntoIter<Farewell>>,
}

impl<P: Ports> Sweep<'_, P> {
    /// Runs that are owed and due.
    async fn find_owed(&self) -> Result<Next<'_>, DatabaseUnavailable> {
        let filters = owed_and_due(self.ports);
        let owed = self.read(Query { filters, order: Column::SyncNotBefore, limit: ROWS_PER_STEP }).await?;
        self.owed.replace(owed.into_iter());
        Ok(Next((0..RUNS_PER_INVOCATION).map(|_| self.run_next().boxed_local()).collect()))
    }

    /// Runs the next row that no other sweep was faster to claim, and that needs it.
    async fn run_next(&self) -> Result<Next<'_>, DatabaseUnavailable> {
        while self.invocation.may_run(self.ports.now(), None) {
            let Some(row) = self.owed.borrow_mut().next() else { return Ok(Next::NOTHING) };
            match self.run(row, Reason::Owed, Beforehand::Nothing).await {
                Outcome::Synced | Outcome::Failed(_) => return Ok(Next::NOTHING),
                Outcome::Settled if self.swept.borrow().settled as usize >= LOOKS_PER_SWEEP => {
                    return Ok(Next::NOTHING);
                }
                Outcome::Settled | Outcome::NoConsent(_) | Outcome::NotRun => {}
            }
        }
        Ok(Next::NOTHING)
    }

    /// Calendars that are due for a look, whatever Google says of them.
    async fn find_to_look_at(&self) -> Result<Next<'_>, DatabaseUnavailable> {
        let mut filters = Vec::from(live());
        filters.extend(consenting());
        filters.extend([
            Filter::IsNull(Column::SyncRequestId),
            Filter::Lte(Column::SyncLookAt, self.ports.now().into()),
        ]);
        let query = Query { filters, order: Column::SyncLookAt, limit: LOOKS_PER_SWEEP };
        let due = self.read(query).await;
        let result = due.map(|due| self.to_look_at.replace(due.into_iter()));
        let mut next: Vec<Step<'_>> = (0..ROWS_AT_ONCE).map(|_| self.look_next().boxed_local()).collect();
        next.push(async move { result.map(|_| Next::NOTHING) }.boxed_local());
        Ok(Next(next))
    }

    /// Looks at the next row's calendar. Its run does not keep the one after it waiting.
    async fn look_next(&self) -> Result<Next<'_>, DatabaseUnavailable> {
        let now = self.ports.now();
        // A channel that is due, or is being opened, brings its own look.
        let is_for_look = |row: &Connection| row.webhook_not_before > now && row.webhook_lease_until < now;
        let next = self.to_look_at.borrow_mut().find(is_for_look);
        let Some(row) = next.filter(|_| self.invocation.may_look(now)) else {
            self.lookers.set(self.lookers.get() - 1);
            let is_last = self.lookers.get() == 0;
            return Ok(if is_last { self.run_instead_of_looks() } else { Next::NOTHING });
        };
        let mut next = vec![self.look_next().boxed_local()];
        let looked = look_if_due(self.ports, &row).await;
        let mut swept = self.swept.borrow_mut();
        swept.looked += u32::from(looked != DueLook::NotOurs);
        if let DueLook::RunAsked { row, found, missed } = looked {
            swept.reconciled += 1;
            swept.missed += u32::from(missed);
            let beforehand = found.map_or(Beforehand::Irrelevant, Beforehand::Found);
            next.push(self.run_for_look(*row, beforehand).boxed_local());
        }
        Ok(Next(next))
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

    /// Missing, expiring, foreign and failed channels alike: whatever is due.
    async fn find_due(&self) -> Result<Next<'_>, DatabaseUnavailable> {
        let mut filters = Vec::from(live());
        filters.push(Filter::Lte(Column::WebhookNotBefore, self.ports.now().into()));
        let due = self.read(Query { filters, order: Column::WebhookNotBefore, limit: ROWS_PER_STEP }).await?;
        self.due.replace(due.into_iter());
        Ok(Next((0..ROWS_AT_ONCE).map(|_| self.renew_next().boxed_local()).collect()))
    }

    /// Renews the next row. Its run does not keep the one after it waiting.
    async fn renew_next(&self) -> Result<Next<'_>, DatabaseUnavailable> {
        let Some(row) = self.due.borrow_mut().next() else { return Ok(Next::NOTHING) };
        let mut next = vec![self.renew_next().boxed_local()];
        match renew_channel(self.ports, self.invocation, &row, Trigger::Sweep).await {
            Renewal::Renewed(renewed) => {
                self.swept.borrow_mut().renewed += 1;
                next.push(self.follow_up(*renewed).boxed_local());
            }
            Renewal::Failed(failure, _) => {
                self.swept.borrow_mut().failed.push((row.id, failure.code().to_owned()));
            }
            Renewal::NotOurs | Renewal::GivenUp(_) | Renewal::Unanswered => {}
        }
        Ok(Next(next))
    }

    async fn follow_up(&self, renewed: RenewedChannel) -> Result<Next<'_>, DatabaseUnavailable> {
        let connection = renewed.row.id;
        self.count(connection, renewed.follow_up(self.ports, self.invocation, Reason::ChannelOpened).await);
        Ok(Next::NOTHING)
    }

    /// Disconnected or paused, with a channel or only a pending one.
    async fn find_to_retire(&self) -> Result<Next<'_>, DatabaseUnavailable> {
        let disconnected = [google(), Filter::NotTrue(Column::IsActive)];
        let paused = [google(), Filter::IsTrue(Column::IsActive), Filter::IsFalse(Column::SyncEnabled)];
        let open = [Filter::NotNull(Column::WebhookId)];
        let pending = [Filter::IsNull(Column::WebhookId), Filter::NotNull(Column::WebhookPendingId)];
        let mut to_retire = Vec::new();
        for (state, channel) in
            [(&disconnected[..], &open[..]), (&disconnected, &pending), (&paused, &open), (&paused, &pending)]
        {
            let filters = [state, channel].concat();
            let query = Query { filters, order: Column::Id, limit: ROWS_PER_STEP };
            to_retire.extend(self.read(query).await?);
        }
        self.to_retire.replace(to_retire.into_iter());
        Ok(Next((0..ROWS_AT_ONCE).map(|_| self.retire_next().boxed_local()).collect()))
    }

    async fn retire_next(&self) -> Result<Next<'_>, DatabaseUnavailable> {
        let in_time = self.invocation.may_renew(self.ports.now());
        let Some(row) = self.to_retire.borrow_mut().next().filter(|_| in_time) else {
            return Ok(Next::NOTHING);
        };
        if retire(self.ports, &row).await {
            self.swept.borrow_mut().stopped += 1;
        }
        Ok(Next(vec![self.retire_next().boxed_local()]))
    }

    /// Channels of deleted connections.
    async fn find_farewells(&self) -> Result<Next<'_>, DatabaseUnavailable> {
        let farewells = self.ports.farewells(self.ports.now(), ROWS_PER_STEP, DATABASE_TIMEOUT).await?;
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

    async fn read(&self, query: Query) -> Result<Vec<Connection>, DatabaseUnavailable> {
        Ok(self.ports.select(query, DATABASE_TIMEOUT).await?.into_iter().flatten().collect())
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
