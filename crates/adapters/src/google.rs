//! Google Calendar's push channels and OAuth's token endpoint.
//!
//! Sources: Calendar API guides "Push notifications" and "Handle API errors"; Identity guide "Using OAuth 2.0 for
//! Web Server Applications".

use std::time::Duration;

use protocol::Timestamp;
use protocol::connection::{AccessToken, CalendarId, ChannelId, ChannelToken, RefreshToken, ResourceId};
use protocol::failure::{Refused, RenewalFailure, StopFailure, WatchFailure};
use protocol::grant::{OpenedChannel, RenewedToken};
use protocol::schedule::CHANNEL_TTL;
use serde_json::Value as Json;

use crate::configuration::Configuration;
use crate::http::{HttpRequest, HttpResponse, is_header_safe, percent_encode};
use crate::json::{Field, object};
use crate::timestamp::parse_epoch_millis;

const JSON: &str = "application/json";

/// `events.watch`. Refused without asking where no request could be made of it.
pub fn watch_request(
    configuration: &Configuration,
    access_token: &AccessToken,
    calendar: Option<&CalendarId>,
    channel: &ChannelId,
    token: &ChannelToken,
) -> Result<HttpRequest, WatchFailure> {
    let not_found = WatchFailure::Refused(RenewalFailure::CalendarNotFound.into());
    let url = format!("{}/watch", events_url(configuration, calendar).ok_or(not_found)?);
    let authorization = authorization(access_token)
        .ok_or_else(|| WatchFailure::Unauthorized(RenewalFailure::ReconnectRequired.into()))?;
    // Seconds, as text.
    let params = object(&[("ttl", CHANNEL_TTL.as_secs().to_string().into())]);
    let body = object(&[
        ("id", channel.as_str().into()),
        ("type", "web_hook".into()),
        ("address", configuration.webhook_url.as_str().into()),
        ("token", token.expose().into()),
        ("params", Field::Json(params)),
    ]);
    Ok(HttpRequest::post(url, JSON, body).header("authorization", authorization))
}

pub fn parse_watch_response(response: &HttpResponse, now: Timestamp) -> Result<OpenedChannel, WatchFailure> {
    if !response.is_success() {
        return Err(watch_failure(response));
    }
    // There is a channel, whatever the answer says of it.
    let malformed = WatchFailure::Doubtful(RenewalFailure::GoogleRejected.into());
    let body = parse_json(response);
    // Notifications carry the resource id in a header.
    let text = |name: &str| body.get(name).and_then(Json::as_str).filter(|text| is_header_safe(text));
    let (Some(resource), Some(expiration)) = (text("resourceId"), text("expiration")) else {
        return Err(malformed);
    };
    let Some(expiration) = parse_epoch_millis(expiration).filter(|expiration| *expiration > now) else {
        return Err(malformed);
    };
    Ok(OpenedChannel { resource_id: ResourceId::new(resource), expiration })
}

/// The one place that reads the Calendar API's refusals. A known reason counts more than the status: rate limits come as 403,
/// an address that is not registered as 401.
pub(crate) fn watch_failure(response: &HttpResponse) -> WatchFailure {
    use RenewalFailure as Failure;
    let reason = error_reason(response);
    let refused = match reason {
        "channelIdNotUnique" => return WatchFailure::ChannelIdNotUnique,
        "authError" if response.status == 401 => {
            return WatchFailure::Unauthorized(Failure::ReconnectRequired.into());
        }
        "pushNotSupportedForRequestedResource" => Failure::PushNotSupported,
        "insufficientPermissions" => Failure::ReconnectRequired,
        "rateLimitExceeded" | "userRateLimitExceeded" | "quotaExceeded" | "dailyLimitExceeded" => {
            Failure::GoogleRateLimited
        }
        "accessNotConfigured" | "SERVICE_DISABLED" => Failure::GoogleApiDisabled,
        reason if reason.starts_with("webhookUrl") => Failure::WebhookUrlRejected,
        _ => match response.status {
            404 | 410 => Failure::CalendarNotFound,
            429 => Failure::GoogleRateLimited,
            500.. => return WatchFailure::Doubtful(Failure::GoogleUnavailable.into()),
            _ => Failure::GoogleRejected,
        },
    };
    WatchFailure::Refused(refused.into())
}

pub fn stop_request(
    configuration: &Configuration,
    access_token: &AccessToken,
    channel: &ChannelId,
    resource: &ResourceId,
) -> Result<HttpRequest, StopFailure> {
    let authorization = authorization(access_token)
        .ok_or_else(|| StopFailure::Unauthorized(RenewalFailure::ReconnectRequired.into()))?;
    let body = object(&[("id", channel.as_str().into()), ("resourceId", resource.as_str().into())]);
    let url = format!("{}/channels/stop", configuration.calendar_api_url);
    Ok(HttpRequest::post(url, JSON, body).header("authorization", authorization))
}

