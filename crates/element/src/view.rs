//! What is to be shown, as plain data: of what is known and the time, and of nothing else.

use crate::connection::{Connection, Event, Millis, Status, SyncStatus, named};
use crate::problem::{Problem, Who};
use crate::state::{Action, Session, State, Tracked};
use crate::texts::Text;

/// As many connections are looked through at a glance, and are shown in full and in their own order.
const FEW: usize = 3;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct View<'a> {
    pub(crate) panel: Panel,
    pub(crate) summary: Option<Text>,
    /// What concerns all that is shown.
    pub(crate) notice: Option<Problem>,
    pub(crate) cards: Vec<Card<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Panel {
    Loading,
    SignedOut,
    NotConnected {
        consenting: bool,
    },
    /// Nothing has been loaded yet, and this is why.
    Failed {
        why: Text,
        /// Trying again is of no use where the operator has to act first.
        can_retry: bool,
        is_loading: bool,
    },
    Connected {
        /// Whether the consent to another account is waited for.
        consenting: bool,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Card<'a> {
    pub(crate) row: &'a Connection,
    pub(crate) name: Name<'a>,
    /// The calendar's address, where its name is another.
    pub(crate) address: Option<&'a str>,
    /// One that tells the user nothing, but those who help.
    pub(crate) unreadable_address: Option<&'a str>,
    /// Who has to act next.
    pub(crate) who: Who,
    pub(crate) tone: Tone,
    pub(crate) icon: Icon,
    pub(crate) badge: Text,
    /// What it means and what to do. `None` where it may no longer be so.
    pub(crate) message: Option<Text>,
    /// One of many with which nothing is wrong.
    pub(crate) is_compact: bool,
    pub(crate) button: Button,
    pub(crate) can_pause: bool,
    /// Instead of disconnected: nothing is left to be.
    pub(crate) can_remove: bool,
    pub(crate) result: Option<(Text, Tone)>,
    pub(crate) sync: Option<SyncStatus>,
    pub(crate) expiration: Option<Expiration>,
    /// The code of what is wrong with the connection itself.
    pub(crate) error: Option<&'a str>,
    pub(crate) sync_error: Option<&'a str>,
    /// The newest first.
    pub(crate) events: &'a [Event],
}

/// What a card is called. No two cards are called the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Name<'a> {
    pub(crate) words: Words<'a>,
    /// Counts those that would be called the same, from 1.
    pub(crate) number: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Words<'a> {
    Given(&'a str),
    Known(Text),
}

/// A shape for everything that a connection can be, so that nothing is told by its colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Icon {
    Check,
    Clock,
    Alarm,
    Question,
    BrokenLink,
    Slash,
    Bars,
    Cross,
    Plus,
    Eye,
}

/// How urgent it looks; the badge and its icon say it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Busy,
    Warning,
    Bad,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Button {
    pub(crate) does: Does,
    pub(crate) label: Text,
    pub(crate) readiness: Readiness,
    /// It is what the user has to do.
    pub(crate) is_prominent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    Connect(Why),
    Reload,
    Act(Action),
}

