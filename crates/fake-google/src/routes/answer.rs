//! Google's errors as answers.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::Value;

use crate::model::error::{ApiError, OAuthError};
use crate::model::fault::Instead;

const CHALLENGE: HeaderValue =
    HeaderValue::from_static(r#"Bearer realm="https://accounts.google.com/", error="invalid_token""#);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = json(self.status(), &self.body());
        if self.status() == 401 {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
        }
        response
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        json(self.status(), &self.body())
    }
}

impl IntoResponse for Instead {
    fn into_response(self) -> Response {
        match self {
            Self::Api(error) => error.into_response(),
            Self::OAuth(error) => error.into_response(),
            Self::Json(status, body) => json(status, &body),
            Self::Html(status, text) => (code(status), Html(text)).into_response(),
        }
    }
}

fn json(status: u16, body: &Value) -> Response {
    (code(status), Json(body)).into_response()
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
