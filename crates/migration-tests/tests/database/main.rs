//! The migration from outside, on real PostgreSQL: what it makes of an empty project and of a live table, who may
//! do what, what its triggers keep and tell, what its views say, and which requests its indexes serve.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test a panic is the report, and a deadline needs the clock"
)]

mod catalog;
mod events;
mod farewells;
mod first_edition;
mod fresh_project;
mod health;
mod indexes;
mod live_table;
mod obstacles;
mod platform;
mod project;
mod rights;
mod schedule;
mod status_view;
mod trigger;
