//! The control API; the table in the crate's documentation says what each request does.

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, TimeDelta, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::access::{CALENDAR_SCOPE, Grant};
use crate::model::calendar::{AccessRole, Calendar};
use crate::model::channel::ChannelState;
use crate::model::clock::{now, timestamp};
use crate::model::event;
use crate::model::fault::Fault;
use crate::model::google::Google;
use crate::model::notify;
use crate::model::record::{Delivery, LoggedRequest};
use crate::model::rule::Rule;
use crate::state::Shared;

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/accounts", post(grant_access))
        .route("/calendars", post(give_calendar))
        .route("/events", post(fill_calendar))
        .route("/revoke", post(revoke))
        .route("/expire-access-tokens", post(expire_access_tokens))
        .route("/client", post(replace_client))
        .route("/faults", post(add_fault).delete(clear_faults))
        .route("/delivery", post(set_rule).delete(clear_rules))
        .route("/ttl", post(set_ttl))
        .route("/channels", get(channels))
        .route("/channels/{id}/expire", post(expire_channel))
        .route("/channels/{id}/forget", post(forget_channel))
        .route("/channels/{id}/notify", post(notify))
        .route("/deliveries", get(deliveries))
        .route("/requests", get(requests))
        .route("/reset", post(reset))
        .fallback(async || Refusal(StatusCode::NOT_FOUND, "no such control request".to_owned()))
}

struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

type Answer<T = Value> = Result<Json<T>, Refusal>;
type Filter<T> = Result<Query<T>, QueryRejection>;

fn bad(message: impl Into<String>) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, message.into())
}

/// No body is an empty object.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(if body.is_empty() { b"{}" } else { body }).map_err(|error| bad(error.to_string()))
}

