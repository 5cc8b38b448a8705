//! What is known of an invocation of a function, also after its end.

use std::collections::{BTreeMap, BTreeSet};

use protocol::connection::{ChannelId, RequestId};
use protocol::failure::{Refused, RenewalFailure, RunFailure, WatchFailure};
use protocol::look::{LookFailure, Seen};
use protocol::transition::Transition;

use crate::check::record::sequel::Sequel;
use crate::check::row::is_live;
use crate::due::is_consenting;
use crate::fact::{Answer, Deed, Request, Step};
use crate::subject::{Calendar, Invocation};
use crate::time::{Instant, instant, micros};

pub(in crate::check) struct Conduct {
    pub(in crate::check) invocation: Invocation,
    pub(in crate::check) started_at: Instant,
    skew: Instant,
    /// Whether it ever stood still.
    pub(in crate::check) frozen: bool,
    pub(in crate::check) crashed: bool,
    pub(in crate::check) over: bool,
    /// When it was last left without an answer.
    pub(in crate::check) unanswered_at: Option<Instant>,
    /// Until when it would sleep, unless another in its instance took over.
    pub(in crate::check) sleeps_until: Instant,
    /// When it was told that nested calls are refused.
    pub(in crate::check) refused_at: Option<Instant>,
    pub(in crate::check) requests: usize,
    pub(in crate::check) runs: usize,
    /// The last run lease that it wrote, by connection.
    pub(in crate::check) claims: BTreeMap<usize, Claim>,
    /// The pending id that it wrote last, by connection.
    pub(in crate::check) pending: BTreeMap<usize, ChannelId>,
    /// How often it asked for a channel since it last claimed a renewal, by connection.
    pub(in crate::check) watches: BTreeMap<usize, usize>,
    /// What Google said about a connection's channel or consent since its renewal was last claimed, successes aside.
    pub(in crate::check) said: BTreeMap<usize, Vec<Said>>,
    /// Its looks at a connection's calendar.
    pub(in crate::check) looks: BTreeMap<usize, Vec<Looked>>,
    /// The connections of whose calendars it was told that Google lets them be read, though there may have been more than a
    /// look compares.
    pub(in crate::check) has_read: BTreeSet<usize>,
    /// When looks were made that made it ask for a run that it has not claimed, by connection.
    reconciled: BTreeMap<usize, Instant>,
    /// The connections for which Google gave it an access token.
    pub(in crate::check) has_renewed: BTreeSet<usize>,
    /// When Google last gave no access token, by connection.
    pub(in crate::check) token_refused_at: BTreeMap<usize, Instant>,
    /// The connections of whose consent it was told that it is dead, when it asked for an access token, and whose rows
    /// it has told nothing since.
    pub(in crate::check) dead_consents: BTreeSet<usize>,
    pub(in crate::check) sequel: Sequel,
    /// Whose pending ids it keeps, for the channels may exist.
    pub(in crate::check) kept: BTreeSet<usize>,
    /// What an update of a connection was about, where it does not know whether it took effect.
    doubted: BTreeSet<(usize, Matter)>,
}

#[derive(Clone, Copy)]
pub(in crate::check) struct Claim {
    pub(in crate::check) lease_until: Instant,
    /// Whether the connection was neither paused nor without a consent.
    pub(in crate::check) may_run: bool,
    pub(in crate::check) sent_at: Instant,
    /// What is owed, as it was claimed.
    pub(in crate::check) request: Option<RequestId>,
    pub(in crate::check) attempts: i64,
    /// From when on a look counts as one before its run: where the lease is a new one, a look that was due may have
    /// been made just before.
    pub(in crate::check) looked_from: Instant,
    /// When a run was made under it.
    pub(in crate::check) called_at: Option<Instant>,
}

/// A look as it arrived at Google.
#[derive(Clone, Copy)]
pub(in crate::check) struct Looked {
    pub(in crate::check) asked_at: Instant,
    pub(in crate::check) at: Instant,
    /// None = with no good access token.
    pub(in crate::check) calendar: Option<Calendar>,
    /// None = it did not tell.
    pub(in crate::check) seen: Option<Seen>,
}

#[derive(Clone, Copy)]
pub(in crate::check) struct Said {
    /// What a row should tell of it.
    pub(in crate::check) code: &'static str,
    /// Of a channel that was asked for, and not of the consent.
    of_channel: bool,
    /// A channel may have been opened all the same.
    pub(in crate::check) doubtful: bool,
    /// Nobody can stop that channel before it speaks.
    pub(in crate::check) is_unusable: bool,
    /// It would do with another id.
    pub(in crate::check) wants_another_id: bool,
    /// How long Google is not to be asked again.
    wait: Instant,
}

/// What an update is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::check) enum Matter {
    Channel,
    Run,
    Look,
    Consent,
}

