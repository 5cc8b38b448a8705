//! Whether an OAuth client may ask, and what becomes of a decision.

use chrono::TimeDelta;
use reqwest::Url;
use uuid::Uuid;

use crate::model::access::{AuthorizationCode, Grant};
use crate::model::clock::now;
use crate::model::form::Form;
use crate::model::google::Google;

/// What the account is told instead of being asked.
#[derive(Clone, Copy)]
pub(crate) struct Blocked {
    pub(crate) status: u16,
    pub(crate) error: &'static str,
}

const fn blocked(status: u16, error: &'static str) -> Blocked {
    Blocked { status, error }
}

/// → where the answer goes.
fn check(google: &Google, form: &Form) -> Result<Url, Blocked> {
    if form.get("client_id") != Some(&google.client_id) {
        return Err(blocked(401, "invalid_client"));
    }
    let redirect_uri = form.get("redirect_uri").and_then(|uri| Url::parse(uri).ok());
    if form.get("scope").is_none() {
        return Err(blocked(400, "invalid_scope"));
    }
    redirect_uri
        .filter(|uri| matches!(uri.scheme(), "http" | "https"))
        .ok_or(blocked(400, "redirect_uri_mismatch"))
}

/// Whether the page may be shown.
pub(crate) fn ask(google: &Google, form: &Form) -> Result<(), Blocked> {
    check(google, form)?;
    match form.get("response_type") {
        Some("code") => Ok(()),
        _ => Err(blocked(400, "unsupported_response_type")),
    }
}

/// → where the browser goes with the answer.
pub(crate) fn decide(google: &mut Google, form: &Form) -> Result<Url, Blocked> {
    let mut back = check(google, form)?;
    let email = form.get("email").map(str::trim).filter(|email| email.contains('@'));
    match (form.get("decision"), email) {
        (Some("allow"), Some(email)) => {
            google.account(email);
            let code = format!("4/0fake-{}", Uuid::new_v4().simple());
            let scope = form.get("scope").unwrap_or_default();
            back.query_pairs_mut().append_pair("code", &code).append_pair("scope", scope);
            let client_id = google.client_id.clone();
            let issued = AuthorizationCode {
                grant: Grant { email: email.to_owned(), client_id, scope: scope.to_owned() },
                redirect_uri: form.get("redirect_uri").unwrap_or_default().to_owned(),
                offline: form.get("access_type") == Some("offline"),
                expires_at: now() + TimeDelta::minutes(10),
            };
            google.codes.insert(code, issued);
        }
        (Some("allow"), None) => return Err(blocked(400, "invalid_request")),
        _ => drop(back.query_pairs_mut().append_pair("error", "access_denied")),
    }
    if let Some(state) = form.get("state") {
        back.query_pairs_mut().append_pair("state", state);
    }
    Ok(back)
}
