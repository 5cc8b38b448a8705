//! What is known, what is in flight, and what happens next. Pure: the time and every answer are arguments.

use crate::connection::{Connection, Event, Millis, Status, SyncStatus};
use crate::problem::{Failure, Problem};

/// While nothing is going on.
const CALM: Millis = 30_000.0;
/// While something is pending or in flight; the first pause after a failure doubles it.
const BUSY: Millis = 2_000.0;
/// How long the consent that the user was sent for is waited for at the faster pace.
const CONSENT: Millis = 5.0 * 60_000.0;
/// How long "Refreshed." stays, and how long a failure.
const SUCCESS: Millis = 6_000.0;
const FAILURE: Millis = 60_000.0;
/// What the functions ask for between two refreshes, where an answer does not say.
const COOLDOWN: f64 = 30.0;

/// What a card's button does, or what is done without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    SetUp,
    Refresh,
    Resume,
    Pause,
    Disconnect,
    Remove,
}

impl Action {
    /// Whether it only writes or deletes the row, which a host may do itself, and which no server limits.
    pub(crate) const fn is_choice(self) -> bool {
        matches!(self, Self::Resume | Self::Pause | Self::Disconnect | Self::Remove)
    }
}

/// What came of an action, and how long that is worth showing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) result: Result<Action, Problem>,
    until: Millis,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Session {
    #[default]
    Unknown,
    SignedOut,
    /// Nobody is named where the host brings its own tokens.
    SignedIn {
        user_id: Option<String>,
    },
}

/// A connection with what has become of it here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tracked {
    pub(crate) row: Connection,
    pub(crate) busy: Option<Action>,
    pub(crate) outcome: Option<Outcome>,
    /// Nothing may be asked of it before.
    pub(crate) wait_until: Millis,
    /// Setup was called since it appeared without a channel, so that one failure is not asked for again and again.
    set_up_called: bool,
    set_up_wanted: bool,
    /// The last that befell it, as far as they were asked for.
    pub(crate) events: Vec<Event>,
    are_events_wanted: bool,
    is_unfolded: bool,
}

impl Tracked {
    fn new(row: Connection) -> Self {
        let set_up_wanted = row.status == Status::NotSetUp;
        Self {
            row,
            busy: None,
            outcome: None,
            wait_until: 0.0,
            set_up_called: false,
            set_up_wanted,
            events: Vec::new(),
            are_events_wanted: false,
            is_unfolded: false,
        }
    }

    /// What failed before a button is tried again because of it: whether it still fails is seen next.
    pub(crate) fn sync_status(&self) -> SyncStatus {
        let is_tried = self.busy.is_some() || self.outcome.is_some_and(|outcome| outcome.result.is_ok());
        match self.row.sync_status {
            SyncStatus::Failing if is_tried => SyncStatus::Pending,
            sync_status => sync_status,
        }
    }

    /// Returns whether anything has changed.
    fn update(&mut self, row: Connection) -> bool {
        let (before, after) = (self.row.status, row.status);
        let awaited_consent = self.row.awaits_consent();
        let has_changed = self.row != row;
        // What becomes an event shows in one of these.
        self.are_events_wanted |=
            self.is_unfolded && (before != after || self.row.webhook_error != row.webhook_error);
        self.row = row;
        if after != Status::NotSetUp {
            self.set_up_called = false;
        }
        // By a consent, unless setup is just what makes the difference.
        let came_back = awaited_consent
            && after.is_live()
            && !self.row.awaits_consent()
            && self.busy != Some(Action::SetUp);
        self.set_up_wanted |= came_back || (after == Status::NotSetUp && !self.set_up_called);
        if before != after {
            self.outcome = self.outcome.filter(|outcome| outcome.result.is_ok());
        }
        has_changed
    }
}

/// The user was sent to Google, or wherever the host sends them.
#[derive(Clone, Debug, PartialEq)]
struct Consent {
    /// `None` for a new connection.
    connection_id: Option<String>,
    /// How many connections there were.
    before: usize,
    asked_at: Millis,
    /// Whether the host shows what is going on.
    hidden: bool,
    /// The host or a new page says that the user is back.
    returned: bool,
}

/// What a list of connections was asked for under.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    edition: u32,
    answers: u32,
}

