//! The running server: what it listens on, and its end.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::line::{CuttableListener, Line};
use crate::routes::{consent, routes};
use crate::state::{Shared, State};

/// How long `stop` waits for answers in flight.
const STOP_PATIENCE: Duration = Duration::from_millis(500);

/// A server on 127.0.0.1. It stops serving when dropped, or by [`stop`](FakeGoogle::stop).
pub struct FakeGoogle {
    state: Shared,
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
        let state = Arc::new(State::new(config, url)?);
        let line = Line::default();
        let service = routes(state.clone()).into_make_service_with_connect_info::<Line>();
        let (shutdown, stopped) = oneshot::channel::<()>();
        let listener = CuttableListener::new(listener, line.clone());
        let serving = tokio::spawn(async move {
            let ended = async move { stopped.await.unwrap_or_default() };
            // Serving only ends by the shutdown: `axum::serve` deals with the errors of single connections.
            let _ = axum::serve(listener, service).with_graceful_shutdown(ended).await;
        });
        Ok(Self { state, line, shutdown: Some(shutdown), serving: Some(serving) })
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        self.state.url.clone()
    }

    pub fn calendar_api_url(&self) -> String {
        self.state.calendar_api_url()
    }

    pub fn oauth_token_url(&self) -> String {
        format!("{}/token", self.state.url)
    }

    pub fn consent_url(&self) -> String {
        format!("{}{}", self.state.url, consent::PATH)
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
        self.state.lock().close_channels();
    }
}

impl Drop for FakeGoogle {
    fn drop(&mut self) {
        self.close();
    }
}