pub fn parse_stop_response(response: &HttpResponse) -> Result<(), StopFailure> {
    match response.status {
        200 | 204 => return Ok(()),
        404 | 410 => return Err(StopFailure::Unknown),
        _ => {}
    }
    Err(match watch_failure(response) {
        WatchFailure::Unauthorized(refused) => StopFailure::Unauthorized(refused),
        WatchFailure::Refused(refused) | WatchFailure::Doubtful(refused) => StopFailure::Refused(refused),
        WatchFailure::ChannelIdNotUnique => StopFailure::Refused(RenewalFailure::GoogleRejected.into()),
    })
}

pub fn token_request(configuration: &Configuration, refresh_token: &RefreshToken) -> HttpRequest {
    let form = [
        ("client_id", configuration.client_id.as_str()),
        ("client_secret", &configuration.client_secret.0),
        ("refresh_token", refresh_token.expose()),
        ("grant_type", "refresh_token"),
    ];
    let body = form.map(|(name, value)| format!("{name}={}", percent_encode(value))).join("&");
    HttpRequest::post(&configuration.oauth_token_url, "application/x-www-form-urlencoded", body)
}

pub fn parse_token_response(response: &HttpResponse) -> Result<RenewedToken, Refused> {
    if !response.is_success() {
        return Err(token_failure(response).into());
    }
    let body = parse_json(response);
    let token = |name: &str| body.get(name).and_then(Json::as_str).filter(|token| is_header_safe(token));
    let expires_in = body.get("expires_in").and_then(Json::as_u64).and_then(|s| u32::try_from(s).ok());
    let (Some(access_token), Some(expires_in)) = (token("access_token"), expires_in) else {
        return Err(RenewalFailure::GoogleRejected.into());
    };
    Ok(RenewedToken {
        access_token: AccessToken::new(access_token),
        expires_in: Duration::from_secs(expires_in.into()),
        refresh_token: token("refresh_token").map(RefreshToken::new),
    })
}

fn token_failure(response: &HttpResponse) -> RenewalFailure {
    match (response.status, error_reason(response)) {
        (_, "invalid_grant") => RenewalFailure::ReconnectRequired,
        (_, "deleted_client" | "disabled_client" | "invalid_client" | "unauthorized_client") => {
            RenewalFailure::OauthClientInvalid
        }
        (429, _) | (_, "rate_limit_exceeded") => RenewalFailure::GoogleRateLimited,
        (500.., _) => RenewalFailure::GoogleUnavailable,
        _ => RenewalFailure::GoogleRejected,
    }
}

/// Google's word for what is wrong: `error.errors[0].reason` of the Calendar API (or `error.details[].reason` of its
/// newer kind), `error` of the token endpoint. Only words that Google documents: whatever else is there may be
/// anything, and this goes to the log.
pub fn error_reason(response: &HttpResponse) -> &'static str {
    let body = parse_json(response);
    let error = body.get("error");
    let first = |list| error?.get(list)?.get(0)?.get("reason")?.as_str();
    let reason = first("errors").or_else(|| first("details")).or_else(|| error?.as_str()).unwrap_or_default();
    let reason = reason.strip_prefix("push.").unwrap_or(reason);
    REASONS.iter().find(|known| **known == reason).copied().unwrap_or("undocumented")
}

const REASONS: &[&str] = &[
    "accessNotConfigured",
    "authError",
    "backendError",
    "badRequest",
    "channelIdNotUnique",
    "dailyLimitExceeded",
    "deleted_client",
    "disabled_client",
    "forbidden",
    "insufficientPermissions",
    "internalError",
    "invalid",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "notFound",
    "pushNotSupportedForRequestedResource",
    "quotaExceeded",
    "rateLimitExceeded",
    "rate_limit_exceeded",
    "required",
    "SERVICE_DISABLED",
    "unauthorized_client",
    "userRateLimitExceeded",
    "webhookUrlNoHostOrAddress",
    "webhookUrlNotHttps",
    "webhookUrlUnauthorized",
];

/// Where a calendar's events are; none where its id would be no segment of a path.
pub(crate) fn events_url(configuration: &Configuration, calendar: Option<&CalendarId>) -> Option<String> {
    let calendar = calendar.map_or("primary", CalendarId::as_str);
    let is_segment = !matches!(calendar, "" | "." | "..");
    is_segment
        .then(|| format!("{}/calendars/{}/events", configuration.calendar_api_url, percent_encode(calendar)))
}

pub(crate) fn authorization(access_token: &AccessToken) -> Option<String> {
    is_header_safe(access_token.expose()).then(|| format!("Bearer {}", access_token.expose()))
}

/// The body of a response; null where it is no JSON.
fn parse_json(response: &HttpResponse) -> Json {
    serde_json::from_str(&response.body).unwrap_or_default()
}
