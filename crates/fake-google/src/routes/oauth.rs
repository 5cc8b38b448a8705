//! The token and the revocation endpoint.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::model::error::OAuthError;
use crate::model::form::Form;
use crate::model::token;
use crate::state::Shared;

pub(crate) async fn token(State(state): State<Shared>, body: Bytes) -> Result<Response, OAuthError> {
    let answer = token::token(&mut state.lock(), &Form::parse(&body))?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

pub(crate) async fn revoke(
    State(state): State<Shared>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Json<Value>, OAuthError> {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    token::revoke(&mut state.lock(), &Form::parse(&body), &query)?;
    Ok(Json(json!({})))
}
