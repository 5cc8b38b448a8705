//! What `scripts/install` and `scripts/deploy` do to projects that the real Supabase CLI made, and online.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

mod cli;
mod database;
mod deno_project;
mod deployment;
mod edited_project;
mod env_files;
mod fresh_project;
mod management_api;
mod older_installation;
mod own_functions;
mod sample;
mod sandbox;
mod served;
mod uninstallation;
mod whole_deployment;
