//! The fake Google, from outside, by HTTP.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "the helpers of native tests, where a panic is a failure"
)]

mod accounts;
mod channels;
mod consent;
mod control;
mod deliveries;
mod events;
mod faults;
mod receiver;
mod world;
