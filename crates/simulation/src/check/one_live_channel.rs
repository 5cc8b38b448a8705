//! Once every live channel has spoken there is one, and the row names it. So a renewal is claimed for as long as it may
//! take, asks what became of its channel, and stops what it replaces, what it gives up and what it could not store.

use std::collections::{BTreeMap, VecDeque};

use protocol::connection::{ChannelId, Connection, ResourceId};
use protocol::failure::WatchFailure;
use protocol::receive::Verdict;
use protocol::schedule::{DATABASE_TIMEOUT, INVOCATION_END, RENEWAL_LEASE, TIME_TO_WATCH, TOKEN_MARGIN};
use protocol::transition::Transition;

use crate::assumption::SKEW;
use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::check::record::connection::{Case, given_up, ids};
use crate::check::record::invocation::{Conduct, Matter};
use crate::fact::{Answer, Deed, Fact, Moment, Request, Step};
use crate::subject::{Broken, Row, short};
use crate::time::{HOUR, Instant, MINUTE, SECOND, delta, instant, micros};

/// What a request may take between two looks at a clock.
const REQUEST: Instant = micros(DATABASE_TIMEOUT);

#[derive(Default)]
pub(super) struct OneLiveChannel {
    /// By number of the invocation.
    duties: BTreeMap<usize, Duties>,
    /// What was given up in quiet times, of which connection, and by when it is to be stopped.
    given_up: VecDeque<(Instant, usize, ChannelId)>,
}

/// A channel and, where it is known, its resource.
type Replaced = (ChannelId, Option<ResourceId>);

/// The channels that an invocation may have to ask Google to stop.
#[derive(Default)]
struct Duties {
    /// Opened for it and not stored; for which connection.
    opened: BTreeMap<ChannelId, usize>,
    /// What its step replaces or gives up once it knows that it took effect, by connection.
    replaces: BTreeMap<usize, Vec<Replaced>>,
    /// To be stopped; of which connection.
    to_stop: BTreeMap<ChannelId, (usize, Option<ResourceId>)>,
}

impl Check for OneLiveChannel {
    fn read(&mut self, record: &Record, at: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        self.is_stopped_by(record, at, found);
        match fact {
            Fact::WatchArrived { connection: None, .. } => {
                found.broken(None, "a channel was asked for that no row ever named");
            }
            Fact::Applied(step) => self.steps(record, at, step, found),
            Fact::Of(invocation, deed) => {
                if let Some(life) = record.life(*invocation) {
                    self.read_deed(record, at, life, deed, found);
                }
                if deed.is_last() {
                    self.duties.remove(&invocation.number);
                }
            }
            Fact::Reached(Moment::BurstOver { since }) => {
                record.rows().for_each(|(case, row)| one_is_left(record, at, *since, case, row, found));
            }
            _ => {}
        }
    }
}

impl OneLiveChannel {
    fn steps(&mut self, record: &Record, at: Instant, step: &Step<'_>, found: &mut Found<'_>) {
        let Step { invocation, connection, before, after, .. } = *step;
        let Some(life) = record.life(invocation) else { return };
        let duties = self.duties.entry(invocation.number).or_default();
        if let Some(id) = &after.webhook_id {
            duties.opened.remove(id);
        }
        let current = || before.webhook_id.clone().map(|id| (id, before.webhook_resource_id.clone()));
        match step.transition {
            Transition::RetireChannel => {
                // Without its resource id it cannot be stopped.
                let known = current().filter(|(_, resource)| resource.is_some());
                duties.replaces.insert(connection, known.into_iter().collect());
            }
            Transition::ClaimRenewal => {
                // What became of an earlier renewal's may not be known.
                duties.opened.retain(|_, of| *of != connection);
                let abandoned = before.webhook_pending_id.clone().map(|id| (id, None));
                duties.replaces.insert(connection, current().into_iter().chain(abandoned).collect());
                is_claimed_well(at, life, step, found);
            }
            Transition::FailRenewal | Transition::DoubtChannel
                if life.pending.get(&connection) != before.webhook_pending_id.as_ref() =>
            {
                let what = format!("{invocation} wrote its failure over somebody else's renewal");
                found.broken(connection, what);
            }
            _ => {}
        }
        // Invocations of less quiet times may go on for a while.
        if at > record.quiet_from.saturating_add(HOUR) {
            // A pending channel is stopped on the current one's resource, which may be another calendar's.
            let is_known = |id: &&ChannelId| {
                let resource = record.google.channel(id).map(|channel| channel.calendar.resource());
                step.transition != Transition::RetireChannel || resource == before.webhook_resource_id
            };
            let given_up = given_up(step).filter(is_known);
            self.given_up.extend(given_up.map(|id| (at + 2 * MINUTE, connection, id.clone())));
        }
    }

