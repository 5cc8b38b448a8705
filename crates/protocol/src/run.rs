//! Runs: one call of `recalculate-schedule` at a time for a connection, until nothing is owed.
//!
//! A run is claimed, made and finished. The claim books the attempt and the time of the next one before the call, so
//! that a run that kills its isolate backs off too. The lease's exact value is the fencing token: what a holder
//! writes takes effect only while the lease is still its own.

use std::time::Duration;

use chrono::TimeDelta;

use crate::Timestamp;
use crate::connection::{Connection, RequestId};
use crate::event::Event;
use crate::failure::{DatabaseUnavailable, RunFailure};
use crate::invocation::Invocation;
use crate::ports::Ports;
use crate::recalculation::{Reason, Run};
use crate::schedule::{self, DATABASE_TIMEOUT};
use crate::transition::{self, Success, Update};

/// What became of a connection's owed run, as far as this invocation saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// At least one run succeeded, the last one included.
    Synced,
    Failed(RunFailure),
    /// Nothing owed, not due, paused, out of budget, or somebody else's.
    NotRun,
}

/// Runs what `row`, freshly read or written, owes. After a notification waits of a few seconds are slept out;
/// whatever else remains is the sweep's.
pub async fn run<P: Ports>(ports: &P, invocation: &Invocation, row: Connection, reason: Reason) -> Outcome {
    let mut outcome = Outcome::NotRun;
    let mut previous = None;
    let mut row = row;
    loop {
        let Some(now) = wait_until_due(ports, invocation, &row).await else { return outcome };
        if !invocation.take_run(now, previous) {
            return outcome;
        }
        let Ok(Some(holder)) = claim(ports, invocation, &row, reason).await else {
            invocation.give_run_back();
            return outcome;
        };
        let held = holder.hold().await;
        if let Some(latest) = held.outcome {
            outcome = latest;
        }
        let Some(released) = held.released else { return outcome };
        previous = Some(held.duration);
        row = released;
    }
}

/// Waits until the owed run may start, if that is soon and this invocation may wait; then says what time it is.
async fn wait_until_due<P: Ports>(ports: &P, invocation: &Invocation, row: &Connection) -> Option<Timestamp> {
    let now = ports.now();
    if row.sync_request_id.is_none() || !row.is_live() || row.sync_lease_until >= now {
        return None;
    }
    let wait = row.sync_not_before.signed_duration_since(now);
    if wait <= TimeDelta::zero() {
        return Some(now);
    }
    if !invocation.may_sleep(now, wait) {
        return None;
    }
    // A millisecond more, or the clock's rounding wakes us too early.
    ports.sleep(wait.to_std().unwrap_or_default() + Duration::from_millis(1)).await;
    Some(ports.now())
}

async fn claim<'a, P: Ports>(
    ports: &'a P,
    invocation: &'a Invocation,
    row: &Connection,
    reason: Reason,
) -> Result<Option<Holder<'a, P>>, DatabaseUnavailable> {
    let now = ports.now();
    let lease = new_lease(ports, now);
    let update = transition::claim_run(row, now, lease, ports.random());
    let claimed = ports.update(update, DATABASE_TIMEOUT).await?;
    Ok(claimed.map(|row| Holder { ports, invocation, reason, lease, row }))
}

/// A lease from now on whose microseconds are random: no two holders ever have the same.
fn new_lease<P: Ports>(ports: &P, now: Timestamp) -> Timestamp {
    let microseconds = i64::try_from(ports.random() % 1_000_000).unwrap_or(0);
    let lease = TimeDelta::from_std(ports.lease()).unwrap_or(TimeDelta::MAX);
    now + lease + TimeDelta::microseconds(microseconds)
}

/// A claimed run.
struct Holder<'a, P> {
    ports: &'a P,
    invocation: &'a Invocation,
    reason: Reason,
    /// As it stands in the row: the fencing token.
    lease: Timestamp,
    row: Connection,
}

/// What became of the time a lease was held.
struct Ended {
    /// Of the last run made; none = no run was made.
    outcome: Option<Outcome>,
    /// How long the last run took.
    duration: TimeDelta,
    /// The row, if the lease was given back and something is still owed.
    released: Option<Connection>,
}

