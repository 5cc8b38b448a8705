//! The control API; the table in the crate's documentation says what each request does.

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::access::{CALENDAR_SCOPE, Grant};
use crate::calendar::{AccessRole, Calendar};
use crate::channels::ChannelState;
use crate::delivery::{self, Delivery, Rule};
use crate::faults::Fault;
use crate::gate::LoggedRequest;
use crate::state::{self, Shared, now};

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/accounts", post(grant_access))
        .route("/calendars", post(give_calendar))
        .route("/revoke", post(revoke))
        .route("/expire-access-tokens", post(expire_access_tokens))
        .route("/client", post(replace_client))
        .route("/faults", post(add_fault).delete(clear_faults))
        .route("/delivery", post(set_rule).delete(clear_rules))
        .route("/ttl", post(set_ttl))
        .route("/channels", get(channels))
        .route("/channels/{id}/expire", post(expire_channel))
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

async fn grant_access(State(google): State<Shared>, body: Bytes) -> Answer {
    let request: AccountRequest = parse(&body)?;
    if !request.email.contains('@') {
        return Err(bad(format!("{:?} is no e-mail address", request.email)));
    }
    let mut state = google.lock();
    let account = state.account(&request.email);
    if let Some(seconds) = request.access_token_seconds {
        account.access_token_seconds = seconds;
    }
    if let Some(rotate) = request.rotate_refresh_tokens {
        account.rotate_refresh_tokens = rotate;
    }
    let scope = request.scopes.map_or_else(|| CALENDAR_SCOPE.to_owned(), |scopes| scopes.join(" "));
    let grant = Grant { email: request.email, client_id: state.client_id.clone(), scope };
    let refresh_token = state.grant(grant.clone());
    let (access_token, _) = state.issue_access_token(&refresh_token, &grant);
    let expires_at = state.access_tokens.get(&access_token).map(|token| token.expires_at);
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

async fn give_calendar(State(google): State<Shared>, body: Bytes) -> Answer {
    let request: CalendarRequest = parse(&body)?;
    if request.id.is_empty() || request.id == "primary" {
        return Err(bad(
            "id must be that of a calendar; a primary calendar's is its account's e-mail address",
        ));
    }
    let mut state = google.lock();
    known_account(&state, &request.email)?;
    let calendar = state.calendars.entry(request.id.clone()).or_insert_with(|| Calendar::new(&request.id));
    let role = calendar.members.entry(request.email).or_insert(AccessRole::Owner);
    *role = request.access_role.unwrap_or(*role);
    calendar.push = request.push.unwrap_or(calendar.push);
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountName {
    email: String,
}

fn known_account(state: &state::State, email: &str) -> Result<(), Refusal> {
    let unknown = || Refusal(StatusCode::NOT_FOUND, format!("no account {email}"));
    state.accounts.get(email).map(|_| ()).ok_or_else(unknown)
}

async fn revoke(State(google): State<Shared>, body: Bytes) -> Answer {
    let AccountName { email } = parse(&body)?;
    let mut state = google.lock();
    known_account(&state, &email)?;
    state.grants.retain(|_, grant| grant.email != email);
    state.access_tokens.retain(|_, token| token.grant.email != email);
    state.codes.retain(|_, code| code.grant.email != email);
    done()
}

async fn expire_access_tokens(State(google): State<Shared>, body: Bytes) -> Answer {
    let AccountName { email } = parse(&body)?;
    let mut state = google.lock();
    known_account(&state, &email)?;
    for token in state.access_tokens.values_mut().filter(|token| token.grant.email == email) {
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

async fn replace_client(State(google): State<Shared>, body: Bytes) -> Answer {
    let request: ClientRequest = parse(&body)?;
    let mut state = google.lock();
    if let Some(id) = request.client_id {
        state.client_id = id;
    }
    if let Some(secret) = request.client_secret {
        state.client_secret = secret;
    }
    done()
}

async fn add_fault(State(google): State<Shared>, body: Bytes) -> Answer {
    let fault: Fault = parse(&body)?;
    if let Some(objection) = fault.objection() {
        return Err(bad(objection));
    }
    google.lock().faults.push(fault);
    done()
}

async fn clear_faults(State(google): State<Shared>) -> Answer {
    google.lock().faults.clear();
    done()
}

async fn set_rule(State(google): State<Shared>, body: Bytes) -> Answer {
    let rule: Rule = parse(&body)?;
    let mut state = google.lock();
    let state = &mut *state;
    if let Some(mut previous) = state.rules.insert(rule.email.clone(), rule) {
        delivery::release(&mut previous, &state.channels);
    }
    done()
}

async fn clear_rules(State(google): State<Shared>) -> Answer {
    let mut state = google.lock();
    for mut rule in std::mem::take(&mut state.rules).into_values() {
        delivery::release(&mut rule, &state.channels);
    }
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TtlRequest {
    cap_seconds: Option<u32>,
    default_seconds: Option<u32>,
}

async fn set_ttl(State(google): State<Shared>, body: Bytes) -> Answer {
    let request: TtlRequest = parse(&body)?;
    let mut state = google.lock();
    state.ttl.cap = request.cap_seconds.unwrap_or(state.ttl.cap);
    state.ttl.default = request.default_seconds.unwrap_or(state.ttl.default);
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
    last_message_number: u64,
}

async fn channels(State(google): State<Shared>, filter: Filter<ChannelFilter>) -> Answer<Vec<ChannelView>> {
    let Query(filter) = filter.map_err(|error| bad(error.body_text()))?;
    let wanted =
        |filter: &Option<String>, value: &String| filter.as_ref().is_none_or(|filter| filter == value);
    let state = google.lock();
    let found = state
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
        last_message_number: channel.last_message_number,
    });
    Ok(Json(views.collect()))
}

fn no_channel(id: &str) -> Refusal {
    Refusal(StatusCode::NOT_FOUND, format!("no channel {id}"))
}

async fn expire_channel(State(google): State<Shared>, Path(id): Path<String>) -> Answer {
    let mut state = google.lock();
    state.channel(&id).ok_or_else(|| no_channel(&id))?.expiration = now();
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

async fn notify(State(google): State<Shared>, Path(id): Path<String>, body: Bytes) -> Answer {
    let request: NotifyRequest = parse(&body)?;
    let mut state = google.lock();
    let channel = state.channel(&id).ok_or_else(|| no_channel(&id))?;
    let number = delivery::notify_anyway(channel, &request.state, request.message_number);
    Ok(Json(json!({"message_number": number})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeliveryFilter {
    channel_id: Option<String>,
}

async fn deliveries(State(google): State<Shared>, filter: Filter<DeliveryFilter>) -> Answer<Vec<Delivery>> {
    let Query(filter) = filter.map_err(|error| bad(error.body_text()))?;
    let of_channel =
        |delivery: &&Delivery| filter.channel_id.as_ref().is_none_or(|id| *id == delivery.channel_id);
    Ok(Json(google.lock().deliveries.iter().filter(of_channel).cloned().collect()))
}

async fn requests(State(google): State<Shared>) -> Json<Vec<LoggedRequest>> {
    Json(google.lock().requests.clone())
}

async fn reset(State(google): State<Shared>) -> Answer {
    *google.lock() = state::State::new(&google.config);
    done()
}
