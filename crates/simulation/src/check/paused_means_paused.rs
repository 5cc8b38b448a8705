//! Nothing runs, watches or holds a channel for a paused or disconnected connection, and an invocation that learns of
//! it gives the channel up. Nothing runs for a consent that is known to be dead.

use std::collections::BTreeSet;

use protocol::receive::Verdict;
use protocol::transition::Transition;

use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::check::record::connection::ids;
use crate::check::row::is_live;
use crate::due::is_consenting;
use crate::fact::{Deed, Fact, Moment, Request};
use crate::subject::{Invocation, Purpose};
use crate::time::Instant;

#[derive(Default)]
pub(super) struct PausedMeansPaused {
    /// Invocations that learned that their connection is paused, and have not given the channel up.
    to_retire: BTreeSet<usize>,
    /// Invocations, and the connections of which they told that the consent is dead since they claimed the run.
    dead: BTreeSet<(usize, usize)>,
}

impl Check for PausedMeansPaused {
    fn read(&mut self, record: &Record, _: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        match fact {
            Fact::WatchArrived { connection: Some(connection), channel, .. } => {
                let renewal = record.case(*connection).and_then(|case| case.renewal(channel));
                if renewal.is_some_and(|renewal| !renewal.live) {
                    found.broken(*connection, "a channel was asked for while paused");
                }
            }
            Fact::RunStarted(run) => {
                if self.dead.contains(&(run.holder.number, run.connection)) {
                    let what = format!("{} runs for a consent of which it told that it is dead", run.holder);
                    found.broken(run.connection, what);
                }
                let claim = record.life(run.holder).and_then(|life| life.claims.get(&run.connection));
                if claim.is_some_and(|claim| !claim.may_run) {
                    let what = format!(
                        "{} runs what was paused, or without a consent, when it was claimed",
                        run.holder
                    );
                    found.broken(run.connection, what);
                }
            }
            Fact::Applied(step) => {
                let key = (step.invocation.number, step.connection);
                match step.transition {
                    Transition::ClaimRun | Transition::KeepRun => {
                        self.dead.remove(&key);
                    }
                    // A refusal to stop an orphan is told beside its run; so is one to stop the channel of a connection that
                    // was paused during the run.
                    Transition::BookRefusal
                        if !is_consenting(step.after)
                            && is_live(step.after)
                            && !matches!(step.invocation.purpose, Purpose::Receive(_)) =>
                    {
                        self.dead.insert(key);
                    }
                    _ => {}
                }
                let stores =
                    step.after.webhook_id.is_some() && step.before.webhook_id != step.after.webhook_id;
                if stores && !is_live(step.after) {
                    found.broken(step.connection, "a channel was stored while paused");
                }
            }
            Fact::Of(invocation, deed) => self.read_deed(record, *invocation, deed, found),
            Fact::Reached(Moment::Recovered | Moment::CrowdServed { .. }) => {
                for (case, row) in record.rows() {
                    if !is_live(row) && ids(row).next().is_some() {
                        found.broken(case.number, "a paused connection still names a channel");
                    }
                }
            }
            _ => {}
        }
    }
}

impl PausedMeansPaused {
    fn read_deed(&mut self, record: &Record, invocation: Invocation, deed: &Deed<'_>, found: &mut Found<'_>) {
        match deed {
            Deed::Judges { verdict: Verdict::Changed(row), .. }
                if matches!(invocation.purpose, Purpose::Receive(_)) && !is_live(row) =>
            {
                self.to_retire.insert(invocation.number);
            }
            Deed::Asks(Request::Update { transition: Transition::RetireChannel, .. }) => {
                self.to_retire.remove(&invocation.number);
            }
            Deed::Ends => {
                let keeps = self.to_retire.contains(&invocation.number);
                if keeps && record.life(invocation).is_some_and(|life| !life.frozen) {
                    let what =
                        format!("{invocation} learned that its connection is paused, and keeps the channel");
                    found.broken(invocation.connection(), what);
                }
            }
            _ => {}
        }
    }
}
