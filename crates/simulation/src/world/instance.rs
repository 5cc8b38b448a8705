//! A worker in which invocations run side by side: they share its clock and its list of waiting requests.

use protocol::waiters::Waiters;

use crate::assumption::SKEW;
use crate::fault::Fault;
use crate::time::Instant;
use crate::world::dice::Dice;
use crate::world::odds::Odds;

#[derive(Clone)]
pub(crate) struct Instance {
    pub(crate) waiters: Waiters,
    /// By how much its clock is ahead.
    pub(crate) skew: Instant,
}

impl Instance {
    pub(crate) fn draw(dice: &Dice, odds: &Odds) -> Self {
        let skew = if odds.of(Fault::Skew) > 0.0 { dice.between(-SKEW, SKEW) } else { 0 };
        Self { waiters: Waiters::default(), skew }
    }
}
