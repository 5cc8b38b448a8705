//! Who calls the API: `Authorization: Bearer`.

use axum::http::{HeaderMap, header};

use crate::model::access::{Grant, Need};
use crate::model::error::ApiError;
use crate::model::google::Google;

pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

pub(crate) fn caller(google: &Google, headers: &HeaderMap, need: Need) -> Result<Grant, ApiError> {
    google.caller(bearer(headers), need)
}
