//! A notification, a setup or a button concerns one connection, and nobody touches another provider's.

use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::fact::{Fact, Step};
use crate::time::Instant;

#[derive(Default)]
pub(super) struct OnlyTheAffectedUser;

impl Check for OnlyTheAffectedUser {
    fn read(&mut self, record: &Record, _: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        let Fact::Applied(Step { invocation, connection, .. }) = fact else { return };
        if record.case(*connection).is_none() {
            found.broken(None, format!("{invocation} changed a row that is not Google's"));
        } else if invocation.connection().is_some_and(|own| own != *connection) {
            found.broken(*connection, format!("{invocation} changed another's row"));
        }
    }
}
