//! What an instance does, judged as it does it.

use protocol::connection::{ChannelId, Connection};
use protocol::notification::Notification;
use protocol::receive::Verdict;

use crate::database;
use crate::google;
use crate::instance::Instance;
use crate::judgement;
use crate::life::Purpose;
use crate::promise::Promise;
use crate::step::note_owed;
use crate::time::{Instant, MILLISECOND, SECOND, instant, timestamp};
use crate::world::is_well;

impl Instance {
    pub(crate) fn judge_answer(&self, notification: &Notification, verdict: &Verdict) {
        let Purpose::Receive(connection) = self.life.purpose else { return };
        if let Some(row) = self.world.row(connection)
            && row.webhook_token.expose() == notification.token_hash.as_str()
        {
            self.judge_verdict(connection, &row, notification, verdict);
        }
        let broke = |what: String| {
            self.world.broke(Promise::GoogleIsAnsweredAtOnce, Some(connection), what);
        };
        let took = self.world.now() - self.life.started_at;
        if took > 5 * SECOND && !self.life.frozen.get() {
            broke(format!("Google was answered after {} ms", took / MILLISECOND));
        }
        if let Verdict::Changed(row) = verdict
            && row.webhook_pending_id.is_none()
            && self.life.requests.get() > 1
        {
            // A row that moved meanwhile takes more looks.
            let renewed = self.world.ledger(connection, |ledger| ledger.committed_at);
            if renewed.flatten().is_some_and(|at| at < self.life.started_at) {
                broke(format!("the current channel's message took {} requests", self.life.requests.get()));
            }
        }
    }

    /// A channel is asked for while there is time to store it, and not again and again.
    pub(crate) fn judge_watch(&self, connection: usize, channel: &ChannelId) {
        let world = &self.world;
        let watches = {
            let mut watches = self.life.watches.borrow_mut();
            let count = watches.entry(connection).or_default();
            *count += 1;
            *count
        };
        // One, one with a fresh token, one with a fresh id.
        if watches > 3 {
            let what = format!("{} asks for a channel {watches} times", self.life);
            world.broke(Promise::WorkIsBounded, Some(connection), what);
        }
        if self.life.pending.borrow().get(&connection) != Some(channel) {
            let what = format!("{} asks for a channel by an id that it replaced", self.life);
            world.broke(Promise::IdsNeverComeBack, Some(connection), what);
        }
        let row = world.row(connection).filter(|row| row.webhook_pending_id.as_ref() == Some(channel));
        let lease =
            row.map_or(Instant::MAX, |row| instant(row.webhook_lease_until) - self.life.clock(world.now()));
        let age = self.life.age(world.now());
        if lease < 20 * SECOND || age > 50 * SECOND {
            let what = format!("{} asks for a channel with too little time left", self.life);
            world.broke(Promise::OneLiveChannel, Some(connection), what);
        }
    }

    /// An access token is refreshed once for a channel; a sweep may do so again for one that it stops.
    pub(crate) fn judge_refresh(&self, connection: Option<usize>) {
        let Some(connection) = connection else { return };
        if let Some(refreshes) = self.life.refreshes.borrow_mut().get_mut(&connection) {
            *refreshes += 1;
            if *refreshes > if self.life.purpose == Purpose::Sweep { 2 } else { 1 } {
                let what = format!("{} asks for an access token {refreshes} times", self.life);
                self.world.broke(Promise::WorkIsBounded, Some(connection), what);
            }
        }
    }

    /// A channel that may have been stored is not stopped.
    pub(crate) fn judge_stop(&self, channel: &ChannelId) {
        let pending = self.life.pending.borrow();
        let connection = pending.iter().find(|(_, pending)| *pending == channel).map(|(of, _)| *of);
        if let Some(connection) = connection
            && !self.life.sequel.borrow().knows(connection)
        {
            let what = format!("{} stops a channel that may have been stored", self.life);
            self.world.broke(Promise::TheCurrentChannelIsNeverStopped, Some(connection), what);
        }
    }

