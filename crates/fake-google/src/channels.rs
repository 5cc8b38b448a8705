//! `events.watch` and `channels.stop`.
//! <https://developers.google.com/workspace/calendar/api/guides/push>

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

use crate::access::Need;
use crate::delivery::{self, Message};
use crate::errors::ApiError;
use crate::state::{self, Shared, now};

/// What Google leaves as it is in a `resourceUri`.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Lifetimes in seconds.
pub(crate) struct Ttl {
    pub(crate) cap: u32,
    pub(crate) default: u32,
}

impl Default for Ttl {
    fn default() -> Self {
        Self { cap: 30 * 86_400, default: 7 * 86_400 }
    }
}

pub(crate) struct Channel {
    pub(crate) key: Uuid,
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) client_id: String,
    pub(crate) calendar_id: String,
    pub(crate) resource_id: String,
    pub(crate) resource_uri: String,
    pub(crate) address: String,
    pub(crate) token: Option<String>,
    pub(crate) expiration: DateTime<Utc>,
    pub(crate) opened_at: DateTime<Utc>,
    pub(crate) stopped_at: Option<DateTime<Utc>>,
    pub(crate) last_message_number: u64,
    /// To the channel's delivery task.
    pub(crate) outbox: UnboundedSender<Message>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ChannelState {
    Live,
    Stopped,
    Expired,
}

impl Channel {
    pub(crate) fn state(&self) -> ChannelState {
        if self.stopped_at.is_some() {
            ChannelState::Stopped
        } else if self.expiration <= now() {
            ChannelState::Expired
        } else {
            ChannelState::Live
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.state() == ChannelState::Live
    }
}

/// The body of `watch`, checked.
struct WatchRequest {
    id: String,
    address: String,
    token: Option<String>,
    ttl_seconds: Option<i64>,
}

pub(crate) async fn watch(
    State(google): State<Shared>,
    Path(calendar): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let (answer, sync) = {
        let mut state = google.lock();
        let state = &mut *state;
        let caller = state.caller(&headers, Need::Read)?;
        let (calendar, _) = state.calendar(&caller, &calendar, Need::Read)?;
        let (calendar_id, resource_id) = (calendar.id.clone(), calendar.resource_id.clone());
        let request = parse_watch(&body, google.config.allow_http_loopback)?;
        if !calendar.push {
            return Err(ApiError::of("pushNotSupportedForRequestedResource"));
        }
        if state.channels.iter().any(|channel| channel.id == request.id) {
            let message = format!("Channel id {} not unique", request.id);
            return Err(ApiError::new(400, "channelIdNotUnique", message));
        }
        let seconds = request.ttl_seconds.unwrap_or(state.ttl.default.into()).min(state.ttl.cap.into());
        let encoded_id = utf8_percent_encode(&calendar_id, UNRESERVED).to_string();
        let key = Uuid::new_v4();
        let mut channel = Channel {
            key,
            id: request.id,
            email: caller.email,
            client_id: caller.client_id,
            calendar_id,
            resource_id,
            resource_uri: format!("{}/calendars/{encoded_id}/events?alt=json", google.calendar_api_url()),
            address: request.address,
            token: request.token,
            expiration: now() + TimeDelta::seconds(seconds),
            opened_at: now(),
            stopped_at: None,
            last_message_number: 0,
            outbox: delivery::open(&google, key),
        };
        let answer = resource(&channel);
        let sync = delivery::announce(&mut channel, &state.rules, google.config.sync_delay);
        state.channels.push(channel);
        (answer, sync)
    };
    if let Some(answered) = sync {
        // Fails if the channel is stopped meanwhile: then there is nothing to wait for.
        let _ = answered.await;
    }
    Ok(Json(answer))
}

/// The answer to `watch`.
fn resource(channel: &Channel) -> Value {
    let mut resource = json!({
        "kind": "api#channel",
        "id": channel.id,
        "resourceId": channel.resource_id,
        "resourceUri": channel.resource_uri,
        "expiration": channel.expiration.timestamp_millis().to_string(),
    });
    if let (Some(token), Some(resource)) = (&channel.token, resource.as_object_mut()) {
        resource.insert("token".to_owned(), token.as_str().into());
    }
    resource
}

fn parse_watch(body: &[u8], allow_http_loopback: bool) -> Result<WatchRequest, ApiError> {
    let body: Map<String, Value> = serde_json::from_slice(body).map_err(|_| ApiError::of("parseError"))?;
    let text = |field: &str| match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(ApiError::invalid(format!("Invalid value for: {field}"))),
    };
    let required = |field: &str| {
        let missing = || ApiError::new(400, "required", format!("Missing required field: {field}"));
        text(field)?.filter(|text| !text.is_empty()).ok_or_else(missing)
    };
    let id = required("id")?;
    if id.len() > 64 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_+/=".contains(&byte)) {
        return Err(ApiError::invalid("Channel id must match the pattern [A-Za-z0-9\\-_\\+/=]{1,64}"));
    }
    let kind = required("type")?;
    if !matches!(kind.as_str(), "web_hook" | "webhook") {
        return Err(ApiError::invalid(format!("Unknown channel type: {kind}")));
    }
    let address = required("address")?;
    check_address(&address, allow_http_loopback)?;
    let token = text("token")?;
    if token.as_ref().is_some_and(|token| token.chars().count() > 256) {
        return Err(ApiError::invalid("Channel token must not be longer than 256 characters"));
    }
    Ok(WatchRequest { id, address, token, ttl_seconds: requested_ttl(&body)? })
}

