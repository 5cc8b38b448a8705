//! The protocol against a world of one process, every effect failing in turn; its columns against the migrations.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod due_look;
mod farewell;
mod look;
mod migrations;
mod receive;
mod renew;
mod run;
mod sweep;
mod world;
