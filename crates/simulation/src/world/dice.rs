//! Chance, all of it from one seed.

use std::cell::RefCell;

use crate::time::Instant;

pub(crate) struct Dice(RefCell<fastrand::Rng>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(RefCell::new(fastrand::Rng::with_seed(seed)))
    }

    pub(crate) fn chance(&self, probability: f64) -> bool {
        self.0.borrow_mut().f64() < probability
    }

    /// Less than `n`; 0 if `n` is.
    pub(crate) fn below(&self, n: usize) -> usize {
        if n < 2 { 0 } else { self.0.borrow_mut().usize(..n) }
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&self, low: Instant, high: Instant) -> Instant {
        if high <= low { low } else { self.0.borrow_mut().i64(low..=high) }
    }

    /// Mostly near `low`, now and then near `high`.
    pub(crate) fn mostly_low(&self, low: Instant, high: Instant) -> Instant {
        let span = self.between(0, 20);
        low + self.between(0, (high - low) >> span.min(6))
    }

    pub(crate) fn pick<T: Clone>(&self, from: &[T]) -> Option<T> {
        from.get(self.below(from.len())).cloned()
    }

    pub(crate) fn bits(&self) -> u128 {
        self.0.borrow_mut().u128(..)
    }
}
