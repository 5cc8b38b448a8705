//! The real PostgREST, in front of a PostgreSQL database.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::keys::ApiKeys;
use crate::npm_tools;
use crate::output::Output;
use crate::postgres::Cluster;
use crate::process::{Process, free_port};

const READY_WITHIN: Duration = Duration::from_secs(30);

pub struct Postgrest {
    server: Option<Process>,
    database_url: String,
    jwt_secret: String,
    port: u16,
    admin_port: u16,
    output: Output,
}

impl Postgrest {
    pub async fn start(cluster: &Cluster, keys: &ApiKeys) -> Result<Self> {
        let mut postgrest = Self {
            server: None,
            database_url: cluster.url_as("authenticator"),
            jwt_secret: keys.jwt_secret.clone(),
            port: free_port().await?,
            admin_port: free_port().await?,
            output: Output::kept("postgrest"),
        };
        postgrest.restart().await?;
        Ok(postgrest)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of PostgREST itself, which knows no API keys.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    /// Starts PostgREST, after ending the one that runs, on the same port. It reads the schema anew.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await;
        let mut command = Command::new(npm_tools::postgrest()?);
        command
            .env_clear()
            .env("PGRST_DB_URI", &self.database_url)
            .env("PGRST_DB_SCHEMAS", "public")
            .env("PGRST_DB_EXTRA_SEARCH_PATH", "public,extensions")
            .env("PGRST_DB_ANON_ROLE", "anon")
            .env("PGRST_DB_CHANNEL_ENABLED", "false")
            .env("PGRST_JWT_SECRET", &self.jwt_secret)
            .env("PGRST_SERVER_HOST", "127.0.0.1")
            .env("PGRST_SERVER_PORT", self.port.to_string())
            .env("PGRST_ADMIN_SERVER_PORT", self.admin_port.to_string());
        let mut server = Process::spawn(command, &self.output)?;
        let ready = format!("http://127.0.0.1:{}/ready", self.admin_port);
        server
            .wait_until(READY_WITHIN, || async {
                reqwest::get(&ready).await.is_ok_and(|answer| answer.status().is_success())
            })
            .await
            .context("PostgREST did not start")?;
        self.server = Some(server);
        Ok(())
    }
}
