//! The channels of connections that were deleted: stopped with what the database kept of them, within a day.

use crate::connection::{AccessToken, Farewell};
use crate::failure::StopFailure;
use crate::ports::Ports;
use crate::schedule::{DATABASE_TIMEOUT, FAREWELL_INTERVAL, FAREWELLS_LAST, GOOGLE_TIMEOUT, TOKEN_MARGIN};
use crate::stop::stop;

/// Stops the channels, if the claim is granted, and forgets the connection once they are, or cannot be.
pub(crate) async fn see_off<P: Ports>(ports: &P, farewell: &Farewell) {
    let now = ports.now();
    let next = now + FAREWELL_INTERVAL;
    if !matches!(ports.claim_farewell(farewell, next, DATABASE_TIMEOUT).await, Ok(true)) {
        return;
    }
    let is_over = now.signed_duration_since(farewell.deleted_at) >= FAREWELLS_LAST;
    if stop_all(ports, farewell).await || is_over {
        let _ = ports.delete_farewell(farewell.id, DATABASE_TIMEOUT).await;
    }
}

/// Whether nothing is left to be tried.
async fn stop_all<P: Ports>(ports: &P, farewell: &Farewell) -> bool {
    let Some(resource) = &farewell.resource_id else { return true };
    let token = match access_token(ports, farewell).await {
        Ok(Some(token)) => token,
        Ok(None) => return true,
        Err(TryAgain) => return false,
    };
    let mut token = token;
    let mut is_renewed = false;
    let mut is_done = true;
    for channel in &farewell.channels {
        let mut answer = stop(ports, farewell.connection, &token, channel, resource).await;
        if matches!(answer, Err(StopFailure::Unauthorized(_))) && !is_renewed {
            is_renewed = true;
            token = match renewed_token(ports, farewell).await {
                Ok(Some(renewed)) => renewed,
                Ok(None) => return true,
                Err(TryAgain) => return false,
            };
            answer = stop(ports, farewell.connection, &token, channel, resource).await;
        }
        is_done &= match answer {
            Err(StopFailure::Refused(refused)) => refused.failure.is_consent_dead(),
            Err(StopFailure::Unauthorized(_)) => false,
            Ok(()) | Err(StopFailure::Unknown) => true,
        };
    }
    is_done
}

struct TryAgain;

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
        Err(refused) if refused.failure.is_consent_dead() => Ok(None),
        Err(_) => Err(TryAgain),
    }
}
