//! The running server: what it listens on, its routes, and its end.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::routing::{get, post};
use axum::{Router, middleware};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::channels;
use crate::connection::{CuttableListener, Line};
use crate::consent;
use crate::control;
use crate::errors::ApiError;
use crate::events;
use crate::gate;
use crate::oauth;
use crate::state::{Google, Shared};

/// How long `stop` waits for answers in flight.
const STOP_PATIENCE: Duration = Duration::from_millis(500);

/// What does not change while the server runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// 0 = any free port.
    pub port: u16,
    pub client_id: String,
    pub client_secret: String,
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
            client_secret: "fake-client-secret".to_owned(),
            allow_http_loopback: true,
            delivery_timeout: Duration::from_secs(10),
            retry_base: Duration::from_millis(200),
            delivery_attempts: 8,
            sync_delay: Duration::from_millis(20),
        }
    }
}

/// A server on 127.0.0.1. It stops serving when dropped, or by [`stop`](FakeGoogle::stop).
pub struct FakeGoogle {
    google: Shared,
    line: Line,
    shutdown: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

impl FakeGoogle {
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port))
            .await
            .with_context(|| format!("cannot listen on 127.0.0.1:{}", config.port))?;
        let url = format!("http://{}", listener.local_addr()?);
        let google = Arc::new(Google::new(config, url)?);
        let line = Line::default();
        let service = routes(google.clone()).into_make_service_with_connect_info::<Line>();
        let (shutdown, stopped) = oneshot::channel::<()>();
        let listener = CuttableListener::new(listener, line.clone());
        let serving = tokio::spawn(async move {
            let ended = async move { stopped.await.unwrap_or_default() };
            // Serving only ends by the shutdown: `axum::serve` deals with the errors of single connections.
            let _ = axum::serve(listener, service).with_graceful_shutdown(ended).await;
        });
        Ok(Self { google, line, shutdown: Some(shutdown), serving: Some(serving) })
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        self.google.url.clone()
    }

    pub fn calendar_api_url(&self) -> String {
        self.google.calendar_api_url()
    }

    pub fn oauth_token_url(&self) -> String {
        format!("{}/token", self.google.url)
    }

    pub fn consent_url(&self) -> String {
        format!("{}{}", self.google.url, consent::PATH)
    }

    pub async fn stop(mut self) {
        self.close();
        if let Some(mut serving) = self.serving.take()
            && tokio::time::timeout(STOP_PATIENCE, &mut serving).await.is_err()
        {
            serving.abort();
        }
    }

    fn close(&mut self) {
        self.shutdown.take();
        self.line.cut();
        self.google.lock().close_channels();
    }
}

impl Drop for FakeGoogle {
    fn drop(&mut self) {
        self.close();
    }
}

fn routes(google: Shared) -> Router {
    let calendar = Router::new()
        .route("/calendars/{calendar}/events", get(events::list).post(events::insert))
        .route(
            "/calendars/{calendar}/events/{event}",
            get(events::get).patch(events::patch).put(events::update).delete(events::delete),
        )
        .route("/calendars/{calendar}/events/watch", post(channels::watch))
        .route("/channels/stop", post(channels::stop));
    Router::new()
        .nest("/calendar/v3", calendar)
        .route("/token", post(oauth::token))
        .route("/revoke", post(oauth::revoke))
        .layer(middleware::from_fn_with_state(google.clone(), gate::pass))
        .route(consent::PATH, get(consent::page).post(consent::decide))
        .nest("/control", control::routes())
        .fallback(async || ApiError::of("notFound"))
        .method_not_allowed_fallback(async || ApiError::of("httpMethodNotAllowed"))
        .with_state(google)
}
