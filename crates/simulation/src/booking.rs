//! What a step leaves in its row: what is begun is booked before it is tried, and what is over leaves nothing behind.

use std::rc::Rc;

use protocol::Timestamp;
use protocol::connection::{Connection, RequestId};
use protocol::table::Column;
use protocol::transition::Transition;

use crate::assumption::{RUN_LEASE, SKEW};
use crate::database;
use crate::life::{Life, Purpose};
use crate::promise::Promise;
use crate::step::Step;
use crate::time::{HOUR, Instant, MINUTE, SECOND, instant, micros};
use crate::world::{World, arose_at};

/// What a request may have taken between two looks at a clock.
const SLOW: Instant = 15 * SECOND;
/// With its jitter an hour.
const LONGEST_BACKOFF: Instant = 57 * MINUTE;
const LONGEST_JITTER: Instant = 3 * MINUTE;

const PERMANENT: [&str; 3] = ["reconnect_required", "push_not_supported", "calendar_not_found"];

pub(crate) fn judge(world: &World, life: &Rc<Life>, step: &Step<'_>) {
    let Step { before, after, .. } = *step;
    let entry = Entry { world, life, step, before, after, clock: life.clock(step.sent_at) };
    entry.leaves_alone_what_is_not_its_own();
    entry.heeds_who_speaks();
    match step.transition {
        Transition::RetireChannel => entry.gives_up_a_channel(),
        Transition::CommitChannel => entry.stores_a_channel(),
        Transition::FailRenewal | Transition::DoubtChannel => entry.fails_to_renew(),
        Transition::ClaimRenewal => entry.claims_a_renewal(),
        Transition::ReleaseRenewal => entry.gives_a_renewal_back(),
        Transition::FinishRun | Transition::KeepRun | Transition::LeaveRun => entry.ran(),
        Transition::ClaimRun => entry.claims_a_run(),
        Transition::PauseRun | Transition::FailRun | Transition::RefuseRun => entry.gives_a_run_back(),
        Transition::StoreToken => entry.stores_an_access_token(),
        _ => {}
    }
}

struct Entry<'a> {
    world: &'a World,
    life: &'a Rc<Life>,
    step: &'a Step<'a>,
    before: &'a Connection,
    after: &'a Connection,
    /// What the writer's clock said when it wrote.
    clock: Instant,
}

