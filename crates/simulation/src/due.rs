//! When a sweep has something to do for a connection, by any clock: the world leaves out the sweeps before, and the
//! checks hold the others to it.

use protocol::connection::Connection;
use protocol::failure::RenewalFailure;

use crate::time::{Instant, instant};

/// What a row tells of a consent with which nothing can be done but to ask for a channel now and then.
pub(crate) const DEAD: [RenewalFailure; 3] =
    [RenewalFailure::ReconnectRequired, RenewalFailure::PermissionMissing, RenewalFailure::BlockedByPolicy];

/// Whether Google is not known to refuse whatever is asked for in the user's name.
pub(crate) fn is_consenting(row: &Connection) -> bool {
    !DEAD.iter().any(|failure| row.webhook_error.as_deref() == Some(failure.code()))
}

pub(crate) fn due_at(row: &Connection) -> Instant {
    if !(row.is_active && row.sync_enabled) {
        let names_channel = row.webhook_id.is_some() || row.webhook_pending_id.is_some();
        return if names_channel { 0 } else { Instant::MAX };
    }
    let run = match row.sync_request_id {
        _ if !is_consenting(row) => Instant::MAX,
        Some(_) => instant(row.sync_lease_until.max(row.sync_not_before)),
        None => instant(row.sync_look_at),
    };
    run.min(instant(row.webhook_lease_until.max(row.webhook_not_before)))
}
