//! Renewal: a new channel first, then the old one is stopped, so that there is no moment without one.
//!
//! The id of the channel being opened is stored before Google is asked, the channel is committed after, and an id
//! that is out of both columns never comes back. Setup, the button and the sweep share all of it but the condition
//! of the claim.

use chrono::TimeDelta;
use futures_util::join;

use crate::Timestamp;
use crate::access::{access, renewed_access};
use crate::connection::{AccessToken, ChannelId, Connection, RequestId, ResourceId, Source};
use crate::event::Event;
use crate::failure::{DatabaseUnavailable, Mender, Refused, RenewalFailure, WatchFailure, Word};
use crate::grant::{Access, NoAccess, OpenedChannel};
use crate::invocation::Invocation;
use crate::ports::Ports;
use crate::reading::{Unread, read_calendar};
use crate::recalculation::Reason;
use crate::run::{Beforehand, Outcome, run};
use crate::schedule::{
    self, DAILY, DATABASE_TIMEOUT, GOOGLE_TIMEOUT, LEASE_AFTER_FAILURE, LONGEST_BACKOFF, LONGEST_DUE_LOOK,
    RENEWAL_LEASE, TIME_TO_WATCH, TOKEN_MARGIN, asked_to_wait, lease_after_watches,
};
use crate::stop::{Unknown, stop};
use crate::transition::{
    Failed, Pending, Trigger, Update, claim_renewal, commit_channel, disown_channel, doubt_channel,
    fail_renewal, look_up_channel, reissue_channel, release_renewal,
};

#[derive(Clone, Debug, PartialEq)]
pub enum Renewal {
    Renewed(Box<RenewedChannel>),
    /// With the row as the claim left it: its run is owed all the same.
    Failed(RenewalFailure, Box<Connection>),
    /// Not ours to do: somebody else is at it, it is too soon, or there is no time left.
    NotOurs,
    /// Claimed, as this row shows, and given up: the row changed meanwhile, or time ran out.
    GivenUp(Box<Connection>),
    /// Google was not asked: the claim was not answered.
    Unanswered,
}

/// A new channel is stored. Its run and the end of the old ones are still to come.
#[derive(Clone, Debug, PartialEq)]
pub struct RenewedChannel {
    pub row: Connection,
    access_token: AccessToken,
    superseded: Vec<(ChannelId, ResourceId, Unknown)>,
    /// Whether a run was owed before, whose reason the commit's request has replaced.
    was_owed: bool,
}

impl RenewedChannel {
    /// What follows the commit, side by side: the run, and the end of the channel before and of one that an abandoned
    /// renewal may have opened.
    pub async fn follow_up<P: Ports>(self, ports: &P, invocation: &Invocation, reason: Reason) -> Outcome {
        let id = self.row.id;
        let stop_superseded = async {
            for (channel, resource, unknown) in &self.superseded {
                let _ = stop(ports, id, &self.access_token, channel, resource, *unknown).await;
            }
        };
        let beforehand = match reason {
            Reason::ManualRefresh => Beforehand::Irrelevant,
            _ if self.was_owed => Beforehand::Nothing,
            _ => Beforehand::MayBeUnchanged,
        };
        let (outcome, ()) = join!(run(ports, invocation, self.row, reason, beforehand), stop_superseded);
        outcome
    }
}

