//! Odd answers, each given to every call of its kind while eight sweeps are made, a minute apart, and then for ten
//! days: what the row tells, how often Google is asked, and whether a channel is left behind.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use chrono::TimeDelta;
use futures_util::FutureExt;
use protocol::connection::{
    AccessToken, CalendarId, ChannelId, ChannelToken, Connection, ConnectionId, Farewell, RefreshToken,
    ResourceId, TokenHash, UnreadableRow,
};
use protocol::event::Event;
use protocol::failure::{DatabaseUnavailable, RunFailure};
use protocol::grant::{OpenedChannel, RenewedToken};
use protocol::invocation::{Invocation, Kind};
use protocol::look::{Anchor, Look};
use protocol::memory::Table;
use protocol::notification::{Notification, State};
use protocol::ports::{Clock, Connections, Entropy, Google, Instance, Log, Recalculation};
use protocol::recalculation::Run;
use protocol::receive::{follow_up, receive};
use protocol::sweep::{Part, sweep};
use protocol::table::{Column, Filter, Query, Value};
use protocol::transition::Update;
use protocol::waiters::Waiters;
use uuid::Uuid;

use super::tests::{Ask, List, Stop, Token, Watch, configuration, now as start, response};
use super::*;
use crate::google::{parse_stop_response, parse_token_response, parse_watch_response};
use crate::look::Reading;

const ID: ConnectionId = ConnectionId(Uuid::from_u128(1));
const RESOURCE: &str = "resource";

struct World {
    table: Table,
    now: Cell<Timestamp>,
    random: Cell<u128>,
    /// What is answered to calls of one kind; to the others Google answers as it should.
    ask: Ask,
    answer: HttpResponse,
    asked: RefCell<Vec<Ask>>,
    live: RefCell<BTreeSet<ChannelId>>,
    /// Whose first message is still to be delivered.
    to_greet: RefCell<Vec<ChannelId>>,
    log: RefCell<Vec<Event>>,
    waiters: Waiters,
}

impl World {
    fn new(ask: Ask, answer: HttpResponse) -> Self {
        let table = Table::default();
        table.set_now(start());
        let consent = [
            (Column::AccessToken, Value::Secret("access".to_owned())),
            (Column::RefreshToken, Value::Secret("refresh".to_owned())),
            (Column::ExpiresAt, Value::Time(start() + TimeDelta::days(if ask == Token { -1 } else { 1 }))),
            (Column::LastSyncAt, Value::Time(start() - TimeDelta::hours(6))),
        ];
        let channel = [
            (Column::WebhookId, "current".into()),
            (Column::WebhookResourceId, RESOURCE.into()),
            (Column::WebhookExpiration, (start() + TimeDelta::days(30)).into()),
            (Column::WebhookNotBefore, (start() + TimeDelta::days(28)).into()),
            (Column::WebhookMessageNumber, 1.into()),
            (Column::SyncEnabled, Value::Boolean(ask != Stop)),
        ];
        let has_channel = matches!(ask, List | Stop);
        table.insert(ID, consent.into_iter().chain(channel.into_iter().filter(|_| has_channel)));
        Self {
            table,
            now: Cell::new(start()),
            random: Cell::new(0),
            ask,
            answer,
            asked: RefCell::default(),
            live: RefCell::new(has_channel.then(|| ChannelId::new("current")).into_iter().collect()),
            to_greet: RefCell::default(),
            log: RefCell::default(),
            waiters: Waiters::default(),
        }
    }

    /// Notes a call; what it is answered with.
    fn ask(&self, ask: Ask, usual: &str) -> HttpResponse {
        self.asked.borrow_mut().push(ask);
        if ask == self.ask { self.answer.clone() } else { response(200, usual) }
    }

    fn sweep(&self) {
        let invocation = Invocation::new(Kind::Sweep, self.now());
        sweep(self, &invocation, Part::default()).now_or_never().unwrap().unwrap();
        for channel in self.to_greet.take() {
            let token_hash = TokenHash::new(format!("token of {ID}"));
            let resource = ResourceId::new(RESOURCE);
            let sync = Notification { channel, token_hash, resource, state: State::Sync, number: 1 };
            let verdict = receive(self, &invocation, &sync).now_or_never().unwrap();
            follow_up(self, &invocation, &sync, verdict).now_or_never().unwrap();
        }
    }

