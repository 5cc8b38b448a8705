//! A connection that fails again and again says in its row why, in Google's sense. An invocation that learns that a
//! consent is dead writes it into the row.

use protocol::transition::Transition;

use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::check::record::invocation::Conduct;
use crate::check::row::is_live;
use crate::due::is_consenting;
use crate::fact::{Deed, Fact, Moment, Step};
use crate::subject::Broken;
use crate::time::Instant;

#[derive(Default)]
pub(super) struct WhatIsBrokenIsTold;

impl Check for WhatIsBrokenIsTold {
    fn read(&mut self, record: &Record, _: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        match fact {
            Fact::Applied(step) => steps(record, step, found),
            Fact::Of(invocation, Deed::Ends) => {
                if let Some(life) = record.life(*invocation).filter(|life| !life.frozen) {
                    ends(record, life, found);
                }
            }
            Fact::Reached(Moment::Recovered) => {
                for (case, row) in record.rows() {
                    let is_untold = match case.broken {
                        Some(Broken::Revoked | Broken::WatchRefused | Broken::WatchUnanswered) => {
                            row.webhook_attempts > 1 && row.webhook_error.is_none()
                        }
                        Some(Broken::RunsFail | Broken::RunsHang) => {
                            row.sync_attempts > 1 && row.sync_error.is_none() && is_consenting(row)
                        }
                        _ => false,
                    };
                    if is_live(row) && is_untold {
                        let what = "it fails again and again, and the row does not say why";
                        found.broken(case.number, what);
                    }
                }
            }
            _ => {}
        }
    }
}

fn ends(record: &Record, life: &Conduct, found: &mut Found<'_>) {
    for connection in &life.dead_consents {
        let untold = record.row(*connection).filter(|row| is_live(row) && is_consenting(row));
        if untold.is_some_and(|row| !record.google.is_usable(row)) {
            found.broken(
                *connection,
                format!("{} hears of a dead consent, and does not tell", life.invocation),
            );
        }
    }
}

fn steps(record: &Record, step: &Step<'_>, found: &mut Found<'_>) {
    if !matches!(step.transition, Transition::FailRenewal | Transition::DoubtChannel) {
        return;
    }
    let error = step.after.webhook_error.as_deref().unwrap_or("nothing");
    // Or it is the database's answer to the new access token.
    let is_said = record
        .life(step.invocation)
        .is_some_and(|life| life.heard(step.connection, |said| said.code == error));
    if !is_said && error != "database_unavailable" {
        let what = format!("{} tells {error}, and Google said something else", step.invocation);
        found.broken(step.connection, what);
    }
}
