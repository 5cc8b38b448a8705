//! The shipped functions by their names.

pub const SETUP: &str = "setup-calendar-webhook";
pub const RECEIVE: &str = "google-calendar-webhook";
pub const REFRESH: &str = "refresh-calendar-webhook";
pub const FUNCTIONS: [&str; 3] = [SETUP, RECEIVE, REFRESH];
