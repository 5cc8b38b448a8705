//! A local Supabase around the shipped functions: gateway, REST, Auth, Deno and the fake Google.
//!
//! Everything listens on the loopback interface, keeps its files in temporary directories and ends with its
//! owner.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "a development program: it reads the clock and the environment, and prints what its processes print"
)]

mod caller;
mod connected_calendar;
mod cron;
mod edge_function;
pub mod extensions;
mod gateway;
pub mod host_app;
mod keys;
mod lite;
mod npm_tools;
mod output;
mod page;
mod plan;
pub mod postgres;
pub mod postgrest;
mod process;
mod recalculate;
mod replan;
pub mod schema;
mod services;
mod stack;

pub use keys::{ApiKeys, Role};
pub use npm_tools::{Deno, deno, repository};
pub use stack::{Backend, Config, Keys, Stack};
