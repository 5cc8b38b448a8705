//! Behind `scripts/bench`: the receiver beside its peers, with the same database, in interleaved rounds.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "a program that prints, and needs the clock for what it measures"
)]

mod capacity;
mod check;
mod contender;
mod gateway;
mod measure;
mod plot;
mod profile;
mod report;
mod sweep;
mod wire;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use local_supabase::{Deno, deno};
use tempfile::TempDir;

use crate::capacity::capacity;
use crate::contender::contenders;
use crate::measure::{Amount, measure};
use crate::plot::svg;
use crate::profile::profile;
use crate::report::{Progress, Report};
use crate::sweep::sweep;
use crate::world::World;

/// Measures the receiver of Google's notifications beside three peers: bare (one request to the database, then the
/// answer), TypeScript (the same protocol on supabase-js) and googleapis (that with Google's own client). On both
/// Denos, with PostgreSQL and PostgREST, in interleaved rounds; prints medians and ratios as Markdown. Ratios of one
/// run can be compared, times on different machines cannot.
#[derive(Parser)]
#[command(name = "scripts/bench", bin_name = "scripts/bench")]
struct Options {
    /// Few rounds, under a minute: shows that everything works, and no more.
    #[arg(long)]
    quick: bool,
    /// Print every sample, as JSON.
    #[arg(long)]
    json: bool,
    /// Also draw it, into this SVG file.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Measure the receiver of another checkout beside it: a directory like supabase/functions, built.
    #[arg(long, value_name = "DIRECTORY")]
    against: Option<PathBuf>,
    /// Measure nothing: compute what so many connections ask of every part, and what gives way first.
    #[arg(long, value_name = "CONNECTIONS", num_args = 1.., conflicts_with_all = ["quick", "json", "plot"])]
    capacity: Vec<u64>,
    /// Measure nothing: write V8's profile of each receiver into this directory, and print PostgREST's own times.
    #[arg(long, value_name = "DIRECTORY", conflicts_with_all = ["quick", "json", "plot", "capacity"])]
    profile: Option<PathBuf>,
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
    if !options.capacity.is_empty() {
        let sizes: Vec<f64> = options.capacity.iter().map(|size| *size as f64).collect();
        print!("{}", capacity(&sizes));
        return Ok(());
    }
    let directory = TempDir::new()?;
    let contenders = contenders(directory.path(), options.against.as_deref()).await?;
    if let Some(directory) = options.profile {
        let mut world = World::start().await?;
        let directory = std::path::absolute(directory)?;
        print!("{}", profile(&mut world, &contenders, &directory).await?);
        world.stop().await;
        return Ok(());
    }
    let amount = if options.quick { Amount::QUICK } else { Amount::FULL };
    let denos = [Deno::Floor, Deno::Newest];
    let sizes: &[i64] = if options.quick { &[1_000, 100_000] } else { &[1_000, 100_000, 1_000_000] };
    let steps = denos.len() * amount.steps(contenders.len()) + sizes.len();
    let mut progress = Progress { done: 0, steps };
    let mut report = Report::default();
    let mut world = World::start().await?;
    for version in denos {
        let name = version_of(version)?;
        measure(&world, &contenders, (version, &name), &amount, &mut report, &mut progress).await?;
    }
    report.notes.push(sweep(&mut world, sizes, |what| progress.step(&what)).await?);
    progress.end();
    world.stop().await;
    if let Some(file) = options.plot {
        std::fs::write(&file, svg(&report)).with_context(|| file.display().to_string())?;
    }
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
