//! Builds what is shipped: the module that the Edge Functions load, the custom element, and the npm package with both
//! and the command line.

#![allow(clippy::disallowed_macros, reason = "a program that prints")]

mod element;
mod functions;
mod module;
mod package;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;

/// Builds supabase/functions/_shared/wasm from the crate `edge`, and crates/element/package from the crate `element`
#[derive(Parser)]
#[command(name = "scripts/build", bin_name = "scripts/build")]
struct Options {
    /// Build the npm package, too: crates/cli/package, with the crate `cli`
    #[arg(long, conflicts_with = "out")]
    pack: bool,
    /// Build again even where nothing changed
    #[arg(long)]
    force: bool,
    /// Build the Edge Functions' module alone, with these features of the crate `edge`: for tests
    #[arg(long, value_delimiter = ',', requires = "out")]
    features: Vec<String>,
    /// Build the Edge Functions' module alone, and write it there, relative to the repository
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<()> {
    // Not the checkout that this was built from, which may have been copied since.
    let root = &std::env::current_dir()?;
    ensure!(root.join("crates/edge").is_dir(), "{} is not the repository: use scripts/build", root.display());
    if let Some(out) = options.out {
        return functions::build(root, &root.join(out), &options.features, options.force);
    }
    functions::build(root, &root.join("supabase/functions/_shared/wasm"), &[], options.force)?;
    element::build(root, options.force)?;
    if options.pack { package::build(root, options.force) } else { Ok(()) }
}
