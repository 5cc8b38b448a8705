//! To Google's consent page, and back.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::Redirect;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::host_app::{Callback, ConnectError, HostApp, User, secret};
use crate::page::refusal::Refusal;

/// Known to one browser, over all its windows and users. A real host adds `Secure` and the prefix `__Host-`.
const COOKIE: &str = "browser";

/// What the element says that the user wants.
#[derive(Deserialize)]
pub(super) struct Wish {
    reason: String,
}

/// → where the page has to send the browser.
pub(super) async fn ask(
    State(host_app): State<Arc<HostApp>>,
    user: User,
    headers: HeaderMap,
    Json(wish): Json<Wish>,
) -> Result<([(HeaderName, String); 1], Json<Value>), Refusal> {
    let browser = browser(&headers).map_or_else(secret, str::to_owned);
    // Somebody who wants another account is to choose it, and a calendar of another is what this small app can offer.
    let wants_another = matches!(wish.reason.as_str(), "add" | "choose_calendar");
    let hint = (!wants_another).then_some(user.email.as_str());
    let page = host_app.consent_page(user.id, &browser, hint)?;
    // Lax: Google's redirect has to bring it along.
    let cookie = format!("{COOKIE}={browser}; Path=/app/calendar; HttpOnly; SameSite=Lax");
    Ok(([(header::SET_COOKIE, cookie)], Json(json!({ "url": page.as_str() }))))
}

/// Google sends the browser here. The user goes on to the page, which tells how it went.
pub(super) async fn answered(
    State(host_app): State<Arc<HostApp>>,
    headers: HeaderMap,
    Query(callback): Query<Callback>,
) -> Redirect {
    let outcome = match host_app.connect(&callback, browser(&headers).unwrap_or_default()).await {
        Ok(()) => "connected",
        Err(ConnectError::Denied) => "denied",
        Err(ConnectError::UnknownState) => "expired",
        Err(ConnectError::Failed(error)) => {
            eprintln!("connecting failed: {error:#}");
            "failed"
        }
    };
    Redirect::to(&format!("/?calendar={outcome}"))
}

fn browser(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    cookies.split("; ").filter_map(|cookie| cookie.split_once('=')).find_map(|(name, value)| {
        // Empty would be what everybody knows.
        (name == COOKIE && !value.is_empty()).then_some(value)
    })
}
