//! Turning points in a project's life, on stacks of their own: hand-written functions are replaced, keys are rotated,
//! the project is self-hosted.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test a panic is the report, and a deadline needs the clock"
)]

mod gateway;
mod rotation;
mod schedule;
mod self_hosted;
mod upgrade;

use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::{Arguments, Trial};
use tokio::runtime::Runtime;

/// A trial, named by its function.
macro_rules! trial {
    ($module:ident::$name:ident) => {
        Trial::test(concat!(stringify!($module), "::", stringify!($name)), || {
            Ok(played($module::$name()).map_err(|error| format!("{error:#}"))?)
        })
    };
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They mostly wait for programs to start.
    arguments.test_threads.get_or_insert(4);
    let trials = vec![
        trial!(upgrade::hand_written_functions_are_replaced_without_losing_a_change),
        trial!(rotation::a_new_secret_key_replaces_the_old_one),
        trial!(rotation::the_legacy_key_is_renewed_and_then_gives_way_to_secret_keys),
        trial!(rotation::a_new_google_client_secret_heals_by_itself),
        trial!(self_hosted::all_works_where_the_router_verifies_no_jwt),
        trial!(self_hosted::where_the_router_verifies_every_jwt_the_doctor_names_its_one_switch),
        trial!(self_hosted::a_sweep_whose_run_hangs_ends_before_its_worker_does),
        trial!(self_hosted::a_sweep_that_is_killed_loses_nothing_and_the_doctor_names_the_wall_clock),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn played(trial: impl Future<Output = Result<()>>) -> Result<()> {
    Runtime::new()?.block_on(trial)
}
