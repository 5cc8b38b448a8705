//! A Supabase project on this machine: gateway, REST, Auth, PostgreSQL and Edge Functions. It knows no calendar and no
//! app: both are in the functions and migrations that it is given, as is the function that cron calls.
//!
//! Everything listens on the loopback interface, keeps its files in temporary directories and ends with its
//! owner.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "a development program: it reads the clock and the environment, and prints what its processes print"
)]

mod caller;
mod cron;
mod edge_function;
pub mod extensions;
mod forward;
mod gateway;
mod imports;
mod keys;
mod lite;
mod npm_tools;
mod output;
pub mod postgres;
pub mod postgrest;
mod process;
pub mod schema;
mod self_hosted;
mod statements;
mod supabase;
mod users;

pub use checkout::repository;
pub use cron::Cron;
pub use gateway::Front;
pub use keys::{ApiKeys, Role};
pub use npm_tools::{Deno, deno};
pub use self_hosted::SelfHosted;
pub use supabase::{Backend, Config, Entrance, Functions, Keys, Supabase};
