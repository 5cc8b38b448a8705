//! The consent page: which account, and whether it agrees.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Url;
use uuid::Uuid;

use crate::access::Grant;
use crate::oauth::Form;
use crate::state::{self, Shared, now};

pub(crate) const PATH: &str = "/o/oauth2/v2/auth";

pub(crate) struct AuthorizationCode {
    pub(crate) grant: Grant,
    pub(crate) redirect_uri: String,
    /// Whether a refresh token was asked for (`access_type=offline`).
    pub(crate) offline: bool,
    pub(crate) expires_at: DateTime<Utc>,
}

pub(crate) async fn page(State(google): State<Shared>, RawQuery(query): RawQuery) -> Response {
    let form = Form::parse(query.unwrap_or_default().as_bytes());
    let state = google.lock();
    match check(&state, &form) {
        Ok(_) if form.get("response_type") != Some("code") => refuse(400, "unsupported_response_type"),
        Ok(_) => Html(consent_page(&state, &form)).into_response(),
        Err(refusal) => refusal,
    }
}

pub(crate) async fn decide(State(google): State<Shared>, body: Bytes) -> Response {
    let form = Form::parse(&body);
    let mut state = google.lock();
    let mut back = match check(&state, &form) {
        Ok(redirect_uri) => redirect_uri,
        Err(refusal) => return refusal,
    };
    let email = form.get("email").map(str::trim).filter(|email| email.contains('@'));
    match (form.get("decision"), email) {
        (Some("allow"), Some(email)) => {
            state.account(email);
            let code = format!("4/0fake-{}", Uuid::new_v4().simple());
            let scope = form.get("scope").unwrap_or_default();
            back.query_pairs_mut().append_pair("code", &code).append_pair("scope", scope);
            let client_id = state.client_id.clone();
            let issued = AuthorizationCode {
                grant: Grant { email: email.to_owned(), client_id, scope: scope.to_owned() },
                redirect_uri: form.get("redirect_uri").unwrap_or_default().to_owned(),
                offline: form.get("access_type") == Some("offline"),
                expires_at: now() + TimeDelta::minutes(10),
            };
            state.codes.insert(code, issued);
        }
        (Some("allow"), None) => return refuse(400, "invalid_request"),
        _ => drop(back.query_pairs_mut().append_pair("error", "access_denied")),
    }
    if let Some(state) = form.get("state") {
        back.query_pairs_mut().append_pair("state", state);
    }
    Redirect::to(back.as_str()).into_response()
}

/// → where the answer goes.
#[allow(clippy::result_large_err, reason = "the error is the page to answer with, and made once a request")]
fn check(state: &state::State, form: &Form) -> Result<Url, Response> {
    if form.get("client_id") != Some(&state.client_id) {
        return Err(refuse(401, "invalid_client"));
    }
    let redirect_uri = form.get("redirect_uri").and_then(|uri| Url::parse(uri).ok());
    if form.get("scope").is_none() {
        return Err(refuse(400, "invalid_scope"));
    }
    redirect_uri
        .filter(|uri| matches!(uri.scheme(), "http" | "https"))
        .ok_or_else(|| refuse(400, "redirect_uri_mismatch"))
}

fn refuse(status: u16, error: &str) -> Response {
    let explanation = match error {
        "invalid_client" => "The OAuth client was not found.",
        "invalid_scope" => "Some requested scopes were invalid, or none was requested.",
        "redirect_uri_mismatch" => "The redirect URI in the request is missing or is no http(s) address.",
        "unsupported_response_type" => "response_type must be code.",
        _ => "Enter the e-mail address of an account.",
    };
    let body = format!(
        "<h1>Access blocked: Authorization Error</h1><p>{explanation}</p><p class=\"small\">Error {status}: {error}</p>"
    );
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    (status, Html(html("Authorization Error", &body))).into_response()
}

fn consent_page(state: &state::State, form: &Form) -> String {
    let text = |field| escape(form.get(field).unwrap_or_default());
    let hidden: String = ["client_id", "redirect_uri", "scope", "state", "access_type"]
        .into_iter()
        .map(|field| format!("<input type=\"hidden\" name=\"{field}\" value=\"{}\">", text(field)))
        .collect();
    let accounts: String =
        state.accounts.keys().map(|email| format!("<option value=\"{}\">", escape(email))).collect();
    let scopes: String = form
        .get("scope")
        .unwrap_or_default()
        .split_whitespace()
        .map(|scope| format!("<li>{}</li>", escape(scope)))
        .collect();
    let body = format!(
        r#"<h1>Sign in with fake Google</h1>
<p><b>{client}</b> wants access to your account:</p>
<ul>{scopes}</ul>
<form method="post" action="{PATH}">{hidden}
<label for="email">Account</label>
<input id="email" name="email" type="email" list="accounts" value="{hint}" placeholder="somebody@example.com" autocomplete="off" required autofocus>
<datalist id="accounts">{accounts}</datalist>
<div class="buttons">
<button name="decision" value="deny" formnovalidate>Deny</button>
<button name="decision" value="allow" class="primary">Allow</button>
</div></form>"#,
        client = text("client_id"),
        hint = text("login_hint"),
    );
    html("Sign in with fake Google", &body)
}

fn html(title: &str, body: &str) -> String {
    format!(
        r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: #f0f4f9; color: #1f1f1f;
  font: 16px/1.5 system-ui, sans-serif }}
main {{ width: min(26rem, 100vw - 4rem); padding: 2.5rem; border-radius: 1.75rem; background: #fff }}
h1 {{ margin: 0 0 1rem; font-size: 1.6rem; font-weight: 400 }}
ul {{ padding-left: 1.2rem; overflow-wrap: anywhere; font-size: .9rem; color: #444746 }}
label {{ display: block; font-size: .85rem; color: #444746 }}
input {{ box-sizing: border-box; width: 100%; padding: .8rem; border: 1px solid #747775; border-radius: .4rem;
  font: inherit }}
input:focus {{ outline: 2px solid #0b57d0; border-color: transparent }}
.buttons {{ display: flex; justify-content: flex-end; gap: .5rem; margin-top: 2rem }}
button {{ padding: .6rem 1.5rem; border: 0; border-radius: 2rem; background: none; color: #0b57d0; font: inherit;
  font-weight: 500; cursor: pointer }}
button:hover {{ background: #e8f0fe }}
button.primary, button.primary:hover {{ background: #0b57d0; color: #fff }}
.small {{ font-size: .85rem; color: #444746 }}
</style></head>
<body><main>{body}</main></body></html>"#
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
