//! The functions of this checkout, never older than their sources.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use local_supabase::repository;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// Where they are, once it is certain that their module is what its sources make; a module that is not is built.
pub async fn shipped_functions() -> Result<PathBuf> {
    static BUILT: OnceCell<()> = OnceCell::const_new();
    BUILT.get_or_try_init(build).await?;
    Ok(shipped_directory())
}

pub(crate) fn shipped_directory() -> PathBuf {
    repository().join("supabase/functions")
}

async fn build() -> Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(repository())
        .args(["run", "--quiet", "--package", "build-wasm", "--"])
        .args(["--out", "supabase/functions/_shared/wasm"]);
    let built = cargo.output().await.context("cannot start cargo")?;
    ensure!(
        built.status.success(),
        "the functions' module is not built: {}",
        String::from_utf8_lossy(&built.stderr)
    );
    Ok(())
}
