//! The channels of connections that were deleted: stopped with what the database kept of them, within a day.

use chrono::TimeDelta;

use crate::connection::{AccessToken, Farewell};
use crate::failure::{Refused, RenewalFailure, StopFailure};
use crate::ports::Ports;
use crate::schedule::{
    DATABASE_TIMEOUT, FAREWELL_INTERVAL, FAREWELLS_LAST, GOOGLE_TIMEOUT, RENEWAL_LEASE, TOKEN_MARGIN,
    asked_to_wait,
};
use crate::stop::{Unknown, stop};

/// Stops the channels, if the claim is granted, and forgets the connection once they are, or cannot be.
pub(crate) async fn see_off<P: Ports>(ports: &P, farewell: &Farewell) {
    let now = ports.now();
    let next = now + FAREWELL_INTERVAL;
    if !matches!(ports.claim_farewell(farewell, next, DATABASE_TIMEOUT).await, Ok(true)) {
        return;
    }
    let tried = stop_all(ports, farewell).await;
    let is_over = now.signed_duration_since(farewell.deleted_at) >= FAREWELLS_LAST;
    match tried {
        Err(TryAgain { after }) if !is_over => {
            if after > FAREWELL_INTERVAL {
                let claimed = Farewell { not_before: next, ..farewell.clone() };
                let _ = ports.claim_farewell(&claimed, now + after, DATABASE_TIMEOUT).await;
            }
        }
        _ => {
            let _ = ports.delete_farewell(farewell.id, DATABASE_TIMEOUT).await;
        }
    }
}

/// Google did not do it now.
struct TryAgain {
    after: TimeDelta,
}

impl TryAgain {
    fn of(refused: &Refused) -> Self {
        Self { after: asked_to_wait(refused) }
    }
}

/// Until nothing is left to be tried.
async fn stop_all<P: Ports>(ports: &P, farewell: &Farewell) -> Result<(), TryAgain> {
    let Some(resource) = &farewell.resource_id else { return Ok(()) };
    let Some(mut token) = access_token(ports, farewell).await? else { return Ok(()) };
    let mut is_renewed = false;
    let mut result = Ok(());
    // A request for a channel that was on its way when the row was deleted may open it yet.
    let may_open = ports.now().signed_duration_since(farewell.deleted_at) < RENEWAL_LEASE;
    for channel in &farewell.channels {
        let mut answer = stop(ports, farewell.connection, &token, channel, resource, Unknown::Gone).await;
        if matches!(answer, Err(StopFailure::Unauthorized(_))) && !is_renewed {
            is_renewed = true;
            let Some(renewed) = renewed_token(ports, farewell).await? else { return Ok(()) };
            token = renewed;
            answer = stop(ports, farewell.connection, &token, channel, resource, Unknown::Gone).await;
        }
        match answer {
            Err(StopFailure::Refused(refused)) if is_final(&refused) => {}
            Err(StopFailure::Refused(refused) | StopFailure::Unauthorized(refused)) => {
                result = Err(TryAgain::of(&refused));
            }
            Err(StopFailure::Unknown) if may_open => result = Err(TryAgain { after: TimeDelta::zero() }),
            Ok(()) | Err(StopFailure::Unknown) => {}
        }
    }
    result
}

/// None where there is no consent left to stop a channel with. A token that is renewed is not kept: the row is gone.
async fn access_token<P: Ports>(ports: &P, farewell: &Farewell) -> Result<Option<AccessToken>, TryAgain> {
    match farewell.access_token_for(ports.now(), TOKEN_MARGIN) {
        Some(token) => Ok(Some(token.clone())),
        None => renewed_token(ports, farewell).await,
    }
}

async fn renewed_token<P: Ports>(ports: &P, farewell: &Farewell) -> Result<Option<AccessToken>, TryAgain> {
    let Some(refresh_token) = &farewell.refresh_token else { return Ok(None) };
    match ports.renew_token(refresh_token, GOOGLE_TIMEOUT).await {
        Ok(renewed) => Ok(Some(renewed.access_token)),
        Err(refused) if is_final(&refused) => Ok(None),
        Err(refused) => Err(TryAgain::of(&refused)),
    }
}

/// Whether no later try can stop the channel: the consent is dead, and not only blocked by a policy, which an administrator
/// may change any day.
fn is_final(refused: &Refused) -> bool {
    refused.failure.is_consent_dead() && refused.failure != RenewalFailure::BlockedByPolicy
}
