//! The sweep: one pass of cron over every connection that needs something, bounded in time, work and memory. Any
//! number may overlap, for every step is claimed row by row.

use std::cell::RefCell;

use futures_util::future::{FutureExt, LocalBoxFuture};
use futures_util::join;
use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::connection::{Connection, ConnectionId, RequestId};
use crate::event::Event;
use crate::failure::DatabaseUnavailable;
use crate::invocation::Invocation;
use crate::ports::{Ports, Reason};
use crate::renew::{Renewal, Renewed, Trigger, renew};
use crate::retire::retire;
use crate::run::{Outcome, run};
use crate::schedule::{
    DATABASE_TIMEOUT, RECONCILE_AFTER, RENEWALS_AT_ONCE, RENEWALS_PER_SWEEP, RUNS_PER_INVOCATION,
};
use crate::table::{Column, Filter, Query, Update, google, live};

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

/// Fails where the database did not answer what there is to do; what was found is done all the same.
pub async fn sweep<P: Ports>(ports: &P, invocation: &Invocation) -> Result<Swept, DatabaseUnavailable> {
    let sweep = Sweep {
        ports,
        invocation,
        swept: RefCell::default(),
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
    /// Rows that wait for one of the few renewals at a time.
    due: RefCell<std::vec::IntoIter<Connection>>,
    to_retire: RefCell<std::vec::IntoIter<Connection>>,
}

impl<P: Ports> Sweep<'_, P> {
    /// Runs that are owed and due; what they leave of the budget goes to connections not looked at for a day.
    async fn find_owed(&self) -> Result<Next<'_>, DatabaseUnavailable> {
        let budget = RUNS_PER_INVOCATION as usize;
        let owed = self
            .read(Query { filters: owed_and_due(self.ports), order: Column::SyncNotBefore, limit: budget })
            .await?;
        let left = budget.saturating_sub(owed.len());
        let mut next: Vec<Step<'_>> =
            owed.into_iter().map(|row| self.run(row, Reason::Owed).boxed_local()).collect();
        if left > 0 {
            next.push(self.find_silent(left).boxed_local());
        }
        Ok(Next(next))
    }

    async fn find_silent(&self, limit: usize) -> Result<Next<'_>, DatabaseUnavailable> {
        let mut silent: Vec<Step<'_>> = Vec::new();
        let long_ago = self.ports.now() - RECONCILE_AFTER;
        for last_sync in [Filter::IsNull(Column::LastSyncAt), Filter::Lt(Column::LastSyncAt, long_ago.into())]
        {
            let limit = limit - silent.len();
            if limit == 0 {
                break;
            }
            let mut filters = Vec::from(live());
            filters.push(Filter::IsNull(Column::SyncRequestId));
            filters.push(Filter::IsDistinct(Column::WebhookError, "reconnect_required".into()));
            filters.push(last_sync.clone());
            let rows = self.read(Query { filters, order: Column::LastSyncAt, limit }).await?;
            silent
                .extend(rows.into_iter().map(|row| self.reconcile(row.id, last_sync.clone()).boxed_local()));
        }
        Ok(Next(silent))
    }

    /// Asks for a run, unless another sweep was faster.
    async fn reconcile(&self, id: ConnectionId, silent: Filter) -> Result<Next<'_>, DatabaseUnavailable> {
        let request = RequestId::fresh(self.ports.now(), self.ports.random());
        let update = Update::of(id)
            .when(Filter::IsNull(Column::SyncRequestId))
            .when(silent)
            .when_live()
            .set(Column::SyncRequestId, request);
        let Some(row) = self.ports.update(update, DATABASE_TIMEOUT).await? else {
            return Ok(Next::NOTHING);
        };
        self.swept.borrow_mut().reconciled += 1;
        self.run(row, Reason::Reconciliation).await
    }

    /// Missing, expiring, foreign and failed channels alike: whatever is due.
    async fn find_due(&self) -> Result<Next<'_>, DatabaseUnavailable> {
        let mut filters = Vec::from(live());
        filters.push(Filter::Lte(Column::WebhookNotBefore, self.ports.now().into()));
        let due =
            self.read(Query { filters, order: Column::WebhookNotBefore, limit: RENEWALS_PER_SWEEP }).await?;
        self.due.replace(due.into_iter());
        Ok(Next((0..RENEWALS_AT_ONCE).map(|_| self.renew_next().boxed_local()).collect()))
    }

    /// Renews the next row. Its run does not keep the one after it waiting.
    async fn renew_next(&self) -> Result<Next<'_>, DatabaseUnavailable> {
        let Some(row) = self.due.borrow_mut().next() else { return Ok(Next::NOTHING) };
        let mut next = vec![self.renew_next().boxed_local()];
        match renew(self.ports, self.invocation, &row, Trigger::Sweep).await {
            Renewal::Renewed(renewed) => {
                self.swept.borrow_mut().renewed += 1;
                next.push(self.follow_up(*renewed).boxed_local());
            }
            Renewal::Failed(failure, _) => {
                self.swept.borrow_mut().failed.push((row.id, failure.code().to_owned()));
            }
            Renewal::NotOurs | Renewal::Unanswered => {}
        }
        Ok(Next(next))
    }

    async fn follow_up(&self, renewed: Renewed) -> Result<Next<'_>, DatabaseUnavailable> {
        let run = self.run(renewed.row.clone(), Reason::ChannelOpened);
        join!(run, renewed.stop_superseded(self.ports)).0
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
            let query = Query { filters, order: Column::Id, limit: RENEWALS_PER_SWEEP };
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

    async fn run(&self, row: Connection, reason: Reason) -> Result<Next<'_>, DatabaseUnavailable> {
        let connection = row.id;
        match run(self.ports, self.invocation, row, reason).await {
            Outcome::Synced => self.swept.borrow_mut().synced += 1,
            Outcome::Failed(failure) => self.swept.borrow_mut().failed.push((connection, failure.code())),
            Outcome::NotRun => {}
        }
        Ok(Next::NOTHING)
    }

    async fn read(&self, query: Query) -> Result<Vec<Connection>, DatabaseUnavailable> {
        let rows = self.ports.select(query, DATABASE_TIMEOUT).await?;
        let readable = rows.into_iter().filter_map(|row| {
            row.inspect_err(|unreadable| self.ports.log(Event::UnreadableRow(*unreadable))).ok()
        });
        Ok(readable.collect())
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
