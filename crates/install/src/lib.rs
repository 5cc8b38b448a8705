//! Brings the functions of this repository into a Supabase project (`scripts/install`), and a project with them
//! online (`scripts/deploy`).
//!
//! An installation is planned completely before the first byte is written. What it wrote is recorded in the
//! project, with hashes, so that it can be told from what is the project's own.

pub mod commands;
mod config_toml;
mod deploy;
mod install;
mod migrations;
mod payload;
mod plan;
mod project;
mod record;
mod supabase_cli;
mod uninstall;

pub use install::install;
pub use migrations::makes_table;
pub use payload::Payload;
pub use plan::Plan;
pub use project::Project;
pub use uninstall::DROP;
