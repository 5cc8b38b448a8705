//! `cargo run -p fuzz`: plays inputs to a target.

#![allow(clippy::disallowed_macros, reason = "a program for the terminal")]

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use fuzz::{TARGETS, Target, input, seeds};

/// Plays hostile inputs to what parses them: the corpus of a target, one mutation of it for every seed, or a file. The
/// first promise that is broken ends it with a panic; the line before tells the input and how to replay it.
#[derive(Parser)]
struct Arguments {
    /// A target of crates/fuzz/corpus; all of them without one.
    target: Option<String>,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// Plays this file instead.
    #[arg(long, requires = "target")]
    input: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let is_chosen = |target: &&Target| arguments.target.as_deref().is_none_or(|name| name == target.name);
    let targets: Vec<&Target> = TARGETS.iter().filter(is_chosen).collect();
    let names = || TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    anyhow::ensure!(!targets.is_empty(), "no such target; there are {}", names());
    for target in targets {
        if let Some(path) = &arguments.input {
            let data = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            play(target, &path.display().to_string(), &data);
            continue;
        }
        let corpus = seeds(target.name)?;
        for seed in &corpus {
            play(target, &format!("crates/fuzz/corpus/{}/{}", target.name, seed.name), &seed.data);
        }
        for seed in arguments.seed..arguments.seed.saturating_add(arguments.runs) {
            let data = input(&corpus, seed);
            play(target, &format!("cargo run -p fuzz -- {} --seed {seed}", target.name), &data);
        }
        println!(
            "{}: {} files and {} seeds from {} on",
            target.name,
            corpus.len(),
            arguments.runs,
            arguments.seed
        );
    }
    Ok(())
}

/// Tells of an input that breaks something, even if it breaks this program.
fn play(target: &Target, name: &str, data: &[u8]) {
    let played = std::panic::catch_unwind(|| (target.run)(data));
    if let Err(panic) = played {
        eprintln!("{name}: {}", data.escape_ascii());
        std::panic::resume_unwind(panic);
    }
}
