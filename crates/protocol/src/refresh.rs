//! The user's button: a run is asked for and the channel renewed, at most once in 30 seconds.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::join;

use crate::Timestamp;
use crate::connection::{Connection, ConnectionId};
use crate::failure::{DatabaseUnavailable, RenewalFailure};
use crate::invocation::Invocation;
use crate::ports::{Ports, Reason};
use crate::renew::{Renewal, Renewed, Trigger, renew};
use crate::run::run;
use crate::schedule::{DATABASE_TIMEOUT, REFRESH_INTERVAL};
use crate::table::Query;

/// Why a connection is not well after somebody asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoConnection,
    Paused,
    Disconnected,
    /// Renewed a moment ago, or somebody else is at it.
    TooSoon {
        retry_after: Duration,
    },
    Failed(RenewalFailure),
}

/// What the button did.
#[derive(Clone, Debug, PartialEq)]
pub struct Refreshed {
    pub result: Result<(), Refusal>,
    follow_up: FollowUp,
}

#[derive(Clone, Debug, PartialEq)]
enum FollowUp {
    Renewed(Box<Renewed>),
    /// The renewal failed; the run that was asked for is owed all the same.
    Owed(Box<Connection>),
    Nothing,
}

pub async fn refresh<P: Ports>(ports: &P, invocation: &Invocation, row: &Connection) -> Refreshed {
    if let Some(refusal) = refusal(row) {
        return Refreshed { result: Err(refusal), follow_up: FollowUp::Nothing };
    }
    let (result, follow_up) = match renew(ports, invocation, row, Trigger::Button).await {
        Renewal::Renewed(renewed) => (Ok(()), FollowUp::Renewed(renewed)),
        Renewal::Failed(failure, row) => (Err(Refusal::Failed(failure)), FollowUp::Owed(row)),
        Renewal::Unanswered => (Err(Refusal::Failed(RenewalFailure::DatabaseUnavailable)), FollowUp::Nothing),
        Renewal::NotOurs => {
            let refusal = match read(ports, row.id).await {
                Ok(Some(row)) => refusal(&row).unwrap_or_else(|| too_soon(ports.now(), &row)),
                Ok(None) => Refusal::NoConnection,
                Err(DatabaseUnavailable) => Refusal::Failed(RenewalFailure::DatabaseUnavailable),
            };
            (Err(refusal), FollowUp::Nothing)
        }
    };
    Refreshed { result, follow_up }
}

/// Once the caller is answered: stops what the new channel replaces, and runs.
pub async fn follow_up<P: Ports>(ports: &P, invocation: &Invocation, refreshed: Refreshed) {
    match refreshed.follow_up {
        FollowUp::Renewed(renewed) => {
            let run = run(ports, invocation, renewed.row.clone(), Reason::ManualRefresh);
            join!(renewed.stop_superseded(ports), run);
        }
        FollowUp::Owed(row) => {
            run(ports, invocation, *row, Reason::ManualRefresh).await;
        }
        FollowUp::Nothing => {}
    }
}

/// Why nothing is to be done for a connection, whatever Google says.
pub(crate) fn refusal(row: &Connection) -> Option<Refusal> {
    match (row.is_active, row.sync_enabled) {
        (false, _) => Some(Refusal::Disconnected),
        (true, false) => Some(Refusal::Paused),
        (true, true) => None,
    }
}

/// What is left of the interval or of the lease: 1 to 30 s.
pub(crate) fn too_soon(now: Timestamp, row: &Connection) -> Refusal {
    let free_at = (row.webhook_opened_at + REFRESH_INTERVAL).max(row.webhook_lease_until);
    let wait = free_at.signed_duration_since(now).clamp(TimeDelta::seconds(1), REFRESH_INTERVAL);
    Refusal::TooSoon { retry_after: wait.to_std().unwrap_or(Duration::from_secs(1)) }
}

pub(crate) async fn read<P: Ports>(
    ports: &P,
    id: ConnectionId,
) -> Result<Option<Connection>, DatabaseUnavailable> {
    let rows = ports.select(Query::by_id(id), DATABASE_TIMEOUT).await?;
    rows.into_iter().next().transpose().map_err(|_| DatabaseUnavailable)
}
