//! What Google did not send changes nothing.

use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::fact::Fact;
use crate::subject::Purpose;
use crate::time::Instant;

#[derive(Default)]
pub(super) struct ForgeriesChangeNothing;

impl Check for ForgeriesChangeNothing {
    fn read(&mut self, _: &Record, _: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        if let Fact::Applied(step) = fact
            && step.invocation.purpose == Purpose::Forged
        {
            found.broken(step.connection, "a forged notification changed a row");
        }
    }
}
