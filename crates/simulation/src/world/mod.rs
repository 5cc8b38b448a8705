//! The world: the protocol's own code over a database, a Google and a `recalculate-schedule` that all hang on one
//! seed. It tells what happens, and judges nothing.

mod calendar;
mod calendar_api;
mod contents;
mod cron;
mod database;
mod delivery;
mod dice;
mod executor;
mod google;
pub(crate) mod history;
mod host;
mod instance;
mod invocation;
mod isolate;
mod life;
mod mutated;
mod odds;
mod ports;
mod recalculation;
mod rest;
mod start;
mod state;
mod users;