impl Entry<'_> {
    fn demand(&self, holds: bool, otherwise: &str) {
        if !holds {
            let what = format!("{} {otherwise}", self.life);
            self.world.broke(Promise::EverythingIsBooked, Some(self.step.connection), what);
        }
    }

    /// What fails together comes back together for ever, unless chance has its say.
    fn has_jitter(&self, what: &'static str, backoff: Instant, delay: Instant) {
        if backoff > 0 && self.is_always(what, delay == backoff) {
            let what = format!("{what} is delayed without jitter");
            self.world.broke(Promise::NobodyStarves, Some(self.step.connection), what);
        }
    }

    /// Whether something that chance has a say in was so a few times in a row.
    fn is_always(&self, what: &'static str, so: bool) -> bool {
        const IN_A_ROW: u32 = 5;
        let mut unjittered = self.world.unjittered.borrow_mut();
        let count = unjittered.entry(what).or_default();
        *count = if so { *count + 1 } else { 0 };
        *count == IN_A_ROW
    }

    fn leaves_alone_what_is_not_its_own(&self) {
        let host = |row: &Connection| {
            (row.user_id, row.is_active, row.sync_enabled, row.calendar_id.clone(), row.webhook_token.clone())
        };
        self.demand(host(self.before) == host(self.after), "writes what the host or the user decides");
        let retires = self.step.transition == Transition::RetireChannel;
        if self.before.webhook_pending_id.is_some() && self.after.webhook_pending_id.is_none() && !retires {
            let pending = self.life.pending.borrow();
            let own = pending.get(&self.step.connection) == self.before.webhook_pending_id.as_ref();
            self.demand(own, "gives up the id that somebody else opens");
        }
        if self.before.webhook_id == self.after.webhook_id {
            let number = |row: &Connection| row.webhook_message_number;
            self.demand(number(self.after) >= number(self.before), "counts messages backwards");
        }
    }

    /// A message counts for the channel that it came by.
    fn heeds_who_speaks(&self) {
        let speaker = self.life.speaker.borrow();
        let Some(speaker) = &*speaker else { return };
        if self.before.webhook_message_number != self.after.webhook_message_number
            && self.after.webhook_id.is_some()
        {
            let own = self.before.webhook_id.as_ref() == Some(speaker);
            self.demand(own, "counts a message of another channel");
        }
        if self.step.sets(Column::WebhookConfirmedId).is_some() {
            let own = self.before.webhook_pending_id.as_ref() == Some(speaker);
            self.demand(own, "confirms a channel that is not being opened");
        }
    }

    fn gives_up_a_channel(&self) {
        let row = self.after;
        self.demand(!row.is_live(), "gives up the channel of a live connection");
        let epoch = Timestamp::default();
        let empty = row.webhook_id.is_none()
            && row.webhook_pending_id.is_none()
            && row.webhook_expiration.is_none()
            && row.webhook_resource_id.is_none()
            && row.webhook_error.is_none()
            && (row.webhook_message_number, row.webhook_attempts) == (0, 0)
            && (row.webhook_opened_at, row.webhook_not_before) == (epoch, epoch);
        self.demand(empty, "gives up a channel, and something of it stays behind");
    }

    fn stores_a_channel(&self) {
        let Some(id) = &self.after.webhook_id else { return };
        let row = self.after;
        self.demand(
            self.before.webhook_pending_id.as_ref() == Some(id),
            "stores a channel that was not being opened",
        );
        let fresh = row.webhook_pending_id.is_none()
            && row.webhook_error.is_none()
            && (row.webhook_message_number, row.webhook_attempts) == (0, 0)
            && row.webhook_lease_until == Timestamp::default();
        self.demand(fresh, "stores a channel, and something of what was before stays behind");
        let opened_at = instant(row.webhook_opened_at);
        self.demand((opened_at - self.clock).abs() <= SECOND, "stores another time than the channel's");
        let google = self.world.google.borrow();
        let resource = google.channel(id).map(|channel| channel.calendar.resource());
        self.demand(resource == row.webhook_resource_id, "stores another resource than Google's");
        let expires_at = row.webhook_expiration.map_or(0, instant);
        let ahead = (48 * HOUR).min((expires_at - self.clock) / 2);
        let due = instant(row.webhook_not_before);
        self.demand((due - (expires_at - ahead)).abs() <= SECOND, "renews too early or too late");
    }

    fn claims_a_renewal(&self) {
        let attempts = self.before.webhook_attempts;
        self.demand(self.after.webhook_attempts == attempts + 1, "does not count its attempt to renew");
        let (due, lease_until) =
            (instant(self.after.webhook_not_before), instant(self.after.webhook_lease_until));
        let earliest = lease_until.max(self.clock + doubled(30 * SECOND, attempts));
        let latest = lease_until.max(self.clock + jittered(doubled(30 * SECOND, attempts)));
        self.demand((earliest..=latest).contains(&due), "does not book when to renew should it crash");
        if due > lease_until {
            self.has_jitter("a renewal that may crash", due - self.clock, doubled(30 * SECOND, attempts));
        }
        if matches!(self.life.purpose, Purpose::Button(_)) {
            let at_once = self.after.sync_not_before == Timestamp::default();
            self.demand(at_once, "makes the user's own run wait");
        }
    }

    fn gives_a_renewal_back(&self) {
        let (before, after) = (self.before, self.after);
        // Whoever resumes or consents again starts over.
        let attempts = before.webhook_attempts - 1;
        self.demand(attempts < 0 || after.webhook_attempts == attempts, "counts an attempt that was none");
        self.demand(after.webhook_lease_until == Timestamp::default(), "gives a renewal back, not its lease");
        self.demand(instant(after.webhook_not_before) <= self.clock, "gives a renewal back for later");
    }

    fn fails_to_renew(&self) {
        let error = self.after.webhook_error.as_deref().unwrap_or("nothing");
        let delay = instant(self.after.webhook_not_before) - self.clock;
        let attempts = self.before.webhook_attempts - 1;
        let backoff = doubled(30 * SECOND, attempts);
        let delays = if PERMANENT.contains(&error) {
            24 * HOUR..=24 * HOUR
        } else if attempts < 0 {
            // Somebody resumed meanwhile: they are counted anew.
            backoff..=jittered(LONGEST_BACKOFF)
        } else {
            backoff..=jittered(backoff)
        };
        if !PERMANENT.contains(&error) {
            self.has_jitter("a renewal that failed", backoff, delay);
        }
        self.demand(delays.contains(&delay), &format!("tries again {} s after {error}", delay / SECOND));
        self.demand(
            self.after.webhook_attempts == self.before.webhook_attempts,
            "changes the attempts that its claim counted",
        );
        let said = self.life.answers.borrow().get(&self.step.connection).copied();
        // Google's answer, or the database's to the new access token.
        let said_so = said.is_some_and(|said| said.code == error) || error == "database_unavailable";
        if !said_so {
            let what = format!("{} tells {error}, and Google said something else", self.life);
            self.world.broke(Promise::WhatIsBrokenIsTold, Some(self.step.connection), what);
        }
        let watches = self.life.watches.borrow().get(&self.step.connection).copied();
        if watches == Some(1) && said.is_some_and(|said| said.wants_another_id && said.code == error) {
            let what = format!("{} gives up where Google only wants another id", self.life);
            self.world.broke(Promise::EverythingRecovers, Some(self.step.connection), what);
        }
        let doubtful = said.is_some_and(|said| said.doubtful && said.code == error);
        self.demand(
            self.after.webhook_pending_id.is_some() == doubtful,
            "gives up a channel that may exist, or keeps the id of one that does not",
        );
        let left = instant(self.after.webhook_lease_until) - self.clock;
        let keeps_out = (5 * SECOND..30 * SECOND).contains(&left);
        self.demand(keeps_out, &format!("keeps others out for {} s after {error}", left / SECOND));
    }

    fn claims_a_run(&self) {
        let attempts = self.before.sync_attempts;
        self.demand(self.after.sync_attempts == attempts + 1, "does not count its attempt to run");
        let delay = instant(self.after.sync_not_before) - instant(self.after.sync_lease_until);
        let backoff = if attempts > 0 { doubled(SECOND, attempts) } else { 0 };
        let booked = (backoff..=jittered(backoff)).contains(&delay);
        self.demand(booked, "does not book when to run should it crash");
        self.has_jitter("a run that may crash", backoff, delay);
        self.demand(self.before.sync_request_id == self.after.sync_request_id, "changes what it claims");
        // Two that claim at one instant by their clocks are told apart by their leases.
        let lease = instant(self.after.sync_lease_until) - self.clock;
        if self.is_always("a lease", lease % SECOND == 0) {
            let what = format!("{} holds a lease that another may have, too", self.life);
            self.world.broke(Promise::OneRunAtATime, Some(self.step.connection), what);
        }
    }

    /// A run failed, was refused, or is not to be made: the connection was paused.
    fn gives_a_run_back(&self) {
        let (before, after) = (self.before.sync_attempts, self.after.sync_attempts);
        let delay = instant(self.after.sync_not_before) - self.clock;
        if self.step.transition == Transition::FailRun {
            self.demand(after == before, "changes the attempts that its claim counted");
            let backoff = doubled(SECOND, before);
            let tried_later = (backoff..=jittered(backoff)).contains(&delay);
            self.has_jitter("a run that failed", backoff, delay);
            self.demand(tried_later, &format!("runs again {} s after {before} attempts", delay / SECOND));
        } else {
            self.demand(after < before.max(1), "counts an attempt that was none");
        }
        self.demand(self.after.sync_request_id.is_some(), "drops what is owed still");
    }

    /// A run succeeded. Either it was the last, or its holder goes on with a newer request, or leaves that owed.
    fn ran(&self) {
        let (before, after) = (self.before, self.after);
        let told = database::has_run_error(self.world, self.step.connection);
        self.demand(!told, "succeeds, and the error of the run before stays behind");
        let ended_at = after.last_sync_at.map_or(0, instant);
        let in_time = (0..SLOW).contains(&(self.clock - ended_at));
        self.demand(in_time || self.life.frozen.get(), "stores another time than the run's end");
        let goes_on = after.sync_lease_until > Timestamp::default();
        let lease = instant(after.sync_lease_until) - ended_at;
        self.demand(!goes_on || lease >= micros(RUN_LEASE), "goes on under a lease that may end first");
        self.demand(after.sync_attempts == i64::from(goes_on), "succeeds, and attempts are still counted");
        let ran = self.request();
        if after.sync_request_id.is_none() {
            self.demand(before.sync_request_id == ran, "drops another request than the one it ran for");
        }
        let echo = ran
            .and_then(arose_at)
            .zip(before.last_sync_at)
            .is_some_and(|(arose_at, last_ended_at)| arose_at - instant(last_ended_at) < 20 * SECOND);
        let streak = if echo { before.sync_streak + 1 } else { 0 };
        let braked = if streak < 3 { 0 } else { doubled(SECOND, streak).min(2 * MINUTE) };
        let delay = instant(after.sync_not_before) - ended_at;
        let what = format!("takes it for echo {} and waits {} s", after.sync_streak, delay / SECOND);
        if (after.sync_streak, delay) != (streak, braked) || (goes_on && braked > 0) {
            let what = format!("{} {what}, not for {streak} and {} s", self.life, braked / SECOND);
            self.world.broke(Promise::EchoesAreBraked, Some(self.step.connection), what);
        }
    }

    /// What it last ran for.
    fn request(&self) -> Option<RequestId> {
        let ran = self.world.ledger(self.step.connection, |ledger| {
            let run = ledger.runs.iter().rev().find(|run| Rc::ptr_eq(&run.holder, self.life));
            run.map(|run| run.request)
        });
        ran.flatten()
    }

    fn stores_an_access_token(&self) {
        let Some(access_token) = &self.after.access_token else { return };
        let expires_at = self.world.google.borrow().expiry_of(access_token);
        let off = expires_at.zip(self.after.expires_at).map(|(true_one, told)| instant(told) - true_one);
        let told = off.is_some_and(|off| off.abs() < SKEW + SLOW);
        self.demand(told || self.life.frozen.get(), "stores another expiry than the access token's");
    }
}

/// How long nobody tries again after so many attempts, at least.
fn doubled(base: Instant, attempts: i64) -> Instant {
    (base << attempts.clamp(0, 20)).min(LONGEST_BACKOFF)
}

/// A fifth longer.
fn jittered(delay: Instant) -> Instant {
    delay + (delay / 5).min(LONGEST_JITTER)
}
