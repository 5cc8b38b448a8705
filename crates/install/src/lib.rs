//! Brings the functions of this repository into a Supabase project (`scripts/install`), and a project with them
//! online (`scripts/deploy`).
//!
//! An installation is planned completely before the first byte is written. What it wrote is recorded in the
//! project, with hashes, so that it can be told from what is the project's own.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "a program for the terminal: it prints, reads the environment, and tells how long a step took"
)]

mod config_toml;
pub mod deploy;
mod install;
mod migrations;
mod payload;
mod plan;
mod project;
mod record;
pub mod terminal;
mod uninstall;

pub use install::install;
pub use payload::{Payload, function_names, repository};
pub use plan::Plan;
pub use project::Project;
pub use uninstall::{DROP, uninstall};