    fn pass(&self, time: TimeDelta) {
        self.now.set(self.now() + time);
        self.table.set_now(self.now());
    }

    fn text(&self, column: Column) -> String {
        match self.table.value(ID, column) {
            Value::Text(text) => text,
            _ => String::new(),
        }
    }
}

impl Connections for World {
    async fn update(
        &self,
        update: Update,
        _timeout: Duration,
    ) -> Result<Option<Connection>, DatabaseUnavailable> {
        Ok(self.table.update(&update))
    }

    async fn select(
        &self,
        query: Query,
        _timeout: Duration,
    ) -> Result<Vec<Result<Connection, UnreadableRow>>, DatabaseUnavailable> {
        Ok(self.table.select(&query))
    }

    async fn count(&self, filters: Vec<Filter>, _timeout: Duration) -> Result<u64, DatabaseUnavailable> {
        Ok(self.table.count(&filters))
    }

    async fn farewells(
        &self,
        _now: Timestamp,
        _offset: usize,
        _limit: usize,
        _timeout: Duration,
    ) -> Result<Vec<Farewell>, DatabaseUnavailable> {
        Ok(Vec::new())
    }

    async fn claim_farewell(
        &self,
        _farewell: &Farewell,
        _next: Timestamp,
        _timeout: Duration,
    ) -> Result<bool, DatabaseUnavailable> {
        Ok(false)
    }

    async fn delete_farewell(&self, _id: i64, _timeout: Duration) -> Result<(), DatabaseUnavailable> {
        Ok(())
    }
}

