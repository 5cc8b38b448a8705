//! Reading a row's calendar, for a look.

use crate::Timestamp;
use crate::access::{access, renewed_access};
use crate::connection::Connection;
use crate::failure::Refused;
use crate::grant::{Access, NoAccess};
use crate::invocation::Invocation;
use crate::look::{Anchor, Look, LookFailure};
use crate::ports::Ports;
use crate::schedule::{DATABASE_TIMEOUT, GOOGLE_TIMEOUT, LONGEST_LOOK, LOOK_TIMEOUT, TOKEN_MARGIN};

/// Why a calendar was not read.
pub(crate) enum Unread {
    /// Google refused the token or the calendar, or did not answer.
    Refused(Refused),
    /// There is more than a look compares.
    TooLarge,
    /// What it is like is not known, for this reason: the answer makes no sense, or there was no time to read.
    Unknown(&'static str),
    /// The connection was reconnected, or moved to another calendar.
    Superseded,
}

/// Looks at the calendar of `row`, so that it can be compared with the look before, and ends about `until`.
pub(crate) async fn read_calendar<P: Ports>(
    ports: &P,
    invocation: &Invocation,
    row: &mut Connection,
    until: Timestamp,
) -> Result<Look, Unread> {
    let anchor = Anchor::of_look(ports.now(), row.seen().as_ref());
    let answer = read_from(ports, row, anchor, until).await;
    invocation.count_read(match &answer {
        Ok(look) => look.size,
        Err(Unread::TooLarge) => LONGEST_LOOK,
        Err(_) => 0,
    });
    answer
}

/// Looks at the calendar of `row` from the anchor on, and ends about `until`. The token is renewed on the way where
/// Google no longer takes it.
pub(crate) async fn read_from<P: Ports>(
    ports: &P,
    row: &mut Connection,
    anchor: Anchor,
    until: Timestamp,
) -> Result<Look, Unread> {
    let mut access = access(ports, row, TOKEN_MARGIN).await?;
    let mut is_renewed = access.renewed.is_some();
    loop {
        let Access { token, renewed } = access;
        if let Some(stored) = renewed {
            row.adopt_consent(stored);
        }
        let left = || until.signed_duration_since(ports.now()).to_std().unwrap_or_default();
        let timeout = LOOK_TIMEOUT.min(left());
        match ports.look(&token, row.calendar_id.as_ref(), anchor, timeout).await {
            Ok(look) => return Ok(look),
            Err(LookFailure::Unauthorized(_)) if !is_renewed => {
                if left() <= GOOGLE_TIMEOUT + DATABASE_TIMEOUT {
                    return Err(Unread::Unknown("timed_out"));
                }
                is_renewed = true;
                access = renewed_access(ports, row).await?;
            }
            Err(LookFailure::Unauthorized(refused) | LookFailure::Refused(refused)) => {
                return Err(Unread::Refused(refused));
            }
            Err(LookFailure::TooLarge) => return Err(Unread::TooLarge),
            Err(failure @ LookFailure::Doubtful) => return Err(Unread::Unknown(failure.code())),
        }
    }
}

impl From<NoAccess> for Unread {
    fn from(no_access: NoAccess) -> Self {
        match no_access {
            NoAccess::Failed(refused) => Self::Refused(refused),
            NoAccess::Superseded => Self::Superseded,
        }
    }
}
