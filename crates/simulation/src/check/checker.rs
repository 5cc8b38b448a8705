//! What a check is: a small state machine that is fed with facts, and says where they break its promise.

use crate::check::record::Record;
use crate::fact::Fact;
use crate::promise::{Promise, Violation};
use crate::time::Instant;

pub(super) trait Check {
    /// Reads a fact; the record is as it was before it.
    fn read(&mut self, record: &Record, at: Instant, fact: &Fact<'_>, found: &mut Found<'_>);
}

/// Where a check tells that its promise is broken. The first time counts.
pub(super) struct Found<'a> {
    promise: Promise,
    violation: &'a mut Option<Violation>,
}

impl<'a> Found<'a> {
    pub(super) fn new(promise: Promise, violation: &'a mut Option<Violation>) -> Self {
        Self { promise, violation }
    }

    /// No connection = all of them.
    pub(super) fn broken(&mut self, connection: impl Into<Option<usize>>, what: impl Into<String>) {
        if self.violation.is_none() {
            let (promise, connection) = (self.promise, connection.into());
            *self.violation = Some(Violation { promise, what: what.into(), connection });
        }
    }
}