    /// Judges what a notification with a connection's own token was found to be.
    fn judge_verdict(
        &self,
        connection: usize,
        row: &Connection,
        notification: &Notification,
        verdict: &Verdict,
    ) {
        let world = &self.world;
        if *verdict == Verdict::Unknown {
            let what = "a notification that belongs to a connection was answered with 404";
            world.broke(Promise::NoChangeIsLost, Some(connection), what);
        }
        if *verdict == Verdict::Unavailable && self.life.is_quiet(world) {
            let what = "a notification was answered with 503, though nothing is wrong";
            world.broke(Promise::GoogleIsAnsweredAtOnce, Some(connection), what);
        }
        // Three looks of three requests each, or for want of time.
        let heard = self.life.last_unanswered.get() == 0 && self.life.age(world.now()) < 4 * SECOND;
        if *verdict == Verdict::Unavailable && heard && self.life.requests.get() < 9 {
            let what = "a notification was answered with 503 before its third look at a row that moved";
            world.broke(Promise::GoogleIsAnsweredAtOnce, Some(connection), what);
        }
        match verdict {
            Verdict::Changed(row) if !row.is_live() => self.life.is_to_retire.set(true),
            Verdict::Late(row) => note_owed(&self.life, connection, row, world.now()),
            _ => {}
        }
        let channel = &notification.channel;
        if matches!(verdict, Verdict::Opened(_))
            && !self.life.wrote.get()
            && (row.webhook_pending_id.as_ref() == Some(channel)
                || row.webhook_id.as_ref() == Some(channel) && row.webhook_message_number == 0)
            && !database::is_confirmed(world, connection, channel)
        {
            let what = format!("nobody noted that channel {} has spoken", google::short(channel));
            world.broke(Promise::OpenedChannelsAreConfirmed, Some(connection), what);
        }
    }

    /// What is found well was well when it was read.
    pub(crate) fn judge_found(&self) {
        let now = timestamp(self.life.clock(self.world.now()));
        let read = self.life.read.borrow();
        if !read.as_ref().is_some_and(|row| is_well(row, now)) {
            let what = format!("{} finds a channel well that is not", self.life);
            self.world.broke(Promise::EverythingRecovers, self.life.connection(), what);
        }
    }

    /// A run starts early enough to end with its invocation.
    pub(crate) fn judge_call(&self, connection: usize, timeout: Instant) {
        let world = &self.world;
        let age = self.life.age(world.now());
        // A sweep's last run is decided on by second 10; that it is the row's turn is written before.
        let late = self.life.purpose == Purpose::Sweep && age > 21 * SECOND && !self.life.frozen.get();
        if late || (timeout > 0 && age + timeout > 66 * SECOND) {
            let what =
                format!("{} calls after {} s, for up to {} s", self.life, age / SECOND, timeout / SECOND);
            world.broke(Promise::WorkIsBounded, Some(connection), what);
        }
    }

    pub(crate) fn judge_sleep(&self, duration: Instant) {
        // A notification's own short waits, and the second between two looks of a setup.
        let looks = matches!(self.life.purpose, Purpose::Setup(_)) && !self.life.answered.get();
        let longest = if looks { SECOND } else { 10 * SECOND + MILLISECOND };
        if self.life.purpose == Purpose::Sweep || duration > longest {
            let what = format!("{} sleeps for {} ms", self.life, duration / MILLISECOND);
            self.world.broke(Promise::WorkIsBounded, self.life.connection(), what);
        }
    }

    /// Says that something is wrong.
    pub(crate) fn judge_complaint(&self, connection: usize, complaint: &str) {
        if self.life.is_quiet(&self.world) && judgement::is_healthy(&self.world, connection) {
            let what = format!("{} reports {complaint}, though nothing is wrong", self.life);
            self.world.broke(Promise::EverythingRecovers, Some(connection), what);
        }
    }
}
