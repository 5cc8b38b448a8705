//! Supabase besides the database: who a user is, and the app's own `recalculate-schedule`.

use protocol::connection::UserId;
use protocol::failure::RunFailure;
use protocol::ports::Run;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::configuration::Configuration;
use crate::http::{HttpFailure, HttpRequest, HttpResponse};

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
    #[derive(Deserialize)]
    struct User {
        id: Uuid,
    }
    match response.status {
        200 => serde_json::from_str(&response.body)
            .map(|user: User| UserId(user.id))
            .map_err(|_| UserFailure::Unavailable),
        400 | 401 | 403 | 404 => Err(UserFailure::Unauthenticated),
        _ => Err(UserFailure::Unavailable),
    }
}

/// What `recalculate-schedule` is told. The user in both spellings: deployed functions read either.
#[derive(Serialize)]
struct Recalculate<'a> {
    user_id: Uuid,
    #[serde(rename = "userId")]
    user_id_in_camel_case: Uuid,
    connection_id: Uuid,
    reason: &'a str,
    request_id: Uuid,
}

pub fn recalculate_request(configuration: &Configuration, run: &Run) -> HttpRequest {
    let body = Recalculate {
        user_id: run.user.0,
        user_id_in_camel_case: run.user.0,
        connection_id: run.connection.0,
        reason: run.reason.code(),
        request_id: run.request.0,
    };
    let request = HttpRequest::post(
        &configuration.recalculate_url,
        "application/json",
        serde_json::to_string(&body).unwrap_or_default(),
    )
    .header("idempotency-key", run.request.to_string());
    configuration
        .key
        .headers()
        .into_iter()
        .fold(request, |request, (name, value)| request.header(name, value))
}

pub fn parse_recalculate_response(answer: Result<HttpResponse, HttpFailure>) -> Result<(), RunFailure> {
    match answer {
        Ok(response) if response.is_success() => Ok(()),
        // The gateway gave up waiting, or the worker ran out of something: neither says that the callee ended.
        Ok(HttpResponse { status: 504 | 546, .. }) | Err(HttpFailure::TimedOut) => Err(RunFailure::TimedOut),
        Ok(response) => Err(RunFailure::Answered(response.status)),
        Err(HttpFailure::Unreachable) => Err(RunFailure::Unreachable),
        Err(HttpFailure::RateLimited { retry_after }) => Err(RunFailure::RateLimited { retry_after }),
    }
}
