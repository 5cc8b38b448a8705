//! Google over HTTP.

mod answer;
mod bearer;
mod channels;
pub(crate) mod consent;
mod control;
mod events;
mod gate;
mod oauth;

use axum::http::{Method, Uri};
use axum::routing::{get, post};
use axum::{Router, middleware};

use crate::model::error::{ApiError, lacks};
use crate::state::Shared;

pub(crate) fn routes(state: Shared) -> Router {
    let calendar = Router::new()
        .route("/calendars/{calendar}/events", get(events::list).post(events::insert))
        .route(
            "/calendars/{calendar}/events/{event}",
            get(events::get).patch(events::patch).put(events::update).delete(events::delete),
        )
        .route("/calendars/{calendar}/events/watch", post(channels::watch))
        .route("/channels/stop", post(channels::stop));
    Router::new()
        .nest("/calendar/v3", calendar)
        .route("/token", post(oauth::token))
        .route("/revoke", post(oauth::revoke))
        .layer(middleware::from_fn_with_state(state.clone(), gate::pass))
        .route(consent::PATH, get(consent::page).post(consent::decide))
        .nest("/control", control::routes())
        .fallback(async |method: Method, uri: Uri| {
            lacks(&format!("has no {method} {}", uri.path()));
            ApiError::of("notFound")
        })
        .method_not_allowed_fallback(async |method: Method, uri: Uri| {
            lacks(&format!("has no {method} {}", uri.path()));
            ApiError::of("httpMethodNotAllowed")
        })
        .with_state(state)
}