impl Google for World {
    async fn watch(
        &self,
        _access_token: &AccessToken,
        _calendar: Option<&CalendarId>,
        channel: &ChannelId,
        _token: &ChannelToken,
        _timeout: Duration,
    ) -> Result<OpenedChannel, WatchFailure> {
        let answer = self.ask(Watch, r#"{"resourceId":"resource"}"#);
        // At worst: a channel wherever none is ruled out.
        if answer.is_success() || answer.status >= 500 {
            self.live.borrow_mut().insert(channel.clone());
            self.to_greet.borrow_mut().push(channel.clone());
        }
        parse_watch_response(&answer, self.now())
    }

    async fn stop(
        &self,
        _access_token: &AccessToken,
        channel: &ChannelId,
        _resource: &ResourceId,
        _timeout: Duration,
    ) -> Result<(), StopFailure> {
        let stopped = parse_stop_response(&self.ask(Stop, ""), self.now());
        if stopped.is_ok() {
            self.live.borrow_mut().remove(channel);
        }
        stopped
    }

    async fn look(
        &self,
        access_token: &AccessToken,
        calendar: Option<&CalendarId>,
        anchor: Anchor,
        _timeout: Duration,
    ) -> Result<Look, LookFailure> {
        let configuration = configuration();
        let mut reading = Reading::new(&configuration, access_token, calendar, anchor);
        loop {
            let page = self.ask(List, r#"{"items":[]}"#);
            if let Some(look) = reading.read(&page, self.now())? {
                return Ok(look);
            }
        }
    }

    fn look_interval(&self) -> Duration {
        Duration::from_secs(6 * 3600)
    }

    async fn renew_token(
        &self,
        _refresh_token: &RefreshToken,
        _timeout: Duration,
    ) -> Result<RenewedToken, Refused> {
        parse_token_response(&self.ask(Token, r#"{"access_token":"new"}"#), self.now())
    }
}

impl Recalculation for World {
    async fn recalculate(&self, _run: Run, _timeout: Duration) -> Result<(), RunFailure> {
        Ok(())
    }

    fn lease(&self) -> Duration {
        Duration::from_secs(180)
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        self.now.get()
    }

    async fn sleep(&self, duration: Duration) {
        self.pass(TimeDelta::from_std(duration).unwrap());
    }
}

impl Entropy for World {
    fn random(&self) -> u128 {
        // A multiple of what jitter is the rest of: none.
        self.random.set(self.random.get() + 1001 * 201 * 1_000_000);
        self.random.get()
    }
}

impl Instance for World {
    fn waiters(&self) -> &Waiters {
        &self.waiters
    }
}

impl Log for World {
    fn log(&self, event: Event) {
        self.log.borrow_mut().push(event);
    }
}

/// What became of an answer: the code that the row tells and how often Google was asked for this or for a channel in
/// eight sweeps, then the code if it is another by then, and how often in the last of ten days.
fn play(ask: Ask, answer: HttpResponse) -> String {
    let world = World::new(ask, answer);
    for _ in 0..8 {
        world.sweep();
        world.pass(TimeDelta::minutes(1));
    }
    let told =
        || Some(world.text(Column::WebhookError)).filter(|code| !code.is_empty()).unwrap_or("-".to_owned());
    let code = told();
    let asked = || world.asked.take().iter().filter(|asked| [ask, Watch].contains(asked)).count();
    let of_eight = asked();
    for _ in 0..9 * 6 {
        world.sweep();
        world.pass(TimeDelta::hours(4));
    }
    asked();
    for _ in 0..24 {
        world.sweep();
        world.pass(TimeDelta::hours(1));
    }
    let live = world.live.borrow();
    assert!(live.len() <= 1, "{ask:?} leaves {live:?} behind");
    let then = Some(told()).filter(|then| *then != code).map_or(String::new(), |then| format!(" {then}"));
    format!("{code} {of_eight}{then} {}", asked())
}

/// Each line: a status and a body.
type Answers<'a> = &'a [(u16, &'a str)];

#[test]
fn no_answer_leaves_a_channel_behind_or_is_asked_for_without_end() {
    let long = "x".repeat(1 << 20);
    // Of `events.watch`, `events.list`, `channels.stop` and the token endpoint: the code that the row tells, and how
    // often Google was asked in eight sweeps, and in the last of ten days.
    let table: &[(Answers<'_>, [&str; 4])] = &[
        (
            &[
                (200, ""),
                (200, "{}"),
                (200, "[]"),
                (200, "null"),
                (200, &long),
                (204, ""),
                (206, "{}"),
                (200, r#"{"error":null}"#),
            ],
            ["google_rejected 1 1", "- 3 7", "- 1 0", "google_rejected 5 3"],
        ),
        (&[(200, "<html>")], ["google_unavailable 4 24", "- 3 7", "- 1 0", "google_rejected 5 3"]),
        (
            &[(200, r#"{"error":"quotaExceeded"}"#)],
            ["google_rate_limited 1 1", "- 1 google_rate_limited 24", "- 1 0", "google_rate_limited 5 49"],
        ),
        (
            &[(200, r#"{"error":{"code":403,"errors":[{"reason":"insufficientPermissions"}]}}"#)],
            ["permission_missing 1 1", "permission_missing 1 1", "- 1 0", "google_rejected 5 3"],
        ),
        (
            &[(200, r#"{"error":{"code":"429"}}"#)],
            ["google_rate_limited 1 1", "- 1 google_rate_limited 24", "- 1 0", "google_rate_limited 5 49"],
        ),
        (
            &[(200, r#"{"error":{"code":401}}"#)],
            ["google_rejected 1 1", "reconnect_required 2 1", "- 2 0", "google_rejected 5 3"],
        ),
        (
            &[(200, r#"{"error":{"errors":[{"reason":"channelIdNotUnique"}]}}"#)],
            ["google_rejected 1 1", "google_rejected 1 1", "- 1 0", "google_rejected 5 3"],
        ),
        (
            &[
                (301, ""),
                (302, "<html>"),
                (304, ""),
                (307, ""),
                (400, ""),
                (400, "null"),
                (400, "[]"),
                (400, r#""invalid_grant""#),
                (400, r#"{"error":["invalid_grant"]}"#),
                (400, r#"{"error":{"errors":"rateLimitExceeded"}}"#),
                (400, r#"{"error":{"errors":[null,7,{"reason":7},{"reason":"invalid"}]}}"#),
                (400, r#"[{"error":{"code":400,"status":"INVALID_ARGUMENT"}}]"#),
                (403, ""),
                (403, "<html>"),
                (403, r#"{"error":{"status":"PERMISSION_DENIED"}}"#),
                (403, r#"{"error":{"errors":[{"reason":"ada@example.com"}]}}"#),
                (405, ""),
                (406, "{}"),
                (409, r#"{"error":{"errors":[{"reason":"duplicate"}]}}"#),
                (410, r#"{"error":{"errors":[{"reason":"fullSyncRequired"}]}}"#),
                (413, "<html>"),
                (416, ""),
                (418, "{}"),
                (425, ""),
                (428, ""),
                (431, ""),
                (451, "<html>"),
            ],
            ["google_rejected 4 1", "google_rejected 1 1", "- 1 0", "google_rejected 5 3"],
        ),
        (
            &[(400, r#"{"error":"INVALID_GRANT"}"#)],
            ["google_rejected 4 1", "google_rejected 1 1", "- 1 0", "reconnect_required 1 1"],
        ),
        (
            &[(400, r#"{"error":{"errors":[{"reason":"channelIdNotUnique"}]}}"#)],
            ["google_rejected 8 2", "google_rejected 1 1", "- 1 0", "google_rejected 5 3"],
        ),
        (
            &[(401, ""), (401, "<html>")],
            ["reconnect_required 2 1", "reconnect_required 2 1", "- 2 0", "google_rejected 5 3"],
        ),
        (
            &[(401, r#"{"error":"unauthorized_client"}"#)],
            ["reconnect_required 2 1", "reconnect_required 2 1", "- 2 0", "reconnect_required 1 1"],
        ),
        (
            &[(401, r#"{"error":{"errors":[{"reason":"userRateLimitExceeded"}]}}"#)],
            ["reconnect_required 2 1", "reconnect_required 2 1", "- 2 0", "google_rate_limited 5 49"],
        ),
        (
            &[
                (402, r#"{"error":{"errors":[{"reason":"quotaExceeded402"}]}}"#),
                (403, r#"{"error":{"errors":[{"reason":"dailyLimitExceededUnreg"}]}}"#),
                (429, ""),
                (429, r#"{"error":{"errors":[{"reason":"domainPolicy"}]}}"#),
            ],
            ["google_rate_limited 4 24", "- 1 google_rate_limited 24", "- 1 0", "google_rate_limited 5 49"],
        ),
        (
            &[
                (403, r#"{"error":{"errors":[{"reason":"forbidden"},{"reason":"accessNotConfigured"}]}}"#),
                (
                    403,
                    r#"{"error":{"details":[[{"reason":"SERVICE_DISABLED"}],{"reason":"SERVICE_DISABLED"}]}}"#,
                ),
            ],
            ["google_api_disabled 4 24", "google_api_disabled 1 24", "- 1 0", "google_api_disabled 5 48"],
        ),
        (
            &[(403, r#"{"error":{"errors":[{"reason":"FORBIDDEN"}]}}"#)],
            ["calendar_not_found 1 1", "calendar_not_found 1 1", "- 1 0", "google_rejected 5 3"],
        ),
        (
            &[
                (404, ""),
                (404, "<html>"),
                (410, ""),
                (410, "<html>"),
                (412, ""),
                (500, ""),
                (500, r#"{"error":{"errors":[{"reason":"insufficientPermissions"}]}}"#),
                (501, ""),
                (502, "<html>"),
                (503, r#"{"error":{"errors":[{"reason":"channelIdNotUnique"}]}}"#),
                (503, "null"),
                (504, "upstream request timeout"),
                (599, "{"),
            ],
            ["google_unavailable 4 24", "- 1 google_unavailable 24", "- 1 0", "google_unavailable 5 49"],
        ),
        (
            &[(404, r#"{"error":{"code":404}}"#)],
            ["calendar_not_found 1 1", "calendar_not_found 1 1", "- 1 0", "google_unavailable 5 49"],
        ),
    ];
    for (answers, expected) in table {
        for (status, body) in *answers {
            let actual = [Watch, List, Stop, Token].map(|ask| play(ask, response(*status, body)));
            assert_eq!(actual, *expected, "{status} {body:.200}");
        }
    }
}
