//! The protocol against a world of one process, every effect failing in turn.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod receive;
mod renew;
mod run;
mod world;
