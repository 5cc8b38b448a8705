//! The token and the revocation endpoint.
//! <https://developers.google.com/identity/protocols/oauth2/web-server>

use axum::Json;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::access::Grant;
use crate::errors::OAuthError;
use crate::state::{self, Shared, now};

/// The fields of a form or of a query, in order.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        Self(form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// Empty counts as missing.
    pub(crate) fn get(&self, field: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(name, value)| name == field && !value.is_empty())?;
        Some(value)
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    fn required(&self, field: &str) -> Result<&str, OAuthError> {
        let missing =
            || OAuthError::new(400, "invalid_request", format!("Missing required parameter: {field}"));
        self.get(field).ok_or_else(missing)
    }
}

pub(crate) async fn token(State(google): State<Shared>, body: Bytes) -> Result<Response, OAuthError> {
    let form = Form::parse(&body);
    let mut state = google.lock();
    let state = &mut *state;
    let grant_type = form.required("grant_type")?;
    if !matches!(grant_type, "authorization_code" | "refresh_token") {
        let description = format!("Invalid grant_type: {grant_type}");
        return Err(OAuthError::new(400, "unsupported_grant_type", description));
    }
    check_client(state, &form)?;
    let answer = match grant_type {
        "authorization_code" => exchange_code(state, &form)?,
        _ => refresh(state, &form)?,
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

fn check_client(state: &state::State, form: &Form) -> Result<(), OAuthError> {
    let Some(client_id) = form.get("client_id") else {
        return Err(OAuthError::new(400, "invalid_request", "Could not determine client ID from request."));
    };
    let refused = |why| Err(OAuthError::new(401, "invalid_client", why));
    match form.get("client_secret") {
        _ if client_id != state.client_id => refused("The OAuth client was not found."),
        Some(secret) if secret == state.client_secret => Ok(()),
        _ => refused("The provided client secret is invalid."),
    }
}

fn exchange_code(state: &mut state::State, form: &Form) -> Result<Value, OAuthError> {
    let code = form.required("code")?;
    let redirect_uri = form.required("redirect_uri")?;
    let issued = state.codes.remove(code).filter(|issued| issued.expires_at > now());
    let issued = issued.ok_or_else(|| OAuthError::new(400, "invalid_grant", "Malformed auth code."))?;
    if issued.grant.client_id != state.client_id {
        return Err(OAuthError::new(401, "unauthorized_client", "Unauthorized"));
    }
    if issued.redirect_uri != redirect_uri {
        return Err(OAuthError::new(400, "redirect_uri_mismatch", "Bad Request"));
    }
    let refresh_token = state.grant(issued.grant.clone());
    Ok(tokens(state, &issued.grant, &refresh_token, issued.offline))
}

fn refresh(state: &mut state::State, form: &Form) -> Result<Value, OAuthError> {
    let refresh_token = form.required("refresh_token")?;
    let grant = state.grants.get(refresh_token).cloned();
    let grant =
        grant.ok_or_else(|| OAuthError::new(400, "invalid_grant", "Token has been expired or revoked."))?;
    if grant.client_id != state.client_id {
        return Err(OAuthError::new(401, "unauthorized_client", "Unauthorized"));
    }
    let mut current = refresh_token.to_owned();
    let rotated = state.account(&grant.email).rotate_refresh_tokens;
    if rotated {
        state.grants.remove(refresh_token);
        current = state.grant(grant.clone());
        for token in state.access_tokens.values_mut().filter(|token| token.refresh_token == refresh_token) {
            token.refresh_token.clone_from(&current);
        }
    }
    Ok(tokens(state, &grant, &current, rotated))
}

fn tokens(state: &mut state::State, grant: &Grant, refresh_token: &str, with_refresh_token: bool) -> Value {
    let (access_token, expires_in) = state.issue_access_token(refresh_token, grant);
    let mut answer = json!({
        "access_token": access_token,
        "expires_in": expires_in,
        "scope": grant.scope,
        "token_type": "Bearer",
    });
    if let (true, Some(answer)) = (with_refresh_token, answer.as_object_mut()) {
        answer.insert("refresh_token".to_owned(), refresh_token.into());
    }
    answer
}

/// Takes either token, in the form or in the query.
pub(crate) async fn revoke(
    State(google): State<Shared>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Json<Value>, OAuthError> {
    let mut state = google.lock();
    let (form, query) = (Form::parse(&body), Form::parse(query.unwrap_or_default().as_bytes()));
    let Some(token) = form.get("token").or_else(|| query.get("token")) else {
        return Err(OAuthError::new(400, "invalid_request", "Missing required parameter: token"));
    };
    let refresh_token = match state.access_tokens.get(token) {
        Some(access_token) => access_token.refresh_token.clone(),
        None => token.to_owned(),
    };
    if state.grants.remove(&refresh_token).is_none() {
        return Err(OAuthError::new(400, "invalid_token", "Token expired or revoked"));
    }
    state.access_tokens.retain(|_, token| token.refresh_token != refresh_token);
    Ok(Json(json!({})))
}
