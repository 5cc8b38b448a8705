//! One script of updates and reads, played on the table in memory, on PostgREST and on lite: all answer alike.

use std::time::Duration;

use adapters::deployment::Deployment;
use chrono::{DateTime, TimeDelta, Utc};
use dev_stack::{Config, Stack};
use local_supabase::Backend;
use protocol::Timestamp;
use protocol::connection::{ChannelId, Connection, ConnectionId, Source};
use protocol::memory::Table;
use protocol::ports::Connections;
use protocol::table::{Column, Filter, Query, Value, google, live};
use protocol::transition::{ROTATED, Transition, Update};
use serde_json::json;
use uuid::Uuid;

use crate::native::{Native, deployment};

const TIMEOUT: Duration = Duration::from_secs(5);

fn time(seconds: i64, microseconds: u32) -> Timestamp {
    DateTime::from_timestamp(1_795_000_000 + seconds, microseconds * 1000).unwrap()
}

fn id(number: u128) -> ConnectionId {
    // Spread out, so that the order of ids is not the order of anything else.
    ConnectionId(Uuid::from_u128(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)))
}

/// An update whose step does not matter here.
fn patch(id: ConnectionId) -> Update {
    Update::of(Transition::RetireChannel, id)
}

/// A table in memory beside a real one, with the same rows.
struct Pair {
    memory: Table,
    real: Deployment<Native>,
    rest_url: String,
    secret_key: String,
}

impl Pair {
    async fn insert(&self, number: u128, values: &[(Column, Value)]) -> ConnectionId {
        let id = id(number);
        let mut row = json!({ "id": id.to_string(), "user_id": id.to_string() });
        for (column, value) in values {
            row[column.name()] = match value {
                Value::Boolean(boolean) => json!(boolean),
                Value::Text(text) | Value::Secret(text) => json!(text),
                Value::Time(time) => json!(adapters::timestamp::format_timestamp(*time)),
                other => panic!("no test inserts {other:?}"),
            };
        }
        let response = reqwest::Client::new()
            .post(format!("{}/calendar_connections", self.rest_url))
            .header("apikey", &self.secret_key)
            .json(&row)
            .send()
            .await
            .unwrap();
        assert!(response.status().is_success(), "{}", response.text().await.unwrap());
        self.memory.insert(id, values.iter().cloned());
        id
    }

    /// Updates both, compares the answers, and says whether a row was updated.
    #[track_caller]
    fn update(&self, update: Update) -> impl Future<Output = bool> {
        let caller = std::panic::Location::caller();
        async move {
            let expected = self.memory.update(&update);
            let actual = self.real.update(update.clone(), TIMEOUT).await;
            let actual = actual.unwrap_or_else(|_| panic!("{caller}: {update:?}"));
            let took_place = expected.is_some();
            assert_eq!(actual.map(comparable), expected.map(comparable), "{caller}");
            took_place
        }
    }

    #[track_caller]
    fn select(&self, query: Query) -> impl Future<Output = Vec<ConnectionId>> {
        let caller = std::panic::Location::caller();
        async move {
            let rows = |rows: Vec<Result<Connection, _>>| -> Vec<Connection> {
                rows.into_iter().map(|row| comparable(row.unwrap())).collect()
            };
            let expected = rows(self.memory.select(&query));
            let actual = rows(self.real.select(query, TIMEOUT).await.unwrap());
            assert_eq!(actual, expected, "{caller}");
            expected.into_iter().map(|row| row.id).collect()
        }
    }
}

/// Without what is random, a digest or the time of either clock, and differs.
fn comparable(row: Connection) -> Connection {
    let now = |time: Timestamp| (time - Utc::now()).abs() < TimeDelta::minutes(5);
    let or_now = |time: Timestamp| if now(time) { Timestamp::default() } else { time };
    Connection {
        webhook_not_before: or_now(row.webhook_not_before),
        sync_not_before: or_now(row.sync_not_before),
        sync_look_at: or_now(row.sync_look_at),
        webhook_token: protocol::connection::ChannelToken::new(""),
        webhook_source: Source::new(""),
        ..row
    }
}

async fn every_update_and_read_has_the_same_answer(backend: Backend) {
    let functions = tempfile::tempdir().unwrap();
    let config = Config { backend, functions_dir: functions.path().to_owned(), ..Config::default() };
    let stack = Stack::start(config, |_| {}).await.unwrap();
    let real = deployment([
        ("SUPABASE_URL", stack.url()),
        ("SUPABASE_SECRET_KEYS", &json!({ "default": stack.keys().secret.as_str() }).to_string()),
        ("GOOGLE_CLIENT_ID", "unused"),
        ("GOOGLE_CLIENT_SECRET", "unused"),
        ("GOOGLE_CALENDAR_API_URL", "http://127.0.0.1:9"),
        ("GOOGLE_OAUTH_TOKEN_URL", "http://127.0.0.1:9"),
    ]);
    let pair = Pair {
        memory: Table::default(),
        real,
        rest_url: format!("{}/rest/v1", stack.url()),
        secret_key: stack.keys().secret.clone(),
    };
    pair.memory.set_now(Utc::now());
    filters_mean_the_same(&pair).await;
    the_trigger_does_the_same(&pair).await;
    reads_are_in_the_same_order(&pair).await;
    one_of_many_claims_wins(&pair).await;
    odd_rows_are_read(&pair).await;
    stack.stop().await;
}