    fn read_deed(
        &mut self,
        record: &Record,
        at: Instant,
        life: &Conduct,
        deed: &Deed<'_>,
        found: &mut Found<'_>,
    ) {
        let duties = self.duties.entry(life.invocation.number).or_default();
        match *deed {
            Deed::Asks(Request::Watch { connection: Some(connection), channel }) => {
                leaves_time(record, at, life, connection, channel, found);
            }
            Deed::Asks(Request::Stop { channel, resource }) => {
                duties.opened.remove(channel);
                if let Some((connection, Some(known))) = duties.to_stop.remove(channel)
                    && known != *resource
                {
                    let what =
                        format!("{} stops a channel by another resource than its own", life.invocation);
                    found.broken(connection, what);
                }
            }
            Deed::Hears(Answer::Watch { connection: Some(connection), channel, answer: Ok(_) }) => {
                duties.opened.insert(channel.clone(), connection);
            }
            Deed::Hears(Answer::Watch {
                connection: Some(connection),
                channel,
                answer: Err(WatchFailure::ChannelIdNotUnique),
            }) => {
                // A request that the runtime repeated may have opened it.
                duties.replaces.entry(connection).or_default().push((channel.clone(), None));
            }
            Deed::Hears(Answer::Update {
                connection: Some(connection),
                transition,
                row: Some(Some(row)),
            }) => {
                let is_stored = matches!(transition, Transition::CommitChannel | Transition::LookUpChannel);
                let is_retired = transition == Transition::RetireChannel;
                if (is_stored || is_retired)
                    && let Some(replaced) = duties.replaces.remove(&connection)
                    && (is_stored || may_stop(life, at, row))
                {
                    duties.is_to_stop(connection, replaced, row.webhook_resource_id.as_ref());
                }
            }
            Deed::Hears(Answer::Select { query, rows: Some([]) }) => {
                if let Some(connection) = life.sequel.is_read_by(query) {
                    duties.row_is_gone(record, connection);
                }
            }
            Deed::Judges { notification, verdict: Verdict::Orphan(row) | Verdict::OpenedOrphan(row) } => {
                let is_flooded =
                    |connection: &usize| record.case(*connection).is_some_and(|case| case.is_flooded(at));
                let connection = life.invocation.connection().filter(|_| may_stop(life, at, row));
                if let Some(connection) = connection.filter(|connection| !is_flooded(connection)) {
                    let orphan = (notification.channel.clone(), Some(notification.resource.clone()));
                    duties.is_to_stop(connection, vec![orphan], None);
                }
            }
            Deed::Ends if !life.frozen => {
                if let Some((connection, question)) = life.sequel.next() {
                    let what = "does not ask what became of its channel";
                    let what = format!("{} {what}: {question:?} was to come", life.invocation);
                    found.broken(connection, what);
                }
                duties.are_done(record, at, life, found);
            }
            _ => {}
        }
    }

    /// In quiet times what was given up is stopped at once.
    fn is_stopped_by(&mut self, record: &Record, at: Instant, found: &mut Found<'_>) {
        while let Some((by, connection, id)) = self.given_up.pop_front_if(|(by, ..)| *by < at) {
            let Some((case, row)) = record.rows().find(|(case, _)| case.number == connection) else {
                continue;
            };
            // Of another calendar's channel the resource is not known.
            let channel = record.google.channel(&id);
            let is_known = channel.is_some_and(|it| record.google.calendar_of(row) == Some(it.calendar));
            let stops = case.broken.is_none() && record.google.is_usable(row) && is_known;
            // What crashes the sweep keeps it from stopping what it gave up: that is stopped when it next speaks.
            if stops
                && !record.has_crashing()
                && live_channels(record, by, Instant::MAX, case, row).contains(&&id)
            {
                found.broken(connection, format!("channel {} was given up, not stopped", short(&id)));
            }
        }
    }
}