/// An action under way.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    pub(crate) action: Action,
    pub(crate) id: String,
    edition: u32,
}

/// A question for what befell a connection.
#[derive(Clone, Debug)]
pub(crate) struct Recall {
    pub(crate) id: String,
    edition: u32,
}

/// What the client told of what it was asked for: who is signed in, connections, what befell one of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) session: Option<Session>,
    pub(crate) rows: Vec<Connection>,
    pub(crate) events: Vec<Event>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    session: Session,
    tracked: Option<Vec<Tracked>>,
    trouble: Option<Problem>,
    failures: u32,
    is_loading: bool,
    /// Whose answers these are: what was asked under an earlier number concerns somebody else.
    edition: u32,
    /// Counts the rows that functions returned: a list asked for before is older than they are.
    answers: u32,
    changes: u32,
    polled_at: Millis,
    consent: Option<Consent>,
    /// The first edition of the database keeps no events, and a host may keep them from users.
    has_no_events: bool,
}

impl State {
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// When the view was last asked for, in vain or not.
    pub(crate) fn polled_at(&self) -> Millis {
        self.polled_at
    }

    pub(crate) fn connections(&self) -> Option<&[Tracked]> {
        self.tracked.as_deref()
    }

    pub(crate) fn trouble(&self) -> Option<Problem> {
        self.trouble
    }

    pub(crate) fn is_loading(&self) -> bool {
        self.is_loading
    }

    pub(crate) fn has_consent(&self) -> bool {
        self.consent.is_some()
    }

    /// Counts what `calendar-status-change` is to tell.
    pub(crate) fn changes(&self) -> u32 {
        self.changes
    }

    /// Whether to say that the user's consent to this connection, or to a new one, is waited for.
    pub(crate) fn awaits_consent(&self, connection_id: Option<&str>, now: Millis) -> bool {
        self.consent.as_ref().is_some_and(|consent| {
            !consent.hidden
                && consent.connection_id.as_deref() == connection_id
                && now < consent.asked_at + CONSENT
        })
    }

    /// Another client: nothing that is known holds any more.
    pub(crate) fn reset(&mut self) {
        *self = Self { edition: self.edition + 1, changes: self.changes, ..Self::default() };
    }

    /// What the page gave as its client is none, or it gave nothing.
    pub(crate) fn given_no_client(&mut self) {
        self.trouble = Some(Problem::Misconfigured);
    }

    /// Somebody else's connections are forgotten at once. Returns whether anything changed.
    pub(crate) fn signed(&mut self, session: Session, now: Millis) -> bool {
        if self.session == session {
            return false;
        }
        if self.session != Session::Unknown {
            self.reset();
            self.polled_at = now;
        }
        self.session = session;
        true
    }

    /// `None` while the last list is still on its way.
    pub(crate) fn begin_load(&mut self) -> Option<Load> {
        let load = Load { edition: self.edition, answers: self.answers };
        (!std::mem::replace(&mut self.is_loading, true)).then_some(load)
    }

    /// The last list was given up.
    pub(crate) fn end_load(&mut self) {
        self.is_loading = false;
    }

