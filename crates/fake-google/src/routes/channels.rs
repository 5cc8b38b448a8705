//! `events.watch` and `channels.stop`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::delivery;
use crate::model::access::Need;
use crate::model::error::ApiError;
use crate::model::notify;
use crate::model::watch;
use crate::routes::bearer::caller;
use crate::state::Shared;

pub(crate) async fn watch(
    State(state): State<Shared>,
    Path(calendar): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let (answer, sync) = {
        let mut google = state.lock();
        let google = &mut *google;
        let caller = caller(google, &headers, Need::Read)?;
        google.calendar(&caller, &calendar, Need::Read)?;
        let request = watch::parse(&body, state.config.allow_http_loopback)?;
        let outbox = |key| delivery::open(&state, key);
        let mut channel = watch::open(google, caller, &calendar, request, &state.calendar_api_url(), outbox)?;
        let answer = watch::resource(&channel);
        let sync = notify::announce(&mut channel, &google.rules, state.config.sync_delay);
        google.channels.push(channel);
        (answer, sync)
    };
    if let Some(answered) = sync {
        // Fails if the channel is stopped meanwhile: then there is nothing to wait for.
        let _ = answered.await;
    }
    Ok(Json(answer))
}

pub(crate) async fn stop(
    State(state): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    let mut google = state.lock();
    let caller = caller(&google, &headers, Need::Read)?;
    watch::stop(&mut google, &caller, &body)?;
    Ok(StatusCode::NO_CONTENT)
}
