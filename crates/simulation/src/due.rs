//! When a sweep has something to do for a connection, by any clock: the world leaves out the sweeps before, and the
//! checks hold the others to it.

use protocol::connection::Connection;
use protocol::schedule::RECONCILE_AFTER;

use crate::time::{Instant, delta, instant};

pub(crate) fn due_at(row: &Connection) -> Instant {
    if !(row.is_active && row.sync_enabled) {
        let names_channel = row.webhook_id.is_some() || row.webhook_pending_id.is_some();
        return if names_channel { 0 } else { Instant::MAX };
    }
    let run = match row.sync_request_id {
        Some(_) => instant(row.sync_lease_until.max(row.sync_not_before)),
        None => row.last_sync_at.map_or(0, |at| instant(at) + delta(RECONCILE_AFTER)),
    };
    run.min(instant(row.webhook_lease_until.max(row.webhook_not_before)))
}
