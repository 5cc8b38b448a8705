//! HTTP as plain data.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Delete,
    Get,
    Patch,
    Post,
}

impl Method {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::Patch => "PATCH",
            Self::Post => "POST",
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    pub method: Method,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    /// Not even the runtime may send it again by itself, as Deno does when a kept connection turns out to be closed.
    pub at_most_once: bool,
    /// How many bytes of the answer's body are read at most; 0 = the body is not wanted.
    pub longest_answer: usize,
}

/// As much as comes, which costs less than to count it: for what is bounded by what is asked.
pub const ANY_LENGTH: usize = usize::MAX;

/// What is read of an answer of Google or Auth, in bytes: they send a few hundred.
const LONGEST_ANSWER: usize = 1024 * 1024;

impl HttpRequest {
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            method: Method::Get,
            url: url.into(),
            headers: Vec::new(),
            body: None,
            at_most_once: false,
            longest_answer: LONGEST_ANSWER,
        }
    }

    pub fn post(url: impl Into<String>, content_type: &str, body: String) -> Self {
        Self { method: Method::Post, body: Some(body), ..Self::get(url) }.header("content-type", content_type)
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

#[derive(Clone, Default, PartialEq, Eq)]
pub struct HttpResponse {
    pub status: u16,
    pub content_type: Option<String>,
    pub content_range: Option<String>,
    pub retry_after: Option<String>,
    pub body: String,
}

impl HttpResponse {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpFailure {
    TimedOut,
    Unreachable,
    /// The body is longer than the request would have it.
    TooLong,
    /// The Edge Runtime refused a call to another Edge Function before making it (`RateLimitError`).
    RateLimited {
        retry_after: Duration,
    },
}

impl HttpFailure {
    pub const fn code(self) -> &'static str {
        match self {
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::TooLong => "too_long",
            Self::RateLimited { .. } => "rate_limited",
        }
    }
}

/// Sending; all there is of I/O. One thread, in WASM as in tests, so no future needs to be `Send`.
#[allow(async_fn_in_trait)]
pub trait Http {
    /// The time limit covers the whole response, body included, of which no more is read than the request would have.
    async fn send(&self, request: HttpRequest, timeout: Duration) -> Result<HttpResponse, HttpFailure>;
}

/// Whether a text may be sent as a header's value as it is: visible ASCII, not empty.
pub fn is_header_safe(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The text that was encoded so.
pub(crate) fn percent_decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Encodes one segment of a path, or one value of a form.
pub(crate) fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}
