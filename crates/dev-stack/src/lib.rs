//! Behind `scripts/dev`: a local Supabase with the functions, the fake Google beside it, and the sample app around
//! them.

mod stack;

pub use stack::{Config, Stack};
