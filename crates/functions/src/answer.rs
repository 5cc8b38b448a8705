//! What a function answers.

/// What the caller gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    /// JSON; `None` = no body.
    pub body: Option<String>,
}

impl Answer {
    pub(crate) fn ok(body: String) -> Self {
        Self { status: 200, headers: Vec::new(), body: Some(body) }
    }
}
