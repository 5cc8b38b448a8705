//! Every target by its name.

pub mod credentials;
pub mod database_count;
pub mod database_rows;
pub mod environment;
pub mod look_pages;
pub mod notification;
pub mod preflight;
pub mod recalculate_answer;
pub mod request_body;
pub mod secret_keys;
pub mod seen;
pub mod token_answer;
pub mod user_answer;
pub mod watch_answer;

pub struct Target {
    pub name: &'static str,
    /// Panics where a promise is broken.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident,)*) => {
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), run: $name::target },)*];
    };
}

targets! {
    credentials,
    database_count,
    database_rows,
    environment,
    look_pages,
    notification,
    preflight,
    recalculate_answer,
    request_body,
    secret_keys,
    seen,
    token_answer,
    user_answer,
    watch_answer,
}