impl Conduct {
    pub(super) fn new(invocation: Invocation, started_at: Instant, skew: Instant) -> Self {
        Self {
            invocation,
            started_at,
            skew,
            frozen: false,
            crashed: false,
            over: false,
            unanswered_at: None,
            sleeps_until: Instant::MIN,
            refused_at: None,
            requests: 0,
            runs: 0,
            claims: BTreeMap::new(),
            pending: BTreeMap::new(),
            watches: BTreeMap::new(),
            said: BTreeMap::new(),
            looks: BTreeMap::new(),
            has_read: BTreeSet::new(),
            reconciled: BTreeMap::new(),
            has_renewed: BTreeSet::new(),
            token_refused_at: BTreeMap::new(),
            dead_consents: BTreeSet::new(),
            sequel: Sequel::default(),
            kept: BTreeSet::new(),
            doubted: BTreeSet::new(),
        }
    }

    /// What its clock says at a time.
    pub(in crate::check) fn clock(&self, now: Instant) -> Instant {
        now + self.skew
    }

    /// How long it has been there.
    pub(in crate::check) fn age(&self, now: Instant) -> Instant {
        now - self.started_at
    }

    /// Whether it does not know if an update of such a matter took effect.
    pub(in crate::check) fn doubts(&self, connection: usize, matter: Matter) -> bool {
        self.doubted.contains(&(connection, matter))
    }

    /// The last of its looks from one time to another that told what is in a connection's calendar.
    pub(in crate::check) fn look(
        &self,
        connection: usize,
        since: Instant,
        until: Instant,
    ) -> Option<&Looked> {
        self.looks(connection, since, until).next()
    }

    /// The newest first.
    pub(in crate::check) fn looks(
        &self,
        connection: usize,
        since: Instant,
        until: Instant,
    ) -> impl Iterator<Item = &Looked> {
        let is_it = move |look: &&Looked| look.asked_at >= since && look.at <= until && look.seen.is_some();
        self.looks.get(&connection).into_iter().flatten().rev().filter(is_it)
    }

    /// Whether Google told it such a thing of a connection.
    pub(in crate::check) fn heard(&self, connection: usize, what: impl Fn(&Said) -> bool) -> bool {
        self.said.get(&connection).is_some_and(|said| said.iter().any(what))
    }

    /// How long Google asked not to be asked again, each time that it said so of a connection. A run and a renewal may
    /// go on side by side.
    pub(in crate::check) fn waits(&self, connection: usize, code: &str) -> Vec<Instant> {
        let said = self.said.get(&connection).into_iter().flatten();
        let waits: Vec<_> = said.filter(|said| said.code == code).map(|said| said.wait).collect();
        if waits.is_empty() { vec![0] } else { waits }
    }

    /// Whether Google knew the id of a channel, and the one after it.
    pub(in crate::check) fn is_known_twice(&self, connection: usize) -> bool {
        let said = self.said.get(&connection).into_iter().flatten();
        said.filter(|said| said.wants_another_id).count() > 1
    }

    /// Whether it wrote the lease that a row holds.
    pub(in crate::check) fn holds(&self, connection: usize, lease_until: Instant) -> bool {
        self.claims.get(&connection).is_some_and(|claim| claim.lease_until == lease_until)
    }

    pub(super) fn take(&mut self, at: Instant, deed: &Deed<'_>) {
        match deed {
            Deed::Asks(request) => self.asks(at, request),
            Deed::Hears(answer) => self.hears(at, answer),
            Deed::Sleeps(duration) => self.sleeps_until = at + duration,
            Deed::HearsNothing => self.unanswered_at = Some(at),
            Deed::StandsStill(_) => self.frozen = true,
            Deed::Crashes => self.crashed = true,
            _ => {}
        }
    }

    fn asks(&mut self, at: Instant, request: &Request<'_>) {
        self.requests += 1;
        match request {
            Request::Update { connection: Some(connection), transition } => {
                self.sequel.asks(*connection, *transition);
                if matches!(transition, Transition::BookRefusal | Transition::FailRenewal) {
                    self.dead_consents.remove(connection);
                }
            }
            Request::Watch { connection: Some(connection), .. } => {
                *self.watches.entry(*connection).or_default() += 1;
            }
            Request::Run { connection, .. } => {
                self.runs += 1;
                if let Some(claim) = self.claims.get_mut(connection) {
                    claim.called_at = Some(at);
                }
            }
            _ => {}
        }
    }

