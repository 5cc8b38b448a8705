//! How a connection's push channel is kept alive and every change in its calendar becomes a run of
//! `recalculate-schedule`. Plain async Rust over the small traits in [`ports`]: no I/O, no JSON, no WASM, no
//! clock and no randomness of its own, so that the same code runs in unit tests, in a simulation and in the
//! Edge Functions.
//!
//! * [`receive`] judges a notification.
//! * [`run`] calls `recalculate-schedule` for one connection, one run at a time.
//! * [`renew`] opens a channel and retires the one before it.
//! * [`due_look`] looks at a calendar without having been told of a change, as `run` does where a run may not be
//!   needed. `reading` is how both read it, [`look`] what such a reading is compared by.
//! * [`farewell`] stops the channel of a connection that was deleted.
//! * [`retire`] gives up the channel of a paused or disconnected connection, [`stop`] any at Google.
//! * [`setup`], [`refresh`] and [`sweep`] are the three ways in besides Google's.
//! * [`waiters`] has few of the requests of one instance wait for the same.
//!
//! Every step is a conditional update of one row: [`transition`] is the table of them, [`table`] what they are made
//! of. A crash may come between any two.

pub mod access;
pub mod connection;
pub mod due_look;
pub mod event;
pub mod failure;
pub mod farewell;
pub mod grant;
mod in_flight;
pub mod invocation;
pub mod look;
#[cfg(feature = "memory")]
pub mod memory;
pub mod notification;
pub mod ports;
mod reading;
pub mod recalculation;
pub mod receive;
pub mod refresh;
pub mod refusal;
mod refused;
pub mod renew;
pub mod retire;
pub mod run;
pub mod schedule;
pub mod setup;
pub mod stop;
pub mod sweep;
pub mod table;
pub mod transition;
pub mod waiters;

/// A point in time, to the microsecond that PostgreSQL keeps.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
