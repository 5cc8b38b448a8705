//! What does not change while the server runs.

use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Config {
    /// 0 = any free port.
    pub port: u16,
    pub client_id: String,
    pub client_secret: String,
    /// What the consent page calls the app.
    pub app_name: String,
    /// Whether channels may have an `http` address on this machine; Google takes `https` only.
    pub allow_http_loopback: bool,
    /// How long a receiver may take to answer a notification.
    pub delivery_timeout: Duration,
    /// The pause before the first retry of a notification; it doubles with every further one.
    pub retry_base: Duration,
    /// How often a notification is tried in all.
    pub delivery_attempts: u32,
    /// The pause between the answer to `watch` and the `sync` notification, unless the control API says
    /// otherwise.
    pub sync_delay: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 0,
            client_id: "fake-client-id".to_owned(),
            app_name: "Sessions around a calendar".to_owned(),
            client_secret: "fake-client-secret".to_owned(),
            allow_http_loopback: true,
            delivery_timeout: Duration::from_secs(10),
            retry_base: Duration::from_millis(200),
            delivery_attempts: 8,
            sync_delay: Duration::from_millis(20),
        }
    }
}