fn check_address(address: &str, allow_http_loopback: bool) -> Result<(), ApiError> {
    let url = Url::parse(address).ok().filter(|url| url.has_host());
    let url = url.ok_or_else(|| ApiError::invalid(format!("Invalid WebHook callback: {address}")))?;
    let on_this_machine = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    match url.scheme() {
        "https" => Ok(()),
        "http" if allow_http_loopback && on_this_machine => Ok(()),
        _ => {
            let message = format!("WebHook callback must be HTTPS: {address}");
            Err(ApiError::new(400, "push.webhookUrlNotHttps", message))
        }
    }
}

/// Seconds, by `params.ttl` or else by `expiration`.
fn requested_ttl(body: &Map<String, Value>) -> Result<Option<i64>, ApiError> {
    let invalid = |field| ApiError::invalid(format!("Invalid value for: {field}"));
    if let Some(ttl) = body.get("params").and_then(|params| params.get("ttl")) {
        let seconds = ttl.as_str().and_then(|ttl| ttl.parse().ok()).filter(|seconds| *seconds > 0);
        return seconds.map(Some).ok_or_else(|| invalid("params.ttl"));
    }
    let milliseconds = match body.get("expiration") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.parse().ok(),
        Some(other) => other.as_i64(),
    };
    let seconds = milliseconds.map(|at: i64| at.saturating_sub(now().timestamp_millis()) / 1000);
    seconds.filter(|seconds| *seconds > 0).map(Some).ok_or_else(|| invalid("expiration"))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StopRequest {
    id: String,
    resource_id: String,
}

/// Whoever did not open the channel is told that there is none.
pub(crate) async fn stop(
    State(google): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    let mut state = google.lock();
    let caller = state.caller(&headers, Need::Read)?;
    let request: StopRequest = serde_json::from_slice(&body)
        .map_err(|_| ApiError::new(400, "required", "Missing required fields: id, resourceId"))?;
    let channel = state.channel(&request.id).filter(|channel| {
        channel.is_live()
            && channel.resource_id == request.resource_id
            && channel.email == caller.email
            && channel.client_id == caller.client_id
    });
    let unknown = || {
        let message = format!("Channel '{}' not found for project '1'", request.id);
        ApiError::new(404, "notFound", message)
    };
    channel.ok_or_else(unknown)?.stopped_at = Some(now());
    Ok(StatusCode::NO_CONTENT)
}

impl state::State {
    pub(crate) fn channel(&mut self, id: &str) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|channel| channel.id == id)
    }
}
