//! Setup: a connection's first channel, or the one it has if that is well. Asking twice changes nothing.

use crate::connection::Connection;
use crate::failure::{DatabaseUnavailable, RenewalFailure};
use crate::invocation::Invocation;
use crate::ports::Ports;
use crate::refusal::Refusal;
use crate::renew::{Renewal, RenewedChannel, renew_channel};
use crate::schedule::{SETUP_PATIENCE, SETUP_READS_EVERY};
use crate::transition::Trigger;

/// A connection has a channel that is well.
#[derive(Clone, Debug, PartialEq)]
pub enum SetUp {
    Found,
    Opened(Box<RenewedChannel>),
}

pub async fn setup<P: Ports>(ports: &P, invocation: &Invocation, row: Connection) -> Result<SetUp, Refusal> {
    let give_up_at = ports.now() + SETUP_PATIENCE;
    let mut row = row;
    loop {
        if let Some(refusal) = Refusal::of(&row) {
            return Err(refusal);
        }
        if row.is_well(ports.now()) {
            return Ok(SetUp::Found);
        }
        match renew_channel(ports, invocation, &row, Trigger::Setup).await {
            Renewal::Renewed(renewed) => return Ok(SetUp::Opened(renewed)),
            Renewal::Failed(failure, _) => return Err(Refusal::Failed(failure)),
            Renewal::Unanswered => return Err(Refusal::Failed(RenewalFailure::DatabaseUnavailable)),
            Renewal::NotOurs | Renewal::GivenUp(_) => {}
        }
        if ports.now() >= give_up_at {
            return Err(Refusal::too_soon(&row, ports.now()));
        }
        ports.sleep(SETUP_READS_EVERY).await;
        row = match ports.find(row.id).await {
            Ok(Some(row)) => row,
            Ok(None) => return Err(Refusal::NoConnection),
            Err(DatabaseUnavailable) => return Err(Refusal::Failed(RenewalFailure::DatabaseUnavailable)),
        };
    }
}
