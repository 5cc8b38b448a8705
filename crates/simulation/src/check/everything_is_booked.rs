//! What is begun is booked in its row before it is tried, what is over leaves nothing behind, and a step writes nothing
//! but its own.

use std::collections::BTreeMap;

use protocol::connection::{ChannelId, Connection};
use protocol::schedule::{
    DAILY, DATABASE_TIMEOUT, LEASE_AFTER_FAILURE, LEASE_AFTER_WATCH, LONGEST_BACKOFF,
    LONGEST_WAIT_OF_A_CHANGE, LONGEST_WAIT_OF_AN_ECHO, LOOK_INTERVAL, LOOK_INTERVAL_WITHOUT_CHANNEL,
    RENEWAL_BACKOFF, RENEWED_BEFORE_EXPIRY, RUN_BACKOFF,
};
use protocol::transition::Transition;

use crate::assumption::{RUN_LEASE, SKEW};
use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::check::record::invocation::{Conduct, Matter};
use crate::check::row::{PASSING, PERMANENT, after_refusal, doubled, hears, is_live, jittered};
use crate::due::is_consenting;
use crate::fact::{Deed, Fact, Step};
use crate::subject::{Purpose, Row};
use crate::time::{Instant, MINUTE, SECOND, delta, instant, micros};

/// How often a renewal asks for a channel: with the token that it finds, with a fresh one, with a fresh id.
const MOST_WATCHES: Instant = 3;
/// What requests may have taken between two looks at a clock.
const SLOW: Instant = 3 * micros(DATABASE_TIMEOUT);

#[derive(Default)]
pub(super) struct EverythingIsBooked {
    /// The channel whose notification an invocation received.
    speakers: BTreeMap<usize, ChannelId>,
}

impl Check for EverythingIsBooked {
    fn read(&mut self, record: &Record, _: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        match fact {
            Fact::Of(invocation, Deed::Receives(notification)) => {
                self.speakers.insert(invocation.number, notification.channel.clone());
            }
            Fact::Of(invocation, Deed::Ends) => {
                if let Some(life) = record.life(*invocation).filter(|life| !life.frozen) {
                    ends(record, life, found);
                }
            }
            Fact::Applied(step) => {
                let Some(life) = record.life(step.invocation) else { return };
                let speaker = self.speakers.get(&step.invocation.number);
                let (before, after, clock) = (step.before, step.after, life.clock(step.sent_at));
                Entry { record, life, step, before, after, clock, speaker, found }.judge();
            }
            _ => {}
        }
    }
}

fn ends(record: &Record, life: &Conduct, found: &mut Found<'_>) {
    for (connection, pending) in &life.pending {
        let row = record.row(*connection);
        let is_named = row.is_some_and(|row| row.webhook_pending_id.as_ref() == Some(pending));
        if is_named && !life.kept.contains(connection) && !life.doubts(*connection, Matter::Channel) {
            let what = format!("{} ends, and its pending id stays behind", life.invocation);
            found.broken(*connection, what);
        }
    }
}

struct Entry<'a, 'f> {
    record: &'a Record,
    life: &'a Conduct,
    step: &'a Step<'a>,
    before: &'a Connection,
    after: &'a Row,
    /// What the writer's clock said when it wrote.
    clock: Instant,
    /// The channel that the writer heard of.
    speaker: Option<&'a ChannelId>,
    found: &'a mut Found<'f>,
}

impl Entry<'_, '_> {
    fn demand(&mut self, holds: bool, otherwise: &str) {
        if !holds {
            self.found.broken(self.step.connection, format!("{} {otherwise}", self.step.invocation));
        }
    }

