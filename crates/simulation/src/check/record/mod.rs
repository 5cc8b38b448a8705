//! What the facts have told so far: what every check may look at, and none changes.

pub(super) mod connection;
pub(super) mod google;
pub(super) mod invocation;
pub(super) mod sequel;

use protocol::connection::ChannelId;
use protocol::failure::WatchFailure;
use protocol::look::LookFailure;
use protocol::notification::Notification;
use protocol::receive::Verdict;
use protocol::transition::Transition;

use crate::check::record::connection::{Case, KnownChange, Made};
use crate::check::record::google::KnownGoogle;
use crate::check::record::invocation::{Conduct, Looked};
use crate::check::row::{PASSING, PERMANENT, is_live};
use crate::fact::{Deed, Fact, Moment, Request, Step};
use crate::subject::{Broken, Invocation, Purpose, Row};
use crate::time::{Instant, instant};

pub(in crate::check) struct Record {
    pub(in crate::check) google: KnownGoogle,
    /// Since when there are no faults.
    pub(in crate::check) quiet_from: Instant,
    /// Since when there have been none for hours.
    pub(in crate::check) calm_from: Instant,
    /// When a user last did something besides editing.
    pub(in crate::check) disturbed_at: Instant,
    cases: Vec<Case>,
    lives: Vec<Conduct>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            google: KnownGoogle::default(),
            quiet_from: Instant::MAX,
            calm_from: Instant::MAX,
            disturbed_at: Instant::MIN,
            cases: Vec::new(),
            lives: Vec::new(),
        }
    }
}

impl Record {
    pub(in crate::check) fn cases(&self) -> &[Case] {
        &self.cases
    }

    pub(in crate::check) fn case(&self, connection: usize) -> Option<&Case> {
        self.cases.get(connection)
    }

    /// Those that are not deleted.
    pub(in crate::check) fn rows(&self) -> impl Iterator<Item = (&Case, &Row)> {
        self.cases.iter().filter_map(|case| Some((case, &**case.row.as_ref()?)))
    }

    pub(in crate::check) fn row(&self, connection: usize) -> Option<&Row> {
        self.case(connection)?.row.as_deref()
    }

    /// Of a connection whose token a notification has.
    pub(in crate::check) fn row_of(&self, connection: usize, notification: &Notification) -> Option<&Row> {
        let token = notification.token_hash.as_str();
        self.row(connection).filter(|row| row.webhook_token.expose() == token)
    }

    pub(in crate::check) fn life(&self, invocation: Invocation) -> Option<&Conduct> {
        self.lives.get(invocation.number)
    }

    /// How many setups of this connection go on.
    pub(in crate::check) fn setups(&self, connection: usize) -> usize {
        let is_one = |life: &&Conduct| life.invocation.purpose == Purpose::Setup(connection) && !life.over;
        self.lives.iter().filter(is_one).count()
    }

    /// Whether nothing goes wrong around an invocation.
    pub(in crate::check) fn is_quiet(&self, life: &Conduct) -> bool {
        life.started_at > self.quiet_from && !life.frozen
    }

    /// Nothing is wrong with it, as far as anybody can tell.
    pub(in crate::check) fn is_healthy(&self, case: &Case) -> bool {
        case.row.as_ref().is_some_and(|row| is_live(row) && self.google.is_readable(row))
            && case.broken.is_none()
    }

    /// The healthy ones that are not deleted.
    pub(in crate::check) fn healthy(&self) -> impl Iterator<Item = (&Case, &Row)> {
        self.rows().filter(|(case, _)| self.is_healthy(case))
    }

    /// Google said something about this consent and calendar that is worth waiting a day.
    pub(in crate::check) fn is_excused(&self, case: &Case) -> bool {
        let consent = case.row.as_ref().and_then(|row| self.google.consent_of(row));
        consent.is_some_and(|consent| case.excuses.contains(&consent))
    }

    /// The known limit: a holder that lost its lease alive and then died, stopped waiting or was not answered.
    pub(in crate::check) fn is_unnoticed(&self, made: &Made) -> bool {
        self.life(made.run.holder).is_some_and(|holder| {
            let is_unanswered = holder.unanswered_at.is_some_and(|at| at >= made.run.end);
            holder.frozen && (!made.heard || holder.crashed || is_unanswered)
        })
    }

    /// Whether a renewal that failed by what passes left the error of its row, and may have: a person must mend that, or
    /// it was written since the claim, or somebody has paused since then, which takes an error back.
    pub(in crate::check) fn may_leave_error(&self, step: &Step<'_>) -> bool {
        let error = &step.before.webhook_error;
        let is_a_persons = error.as_deref().is_some_and(|error| !PASSING.contains(&error));
        let life = self.life(step.invocation);
        let pending = life.and_then(|life| life.pending.get(&step.connection));
        let renewal = self.case(step.connection).zip(pending).and_then(|(case, id)| case.renewal(id));
        let is_news = renewal.is_some_and(|renewal| renewal.error != *error);
        let is_disturbed = life.is_some_and(|life| self.disturbed_at > life.started_at);
        *error == step.after.webhook_error && (is_a_persons || is_news || is_disturbed)
    }

    /// Whether a connection crashes what looks at it.
    pub(in crate::check) fn has_crashing(&self) -> bool {
        self.cases.iter().filter_map(|case| case.broken).any(Broken::crashes)
    }

