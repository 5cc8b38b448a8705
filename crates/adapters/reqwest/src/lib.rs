//! The part of `reqwest` 0.11 that `postgrest` describes its requests with, in place of the whole.
//!
//! The Edge Functions send requests by the runtime's `fetch`; of `reqwest` they need only what `postgrest` builds.
//! There it parses URLs and interns headers (`url`, `idna`, `http`), which is 65 KB of WASM, and brings a TLS stack to
//! the tests. Names and behaviour are reqwest's, as far as they go.

pub mod header;

use std::convert::Infallible;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::header::HeaderMap;

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    DELETE,
    GET,
    HEAD,
    PATCH,
    POST,
}

#[derive(Clone, Debug, Default)]
pub struct Client;

impl Client {
    pub fn new() -> Self {
        Self
    }

    /// The caller that sends the request knows its method.
    pub fn request(&self, _method: Method, url: impl Into<String>) -> RequestBuilder {
        let (headers, body) = (HeaderMap::new(), Body::default());
        RequestBuilder(Request { url: Url(url.into()), headers, body })
    }
}

pub struct RequestBuilder(Request);

impl RequestBuilder {
    #[must_use]
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.0.headers = headers;
        self
    }

    /// Adds pairs to the query string, percent-encoded.
    #[must_use]
    pub fn query<K: AsRef<str>, V: AsRef<str>>(mut self, pairs: &[(K, V)]) -> Self {
        let Url(url) = &mut self.0.url;
        for (name, value) in pairs {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.extend(utf8_percent_encode(name.as_ref(), RESERVED));
            url.push('=');
            url.extend(utf8_percent_encode(value.as_ref(), RESERVED));
        }
        self
    }

    #[must_use]
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.0.body = body.into();
        self
    }

    /// A malformed URL is refused when the request is sent.
    pub fn build(self) -> Result<Request, Infallible> {
        Ok(self.0)
    }

    /// Always fails: requests are sent by others.
    pub async fn send(self) -> Result<Response, Error> {
        Err(Error)
    }
}

#[derive(Clone, Debug)]
pub struct Request {
    url: Url,
    headers: HeaderMap,
    body: Body,
}

impl Request {
    pub fn url(&self) -> &Url {
        &self.url
    }

    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub fn body(&self) -> Option<&Body> {
        Some(&self.body)
    }
}

#[derive(Clone, Debug)]
pub struct Url(String);

impl Url {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Clone, Debug, Default)]
pub struct Body(String);

impl Body {
    pub fn as_bytes(&self) -> Option<&[u8]> {
        Some(self.0.as_bytes())
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// There are none.
#[derive(Debug)]
pub enum Response {}

/// This crate sends nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::HeaderValue;

    #[test]
    fn nothing_in_a_query_ends_its_value() {
        let request = Client::new()
            .request(Method::GET, "http://host/path")
            .query(&[("a b", "x&y=z")])
            .query(&[("in", "(\"1\",2)#?%ü-._~")])
            .build()
            .unwrap();
        assert_eq!(
            request.url().as_str(),
            "http://host/path?a%20b=x%26y%3Dz&in=%28%221%22%2C2%29%23%3F%25%C3%BC-._~"
        );
    }

    #[test]
    fn a_header_is_replaced_whatever_its_case_and_holds_no_line_break() {
        let mut headers = HeaderMap::new();
        headers.insert("Prefer", HeaderValue::from_static("a"));
        headers.insert("prefer", HeaderValue::from_static("b"));
        headers.append("Prefer", HeaderValue::from_static("c"));
        let values: Vec<_> = headers.iter().map(|(name, value)| (name, value.as_str())).collect();
        assert_eq!(values, [("prefer", "b"), ("prefer", "c")]);
        assert!(HeaderValue::from_str("a\nb").is_err() && HeaderValue::from_str("ü").is_err());
    }
}
