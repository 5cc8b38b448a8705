//! Access tokens: the one on the row while it is good, a renewed one otherwise.

use chrono::TimeDelta;

use crate::connection::Connection;
use crate::failure::{Refused, RenewalFailure, Word};
use crate::grant::{Access, NoAccess};
use crate::ports::Ports;
use crate::schedule::{DATABASE_TIMEOUT, GOOGLE_TIMEOUT};
use crate::transition;

/// The row's access token, renewed if less than `margin` is left of it.
pub(crate) async fn access<P: Ports>(
    ports: &P,
    row: &Connection,
    margin: TimeDelta,
) -> Result<Access, NoAccess> {
    match row.access_token_for(ports.now(), margin) {
        Some(token) => Ok(Access { token: token.clone(), renewed: None }),
        None => renewed_access(ports, row).await,
    }
}

/// A new access token, stored unless somebody reconnected meanwhile.
pub(crate) async fn renewed_access<P: Ports>(ports: &P, row: &Connection) -> Result<Access, NoAccess> {
    let Some(refresh_token) = &row.refresh_token else {
        // Not Google's word, which was not asked: so that the operator is told what is to be changed.
        let reason = Word::parse("refresh_token_missing");
        return Err(NoAccess::Failed(Refused { reason, ..RenewalFailure::ReconnectRequired.into() }));
    };
    let answer = ports.renew_token(refresh_token, GOOGLE_TIMEOUT).await.map_err(NoAccess::Failed)?;
    let expires_at = ports.now() + TimeDelta::from_std(answer.expires_in).unwrap_or(TimeDelta::zero());
    match ports.update(transition::store_token(row, &answer, expires_at), DATABASE_TIMEOUT).await {
        Ok(Some(stored)) => Ok(Access { token: answer.access_token, renewed: Some(stored) }),
        Ok(None) => Err(NoAccess::Superseded),
        Err(unavailable) => Err(NoAccess::Failed(unavailable.into())),
    }
}