    fn hears(&mut self, at: Instant, answer: &Answer<'_>) {
        if let Answer::Token { connection: Some(connection), answer: Err(refused) } = *answer {
            self.token_refused_at.insert(connection, at);
            if refused.failure.is_consent_dead() {
                self.dead_consents.insert(connection);
            }
        }
        match *answer {
            Answer::Update { connection: Some(connection), transition, row } => {
                self.sequel.hears(connection, transition, row.map(|row| row.is_some()));
                let matter = Matter::of(transition);
                if row.is_none() {
                    self.doubted.insert((connection, matter));
                } else if matter == Matter::Channel && row.flatten().is_some() {
                    // What a renewal's next update meets tells what became of the last.
                    self.doubted.remove(&(connection, matter));
                }
            }
            Answer::Select { query, .. } => self.sequel.reads(query),
            Answer::Watch { connection: Some(connection), answer: Err(failure), .. } => {
                self.said.entry(connection).or_default().push(failure.into());
            }
            Answer::Look {
                connection: Some(connection), answer: Ok(_) | Err(LookFailure::TooLarge), ..
            } => {
                self.has_read.insert(connection);
            }
            Answer::Token { connection: Some(connection), answer: Ok(_) } => {
                self.has_renewed.insert(connection);
            }
            // What a stop is refused says nothing of the consent.
            Answer::Token { connection: Some(connection), answer: Err(refused) }
            | Answer::Look {
                connection: Some(connection),
                answer: Err(LookFailure::Unauthorized(refused) | LookFailure::Refused(refused)),
                ..
            } => {
                let said = Said {
                    code: refused.failure.code(),
                    of_channel: false,
                    doubtful: false,
                    is_unusable: false,
                    wants_another_id: false,
                    wait: wait(refused),
                };
                self.said.entry(connection).or_default().push(said);
            }
            Answer::Run { result: Err(RunFailure::RateLimited { .. }), .. } => self.refused_at = Some(at),
            _ => {}
        }
    }

    /// A step of its own takes effect.
    pub(super) fn steps(&mut self, step: &Step<'_>) {
        match step.transition {
            Transition::ClaimRenewal | Transition::ReissueChannel => {
                let pending = step.after.webhook_pending_id.clone();
                self.pending.extend(pending.map(|pending| (step.connection, pending)));
                self.kept.remove(&step.connection);
                if step.transition == Transition::ClaimRenewal {
                    self.watches.remove(&step.connection);
                    // What was said of the consent still holds.
                    self.said.entry(step.connection).or_default().retain(|said| !said.of_channel);
                }
            }
            Transition::ClaimRun | Transition::KeepRun => {
                let claim = Claim {
                    lease_until: instant(step.after.sync_lease_until),
                    may_run: is_live(step.after) && is_consenting(step.after),
                    sent_at: step.sent_at,
                    request: step.after.sync_request_id,
                    attempts: step.after.sync_attempts,
                    looked_from: match (step.transition, self.reconciled.remove(&step.connection)) {
                        (Transition::ClaimRun, Some(looked_at)) => looked_at,
                        _ => step.sent_at,
                    },
                    called_at: None,
                };
                self.claims.insert(step.connection, claim);
            }
            Transition::DoubtChannel => {
                self.kept.insert(step.connection);
            }
            Transition::Reconcile => {
                let looks = self.looks.get(&step.connection);
                let looked_at = looks.and_then(|looks| looks.last()).map(|look| look.asked_at);
                self.reconciled.extend(looked_at.map(|looked_at| (step.connection, looked_at)));
            }
            _ => {}
        }
    }
}

impl Matter {
    fn of(transition: Transition) -> Self {
        match transition {
            Transition::NoteOrphan
            | Transition::NotePending
            | Transition::ClaimRun
            | Transition::FinishRun
            | Transition::SettleRun
            | Transition::KeepRun
            | Transition::LeaveRun
            | Transition::PauseRun
            | Transition::FailRun
            | Transition::RefuseRun
            | Transition::DoubtRun
            | Transition::LoseRun
            | Transition::AwaitConsent
            | Transition::HastenRun
            | Transition::Reconcile
            | Transition::StoreToken => Self::Run,
            Transition::ClaimLook
            | Transition::NoteUnchanged
            | Transition::PostponeLook
            | Transition::RefuseLook
            | Transition::TakeRefusalBack => Self::Look,
            Transition::ConfirmPending
            | Transition::ConfirmCurrent
            | Transition::NoteOpenedOrphan
            | Transition::NoteResource
            | Transition::NoteChange
            | Transition::ClaimRenewal
            | Transition::ReissueChannel
            | Transition::CommitChannel
            | Transition::DisownChannel
            | Transition::LookUpChannel
            | Transition::FailRenewal
            | Transition::DoubtChannel
            | Transition::ReleaseRenewal
            | Transition::RetireChannel => Self::Channel,
            Transition::BookRefusal => Self::Consent,
        }
    }
}

impl From<&WatchFailure> for Said {
    fn from(failure: &WatchFailure) -> Self {
        let wants_another_id = *failure == WatchFailure::ChannelIdNotUnique;
        let is_unusable = matches!(failure, WatchFailure::Unusable(_));
        let (failure, doubtful, wait) = match failure {
            WatchFailure::Unauthorized(refused) | WatchFailure::Refused(refused) => {
                (refused.failure, false, wait(refused))
            }
            WatchFailure::ChannelIdNotUnique => (RenewalFailure::GoogleRejected, false, 0),
            WatchFailure::Doubtful(refused) | WatchFailure::Unusable(refused) => {
                (refused.failure, true, wait(refused))
            }
        };
        Self { code: failure.code(), of_channel: true, doubtful, is_unusable, wants_another_id, wait }
    }
}

fn wait(refused: &Refused) -> Instant {
    refused.retry_after.map_or(0, micros)
}
