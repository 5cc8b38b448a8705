//! The user that a request of the page comes from, as Auth knows the token.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use crate::host_app::HostApp;
use crate::page::refusal::Refusal;
use crate::services::User;

impl FromRequestParts<Arc<HostApp>> for User {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, host_app: &Arc<HostApp>) -> Result<Self, Refusal> {
        let authorization = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let authorization = authorization.ok_or_else(Refusal::unauthenticated)?;
        host_app.services().user(authorization).await?.ok_or_else(Refusal::unauthenticated)
    }
}
