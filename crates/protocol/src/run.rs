//! Runs: one call of `recalculate-schedule` at a time for a connection, until nothing is owed.
//!
//! A run is claimed, prepared, made and finished. The claim books the attempt and the time of the next one before the
//! call, so that a run that kills its isolate backs off too. The lease's exact value is the fencing token: what a
//! holder writes takes effect only while the lease is still its own.
//!
//! Prepared means that the row holds a good access token, and that the calendar is looked at where the run may not be
//! needed. A run is skipped, *settled*, only where the look shows the calendar exactly as the last successful run found
//! it.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::FutureExt;

use crate::Timestamp;
use crate::access::access;
use crate::connection::{Connection, RequestId};
use crate::event::Event;
use crate::failure::{DatabaseUnavailable, Refused, RenewalFailure, RunFailure};
use crate::grant::NoAccess;
use crate::invocation::{Invocation, Kind};
use crate::ports::Ports;
use crate::reading::{Unread, read_calendar};
use crate::recalculation::{Reason, Run};
use crate::refused::{Remedy, book, is_to_be_told};
use crate::schedule::{
    self, ATTEMPTS_FOR_A_LOOK, DATABASE_TIMEOUT, PREPARATION, TOKEN_MARGIN, TOKEN_MARGIN_OF_A_RUN,
};
use crate::transition::{self, Found, Success, Update};
use crate::waiters::{Place, Wait};

/// What became of a connection's owed run, as far as this invocation saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// At least one run succeeded, the last one included.
    Synced,
    /// Nothing was called: the calendar is as the last run found it.
    Settled,
    Failed(RunFailure),
    /// Nothing was called: the consent is dead. The run stays owed.
    NoConsent(RenewalFailure),
    /// Nothing owed, not due, paused, out of budget, or somebody else's.
    NotRun,
}

impl Outcome {
    /// A run that was made counts more than one after it that was not needed.
    fn followed_by(self, next: Self) -> Self {
        match (self, next) {
            (Self::Synced, Self::Settled) | (_, Self::NotRun) => self,
            _ => next,
        }
    }
}

/// What is known of the calendar before the first run.
#[derive(Clone, Debug, PartialEq)]
pub enum Beforehand {
    /// It is looked at where the request may be an echo of the run before it.
    Nothing,
    /// It is looked at: nobody said that it changed.
    MayBeUnchanged,
    /// It was looked at just now.
    Found(Found),
    /// It does not matter: a person asked.
    Irrelevant,
}

/// Runs what `row`, freshly read or written, owes. After a notification waits of a few seconds are slept out;
/// whatever else remains is the sweep's.
pub async fn run<P: Ports>(
    ports: &P,
    invocation: &Invocation,
    row: Connection,
    reason: Reason,
    beforehand: Beforehand,
) -> Outcome {
    if !is_claimable(&row, ports.now()) {
        return Outcome::NotRun;
    }
    // Boxed, so that the runtime compiles the code of a run only where one is made: 84 KB of machine code, a sixth of
    // what an instance's first notification takes.
    run_until_nothing_is_owed(ports, invocation, row, reason, beforehand).boxed_local().await
}

async fn run_until_nothing_is_owed<P: Ports>(
    ports: &P,
    invocation: &Invocation,
    row: Connection,
    reason: Reason,
    beforehand: Beforehand,
) -> Outcome {
    let mut outcome = Outcome::NotRun;
    let mut previous = None;
    let mut row = row;
    let mut beforehand = beforehand;
    loop {
        let Some(now) = wait_until_due(ports, invocation, &row).await else { return outcome };
        // Of a burst one claims: it takes whatever was asked for before.
        let place = ports.waiters().take(Wait::Claim(row.id), 1);
        if place.is_none() && invocation.kind() == Kind::Targeted {
            ports.waiters().leave(row);
            return outcome;
        }
        if !invocation.take_run(now, previous) {
            return outcome;
        }
        let Ok(Some(holder)) = claim(ports, invocation, &row, reason).await else {
            invocation.give_run_back();
            // Others may have read a newer row meanwhile, and left the run to this claim.
            let Some(newer) = place.and_then(Place::left) else { return outcome };
            row = newer;
            continue;
        };
        drop(place);
        let held = holder.hold(std::mem::replace(&mut beforehand, Beforehand::Nothing)).await;
        outcome = outcome.followed_by(held.outcome);
        let Some(released) = held.released else { return outcome };
        previous = Some(held.duration);
        row = released;
    }
}