named! {
    /// What the user is sent to Google for.
    Why {
        Connect = "connect",
        Reconnect = "reconnect",
        PermissionMissing = "permission_missing",
        ChooseCalendar = "choose_calendar",
        Add = "add",
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Readiness {
    Ready,
    Busy,
    Waiting { seconds: u32 },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Expiration {
    RenewsBy(Millis),
    Expires(Millis),
    Expired(Millis),
}

impl<'a> View<'a> {
    pub(crate) fn of(state: &'a State, now: Millis) -> Self {
        let tracked = state.connections().unwrap_or_default();
        let are_many = tracked.len() > FEW;
        let mut cards: Vec<Card> = Vec::with_capacity(tracked.len());
        for tracked in tracked {
            let mut card = Card::of(tracked, state, now);
            card.name.number += cards.iter().filter(|other| other.name.words == card.name.words).count();
            card.is_compact = are_many && card.urgency() >= 3;
            let after = |other: &Card| are_many && other.urgency() > card.urgency();
            let at = cards.iter().position(after).unwrap_or(cards.len());
            cards.insert(at, card);
        }
        let panel = match (state.session(), state.connections(), state.trouble()) {
            (Session::SignedOut, ..) => Panel::SignedOut,
            (_, Some([]), _) => Panel::NotConnected { consenting: state.awaits_consent(None, now) },
            (_, Some(_), _) => Panel::Connected { consenting: state.awaits_consent(None, now) },
            (_, None, Some(problem)) => {
                let can_retry = problem.who() != Who::Operator;
                Panel::Failed { why: now_text(problem), can_retry, is_loading: state.is_loading() }
            }
            (_, None, None) => Panel::Loading,
        };
        let notice = match panel {
            Panel::Connected { .. } | Panel::NotConnected { .. } => state.trouble(),
            _ => None,
        };
        let summary = match (panel, notice) {
            (Panel::Loading, _) => Some(Text::Loading),
            (_, None) => summary(&cards),
            (_, Some(_)) => None,
        };
        Self { panel, summary, notice, cards }
    }
}

/// The worst of the cards.
fn summary(cards: &[Card]) -> Option<Text> {
    let any = |is: &dyn Fn(&Card) -> bool| cards.iter().any(is);
    if cards.is_empty() {
        None
    } else if any(&|card| card.who == Who::User) {
        Some(Text::UserMustAct)
    } else if any(&|card| card.who == Who::Operator) {
        Some(Text::OperatorMustAct)
    } else if any(&|card| {
        !matches!(card.tone, Tone::Good | Tone::Off) || card.sync == Some(SyncStatus::Pending)
    }) {
        // What is wrong is being mended, by itself or by a button just pressed.
        Some(Text::Working)
    } else if any(&|card| card.tone == Tone::Good) {
        Some(Text::AllWell)
    } else {
        Some(Text::NothingSynced)
    }
}

impl<'a> Card<'a> {
    fn of(tracked: &'a Tracked, state: &State, now: Millis) -> Self {
        let row = &tracked.row;
        let address = row.calendar_id.as_deref();
        let name = words(row);
        let standing = standing(row);
        let error = row.webhook_error.as_deref().filter(|_| !row.is_looked_at());
        let setting_up = tracked.busy == Some(Action::SetUp);
        let sync_fails = tracked.sync_status() == SyncStatus::Failing && row.status.is_live();
        let problem = match error {
            Some(code) => Some(Problem::parse(code).unwrap_or(Problem::GoogleRejected)),
            None => row.is_unchecked(state.polled_at()).then_some(Problem::Unchecked),
        };
        let who = if tracked.busy.is_some() { Who::Nobody } else { who(standing, problem, sync_fails) };
        let tone = if setting_up { Tone::Busy } else { tone(standing, problem, sync_fails) };
        let message = if setting_up { Text::SettingUpNow } else { message(row, problem, sync_fails) };
        let result = result(tracked, who, state, now);
        let is_unchecked = problem == Some(Problem::Unchecked);
        let is_doubtful = (is_unchecked || tone == Tone::Good) && state.trouble().is_some();
        Self {
            row,
            name: Name { words: name, number: 1 },
            address: address.filter(|address| is_readable(address) && name != Words::Given(address)),
            unreadable_address: address.filter(|address| !is_readable(address)),
            who,
            tone,
            icon: if is_doubtful || is_unchecked { Icon::Question } else { icon(row, sync_fails) },
            badge: if setting_up { Text::SettingUp } else { badge(row, problem, sync_fails) },
            message: (!is_doubtful).then_some(message),
            button: button(tracked, problem, who == Who::User, now),
            is_compact: false,
            can_pause: row.status.is_live(),
            can_remove: row.status == Status::Disconnected,
            result,
            sync: sync(tracked, standing).filter(|_| who != Who::User && !is_doubtful && !is_unchecked),
            expiration: expiration(row),
            error,
            sync_error: row.sync_error.as_deref().filter(|_| row.sync_status == SyncStatus::Failing),
            events: &tracked.events,
        }
    }
}

impl Card<'_> {
    /// What is wrong is shown first, where there are many.
    fn urgency(&self) -> u8 {
        match (self.who, self.tone) {
            (Who::User, _) => 0,
            (Who::Operator, _) => 1,
            (Who::Nobody, Tone::Bad | Tone::Warning | Tone::Busy) => 2,
            (Who::Nobody, Tone::Good) => 3,
            (Who::Nobody, Tone::Off) => 4,
        }
    }
}

/// Google's name, which is the account's address for its primary calendar.
fn words(row: &Connection) -> Words<'_> {
    let address = row.calendar_id.as_deref();
    match row.calendar_name.as_deref().or(address.filter(|address| is_readable(address))) {
        Some(given) => Words::Given(given),
        None if address.is_some() => Words::Known(Text::OtherCalendar),
        None => Words::Known(Text::PrimaryCalendar),
    }
}

/// `c_188…@group.calendar.google.com` tells nobody anything.
fn is_readable(address: &str) -> bool {
    !address.ends_with("calendar.google.com")
}

/// A calendar that is looked at is as well as one that Google tells of.
fn standing(row: &Connection) -> Status {
    if row.is_looked_at() { Status::Active } else { row.status }
}

fn who(standing: Status, problem: Option<Problem>, sync_fails: bool) -> Who {
    match (standing, problem) {
        (Status::Paused | Status::Disconnected, _) => Who::Nobody,
        (Status::Active | Status::Expiring, Some(problem)) if sync_fails && problem.who() == Who::Nobody => {
            Who::Operator
        }
        (_, Some(problem)) => problem.who(),
        (Status::Expired | Status::NotSetUp | Status::ReconnectRequired | Status::Unsupported, None) => {
            Who::User
        }
        (Status::Unconfirmed, None) => Who::Operator,
        (Status::Active | Status::Expiring, None) if sync_fails => Who::Operator,
        (Status::Active | Status::Expiring, None) => Who::Nobody,
    }
}

fn tone(standing: Status, problem: Option<Problem>, sync_fails: bool) -> Tone {
    match standing {
        Status::Paused | Status::Disconnected => Tone::Off,
        Status::Expired | Status::ReconnectRequired | Status::Unsupported => Tone::Bad,
        Status::Expiring | Status::Unconfirmed | Status::NotSetUp => Tone::Warning,
        Status::Active if sync_fails => Tone::Warning,
        Status::Active => match problem.map(Problem::who) {
            Some(Who::Nobody) => Tone::Busy,
            Some(_) => Tone::Warning,
            None => Tone::Good,
        },
    }
}

/// Changes that arrive and are not taken over are as good as none.
fn icon(row: &Connection, sync_fails: bool) -> Icon {
    match row.status {
        _ if sync_fails && standing(row) == Status::Active => Icon::Alarm,
        Status::Active => Icon::Check,
        Status::Expiring => Icon::Clock,
        Status::Expired => Icon::Alarm,
        Status::Unconfirmed => Icon::Question,
        Status::ReconnectRequired => Icon::BrokenLink,
        Status::Unsupported if row.is_looked_at() => Icon::Eye,
        Status::Unsupported => Icon::Slash,
        Status::Paused => Icon::Bars,
        Status::Disconnected => Icon::Cross,
        Status::NotSetUp => Icon::Plus,
    }
}

fn badge(row: &Connection, problem: Option<Problem>, sync_fails: bool) -> Text {
    match row.status {
        _ if sync_fails && standing(row) == Status::Active => Text::BadgeSyncFailing,
        Status::ReconnectRequired if matches!(problem, Some(Problem::BlockedByPolicy)) => Text::BadgeBlocked,
        Status::Active => Text::BadgeActive,
        Status::Expiring => Text::BadgeExpiring,
        Status::Expired => Text::BadgeExpired,
        Status::Unconfirmed => Text::BadgeUnconfirmed,
        Status::ReconnectRequired => Text::BadgeReconnectRequired,
        Status::Unsupported if row.is_looked_at() => Text::BadgeLookedAt,
        Status::Unsupported => Text::BadgeUnsupported,
        Status::Paused => Text::BadgePaused,
        Status::Disconnected => Text::BadgeDisconnected,
        Status::NotSetUp => Text::BadgeNotSetUp,
    }
}

/// One thing at a time: first what a person has to mend, then changes that do not come through, then what passes.
/// What is wrong with the renewal explains a status better than the status does.
fn message(row: &Connection, problem: Option<Problem>, sync_fails: bool) -> Text {
    let gets_updates = matches!(standing(row), Status::Active | Status::Expiring);
    match (row.status, problem) {
        (Status::Paused, _) => Text::Paused,
        (Status::Disconnected, _) => Text::Disconnected,
        (_, Some(problem)) if problem.who() != Who::Nobody => problem.text(),
        _ if sync_fails && gets_updates => Text::SyncFailing,
        (_, Some(problem)) => problem.text(),
        (Status::Active, None) => Text::Active,
        (Status::Expiring, None) => Text::Expiring,
        (Status::Expired, None) => Text::Expired,
        (Status::Unconfirmed, None) => Text::Unconfirmed,
        (Status::ReconnectRequired, None) => Text::ReconnectRequired,
        (Status::Unsupported, None) if row.is_looked_at() => Text::LookedAt,
        (Status::Unsupported, None) => Text::CalendarNotFound,
        (Status::NotSetUp, None) => Text::NotSetUp,
    }
}

fn button(tracked: &Tracked, problem: Option<Problem>, is_prominent: bool, now: Millis) -> Button {
    let (does, label) = match tracked.row.status {
        // The consent that there is will do, once the app is allowed.
        Status::ReconnectRequired if problem == Some(Problem::BlockedByPolicy) => {
            (Does::Act(Action::Refresh), Text::TryAgain)
        }
        Status::Unsupported if problem == Some(Problem::NoCalendar) => {
            (Does::Connect(Why::Add), Text::ConnectOther)
        }
        Status::Active | Status::Expiring | Status::Expired | Status::Unconfirmed => {
            (Does::Act(Action::Refresh), Text::Refresh)
        }
        Status::Unsupported if tracked.row.is_looked_at() => (Does::Act(Action::Refresh), Text::Refresh),
        Status::ReconnectRequired if problem == Some(Problem::PermissionMissing) => {
            (Does::Connect(Why::PermissionMissing), Text::Reconnect)
        }
        Status::ReconnectRequired => (Does::Connect(Why::Reconnect), Text::Reconnect),
        Status::Unsupported => (Does::Connect(Why::ChooseCalendar), Text::ChooseCalendar),
        Status::Disconnected => (Does::Connect(Why::Reconnect), Text::ConnectAgain),
        Status::Paused => (Does::Act(Action::Resume), Text::Resume),
        Status::NotSetUp => (Does::Act(Action::SetUp), Text::SetUp),
    };
    if let Some(action) = tracked.busy {
        let label = match action {
            Action::SetUp => Text::SettingUp,
            Action::Refresh => Text::Refreshing,
            Action::Resume => Text::Resuming,
            Action::Pause => Text::Pausing,
            Action::Disconnect => Text::Disconnecting,
            Action::Remove => Text::Removing,
        };
        return Button { does: Does::Act(action), label, readiness: Readiness::Busy, is_prominent };
    }
    if now < tracked.wait_until {
        let seconds = ((tracked.wait_until - now) / 1_000.0).ceil() as u32;
        return Button {
            does,
            label: Text::Wait,
            readiness: Readiness::Waiting { seconds },
            is_prominent: false,
        };
    }
    Button { does, label, readiness: Readiness::Ready, is_prominent }
}

fn result(tracked: &Tracked, who: Who, state: &State, now: Millis) -> Option<(Text, Tone)> {
    match tracked.outcome.map(|outcome| outcome.result) {
        // What the user has to do now, or has switched off since, is not hidden behind what went well before.
        Some(Ok(_)) if who == Who::User => None,
        Some(Ok(Action::SetUp | Action::Refresh)) if !tracked.row.status.is_live() => None,
        Some(Ok(Action::SetUp)) => Some((Text::IsSetUp, Tone::Good)),
        Some(Ok(Action::Refresh)) => Some((Text::Refreshed, Tone::Good)),
        Some(Ok(Action::Resume)) => Some((Text::Resumed, Tone::Good)),
        // The badge says it.
        Some(Ok(Action::Pause | Action::Disconnect | Action::Remove)) => None,
        // Beside it stands why nothing is known at the moment.
        Some(Err(problem)) if state.trouble().is_some() && now_text(problem) == problem.text() => None,
        Some(Err(Problem::TooSoon)) => Some((Text::TooSoon, Tone::Off)),
        Some(Err(problem)) => Some((now_text(problem), Tone::Bad)),
        None => state.awaits_consent(Some(&tracked.row.id), now).then_some((Text::Consenting, Tone::Off)),
    }
}

/// Where nothing that was known last is shown, or nothing is brought up to date.
const fn now_text(problem: Problem) -> Text {
    match problem {
        Problem::Offline => Text::OfflineNow,
        Problem::Unreachable => Text::UnreachableNow,
        Problem::Server => Text::ServerErrorNow,
        problem => problem.text(),
    }
}

/// Without updates nobody can say that all is up to date.
fn sync(tracked: &Tracked, standing: Status) -> Option<SyncStatus> {
    let sync_status = tracked.sync_status();
    let is_told = match sync_status {
        SyncStatus::Idle => matches!(standing, Status::Active | Status::Expiring | Status::Unconfirmed),
        SyncStatus::Pending | SyncStatus::Failing => standing.is_live(),
    };
    is_told.then_some(sync_status)
}

fn expiration(row: &Connection) -> Option<Expiration> {
    let at = row.webhook_expiration?;
    match row.status {
        Status::Active | Status::Unconfirmed => Some(Expiration::RenewsBy(at)),
        Status::Expiring => Some(Expiration::Expires(at)),
        Status::Expired => Some(Expiration::Expired(at)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Answer;

    const NOW: Millis = 1_500_000_000_000.0;

    fn row(status: Status) -> Connection {
        Connection::example("one", status)
    }

    /// What is shown of one connection.
    fn check_card(row: Connection, check: impl FnOnce(&Card)) {
        let state = State::example(vec![row], NOW);
        let view = View::of(&state, NOW);
        assert_eq!(view.panel, Panel::Connected { consenting: false });
        check(&view.cards[0]);
    }

    #[test]
    fn of_many_what_is_wrong_comes_first_and_the_others_are_compact() {
        let statuses = [Status::Paused, Status::Active, Status::Unconfirmed, Status::ReconnectRequired];
        let ids = ["one", "two", "three", "four"];
        let rows: Vec<_> =
            ids.iter().zip(statuses).map(|(id, status)| Connection::example(id, status)).collect();
        let shown = |rows: &[Connection]| -> Vec<_> {
            let state = State::example(rows.to_vec(), NOW);
            let view = View::of(&state, NOW);
            view.cards.iter().map(|card| (card.row.id.clone(), card.is_compact)).collect()
        };
        let in_order = |order: [(&str, bool); 4]| order.map(|(id, is_compact)| (id.to_owned(), is_compact));
        assert_eq!(shown(&rows), in_order([("four", false), ("three", false), ("two", true), ("one", true)]));
        assert_eq!(shown(&rows[..3]).len(), 3);
        assert_eq!(shown(&rows[..3])[1], ("two".to_owned(), false));
    }

    #[test]
    fn what_went_well_does_not_hide_what_the_user_has_to_do_or_has_switched_off() {
        for (status, told) in [
            (Status::Active, Some((Text::Refreshed, Tone::Good))),
            (Status::ReconnectRequired, None),
            (Status::Expired, None),
            (Status::Paused, None),
            (Status::Disconnected, None),
        ] {
            let mut state = State::example(vec![row(Status::Active)], NOW);
            let refresh = state.begin("one", Action::Refresh, NOW).unwrap();
            state.finished(&refresh, Ok(Answer::default()), NOW);
            state.look(vec![row(status)], NOW);
            assert_eq!(View::of(&state, NOW).cards[0].result, told, "{status:?}");
        }
    }

    #[test]
    fn no_two_cards_are_called_the_same_and_none_by_what_nobody_can_read() {
        let called = |id: &str, calendar_id: Option<&str>, name: Option<&str>| Connection {
            calendar_id: calendar_id.map(str::to_owned),
            calendar_name: name.map(str::to_owned),
            ..Connection::example(id, Status::Active)
        };
        let group = Some("c_188a@group.calendar.google.com");
        let rows = vec![
            called("one", None, None),
            called("two", None, None),
            called("three", None, Some("ada@example.com")),
            called("four", Some("ada@example.com"), None),
            called("five", group, None),
            called("six", group, Some("Team")),
            called("seven", Some("bob@example.com"), Some("Team")),
        ];
        let state = State::example(rows, NOW);
        let view = View::of(&state, NOW);
        let names: Vec<_> =
            view.cards.iter().map(|card| (card.name.words, card.name.number, card.address)).collect();
        let (primary, other) = (Words::Known(Text::PrimaryCalendar), Words::Known(Text::OtherCalendar));
        let (ada, team) = (Words::Given("ada@example.com"), Words::Given("Team"));
        assert_eq!(
            names,
            [
                (primary, 1, None),
                (primary, 2, None),
                (ada, 1, None),
                (ada, 2, None),
                (other, 1, None),
                (team, 1, None),
                (team, 2, Some("bob@example.com")),
            ]
        );
    }

    #[test]
    fn every_status_says_how_it_is_who_acts_and_what_to_do() {
        use Action::{Refresh, Resume, SetUp};
        use Does::{Act, Connect};
        use Who::{Nobody, Operator, User};
        for (status, tone, badge, message, does, label, who) in [
            (
                Status::Active,
                Tone::Good,
                Text::BadgeActive,
                Text::Active,
                Act(Refresh),
                Text::Refresh,
                Nobody,
            ),
            (
                Status::Expiring,
                Tone::Warning,
                Text::BadgeExpiring,
                Text::Expiring,
                Act(Refresh),
                Text::Refresh,
                Nobody,
            ),
            (
                Status::Expired,
                Tone::Bad,
                Text::BadgeExpired,
                Text::Expired,
                Act(Refresh),
                Text::Refresh,
                User,
            ),
            (
                Status::Unconfirmed,
                Tone::Warning,
                Text::BadgeUnconfirmed,
                Text::Unconfirmed,
                Act(Refresh),
                Text::Refresh,
                Operator,
            ),
            (
                Status::ReconnectRequired,
                Tone::Bad,
                Text::BadgeReconnectRequired,
                Text::ReconnectRequired,
                Connect(Why::Reconnect),
                Text::Reconnect,
                User,
            ),
            (
                Status::Unsupported,
                Tone::Bad,
                Text::BadgeUnsupported,
                Text::CalendarNotFound,
                Connect(Why::ChooseCalendar),
                Text::ChooseCalendar,
                User,
            ),
            (Status::Paused, Tone::Off, Text::BadgePaused, Text::Paused, Act(Resume), Text::Resume, Nobody),
            (
                Status::Disconnected,
                Tone::Off,
                Text::BadgeDisconnected,
                Text::Disconnected,
                Connect(Why::Reconnect),
                Text::ConnectAgain,
                Nobody,
            ),
            (
                Status::NotSetUp,
                Tone::Warning,
                Text::BadgeNotSetUp,
                Text::NotSetUp,
                Act(SetUp),
                Text::SetUp,
                User,
            ),
        ] {
            check_card(row(status), |card| {
                let button = Button { does, label, readiness: Readiness::Ready, is_prominent: who == User };
                let shown = (card.tone, card.badge, card.message, card.button, card.who);
                assert_eq!(shown, (tone, badge, Some(message), button, who), "{status:?}");
            });
        }
    }

    #[test]
    fn what_a_new_consent_cannot_mend_has_another_button() {
        for (status, error, badge, does, label) in [
            (
                Status::ReconnectRequired,
                "permission_missing",
                Text::BadgeReconnectRequired,
                Does::Connect(Why::PermissionMissing),
                Text::Reconnect,
            ),
            (
                Status::ReconnectRequired,
                "blocked_by_policy",
                Text::BadgeBlocked,
                Does::Act(Action::Refresh),
                Text::TryAgain,
            ),
            (
                Status::Unsupported,
                "no_calendar",
                Text::BadgeUnsupported,
                Does::Connect(Why::Add),
                Text::ConnectOther,
            ),
        ] {
            let row = Connection { webhook_error: Some(error.to_owned()), ..row(status) };
            check_card(row, |card| {
                assert_eq!(
                    (card.badge, card.button.does, card.button.label),
                    (badge, does, label),
                    "{error}"
                );
                assert!(card.button.is_prominent, "{error}");
            });
        }
    }

    #[test]
    fn no_two_statuses_share_a_shape_or_a_word() {
        let mut shapes = Vec::new();
        let mut badges = Vec::new();
        for status in Status::ALL {
            check_card(row(*status), |card| {
                assert!(!badges.contains(&card.badge), "{status:?}");
                assert!(!shapes.contains(&card.icon), "{status:?}");
                badges.push(card.badge);
                shapes.push(card.icon);
            });
        }
    }

    #[test]
    fn in_every_combination_what_is_wrong_is_said_with_who_can_mend_it() {
        let errors =
            Problem::ALL.iter().map(|problem| Some(problem.name())).chain([None, Some("a_code_of_tomorrow")]);
        for error in errors {
            for status in Status::ALL.iter().copied() {
                for sync_status in SyncStatus::ALL.iter().copied() {
                    let case = format!("{status:?} {sync_status:?} {error:?}");
                    // That one is well, if the server looks at it: see below.
                    let row = Connection {
                        has_looks: false,
                        webhook_error: error.map(str::to_owned),
                        sync_status,
                        sync_error: (sync_status == SyncStatus::Failing)
                            .then(|| "recalculate_500".to_owned()),
                        ..row(status)
                    };
                    check_card(row, |card| {
                        let is_well = error.is_none() && sync_status != SyncStatus::Failing;
                        let is_off = matches!(status, Status::Paused | Status::Disconnected);
                        assert_eq!(card.tone == Tone::Off, is_off, "{case}");
                        assert_eq!(card.tone == Tone::Good, status == Status::Active && is_well, "{case}");
                        let problem =
                            error.map(|code| Problem::parse(code).unwrap_or(Problem::GoogleRejected));
                        let sync_fails = sync_status == SyncStatus::Failing && !is_off;
                        match problem.filter(|_| !is_off) {
                            Some(problem) if problem.who() != Who::Nobody => {
                                let shown = (card.message, card.who);
                                assert_eq!(shown, (Some(problem.text()), problem.who()), "{case}");
                            }
                            _ if sync_fails && matches!(status, Status::Active | Status::Expiring) => {
                                let shown = (card.message, card.who);
                                assert_eq!(shown, (Some(Text::SyncFailing), Who::Operator), "{case}");
                            }
                            Some(problem) => {
                                let shown = (card.message, card.who);
                                assert_eq!(shown, (Some(problem.text()), Who::Nobody), "{case}");
                            }
                            None => assert_eq!(
                                card.message == Some(Text::Active),
                                status == Status::Active && is_well,
                                "{case}"
                            ),
                        }
                        if card.who == Who::User {
                            assert_eq!(card.sync, None, "{case}: nothing else is said");
                        }
                        let fails = sync_status == SyncStatus::Failing;
                        assert_eq!(card.sync_error, fails.then_some("recalculate_500"), "{case}");
                        assert_eq!(card.button.is_prominent, card.who == Who::User, "{case}");
                        let connects = matches!(card.button.does, Does::Connect(_));
                        let is_blocked =
                            status == Status::ReconnectRequired && error == Some("blocked_by_policy");
                        assert_eq!(connects, card.row.awaits_consent() && !is_blocked, "{case}");
                    });
                }
            }
        }
    }

    #[test]
    fn a_calendar_without_push_is_well_as_long_as_it_is_looked_at() {
        let row =
            Connection { webhook_error: Some("push_not_supported".to_owned()), ..row(Status::Unsupported) };
        check_card(row.clone(), |card| {
            let shown = (card.tone, card.icon, card.badge, card.message, card.who, card.sync, card.error);
            let idle = Some(SyncStatus::Idle);
            let expected =
                (Tone::Good, Icon::Eye, Text::BadgeLookedAt, Some(Text::LookedAt), Who::Nobody, idle, None);
            assert_eq!(shown, expected);
            assert_eq!((card.button.does, card.button.is_prominent), (Does::Act(Action::Refresh), false));
        });
        let state = State::example(vec![row.clone()], NOW);
        assert_eq!(View::of(&state, NOW).summary, Some(Text::AllWell));
        check_card(Connection { sync_status: SyncStatus::Failing, ..row.clone() }, |card| {
            let shown = (card.tone, card.badge, card.message, card.who);
            let expected = (Tone::Warning, Text::BadgeSyncFailing, Some(Text::SyncFailing), Who::Operator);
            assert_eq!(shown, expected);
        });
        check_card(Connection { has_looks: false, ..row }, |card| {
            let shown = (card.tone, card.badge, card.message, card.button.label);
            let expected =
                (Tone::Bad, Text::BadgeUnsupported, Some(Text::PushNotSupported), Text::ChooseCalendar);
            assert_eq!(shown, expected, "a server of the first edition does not look");
        });
    }

    #[test]
    fn what_was_not_checked_for_two_days_is_not_called_well() {
        let days_ago = |days: f64| Some(NOW - days * 24.0 * 3_600_000.0);
        let looked_at =
            Connection { webhook_error: Some("push_not_supported".to_owned()), ..row(Status::Unsupported) };
        for (row, last_sync_at, message) in [
            (row(Status::Active), days_ago(1.9), Text::Active),
            (row(Status::Active), days_ago(2.1), Text::Unchecked),
            (row(Status::Active), None, Text::Active),
            (Connection { has_looks: false, ..row(Status::Active) }, days_ago(9.0), Text::Active),
            (
                Connection { sync_status: SyncStatus::Failing, ..row(Status::Active) },
                days_ago(9.0),
                Text::SyncFailing,
            ),
            (
                Connection { sync_status: SyncStatus::Pending, ..row(Status::Active) },
                days_ago(9.0),
                Text::Active,
            ),
            (row(Status::Expiring), days_ago(2.1), Text::Unchecked),
            (row(Status::Expired), days_ago(9.0), Text::Expired),
            (row(Status::Paused), days_ago(9.0), Text::Paused),
            (looked_at.clone(), days_ago(1.9), Text::LookedAt),
            (looked_at, days_ago(2.1), Text::Unchecked),
        ] {
            let case = format!("{:?} {last_sync_at:?}", row.status);
            check_card(Connection { last_sync_at, ..row }, |card| {
                assert_eq!(card.message, Some(message), "{case}");
                let is_unchecked = message == Text::Unchecked;
                let is_for_operator = is_unchecked || message == Text::SyncFailing;
                assert_eq!(card.who == Who::Operator, is_for_operator, "{case}");
                assert_eq!((card.icon == Icon::Question, card.error), (is_unchecked, None), "{case}");
                assert!(!is_unchecked || card.sync.is_none() && card.tone == Tone::Warning, "{case}");
            });
        }
    }

    #[test]
    fn up_to_date_is_only_what_gets_updates() {
        for status in Status::ALL.iter().copied() {
            let gets_updates = matches!(status, Status::Active | Status::Expiring | Status::Unconfirmed);
            check_card(row(status), |card| {
                assert_eq!(card.sync == Some(SyncStatus::Idle), gets_updates, "{status:?}")
            });
            let pending = Connection { sync_status: SyncStatus::Pending, ..row(status) };
            check_card(pending, |card| {
                let is_told = status.is_live() && card.who != Who::User;
                assert_eq!(card.sync == Some(SyncStatus::Pending), is_told, "{status:?}");
            });
        }
    }

    #[test]
    fn the_panel_is_what_is_known() {
        let mut state = State::default();
        let panel = |state: &State| View::of(state, NOW).panel;
        assert_eq!(panel(&state), Panel::Loading);
        assert_eq!(View::of(&state, NOW).summary, Some(Text::Loading));
        state.fail_to_look(Problem::Offline, NOW);
        assert_eq!(
            panel(&state),
            Panel::Failed { why: Text::OfflineNow, can_retry: true, is_loading: false }
        );
        state.look(Vec::new(), NOW);
        assert_eq!(panel(&state), Panel::NotConnected { consenting: false });
        state.consent_asked(None, NOW);
        assert_eq!(panel(&state), Panel::NotConnected { consenting: true });
        state.look(vec![row(Status::Active)], NOW);
        assert_eq!(panel(&state), Panel::Connected { consenting: false });
        state.signed(Session::SignedOut, NOW);
        assert_eq!(panel(&state), Panel::SignedOut);
    }

    #[test]
    fn trouble_is_noted_above_what_was_known_last() {
        let mut state = State::example(vec![row(Status::Active)], NOW);
        for problem in [Problem::Offline, Problem::Unreachable, Problem::Unauthenticated, Problem::Server] {
            state.fail_to_look(problem, NOW);
            let view = View::of(&state, NOW);
            assert_eq!(
                (view.panel, view.notice, view.cards.len()),
                (Panel::Connected { consenting: false }, Some(problem), 1)
            );
        }
        state.look(vec![row(Status::Active)], NOW);
        assert_eq!(View::of(&state, NOW).notice, None);
    }

    #[test]
    fn what_may_no_longer_be_so_is_not_claimed() {
        let mut state = State::example(vec![row(Status::Active)], NOW);
        state.fail_to_look(Problem::Offline, NOW);
        let view = View::of(&state, NOW);
        assert_eq!((view.cards[0].message, view.cards[0].sync), (None, None));
        let mut state = State::example(vec![row(Status::Expired)], NOW);
        state.fail_to_look(Problem::Offline, NOW);
        assert_eq!(View::of(&state, NOW).cards[0].message, Some(Text::Expired));
    }

    #[test]
    fn nobody_is_alarmed_by_what_passes() {
        for (status, problem) in [
            (Status::Active, Problem::GoogleUnavailable),
            (Status::Expired, Problem::GoogleUnavailable),
            (Status::Expiring, Problem::GoogleRejected),
        ] {
            let row = Connection { webhook_error: Some(problem.name().to_owned()), ..row(status) };
            assert_eq!(View::of(&State::example(vec![row], NOW), NOW).summary, Some(Text::Working));
        }
    }

    #[test]
    fn a_run_that_failed_is_syncing_again_once_the_connection_was_set_up_anew() {
        let failing = |status| Connection { sync_status: SyncStatus::Failing, ..row(status) };
        let mut state = State::example(vec![failing(Status::ReconnectRequired)], NOW);
        state.look(vec![failing(Status::Active)], NOW);
        let set_up = state.begin("one", Action::SetUp, NOW).unwrap();
        assert_eq!(View::of(&state, NOW).summary, Some(Text::Working));
        state.succeed(&set_up, vec![failing(Status::Active)], NOW);
        let view = View::of(&state, NOW);
        assert_eq!((view.summary, view.cards[0].sync), (Some(Text::Working), Some(SyncStatus::Pending)));
        assert_eq!(view.cards[0].badge, Text::BadgeActive);
        state.tick(NOW + 6_000.0);
        assert_eq!(View::of(&state, NOW).summary, Some(Text::OperatorMustAct), "it goes on failing");
    }

    #[test]
    fn trying_again_is_not_offered_where_the_operator_has_to_act_first() {
        for (problem, expected) in [(Problem::Server, true), (Problem::NotInstalled, false)] {
            let mut state = State::default();
            state.fail_to_look(problem, NOW);
            let Panel::Failed { can_retry, .. } = View::of(&state, NOW).panel else { panic!("{problem:?}") };
            assert_eq!(can_retry, expected, "{problem:?}");
        }
    }

    #[test]
    fn the_summary_is_the_worst_of_the_cards() {
        let other = |status| Connection::example("other", status);
        for (status, expected) in [
            (Status::Active, Text::AllWell),
            (Status::Paused, Text::AllWell),
            (Status::Unconfirmed, Text::OperatorMustAct),
            (Status::ReconnectRequired, Text::UserMustAct),
        ] {
            let state = State::example(vec![row(Status::Active), other(status)], NOW);
            assert_eq!(View::of(&state, NOW).summary, Some(expected), "{status:?}");
        }
        let pending = Connection { sync_status: SyncStatus::Pending, ..row(Status::Active) };
        assert_eq!(View::of(&State::example(vec![pending], NOW), NOW).summary, Some(Text::Working));
        let paused = State::example(vec![row(Status::Paused)], NOW);
        assert_eq!(View::of(&paused, NOW).summary, Some(Text::NothingSynced));
    }

    #[test]
    fn a_button_is_busy_or_counts_down_and_the_others_stay_usable() {
        let other = Connection::example("other", Status::Active);
        let mut state = State::example(vec![row(Status::Active), other], NOW);
        let readiness = |state: &State, now| -> Vec<Readiness> {
            View::of(state, now).cards.iter().map(|card| card.button.readiness).collect()
        };
        let refresh = state.begin("one", Action::Refresh, NOW).unwrap();
        assert_eq!(readiness(&state, NOW), [Readiness::Busy, Readiness::Ready]);
        state.fail(&refresh, Problem::TooSoon, Some(7.0), NOW);
        assert_eq!(readiness(&state, NOW), [Readiness::Waiting { seconds: 7 }, Readiness::Ready]);
        assert_eq!(readiness(&state, NOW + 6_001.0), [Readiness::Waiting { seconds: 1 }, Readiness::Ready]);
        assert_eq!(readiness(&state, NOW + 7_000.0), [Readiness::Ready, Readiness::Ready]);
    }

    #[test]
    fn what_came_of_an_action_is_said_on_its_card() {
        let mut state = State::example(vec![row(Status::NotSetUp)], NOW);
        let set_up = state.begin("one", Action::SetUp, NOW).unwrap();
        assert_eq!(View::of(&state, NOW).cards[0].message, Some(Text::SettingUpNow));
        state.fail(&set_up, Problem::OauthClientInvalid, None, NOW);
        let view = View::of(&state, NOW);
        assert_eq!(view.cards[0].result, Some((Text::OauthClientInvalid, Tone::Bad)));
    }
}
