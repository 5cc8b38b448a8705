//! How often each kind of fault happens in one history.

use crate::fault::{Fault, Faults};
use crate::world::dice::Dice;

pub(crate) struct Odds(Vec<f64>);

impl Odds {
    pub(crate) fn draw(dice: &Dice, without: Faults) -> Self {
        let odds = |fault: &Fault| {
            let share = dice.pick(&[0.0, 0.0, 0.3, 1.0, 3.0]).unwrap_or_default();
            // Drawn all the same, so that the rest of the history resembles the one with this kind.
            if without.contains(*fault) { 0.0 } else { fault.usual() * share }
        };
        Self(Fault::ALL.iter().map(odds).collect())
    }

    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn of(&self, fault: Fault) -> f64 {
        self.0.get(fault as usize).copied().unwrap_or_default()
    }
}
