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
use crate::http::{HttpRequest, HttpResponse, is_header_safe, percent_decode, percent_encode};
use crate::json::{Field, number, object};
use crate::timestamp::parse_epoch_millis;
use crate::verdict::{self, parse_json};

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

/// What Google says of the channel's end, if it makes sense; otherwise it is when it was asked to be.
pub fn parse_watch_response(response: &HttpResponse, now: Timestamp) -> Result<OpenedChannel, WatchFailure> {
    if !response.is_success() {
        return Err(verdict::of_watch(response, now));
    }
    let body = parse_json(response);
    // Notifications carry the resource id in a header.
    let resource = body.get("resourceId").and_then(Json::as_str).filter(|text| is_header_safe(text));
    let Some(resource) = resource else { return Err(verdict::of_watch(response, now)) };
    let told = body.get("expiration").and_then(number).and_then(parse_epoch_millis);
    let expiration = told.filter(|expiration| *expiration > now).unwrap_or(now + CHANNEL_TTL);
    Ok(OpenedChannel { resource_id: ResourceId::new(resource), expiration })
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

pub fn parse_stop_response(response: &HttpResponse, now: Timestamp) -> Result<(), StopFailure> {
    // A page that says "success" is a proxy's.
    let body = parse_json(response);
    let is_googles = response.body.trim().is_empty() || !body.is_null();
    let is_stopped = response.is_success() && is_googles && !verdict::is_error(&body);
    if is_stopped { Ok(()) } else { Err(verdict::of_stop(response, now)) }
}

pub fn token_request(configuration: &Configuration, refresh_token: &RefreshToken) -> HttpRequest {
    let form = [
        ("client_id", configuration.client_id.as_str()),
        ("client_secret", &configuration.client_secret.0),
        // It may have been pasted with the end of its line.
        ("refresh_token", refresh_token.expose().trim()),
        ("grant_type", "refresh_token"),
    ];
    let body = form.map(|(name, value)| format!("{name}={}", percent_encode(value))).join("&");
    HttpRequest::post(&configuration.oauth_token_url, "application/x-www-form-urlencoded", body)
}

/// How long it is good for need not be said (RFC 6749, 5.1): an hour then, as Google's are. What it is good for need
/// not be said either.
pub fn parse_token_response(response: &HttpResponse, now: Timestamp) -> Result<RenewedToken, Refused> {
    if !response.is_success() {
        return Err(verdict::of_token(response, now));
    }
    let body = parse_json(response);
    let text = |name: &str| body.get(name).and_then(Json::as_str);
    let token = |name: &str| text(name).map(str::trim).filter(|token| is_header_safe(token));
    let Some(access_token) = token("access_token") else {
        return Err(verdict::of_token(response, now));
    };
    let scopes = text("scope").filter(|scopes| !scopes.trim().is_empty());
    let separates = |letter: char| letter.is_whitespace() || letter == ',';
    if scopes.is_some_and(|scopes| !scopes.split(separates).any(suffices)) {
        return Err(RenewalFailure::PermissionMissing.into());
    }
    let expires_in = body.get("expires_in").and_then(number).and_then(|seconds| u32::try_from(seconds).ok());
    // More than a day is no access token's life, but milliseconds, say.
    let expires_in = expires_in.filter(|seconds| (1..=86_400).contains(seconds)).unwrap_or(3600);
    Ok(RenewedToken {
        access_token: AccessToken::new(access_token),
        expires_in: Duration::from_secs(expires_in.into()),
        refresh_token: token("refresh_token").map(RefreshToken::new),
    })
}

/// Whether `events.watch` and `events.list` may do with this scope, of one calendar or another (API reference of both).
/// Those for the list of calendars, its settings or free and busy times do not.
fn suffices(scope: &str) -> bool {
    match scope.strip_prefix("https://www.googleapis.com/auth/calendar") {
        Some(rest) => matches!(rest, "" | ".readonly" | ".app.created") || rest.starts_with(".events"),
        // Of the API before this one.
        None => scope.starts_with("https://www.google.com/calendar/feeds"),
    }
}

/// Where a calendar's events are; none where its id would be no segment of a path. An address that was encoded for a
/// path already is taken for what it was: no calendar's own id has `%40` and no `@`.
pub(crate) fn events_url(configuration: &Configuration, calendar: Option<&CalendarId>) -> Option<String> {
    let calendar = calendar.map_or("primary", |calendar| calendar.as_str().trim());
    let is_encoded = calendar.contains("%40") && !calendar.contains('@');
    let decoded = is_encoded.then(|| percent_decode(calendar));
    let calendar = decoded.as_deref().unwrap_or(calendar);
    let is_segment = !matches!(calendar, "" | "." | "..");
    is_segment
        .then(|| format!("{}/calendars/{}/events", configuration.calendar_api_url, percent_encode(calendar)))
}

pub(crate) fn authorization(access_token: &AccessToken) -> Option<String> {
    is_header_safe(access_token.expose()).then(|| format!("Bearer {}", access_token.expose()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Environment;

    #[test]
    fn a_refresh_token_that_was_pasted_with_its_line_end_works() {
        let configuration = Configuration::parse(&Environment::from([
            ("SUPABASE_URL", "https://project.supabase.co"),
            ("SUPABASE_SERVICE_ROLE_KEY", "key"),
            ("GOOGLE_CLIENT_ID", "client"),
            ("GOOGLE_CLIENT_SECRET", "secret"),
        ]));
        let request = token_request(&configuration.unwrap(), &RefreshToken::new(" 1//refresh\r\n"));
        let body = request.body.unwrap_or_default();
        assert!(body.contains("refresh_token=1%2F%2Frefresh&"), "{body}");
    }
}
