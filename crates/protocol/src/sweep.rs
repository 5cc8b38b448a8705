//! The sweep: one pass of cron over every connection that needs something, bounded in time, work and memory. Any
//! number may overlap, for every step is claimed row by row.

use std::cell::RefCell;

use futures_util::stream::{self, FuturesUnordered, StreamExt};
use futures_util::{join, select};

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

pub async fn sweep<P: Ports>(ports: &P, invocation: &Invocation) -> Result<Swept, DatabaseUnavailable> {
    let sweep = Sweep { ports, invocation, swept: RefCell::default() };
    // Concurrently, so that runs that hang do not keep channels from being renewed.
    let (runs, renewals, retirements) = join!(sweep.run_owed(), sweep.renew_due(), sweep.retire());
    runs?;
    renewals?;
    retirements?;
    let mut swept = sweep.swept.into_inner();
    swept.remaining = ports.count(owed_and_due(ports), DATABASE_TIMEOUT).await?;
    Ok(swept)
}

struct Sweep<'a, P> {
    ports: &'a P,
    invocation: &'a Invocation,
    swept: RefCell<Swept>,
}

impl<P: Ports> Sweep<'_, P> {
    /// Runs that are owed and due; what they leave of the budget goes to connections not looked at for a day.
    async fn run_owed(&self) -> Result<(), DatabaseUnavailable> {
        let budget = RUNS_PER_INVOCATION as usize;
        let owed = self
            .read(Query {
                filters: owed_and_due(self.ports),
                any_of: Vec::new(),
                order: Column::SyncNotBefore,
                limit: budget,
            })
            .await?;
        let left = budget.saturating_sub(owed.len());
        let runs: FuturesUnordered<_> = owed.into_iter().map(|row| self.run(row, Reason::Owed)).collect();
        let (reconciled, ()) = join!(self.reconcile(left), runs.collect());
        reconciled
    }

    async fn reconcile(&self, limit: usize) -> Result<(), DatabaseUnavailable> {
        if limit == 0 {
            return Ok(());
        }
        let long_ago = self.ports.now() - RECONCILE_AFTER;
        let mut filters = Vec::from(live());
        filters.push(Filter::IsNull(Column::SyncRequestId));
        filters.push(Filter::IsDistinct(Column::WebhookError, "reconnect_required".into()));
        let silent = self
            .read(Query {
                filters,
                any_of: vec![vec![
                    Filter::IsNull(Column::LastSyncAt),
                    Filter::Lt(Column::LastSyncAt, long_ago.into()),
                ]],
                order: Column::LastSyncAt,
                limit,
            })
            .await?;
        let runs: FuturesUnordered<_> = silent.iter().map(|row| self.ask_and_run(row)).collect();
        runs.collect::<()>().await;
        Ok(())
    }

    async fn ask_and_run(&self, row: &Connection) {
        let request = RequestId::fresh(self.ports.now(), self.ports.random());
        let update = Update::of(row.id)
            .when(Filter::IsNull(Column::SyncRequestId))
            .when_live()
            .set(Column::SyncRequestId, request);
        if let Ok(Some(row)) = self.ports.update(update, DATABASE_TIMEOUT).await {
            self.swept.borrow_mut().reconciled += 1;
            self.run(row, Reason::Reconciliation).await;
        }
    }

    /// Missing, expiring, foreign and failed channels alike: whatever is due.
    async fn renew_due(&self) -> Result<(), DatabaseUnavailable> {
        let mut filters = Vec::from(live());
        filters.push(Filter::Lte(Column::WebhookNotBefore, self.ports.now().into()));
        let due = self
            .read(Query {
                filters,
                any_of: Vec::new(),
                order: Column::WebhookNotBefore,
                limit: RENEWALS_PER_SWEEP,
            })
            .await?;
        let mut renewals =
            stream::iter(&due).map(|row| self.renew(row)).buffer_unordered(RENEWALS_AT_ONCE).fuse();
        // Runs go on beside the renewals, not in their places.
        let mut follow_ups = FuturesUnordered::new();
        loop {
            select! {
                renewed = renewals.select_next_some() => {
                    if let Some(renewed) = renewed {
                        follow_ups.push(self.follow_up(renewed));
                    }
                }
                () = follow_ups.select_next_some() => {}
                complete => return Ok(()),
            }
        }
    }

    async fn renew(&self, row: &Connection) -> Option<Renewed> {
        match renew(self.ports, self.invocation, row, Trigger::Sweep).await {
            Renewal::Renewed(renewed) => {
                self.swept.borrow_mut().renewed += 1;
                Some(*renewed)
            }
            Renewal::Failed(failure, _) => {
                self.swept.borrow_mut().failed.push((row.id, failure.code().to_owned()));
                None
            }
            Renewal::NotOurs | Renewal::Unanswered => None,
        }
    }

    async fn follow_up(&self, renewed: Renewed) {
        let run = self.run(renewed.row.clone(), Reason::ChannelOpened);
        join!(renewed.stop_superseded(self.ports), run);
    }

    async fn retire(&self) -> Result<(), DatabaseUnavailable> {
        let to_retire = self
            .read(Query {
                filters: vec![google()],
                any_of: vec![
                    vec![Filter::NotTrue(Column::IsActive), Filter::IsFalse(Column::SyncEnabled)],
                    vec![Filter::NotNull(Column::WebhookId), Filter::NotNull(Column::WebhookPendingId)],
                ],
                order: Column::Id,
                limit: RENEWALS_PER_SWEEP,
            })
            .await?;
        stream::iter(&to_retire)
            .for_each_concurrent(RENEWALS_AT_ONCE, |row| async move {
                let in_time = self.invocation.may_renew(self.ports.now());
                if in_time && retire(self.ports, row).await {
                    self.swept.borrow_mut().stopped += 1;
                }
            })
            .await;
        Ok(())
    }

    async fn run(&self, row: Connection, reason: Reason) {
        let connection = row.id;
        match run(self.ports, self.invocation, row, reason).await {
            Outcome::Synced => self.swept.borrow_mut().synced += 1,
            Outcome::Failed(failure) => self.swept.borrow_mut().failed.push((connection, failure.code())),
            Outcome::NotRun => {}
        }
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
