//! Once nothing is owed or in doubt, the schedule that stays was computed from the calendar as it is. So a run that is
//! not made was not needed.

use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::check::record::connection::{Case, KnownChange};
use crate::due::is_consenting;
use crate::fact::{Fact, Moment};
use crate::subject::Row;
use crate::time::{Instant, MINUTE, seconds};

#[derive(Default)]
pub(super) struct ThePlanFitsTheCalendar;

impl Check for ThePlanFitsTheCalendar {
    fn read(&mut self, record: &Record, at: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        let Fact::Reached(moment) = fact else { return };
        // What no notification told is seen by a look.
        let by_looks = matches!(moment, Moment::Reconciled | Moment::SilenceOver { .. });
        let is_judged = by_looks
            || matches!(
                moment,
                Moment::ChangesSeen { .. }
                    | Moment::HiccupOver { .. }
                    | Moment::BurstOver { .. }
                    | Moment::ButtonsPressed { .. }
                    | Moment::Repeated { .. }
            );
        for (case, row) in record.rows().filter(|_| is_judged) {
            let is_run = case.broken.is_none_or(|broken| by_looks && broken.is_run());
            let hears = by_looks || (record.is_healthy(case) && !record.is_excused(case));
            let is_settled = row.sync_request_id.is_none() && row.sync_streak == 0;
            let is_alive = row.is_active && row.sync_enabled && record.google.is_usable(row);
            if is_run && hears && is_settled && is_alive && is_consenting(row) {
                fits(record, at, case, row, found);
            }
        }
    }
}

fn fits(record: &Record, at: Instant, case: &Case, row: &Row, found: &mut Found<'_>) {
    let Some(calendar) = record.google.calendar_of(row) else { return };
    if record.google.is_gone(calendar) {
        return;
    }
    let Some(last) = case.last_word(at).filter(|last| !record.is_unnoticed(last)) else { return };
    // The known limit: what is done between a look and its run and undone later, no look sees where Google does not
    // tell.
    let lookback = last.run.start - MINUTE..last.run.start;
    let is_untold = |change: &KnownChange| change.unseen || !change.acknowledged;
    if case.changes.iter().any(|change| lookback.contains(&change.at) && is_untold(change)) {
        return;
    }
    let plans = record.google.plans(calendar);
    if last.run.read != Some((calendar, plans)) {
        let read = last.run.read.map(|(_, plans)| plans.0);
        let what = format!("the run at {} s wrote last and read {read:?}", seconds(last.run.start));
        found.broken(case.number, format!("{what}, and the calendar has {}", plans.0));
    }
}
