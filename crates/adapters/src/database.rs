//! PostgREST: conditional updates and reads as requests of the `postgrest` crate, rows as answers.

use std::cell::Cell;

use postgrest::{Builder, Postgrest};
use protocol::Timestamp;
use protocol::connection::Farewell;
use protocol::connection::{
    AccessToken, ChannelId, Connection, ConnectionId, RefreshToken, ResourceId, UnreadableRow,
};
use protocol::table::{Column, DataType, Filter, Query, Value};
use protocol::transition::Update;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::configuration::Configuration;
use crate::http::{ANY_LENGTH, HttpRequest, HttpResponse, Method};
use crate::json::{Field, object};
use crate::refusal;
use crate::timestamp::{format_timestamp, parse_timestamp};

pub const TABLE: &str = "calendar_connections";
/// The only place that decides a connection's status.
pub const STATUS_VIEW: &str = "calendar_connection_status";

/// What callers are told of a connection; all of it text, or null.
const STATUS_COLUMNS: [&str; 13] = [
    "id",
    "user_id",
    "calendar_id",
    "status",
    "webhook_id",
    "webhook_expiration",
    "webhook_error",
    "sync_status",
    "last_sync_at",
    "sync_error",
    "webhook_error_reason",
    "calendar_name",
    "webhook_notified_at",
];

/// What is read of an answer, in bytes: 200 rows of the longest values that the table takes have half as many.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// What the schedule has asked for.
const REQUESTS_TABLE: &str = "calendar_webhook_requests";

/// What the sweeps did, for operators.
const SWEEPS_TABLE: &str = "calendar_webhook_sweeps";

/// What is kept of deleted connections, and of it what the sweep reads.
const FAREWELLS_TABLE: &str = "calendar_webhook_farewells";
const FAREWELL_COLUMNS: &str = "id,connection_id,deleted_at,not_before,webhook_id,webhook_pending_id,\
    webhook_resource_id,access_token,refresh_token,expires_at";

/// A function of the migration that PostgREST takes for a column: all that is read of a row, as one value. It takes a
/// third of the time for it that it takes for as many columns by name.
const STATE: &str = "calendar_webhook_state";
/// PostgreSQL's code for a column that is not there.
const UNDEFINED_COLUMN: &str = "42703";

/// The project's PostgREST, seen with the service key.
pub struct Database {
    rest: Postgrest,
    /// The columns are asked for by name: the migration that makes one of them is not applied yet, or this is
    /// `@supabase/lite`, whose updates do not return such a column.
    names_columns: Cell<bool>,
}

impl Database {
    pub fn new(configuration: &Configuration) -> Self {
        // Named, for a project may expose another schema first.
        let rest = Postgrest::new(format!("{}/rest/v1", configuration.supabase_url)).schema("public");
        // `insert_header` panics on what is no header value; the configuration's keys are.
        let headers = configuration.key.headers().into_iter();
        let rest = headers.fold(rest, |rest, (name, value)| rest.insert_header(name, value));
        Self { rest, names_columns: Cell::new(false) }
    }

    /// Whether to ask once more for rows: what is read of them was asked for as one value at this address, which the
    /// answer does not know. It is asked for by names from then on.
    pub(crate) fn must_name_columns(&self, url: &str, response: &HttpResponse) -> bool {
        let is_unknown = !response.is_success()
            && url.contains(STATE)
            && response.body.contains(STATE)
            && error_code(response) == UNDEFINED_COLUMN;
        self.names_columns.set(self.names_columns.get() || is_unknown);
        is_unknown
    }

    fn columns(&self) -> String {
        if self.names_columns.get() {
            Column::READ.iter().map(|column| column.name()).collect::<Vec<_>>().join(",")
        } else {
            STATE.to_owned()
        }
    }

    pub fn update_request(&self, update: &Update) -> HttpRequest {
        let fields: Vec<_> = update.set.iter().map(|(column, value)| (column.name(), field(value))).collect();
        let builder = self.rest.from(TABLE).update(object(&fields)).select(self.columns());
        // One row, whose values the table bounds.
        HttpRequest { longest_answer: ANY_LENGTH, ..request(builder, &update.filters, Method::Patch) }
    }

