//! The sweep: one pass of cron over every connection that needs something, bounded in time, work and memory. Any
//! number may overlap, for every step is claimed row by row.

use std::cell::RefCell;

use futures_util::future::{FutureExt, LocalBoxFuture};
use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::connection::{Connection, ConnectionId, RequestId};
use crate::failure::DatabaseUnavailable;
use crate::invocation::Invocation;
use crate::ports::Ports;
use crate::recalculation::Reason;
use crate::renew::{Renewal, RenewedChannel, renew_channel};
use crate::retire::retire;
use crate::run::{Outcome, run};
use crate::schedule::{
    DATABASE_TIMEOUT, RECONCILE_AFTER, RENEWALS_AT_ONCE, ROWS_PER_STEP, RUNS_PER_INVOCATION,
};
use crate::table::{Column, Filter, Query, google, live};
use crate::transition::{Trigger, reconcile};

/// What a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Channels opened.
    pub renewed: u32,
    /// Paused or disconnected connections whose channel was given up.
    pub stopped: u32,
    /// Connections whose last run succeeded.
    pub synced: u32,
    /// Connections nobody had heard of for a day, for which a run was asked.
    pub reconciled: u32,
    /// Renewals and runs that failed, with their codes.
    pub failed: Vec<(ConnectionId, String)>,
    /// Runs owed and due afterwards: not 0 for long means that the sweeps do not keep up.
    pub remaining: u64,
}

/// Fails where the database did not answer what there is to do, or what remains; what was found is done all the same.
pub async fn sweep<P: Ports>(ports: &P, invocation: &Invocation) -> Result<Swept, DatabaseUnavailable> {
    let sweep = Sweep {
        ports,
        invocation,
        swept: RefCell::default(),
        owed: RefCell::default(),
        silent: RefCell::default(),
        due: RefCell::default(),
        to_retire: RefCell::default(),
    };
    // Concurrently, so that runs that hang do not keep channels from being renewed.
    let mut steps: FuturesUnordered<Step<'_>> = FuturesUnordered::new();
    steps.push(sweep.find_owed().boxed_local());
    steps.push(sweep.find_due().boxed_local());
    steps.push(sweep.find_to_retire().boxed_local());
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
    /// With what says that nobody has looked at the row for a day.
    silent: RefCell<std::vec::IntoIter<(Connection, Filter)>>,
    /// Rows that wait for one of the few renewals at a time.
    due: RefCell<std::vec::IntoIter<Connection>>,
    to_retire: RefCell<std::vec::IntoIter<Connection>>,
}

impl<P: Ports> Sweep<'_, P> {
    /// Runs that are owed and due; what they leave of the budget goes to connections not looked at for a day.
    async fn find_owed(&self) -> Result<Next<'_>, DatabaseUnavailable> {
        let filters = owed_and_due(self.ports);
        let owed = self.read(Query { filters, order: Column::SyncNotBefore, limit: ROWS_PER_STEP }).await?;
        let left = (RUNS_PER_INVOCATION as usize).saturating_sub(owed.len());
        self.owed.replace(owed.into_iter());
        let mut next: Vec<Step<'_>> =
            (0..RUNS_PER_INVOCATION).map(|_| self.run_next().boxed_local()).collect();
        if left > 0 {
            next.push(self.find_silent(left).boxed_local());
        }
        Ok(Next(next))
    }

    /// Runs the next row that no other sweep was faster to claim.
    async fn run_next(&self) -> Result<Next<'_>, DatabaseUnavailable> {
        loop {
            let Some(row) = self.owed.borrow_mut().next() else { return Ok(Next::NOTHING) };
            if self.run(row, Reason::Owed).await != Outcome::NotRun {
                return Ok(Next::NOTHING);
            }
        }
    }

    async fn find_silent(&self, runs: usize) -> Result<Next<'_>, DatabaseUnavailable> {
        let mut silent = Vec::new();
        let long_ago = self.ports.now() - RECONCILE_AFTER;
        for last_sync in [Filter::IsNull(Column::LastSyncAt), Filter::Lt(Column::LastSyncAt, long_ago.into())]
        {
            let limit = ROWS_PER_STEP - silent.len();
            if limit == 0 {
                break;
            }
            let mut filters = Vec::from(live());
            filters.push(Filter::IsNull(Column::SyncRequestId));
            filters.push(Filter::IsDistinct(Column::WebhookError, "reconnect_required".into()));
            filters.push(last_sync.clone());
            let rows = self.read(Query { filters, order: Column::LastSyncAt, limit }).await?;
            silent.extend(rows.into_iter().map(|row| (row, last_sync.clone())));
        }
        self.silent.replace(silent.into_iter());
        Ok(Next((0..runs).map(|_| self.reconcile_next().boxed_local()).collect()))
    }

    /// Asks for a run of the next row for which no other sweep was faster to ask.
    async fn reconcile_next(&self) -> Result<Next<'_>, DatabaseUnavailable> {
        loop {
            let Some((row, last_sync)) = self.silent.borrow_mut().next() else { return Ok(Next::NOTHING) };
            let request = RequestId::fresh(self.ports.now(), self.ports.random());
            match self.ports.update(reconcile(row.id, last_sync, request), DATABASE_TIMEOUT).await {
                Ok(Some(row)) => {
                    self.swept.borrow_mut().reconciled += 1;
                    self.run(row, Reason::Reconciliation).await;
                    return Ok(Next::NOTHING);
                }
                Ok(None) => {}
                // If it took place all the same, the run is owed.
                Err(DatabaseUnavailable) => return Ok(Next::NOTHING),
            }
        }
    }

    /// Missing, expiring, foreign and failed channels alike: whatever is due.
    async fn find_due(&self) -> Result<Next<'_>, DatabaseUnavailable> {
        let mut filters = Vec::from(live());
        filters.push(Filter::Lte(Column::WebhookNotBefore, self.ports.now().into()));
        let due = self.read(Query { filters, order: Column::WebhookNotBefore, limit: ROWS_PER_STEP }).await?;
        self.due.replace(due.into_iter());
        Ok(Next((0..RENEWALS_AT_ONCE).map(|_| self.renew_next().boxed_local()).collect()))
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
        Ok(Next((0..RENEWALS_AT_ONCE).map(|_| self.retire_next().boxed_local()).collect()))
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

    async fn run(&self, row: Connection, reason: Reason) -> Outcome {
        let connection = row.id;
        let outcome = run(self.ports, self.invocation, row, reason).await;
        self.count(connection, outcome);
        outcome
    }

    fn count(&self, connection: ConnectionId, outcome: Outcome) {
        match outcome {
            Outcome::Synced => self.swept.borrow_mut().synced += 1,
            Outcome::Failed(failure) => self.swept.borrow_mut().failed.push((connection, failure.code())),
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
    filters.extend([
        Filter::NotNull(Column::SyncRequestId),
        Filter::Lt(Column::SyncLeaseUntil, now.into()),
        Filter::Lte(Column::SyncNotBefore, now.into()),
    ]);
    filters
}
