//! The consent page: which account, and whether it agrees.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};

use crate::model::consent::{self, Blocked};
use crate::model::form::Form;
use crate::model::google::Google;
use crate::state::Shared;

pub(crate) const PATH: &str = "/o/oauth2/v2/auth";

pub(crate) async fn page(State(state): State<Shared>, RawQuery(query): RawQuery) -> Response {
    let form = Form::parse(query.unwrap_or_default().as_bytes());
    let google = state.lock();
    match consent::ask(&google, &form) {
        Ok(()) => Html(consent_page(&google, &state.config.app_name, &form)).into_response(),
        Err(blocked) => refuse(blocked),
    }
}

pub(crate) async fn decide(State(state): State<Shared>, body: Bytes) -> Response {
    match consent::decide(&mut state.lock(), &Form::parse(&body)) {
        Ok(back) => Redirect::to(back.as_str()).into_response(),
        Err(blocked) => refuse(blocked),
    }
}

fn refuse(Blocked { status, error }: Blocked) -> Response {
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

fn consent_page(google: &Google, app_name: &str, form: &Form) -> String {
    let text = |field| escape(form.get(field).unwrap_or_default());
    let hidden: String = ["client_id", "redirect_uri", "scope", "state", "access_type"]
        .into_iter()
        .map(|field| format!("<input type=\"hidden\" name=\"{field}\" value=\"{}\">", text(field)))
        .collect();
    let accounts: String =
        google.accounts.keys().map(|email| format!("<option value=\"{}\">", escape(email))).collect();
    let scopes: String = form
        .get("scope")
        .unwrap_or_default()
        .split_whitespace()
        .map(|scope| format!("<li title=\"{}\">{}</li>", escape(scope), escape(in_words(scope))))
        .collect();
    let body = format!(
        r#"<h1>Sign in with fake Google</h1>
<p><b>{app}</b> wants access to your account:</p>
<ul>{scopes}</ul>
<form method="post" action="{PATH}">{hidden}
<label for="email">Account</label>
<input id="email" name="email" type="email" list="accounts" value="{hint}" placeholder="somebody@example.com" autocomplete="off" required autofocus>
<datalist id="accounts">{accounts}</datalist>
<div class="buttons">
<button name="decision" value="deny" formnovalidate>Deny</button>
<button name="decision" value="allow" class="primary">Allow</button>
</div></form>"#,
        app = escape(app_name),
        hint = text("login_hint"),
    );
    html("Sign in with fake Google", &body)
}

/// As Google's own page puts it.
fn in_words(scope: &str) -> &str {
    match scope.trim_start_matches("https://www.googleapis.com/auth/") {
        "calendar" => "See, edit, share, and permanently delete all the calendars you can access",
        "calendar.readonly" => "See and download any calendar you can access",
        "calendar.events" => "View and edit events on all your calendars",
        "calendar.events.readonly" => "View events on all your calendars",
        "openid" => "Associate you with your personal info on Google",
        _ => scope,
    }
}

fn html(title: &str, body: &str) -> String {
    format!(
        r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><link rel="icon" href="data:,">
<style>
:root {{ color-scheme: light dark; --muted: light-dark(#444746, #c4c7c5); --accent: light-dark(#0b57d0, #a8c7fa) }}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: light-dark(#f0f4f9, #1e1f20);
  color: light-dark(#1f1f1f, #e3e3e3); font: 16px/1.5 system-ui, sans-serif }}
main {{ width: min(26rem, 100vw - 4rem); padding: 2.5rem; border-radius: 1.75rem;
  background: light-dark(#fff, #0e0e0e) }}
h1 {{ margin: 0 0 1rem; font-size: 1.6rem; font-weight: 400 }}
ul {{ padding-left: 1.2rem; overflow-wrap: anywhere; font-size: .9rem; color: var(--muted) }}
label {{ display: block; font-size: .85rem; color: var(--muted) }}
input {{ box-sizing: border-box; width: 100%; padding: .8rem; border: 1px solid #747775; border-radius: .4rem;
  background: none; color: inherit; font: inherit }}
input:focus {{ outline: 2px solid var(--accent); border-color: transparent }}
.buttons {{ display: flex; justify-content: flex-end; gap: .5rem; margin-top: 2rem }}
button {{ padding: .6rem 1.5rem; border: 0; border-radius: 2rem; background: none; color: var(--accent); font: inherit;
  font-weight: 500; cursor: pointer }}
button:hover {{ background: light-dark(#e8f0fe, #28292a) }}
button.primary, button.primary:hover {{ background: var(--accent); color: light-dark(#fff, #062e6f) }}
.small {{ font-size: .85rem; color: var(--muted) }}
</style></head>
<body><main>{body}</main></body></html>"#
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