    fn judge(mut self) {
        self.leaves_alone_what_is_not_its_own();
        self.takes_back_what_a_look_told();
        self.heeds_who_speaks();
        match self.step.transition {
            Transition::RetireChannel => self.gives_up_a_channel(),
            Transition::CommitChannel => self.stores_a_channel(),
            Transition::FailRenewal | Transition::DoubtChannel => self.fails_to_renew(),
            Transition::BookRefusal => self.books_a_refusal(),
            Transition::ClaimRenewal => self.claims_a_renewal(),
            Transition::ReleaseRenewal => self.gives_a_renewal_back(),
            Transition::FinishRun | Transition::SettleRun | Transition::KeepRun | Transition::LeaveRun => {
                self.ran()
            }
            Transition::ClaimRun => self.claims_a_run(),
            Transition::FailRun => self.fails_to_run(),
            Transition::PauseRun | Transition::RefuseRun | Transition::AwaitConsent => {
                self.gives_a_run_back()
            }
            Transition::HastenRun => self.hastens_a_run(),
            Transition::ClaimLook => self.claims_a_look(),
            Transition::NoteUnchanged => self.books_the_next_look(),
            Transition::PostponeLook => self.postpones_a_look(),
            Transition::RefuseLook => self.refuses_a_look(),
            Transition::StoreToken => self.stores_an_access_token(),
            _ => {}
        }
    }

    fn leaves_alone_what_is_not_its_own(&mut self) {
        let (before, after) = (self.before, self.after);
        let host = |row: &Connection| {
            (row.user_id, row.is_active, row.sync_enabled, row.calendar_id.clone(), row.webhook_token.clone())
        };
        self.demand(host(before) == host(after), "writes what the host or the user decides");
        let retires = self.step.transition == Transition::RetireChannel;
        if before.webhook_pending_id.is_some() && after.webhook_pending_id.is_none() && !retires {
            let own = self.life.pending.get(&self.step.connection) == before.webhook_pending_id.as_ref();
            self.demand(own, "gives up the id that somebody else opens");
        }
        if before.webhook_id == after.webhook_id {
            let counts_on = after.webhook_message_number >= before.webhook_message_number;
            self.demand(counts_on, "counts messages backwards");
        }
    }

    /// A message counts for the channel that it came by.
    fn heeds_who_speaks(&mut self) {
        let (before, after) = (self.before, self.after);
        if self.speaker.is_none() {
            return;
        }
        if before.webhook_message_number != after.webhook_message_number && after.webhook_id.is_some() {
            self.demand(before.webhook_id.as_ref() == self.speaker, "counts a message of another channel");
        }
        if self.step.transition == Transition::ConfirmPending {
            let own = before.webhook_pending_id.as_ref() == self.speaker;
            self.demand(own, "confirms a channel that is not being opened");
        }
    }

    /// A look takes back what was told without a renewal, and nothing else.
    fn takes_back_what_a_look_told(&mut self) {
        let (before, after) = (self.before, self.after);
        if !matches!(self.step.transition, Transition::NoteUnchanged | Transition::Reconcile) {
            return;
        }
        let is_of_look = before.webhook_attempts == 0 && before.webhook_id.is_some();
        let is_taken_back = before.webhook_error.is_some() && after.webhook_error.is_none();
        self.demand(is_of_look || !is_taken_back, "takes back what a renewal told");
        let has_read = self.life.look(self.step.connection, Instant::MIN, Instant::MAX).is_some();
        let is_taken_back = before.webhook_error.is_none() || is_taken_back;
        self.demand(
            is_taken_back || !is_of_look || !has_read || !is_consenting(before),
            "reads a calendar, and the row goes on telling that it cannot be read",
        );
    }

    fn gives_up_a_channel(&mut self) {
        let row = self.after;
        self.demand(!is_live(row), "gives up the channel of a live connection");
        let empty = row.webhook_id.is_none()
            && row.webhook_pending_id.is_none()
            && row.webhook_expiration.is_none()
            && row.webhook_resource_id.is_none()
            && row.webhook_error.is_none()
            && (row.webhook_message_number, row.webhook_attempts) == (0, 0)
            && (instant(row.webhook_opened_at), instant(row.webhook_not_before)) == (0, 0);
        self.demand(empty, "gives up a channel, and something of it stays behind");
    }

