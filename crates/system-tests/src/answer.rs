//! What a function answers.

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::Value;

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// `null` if it is no JSON.
    pub body: Value,
    pub took: Duration,
}

impl Answer {
    /// The status, and the code if it is an error.
    pub fn outcome(&self) -> (u16, &str) {
        (self.status, self.body["error"]["code"].as_str().unwrap_or_default())
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The connections of a good answer.
    #[track_caller]
    pub fn connections(&self) -> &Vec<Value> {
        assert_eq!(self.status, 200, "{}", self.text);
        self.body["connections"].as_array().unwrap_or_else(|| panic!("no connections in {}", self.text))
    }
}

/// Errors are `{"error": {"code", "message"}}` and nothing else.
#[track_caller]
pub fn assert_error_shape(body: &Value, text: &str) {
    let keys = |value: &Value| -> Vec<String> {
        value.as_object().map(|object| object.keys().cloned().collect()).unwrap_or_default()
    };
    assert_eq!(keys(body), ["error"], "{text}");
    assert_eq!(keys(&body["error"]), ["code", "message"], "{text}");
    for part in ["code", "message"] {
        assert!(body["error"][part].as_str().is_some_and(|part| !part.is_empty()), "{text}");
    }
}
