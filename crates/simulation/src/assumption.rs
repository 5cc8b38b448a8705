//! What the simulation takes for granted: the world keeps to it, and the checks count on it.

use std::time::Duration;

use crate::time::{Instant, SECOND};

/// How much the clock of a function may be off. Two together are off by less than what tells an echo from a change, or
/// a run more is made of it.
pub(crate) const SKEW: Instant = 9 * SECOND;

/// How long `recalculate-schedule` may work, unless its host stands still: an Edge Function's life, less a few seconds
/// that it took to get to it.
pub(crate) const CALLEE_LIFE: Instant = 140 * SECOND;

/// How long a run keeps others out: longer than its callee lives, by two clocks.
pub(crate) const RUN_LEASE: Duration = Duration::from_secs(180);
