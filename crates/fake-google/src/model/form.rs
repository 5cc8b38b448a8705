//! Forms and queries.

use crate::model::error::OAuthError;

/// The fields of a form or of a query, in order.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        Self(form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// Empty counts as missing.
    pub(crate) fn get(&self, field: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(name, value)| name == field && !value.is_empty())?;
        Some(value)
    }

    pub(crate) fn all(&self, field: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(name, _)| name == field).map(|(_, value)| value.as_str())
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(crate) fn required(&self, field: &str) -> Result<&str, OAuthError> {
        let missing =
            || OAuthError::new(400, "invalid_request", format!("Missing required parameter: {field}"));
        self.get(field).ok_or_else(missing)
    }
}
