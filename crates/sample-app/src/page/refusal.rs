//! What the page is told when it cannot have what it asked for.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::connected_calendar::CalendarError;

pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    pub(super) fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "sign in first")
    }

    fn new(status: StatusCode, code: &'static str, message: impl ToString) -> Self {
        Self { status, code, message: message.to_string() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, code, message } = self;
        (status, Json(json!({ "error": { "code": code, "message": message } }))).into_response()
    }
}

impl From<CalendarError> for Refusal {
    fn from(error: CalendarError) -> Self {
        let (status, code) = match &error {
            CalendarError::NotConnected => (StatusCode::CONFLICT, "not_connected"),
            CalendarError::ReconnectRequired => (StatusCode::CONFLICT, "reconnect_required"),
            CalendarError::Refused(StatusCode::NOT_FOUND | StatusCode::GONE) => {
                (StatusCode::NOT_FOUND, "no_event")
            }
            CalendarError::Refused(_) => (StatusCode::BAD_GATEWAY, "google_unavailable"),
            CalendarError::Failed(_) => (StatusCode::BAD_GATEWAY, "failed"),
        };
        Self::new(status, code, error)
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<CalendarError>() {
            Ok(error) => error.into(),
            Err(error) => Self::new(StatusCode::BAD_GATEWAY, "failed", format!("{error:#}")),
        }
    }
}

impl From<reqwest::Error> for Refusal {
    fn from(error: reqwest::Error) -> Self {
        anyhow::Error::new(error).into()
    }
}
