//! Headers as `postgrest` sets them: a few, looked up by name.

/// Names are lower-case.
#[derive(Clone, Debug, Default)]
pub struct HeaderMap(Vec<(String, HeaderValue)>);

impl HeaderMap {
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a header, in place of any other value of this name.
    pub fn insert(&mut self, name: impl IntoHeaderName, value: HeaderValue) {
        let name = name.into_header_name();
        self.0.retain(|(existing, _)| *existing != name);
        self.0.push((name, value));
    }

    /// Adds a value besides any other of this name.
    pub fn append(&mut self, name: impl IntoHeaderName, value: HeaderValue) {
        self.0.push((name.into_header_name(), value));
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

pub trait IntoHeaderName {
    fn into_header_name(self) -> String;
}

impl IntoHeaderName for &str {
    fn into_header_name(self) -> String {
        self.to_ascii_lowercase()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderValue(String);

impl HeaderValue {
    pub fn from_static(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// Visible ASCII, spaces and tabs: nothing that could end the header.
    #[allow(clippy::should_implement_trait, reason = "reqwest's own name")]
    pub fn from_str(text: &str) -> Result<Self, InvalidHeaderValue> {
        if text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidHeaderValue)
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidHeaderValue;