impl Duties {
    fn is_to_stop(&mut self, connection: usize, channels: Vec<Replaced>, resource: Option<&ResourceId>) {
        let known = |known: Option<ResourceId>| known.or_else(|| resource.cloned());
        self.to_stop.extend(channels.into_iter().map(|(id, of)| (id, (connection, known(of)))));
    }

    /// The row of a connection whose new channel is not stored is gone: all that is known of its channels is to be
    /// stopped.
    fn row_is_gone(&mut self, record: &Record, connection: usize) {
        let opened = self.opened.iter().find(|(_, of)| **of == connection);
        let Some(channel) = opened.and_then(|(id, _)| record.google.channel(id)) else { return };
        if let Some(replaced) = self.replaces.remove(&connection) {
            self.is_to_stop(connection, replaced, Some(&channel.calendar.resource()));
        }
    }

    fn are_done(&self, record: &Record, at: Instant, life: &Conduct, found: &mut Found<'_>) {
        let not_stored = self.opened.iter().filter(|(_, of)| !life.doubts(**of, Matter::Channel));
        let to_stop = self.to_stop.iter().map(|(id, (of, _))| (id, of));
        for (id, connection) in not_stored.chain(to_stop) {
            if record.google.channel(id).is_some_and(|channel| channel.is_live(at)) {
                let what = "ends, and a channel that it should stop stays behind";
                found.broken(*connection, format!("{} {what}", life.invocation));
            }
        }
    }
}

/// Whether the row's access token lasts for a stop.
fn may_stop(life: &Conduct, at: Instant, row: &Connection) -> bool {
    let lasts = |expires_at| instant(expires_at) > life.clock(at) + delta(TOKEN_MARGIN) + MINUTE;
    row.access_token.is_some() && row.expires_at.is_some_and(lasts)
}

/// A renewal is claimed when nobody is at it, for as long as the schedule says.
fn is_claimed_well(at: Instant, life: &Conduct, step: &Step<'_>, found: &mut Found<'_>) {
    if instant(step.before.webhook_lease_until) > at + SKEW {
        let what = format!("{} took over a renewal's lease that holds", life.invocation);
        found.broken(step.connection, what);
    }
    let lease = instant(step.after.webhook_lease_until) - life.clock(step.sent_at);
    if (lease - delta(RENEWAL_LEASE)).abs() > SECOND {
        let what = format!("{} claimed a renewal for {} s", life.invocation, lease / SECOND);
        found.broken(step.connection, what);
    }
}

/// A channel is asked for while there is time to store it.
fn leaves_time(
    record: &Record,
    at: Instant,
    life: &Conduct,
    connection: usize,
    channel: &ChannelId,
    found: &mut Found<'_>,
) {
    let row = record.row(connection).filter(|row| row.webhook_pending_id.as_ref() == Some(channel));
    let lease = row.map_or(Instant::MAX, |row| instant(row.webhook_lease_until) - life.clock(at));
    let left = lease.min(delta(INVOCATION_END) - life.age(at));
    if left < delta(TIME_TO_WATCH) - REQUEST {
        let what = format!("{} asks for a channel with too little time left", life.invocation);
        found.broken(connection, what);
    }
}

fn one_is_left(record: &Record, at: Instant, spoken: Instant, case: &Case, row: &Row, found: &mut Found<'_>) {
    let live = live_channels(record, at, spoken, case, row);
    let stops = record.google.is_usable(row) && case.broken != Some(Broken::Revoked);
    if stops && let Some(orphan) = live.iter().find(|id| !ids(row).any(|named| named == **id)) {
        found.broken(case.number, format!("channel {} is live, and no row names it", short(orphan)));
    }
    if record.is_healthy(case) && live != row.webhook_id.iter().collect::<Vec<_>>() {
        let what = format!("{} live channels, not the one that the row names", live.len());
        found.broken(case.number, what);
    }
}

/// Channels that can speak to us and that the connection may stop. Not those that it gave up after `spoken`, when every
/// channel last spoke.
fn live_channels<'a>(
    record: &'a Record,
    at: Instant,
    spoken: Instant,
    case: &Case,
    row: &Row,
) -> Vec<&'a ChannelId> {
    let account = record.google.account_of(row);
    let ours = record.google.channels.iter().filter(|channel| {
        channel.connection == Some(case.number)
            && !channel.foreign
            && channel.is_live(at)
            && Some(channel.calendar.account) == account
            && !case.gone.iter().any(|(id, since)| *id == channel.id && *since > spoken)
    });
    ours.map(|channel| &channel.id).collect()
}