impl<P: Ports> Holder<'_, P> {
    /// Runs until nothing is owed, a run fails, or the brake or the budget says to stop.
    async fn hold(mut self) -> Ended {
        loop {
            let Some(request) = self.row.sync_request_id else {
                return Ended { outcome: None, duration: TimeDelta::zero(), released: None };
            };
            let started_at = self.ports.now();
            let result = self.recalculate(request, started_at).await;
            let ended_at = self.ports.now();
            let duration = ended_at.signed_duration_since(started_at);
            if let Err(failure) = result {
                let released = self.fail(request, failure).await;
                return Ended { outcome: Some(Outcome::Failed(failure)), duration, released };
            }
            self.ports.log(Event::RunSucceeded {
                connection: self.row.id,
                request,
                reason: self.reason,
                duration: duration.to_std().unwrap_or_default(),
                lag: request
                    .arose_at()
                    .and_then(|arose_at| ended_at.signed_duration_since(arose_at).to_std().ok()),
            });
            let synced = |released| Ended { outcome: Some(Outcome::Synced), duration, released };
            let success = Success {
                ended_at,
                streak: schedule::streak_after(
                    self.row.sync_streak,
                    request.arose_at(),
                    self.row.last_sync_at,
                ),
            };
            match self.update(transition::finish_run(self.held(), request, &success)).await {
                Ok(Some(_)) | Err(DatabaseUnavailable) => return synced(None),
                Ok(None) => {}
            }
            // Either a newer request arrived meanwhile, or the lease was lost.
            let go_on = schedule::brake(success.streak) == TimeDelta::zero()
                && self.invocation.take_run(ended_at, Some(duration));
            let next_lease = go_on.then(|| new_lease(self.ports, ended_at));
            let go_on_or_leave = match next_lease {
                Some(next_lease) => transition::keep_run(self.held(), &success, next_lease),
                None => transition::leave_run(self.held(), &success),
            };
            match self.update(go_on_or_leave).await {
                Ok(Some(newer)) => {
                    let Some(next_lease) = next_lease else { return synced(Some(newer)) };
                    self.lease = next_lease;
                    self.row = newer;
                    if !self.row.is_live() {
                        // Paused meanwhile: the request stays owed, the lease need not.
                        self.invocation.give_run_back();
                        let _ = self.update(transition::pause_run(self.held(), ended_at)).await;
                        return synced(None);
                    }
                }
                Ok(None) => {
                    if go_on {
                        self.invocation.give_run_back();
                    }
                    self.lease_lost().await;
                    return synced(None);
                }
                Err(DatabaseUnavailable) => return synced(None),
            }
        }
    }

    async fn recalculate(&self, request: RequestId, now: Timestamp) -> Result<(), RunFailure> {
        let user = self.row.user_id.ok_or(RunFailure::NoUser)?;
        let run = Run { user, connection: self.row.id, request, reason: self.reason };
        self.ports.recalculate(run, self.invocation.run_timeout(now)).await
    }

    /// Books a failed run. Returns the row if its lease was given back.
    async fn fail(&self, request: RequestId, failure: RunFailure) -> Option<Connection> {
        let now = self.ports.now();
        let attempts = self.row.sync_attempts;
        let (retry_at, update) = match failure {
            RunFailure::Answered(_) | RunFailure::NoUser => {
                let retry_at = schedule::run_retry(now, attempts, self.ports.random());
                (retry_at, transition::fail_run(self.held(), attempts, retry_at, failure))
            }
            RunFailure::RateLimited { retry_after } => {
                self.invocation.end_runs();
                let wait =
                    TimeDelta::from_std(retry_after).unwrap_or(TimeDelta::MAX).min(TimeDelta::hours(1));
                (now + wait, transition::refuse_run(self.held(), attempts, now + wait))
            }
            // The connection has no other run until the lease ends, not even one that the button asks for.
            RunFailure::TimedOut | RunFailure::Unreachable => {
                (self.row.sync_not_before.max(self.lease), transition::doubt_run(self.held(), failure))
            }
        };
        let answer = self.update(update).await;
        self.ports.log(Event::RunFailed {
            connection: self.row.id,
            request,
            reason: self.reason,
            failure,
            retry_at: matches!(answer, Ok(Some(_))).then_some(retry_at),
        });
        match answer {
            Ok(Some(row)) => (row.sync_lease_until != self.lease).then_some(row),
            Ok(None) => {
                self.lease_lost().await;
                None
            }
            Err(DatabaseUnavailable) => None,
        }
    }

    /// One more run is owed.
    async fn lease_lost(&self) {
        self.ports.log(Event::RunLeaseLost { connection: self.row.id });
        let request = RequestId::fresh(self.ports.now(), self.ports.random());
        // Known limit: a holder that lost its lease alive and dies here, or is not answered, goes unnoticed. Hence
        // the lease must outlive the callee.
        let _ = self.update(transition::lose_run(self.row.id, request)).await;
    }

    fn held(&self) -> transition::Held {
        transition::Held { connection: self.row.id, lease: self.lease }
    }

    async fn update(&self, update: Update) -> Result<Option<Connection>, DatabaseUnavailable> {
        self.ports.update(update, DATABASE_TIMEOUT).await
    }
}