    fn stores_a_channel(&mut self) {
        let row = self.after;
        let Some(id) = &row.webhook_id else { return };
        let is_pending = self.before.webhook_pending_id.as_ref() == Some(id);
        self.demand(is_pending, "stores a channel that was not being opened");
        let fresh = row.webhook_pending_id.is_none()
            && row.webhook_error.is_none()
            && (row.webhook_message_number, row.webhook_attempts) == (0, 0);
        let left = instant(row.webhook_lease_until) - self.clock;
        let watches = self.life.watches.get(&self.step.connection).copied().unwrap_or_default();
        let longest = watches as Instant * delta(LEASE_AFTER_WATCH);
        let keeps_out = (left - longest).abs() <= SECOND;
        self.demand(keeps_out, &format!("keeps others out for {} s after a watch", left / SECOND));
        self.demand(fresh, "stores a channel, and something of what was before stays behind");
        let opened_at = instant(row.webhook_opened_at);
        self.demand((opened_at - self.clock).abs() <= SECOND, "stores another time than the channel's");
        let channel = self.record.google.channel(id);
        let resource = channel.map(|channel| channel.calendar.resource());
        self.demand(resource == row.webhook_resource_id, "stores another resource than Google's");
        let expires_at = row.webhook_expiration.map_or(0, instant);
        let lifetime = expires_at - self.clock;
        let longest = lifetime - delta(RENEWED_BEFORE_EXPIRY).min(lifetime / 2);
        let wait = instant(row.webhook_not_before) - self.clock;
        // The channel may have expired before it is booked: then both bounds are negative, and change places.
        let (sooner, later) = (longest.min(longest / 10 * 9), longest.max(longest / 10 * 9));
        let is_in_time = (sooner - SECOND..=later + SECOND).contains(&wait);
        self.demand(is_in_time, "renews too early or too late");
    }

    fn claims_a_renewal(&mut self) {
        let (attempts, after) = (self.before.webhook_attempts, self.after);
        self.demand(after.webhook_attempts == attempts + 1, "does not count its attempt to renew");
        let (due, lease_until) = (instant(after.webhook_not_before), instant(after.webhook_lease_until));
        let backoff = doubled(delta(RENEWAL_BACKOFF), attempts);
        let earliest = lease_until.max(self.clock + backoff);
        let latest = lease_until.max(self.clock + jittered(backoff));
        self.demand((earliest..=latest).contains(&due), "does not book when to renew should it crash");
        if matches!(self.step.invocation.purpose, Purpose::Button(_)) {
            self.demand(instant(after.sync_not_before) <= self.clock, "makes the user's own run wait");
        }
    }

    fn gives_a_renewal_back(&mut self) {
        // A resumption or a new consent starts over.
        let attempts = self.before.webhook_attempts - 1;
        let taken_back = attempts < 0 || self.after.webhook_attempts == attempts;
        self.demand(taken_back, "counts an attempt that was none");
        self.demand(instant(self.after.webhook_lease_until) == 0, "gives a renewal back, not its lease");
        self.demand(instant(self.after.webhook_not_before) <= self.clock, "gives a renewal back for later");
    }

