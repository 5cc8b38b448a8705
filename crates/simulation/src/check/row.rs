//! What a row and a request say, by other definitions than those that are judged.

use protocol::connection::{Connection, RequestId};
use protocol::schedule::{DAILY, LONGEST_BACKOFF, LONGEST_JITTER, RENEWAL_BACKOFF};
use protocol::transition::Transition;

use crate::due::is_consenting;
use crate::fact::Step;
use crate::subject::{Purpose, Row};
use crate::time::{Instant, MILLISECOND, delta, instant};

/// What a row tells of what only a person can mend.
pub(super) const PERMANENT: [&str; 6] = [
    "reconnect_required",
    "permission_missing",
    "blocked_by_policy",
    "no_calendar",
    "push_not_supported",
    "calendar_not_found",
];

/// What a row tells of what passes by itself.
pub(super) const PASSING: [&str; 4] =
    ["google_unavailable", "google_rate_limited", "google_rejected", "database_unavailable"];

/// Neither paused nor disconnected.
pub(super) fn is_live(row: &Connection) -> bool {
    row.is_active && row.sync_enabled
}

/// Whether a channel needs nothing.
pub(super) fn is_well(row: &Connection, now: Instant) -> bool {
    let trouble = row.webhook_attempts > 0 || row.webhook_error.is_some();
    let ours = row.webhook_id.is_some() && instant(row.webhook_opened_at) != 0;
    let lasts = row.webhook_expiration.is_some_and(|expiration| instant(expiration) > now);
    is_live(row) && ours && lasts && !trouble && instant(row.webhook_not_before) > now
}

/// Whether Google can be relied on to tell of changes: by a channel that has spoken.
pub(super) fn hears(row: &Row, now: Instant) -> bool {
    let lasts = row.webhook_expiration.is_some_and(|expiration| instant(expiration) > now);
    let has_spoken = row.webhook_message_number > 0 || row.webhook_confirmed_id == row.webhook_id;
    row.webhook_id.is_some() && lasts && has_spoken
}

/// Whether a run may start now.
pub(super) fn is_owed_and_due(row: &Connection, clock: Instant) -> bool {
    row.sync_request_id.is_some()
        && is_live(row)
        && is_consenting(row)
        && instant(row.sync_lease_until) < clock
        && instant(row.sync_not_before) <= clock
}

/// When a request arose; none where it does not tell.
pub(super) fn arose_at(request: RequestId) -> Option<Instant> {
    let bits = request.0.as_u128();
    let millis = i64::try_from(bits >> 80).unwrap_or(0);
    (bits >> 76 & 0xf == 7).then_some(millis * MILLISECOND)
}

/// Whether a step asks for a run: it writes a request of its own.
pub(super) fn asks_for_a_run(step: &Step<'_>) -> bool {
    match step.transition {
        Transition::NoteChange
        | Transition::NoteOrphan
        | Transition::NotePending
        | Transition::CommitChannel
        | Transition::LoseRun
        | Transition::Reconcile => true,
        Transition::ClaimRenewal => matches!(step.invocation.purpose, Purpose::Button(_)),
        _ => false,
    }
}

/// How long nothing is tried again after so many attempts, at least.
pub(super) fn doubled(base: Instant, attempts: i64) -> Instant {
    unlimited(base, attempts).min(delta(LONGEST_BACKOFF))
}

/// How long a renewal that failed so often before is not tried again, at least. What is refused for no known reason
/// waits longest.
pub(super) fn after_refusal(error: &str, attempts: i64) -> Instant {
    let longest = if error == "google_rejected" { DAILY } else { LONGEST_BACKOFF };
    unlimited(delta(RENEWAL_BACKOFF), attempts).min(delta(longest))
}

fn unlimited(base: Instant, attempts: i64) -> Instant {
    base << attempts.clamp(0, 20)
}

/// A fifth longer.
pub(super) fn jittered(delay: Instant) -> Instant {
    delay + (delay / 5).min(delta(LONGEST_JITTER))
}
