//! A connection that fails again and again says in its row why, in Google's sense. An invocation that learns that a
//! consent is dead writes it into the row. What a person must mend stays told until it is mended: what passes by itself
//! does not take its place.

use protocol::transition::Transition;

use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::check::record::invocation::Conduct;
use crate::check::row::{PASSING, is_live};
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
    let is_of_renewal = matches!(step.transition, Transition::FailRenewal | Transition::DoubtChannel);
    if !is_of_renewal && !matches!(step.transition, Transition::BookRefusal | Transition::RefuseLook) {
        return;
    }
    let error = step.after.webhook_error.as_deref().unwrap_or("nothing");
    let is_passing = |error: &str| PASSING.contains(&error);
    // Where there are only looks, it is told that they fail for long.
    let is_hidden = |told: &&str| {
        !is_passing(told)
            && (is_of_renewal || *told != "push_not_supported")
            && !is_mended(record, step, told)
    };
    let told_before = step.before.webhook_error.as_deref().filter(|_| is_passing(error));
    if let Some(told) = told_before.filter(is_hidden) {
        let what = format!("{} tells {error} in the place of {told}", step.invocation);
        found.broken(step.connection, what);
    }
    if !is_of_renewal {
        return;
    }
    let stays = record.may_leave_error(step);
    // Or it is the database's answer to the new access token.
    let is_said = record.life(step.invocation).is_some_and(|life| {
        life.heard(step.connection, |said| said.code == error || stays && is_passing(said.code))
            || stays && life.unanswered_at.is_some()
    });
    if !is_said && error != "database_unavailable" {
        let what = format!("{} tells {error}, and Google said something else", step.invocation);
        found.broken(step.connection, what);
    }
}

/// Whether the invocation has seen that it is not so any more.
fn is_mended(record: &Record, step: &Step<'_>, told: &str) -> bool {
    let Some(life) = record.life(step.invocation) else { return false };
    let is_read = || life.has_read.contains(&step.connection);
    // The row may hold another token by now.
    let has_token = || {
        let access = step.before.access_token.as_ref().and_then(|token| record.google.access(token));
        life.has_renewed.contains(&step.connection)
            || access.is_some_and(|access| access.issued_at >= life.started_at)
    };
    match told {
        // No look is refused for it.
        "push_not_supported" | "webhook_url_rejected" => false,
        "reconnect_required" | "oauth_client_invalid" => is_read() || has_token(),
        _ => is_read(),
    }
}
