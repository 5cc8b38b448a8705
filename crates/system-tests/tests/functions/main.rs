//! The three shipped functions from outside: the `index.ts` files under `deno serve`, judged by HTTP and SQL.
//!
//! Every trial runs on the newest Deno with the current keys, and on the oldest one that counts with the legacy
//! keys. A stack starts when the first trial needs it. Trials bring their own connections and run side by side;
//! those that act on everybody's rows, or stop a part of the stack, have it to themselves.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test a panic is the report, and a deadline needs the clock"
)]

mod backdrop;
mod bounds;
mod browsers;
mod callers;
mod case;
mod configuration;
mod costs;
mod crashes;
mod hostile;
mod looks;
mod matrix;
mod moment;
mod notification;
mod receive;
mod refresh;
mod refusals;
mod renew;
mod run;
mod scene;
mod secrets;
mod setup;
mod shared_stack;
mod standalone;
mod sweep;
mod table;
mod tap;
mod token;
mod wire;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};

use crate::case::Case;
use crate::shared_stack::{KINDS, SharedStacks};

/// Trials mostly wait, so more of them run at once than there are processors.
const AT_ONCE: usize = 20;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let stacks = Arc::new(SharedStacks::default());
    let runtime = Arc::new(tokio::runtime::Runtime::new().expect("a runtime"));

    // Slow ones first, and those that need a stack to themselves last: they wait for all before them.
    let mut cases = [
        run::cases(),
        setup::cases(),
        renew::cases(),
        bounds::cases(),
        refusals::cases(),
        receive::cases(),
        hostile::cases(),
        refresh::cases(),
        callers::cases(),
        browsers::cases(),
        configuration::cases(),
        sweep::cases(),
        looks::cases(),
        matrix::cases(),
        crashes::cases(),
        costs::cases(),
    ]
    .concat();
    cases.sort_by_key(Case::is_alone);

    // Each trial that is still to be finished holds one of these; those filtered out drop theirs at once.
    let unfinished = Arc::new(());
    let mut trials = Vec::new();
    for (case, (index, kind)) in
        cases.into_iter().flat_map(|case| KINDS.iter().enumerate().map(move |kind| (case, kind)))
    {
        let (stacks, runtime, unfinished) = (stacks.clone(), runtime.clone(), unfinished.clone());
        trials.push(Trial::test(format!("{}::{}", case.name(), kind.name), move || {
            let outcome = runtime.block_on(async { stacks.get(index).await?.play(case).await });
            drop(unfinished);
            outcome
        }));
    }
    for (index, kind) in KINDS.iter().enumerate() {
        let (stacks, runtime, unfinished) = (stacks.clone(), runtime.clone(), Arc::downgrade(&unfinished));
        trials.push(Trial::test(format!("{}::{}", secrets::NAME, kind.name), move || {
            runtime.block_on(async { secrets::check(stacks.get(index).await?, unfinished).await })
        }));
    }
    drop(unfinished);

    let conclusion = libtest_mimic::run(&arguments, trials);
    runtime.block_on(stacks.stop());
    conclusion.exit_code()
}
