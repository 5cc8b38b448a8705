//! The token and the revocation endpoint.
//! <https://developers.google.com/identity/protocols/oauth2/web-server>

use serde_json::{Value, json};

use crate::model::access::Grant;
use crate::model::clock::now;
use crate::model::error::OAuthError;
use crate::model::form::Form;
use crate::model::google::Google;

pub(crate) fn token(google: &mut Google, form: &Form) -> Result<Value, OAuthError> {
    let grant_type = form.required("grant_type")?;
    if !matches!(grant_type, "authorization_code" | "refresh_token") {
        let description = format!("Invalid grant_type: {grant_type}");
        return Err(OAuthError::new(400, "unsupported_grant_type", description));
    }
    check_client(google, form)?;
    match grant_type {
        "authorization_code" => exchange_code(google, form),
        _ => renew(google, form),
    }
}

fn check_client(google: &Google, form: &Form) -> Result<(), OAuthError> {
    let Some(client_id) = form.get("client_id") else {
        return Err(OAuthError::new(400, "invalid_request", "Could not determine client ID from request."));
    };
    let refused = |why| Err(OAuthError::new(401, "invalid_client", why));
    match form.get("client_secret") {
        _ if client_id != google.client_id => refused("The OAuth client was not found."),
        Some(secret) if secret == google.client_secret => Ok(()),
        _ => refused("The provided client secret is invalid."),
    }
}

fn exchange_code(google: &mut Google, form: &Form) -> Result<Value, OAuthError> {
    let code = form.required("code")?;
    let redirect_uri = form.required("redirect_uri")?;
    let issued = google.codes.remove(code).filter(|issued| issued.expires_at > now());
    let issued = issued.ok_or_else(|| OAuthError::new(400, "invalid_grant", "Malformed auth code."))?;
    if issued.grant.client_id != google.client_id {
        return Err(OAuthError::new(401, "unauthorized_client", "Unauthorized"));
    }
    if issued.redirect_uri != redirect_uri {
        return Err(OAuthError::new(400, "redirect_uri_mismatch", "Bad Request"));
    }
    let refresh_token = google.grant(issued.grant.clone());
    Ok(tokens(google, &issued.grant, &refresh_token, issued.offline))
}

fn renew(google: &mut Google, form: &Form) -> Result<Value, OAuthError> {
    let refresh_token = form.required("refresh_token")?;
    let grant = google.grants.get(refresh_token).cloned();
    let grant =
        grant.ok_or_else(|| OAuthError::new(400, "invalid_grant", "Token has been expired or revoked."))?;
    if grant.client_id != google.client_id {
        return Err(OAuthError::new(401, "unauthorized_client", "Unauthorized"));
    }
    let mut current = refresh_token.to_owned();
    let rotated = google.account(&grant.email).rotate_refresh_tokens;
    if rotated {
        google.grants.remove(refresh_token);
        current = google.grant(grant.clone());
        for token in google.access_tokens.values_mut().filter(|token| token.refresh_token == refresh_token) {
            token.refresh_token.clone_from(&current);
        }
    }
    Ok(tokens(google, &grant, &current, rotated))
}

fn tokens(google: &mut Google, grant: &Grant, refresh_token: &str, with_refresh_token: bool) -> Value {
    let (access_token, expires_in) = google.issue_access_token(refresh_token, grant);
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
pub(crate) fn revoke(google: &mut Google, form: &Form, query: &Form) -> Result<(), OAuthError> {
    let Some(token) = form.get("token").or_else(|| query.get("token")) else {
        return Err(OAuthError::new(400, "invalid_request", "Missing required parameter: token"));
    };
    let refresh_token = match google.access_tokens.get(token) {
        Some(access_token) => access_token.refresh_token.clone(),
        None => token.to_owned(),
    };
    if google.grants.remove(&refresh_token).is_none() {
        return Err(OAuthError::new(400, "invalid_token", "Token expired or revoked"));
    }
    google.access_tokens.retain(|_, token| token.refresh_token != refresh_token);
    Ok(())
}
