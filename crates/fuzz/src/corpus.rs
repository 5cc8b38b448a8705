//! The inputs of a target: files written by hand, and what a seed makes of them.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;

use crate::mutator::mutate;

/// An input and what it is called.
pub struct Input {
    pub name: String,
    pub data: Vec<u8>,
}

/// The files of `corpus/<target>`, by name.
pub fn seeds(target: &str) -> Result<Vec<Input>> {
    let directory = package()?.join("corpus").join(target);
    let files = directory.read_dir().with_context(|| format!("no corpus in {}", directory.display()))?;
    let mut seeds = Vec::new();
    for file in files {
        let path = file?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        seeds.push(Input { name, data: fs::read(&path)? });
    }
    ensure!(!seeds.is_empty(), "{} is empty", directory.display());
    seeds.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(seeds)
}

/// Where Cargo says that this package is, as it runs: a checkout that was copied with what it had built has its own.
fn package() -> Result<PathBuf> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").context("run it by `cargo run -p fuzz`")?;
    Ok(package.into())
}

/// The input that `seed` makes of a corpus.
pub fn input(corpus: &[Input], seed: u64) -> Vec<u8> {
    let data: Vec<Vec<u8>> = corpus.iter().map(|input| input.data.clone()).collect();
    mutate(&mut Rng::with_seed(seed), &data)
}
