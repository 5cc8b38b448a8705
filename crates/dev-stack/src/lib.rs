//! Behind `scripts/dev`: a local Supabase with the functions, the fake Google beside it, and the sample app around
//! them.

#![allow(clippy::disallowed_methods, reason = "a development program: it reads the environment")]

pub mod project;
mod shipped;
mod stack;

pub use shipped::shipped_functions;
pub use stack::{Config, Stack};
