//! What every history must keep to.

use std::fmt;

/// A promise that a history can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Every change answered with 2xx, and every one that no channel could report, is followed by a successful run
    /// that started later, or that run is still owed.
    NoChangeIsLost,
    /// A channel that has died, a consent that was withdrawn, a calendar that is gone and a notification that never
    /// came are noticed within hours, and within minutes while the channel is not well.
    SilenceIsNoticed,
    /// The schedule that stays was computed after the last change.
    TheLastWordIsNotStale,
    /// No two runs of one connection while their leases hold.
    OneRunAtATime,
    /// Nothing runs, watches or holds a channel for a paused or disconnected connection, and nothing runs for a consent
    /// that is known to be dead.
    PausedMeansPaused,
    /// A notification, a setup or a button concerns one connection.
    OnlyTheAffectedUser,
    /// Google is answered within 5 s, and after one request where the current channel has a new number.
    GoogleIsAnsweredAtOnce,
    /// What Google did not send changes nothing.
    ForgeriesChangeNothing,
    /// No channel is stopped that a row names, as its own or as the one being opened.
    TheCurrentChannelIsNeverStopped,
    /// That a channel has spoken is noted with its row.
    OpenedChannelsAreConfirmed,
    /// A row never names a channel that is stopped, so that a renewal leaves no gap.
    NoGap,
    /// An id that is out of both columns never comes back.
    IdsNeverComeBack,
    /// Once every live channel has spoken there is one, and the row names it.
    OneLiveChannel,
    /// The channels that a row named when it was deleted are stopped within a day, as long as its consent lives.
    DeletedRowsAreSeenOff,
    /// Tokens, errors and channels of an old consent or calendar are not written over a new one's.
    ConsentsAreNotMixed,
    /// A connection that nothing is wrong with is well and owes nothing a few hours after the faults stopped.
    EverythingRecovers,
    /// What is begun is booked in its row before it is tried, and what is over leaves nothing behind.
    EverythingIsBooked,
    /// What a sweep, a setup or the button answers is what happened.
    AnswersAreTrue,
    /// What fails again and again says in its row why.
    WhatIsBrokenIsTold,
    /// Connections that fail or hang do not keep others waiting.
    NobodyStarves,
    /// A change in a quiet time is looked at within seconds.
    ChangesAreSeenPromptly,
    /// An echo loop is slowed down.
    EchoesAreBraked,
    /// Calls are bounded: per sweep, per burst, per hour, for what is broken and for what is well.
    WorkIsBounded,
    /// Once nothing is owed or in doubt, the schedule that stays was computed from the calendar as it is.
    ThePlanFitsTheCalendar,
    /// A host that writes its sessions into the watched calendar is run twice per real change, not for ever.
    OwnWritesComeToRest,
    /// A run finds a good access token in its row, as long as the consent lives and Google gives one.
    ARunHasAToken,
    /// A run is skipped only where a look shows the calendar as the last successful run's look found it.
    NoLookSkipsWhatARunMustSee,
}

/// A promise broken, with what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub promise: Promise,
    pub what: String,
    /// Which connection, by number; none = all of them.
    pub connection: Option<usize>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.promise, self.what)
    }
}
