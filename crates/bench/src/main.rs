//! Behind `scripts/bench`: the receiver beside its peers, with the same database, in interleaved rounds.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "a program that prints, and needs the clock for what it measures"
)]

mod check;
mod contender;
mod gateway;
mod measure;
mod report;
mod wire;
mod world;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use local_supabase::{Deno, deno};
use tempfile::TempDir;

use crate::contender::contenders;
use crate::measure::{Amount, measure};
use crate::report::{Progress, Report};
use crate::world::World;

/// Measures the receiver of Google's notifications beside three peers: bare (one request to the database, then the
/// answer), TypeScript (the same protocol on supabase-js) and googleapis (that with Google's own client). On both Denos,
/// with PostgreSQL and PostgREST, in interleaved rounds; prints medians and ratios as Markdown. Ratios of one run can be
/// compared, times on different machines cannot.
#[derive(Parser)]
#[command(name = "scripts/bench", bin_name = "scripts/bench")]
struct Options {
    /// Few rounds, under a minute: shows that everything works, and no more.
    #[arg(long)]
    quick: bool,
    /// Print every sample, as JSON.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<()> {
    let directory = TempDir::new()?;
    let contenders = contenders(directory.path()).await?;
    let amount = if options.quick { Amount::QUICK } else { Amount::FULL };
    let denos = [Deno::Floor, Deno::Newest];
    let mut progress = Progress { done: 0, steps: denos.len() * amount.steps(contenders.len()) };
    let mut report = Report::default();
    let world = World::start().await?;
    for version in denos {
        let name = version_of(version)?;
        measure(&world, &contenders, (version, &name), &amount, &mut report, &mut progress).await?;
    }
    progress.end();
    world.stop().await;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}", report.markdown());
    }
    Ok(())
}

/// "2.1.4"
fn version_of(version: Deno) -> Result<String> {
    let output = std::process::Command::new(deno(version)?).arg("--version").env("NO_COLOR", "1").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().nth(1).map(str::to_owned).context("Deno does not tell its version")
}
