//! Hostile input for everything that the system parses: the headers of a notification, the bodies of requests, every
//! answer of PostgREST, Google, Auth and `recalculate-schedule`, and the environment.
//!
//! A [`Target`] takes any bytes, hands them to the shipped code as the runtime would, and asserts what the
//! documentation says of it: an oracle written from that, and not from the code, says what must be accepted. JSON's
//! grammar alone is taken from `serde_json`. Nothing panics, nothing refused is asked of anybody, and no secret of an
//! input comes back in an answer, a log line or an address.
//!
//! * `cargo test -p fuzz` plays `corpus/` and some thousand mutations of it; a failure names the command that
//!   replays it.
//! * `cargo run -p fuzz -- notification --seed 1000000 --runs 1000000` plays others.
//! * libFuzzer, guided by coverage, needs nightly and `cargo install cargo-fuzz`; what it finds goes to the first of
//!   the directories:
//!
//!   ```text
//!   mkdir -p target/fuzz/notification
//!   cargo +nightly fuzz run --fuzz-dir crates/fuzz --features libfuzzer notification \
//!       target/fuzz/notification crates/fuzz/corpus/notification
//!   ```

mod corpus;
mod mutator;
mod oracle;
pub mod project;
pub mod targets;

pub use corpus::{Input, input, seeds};
pub use mutator::mutate;
pub use targets::{TARGETS, Target};
