//! Provokes what goes wrong with such projects, and reads what the doctor says of it.
//!
//! The trials of a world share its stack and run one after the other; each begins with a project that is well.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test a panic is the report, and a deadline needs the clock"
)]

mod case;
mod database;
mod deployment;
mod detour;
mod google;
mod healthy;
mod operation;
mod repair;
mod usage;
mod world;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use local_supabase::Backend;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

use crate::case::Own;
use crate::world::World;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let runtime = Arc::new(Runtime::new().unwrap());
    // Started when the first trial needs it.
    let world: Arc<Mutex<Option<World>>> = Arc::default();
    let cases = [
        healthy::cases(),
        deployment::cases(),
        google::cases(),
        operation::cases(),
        database::cases(),
        repair::cases(),
        usage::cases(),
    ];
    let mut trials: Vec<Trial> = cases
        .concat()
        .into_iter()
        .map(|(name, case)| {
            let (runtime, world) = (runtime.clone(), world.clone());
            Trial::test(name, move || {
                runtime.block_on(async {
                    let mut world = world.lock().await;
                    if world.is_none() {
                        *world = Some(World::on_postgres().await);
                    }
                    let world = world.as_mut().unwrap();
                    world.reset().await;
                    case(world).await;
                });
                Ok(())
            })
        })
        .collect();
    let own: [Own; 5] = [
        ("what_each_function_lacks_is_told_by_its_own_line", || Box::pin(deployment::spoilt_functions())),
        ("functions_with_a_key_of_yesterday_are_told", || Box::pin(database::stale_key())),
        ("the_local_stack_is_well_on_lite", || Box::pin(healthy::local_stack(Backend::Lite))),
        ("the_local_stack_is_well_on_postgresql", || Box::pin(healthy::local_stack(Backend::Postgrest))),
        ("a_backend_that_hides_its_types_is_judged_by_its_views", || Box::pin(healthy::on_lite())),
    ];
    trials.extend(own.map(|(name, case)| {
        let runtime = runtime.clone();
        Trial::test(name, move || {
            runtime.block_on(case());
            Ok(())
        })
    }));
    let conclusion = libtest_mimic::run(&arguments, trials);
    runtime.block_on(async {
        if let Some(world) = world.lock().await.take() {
            world.stack.stop().await;
        }
    });
    conclusion.exit_code()
}
