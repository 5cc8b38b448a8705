//! Google as the routes share it: behind one lock that is never held across an await.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::redirect;

use crate::config::Config;
use crate::model::google::Google;

pub(crate) type Shared = Arc<State>;

pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) url: String,
    /// For notifications.
    pub(crate) http: reqwest::Client,
    google: Mutex<Google>,
}

impl State {
    pub(crate) fn new(config: Config, url: String) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(config.delivery_timeout)
            .user_agent("APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)")
            .build()?;
        let google = Mutex::new(Google::new(&config.client_id, &config.client_secret));
        Ok(Self { config, url, http, google })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Google> {
        self.google.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As after the start.
    pub(crate) fn reset(&self) {
        *self.lock() = Google::new(&self.config.client_id, &self.config.client_secret);
    }

    pub(crate) fn calendar_api_url(&self) -> String {
        format!("{}/calendar/v3", self.url)
    }
}