    pub fn select_request(&self, query: &Query) -> HttpRequest {
        let builder = self
            .rest
            .from(TABLE)
            .select(self.columns())
            .order(format!("{}.asc.nullsfirst", query.order.name()))
            .range(query.offset, query.offset + query.limit.max(1) - 1);
        request(builder, &query.filters, Method::Get)
    }

    /// Counts runs, owed and due.
    pub fn count_request(&self, filters: &[Filter]) -> HttpRequest {
        // In the order of an index: PostgREST reads one row besides, by a scan of the table if any order will do.
        let order = format!("{}.asc.nullsfirst", Column::SyncNotBefore.name());
        request(self.rest.from(TABLE).select("id").order(order).exact_count(), filters, Method::Get)
    }

    /// Adds a row, a JSON object.
    pub fn record_sweep_request(&self, row: String) -> HttpRequest {
        request(self.rest.from(SWEEPS_TABLE).insert(row), &[], Method::Post)
    }

    pub fn farewells_request(&self, now: Timestamp, offset: usize, limit: usize) -> HttpRequest {
        let builder = self
            .rest
            .from(FAREWELLS_TABLE)
            .select(FAREWELL_COLUMNS)
            .lte("not_before", format_timestamp(now))
            .order("not_before.asc")
            .range(offset, offset + limit.max(1) - 1);
        request(builder, &[], Method::Get)
    }

    pub fn claim_farewell_request(&self, farewell: &Farewell, next: Timestamp) -> HttpRequest {
        let body = object(&[("not_before", format_timestamp(next).into())]);
        let builder = self
            .rest
            .from(FAREWELLS_TABLE)
            .update(body)
            .select("id")
            .eq("id", farewell.id.to_string())
            .eq("not_before", format_timestamp(farewell.not_before));
        request(builder, &[], Method::Patch)
    }

    pub fn delete_farewell_request(&self, id: i64) -> HttpRequest {
        request(self.rest.from(FAREWELLS_TABLE).delete().eq("id", id.to_string()), &[], Method::Delete)
    }

    /// Whether this database has asked for a sweep then.
    pub fn sweep_asked_request(&self, at: Timestamp) -> HttpRequest {
        let builder =
            self.rest.from(REQUESTS_TABLE).select("id").eq("requested_at", format_timestamp(at)).limit(1);
        request(builder, &[], Method::Get)
    }

    pub fn status_request(&self, connections: &[ConnectionId]) -> HttpRequest {
        let ids = connections.iter().map(ConnectionId::to_string);
        request(self.rest.from(STATUS_VIEW).select(STATUS_COLUMNS.join(",")).in_("id", ids), &[], Method::Get)
    }
}

/// The rows of an answer, each by itself: an odd one does not hide the others.
pub fn parse_rows(response: &HttpResponse) -> Option<Vec<Result<Connection, UnreadableRow>>> {
    Some(parse_array(response)?.iter().map(parse_row).collect())
}

/// Farewells, those that can be read.
pub fn parse_farewells(response: &HttpResponse) -> Option<Vec<Farewell>> {
    Some(parse_array(response)?.iter().filter_map(parse_farewell).collect())
}

fn parse_farewell(row: &Json) -> Option<Farewell> {
    let value = |column: &str, data_type| parse_value(data_type, row.get(column)?);
    let text = |column: &str| match value(column, DataType::Text) {
        Some(Value::Text(text)) if !text.is_empty() => Some(text),
        _ => None,
    };
    let time = |column: &str| match value(column, DataType::Time) {
        Some(Value::Time(time)) => Some(time),
        _ => None,
    };
    let (Value::Integer(id), Value::Uuid(connection)) =
        (value("id", DataType::BigInteger)?, value("connection_id", DataType::Uuid)?)
    else {
        return None;
    };
    Some(Farewell {
        id,
        connection: ConnectionId(connection),
        deleted_at: time("deleted_at")?,
        not_before: time("not_before")?,
        channels: ["webhook_id", "webhook_pending_id"]
            .into_iter()
            .filter_map(text)
            .map(ChannelId::new)
            .collect(),
        resource_id: text("webhook_resource_id").map(ResourceId::new),
        access_token: text("access_token").map(AccessToken::new),
        refresh_token: text("refresh_token").map(RefreshToken::new),
        expires_at: time("expires_at"),
    })
}