    /// The connections of the user who is signed in, or why they are not known. Returns whether that is news: a list
    /// that is older than an answer is to be asked for again.
    pub(crate) fn loaded(&mut self, load: Load, answer: Result<Answer, Failure>, now: Millis) -> bool {
        if load.edition != self.edition {
            return false;
        }
        self.is_loading = false;
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => {
                self.polled_at = now;
                self.trouble = Some(failure.problem);
                self.failures += 1;
                return true;
            }
        };
        if let Some(session) = answer.session {
            self.signed(session, now);
        }
        self.polled_at = now;
        self.trouble = None;
        self.failures = 0;
        if self.session == Session::SignedOut {
            return true;
        }
        if load.answers != self.answers {
            return false;
        }
        let mut has_changed = self.tracked.as_ref().is_none_or(|before| before.len() != answer.rows.len());
        let mut before: Vec<Option<Tracked>> = self.tracked.take().into_iter().flatten().map(Some).collect();
        let mut tracked = Vec::with_capacity(answer.rows.len());
        for row in answer.rows {
            let known =
                before.iter_mut().find(|known| known.as_ref().is_some_and(|known| known.row.id == row.id));
            tracked.push(match known.and_then(Option::take) {
                Some(mut known) => {
                    has_changed |= known.update(row);
                    known
                }
                None => {
                    has_changed = true;
                    Tracked::new(row)
                }
            });
        }
        self.tracked = Some(tracked);
        self.changes += u32::from(has_changed);
        self.look_for_consent();
        true
    }

    /// Ends the waiting for a consent once it shows.
    fn look_for_consent(&mut self) {
        let (Some(consent), Some(tracked)) = (&self.consent, &mut self.tracked) else { return };
        let shows = match &consent.connection_id {
            None => tracked.len() > consent.before,
            Some(id) => match tracked.iter_mut().find(|connection| connection.row.id == *id) {
                Some(connection) => {
                    if consent.returned && connection.row.status.is_live() {
                        connection.set_up_wanted = true;
                    }
                    !connection.row.awaits_consent()
                }
                None => true,
            },
        };
        if shows || consent.returned {
            self.consent = None;
        }
    }

    /// The user is sent for consent.
    pub(crate) fn consent_asked(&mut self, connection_id: Option<String>, now: Millis) {
        let before = self.tracked.as_ref().map_or(0, Vec::len);
        // What has come of an action would stand where the user is told to wait.
        if let Some(connection) = connection_id.as_deref().and_then(|id| self.find(id)) {
            connection.outcome = None;
        }
        self.consent = Some(Consent { connection_id, before, asked_at: now, hidden: false, returned: false });
    }

    /// The host shows what is going on.
    pub(crate) fn consent_hidden(&mut self) {
        if let Some(consent) = &mut self.consent {
            consent.hidden = true;
        }
    }

    /// The host says that there is news: if the user was sent for consent, they are back.
    pub(crate) fn consent_returned(&mut self) {
        if let Some(consent) = &mut self.consent {
            consent.returned = consent.connection_id.is_some();
        }
    }

    /// The connections to be set up now.
    pub(crate) fn set_ups(&self) -> Vec<String> {
        let wanted = self.tracked.iter().flatten().filter(|connection| {
            connection.set_up_wanted && connection.row.status.is_live() && connection.busy.is_none()
        });
        wanted.map(|connection| connection.row.id.clone()).collect()
    }

    /// Starts the action, if it may start now.
    pub(crate) fn begin(&mut self, id: &str, action: Action, now: Millis) -> Option<Act> {
        let edition = self.edition;
        let connection = self.find(id)?;
        if connection.busy.is_some() || (now < connection.wait_until && !action.is_choice()) {
            return None;
        }
        connection.busy = Some(action);
        connection.outcome = None;
        if action == Action::SetUp {
            connection.set_up_called = true;
            connection.set_up_wanted = false;
        }
        Some(Act { action, id: id.to_owned(), edition })
    }

    /// Takes what has come of an action.
    pub(crate) fn finished(&mut self, act: &Act, answer: Result<Answer, Failure>, now: Millis) {
        if act.edition != self.edition {
            return;
        }
        let (result, retry_after) = match answer {
            // Without notifications there is no channel to renew; the calendar is looked at all the same.
            Err(Failure { problem: Problem::PushNotSupported, .. })
                if self.find(&act.id).is_some_and(|connection| connection.row.has_looks) =>
            {
                self.answers += 1;
                (Ok(act.action), None)
            }
            Ok(answer) => {
                self.answers += 1;
                for row in answer.rows {
                    let connection = self.tracked.iter_mut().flatten().find(|known| known.row.id == row.id);
                    self.changes += u32::from(connection.is_some_and(|connection| connection.update(row)));
                }
                (Ok(act.action), None)
            }
            Err(failure) => (Err(failure.problem), failure.retry_after),
        };
        let Some(connection) = self.find(&act.id) else { return };
        connection.busy = None;
        let pause = match result {
            Ok(_) => SUCCESS,
            Err(Problem::TooSoon) => retry_after.unwrap_or(COOLDOWN) * 1_000.0,
            Err(_) => FAILURE,
        };
        if result == Err(Problem::TooSoon) {
            connection.wait_until = now + pause;
        }
        connection.outcome = Some(Outcome { result, until: now + pause });
    }

    /// The user looks at the details of a connection, or no longer.
    pub(crate) fn unfolded(&mut self, id: &str, is_unfolded: bool) {
        if let Some(connection) = self.find(id) {
            connection.is_unfolded = is_unfolded;
            connection.are_events_wanted = is_unfolded;
        }
    }

    /// The next question for events that is to be asked now.
    pub(crate) fn begin_recall(&mut self) -> Option<Recall> {
        let edition = self.edition;
        let mut tracked = self.tracked.iter_mut().flatten().filter(|_| !self.has_no_events);
        let connection = tracked.find(|connection| connection.are_events_wanted)?;
        connection.are_events_wanted = false;
        Some(Recall { id: connection.row.id.clone(), edition })
    }

    /// Takes what befell a connection. What could not be told is asked for again with the next list, and not at all
    /// where there is no such table.
    pub(crate) fn recalled(&mut self, recall: &Recall, answer: Result<Answer, Failure>) {
        if recall.edition != self.edition {
            return;
        }
        self.has_no_events |= answer.as_ref().is_err_and(|failure| failure.problem == Problem::NotInstalled);
        if let Some(connection) = self.find(&recall.id) {
            match answer {
                Ok(answer) => connection.events = answer.events,
                Err(_) => connection.are_events_wanted |= connection.is_unfolded,
            }
        }
    }

    /// What failed for want of a network is worth another try.
    pub(crate) fn came_online(&mut self) {
        for connection in self.tracked.iter_mut().flatten() {
            let result = connection.outcome.map(|outcome| outcome.result);
            if matches!(result, Some(Err(Problem::Offline | Problem::Unreachable))) {
                connection.outcome = None;
                connection.set_up_wanted |= connection.row.status == Status::NotSetUp;
            }
        }
    }

    /// Forgets what need not be shown any longer.
    pub(crate) fn tick(&mut self, now: Millis) {
        for connection in self.tracked.iter_mut().flatten() {
            connection.outcome = connection.outcome.filter(|outcome| now < outcome.until);
        }
    }

    /// When the connections are to be asked for again.
    pub(crate) fn poll_at(&self, now: Millis) -> Option<Millis> {
        let pause = match self.trouble {
            Some(_) => (BUSY * f64::from(1_u32 << self.failures.min(4))).min(CALM),
            None if self.is_busy(now) => BUSY,
            None => CALM,
        };
        (!self.is_loading).then_some(self.polled_at + pause)
    }

    /// When something that is shown changes though nothing happens: a countdown, or an outcome that has been read.
    pub(crate) fn tick_at(&self, now: Millis) -> Option<Millis> {
        let times = self.tracked.iter().flatten().filter_map(|connection| {
            if now < connection.wait_until {
                let seconds_left = ((connection.wait_until - now) / 1_000.0).ceil();
                return Some(connection.wait_until - (seconds_left - 1.0) * 1_000.0);
            }
            connection.outcome.map(|outcome| outcome.until)
        });
        times.reduce(Millis::min)
    }

    fn is_busy(&self, now: Millis) -> bool {
        let consenting = self.consent.as_ref().is_some_and(|consent| now < consent.asked_at + CONSENT);
        consenting
            || self.tracked.iter().flatten().any(|connection| {
                let pending =
                    connection.sync_status() == SyncStatus::Pending && connection.row.status.is_live();
                pending || connection.busy.is_some()
            })
    }

    fn find(&mut self, id: &str) -> Option<&mut Tracked> {
        self.tracked.iter_mut().flatten().find(|connection| connection.row.id == id)
    }
}

