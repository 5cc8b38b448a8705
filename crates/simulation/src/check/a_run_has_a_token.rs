//! A run finds an access token in its row that is good for some minutes, as long as the consent lives and Google gives
//! one.

use protocol::schedule::{LOOK_TIMEOUT, PREPARATION, TOKEN_MARGIN_OF_A_RUN};

use crate::assumption::SKEW;
use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::fact::Fact;
use crate::subject::Run;
use crate::time::{Instant, SECOND, delta, micros};

/// What goes by between the look at the clock and the call: a look, and the call's way.
const ON_THE_WAY: Instant = delta(PREPARATION) + micros(LOOK_TIMEOUT) + 5 * SECOND;

#[derive(Default)]
pub(super) struct ARunHasAToken;

impl Check for ARunHasAToken {
    fn read(&mut self, record: &Record, _: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        if let Fact::RunStarted(run) = fact {
            has_a_token(record, run, found);
        }
    }
}

fn has_a_token(record: &Record, run: &Run, found: &mut Found<'_>) {
    let Some((life, case)) = record.life(run.holder).zip(record.case(run.connection)) else { return };
    let Some((row, claim)) = case.row.as_ref().zip(life.claims.get(&run.connection)) else { return };
    let access = row.access_token.as_ref().and_then(|token| record.google.access(token));
    // By the clock of who stored it, and by that of who reads it.
    let lasts = |access_until: Instant| {
        access_until >= run.start + delta(TOKEN_MARGIN_OF_A_RUN) - 2 * SKEW - ON_THE_WAY
    };
    // Google may give one that does not last.
    let is_good = access.is_some_and(|access| lasts(access.expires_at) || access.issued_at >= claim.sent_at);
    // What was not answered may take effect late.
    let is_unanswered = life.unanswered_at.is_some() || life.frozen;
    let is_refused = life.token_refused_at.get(&run.connection).is_some_and(|at| *at >= claim.sent_at);
    // The host's own write may have come between, or a token that somebody else was given for less.
    let changes = [case.written_at, case.token_stored_at];
    let is_new = changes.into_iter().flatten().any(|at| at >= claim.sent_at);
    if !is_good && !is_unanswered && !is_refused && !is_new && record.google.is_usable(row) {
        found.broken(run.connection, format!("{} runs with an access token that ends soon", run.holder));
    }
}
