//! Supabase besides the database: who a user is, and the app's own `recalculate-schedule`.

use protocol::connection::UserId;
use protocol::failure::RunFailure;
use protocol::recalculation::Run;
use serde_json::Value as Json;
use uuid::Uuid;

use crate::configuration::Configuration;
use crate::http::{HttpFailure, HttpRequest, HttpResponse};
use crate::json::object;
use crate::refusal;

/// Asks Auth whose JWT this is.
pub fn user_request(configuration: &Configuration, jwt: &str) -> HttpRequest {
    HttpRequest::get(format!("{}/auth/v1/user", configuration.supabase_url))
        .header("apikey", configuration.key.expose())
        .header("authorization", format!("Bearer {jwt}"))
}

/// Why Auth names no user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserFailure {
    /// The JWT is not one of this project's users', now.
    Unauthenticated,
    /// Auth did not answer, or not as it should.
    Unavailable,
}

pub fn parse_user_response(response: &HttpResponse) -> Result<UserId, UserFailure> {
    match response.status {
        200 => serde_json::from_str(&response.body)
            .ok()
            .and_then(|user: Json| Uuid::parse_str(user.get("id")?.as_str()?).ok())
            .map(UserId)
            .ok_or(UserFailure::Unavailable),
        401 if is_about_our_key(response) => Err(UserFailure::Unavailable),
        400 | 401 | 403 | 404 => Err(UserFailure::Unauthenticated),
        _ => Err(UserFailure::Unavailable),
    }
}

/// Auth has a code for everything. A `message` alone is the gateway's, and about the API key (`Invalid API key`) unless
/// it names the JWT.
fn is_about_our_key(response: &HttpResponse) -> bool {
    let body: Json = serde_json::from_str(&response.body).unwrap_or_default();
    let has = |name| body.get(name).is_some();
    let message = body.get("message").and_then(Json::as_str);
    message.is_some_and(|message| !message.contains("JWT"))
        && !["code", "error_code", "msg"].into_iter().any(has)
}

/// What the gateway says of our key where it is that which is refused.
pub fn key_refusal(response: &HttpResponse) -> Option<String> {
    (response.status == 401 && is_about_our_key(response)).then(|| refusal::message(&response.body))
}

/// Tells `recalculate-schedule` whom to recalculate, in both spellings: deployed functions read either.
pub fn recalculate_request(configuration: &Configuration, run: &Run) -> HttpRequest {
    let user = run.user.to_string();
    let body = object(&[
        ("user_id", user.as_str().into()),
        ("userId", user.as_str().into()),
        ("connection_id", run.connection.to_string().into()),
        ("reason", run.reason.code().into()),
        ("request_id", run.request.to_string().into()),
    ]);
    let request = HttpRequest::post(&configuration.recalculate_url, "application/json", body)
        .header("idempotency-key", run.request.to_string());
    configuration.key.authorize(HttpRequest { at_most_once: true, longest_answer: 0, ..request })
}

pub fn parse_recalculate_response(answer: Result<HttpResponse, HttpFailure>) -> Result<(), RunFailure> {
    match answer {
        // A page of a proxy, a login or an app that answers for every address.
        Ok(response) if response.is_success() && is_html(&response) => Err(RunFailure::NotAFunction),
        Ok(response) if response.is_success() => Ok(()),
        // The gateway or the proxy before it (Cloudflare's are 520 to 527) lost the callee or gave up waiting, or the
        // worker ran out of something: none of them says that the callee ended.
        Ok(HttpResponse { status: 502 | 504 | 520..=527 | 546, .. }) | Err(HttpFailure::TimedOut) => {
            Err(RunFailure::TimedOut)
        }
        Ok(response) => Err(RunFailure::Answered(response.status)),
        Err(HttpFailure::Unreachable | HttpFailure::TooLong) => Err(RunFailure::Unreachable),
        Err(HttpFailure::RateLimited { retry_after }) => Err(RunFailure::RateLimited { retry_after }),
    }
}

fn is_html(response: &HttpResponse) -> bool {
    let media_type = response.content_type.as_deref().and_then(|value| value.split(';').next());
    media_type.is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_judged_by_status_and_content_type() {
        let failed = |status| Err(RunFailure::Answered(status));
        for (status, content_type, expected) in [
            (200, Some("application/json"), Ok(())),
            (204, None, Ok(())),
            (200, Some("text/plain"), Ok(())),
            (200, Some("Text/HTML; charset=utf-8"), Err(RunFailure::NotAFunction)),
            (302, None, failed(302)),
            (404, Some("text/html"), failed(404)),
            (500, None, failed(500)),
            (502, None, Err(RunFailure::TimedOut)),
            (503, None, failed(503)),
            (504, None, Err(RunFailure::TimedOut)),
            (524, None, Err(RunFailure::TimedOut)),
            (546, None, Err(RunFailure::TimedOut)),
        ] {
            let content_type = content_type.map(str::to_owned);
            let response = HttpResponse { status, content_type, ..HttpResponse::default() };
            assert_eq!(parse_recalculate_response(Ok(response)), expected, "{status}");
        }
    }
}
