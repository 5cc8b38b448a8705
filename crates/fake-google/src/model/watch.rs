//! `events.watch` and `channels.stop`.
//! <https://developers.google.com/workspace/calendar/api/guides/push>

use chrono::TimeDelta;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

use crate::model::access::{Grant, Need};
use crate::model::channel::Channel;
use crate::model::clock::now;
use crate::model::error::ApiError;
use crate::model::google::Google;
use crate::model::message::Message;

/// What Google leaves as it is in a `resourceUri`.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The body of `watch`, checked.
pub(crate) struct WatchRequest {
    id: String,
    address: String,
    token: Option<String>,
    ttl_seconds: Option<i64>,
}

/// A channel on the calendar, as granted; not stored yet. `outbox` starts what delivers the messages of the channel
/// that has this key.
pub(crate) fn open(
    google: &mut Google,
    caller: Grant,
    calendar: &str,
    request: WatchRequest,
    api_url: &str,
    outbox: impl FnOnce(Uuid) -> UnboundedSender<Message>,
) -> Result<Channel, ApiError> {
    let (calendar, _) = google.calendar(&caller, calendar, Need::Read)?;
    if !calendar.push {
        return Err(ApiError::of("pushNotSupportedForRequestedResource"));
    }
    let (calendar_id, resource_id) = (calendar.id.clone(), calendar.resource_id.clone());
    if google.channels.iter().any(|channel| channel.id == request.id) {
        let message = format!("Channel id {} not unique", request.id);
        return Err(ApiError::new(400, "channelIdNotUnique", message));
    }
    let seconds = request.ttl_seconds.unwrap_or(google.ttl.default.into()).min(google.ttl.cap.into());
    let encoded_id = utf8_percent_encode(&calendar_id, UNRESERVED).to_string();
    let key = Uuid::new_v4();
    Ok(Channel {
        key,
        id: request.id,
        email: caller.email,
        client_id: caller.client_id,
        calendar_id,
        resource_id,
        resource_uri: format!("{api_url}/calendars/{encoded_id}/events?alt=json"),
        address: request.address,
        token: request.token,
        expiration: now() + TimeDelta::seconds(seconds),
        opened_at: now(),
        stopped_at: None,
        forgotten: false,
        last_message_number: 0,
        outbox: outbox(key),
    })
}

/// The answer to `watch`.
pub(crate) fn resource(channel: &Channel) -> Value {
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

pub(crate) fn parse(body: &[u8], allow_http_loopback: bool) -> Result<WatchRequest, ApiError> {
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

/// An account that did not open the channel is told that there is none.
pub(crate) fn stop(google: &mut Google, caller: &Grant, body: &[u8]) -> Result<(), ApiError> {
    let request: StopRequest = serde_json::from_slice(body)
        .map_err(|_| ApiError::new(400, "required", "Missing required fields: id, resourceId"))?;
    let channel = google.channel(&request.id).filter(|channel| {
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
    Ok(())
}