fn done() -> Answer {
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountRequest {
    email: String,
    scopes: Option<Vec<String>>,
    access_token_seconds: Option<u32>,
    rotate_refresh_tokens: Option<bool>,
}

async fn grant_access(State(state): State<Shared>, body: Bytes) -> Answer {
    let request: AccountRequest = parse(&body)?;
    if !request.email.contains('@') {
        return Err(bad(format!("{:?} is no e-mail address", request.email)));
    }
    let mut google = state.lock();
    let account = google.account(&request.email);
    if let Some(seconds) = request.access_token_seconds {
        account.access_token_seconds = seconds;
    }
    if let Some(rotate) = request.rotate_refresh_tokens {
        account.rotate_refresh_tokens = rotate;
    }
    let scope = request.scopes.map_or_else(|| CALENDAR_SCOPE.to_owned(), |scopes| scopes.join(" "));
    let grant = Grant { email: request.email, client_id: google.client_id.clone(), scope };
    let refresh_token = google.grant(grant.clone());
    let (access_token, _) = google.issue_access_token(&refresh_token, &grant);
    let expires_at = google.access_tokens.get(&access_token).map(|token| token.expires_at);
    Ok(Json(json!({
        "email": grant.email,
        "access_token": access_token,
        "refresh_token": refresh_token,
        "expires_at": expires_at,
        "client_id": grant.client_id,
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CalendarRequest {
    email: String,
    id: String,
    push: Option<bool>,
    access_role: Option<AccessRole>,
}

async fn give_calendar(State(state): State<Shared>, body: Bytes) -> Answer {
    let request: CalendarRequest = parse(&body)?;
    if request.id.is_empty() || request.id == "primary" {
        return Err(bad(
            "id must be that of a calendar; a primary calendar's is its account's e-mail address",
        ));
    }
    let mut google = state.lock();
    known_account(&google, &request.email)?;
    let calendar = google.calendars.entry(request.id.clone()).or_insert_with(|| Calendar::new(&request.id));
    let role = calendar.members.entry(request.email).or_insert(AccessRole::Owner);
    *role = request.access_role.unwrap_or(*role);
    calendar.push = request.push.unwrap_or(calendar.push);
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FillRequest {
    email: String,
    calendar_id: Option<String>,
    /// How many are to be there; or how many more.
    events: usize,
    #[serde(default)]
    more: bool,
    from: Option<DateTime<Utc>>,
    /// Without a notification.
    #[serde(default)]
    silently: bool,
}

async fn fill_calendar(State(state): State<Shared>, body: Bytes) -> Answer {
    let FillRequest { email, calendar_id, events, more, from, silently } = parse(&body)?;
    let mut google = state.lock();
    known_account(&google, &email)?;
    let id = calendar_id.unwrap_or_else(|| email.clone());
    let calendar = google.calendars.get_mut(&id);
    let calendar = calendar.ok_or_else(|| Refusal(StatusCode::NOT_FOUND, format!("no calendar {id}")))?;
    let from = from.unwrap_or_else(now);
    let there = calendar.events.iter().filter(|event| !event.is_cancelled()).count();
    let wanted = if more { there.saturating_add(events) } else { events };
    for number in there..wanted {
        let start = from + TimeDelta::hours(i64::try_from(number).unwrap_or(i64::MAX));
        let event = json!({
            "summary": format!("Event {number}"),
            "start": {"dateTime": timestamp(start), "timeZone": "UTC"},
            "end": {"dateTime": timestamp(start + TimeDelta::minutes(30)), "timeZone": "UTC"},
        });
        let body = event.as_object().cloned().unwrap_or_default();
        let event = event::create(body, &id, &email).map_err(|error| bad(error.body().to_string()))?;
        calendar.append(event);
    }
    if there < wanted && !silently {
        notify::notify_change(&mut google, &id);
    }
    Ok(Json(json!({"events": there.max(wanted)})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountName {
    email: String,
}

fn known_account(google: &Google, email: &str) -> Result<(), Refusal> {
    let unknown = || Refusal(StatusCode::NOT_FOUND, format!("no account {email}"));
    google.accounts.get(email).map(|_| ()).ok_or_else(unknown)
}

async fn revoke(State(state): State<Shared>, body: Bytes) -> Answer {
    let AccountName { email } = parse(&body)?;
    let mut google = state.lock();
    known_account(&google, &email)?;
    google.grants.retain(|_, grant| grant.email != email);
    google.access_tokens.retain(|_, token| token.grant.email != email);
    google.codes.retain(|_, code| code.grant.email != email);
    done()
}

async fn expire_access_tokens(State(state): State<Shared>, body: Bytes) -> Answer {
    let AccountName { email } = parse(&body)?;
    let mut google = state.lock();
    known_account(&google, &email)?;
    for token in google.access_tokens.values_mut().filter(|token| token.grant.email == email) {
        token.expires_at = now();
    }
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientRequest {
    client_id: Option<String>,
    client_secret: Option<String>,
}

async fn replace_client(State(state): State<Shared>, body: Bytes) -> Answer {
    let request: ClientRequest = parse(&body)?;
    let mut google = state.lock();
    if let Some(id) = request.client_id {
        google.client_id = id;
    }
    if let Some(secret) = request.client_secret {
        google.client_secret = secret;
    }
    done()
}

async fn add_fault(State(state): State<Shared>, body: Bytes) -> Answer {
    let fault: Fault = parse(&body)?;
    if let Some(objection) = fault.objection() {
        return Err(bad(objection));
    }
    state.lock().faults.push(fault);
    done()
}

async fn clear_faults(State(state): State<Shared>) -> Answer {
    state.lock().faults.clear();
    done()
}

async fn set_rule(State(state): State<Shared>, body: Bytes) -> Answer {
    let rule: Rule = parse(&body)?;
    let mut google = state.lock();
    let google = &mut *google;
    if let Some(mut previous) = google.rules.insert(rule.email.clone(), rule) {
        notify::release(&mut previous, &google.channels);
    }
    done()
}

async fn clear_rules(State(state): State<Shared>) -> Answer {
    let mut google = state.lock();
    for mut rule in std::mem::take(&mut google.rules).into_values() {
        notify::release(&mut rule, &google.channels);
    }
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TtlRequest {
    cap_seconds: Option<u32>,
    default_seconds: Option<u32>,
}

async fn set_ttl(State(state): State<Shared>, body: Bytes) -> Answer {
    let request: TtlRequest = parse(&body)?;
    let mut google = state.lock();
    google.ttl.cap = request.cap_seconds.unwrap_or(google.ttl.cap);
    google.ttl.default = request.default_seconds.unwrap_or(google.ttl.default);
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelFilter {
    email: Option<String>,
    address: Option<String>,
}

#[derive(Serialize)]
struct ChannelView {
    id: String,
    email: String,
    calendar_id: String,
    client_id: String,
    address: String,
    resource_id: String,
    token: Option<String>,
    expiration: DateTime<Utc>,
    state: ChannelState,
    opened_at: DateTime<Utc>,
    stopped_at: Option<DateTime<Utc>>,
    forgotten: bool,
    last_message_number: u64,
}

async fn channels(State(state): State<Shared>, filter: Filter<ChannelFilter>) -> Answer<Vec<ChannelView>> {
    let Query(filter) = filter.map_err(|error| bad(error.body_text()))?;
    let wanted =
        |filter: &Option<String>, value: &String| filter.as_ref().is_none_or(|filter| filter == value);
    let google = state.lock();
    let found = google
        .channels
        .iter()
        .filter(|channel| wanted(&filter.email, &channel.email) && wanted(&filter.address, &channel.address));
    let views = found.map(|channel| ChannelView {
        id: channel.id.clone(),
        email: channel.email.clone(),
        calendar_id: channel.calendar_id.clone(),
        client_id: channel.client_id.clone(),
        address: channel.address.clone(),
        resource_id: channel.resource_id.clone(),
        token: channel.token.clone(),
        expiration: channel.expiration,
        state: channel.state(),
        opened_at: channel.opened_at,
        stopped_at: channel.stopped_at,
        forgotten: channel.forgotten,
        last_message_number: channel.last_message_number,
    });
    Ok(Json(views.collect()))
}

fn no_channel(id: &str) -> Refusal {
    Refusal(StatusCode::NOT_FOUND, format!("no channel {id}"))
}

async fn expire_channel(State(state): State<Shared>, Path(id): Path<String>) -> Answer {
    let mut google = state.lock();
    google.channel(&id).ok_or_else(|| no_channel(&id))?.expiration = now();
    done()
}

async fn forget_channel(State(state): State<Shared>, Path(id): Path<String>) -> Answer {
    let mut google = state.lock();
    google.channel(&id).ok_or_else(|| no_channel(&id))?.forgotten = true;
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NotifyRequest {
    #[serde(default = "exists")]
    state: String,
    message_number: Option<u64>,
}

fn exists() -> String {
    "exists".to_owned()
}

async fn notify(State(state): State<Shared>, Path(id): Path<String>, body: Bytes) -> Answer {
    let request: NotifyRequest = parse(&body)?;
    let mut google = state.lock();
    let channel = google.channel(&id).ok_or_else(|| no_channel(&id))?;
    let number = notify::notify_anyway(channel, &request.state, request.message_number);
    Ok(Json(json!({"message_number": number})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeliveryFilter {
    channel_id: Option<String>,
}

async fn deliveries(State(state): State<Shared>, filter: Filter<DeliveryFilter>) -> Answer<Vec<Delivery>> {
    let Query(filter) = filter.map_err(|error| bad(error.body_text()))?;
    let of_channel =
        |delivery: &&Delivery| filter.channel_id.as_ref().is_none_or(|id| *id == delivery.channel_id);
    Ok(Json(state.lock().deliveries.iter().filter(of_channel).cloned().collect()))
}

async fn requests(State(state): State<Shared>) -> Json<Vec<LoggedRequest>> {
    Json(state.lock().requests.clone())
}

async fn reset(State(state): State<Shared>) -> Answer {
    state.reset();
    done()
}
