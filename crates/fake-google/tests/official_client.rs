//! Google's own client library for Node.js finds nothing missing.

#![allow(clippy::disallowed_methods, reason = "the environment says where npm packages are")]

use fake_google::{Config, FakeGoogle};
use tokio::process::Command;

#[tokio::test]
async fn the_official_npm_client_works_with_the_fake() {
    // Cargo runs tests in the directory of their package.
    let here = std::env::current_dir().unwrap();
    let modules = std::env::var_os("NODE_MODULES")
        .map_or_else(|| here.join("../../scripts/node_modules"), |modules| modules.into());
    let package = modules.join("@googleapis/calendar/package.json");
    assert!(package.is_file(), "{} is missing: run `npm ci` in scripts/", package.display());

    let google = FakeGoogle::start(Config::default()).await.unwrap();
    let output = Command::new("node")
        .arg(here.join("tests/official_client.mjs"))
        .env("NODE_MODULES", modules)
        .env("FAKE_GOOGLE_URL", google.url())
        .output()
        .await
        .expect("node must be installed (version 20 or newer)");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.ends_with("done\n"), "the script ended early: {told}");
}