/// Whether a run is owed that is not going on, and that its consent allows.
fn is_claimable(row: &Connection, now: Timestamp) -> bool {
    row.sync_request_id.is_some()
        && row.is_live()
        && row.dead_consent().is_none()
        && row.sync_lease_until < now
}

/// Waits until the owed run may start, if that is soon and this invocation may wait; then says what time it is.
async fn wait_until_due<P: Ports>(ports: &P, invocation: &Invocation, row: &Connection) -> Option<Timestamp> {
    let now = ports.now();
    if !is_claimable(row, now) {
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
    let sleep = ports.sleep(wait.to_std().unwrap_or_default() + Duration::from_millis(1));
    ports.waiters().sleep_for_all(row.id, sleep).await.then(|| ports.now())
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
    if let Some(row) = &claimed
        && reason == Reason::CalendarChanged
        && row.sync_attempts == 1
        && schedule::are_sweeps_missing(row)
    {
        ports.log(Event::SweepsMissing { connection: row.id, look_at: row.sync_look_at });
    }
    Ok(claimed.map(|row| Holder {
        ports,
        invocation,
        reason,
        leased_at: now,
        lease,
        row,
        is_look_booked: false,
        may_tell_what_is_over: false,
    }))
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
    leased_at: Timestamp,
    /// As it stands in the row: the fencing token.
    lease: Timestamp,
    row: Connection,
    /// Whether a refusal met while this run was prepared booked the next look. The look before the run does not move
    /// it: it may have succeeded with a token that is still good while Google gives no other.
    is_look_booked: bool,
    /// Whether it is not known that the row has stopped telling what a look was refused. The next look sees to it.
    may_tell_what_is_over: bool,
}

/// What became of the time a lease was held.
struct Ended {
    outcome: Outcome,
    /// How long the last run took.
    duration: TimeDelta,
    /// The row, if the lease was given back and something is still owed.
    released: Option<Connection>,
}

/// What is known before a run.
enum Prepared {
    /// It is made; the look before it found this.
    Run(Option<Found>),
    /// It is not needed.
    Settle(Found),
    /// It cannot succeed: Google refuses the connection.
    NoConsent(Refused),
}

impl<P: Ports> Holder<'_, P> {
    /// Runs until nothing is owed, a run fails, or the brake or the budget says to stop.
    async fn hold(mut self, beforehand: Beforehand) -> Ended {
        let mut beforehand = beforehand;
        let mut outcome = Outcome::NotRun;
        loop {
            let Some(request) = self.row.sync_request_id else {
                return Ended { outcome, duration: TimeDelta::zero(), released: None };
            };
            let prepared =
                self.prepare(request, std::mem::replace(&mut beforehand, Beforehand::Nothing)).await;
            let started_at = self.ports.now();
            let (found, is_settled) = match prepared {
                Prepared::Run(found) => (found, false),
                Prepared::Settle(found) => (Some(found), true),
                Prepared::NoConsent(refused) => return self.await_consent(refused).await,
            };
            if is_settled {
                self.invocation.give_run_back();
            } else if let Err(failure) = self.recalculate(request, started_at).await {
                let duration = self.ports.now().signed_duration_since(started_at);
                let released = self.fail(request, failure).await;
                return Ended { outcome: Outcome::Failed(failure), duration, released };
            }
            let ended_at = self.ports.now();
            let duration = ended_at.signed_duration_since(started_at);
            self.log_success(request, is_settled, ended_at, duration);
            outcome = outcome.followed_by(if is_settled { Outcome::Settled } else { Outcome::Synced });
            let ended = |released| Ended { outcome, duration, released };
            let success = self.success(request, ended_at, found, is_settled);
            let finish = if is_settled { transition::settle_run } else { transition::finish_run };
            match self.update(finish(self.held(), request, &success)).await {
                Ok(Some(_)) | Err(DatabaseUnavailable) => return ended(None),
                Ok(None) => {}
            }
            // A newer request arrived meanwhile, the consent or the calendar is another, or the lease was lost.
            let go_on = schedule::brake(success.streak) == TimeDelta::zero()
                && self.invocation.take_run(ended_at, Some(duration));
            let next_lease = go_on.then(|| new_lease(self.ports, ended_at));
            match self.keep_or_leave(&success, next_lease).await {
                Ok(Some(newer)) => {
                    let Some(next_lease) = next_lease else { return ended(Some(newer)) };
                    self.leased_at = ended_at;
                    self.lease = next_lease;
                    self.row = newer;
                    if !self.row.is_live() || self.row.dead_consent().is_some() {
                        // Paused meanwhile, or its consent died: the request stays owed, the lease need not. It may be
                        // resumed again by then.
                        self.invocation.give_run_back();
                        let paused = self.update(transition::pause_run(self.held(), ended_at)).await;
                        return ended(paused.unwrap_or(None));
                    }
                }
                Ok(None) => {
                    if go_on {
                        self.invocation.give_run_back();
                    }
                    self.lease_lost().await;
                    return ended(None);
                }
                Err(DatabaseUnavailable) => return ended(None),
            }
        }
    }

    /// Whether the calendar should have been seen long ago: no look is due while a run is owed.
    fn is_look_late(&self) -> bool {
        schedule::is_look_late(&self.row, self.ports.now(), self.ports.look_interval())
    }

    /// A good access token, and a look where the run may not be needed. Nothing that goes wrong here costs the run, but
    /// a consent that is dead.
    async fn prepare(&mut self, request: RequestId, beforehand: Beforehand) -> Prepared {
        self.is_look_booked = false;
        self.may_tell_what_is_over = false;
        match access(self.ports, &self.row, TOKEN_MARGIN_OF_A_RUN).await {
            Ok(access) => {
                if let Some(stored) = access.renewed {
                    self.row.adopt_consent(stored);
                }
            }
            // The host may have a way of its own to the calendar.
            Err(_) if self.row.refresh_token.is_none() => {}
            Err(NoAccess::Failed(refused)) if refused.failure.is_consent_dead() => {
                return Prepared::NoConsent(refused);
            }
            Err(NoAccess::Failed(refused)) if is_to_be_told(&self.row, &refused, self.is_look_late()) => {
                self.is_look_booked = book(self.ports, &self.row, refused).await == Remedy::Look;
            }
            Err(_) => {}
        }
        if let Beforehand::Found(found) = beforehand {
            return Prepared::Run((found.source == self.row.webhook_source).then_some(found));
        }
        let may_be_echo = schedule::may_be_echo(request.arose_at(), self.row.last_sync_at);
        let now = self.ports.now();
        let is_looked_at = match beforehand {
            Beforehand::Nothing => may_be_echo || self.row.sync_attempts % ATTEMPTS_FOR_A_LOOK == 0,
            Beforehand::MayBeUnchanged => true,
            Beforehand::Found(_) | Beforehand::Irrelevant => false,
        };
        let until = self.prepared_by();
        let has_token = self.row.access_token_for(now, TOKEN_MARGIN).is_some();
        if !is_looked_at || until <= now || !has_token || self.invocation.has_read_enough() {
            return Prepared::Run(None);
        }
        let look = match read_calendar(self.ports, self.invocation, &mut self.row, until).await {
            Ok(look) => look,
            Err(Unread::Refused(refused)) if refused.failure.is_consent_dead() => {
                return Prepared::NoConsent(refused);
            }
            Err(Unread::Refused(refused)) => {
                if is_to_be_told(&self.row, &refused, self.is_look_late()) {
                    book(self.ports, &self.row, refused).await;
                } else {
                    let Refused { failure, reason, .. } = refused;
                    let code = failure.code();
                    self.ports.log(Event::LookFailed {
                        connection: self.row.id,
                        code,
                        reason,
                        look_at: None,
                    });
                }
                return Prepared::Run(None);
            }
            Err(Unread::TooLarge | Unread::Unknown(_) | Unread::Superseded) => return Prepared::Run(None),
        };
        if self.row.look_error().is_some() && !self.is_look_booked {
            let answer = self.update(transition::take_refusal_back(&self.row)).await;
            self.may_tell_what_is_over = answer.is_err();
        }
        let is_unchanged = look.shows_no_change(self.row.seen().as_ref());
        let found = Found::new(&self.row, look);
        // An attempt that did not succeed may have left half a plan. And what was settled before, a look of any other
        // kind does not settle again: a change that was undone while the run before was going on would be lost.
        let is_first_attempt = self.row.sync_attempts <= 1;
        let is_in_doubt = self.row.sync_streak > 0 && !may_be_echo;
        if is_unchanged && is_first_attempt && !is_in_doubt {
            Prepared::Settle(found)
        } else {
            Prepared::Run(Some(found))
        }
    }

    /// When the run must begin, so that the lease outlives the callee and the run has time.
    fn prepared_by(&self) -> Timestamp {
        (self.leased_at + PREPARATION).min(self.invocation.last_start())
    }

    fn success(
        &self,
        request: RequestId,
        ended_at: Timestamp,
        found: Option<Found>,
        is_settled: bool,
    ) -> Success {
        let usual = schedule::next_look(&self.row, ended_at, self.ports.look_interval(), self.ports.random());
        let next_look = (found.is_some() && !self.is_look_booked).then(|| {
            // What was settled before is run for at the next due look, which no further echo puts off.
            let is_in_doubt = is_settled && self.row.sync_streak > 0;
            let is_early = is_in_doubt || self.may_tell_what_is_over;
            if is_early { usual.min(self.row.sync_look_at) } else { usual }
        });
        let streak = schedule::streak_after(self.row.sync_streak, request.arose_at(), self.row.last_sync_at);
        Success {
            ended_at,
            // What was settled is in doubt, whatever it was settled for.
            streak: if is_settled { streak.max(1) } else { streak },
            seen_before: self.row.sync_seen.clone(),
            found,
            next_look,
        }
    }

    /// Goes on under the next lease, or leaves the request owed. Where the button was pressed meanwhile, or the consent
    /// or the calendar is another, what the look found is forgotten.
    async fn keep_or_leave(
        &self,
        success: &Success,
        next_lease: Option<Timestamp>,
    ) -> Result<Option<Connection>, DatabaseUnavailable> {
        let step = |success: &Success| match next_lease {
            Some(next_lease) => transition::keep_run(self.held(), success, next_lease),
            None => transition::leave_run(self.held(), success),
        };
        match self.update(step(success)).await? {
            None if success.found.is_some() => self.update(step(&success.without_look())).await,
            answer => Ok(answer),
        }
    }

    async fn recalculate(&self, request: RequestId, now: Timestamp) -> Result<(), RunFailure> {
        let user = self.row.user_id.ok_or(RunFailure::NoUser)?;
        let run = Run { user, connection: self.row.id, request, reason: self.reason };
        self.ports.recalculate(run, self.invocation.run_timeout(now)).await
    }

    fn log_success(&self, request: RequestId, is_settled: bool, ended_at: Timestamp, duration: TimeDelta) {
        let (connection, reason) = (self.row.id, self.reason);
        self.ports.log(if is_settled {
            Event::RunSettled { connection, request, reason }
        } else {
            Event::RunSucceeded {
                connection,
                request,
                reason,
                duration: duration.to_std().unwrap_or_default(),
                lag: request
                    .arose_at()
                    .and_then(|arose_at| ended_at.signed_duration_since(arose_at).to_std().ok()),
            }
        });
    }

    /// Leaves the run owed until the consent is renewed.
    async fn await_consent(&self, refused: Refused) -> Ended {
        self.invocation.give_run_back();
        let failure = refused.failure;
        book(self.ports, &self.row, refused).await;
        let update =
            transition::await_consent(self.held(), self.row.sync_attempts, self.ports.now(), failure);
        if let Ok(None) = self.update(update).await {
            self.lease_lost().await;
        }
        Ended { outcome: Outcome::NoConsent(failure), duration: TimeDelta::zero(), released: None }
    }

    /// Books a failed run. Returns the row if its lease was given back.
    async fn fail(&self, request: RequestId, failure: RunFailure) -> Option<Connection> {
        let now = self.ports.now();
        let attempts = self.row.sync_attempts;
        let (retry_at, update) = match failure {
            RunFailure::Answered(_) | RunFailure::NotAFunction | RunFailure::NoUser => {
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
