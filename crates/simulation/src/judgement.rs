//! What must be true once the faults are over.

use protocol::connection::{ChannelId, Connection};

use crate::database;
use crate::google::short;
use crate::promise::Promise;
use crate::time::{HOUR, Instant, MILLISECOND, MINUTE, SECOND, START, timestamp};
use crate::world::{Broken, Change, Ledger, World, arose_at, is_well};

/// A connection as it is now.
struct Case<'a> {
    world: &'a World,
    number: usize,
    ledger: &'a Ledger,
    row: &'a Connection,
}

impl Case<'_> {
    fn broke(&self, promise: Promise, what: impl Into<String>) {
        self.world.broke(promise, Some(self.number), what);
    }

    fn may_use_google(&self) -> bool {
        let google = self.world.google.borrow();
        self.row.refresh_token.as_ref().is_some_and(|token| !google.is_revoked(token))
    }

    /// Nothing is wrong with it, as far as anybody can tell.
    fn is_healthy(&self) -> bool {
        self.row.is_live() && self.ledger.broken.is_none() && self.may_use_google()
    }

    /// Google said something about this consent and calendar that is worth waiting a day.
    fn is_excused(&self) -> bool {
        let consent = self.world.consent_of(self.row);
        consent.is_some_and(|consent| self.ledger.excuses.contains(&consent))
    }

    fn is_covered(&self, change: &Change) -> bool {
        self.ledger.ran_since(change.at, self.world.now())
    }

    /// Channels that can speak to us and that the connection may stop. Not those that it gave up after `spoken`,
    /// when every channel last spoke.
    fn live_channels(&self, spoken: Instant) -> Vec<ChannelId> {
        let google = self.world.google.borrow();
        let account = self.row.refresh_token.as_ref().and_then(|token| google.account_of(token));
        let ours = google.channels.iter().filter(|channel| {
            channel.connection == Some(self.number)
                && !channel.foreign
                && channel.is_live(self.world.now())
                && Some(channel.calendar.account) == account
                && !self.ledger.gone.iter().any(|(id, since)| *id == channel.id && *since > spoken)
        });
        ours.map(|channel| channel.id.clone()).collect()
    }
}

pub(crate) fn is_healthy(world: &World, connection: usize) -> bool {
    let ledgers = world.ledgers.borrow();
    let ledger = ledgers.get(connection);
    ledger.is_some_and(|ledger| {
        let row = ledger.row.as_ref();
        row.is_some_and(|row| Case { world, number: connection, ledger, row }.is_healthy())
    })
}