/// Whether a conditional update took a row, or a read found one, and only that.
pub fn parse_whether_taken(response: &HttpResponse) -> Option<bool> {
    Some(!parse_array(response)?.is_empty())
}

/// The total in `Content-Range: 0-0/57`.
pub fn parse_count(response: &HttpResponse) -> Option<u64> {
    if !response.is_success() {
        return None;
    }
    let (_, total) = response.content_range.as_deref()?.rsplit_once('/')?;
    total.parse().ok()
}

/// Rows of the status view as JSON, by the connection that each is about.
pub fn parse_statuses(response: &HttpResponse) -> Option<Vec<(ConnectionId, String)>> {
    let status = |row: &Json| {
        let text = |column: &str| row.get(column).and_then(Json::as_str);
        let columns = STATUS_COLUMNS.map(|column| (column, text(column).into()));
        Some((ConnectionId(Uuid::parse_str(text("id")?).ok()?), object(&columns)))
    };
    parse_array(response)?.iter().map(status).collect()
}

/// The array that a read or an update returns.
fn parse_array(response: &HttpResponse) -> Option<Vec<Json>> {
    if !response.is_success() {
        return None;
    }
    match serde_json::from_str(&response.body) {
        Ok(Json::Array(rows)) => Some(rows),
        _ => None,
    }
}

/// PostgREST's code for an error: `PGRST204`, or PostgreSQL's (`42501`). Nothing longer, whatever answered.
pub fn error_code(response: &HttpResponse) -> String {
    let body: Json = serde_json::from_str(&response.body).unwrap_or_default();
    let is_code = |code: &&str| code.len() <= 8 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    body.get("code").and_then(Json::as_str).filter(is_code).unwrap_or("unexpected").to_owned()
}

/// What PostgREST or PostgreSQL says where it refuses for a reason that a person must mend: a key, a missing grant or
/// column, a trigger of the host's that raises. None where it may work the next time.
pub fn refusal(response: &HttpResponse) -> Option<String> {
    // PostgreSQL's classes for what passes: connection, rollback, resources, locks, intervention, system, internal.
    const PASSING: [&str; 7] = ["08", "40", "53", "55", "57", "58", "XX"];
    let code = error_code(response);
    let stays = match response.status {
        ..=399 => false,
        401 | 403 => true,
        // PostgREST's own: the schema is not exposed, or lacks what is asked for.
        _ if code.starts_with("PGRST") => code == "PGRST106" || code.starts_with("PGRST2"),
        _ => code.len() == 5 && !PASSING.iter().any(|class| code.starts_with(class)),
    };
    let mut message = stays.then(|| refusal::message(&response.body))?;
    let denied = message.strip_prefix("permission denied for table ").filter(|_| code == "42501");
    if let Some(table) = denied {
        let grant = format!(": grant select, insert, update, delete on public.{table} to service_role");
        message += &grant;
    }
    Some(message)
}