/// Opens a new channel for `row`, as read, if the claim is granted.
pub async fn renew_channel<P: Ports>(
    ports: &P,
    invocation: &Invocation,
    row: &Connection,
    trigger: Trigger,
) -> Renewal {
    let now = ports.now();
    // A claim under a living lease would only be refused.
    if !invocation.may_renew(now) || row.webhook_lease_until >= now {
        return Renewal::NotOurs;
    }
    let pending = fresh_channel_id(ports);
    let lease_until = now + RENEWAL_LEASE;
    let claim = claim_renewal(row, trigger, &pending, now, lease_until, || ports.random());
    let claimed = match ports.update(claim, DATABASE_TIMEOUT).await {
        Ok(Some(claimed)) => claimed,
        Ok(None) => return Renewal::NotOurs,
        Err(DatabaseUnavailable) => return Renewal::Unanswered,
    };
    let mut opening = Opening {
        ports,
        invocation,
        attempts: row.webhook_attempts,
        watches: 0,
        lease_until,
        abandoned: row.webhook_pending_id.clone().into_iter().collect(),
        pending,
        source: claimed.webhook_source.clone(),
        still_told: claimed.error_for_a_person(),
        claimed,
    };
    let connection = opening.claimed.id;
    let (renewal, event) = match opening.open().await {
        Ok(renewed) => {
            let event = renewed.row.webhook_id.clone().map(|channel| Event::ChannelOpened {
                connection,
                channel,
                expiration: renewed.row.webhook_expiration.unwrap_or_default(),
            });
            (Renewal::Renewed(Box::new(renewed)), event)
        }
        Err(End::Failed { refused: Refused { failure, reason, .. }, row, retry_at }) => {
            let event = Event::RenewalFailed { connection, failure, reason, retry_at };
            (Renewal::Failed(failure, row), Some(event))
        }
        Err(End::Superseded) => {
            (Renewal::GivenUp(Box::new(opening.claimed)), Some(Event::RenewalSuperseded { connection }))
        }
        Err(End::OutOfTime) => (Renewal::GivenUp(Box::new(opening.claimed)), None),
    };
    if let Some(event) = event {
        ports.log(event);
    }
    renewal
}

fn fresh_channel_id<P: Ports>(ports: &P) -> ChannelId {
    ChannelId::new(uuid::Builder::from_random_bytes(ports.random().to_be_bytes()).into_uuid().to_string())
}

/// How a renewal ends without a channel.
enum End {
    Failed { refused: Refused, row: Box<Connection>, retry_at: Option<Timestamp> },
    Superseded,
    OutOfTime,
}

/// A claimed renewal.
struct Opening<'a, P> {
    ports: &'a P,
    invocation: &'a Invocation,
    /// As the claim returned it: the only place that still knows the previous channel after the commit.
    claimed: Connection,
    attempts: i64,
    /// How often Google was asked for a channel.
    watches: i32,
    lease_until: Timestamp,
    /// Channels that may have been opened, by another renewal or by a request that the runtime repeated.
    abandoned: Vec<ChannelId>,
    pending: ChannelId,
    source: Source,
    /// The row's error, if a person must mend it, until this renewal has seen that it is mended.
    still_told: Option<RenewalFailure>,
}

/// Whether Google may know the pending channel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Channel {
    NotOpened,
    MayExist,
    /// It exists, and nothing can stop it before it speaks: the next one is tried a day later.
    Unusable,
}

