//! The user's button: a run is asked for and the channel renewed, at most once in 30 seconds.

use crate::connection::Connection;
use crate::failure::{DatabaseUnavailable, RenewalFailure};
use crate::invocation::Invocation;
use crate::ports::Ports;
use crate::recalculation::Reason;
use crate::refusal::Refusal;
use crate::renew::{Renewal, RenewedChannel, renew_channel};
use crate::run::{Beforehand, run};
use crate::transition::Trigger;

/// What the button did.
#[derive(Clone, Debug, PartialEq)]
pub struct Refreshed {
    pub result: Result<(), Refusal>,
    follow_up: FollowUp,
}

#[derive(Clone, Debug, PartialEq)]
enum FollowUp {
    Renewed(Box<RenewedChannel>),
    /// There is no new channel; the run that was asked for is owed all the same.
    Owed(Box<Connection>),
    Nothing,
}

pub async fn refresh<P: Ports>(ports: &P, invocation: &Invocation, row: &Connection) -> Refreshed {
    if let Some(refusal) = Refusal::of(row) {
        return Refreshed { result: Err(refusal), follow_up: FollowUp::Nothing };
    }
    let (result, follow_up) = match renew_channel(ports, invocation, row, Trigger::Button).await {
        Renewal::Renewed(renewed) => (Ok(()), FollowUp::Renewed(renewed)),
        Renewal::Failed(failure, row) => (Err(Refusal::Failed(failure)), FollowUp::Owed(row)),
        Renewal::Unanswered => (Err(Refusal::Failed(RenewalFailure::DatabaseUnavailable)), FollowUp::Nothing),
        Renewal::GivenUp(claimed) => (Err(refusal_of_now(ports, row).await), FollowUp::Owed(claimed)),
        Renewal::NotOurs => (Err(refusal_of_now(ports, row).await), FollowUp::Nothing),
    };
    Refreshed { result, follow_up }
}

async fn refusal_of_now<P: Ports>(ports: &P, row: &Connection) -> Refusal {
    match ports.find(row.id).await {
        Ok(Some(row)) => Refusal::of(&row).unwrap_or_else(|| Refusal::too_soon(&row, ports.now())),
        Ok(None) => Refusal::NoConnection,
        Err(DatabaseUnavailable) => Refusal::Failed(RenewalFailure::DatabaseUnavailable),
    }
}

/// Once the caller is answered: stops what the new channel replaces, and runs.
pub async fn follow_up<P: Ports>(ports: &P, invocation: &Invocation, refreshed: Refreshed) {
    match refreshed.follow_up {
        FollowUp::Renewed(renewed) => {
            renewed.follow_up(ports, invocation, Reason::ManualRefresh).await;
        }
        FollowUp::Owed(row) => {
            run(ports, invocation, *row, Reason::ManualRefresh, Beforehand::Irrelevant).await;
        }
        FollowUp::Nothing => {}
    }
}
