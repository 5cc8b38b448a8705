//! The harness of the tests that play with a whole stack: a project as its users, its backend, Google and an operator
//! see it, from outside. The tests of the shipped functions are beside it, in `tests/`; those of the doctor and of a
//! whole deployment share it.
//!
//! What goes wrong here is the test's failure, so that it panics where it happens. What a test may have broken on
//! purpose, the database and the functions, returns a `Result`.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test a panic is the report, and a deadline needs the clock"
)]

mod answer;
mod caller;
mod connection;
mod function;
mod google;
mod patience;
mod program;
mod project;
mod recalculate;

pub use answer::{Answer, assert_error_shape};
pub use caller::{Caller, User};
pub use connection::{Connection, is_epoch, time};
pub use function::{FUNCTIONS, RECEIVE, REFRESH, SETUP};
pub use google::Channel;
pub use patience::{until, within};
pub use program::{command, node, package_in, typed};
pub use project::Project;
pub use recalculate::Run;