    fn fails_to_renew(&mut self) {
        let (before, after) = (self.before, self.after);
        let told = after.webhook_error.as_deref().unwrap_or("nothing");
        let errors = self.met_by_a_renewal(told);
        let delay = instant(after.webhook_not_before) - self.clock;
        let attempts = before.webhook_attempts - 1;
        let is_unusable = self.life.heard(self.step.connection, |said| said.is_unusable);
        let look_at = instant(after.sync_look_at) - self.clock;
        let is_booked = |error: &str, wait: Instant| {
            let backoff = after_refusal(error, attempts).max(wait);
            let delays = if PERMANENT.contains(&error) || is_unusable && error == "google_rejected" {
                delta(DAILY)..=delta(DAILY)
            } else if attempts < 0 {
                // A resumption meanwhile has them counted anew.
                backoff..=jittered(after_refusal(error, i64::MAX).max(wait))
            } else {
                backoff..=jittered(backoff)
            };
            delays.contains(&delay) && (wait == 0 || look_at >= wait.min(delta(LONGEST_BACKOFF)))
        };
        let what = format!(
            "tries again {} s after {errors:?}, and looks {} s after it",
            delay / SECOND,
            look_at / SECOND
        );
        let waits = |error| self.life.waits(self.step.connection, error);
        let is_booked =
            errors.iter().any(|error| waits(error).into_iter().any(|wait| is_booked(error, wait)));
        self.demand(is_booked, &what);
        let counted = after.webhook_attempts == before.webhook_attempts;
        self.demand(counted, "changes the attempts that its claim counted");
        let has_doubt =
            self.life.heard(self.step.connection, |said| said.doubtful && errors.contains(&said.code));
        let doubtful = has_doubt
            || self.life.is_known_twice(self.step.connection) && errors.contains(&"google_rejected");
        let has_spoken = before.webhook_confirmed_id == before.webhook_pending_id;
        self.demand(
            after.webhook_pending_id.is_some() == (doubtful || has_spoken),
            "gives up a channel that may exist, or keeps the id of one that does not",
        );
        let left = instant(after.webhook_lease_until) - self.clock;
        let longest = delta(LEASE_AFTER_FAILURE).max(MOST_WATCHES * delta(LEASE_AFTER_WATCH));
        let keeps_out = (delta(LEASE_AFTER_FAILURE) - SECOND..=longest + SECOND).contains(&left);
        self.demand(keeps_out, &format!("keeps others out for {} s after {told}", left / SECOND));
    }

