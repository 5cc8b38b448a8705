//! `fake-google`: see the library's documentation for the control API.

#![allow(clippy::disallowed_macros, reason = "prints where it listens")]

use anyhow::Context as _;
use clap::Parser;
use fake_google::{Config, FakeGoogle};

/// Google's OAuth and Calendar on a loopback port, in memory, with faults on demand.
///
/// The control API under /control is described in the documentation of the library.
#[derive(Parser)]
struct Arguments {
    /// Port to listen on; 0 takes any free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    #[arg(long, default_value_t = Config::default().client_id)]
    client_id: String,
    #[arg(long, default_value_t = Config::default().client_secret)]
    client_secret: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments { port, client_id, client_secret } = Arguments::parse();
    let google = FakeGoogle::start(Config { port, client_id, client_secret, ..Config::default() }).await?;
    println!("consent page  {}", google.consent_url());
    println!("token         {}", google.oauth_token_url());
    println!("calendar      {}", google.calendar_api_url());
    println!("control       {}/control", google.url());
    tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")?;
    google.stop().await;
    Ok(())
}
