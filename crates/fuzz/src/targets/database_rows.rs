//! What PostgREST and lite answer to a read: each row is read by itself, or told what in it makes no sense; and what
//! was read is written as it was.

use protocol::Timestamp;
use protocol::connection::{Connection, UnreadableRow};
use protocol::failure::DatabaseUnavailable;
use protocol::ports::Connections;
use protocol::table::{Column, DataType, Query, Value};
use protocol::transition::{Transition, Update};
use serde_json::Value as Json;
use std::time::Duration;

use crate::oracle::{Time, assert_hidden, status_and_body, strings, time, uuid};
use crate::project::{Project, finish, response};

const TIMEOUT: Duration = Duration::from_secs(1);

/// `data` is a status, a newline and a body; without a status it is 200.
pub fn target(data: &[u8]) {
    let (status, body) = status_and_body(data);
    let answer = response(status, body);
    let json: Option<Json> = serde_json::from_str(&answer.body).ok();
    let rows = json.as_ref().and_then(Json::as_array).filter(|_| status < 300);
    let (read, log) = read(status, body);
    assert_eq!(read.is_ok(), rows.is_some(), "an array is rows, and nothing else is");
    if read.is_err() {
        // Its own word for what is wrong: a short code, or none.
        let code =
            log.split(r#""code":""#).nth(1).and_then(|code| code.split('"').next()).unwrap_or_default();
        let is_code = code.len() <= 8 && code.chars().all(|c| c.is_ascii_alphanumeric());
        assert!(is_code || code == "unexpected", "{log}");
    }
    let mut secrets = Vec::new();
    json.iter().for_each(|json| strings(json, &mut secrets));
    let unreadable = read.iter().flatten().filter_map(|row| row.as_ref().err()?.id);
    let named: Vec<_> = unreadable.map(|id| id.to_string()).collect();
    secrets.retain(|secret| uuid(secret).is_none_or(|id| !named.contains(&id)));
    assert_hidden(&log, secrets);
    for (row, read) in rows.into_iter().flatten().zip(read.iter().flatten()) {
        check(row, read);
    }
}

type Rows = Result<Vec<Result<Connection, UnreadableRow>>, DatabaseUnavailable>;

fn read(status: u16, body: &[u8]) -> (Rows, String) {
    let answer = response(status, body);
    let project = Project::new(move |_| Ok(answer.clone()));
    let query = Query::first(10, Vec::new(), Column::Id);
    let rows = finish(project.deployment.select(query, TIMEOUT));
    (rows, project.log())
}

fn check(row: &Json, read: &Result<Connection, UnreadableRow>) {
    let value = |column: Column| row.get(column.name()).unwrap_or(&Json::Null);
    let id = value(Column::Id).as_str().and_then(uuid);
    match read {
        Err(UnreadableRow { id: None, column }) => {
            assert_eq!((id, *column), (None, Column::Id));
        }
        Err(odd) => {
            assert_eq!(odd.id.map(|id| id.to_string()), id);
            assert!(
                !makes_sense(odd.column.data_type(), value(odd.column)),
                "{} is {}",
                odd.column.name(),
                value(odd.column)
            );
        }
        Ok(connection) => {
            assert_eq!(Some(connection.id.to_string()), id);
            for column in Column::READ {
                assert!(
                    makes_sense(column.data_type(), value(*column)),
                    "{} is {}",
                    column.name(),
                    value(*column)
                );
            }
            assert_eq!(connection.is_active, *value(Column::IsActive) == Json::Bool(true));
            assert_eq!(connection.sync_enabled, *value(Column::SyncEnabled) != Json::Bool(false));
            for (column, read) in times(connection) {
                assert_eq!(Some(moment(read)), value(column).as_str().and_then(time), "{}", column.name());
            }
            let token = value(Column::AccessToken).as_str().filter(|token| !token.is_empty());
            assert_eq!(connection.access_token.as_ref().map(|token| token.expose()), token);
            comes_back(connection);
        }
    }
}

fn makes_sense(data_type: DataType, value: &Json) -> bool {
    match (data_type, value) {
        (_, Json::Null)
        | (DataType::Boolean, Json::Bool(_))
        | (DataType::Text | DataType::Word, Json::String(_)) => true,
        (DataType::Integer | DataType::BigInteger, Json::Number(number)) => number.is_i64(),
        (DataType::Integer | DataType::BigInteger, Json::String(text)) => {
            let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
            let number = digits.trim_start_matches('0');
            let limit = if text.starts_with('-') { "9223372036854775808" } else { "9223372036854775807" };
            !digits.is_empty()
                && digits.chars().all(|c| c.is_ascii_digit())
                && (number.len() < 19 || number.len() == 19 && number <= limit)
        }
        (DataType::Time, Json::String(text)) => time(text).is_some(),
        (DataType::Uuid, Json::String(text)) => uuid(text).is_some(),
        _ => false,
    }
}

/// Those that are there.
fn times(connection: &Connection) -> Vec<(Column, Timestamp)> {
    let always = [
        (Column::WebhookOpenedAt, connection.webhook_opened_at),
        (Column::WebhookLeaseUntil, connection.webhook_lease_until),
        (Column::WebhookNotBefore, connection.webhook_not_before),
        (Column::SyncLeaseUntil, connection.sync_lease_until),
        (Column::SyncNotBefore, connection.sync_not_before),
    ];
    let sometimes = [
        (Column::ExpiresAt, connection.expires_at),
        (Column::WebhookExpiration, connection.webhook_expiration),
        (Column::LastSyncAt, connection.last_sync_at),
    ];
    // A null reads as the default of its column.
    let always = always.into_iter().filter(|(_, time)| *time != Timestamp::default());
    always.chain(sometimes.into_iter().filter_map(|(column, time)| Some((column, time?)))).collect()
}

fn moment(time: Timestamp) -> Time {
    if time == Timestamp::MAX_UTC {
        Time::After
    } else if time == Timestamp::MIN_UTC {
        Time::Before
    } else {
        Time::At(time.timestamp_micros().into())
    }
}

/// Written by an update and read again, a row is what it was, to the microsecond that the database keeps.
fn comes_back(connection: &Connection) {
    let mut update = Update::of(Transition::RetireChannel, connection.id);
    update.set = vec![
        (Column::Id, connection.id.into()),
        (Column::UserId, connection.user_id.into()),
        (Column::AccessToken, connection.access_token.as_ref().into()),
        (Column::RefreshToken, connection.refresh_token.as_ref().into()),
        (Column::CalendarId, connection.calendar_id.as_ref().map(|id| id.as_str()).into()),
        (Column::IsActive, Value::Boolean(connection.is_active)),
        (Column::SyncEnabled, Value::Boolean(connection.sync_enabled)),
        (Column::WebhookId, connection.webhook_id.as_ref().into()),
        (Column::WebhookToken, connection.webhook_token.expose().into()),
        (Column::WebhookSource, (&connection.webhook_source).into()),
        (Column::WebhookResourceId, connection.webhook_resource_id.as_ref().into()),
        (Column::WebhookPendingId, connection.webhook_pending_id.as_ref().into()),
        (Column::WebhookMessageNumber, connection.webhook_message_number.into()),
        (Column::WebhookAttempts, connection.webhook_attempts.into()),
        (Column::WebhookError, connection.webhook_error.as_deref().into()),
        (Column::SyncRequestId, connection.sync_request_id.into()),
        (Column::SyncAttempts, connection.sync_attempts.into()),
        (Column::SyncStreak, connection.sync_streak.into()),
    ];
    // A zone may carry a time beyond the years that are written with four digits.
    let written = times(connection).into_iter().filter(|(_, time)| has_four_digits(*time));
    let kept = written.map(|(column, time)| (column, time.into()));
    update.set.extend(kept.collect::<Vec<(Column, Value)>>());

    let project = Project::new(|_| Ok(response(200, b"[]")));
    assert!(matches!(finish(project.deployment.update(update, TIMEOUT)), Ok(None)));
    let body = project.asked().pop().and_then(|request| request.body).unwrap_or_default();
    let (again, _) = read(200, format!("[{body}]").as_bytes());
    let again = again.ok().and_then(|mut rows| rows.pop());
    let again = again.and_then(Result::ok).as_ref().map(kept_by_the_database);
    // A failure prints no secret.
    let kept = kept_by_the_database(connection);
    assert!(again.as_ref() == Some(&kept), "{again:?} is not {kept:?}");
}

fn has_four_digits(time: Timestamp) -> bool {
    let from = Timestamp::from_timestamp(-62_167_219_200, 0);
    let to = Timestamp::from_timestamp(253_402_300_800, 0);
    time == Timestamp::MAX_UTC
        || time == Timestamp::MIN_UTC
        || from.zip(to).is_some_and(|(from, to)| from <= time && time < to)
}

fn kept_by_the_database(connection: &Connection) -> Connection {
    let kept = |time: Timestamp| match moment(time) {
        _ if !has_four_digits(time) => Timestamp::default(),
        Time::At(_) => Timestamp::from_timestamp_micros(time.timestamp_micros()).unwrap_or_default(),
        Time::Before | Time::After => time,
    };
    let may_be = |time: Option<Timestamp>| time.filter(|time| has_four_digits(*time)).map(kept);
    Connection {
        expires_at: may_be(connection.expires_at),
        webhook_expiration: may_be(connection.webhook_expiration),
        last_sync_at: may_be(connection.last_sync_at),
        webhook_opened_at: kept(connection.webhook_opened_at),
        webhook_lease_until: kept(connection.webhook_lease_until),
        webhook_not_before: kept(connection.webhook_not_before),
        sync_lease_until: kept(connection.sync_lease_until),
        sync_not_before: kept(connection.sync_not_before),
        ..connection.clone()
    }
}