fn for_each(world: &World, judge: impl Fn(&Case<'_>)) {
    let ledgers = world.ledgers.borrow();
    for (number, ledger) in ledgers.iter().enumerate() {
        if let Some(row) = &ledger.row {
            judge(&Case { world, number, ledger, row });
        }
    }
}

fn seconds(instant: Instant) -> String {
    let millis = (instant - START) / MILLISECOND;
    format!("{}.{:03} s", millis / 1000, millis % 1000)
}

/// An hour of echoes costs a run every two minutes or so, once the brake grips.
pub(crate) fn echoes_are_braked(world: &World, quiet_from: Instant) {
    for_each(world, |case| {
        let since = quiet_from + 10 * MINUTE;
        let runs = case.ledger.runs.iter().filter(|run| run.start > since).count();
        if runs > 60 {
            case.broke(
                Promise::EchoesAreBraked,
                format!("{runs} runs in 50 minutes in which nobody did anything"),
            );
        }
    });
}

pub(crate) fn nothing_is_lost(world: &World, quiet_from: Instant) {
    for_each(world, |case| {
        no_change_is_lost(case);
        the_last_word_is_not_stale(case);
        what_is_broken_is_tried_ever_less_often(case, quiet_from);
    });
}

pub(crate) fn everything_recovers(world: &World) {
    for_each(world, |case| {
        what_is_broken_is_told(case);
        recovers(case);
    });
    paused_means_paused(world);
}

/// After a sweep, nobody has a channel who paused or disconnected.
pub(crate) fn paused_means_paused(world: &World) {
    for_each(world, |case| {
        if !case.row.is_live() && (case.row.webhook_id.is_some() || case.row.webhook_pending_id.is_some()) {
            case.broke(Promise::PausedMeansPaused, "a paused connection still names a channel");
        }
    });
}

fn recovers(case: &Case<'_>) {
    if !case.is_healthy() {
        return;
    }
    if !case.is_excused() {
        let google = case.world.google.borrow();
        let channel = case.row.webhook_id.as_ref().and_then(|id| google.channel(id));
        let live = channel.is_some_and(|channel| channel.is_live(case.world.now()));
        // Where sweeps crash, the renewal of a channel that has hours left may just be tried again.
        let well = is_well(case.row, timestamp(case.world.now())) || case.world.has_crashing();
        if !live || !well {
            let error = case.row.webhook_error.as_deref().unwrap_or("none");
            case.broke(Promise::EverythingRecovers, format!("no channel long after; its error: {error}"));
        }
    }
    if case.row.last_sync_at.is_none() && case.row.webhook_error.as_deref() != Some("reconnect_required") {
        case.broke(Promise::EverythingIsReconciled, "nobody ever looked at it");
    }
    if let Some(request) = case.row.sync_request_id {
        // Where sweeps crash, the day's look at everything may just be tried again.
        let since = case.world.now() - 4 * HOUR;
        let just_asked = arose_at(request).is_some_and(|arose_at| arose_at > since);
        if !(just_asked && case.world.has_crashing()) {
            case.broke(Promise::EverythingRecovers, "a run is still owed long after");
        }
    } else if case.row.sync_attempts != 0 {
        case.broke(Promise::EverythingRecovers, "nothing is owed, and attempts are still counted");
    } else if database::has_run_error(case.world, case.number) {
        case.broke(Promise::EverythingRecovers, "nothing is owed, and an error is still told");
    }
}

fn no_change_is_lost(case: &Case<'_>) {
    let owed = case.row.sync_request_id.is_some();
    // Without a channel, the next one is followed by a run.
    let to_open = case.row.webhook_id.is_none() || !case.is_healthy() || case.is_excused();
    for change in &case.ledger.changes {
        let at = seconds(change.at);
        if change.acknowledged && !owed && !case.is_covered(change) {
            case.broke(
                Promise::NoChangeIsLost,
                format!("nobody looked at the change at {at}, which was answered 2xx"),
            );
        }
        if change.unseen && !owed && !to_open && !case.is_covered(change) {
            let what = format!("nobody looked at the change at {at}, when there was no channel");
            case.broke(Promise::NoChangeIsLost, what);
        }
    }
}

fn the_last_word_is_not_stale(case: &Case<'_>) {
    let Some(last) = case.ledger.last_word(case.world.now()) else { return };
    let stale = |change: &&Change| {
        change.at > last.start && (change.acknowledged || change.unseen) && case.is_covered(change)
    };
    if case.row.sync_request_id.is_some() || !case.ledger.changes.iter().any(|change| stale(&change)) {
        return;
    }
    // The known limit: a holder that lost its lease alive and then died, stopped waiting or was not answered.
    let holder = &last.holder;
    let unnoticed = holder.frozen.get()
        && (!last.answered.get() || holder.crashed.get() || holder.last_unanswered.get() >= last.end);
    if unnoticed && !case.world.settings.known_limit {
        return;
    }
    let what = format!(
        "the run from {} to {} wrote last, and a change came meanwhile",
        seconds(last.start),
        seconds(last.end)
    );
    case.broke(Promise::TheLastWordIsNotStale, what);
}

fn what_is_broken_is_tried_ever_less_often(case: &Case<'_>, quiet_from: Instant) {
    let since = quiet_from + HOUR;
    let runs = case.ledger.runs.iter().filter(|run| run.start > since).count();
    let watches = case.ledger.watches.iter().filter(|at| **at > since).count();
    if runs > 12 || watches > 12 {
        let what = format!("{runs} runs and {watches} requests for channels in two quiet hours");
        case.broke(Promise::WorkIsBounded, what);
    }
}

/// However often its runs failed before, it is tried about every hour.
fn what_is_owed_is_tried_again(case: &Case<'_>, quiet_from: Instant) {
    let arose_at = case.row.sync_request_id.and_then(arose_at);
    let Some(arose_at) = arose_at.filter(|_| case.row.is_live()) else { return };
    let since = arose_at.max(quiet_from);
    let runs = case.ledger.runs.iter().filter(|run| run.start > since).count() as Instant;
    let hours = (case.world.now() - since) / HOUR;
    if case.ledger.broken == Some(Broken::RunsFail) && runs < hours / 2 {
        case.broke(Promise::NoChangeIsLost, format!("what is owed was tried {runs} times in {hours} hours"));
    }
}

/// Whoever looks at the row learns why there is no channel, or no schedule.
fn what_is_broken_is_told(case: &Case<'_>) {
    let Case { row, ledger, .. } = case;
    let untold = match ledger.broken {
        Some(Broken::Revoked | Broken::WatchRefused | Broken::WatchUnanswered) => {
            row.webhook_attempts > 1 && row.webhook_error.is_none()
        }
        Some(Broken::RunsFail | Broken::RunsHang) => {
            row.sync_attempts > 1 && !database::has_run_error(case.world, case.number)
        }
        _ => false,
    };
    if row.is_live() && untold {
        case.broke(Promise::WhatIsBrokenIsTold, "it fails again and again, and the row does not say why");
    }
}

/// A day later also what no notification told is mended, at little cost.
pub(crate) fn everything_is_reconciled(world: &World, quiet_from: Instant) {
    for_each(world, |case| {
        let runs = case.ledger.runs.iter().filter(|run| run.start > quiet_from + 3 * HOUR).count();
        let watches = case.ledger.watches.iter().filter(|at| **at > quiet_from + 3 * HOUR).count();
        let (most_runs, most_watches) = if case.ledger.broken.is_some() { (45, 45) } else { (14, 12) };
        if runs > most_runs || watches > most_watches {
            let what = format!("{runs} runs and {watches} requests for channels in a quiet day");
            case.broke(Promise::WorkIsBounded, what);
        }
        what_is_owed_is_tried_again(case, quiet_from + 3 * HOUR);
        let revoked = case.row.refresh_token.as_ref().filter(|_| !case.may_use_google());
        let asked = revoked.map_or(0, |token| {
            world
                .google
                .borrow()
                .asked_in_vain(token)
                .iter()
                .filter(|at| **at > quiet_from + 3 * HOUR)
                .count()
        });
        if asked > 4 {
            let what = format!("a consent that was revoked was tried {asked} times in a day");
            case.broke(Promise::WorkIsBounded, what);
        }
        let looked_at = case.ledger.ran_since(quiet_from + 2 * HOUR, world.now());
        let gives_up = case.row.webhook_error.as_deref() == Some("reconnect_required");
        if case.is_healthy() && !gives_up && !looked_at {
            case.broke(Promise::EverythingIsReconciled, "nobody looked at it for a day");
        }
        if !case.is_healthy() {
            return;
        }
        if let Some(change) = case.ledger.changes.iter().find(|change| !case.is_covered(change)) {
            let what = format!("a day later nobody has looked at the change at {}", seconds(change.at));
            case.broke(Promise::EverythingIsReconciled, what);
        }
    });
}

pub(crate) fn changes_are_seen_promptly(world: &World, at: Instant) {
    for_each(world, |case| {
        let in_time = case.ledger.runs.iter().any(|run| run.start >= at && run.start < at + 30 * SECOND);
        if case.is_healthy() && !in_time {
            case.broke(Promise::ChangesAreSeenPromptly, format!("no run 30 s after {}", seconds(at)));
        }
        if case.is_healthy() && case.row.sync_streak > 2 {
            let what = "changes more than a minute apart count as echoes of one another";
            case.broke(Promise::ChangesAreSeenPromptly, what);
        }
    });
}

/// In quiet times what was given up is stopped at once.
pub(crate) fn what_was_given_up_is_stopped(world: &World, connection: usize, id: &ChannelId) {
    for_each(world, |case| {
        let stops = case.number == connection && case.ledger.broken.is_none() && case.may_use_google();
        // Who crashes the sweep keeps it from stopping what it gave up: it is stopped when it next speaks.
        if stops && !world.has_crashing() && case.live_channels(Instant::MAX).contains(id) {
            let what = format!("channel {} was given up, not stopped", short(id));
            case.broke(Promise::OneLiveChannel, what);
        }
    });
}

/// The button opens a channel and runs, whatever there was before.
pub(crate) fn the_button_renews(world: &World, at: Instant) {
    for_each(world, |case| {
        let opened = case.ledger.committed_at.is_some_and(|committed_at| committed_at >= at);
        if case.is_healthy() && !(opened && case.ledger.ran_since(at, world.now())) {
            case.broke(
                Promise::EverythingRecovers,
                "the button brought no new channel and run within a minute",
            );
        }
    });
}

/// Those who came last, from number `first` on, get their channel and their run, however many before them hang or fail.
pub(crate) fn nobody_starves(world: &World, first: usize, run: bool) {
    for_each(world, |case| {
        let waits = case.row.webhook_id.is_none() || (run && !case.ledger.ran_since(START, world.now()));
        if case.number >= first && waits {
            case.broke(Promise::NobodyStarves, "it still waits, and others came first again and again");
        }
    });
}

/// Every sweep makes its 25 runs at once, and none leaves its own to another that overlaps.
pub(crate) fn sweeps_share_their_work(world: &World, at: Instant, owed: u64, sweeps: usize) {
    let ledgers = world.ledgers.borrow();
    let calls = ledgers.iter().flat_map(|ledger| &ledger.calls).filter(|call| **call >= at).count();
    let most = usize::try_from(owed).unwrap_or(usize::MAX).min(25 * sweeps);
    if calls < most {
        let what = format!("{sweeps} sweeps made {calls} runs of {owed} that were owed");
        world.broke(Promise::NobodyStarves, None, what);
    }
}

/// A run that failed once, or was refused for 40 s, is made up for soon, but not before.
pub(crate) fn a_hiccup_is_made_up_for(world: &World, at: Instant, refused: bool) {
    for_each(world, |case| {
        let succeeded = case.ledger.runs.iter().any(|run| run.succeeds && run.start >= at);
        // More than a sweep makes take another minute.
        let few = world.ledgers.borrow().len() <= 25;
        if case.is_healthy() && few && !succeeded {
            let what = format!("no run two minutes after one that failed at {}", seconds(at));
            case.broke(Promise::ChangesAreSeenPromptly, what);
        }
        // What is left of the 40 s by two clocks.
        let calls = case.ledger.calls.iter().filter(|call| (at..at + 18 * SECOND).contains(*call)).count();
        if refused && calls > 1 {
            case.broke(Promise::WorkIsBounded, format!("{calls} calls, though the first was told to wait"));
        }
    });
}

pub(crate) fn a_burst_costs_two_runs(world: &World, at: Instant) {
    for_each(world, |case| {
        let runs = case.ledger.runs.iter().filter(|run| run.start >= at).count();
        if case.is_healthy() && runs > 3 {
            case.broke(Promise::WorkIsBounded, format!("a burst cost {runs} runs"));
        }
        no_change_is_lost(case);
        the_last_word_is_not_stale(case);
    });
}

pub(crate) fn a_repetition_costs_nothing(world: &World, at: Instant) {
    for_each(world, |case| {
        if case.is_healthy() && case.ledger.runs.iter().any(|run| run.start > at) {
            case.broke(Promise::WorkIsBounded, "a notification that came twice cost a run");
        }
    });
}

pub(crate) fn one_channel_is_left(world: &World, spoken: Instant) {
    for_each(world, |case| {
        let live = case.live_channels(spoken);
        let named = [case.row.webhook_id.as_ref(), case.row.webhook_pending_id.as_ref()];
        let stops = case.may_use_google() && case.ledger.broken != Some(Broken::Revoked);
        if stops && let Some(orphan) = live.iter().find(|id| !named.contains(&Some(id))) {
            let what = format!("channel {} is live and nobody's", short(orphan));
            case.broke(Promise::OneLiveChannel, what);
        }
        if case.is_healthy()
            && live.iter().collect::<Vec<_>>() != case.row.webhook_id.iter().collect::<Vec<_>>()
        {
            case.broke(
                Promise::OneLiveChannel,
                format!("{} live channels, not the one that the row names", live.len()),
            );
        }
    });
}