    /// What a renewal that failed may have met, where the row tells `told` after it: what passes by itself leaves what a
    /// person must mend, and what was told meanwhile.
    fn met_by_a_renewal<'a>(&self, told: &'a str) -> Vec<&'a str> {
        if !self.record.may_leave_error(self.step) {
            return vec![told];
        }
        let is_met = |code: &&str| match *code {
            "database_unavailable" => self.life.unanswered_at.is_some(),
            code => self.life.heard(self.step.connection, |said| said.code == code),
        };
        [told].into_iter().chain(PASSING).filter(is_met).collect()
    }

    /// What something else than a renewal was refused.
    fn books_a_refusal(&mut self) {
        let (before, after) = (self.before, self.after);
        let error = after.webhook_error.as_deref().unwrap_or("nothing");
        let is_told = self.life.heard(self.step.connection, |said| said.code == error);
        self.demand(is_told, "tells what Google did not say");
        // Of a paused connection nothing else books anew when that may be mended.
        let is_news = before.webhook_error.as_deref() != Some(error) || !is_live(before);
        self.demand(is_news, "tells what is told already");
        let delay = instant(after.webhook_not_before) - self.clock;
        let is_daily = !PERMANENT.contains(&error) || delay == delta(DAILY);
        self.demand(is_daily, "tries again at another time than a day later");
        let is_later = delay >= delta(RENEWAL_BACKOFF);
        self.demand(is_later, "tries again at once");
        let renewal = |row: &Connection| {
            (row.webhook_pending_id.clone(), row.webhook_lease_until, row.webhook_attempts)
        };
        self.demand(renewal(before) == renewal(after), "takes a renewal over");
    }

    fn claims_a_run(&mut self) {
        let (before, after) = (self.before, self.after);
        let attempts = before.sync_attempts;
        self.demand(after.sync_attempts == attempts + 1, "does not count its attempt to run");
        let delay = instant(after.sync_not_before) - instant(after.sync_lease_until);
        let backoff = if attempts > 0 { doubled(delta(RUN_BACKOFF), attempts) } else { 0 };
        let is_booked = (backoff..=jittered(backoff)).contains(&delay);
        self.demand(is_booked, "does not book when to run should it crash");
        self.demand(before.sync_request_id == after.sync_request_id, "changes what it claims");
        self.demand(is_consenting(before), "runs for a consent that is dead");
    }

    fn fails_to_run(&mut self) {
        let attempts = self.after.sync_attempts;
        // A new consent has them counted anew once the lease has ended; a holder that fails later still is as late.
        let counted = self.life.claims.get(&self.step.connection).map(|claim| claim.attempts);
        self.demand(counted == Some(attempts), "changes the attempts that its claim counted");
        let delay = instant(self.after.sync_not_before) - self.clock;
        let backoff = doubled(delta(RUN_BACKOFF), attempts);
        let is_later = (backoff..=jittered(backoff)).contains(&delay);
        self.demand(is_later, &format!("runs again {} s after {attempts} attempts", delay / SECOND));
        self.demand(self.after.sync_request_id.is_some(), "drops what is owed still");
    }

    /// A run was refused, or is not to be made: the connection was paused, or its consent is dead.
    fn gives_a_run_back(&mut self) {
        let taken_back = self.after.sync_attempts < self.before.sync_attempts.max(1);
        self.demand(taken_back, "counts an attempt that was none");
        self.demand(self.after.sync_request_id.is_some(), "drops what is owed still");
    }

    /// A run succeeded. Either it was the last, or its holder goes on with a newer request, or leaves that owed.
    fn ran(&mut self) {
        let (before, after) = (self.before, self.after);
        self.demand(after.sync_error.is_none(), "succeeds, and the error of the run before stays behind");
        let ended_at = after.last_sync_at.map_or(0, instant);
        let in_time = (0..SLOW).contains(&(self.clock - ended_at));
        self.demand(in_time || self.life.frozen, "stores another time than the run's end");
        let goes_on = self.step.transition == Transition::KeepRun;
        let lasts = instant(after.sync_lease_until) - ended_at >= micros(RUN_LEASE);
        self.demand(!goes_on || lasts, "goes on under a lease that may end first");
        self.demand(after.sync_attempts == i64::from(goes_on), "succeeds, and attempts are still counted");
        if after.sync_request_id.is_none() {
            let ran_for = self.life.claims.get(&self.step.connection).and_then(|claim| claim.request);
            self.demand(before.sync_request_id == ran_for, "drops another request than the one it ran for");
        }
    }

    /// A run that waits for an old failure is brought forward, and nothing else.
    fn hastens_a_run(&mut self) {
        let (before, after) = (self.before, self.after);
        let wait = instant(after.sync_not_before) - self.clock;
        let waits = [LONGEST_WAIT_OF_A_CHANGE, LONGEST_WAIT_OF_AN_ECHO].map(delta);
        self.demand(waits.contains(&wait), "brings a run forward to another time");
        let is_sooner = after.sync_not_before < before.sync_not_before;
        self.demand(is_sooner || self.life.frozen, "puts a run off that it was to bring forward");
        self.demand(before.sync_attempts == after.sync_attempts, "changes the attempts that were counted");
    }

    /// When the next look is due is booked before the calendar is read.
    fn claims_a_look(&mut self) {
        let (before, after) = (self.before, self.after);
        self.demand(is_live(before) && is_consenting(before), "looks where nothing is to be looked at");
        self.demand(before.sync_request_id.is_none(), "looks where a run is owed");
        let wait = instant(after.sync_look_at) - self.clock;
        let usual = delta(LOOK_INTERVAL_WITHOUT_CHANNEL);
        let is_soon = (usual / 10 * 9..=usual / 10 * 11).contains(&wait);
        self.demand(is_soon, &format!("looks again {} s later should it crash", wait / SECOND));
    }

    fn books_the_next_look(&mut self) {
        let (before, after) = (self.before, self.after);
        let interval = instant(after.sync_look_at) - self.clock;
        let usual = if hears(self.after, self.clock) {
            micros(LOOK_INTERVAL)
        } else {
            delta(LOOK_INTERVAL_WITHOUT_CHANNEL)
        };
        let is_about = |usual: Instant| (usual / 10 * 9..=usual / 10 * 11).contains(&interval);
        // The channel may have spoken for the first time since its row was read.
        let case = self.record.case(self.step.connection);
        let is_new = case.and_then(|case| case.committed_at).is_some_and(|at| at + 10 * MINUTE > self.clock);
        // Or another, that is being opened, has.
        let is_changing = before.webhook_pending_id.is_some();
        // Once the channel is to expire before that, soon after it does.
        let soon_after = before.webhook_expiration.map_or(Instant::MAX, instant);
        let soon_after = soon_after.saturating_add(delta(LOOK_INTERVAL_WITHOUT_CHANNEL));
        let look_at = instant(after.sync_look_at);
        let is_after_it = look_at == soon_after && interval <= micros(LOOK_INTERVAL) / 10 * 11;
        let is_too_late = look_at > soon_after && interval > delta(LOOK_INTERVAL_WITHOUT_CHANNEL) / 10 * 11;
        self.demand(!is_too_late || is_new || is_changing, "does not look when its channel has expired");
        let is_usual = is_about(usual)
            || is_after_it
            || ((is_new || is_changing)
                && (delta(LOOK_INTERVAL_WITHOUT_CHANNEL) / 10 * 9..usual).contains(&interval))
            || (is_changing && is_about(micros(LOOK_INTERVAL)));
        let what = format!("looks again {} s later, not {} s or so", interval / SECOND, usual / SECOND);
        self.demand(is_usual, &what);
    }

    fn postpones_a_look(&mut self) {
        let wait = instant(self.after.sync_look_at) - self.clock;
        let is_later = (0..=jittered(delta(DAILY)) + SLOW).contains(&wait) || self.life.frozen;
        self.demand(is_later, &format!("puts a look off by {} s", wait / SECOND));
    }

    /// The channel is none the worse for it.
    fn refuses_a_look(&mut self) {
        let (before, after) = (self.before, self.after);
        let error = after.webhook_error.as_deref().unwrap_or("nothing");
        let is_told = self.life.heard(self.step.connection, |said| said.code == error);
        self.demand(is_told, "tells what Google did not say");
        self.demand(is_consenting(after), "leaves a dead consent to looks, which are not made for it");
        let renewal = |row: &Connection| {
            let channel = (row.webhook_id.clone(), row.webhook_pending_id.clone(), row.webhook_attempts);
            (channel, row.webhook_lease_until, row.webhook_not_before)
        };
        self.demand(renewal(before) == renewal(after), "renews a channel for a look that was refused");
        let wait = instant(after.sync_look_at) - self.clock;
        let is_news = before.webhook_error.as_deref() != Some(error);
        let is_booked = |asked_for: Instant| {
            let waits = if PERMANENT.contains(&error) && !is_news {
                delta(DAILY)..=delta(DAILY)
            } else {
                let longest = if error == "google_rejected" { DAILY } else { LONGEST_BACKOFF };
                delta(LOOK_INTERVAL_WITHOUT_CHANNEL).max(asked_for)..=jittered(delta(longest).max(asked_for))
            };
            waits.contains(&wait)
        };
        let waits = self.life.waits(self.step.connection, error);
        let what = format!("looks again {} s after {error}", wait / SECOND);
        self.demand(waits.into_iter().any(is_booked), &what);
    }

    fn stores_an_access_token(&mut self) {
        let Some(access_token) = &self.after.access_token else { return };
        let access = self.record.google.access(access_token);
        let off = access.zip(self.after.expires_at).map(|(access, told)| instant(told) - access.expires_at);
        let is_told = off.is_some_and(|off| off.abs() < SKEW + SLOW);
        self.demand(is_told || self.life.frozen, "stores another expiry than the access token's");
    }
}