#[tokio::test]
async fn postgrest_answers_as_the_table_in_memory() {
    every_update_and_read_has_the_same_answer(Backend::Postgrest).await;
}

#[tokio::test]
async fn lite_answers_as_the_table_in_memory() {
    every_update_and_read_has_the_same_answer(Backend::Lite).await;
}

async fn filters_mean_the_same(pair: &Pair) {
    let connection = pair
        .insert(
            1,
            &[
                (Column::WebhookId, "a b&c=d+e/f%\"'(),.:".into()),
                (Column::RefreshToken, Value::Secret("1//token\nwith a newline".to_owned())),
                (Column::WebhookNotBefore, time(0, 123_456).into()),
            ],
        )
        .await;
    let check = async |filter: Filter, expected: bool| {
        let update = patch(connection).when(filter.clone()).set(Column::WebhookError, "seen");
        assert_eq!(pair.update(update).await, expected, "{filter:?}");
    };
    check(Filter::Eq(Column::WebhookId, "a b&c=d+e/f%\"'(),.:".into()), true).await;
    check(Filter::Eq(Column::WebhookId, "another".into()), false).await;
    check(Filter::Eq(Column::WebhookPendingId, "null".into()), false).await;
    check(Filter::IsDistinct(Column::WebhookId, "another".into()), true).await;
    check(Filter::IsDistinct(Column::WebhookId, "a b&c=d+e/f%\"'(),.:".into()), false).await;
    check(Filter::IsDistinct(Column::WebhookPendingId, "any".into()), true).await;
    check(Filter::Lt(Column::WebhookNotBefore, time(0, 123_457).into()), true).await;
    check(Filter::Lt(Column::WebhookNotBefore, time(0, 123_456).into()), false).await;
    check(Filter::Lte(Column::WebhookNotBefore, time(0, 123_456).into()), true).await;
    check(Filter::Lte(Column::WebhookNotBefore, time(0, 123_455).into()), false).await;
    check(Filter::Eq(Column::WebhookNotBefore, time(0, 123_456).into()), true).await;
    // Lite reads numbers as JavaScript does, to 2^53.
    check(Filter::Lt(Column::WebhookMessageNumber, ((1 << 53) - 1).into()), true).await;
    check(Filter::Lt(Column::LastSyncAt, time(0, 0).into()), false).await;
    check(Filter::IsNull(Column::SyncRequestId), true).await;
    check(Filter::NotNull(Column::SyncRequestId), false).await;
    for filter in live() {
        check(filter, true).await;
    }
    for (value, is_true, is_false) in [
        (Value::Boolean(true), true, false),
        (Value::Boolean(false), false, true),
        (Value::Null, false, false),
    ] {
        pair.update(Update { set: vec![(Column::SyncEnabled, value)], ..patch(connection) }).await;
        check(Filter::IsTrue(Column::SyncEnabled), is_true).await;
        check(Filter::NotTrue(Column::SyncEnabled), !is_true).await;
        check(Filter::IsFalse(Column::SyncEnabled), is_false).await;
        check(Filter::NotFalse(Column::SyncEnabled), !is_false).await;
    }
    // The update writes what its own filter asked for: the row is returned all the same.
    let claim = patch(connection)
        .when(Filter::Lt(Column::SyncLeaseUntil, time(0, 0).into()))
        .set(Column::SyncLeaseUntil, time(180, 1));
    assert!(pair.update(claim.clone()).await);
    assert!(!pair.update(claim).await);
}

async fn the_trigger_does_the_same(pair: &Pair) {
    let connection = pair.insert(2, &[(Column::RefreshToken, Value::Secret("first".to_owned()))]).await;
    let booked = || {
        patch(connection)
            .set(Column::WebhookNotBefore, time(60, 0))
            .set(Column::WebhookLeaseUntil, time(90, 0))
            .set(Column::WebhookAttempts, 3)
            .set(Column::WebhookError, "google_unavailable")
            .set(Column::SyncAttempts, 2)
            .set(Column::SyncNotBefore, time(60, 0))
    };
    let held = || patch(connection).set(Column::SyncLeaseUntil, time(1_000_000_000, 0));
    let pending = || patch(connection).set(Column::WebhookPendingId, &ChannelId::new("pending"));
    for change in [
        patch(connection).set(Column::RefreshToken, Value::Secret("second".to_owned())),
        patch(connection).set(Column::CalendarId, "work@example.com"),
        patch(connection).set(Column::CalendarId, Value::Null),
        patch(connection).set(Column::SyncEnabled, Value::Boolean(false)),
        patch(connection).set(Column::IsActive, Value::Boolean(false)),
        patch(connection)
            .set(Column::RefreshToken, Value::Secret("third".to_owned()))
            .set(Column::WebhookSource, ROTATED),
        patch(connection).set(Column::AccessToken, Value::Secret("access".to_owned())),
    ] {
        assert!(pair.update(booked()).await);
        assert!(pair.update(change.clone()).await);
        assert!(pair.update(booked()).await);
        assert!(pair.update(pending()).await);
        assert!(pair.update(held()).await);
        assert!(pair.update(change).await);
        assert!(pair.update(patch(connection).set_epoch(Column::SyncLeaseUntil)).await);
        assert!(pair.update(patch(connection).set_null(Column::WebhookPendingId)).await);
    }
}

