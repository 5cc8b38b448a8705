//! The checks: a file for each promise, named by it. Each is fed with the facts of a history and with what they have
//! told so far; none knows the world, calls what the protocol decides by, or guesses a transition from its columns.

mod a_run_has_a_token;
mod answers_are_true;
mod changes_are_seen_promptly;
mod checker;
mod consents_are_not_mixed;
mod deleted_rows_are_seen_off;
mod echoes_are_braked;
mod everything_is_booked;
mod everything_recovers;
mod forgeries_change_nothing;
mod google_is_answered_at_once;
mod ids_never_come_back;
mod no_change_is_lost;
mod no_gap;
mod no_look_skips_what_a_run_must_see;
mod nobody_starves;
mod one_live_channel;
mod one_run_at_a_time;
mod only_the_affected_user;
mod opened_channels_are_confirmed;
mod own_writes_come_to_rest;
mod paused_means_paused;
mod record;
mod row;
mod silence_is_noticed;
mod the_current_channel_is_never_stopped;
mod the_last_word_is_not_stale;
mod the_plan_fits_the_calendar;
mod what_is_broken_is_told;
mod work_is_bounded;

use checker::{Check, Found};
use record::Record;

use crate::fact::Fact;
use crate::promise::{Promise, Violation};
use crate::time::Instant;

/// All of them, and what they read.
pub(crate) struct Checks {
    record: Record,
    checks: Vec<(Promise, Box<dyn Check>)>,
    violation: Option<Violation>,
}

impl Checks {
    /// `known_limit`: also judges what the protocol is known not to see.
    pub(crate) fn new(known_limit: bool) -> Self {
        let last_word = the_last_word_is_not_stale::TheLastWordIsNotStale::new(known_limit);
        Self {
            record: Record::default(),
            checks: vec![
                of::<no_change_is_lost::NoChangeIsLost>(Promise::NoChangeIsLost),
                of::<silence_is_noticed::SilenceIsNoticed>(Promise::SilenceIsNoticed),
                (Promise::TheLastWordIsNotStale, Box::new(last_word)),
                of::<one_run_at_a_time::OneRunAtATime>(Promise::OneRunAtATime),
                of::<paused_means_paused::PausedMeansPaused>(Promise::PausedMeansPaused),
                of::<only_the_affected_user::OnlyTheAffectedUser>(Promise::OnlyTheAffectedUser),
                of::<google_is_answered_at_once::GoogleIsAnsweredAtOnce>(Promise::GoogleIsAnsweredAtOnce),
                of::<forgeries_change_nothing::ForgeriesChangeNothing>(Promise::ForgeriesChangeNothing),
                of::<the_current_channel_is_never_stopped::TheCurrentChannelIsNeverStopped>(
                    Promise::TheCurrentChannelIsNeverStopped,
                ),
                of::<opened_channels_are_confirmed::OpenedChannelsAreConfirmed>(
                    Promise::OpenedChannelsAreConfirmed,
                ),
                of::<no_gap::NoGap>(Promise::NoGap),
                of::<ids_never_come_back::IdsNeverComeBack>(Promise::IdsNeverComeBack),
                of::<one_live_channel::OneLiveChannel>(Promise::OneLiveChannel),
                of::<deleted_rows_are_seen_off::DeletedRowsAreSeenOff>(Promise::DeletedRowsAreSeenOff),
                of::<consents_are_not_mixed::ConsentsAreNotMixed>(Promise::ConsentsAreNotMixed),
                of::<everything_recovers::EverythingRecovers>(Promise::EverythingRecovers),
                of::<everything_is_booked::EverythingIsBooked>(Promise::EverythingIsBooked),
                of::<answers_are_true::AnswersAreTrue>(Promise::AnswersAreTrue),
                of::<what_is_broken_is_told::WhatIsBrokenIsTold>(Promise::WhatIsBrokenIsTold),
                of::<nobody_starves::NobodyStarves>(Promise::NobodyStarves),
                of::<changes_are_seen_promptly::ChangesAreSeenPromptly>(Promise::ChangesAreSeenPromptly),
                of::<echoes_are_braked::EchoesAreBraked>(Promise::EchoesAreBraked),
                of::<work_is_bounded::WorkIsBounded>(Promise::WorkIsBounded),
                of::<the_plan_fits_the_calendar::ThePlanFitsTheCalendar>(Promise::ThePlanFitsTheCalendar),
                of::<own_writes_come_to_rest::OwnWritesComeToRest>(Promise::OwnWritesComeToRest),
                of::<a_run_has_a_token::ARunHasAToken>(Promise::ARunHasAToken),
                of::<no_look_skips_what_a_run_must_see::NoLookSkipsWhatARunMustSee>(
                    Promise::NoLookSkipsWhatARunMustSee,
                ),
            ],
            violation: None,
        }
    }

    pub(crate) fn read(&mut self, at: Instant, fact: &Fact<'_>) {
        for (promise, check) in &mut self.checks {
            check.read(&self.record, at, fact, &mut Found::new(*promise, &mut self.violation));
        }
        self.record.take(at, fact);
    }

    /// Of the first promise that was broken.
    pub(crate) fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }
}

fn of<C: Check + Default + 'static>(promise: Promise) -> (Promise, Box<dyn Check>) {
    (promise, Box::new(C::default()))
}