#[cfg(test)]
impl State {
    /// As after a first look.
    pub(crate) fn example(rows: Vec<Connection>, now: Millis) -> Self {
        let mut state = Self::default();
        state.look(rows, now);
        state
    }

    pub(crate) fn look(&mut self, rows: Vec<Connection>, now: Millis) {
        let load = self.begin_load().expect("nothing is on its way");
        let session = Some(Session::SignedIn { user_id: Some("ada".to_owned()) });
        self.loaded(load, Ok(Answer { session, rows, ..Answer::default() }), now);
    }

    pub(crate) fn fail_to_look(&mut self, problem: Problem, now: Millis) {
        let load = self.begin_load().expect("nothing is on its way");
        self.loaded(load, Err(Failure { problem, retry_after: None }), now);
    }

    pub(crate) fn fail(&mut self, act: &Act, problem: Problem, retry_after: Option<f64>, now: Millis) {
        self.finished(act, Err(Failure { problem, retry_after }), now);
    }

    pub(crate) fn succeed(&mut self, act: &Act, rows: Vec<Connection>, now: Millis) {
        self.finished(act, Ok(Answer { rows, ..Answer::default() }), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::EventKind;

    const NOW: Millis = 1_500_000_000_000.0;

    fn row(status: Status) -> Connection {
        Connection::example("one", status)
    }

    fn pause(state: &State) -> Millis {
        state.poll_at(NOW).expect("nothing is on its way") - NOW
    }

    #[test]
    fn it_looks_every_30_seconds_and_every_2_while_something_is_going_on() {
        let pending = |status| Connection { sync_status: SyncStatus::Pending, ..row(status) };
        let failing = Connection { sync_status: SyncStatus::Failing, ..row(Status::Active) };
        for (row, expected) in [
            (row(Status::Active), 30_000.0),
            (pending(Status::Active), 2_000.0),
            (pending(Status::Paused), 30_000.0),
            (failing, 30_000.0),
        ] {
            assert_eq!(pause(&State::example(vec![row.clone()], NOW)), expected, "{row:?}");
        }
        let mut state = State::example(vec![row(Status::Active)], NOW);
        let refresh = state.begin("one", Action::Refresh, NOW).unwrap();
        assert_eq!(pause(&state), 2_000.0);
        state.succeed(&refresh, Vec::new(), NOW);
        assert_eq!(pause(&state), 30_000.0);
    }

    #[test]
    fn a_consent_is_waited_for_at_the_faster_pace_for_five_minutes() {
        let mut state = State::example(Vec::new(), NOW);
        state.consent_asked(None, NOW);
        assert_eq!(pause(&state), 2_000.0);
        assert!(state.awaits_consent(None, NOW));
        state.look(Vec::new(), NOW);
        assert!(state.awaits_consent(None, NOW), "nothing has come of it yet");
        let later = NOW + 300_000.0;
        assert_eq!(state.poll_at(later), Some(NOW + 30_000.0));
        assert!(!state.awaits_consent(None, later));
        state.look(vec![row(Status::Active)], NOW);
        assert!(!state.has_consent());
    }

    #[test]
    fn another_account_is_waited_for_until_there_is_one_more() {
        let mut state = State::example(vec![row(Status::Active)], NOW);
        state.consent_asked(None, NOW);
        state.look(vec![row(Status::Active)], NOW);
        assert!(state.awaits_consent(None, NOW));
        state.look(vec![row(Status::Active), Connection::example("other", Status::NotSetUp)], NOW);
        assert!(!state.has_consent());
    }

    #[test]
    fn a_connection_can_be_paused_while_refreshing_it_has_to_wait() {
        let mut state = State::example(vec![row(Status::Active)], NOW);
        let refresh = state.begin("one", Action::Refresh, NOW).unwrap();
        state.fail(&refresh, Problem::TooSoon, Some(7.0), NOW);
        assert!(state.begin("one", Action::Refresh, NOW).is_none());
        assert!(state.begin("one", Action::Pause, NOW).is_some());
    }

    #[test]
    fn a_host_that_says_itself_what_is_going_on_is_left_to_it() {
        let mut state = State::example(Vec::new(), NOW);
        state.consent_asked(None, NOW);
        state.consent_hidden();
        assert!(!state.awaits_consent(None, NOW));
        assert_eq!(pause(&state), 2_000.0);
    }

    #[test]
    fn failures_are_asked_again_after_longer_and_longer_pauses_and_hide_nothing() {
        let mut state = State::example(vec![row(Status::Active)], NOW);
        for expected in [4_000.0, 8_000.0, 16_000.0, 30_000.0, 30_000.0] {
            state.fail_to_look(Problem::Server, NOW);
            assert_eq!(pause(&state), expected);
        }
        assert_eq!(state.trouble(), Some(Problem::Server));
        assert_eq!(state.connections().unwrap().len(), 1);
        state.look(vec![row(Status::Active)], NOW);
        assert_eq!(state.trouble(), None);
        assert_eq!(pause(&state), 30_000.0);
    }

    #[test]
    fn a_connection_without_a_channel_is_set_up_once() {
        let mut state = State::example(vec![row(Status::NotSetUp)], NOW);
        assert_eq!(state.set_ups(), ["one"]);
        let set_up = state.begin("one", Action::SetUp, NOW).unwrap();
        assert!(state.set_ups().is_empty());
        state.fail(&set_up, Problem::GoogleUnavailable, None, NOW);
        state.look(vec![row(Status::NotSetUp)], NOW);
        assert!(state.set_ups().is_empty(), "the same failure is not asked for again");
        assert!(state.begin("one", Action::SetUp, NOW).is_some(), "unless the user asks");
    }

    #[test]
    fn a_connection_that_loses_its_channel_is_set_up_again() {
        let mut state = State::example(vec![row(Status::NotSetUp)], NOW);
        let set_up = state.begin("one", Action::SetUp, NOW).unwrap();
        state.succeed(&set_up, vec![row(Status::Active)], NOW);
        state.look(vec![row(Status::Active)], NOW);
        state.look(vec![row(Status::NotSetUp)], NOW);
        assert_eq!(state.set_ups(), ["one"]);
    }

    #[test]
    fn a_new_consent_is_followed_by_one_set_up() {
        for before in [Status::ReconnectRequired, Status::Unsupported, Status::Disconnected] {
            for after in [Status::Active, Status::Expired, Status::NotSetUp] {
                let mut state = State::example(vec![row(before)], NOW);
                assert!(state.set_ups().is_empty(), "{before:?}");
                state.look(vec![row(after)], NOW);
                assert_eq!(state.set_ups(), ["one"], "{before:?} {after:?}");
                let set_up = state.begin("one", Action::SetUp, NOW).unwrap();
                state.fail(&set_up, Problem::GoogleUnavailable, None, NOW);
                state.look(vec![row(after)], NOW);
                assert!(state.set_ups().is_empty(), "{before:?} {after:?}");
            }
        }
    }

    #[test]
    fn nothing_is_set_up_that_is_paused_or_still_wants_consent() {
        for (before, after) in [
            (Status::ReconnectRequired, Status::Paused),
            (Status::ReconnectRequired, Status::Disconnected),
            (Status::ReconnectRequired, Status::Unsupported),
            (Status::Active, Status::ReconnectRequired),
            (Status::Active, Status::Expired),
        ] {
            let mut state = State::example(vec![row(before)], NOW);
            state.look(vec![row(after)], NOW);
            assert!(state.set_ups().is_empty(), "{before:?} {after:?}");
        }
    }

    #[test]
    fn a_page_that_comes_back_from_google_sets_up_what_it_went_for() {
        for status in [Status::ReconnectRequired, Status::Active, Status::Expired] {
            let mut state = State::default();
            state.consent_asked(Some("one".to_owned()), NOW);
            state.consent_returned();
            state.look(vec![row(status), Connection::example("other", Status::ReconnectRequired)], NOW);
            assert_eq!(state.set_ups(), ["one"], "{status:?}");
            assert!(!state.has_consent());
            state.begin("one", Action::SetUp, NOW).unwrap();
            state.look(vec![row(status)], NOW);
            assert!(state.set_ups().is_empty(), "{status:?}");
        }
    }

    #[test]
    fn setup_that_brings_a_connection_back_is_not_followed_by_another() {
        let mut state = State::example(vec![row(Status::ReconnectRequired)], NOW);
        state.consent_asked(Some("one".to_owned()), NOW);
        state.consent_returned();
        state.look(vec![row(Status::ReconnectRequired)], NOW);
        let set_up = state.begin("one", Action::SetUp, NOW).unwrap();
        state.succeed(&set_up, vec![row(Status::Active)], NOW);
        state.look(vec![row(Status::Active)], NOW);
        assert!(state.set_ups().is_empty());
    }

    #[test]
    fn what_succeeded_is_said_though_the_status_changes_and_what_failed_is_not() {
        for (problem, is_said) in [(None, true), (Some(Problem::Server), false)] {
            let mut state = State::example(vec![row(Status::Paused)], NOW);
            let resume = state.begin("one", Action::Resume, NOW).unwrap();
            match problem {
                Some(problem) => state.fail(&resume, problem, None, NOW),
                None => state.succeed(&resume, Vec::new(), NOW),
            }
            state.look(vec![row(Status::Active)], NOW);
            assert_eq!(state.connections().unwrap()[0].outcome.is_some(), is_said);
        }
    }

    #[test]
    fn too_soon_makes_the_button_wait_as_long_as_the_server_says() {
        let mut state = State::example(vec![row(Status::Active)], NOW);
        let refresh = state.begin("one", Action::Refresh, NOW).unwrap();
        assert!(state.begin("one", Action::Refresh, NOW).is_none(), "one at a time");
        state.fail(&refresh, Problem::TooSoon, Some(7.0), NOW);
        assert!(state.begin("one", Action::Refresh, NOW + 6_999.0).is_none());
        assert_eq!(state.tick_at(NOW), Some(NOW + 1_000.0));
        assert_eq!(state.tick_at(NOW + 6_500.0), Some(NOW + 7_000.0));
        state.tick(NOW + 7_000.0);
        assert_eq!(state.connections().unwrap()[0].outcome, None);
        assert!(state.begin("one", Action::Refresh, NOW + 7_000.0).is_some());
    }

    #[test]
    fn an_outcome_is_forgotten_after_a_while() {
        let mut state = State::example(vec![row(Status::Active)], NOW);
        let refresh = state.begin("one", Action::Refresh, NOW).unwrap();
        state.succeed(&refresh, Vec::new(), NOW);
        assert_eq!(state.tick_at(NOW), Some(NOW + 6_000.0));
        state.tick(NOW + 5_999.0);
        assert!(state.connections().unwrap()[0].outcome.is_some());
        state.tick(NOW + 6_000.0);
        assert!(state.connections().unwrap()[0].outcome.is_none());
        assert_eq!(state.tick_at(NOW + 6_000.0), None);
    }

    #[test]
    fn an_outcome_gives_way_to_the_wait_for_consent() {
        let mut state = State::example(vec![row(Status::Active)], NOW);
        let disconnect = state.begin("one", Action::Disconnect, NOW).unwrap();
        state.succeed(&disconnect, vec![row(Status::Disconnected)], NOW);
        assert!(state.connections().unwrap()[0].outcome.is_some());
        state.consent_asked(Some("one".to_owned()), NOW);
        assert!(state.connections().unwrap()[0].outcome.is_none());
    }

    #[test]
    fn a_list_that_is_older_than_an_answer_is_asked_for_again() {
        let mut state = State::example(vec![row(Status::Expired)], NOW);
        let refresh = state.begin("one", Action::Refresh, NOW).unwrap();
        let load = state.begin_load().unwrap();
        assert!(state.begin_load().is_none(), "one at a time");
        state.succeed(&refresh, vec![row(Status::Active)], NOW);
        let older = Answer { rows: vec![row(Status::Expired)], ..Answer::default() };
        assert!(!state.loaded(load, Ok(older.clone()), NOW));
        assert_eq!(state.connections().unwrap()[0].row.status, Status::Active);
        let load = state.begin_load().expect("it is asked for again");
        assert!(state.loaded(load, Ok(older), NOW));
        assert_eq!(state.connections().unwrap()[0].row.status, Status::Expired);
    }

    fn event(event: EventKind) -> Event {
        Event { event, at: NOW, reason: None, detail: None }
    }

    fn recall(state: &mut State, answer: Result<Vec<Event>, Problem>) {
        let recall = state.begin_recall().expect("its events are wanted");
        assert!(state.begin_recall().is_none(), "once");
        let answer = match answer {
            Ok(events) => Ok(Answer { events, ..Answer::default() }),
            Err(problem) => Err(Failure { problem, retry_after: None }),
        };
        state.recalled(&recall, answer);
    }

    #[test]
    fn events_are_asked_for_when_they_are_looked_at_and_when_there_may_be_another() {
        let mut state = State::example(vec![row(Status::Active)], NOW);
        assert!(state.begin_recall().is_none());
        state.unfolded("one", true);
        recall(&mut state, Ok(vec![event(EventKind::Connected)]));
        assert_eq!(state.connections().unwrap()[0].events, [event(EventKind::Connected)]);
        state.look(vec![Connection { last_sync_at: Some(NOW), ..row(Status::Active) }], NOW);
        assert!(state.begin_recall().is_none(), "a sync is no event");
        state.look(vec![row(Status::Paused)], NOW);
        recall(&mut state, Err(Problem::Unreachable));
        assert_eq!(state.connections().unwrap()[0].events, [event(EventKind::Connected)]);
        recall(&mut state, Ok(vec![event(EventKind::Paused), event(EventKind::Connected)]));
        state.unfolded("one", false);
        state.look(vec![row(Status::Active)], NOW);
        assert!(state.begin_recall().is_none(), "nobody looks at them");
    }

    #[test]
    fn a_database_that_keeps_no_events_is_asked_once() {
        let mut state = State::example(vec![row(Status::Active)], NOW);
        state.unfolded("one", true);
        recall(&mut state, Err(Problem::NotInstalled));
        state.unfolded("one", false);
        state.unfolded("one", true);
        assert!(state.begin_recall().is_none());
        state.reset();
        state.look(vec![row(Status::Active)], NOW);
        state.unfolded("one", true);
        assert!(state.begin_recall().is_some(), "another client may know more");
    }

    #[test]
    fn refreshing_a_calendar_that_is_looked_at_succeeds_though_there_is_no_channel() {
        let without_push =
            Connection { webhook_error: Some("push_not_supported".to_owned()), ..row(Status::Unsupported) };
        for (has_looks, expected) in [(true, Ok(Action::Refresh)), (false, Err(Problem::PushNotSupported))] {
            let mut state = State::example(vec![Connection { has_looks, ..without_push.clone() }], NOW);
            let refresh = state.begin("one", Action::Refresh, NOW).unwrap();
            state.fail(&refresh, Problem::PushNotSupported, None, NOW);
            assert_eq!(state.connections().unwrap()[0].outcome.unwrap().result, expected);
        }
    }

    #[test]
    fn somebody_elses_connections_are_forgotten_and_late_answers_with_them() {
        let bob = Session::SignedIn { user_id: Some("bob".to_owned()) };
        let mut state = State::example(vec![row(Status::Active)], NOW);
        let refresh = state.begin("one", Action::Refresh, NOW).unwrap();
        let load = state.begin_load().unwrap();
        assert!(!state.signed(Session::SignedIn { user_id: Some("ada".to_owned()) }, NOW));
        assert!(state.signed(bob, NOW));
        assert!(state.connections().is_none());
        let late = Answer { rows: vec![row(Status::Active)], ..Answer::default() };
        state.loaded(load, Ok(late), NOW);
        state.succeed(&refresh, vec![row(Status::Active)], NOW);
        assert!(state.connections().is_none());
        assert!(state.signed(Session::SignedOut, NOW));
        assert!(!state.signed(Session::SignedOut, NOW));
    }

    #[test]
    fn a_set_up_that_met_no_network_is_tried_when_there_is_one() {
        let mut state = State::example(vec![row(Status::NotSetUp)], NOW);
        let set_up = state.begin("one", Action::SetUp, NOW).unwrap();
        state.fail(&set_up, Problem::Offline, None, NOW);
        assert!(state.set_ups().is_empty());
        state.came_online();
        assert_eq!(state.set_ups(), ["one"]);
    }

    #[test]
    fn the_page_is_told_of_changes_and_of_nothing_else() {
        let mut state = State::example(vec![row(Status::Active)], NOW);
        let first = state.changes();
        state.look(vec![row(Status::Active)], NOW);
        assert_eq!(state.changes(), first);
        state.look(vec![row(Status::Expired)], NOW);
        assert_eq!(state.changes(), first + 1);
        state.look(vec![row(Status::Expired), Connection::example("other", Status::Active)], NOW);
        assert_eq!(state.changes(), first + 2);
        state.look(vec![row(Status::Expired)], NOW);
        assert_eq!(state.changes(), first + 3);
    }
}
