//! Every target over its corpus, and over mutations of it that a seed each decides.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::thread;

use fuzz::{TARGETS, Target, input, seeds};

const SEEDS: u64 = 2000;

fn play(target: &Target, name: &str, data: &[u8]) {
    if catch_unwind(|| (target.run)(data)).is_err() {
        panic!("{name}: \"{}\"", data.escape_ascii());
    }
}

#[test]
fn every_file_of_the_corpus_keeps_every_promise() {
    for target in TARGETS {
        for seed in seeds(target.name).unwrap() {
            play(target, &format!("crates/fuzz/corpus/{}/{}", target.name, seed.name), &seed.data);
        }
    }
}

#[test]
fn mutations_of_the_corpus_keep_every_promise() {
    thread::scope(|scope| {
        for target in TARGETS {
            scope.spawn(move || {
                let corpus = seeds(target.name).unwrap();
                for seed in 0..SEEDS {
                    let name = format!("cargo run -p fuzz -- {} --seed {seed}", target.name);
                    play(target, &name, &input(&corpus, seed));
                }
            });
        }
    });
}

#[test]
fn a_seed_decides_an_input() {
    for target in TARGETS {
        let corpus = seeds(target.name).unwrap();
        let inputs: Vec<_> = (0..100).map(|seed| input(&corpus, seed)).collect();
        assert!((0..100).zip(&inputs).all(|(seed, data)| input(&corpus, seed) == *data));
        assert!(inputs.iter().collect::<BTreeSet<_>>().len() > 80, "{}", target.name);
    }
}

#[test]
fn every_target_has_a_corpus_and_a_program_for_libfuzzer_and_nothing_else_has() {
    let names: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    // Cargo runs tests in the directory of their package.
    let directory = Path::new(".");
    let listed = |folder: &str| -> BTreeSet<String> {
        let files = directory.join(folder).read_dir().unwrap().map(|file| file.unwrap().path());
        files.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed("corpus"), names);
    assert_eq!(listed("fuzz_targets"), names);
    let manifest = fs::read_to_string(directory.join("Cargo.toml")).unwrap();
    for name in names {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
}
