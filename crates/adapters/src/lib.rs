//! The protocol's ports as HTTP: what is asked of PostgREST, Google and Supabase, and how their answers read.
//!
//! Requests and responses are plain data, built and parsed by pure functions. Sending one is the shell's business,
//! behind [`http::Http`].

pub mod address;
pub mod configuration;
pub mod database;
pub mod deployment;
pub mod google;
pub mod http;
pub mod json;
pub mod look;
pub mod refusal;
pub mod supabase;
pub mod timestamp;
mod verdict;