async fn reads_are_in_the_same_order(pair: &Pair) {
    let mut ids = Vec::new();
    for number in 10..20 {
        let last_sync_at = match number % 3 {
            0 => Value::Null,
            _ => Value::Time(time(i64::try_from(number).unwrap() * -7919 % 100, 0)),
        };
        let mut values = vec![(Column::CalendarId, "listed".into())];
        if last_sync_at != Value::Null {
            values.push((Column::LastSyncAt, last_sync_at));
        }
        ids.push(pair.insert(number, &values).await);
    }
    let listed = Filter::Eq(Column::CalendarId, "listed".into());
    let query = |more: &[Filter], limit| {
        Query::first(limit, [&[google(), listed.clone()], more].concat(), Column::LastSyncAt)
    };
    let timed = Filter::NotNull(Column::LastSyncAt);
    assert_eq!(pair.select(query(std::slice::from_ref(&timed), 100)).await.len(), 7);
    assert_eq!(pair.select(query(std::slice::from_ref(&timed), 4)).await.len(), 4);
    for (offset, rows) in [(3, 4), (6, 1), (7, 0), (100, 0)] {
        let rest = Query { offset, ..query(std::slice::from_ref(&timed), 4) };
        assert_eq!(pair.select(rest).await.len(), rows, "from {offset}");
    }
    let some = Filter::In(Column::Id, ids.iter().take(3).map(|id| (*id).into()).collect());
    assert_eq!(pair.real.count(vec![some], TIMEOUT).await, Ok(3));
    let early = Filter::Lt(Column::LastSyncAt, time(-50, 0).into());
    assert!(!pair.select(query(&[early], 100)).await.is_empty());
    // Rows without a time come first, in whichever order.
    let all = pair.real.select(query(&[], 100), TIMEOUT).await.unwrap();
    assert!(all[..3].iter().all(|row| row.as_ref().unwrap().last_sync_at.is_none()));
    assert_eq!(pair.real.count(vec![listed.clone()], TIMEOUT).await, Ok(10));
    let none = vec![listed, Filter::IsFalse(Column::IsActive)];
    assert_eq!(pair.real.count(none, TIMEOUT).await, Ok(0));
}

async fn one_of_many_claims_wins(pair: &Pair) {
    let connection = pair.insert(30, &[]).await;
    let claims = (0..40).map(|claim| {
        let update = patch(connection)
            .when(Filter::Lt(Column::SyncLeaseUntil, time(0, 0).into()))
            .set(Column::SyncLeaseUntil, time(180, claim));
        pair.real.update(update, TIMEOUT)
    });
    let claimed: Vec<_> = futures_util::future::join_all(claims).await;
    assert_eq!(claimed.iter().filter(|claim| matches!(claim, Ok(Some(_)))).count(), 1);
}

async fn odd_rows_are_read(pair: &Pair) {
    let far = [
        (Column::CalendarId, "odd".into()),
        (Column::ExpiresAt, Value::Time(Timestamp::MAX_UTC)),
        (Column::WebhookExpiration, Value::Time(Timestamp::MIN_UTC)),
        (Column::AccessToken, Value::Secret("token\nwith a newline".to_owned())),
    ];
    let odd = pair.insert(40, &far).await;
    assert!(pair.update(patch(odd).set(Column::IsActive, Value::Null)).await);
    assert!(pair.update(patch(odd).set(Column::SyncEnabled, Value::Null)).await);
    let row = pair.real.select(Query::by_id(odd), TIMEOUT).await.unwrap().remove(0).unwrap();
    assert!(!row.is_active && row.sync_enabled);
    assert!(row.webhook_expiration.unwrap() < time(0, 0) - TimeDelta::days(1_000_000));
    let statuses = pair.real.statuses(&[odd]).await.unwrap();
    let [(id, status)] = statuses.as_slice() else { panic!("{statuses:?}") };
    let status: serde_json::Value = serde_json::from_str(status).unwrap();
    assert_eq!((*id, &status["status"]), (odd, &"disconnected".into()));
}