/// Finishes a request.
fn request(builder: Builder, filters: &[Filter], method: Method) -> HttpRequest {
    let mut distinct = Vec::new();
    let builder = filters.iter().fold(builder, |builder, filter| match filter {
        Filter::Eq(column, value) => builder.eq(column.name(), text(value)),
        Filter::In(column, values) => builder.in_(column.name(), values.iter().map(text)),
        Filter::Gt(column, value) => builder.gt(column.name(), text(value)),
        Filter::Lt(column, value) => builder.lt(column.name(), text(value)),
        Filter::Lte(column, value) => builder.lte(column.name(), text(value)),
        Filter::IsNull(column) => builder.is(column.name(), "null"),
        Filter::IsTrue(column) => builder.is(column.name(), "true"),
        Filter::IsFalse(column) => builder.is(column.name(), "false"),
        Filter::NotNull(column) => builder.not("is", column.name(), "null"),
        Filter::NotTrue(column) => builder.not("is", column.name(), "true"),
        Filter::NotFalse(column) => builder.not("is", column.name(), "false"),
        Filter::IsDistinct(column, value) => {
            distinct.push((column.name(), format!("isdistinct.{}", text(value))));
            builder
        }
    });
    // The builder has no name for `isdistinct`.
    let Ok(request) = builder.build().query(&distinct).build();
    let headers = request.headers().iter().map(|(name, value)| (name.to_owned(), value.as_str().to_owned()));
    let body = request.body().and_then(|body| body.as_bytes()).filter(|body| !body.is_empty());
    HttpRequest {
        method,
        url: request.url().as_str().to_owned(),
        headers: headers.collect(),
        body: body.and_then(|body| String::from_utf8(body.to_vec()).ok()),
        at_most_once: false,
        longest_answer: LONGEST_ANSWER,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Text(value) | Value::Secret(value) => value.clone(),
        Value::Time(value) => format_timestamp(*value),
        Value::Uuid(value) => value.to_string(),
    }
}

fn field(value: &Value) -> Field<'_> {
    match value {
        Value::Null => Field::Null,
        Value::Boolean(value) => Field::Boolean(*value),
        Value::Integer(value) => Field::Integer(*value),
        value => text(value).into(),
    }
}

fn parse_row(row: &Json) -> Result<Connection, UnreadableRow> {
    let empty = Map::new();
    let row = row.get(STATE).unwrap_or(row).as_object().unwrap_or(&empty);
    Connection::from_row(&|column| {
        parse_value(column.data_type(), row.get(column.name()).unwrap_or(&Json::Null))
    })
}

fn parse_value(data_type: DataType, json: &Json) -> Option<Value> {
    match (data_type, json) {
        (_, Json::Null) => Some(Value::Null),
        (DataType::Boolean, Json::Bool(boolean)) => Some(Value::Boolean(*boolean)),
        (DataType::Integer | DataType::BigInteger, Json::Number(number)) => {
            number.as_i64().map(Value::Integer)
        }
        // Lite prints a bigint as text.
        (DataType::Integer | DataType::BigInteger, Json::String(text)) => {
            text.parse().ok().map(Value::Integer)
        }
        (DataType::Text | DataType::Word, Json::String(text)) => Some(Value::Text(text.clone())),
        (DataType::Time, Json::String(text)) => parse_timestamp(text).map(Value::Time),
        (DataType::Uuid, Json::String(text)) => Uuid::parse_str(text).ok().map(Value::Uuid),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_stays_is_told_from_what_passes() {
        let no_grant = "permission denied for table calendar_connections: grant select, insert, update, delete on \
                        public.calendar_connections to service_role";
        for (status, body, told) in [
            (
                403,
                r#"{"code":"42501","message":"permission denied for table calendar_connections"}"#,
                Some(no_grant),
            ),
            (401, r#"{"message":"Invalid API key"}"#, Some("Invalid API key")),
            (400, r#"{"code":"P0001","message":"no room left"}"#, Some("no room left")),
            (409, r#"{"code":"23505","message":"twice"}"#, Some("twice")),
            (404, r#"{"code":"PGRST205","message":"no table"}"#, Some("no table")),
            (500, r#"{"code":"57014","message":"canceling statement due to statement timeout"}"#, None),
            (400, r#"{"code":"55P03","message":"lock timeout"}"#, None),
            (503, r#"{"code":"PGRST002","message":"schema cache"}"#, None),
            (400, r#"{"code":"PGRST100","message":"failed to parse"}"#, None),
            (502, "<html>", None),
            (404, r#"{"message":"no Route matched with those values"}"#, None),
            (200, r#"{"code":"42501"}"#, None),
        ] {
            let response = HttpResponse { status, body: body.to_owned(), ..HttpResponse::default() };
            assert_eq!(refusal(&response).as_deref(), told, "{status} {body}");
        }
    }
}