impl<P: Ports> Opening<'_, P> {
    async fn open(&mut self) -> Result<RenewedChannel, End> {
        let token_expires_at = self.claimed.expires_at;
        if let Some(refused) = self.still_refused().await {
            return Err(self.fail(refused, Channel::NotOpened).await);
        }
        let mut is_token_renewed = self.claimed.expires_at != token_expires_at;
        // One that is new is good, however little Google gave it.
        let margin = if is_token_renewed { TimeDelta::zero() } else { TOKEN_MARGIN };
        let mut access = match access(self.ports, &self.claimed, margin).await {
            Ok(access) => self.adopt(access, &mut is_token_renewed),
            Err(no_access) => return Err(self.without_access(no_access).await),
        };
        let mut reissued = false;
        let opened = loop {
            if self.time_left() < TIME_TO_WATCH {
                return Err(self.release().await);
            }
            self.watches += 1;
            let answer = self
                .ports
                .watch(
                    &access,
                    self.claimed.calendar_id.as_ref(),
                    &self.pending,
                    &self.claimed.webhook_token,
                    GOOGLE_TIMEOUT,
                )
                .await;
            match answer {
                Ok(opened) => break opened,
                Err(WatchFailure::Unauthorized(_)) if !is_token_renewed => {
                    access = match renewed_access(self.ports, &self.claimed).await {
                        Ok(access) => self.adopt(access, &mut is_token_renewed),
                        Err(no_access) => return Err(self.without_access(no_access).await),
                    };
                }
                Err(WatchFailure::ChannelIdNotUnique) if !reissued => {
                    reissued = true;
                    self.reissue().await?;
                }
                Err(WatchFailure::ChannelIdNotUnique) => {
                    let reason = Word::parse("channelIdNotUnique");
                    let refused = Refused { reason, ..RenewalFailure::GoogleRejected.into() };
                    // Google knows both ids.
                    let end = self.fail(refused, Channel::MayExist).await;
                    self.stop_abandoned(&access).await;
                    return Err(end);
                }
                Err(WatchFailure::Unauthorized(refused)) => {
                    return Err(self.fail(refused, Channel::NotOpened).await);
                }
                Err(WatchFailure::Refused(refused)) => {
                    let end = self.fail(refused, Channel::NotOpened).await;
                    self.stop_abandoned(&access).await;
                    return Err(end);
                }
                Err(WatchFailure::Doubtful(refused)) => {
                    let end = self.fail(refused, Channel::MayExist).await;
                    self.stop_abandoned(&access).await;
                    return Err(end);
                }
                Err(WatchFailure::Unusable(refused)) => {
                    let end = self.fail(refused, Channel::Unusable).await;
                    self.stop_abandoned(&access).await;
                    return Err(end);
                }
            }
        };
        let row = self.commit(&opened, &access).await?;
        Ok(RenewedChannel {
            superseded: self.superseded(&opened.resource_id),
            row,
            access_token: access,
            was_owed: self.claimed.sync_request_id.is_some(),
        })
    }

    /// What Google still refuses, where something is told of the calendar that a person has to mend: Google may open a
    /// channel on one that it does not let be read, and the connection would be broken and heal with each renewal.
    async fn still_refused(&mut self) -> Option<Refused> {
        let told = self.still_told?;
        // What no look is refused for.
        if matches!(told, RenewalFailure::PushNotSupported | RenewalFailure::WebhookUrlRejected) {
            return None;
        }
        let until = self.ports.now() + LONGEST_DUE_LOOK.min(self.time_left() - TIME_TO_WATCH);
        let token_expires_at = self.claimed.expires_at;
        let look = read_calendar(self.ports, self.invocation, &mut self.claimed, until).await;
        self.source = self.claimed.webhook_source.clone();
        let is_of_token =
            matches!(told, RenewalFailure::ReconnectRequired | RenewalFailure::OauthClientInvalid);
        let is_renewed = self.claimed.expires_at != token_expires_at;
        let is_read = matches!(look, Ok(_) | Err(Unread::TooLarge));
        if is_read || is_of_token && is_renewed {
            self.still_told = None;
        }
        match look {
            Err(Unread::Refused(refused)) => Some(refused),
            _ => None,
        }
    }

    /// Takes a token over, and the row's new source with it.
    fn adopt(&mut self, access: Access, is_token_renewed: &mut bool) -> AccessToken {
        if let Some(row) = access.renewed {
            *is_token_renewed = true;
            self.source = row.webhook_source;
        }
        access.token
    }

    async fn without_access(&self, no_access: NoAccess) -> End {
        match no_access {
            NoAccess::Failed(refused) => self.fail(refused, Channel::NotOpened).await,
            NoAccess::Superseded => {
                let _ = self.disown().await;
                End::Superseded
            }
        }
    }

    fn time_left(&self) -> TimeDelta {
        let now = self.ports.now();
        self.lease_until.signed_duration_since(now).min(self.invocation.left(now))
    }

    /// Writes another pending id over one that Google has seen before.
    async fn reissue(&mut self) -> Result<(), End> {
        let fresh = fresh_channel_id(self.ports);
        match self.update(reissue_channel(self.opening(), &fresh)).await {
            Ok(Some(_)) => {
                self.abandoned.push(std::mem::replace(&mut self.pending, fresh));
                Ok(())
            }
            Ok(None) => Err(End::Superseded),
            Err(unavailable) => Err(self.failed(unavailable.into())),
        }
    }

    async fn commit(&self, opened: &OpenedChannel, access_token: &AccessToken) -> Result<Connection, End> {
        let now = self.ports.now();
        let request = RequestId::fresh(now, self.ports.random());
        let answer = self
            .update(commit_channel(
                self.opening(),
                &self.source,
                opened,
                now,
                lease_after_watches(now, self.watches),
                request,
                self.ports.random(),
            ))
            .await;
        if let Ok(Some(committed)) = answer {
            return Ok(committed);
        }
        match self.disown().await {
            Ok(Disowned::Committed(row)) => Ok(*row),
            Ok(Disowned::Gone { row_deleted }) => {
                let mut orphans = vec![(self.pending.clone(), opened.resource_id.clone(), Unknown::Alive)];
                if row_deleted {
                    orphans.extend(self.superseded(&opened.resource_id));
                }
                for (channel, resource, unknown) in &orphans {
                    let _ =
                        stop(self.ports, self.claimed.id, access_token, channel, resource, *unknown).await;
                }
                match answer {
                    Ok(_) => Err(End::Superseded),
                    // Not a lost race: an immediate retry would open and stop a channel each time.
                    Err(unavailable) => Err(self.failed(unavailable.into())),
                }
            }
            Err(unavailable) => Err(self.failed(unavailable.into())),
        }
    }

    /// Gives the pending id up before its channel is stopped. Looked up by a write, never by a read: a lagging read
    /// or a lost answer would make us stop the channel just stored.
    async fn disown(&self) -> Result<Disowned, DatabaseUnavailable> {
        let lease_until = lease_after_watches(self.ports.now(), self.watches);
        if self.insist(disown_channel(self.opening(), lease_until)).await?.is_some() {
            return Ok(Disowned::Gone { row_deleted: false });
        }
        if let Some(row) = self.insist(look_up_channel(self.opening())).await? {
            return Ok(Disowned::Committed(Box::new(row)));
        }
        Ok(Disowned::Gone { row_deleted: matches!(self.ports.find(self.claimed.id).await, Ok(None)) })
    }

    /// Books a failed renewal and says when the next may start.
    async fn fail(&self, refused: Refused, channel: Channel) -> End {
        let answer = match (channel, self.book_failure(&refused, channel).await) {
            // The channel may have spoken, whatever was answered.
            (Channel::NotOpened, Ok(None)) => self.book_failure(&refused, Channel::MayExist).await,
            (_, answer) => answer,
        };
        match answer {
            Ok(Some((row, retry_at))) => {
                End::Failed { refused, row: Box::new(row), retry_at: Some(retry_at) }
            }
            Ok(None) => {
                // Without its resource id a channel that may exist cannot be stopped: it is when it speaks.
                let _ = self.disown().await;
                End::Superseded
            }
            Err(DatabaseUnavailable) => self.failed(refused),
        }
    }

    /// Books the failure. → the row, and when the renewal is tried again. A failure that passes by itself replaces neither
    /// an error that a person must mend nor one that was written since the claim.
    async fn book_failure(
        &self,
        refused: &Refused,
        channel: Channel,
    ) -> Result<Option<(Connection, Timestamp)>, DatabaseUnavailable> {
        let passes = refused.failure.mender() == Mender::Nobody;
        let stays = passes && self.still_told.is_some();
        match self.book(refused, channel, Some(refused).filter(|_| !stays)).await? {
            None if passes && !stays => self.book(refused, channel, None).await,
            booked => Ok(booked),
        }
    }

    async fn book(
        &self,
        refused: &Refused,
        channel: Channel,
        told: Option<&Refused>,
    ) -> Result<Option<(Connection, Timestamp)>, DatabaseUnavailable> {
        let now = self.ports.now();
        let retry_at = match channel {
            Channel::Unusable => now + DAILY,
            _ => schedule::renewal_retry(now, self.attempts, Some(refused), self.ports.random()),
        };
        // Google asks not to be asked, whatever for: looks wait for an hour at most, or a day of silence would go
        // unnoticed. A renewal's own backoff delays no look.
        let asked_to_wait = refused.retry_after.map(|_| asked_to_wait(refused).min(LONGEST_BACKOFF));
        let failed = Failed {
            told,
            told_before: self.claimed.webhook_error.as_deref(),
            lease_until: lease_after_watches(now, self.watches).max(now + LEASE_AFTER_FAILURE),
            retry_at,
            look_at: asked_to_wait.map(|wait| self.claimed.sync_look_at.max(now + wait)),
        };
        let step = match channel {
            Channel::MayExist | Channel::Unusable => doubt_channel,
            Channel::NotOpened => fail_renewal,
        };
        let row = self.update(step(self.opening(), &self.source, failed)).await?;
        Ok(row.map(|row| (row, retry_at)))
    }

    /// A failure that could not be booked: what the claim booked stands.
    fn failed(&self, refused: Refused) -> End {
        End::Failed { refused, row: Box::new(self.claimed.clone()), retry_at: None }
    }

    /// One doubtful channel after the other must not leave them all behind: the one before this one is stopped on the
    /// resource of the current channel, where there is one.
    async fn stop_abandoned(&self, access_token: &AccessToken) {
        let Some(resource) = &self.claimed.webhook_resource_id else { return };
        for abandoned in &self.abandoned {
            let _ = stop(self.ports, self.claimed.id, access_token, abandoned, resource, Unknown::Gone).await;
        }
    }

    /// Gives the claim back as if it had not been: there was no time to ask Google.
    async fn release(&self) -> End {
        let update = release_renewal(self.opening(), self.attempts, self.ports.now());
        let _ = self.update(update).await;
        End::OutOfTime
    }

    fn opening(&self) -> Pending<'_> {
        Pending { connection: self.claimed.id, pending: &self.pending }
    }

    async fn update(&self, update: Update) -> Result<Option<Connection>, DatabaseUnavailable> {
        self.ports.update(update, DATABASE_TIMEOUT).await
    }

    /// Asks once more where no answer came.
    async fn insist(&self, update: Update) -> Result<Option<Connection>, DatabaseUnavailable> {
        match self.update(update.clone()).await {
            Err(DatabaseUnavailable) => self.update(update).await,
            answer => answer,
        }
    }

    /// The channels that the new one replaces. Channels on one calendar share their resource id, so that one
    /// whose own was never learned can be stopped too.
    fn superseded(&self, resource_id: &ResourceId) -> Vec<(ChannelId, ResourceId, Unknown)> {
        let unknown = Unknown::of_current(&self.claimed, self.ports.now());
        let resource = self.claimed.webhook_resource_id.as_ref().unwrap_or(resource_id);
        let previous =
            self.claimed.webhook_id.iter().map(|previous| (previous.clone(), resource.clone(), unknown));
        let abandoned =
            self.abandoned.iter().map(|abandoned| (abandoned.clone(), resource_id.clone(), Unknown::Gone));
        previous.chain(abandoned).filter(|(channel, ..)| *channel != self.pending).collect()
    }
}

enum Disowned {
    /// The commit had taken place after all.
    Committed(Box<Connection>),
    /// No row names the pending channel any more.
    Gone { row_deleted: bool },
}
