//! The demo page: a small host app around the functions, at the root of the gateway.

mod calendar;
mod faults;
mod files;
mod refusal;
mod user;

use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, patch, post};
use axum::{Json, Router, middleware};
use serde_json::{Value, json};

use crate::host_app::HostApp;
use crate::host_writes::HostWrites;
use crate::page::faults::Outage;
use crate::page::refusal::Refusal;
use crate::recalculate::Recalculate;
use crate::services::User;

/// No inline script or style, and nothing from anywhere else; the element's WASM may be compiled.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) fn router(host_app: Arc<HostApp>, recalculate: Arc<Recalculate>, repository: &Path) -> Router {
    let failing = recalculate.clone();
    let fail = async move |State(_): State<Arc<HostApp>>, user: User| {
        failing.fail_for(user.id, faults::OUTAGE);
        StatusCode::NO_CONTENT
    };
    let runs = async move |State(_): State<Arc<HostApp>>, user: User| Json(recalculate.runs_of(user.id));
    Router::new()
        .route("/app/configuration", get(configuration))
        .route("/app/calendar/events", get(calendar::list).post(calendar::insert).delete(calendar::clear))
        .route("/app/calendar/events/{id}", patch(calendar::change).delete(calendar::delete))
        .route("/app/sessions/runs", get(runs))
        .route("/app/sessions/host-writes", get(host_writes).post(choose_host_writes))
        .route("/app/faults/revoke", post(faults::revoke))
        .route("/app/faults/old-channel", post(faults::age_channel))
        .route("/app/faults/forgotten-channel", post(faults::forget_channel))
        .route("/app/faults/look", post(faults::look))
        .route("/app/faults/recalculate", post(fail))
        .with_state(host_app.clone())
        .merge(faults::outages(host_app.clone(), Outage::default()))
        .merge(files::router(host_app.services().supabase_url.clone(), repository))
        .layer(middleware::map_response(with_security_headers))
}

async fn with_security_headers(mut response: Response) -> Response {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // An address of the OAuth flow holds a code.
        (header::REFERRER_POLICY, "no-referrer"),
        // Files may change between two loads of the page.
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn configuration(State(host_app): State<Arc<HostApp>>) -> Json<Value> {
    let services = host_app.services();
    Json(json!({
        "supabaseUrl": services.supabase_url,
        "supabaseKey": services.publishable_key,
        "consentUrl": services.consent_url,
    }))
}

async fn host_writes(State(host_app): State<Arc<HostApp>>, user: User) -> Json<HostWrites> {
    Json(host_app.host_writes(user.id))
}

async fn choose_host_writes(
    State(host_app): State<Arc<HostApp>>,
    user: User,
    Json(style): Json<HostWrites>,
) -> Result<StatusCode, Refusal> {
    host_app.choose_host_writes(user.id, style).await?;
    Ok(StatusCode::NO_CONTENT)
}