    pub(in crate::check) fn take(&mut self, at: Instant, fact: &Fact<'_>) {
        self.google.take(at, fact);
        match fact {
            Fact::Connected { connection, row, broken, writes } => {
                self.cases.push(Case::new(*connection, row, *broken, *writes));
            }
            Fact::Written { connection, row, .. } => {
                self.disturbed_at = at;
                self.change(*connection, |case| {
                    case.row = row.cloned();
                    case.written_at = Some(at);
                });
            }
            Fact::Deleted { connection } => self.change(*connection, |case| case.row = None),
            Fact::Changed { connection, change: number, unseen, own } => {
                let change =
                    KnownChange { number: *number, at, acknowledged: false, unseen: *unseen, own: *own };
                self.change(*connection, |case| case.changes.push(change));
            }
            Fact::Acknowledged { connection, change: number } => self.change(*connection, |case| {
                if let Some(change) = case.changes.iter_mut().rev().find(|change| change.number == *number) {
                    change.acknowledged = true;
                }
            }),
            Fact::WatchArrived { connection: Some(connection), channel, access_token, answer } => {
                self.change(*connection, |case| case.watches.push(at));
                let issued_at = self.google.access(access_token).map(|access| access.issued_at);
                if let Err(failure) = answer {
                    self.excuse(*connection, channel, issued_at, failure);
                }
            }
            Fact::LookArrived { invocation, connection, asked_at, calendar, answer } => {
                if let Err(LookFailure::Refused(refused) | LookFailure::Unauthorized(refused)) = answer
                    && PERMANENT.contains(&refused.failure.code())
                {
                    self.change_and_excuse(*connection);
                }
                // Far ahead it only learns whether the calendar may be read.
                let seen = answer.as_ref().ok().map(|look| look.seen);
                let seen = seen.filter(|seen| instant(seen.anchor.time()) < at);
                let look = Looked { asked_at: *asked_at, at, calendar: *calendar, seen };
                if let Some(life) = self.lives.get_mut(invocation.number) {
                    life.looks.entry(*connection).or_default().push(look);
                }
            }
            Fact::Applied(step) => {
                if matches!(step.transition, Transition::SettleRun | Transition::NoteUnchanged) {
                    let life = self.life(step.invocation);
                    let look = life.and_then(|life| life.look(step.connection, Instant::MIN, at));
                    let looked_at = look.map(|look| look.at);
                    let settled_run = looked_at.filter(|_| step.transition == Transition::SettleRun);
                    self.change(step.connection, |case| {
                        case.settled.extend(looked_at);
                        case.settled_runs.extend(settled_run);
                    });
                }
                self.change(step.connection, |case| case.steps(at, step));
                if let Some(life) = self.lives.get_mut(step.invocation.number) {
                    life.steps(step);
                }
            }
            Fact::RunStarted(run) => {
                let claim = self.life(run.holder).and_then(|life| life.claims.get(&run.connection));
                let lease_until = claim.map_or(0, |claim| claim.lease_until);
                self.change(run.connection, |case| {
                    case.runs.push(Made { run: **run, lease_until, heard: false });
                });
            }
            Fact::RunHeard(run) => self.change(run.connection, |case| {
                if let Some(made) = case.runs.iter_mut().rev().find(|made| made.run.number == run.number) {
                    made.heard = true;
                }
            }),
            Fact::Of(invocation, deed) => self.take_deed(at, *invocation, deed),
            Fact::Quiet => self.quiet_from = at,
            Fact::Reached(Moment::Calm) => self.calm_from = at,
            _ => {}
        }
    }

    fn take_deed(&mut self, at: Instant, invocation: Invocation, deed: &Deed<'_>) {
        match deed {
            Deed::Starts { skew } => {
                if matches!(invocation.purpose, Purpose::Button(_)) {
                    self.disturbed_at = at;
                }
                self.lives.push(Conduct::new(invocation, at, *skew));
            }
            Deed::Asks(Request::Run { connection, .. }) => {
                self.change(*connection, |case| case.calls.push(at));
            }
            Deed::Judges { verdict: Verdict::Orphan(_) | Verdict::OpenedOrphan(_), .. } => {
                if let Some(connection) = invocation.connection() {
                    self.change(connection, |case| case.orphans.push(at));
                }
            }
            _ => {}
        }
        if let Some(life) = self.lives.get_mut(invocation.number) {
            life.over |= deed.is_last();
            life.take(at, deed);
        }
    }

    /// Google's answer may be worth waiting a day for. A 401 excuses only if the access token was renewed for this very
    /// channel.
    fn excuse(
        &mut self,
        connection: usize,
        channel: &ChannelId,
        issued_at: Option<Instant>,
        failure: &WatchFailure,
    ) {
        let Some(case) = self.cases.get_mut(connection) else { return };
        let claimed_at = case.renewal(channel).map(|renewal| renewal.claimed_at);
        let excuses = match failure {
            WatchFailure::Unauthorized(_) => issued_at > claimed_at,
            WatchFailure::Refused(refused) => PERMANENT.contains(&refused.failure.code()),
            WatchFailure::Unusable(_) => true,
            WatchFailure::ChannelIdNotUnique | WatchFailure::Doubtful(_) => false,
        };
        if excuses && let Some(row) = &case.row {
            case.excuses.extend(self.google.consent_of(row));
        }
    }

    /// What Google said of a calendar may be worth waiting a day for.
    fn change_and_excuse(&mut self, connection: usize) {
        let Some(case) = self.cases.get_mut(connection) else { return };
        if let Some(row) = &case.row {
            case.excuses.extend(self.google.consent_of(row));
        }
    }

    fn change(&mut self, connection: usize, change: impl FnOnce(&mut Case)) {
        if let Some(case) = self.cases.get_mut(connection) {
            change(case);
        }
    }
}
