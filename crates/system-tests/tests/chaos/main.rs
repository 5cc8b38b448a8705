//! Chaos on the real stack: everything that can break does, one after the other, under load and in real time. When it
//! has settled, the promises are checked in what the database, the fake Google and the sample app's
//! `recalculate-schedule` remember of it.
//!
//! What breaks, when and for whom is decided by one seed, which is printed; `CHAOS_SEED` sets it. Timing is the
//! machine's own, so that a seed repeats the decisions and not the history.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test a panic is the report; this one takes minutes and says how far it is"
)]

mod damage;
mod dice;
mod history;
mod judgement;
mod load;
mod objections;
mod phases;
mod population;
mod progress;
mod remember;
mod scissors;
mod settle;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use dev_stack::{Config, Stack};
use libtest_mimic::{Arguments, Trial};
use local_supabase::Backend;
use serde_json::json;
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::damage::damage;
use crate::dice::Dice;
use crate::history::History;
use crate::judgement::Violation;
use crate::load::{Cron, Load};
use crate::phases::{KILLS, Phases};
use crate::population::{Habit, Inhabitant, Population};
use crate::progress::Progress;
use crate::scissors::Scissors;

const LEASE_SECONDS: &str = "60";
/// Channels live so long while things break, so that they expire and are renewed all the while.
const CHANNEL_SECONDS: u32 = 80;
/// What the kills must have interrupted, or nothing was tested.
const LEAST_DAMAGE: usize = 25;
/// Of an app that writes to the calendar in every run, looks settle what its own writes ask for.
const LEAST_SETTLED: usize = 25;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = vec![
        Trial::test("every_broken_promise_is_noticed", || {
            Ok(objections::every_broken_promise_is_noticed().map_err(|error| format!("{error:#}"))?)
        }),
        Trial::test("nothing_is_lost_whatever_breaks", || {
            Ok(Runtime::new()?.block_on(nothing_is_lost()).map_err(|error| format!("{error:#}"))?)
        }),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

async fn nothing_is_lost() -> Result<()> {
    let seed = match std::env::var("CHAOS_SEED") {
        Ok(seed) => seed.parse().context("CHAOS_SEED is not a number")?,
        Err(_) => Uuid::new_v4().as_u64_pair().0,
    };
    println!("CHAOS_SEED={seed}");
    break_everything(&Dice::new(seed)).await.with_context(|| format!("CHAOS_SEED={seed}"))
}

async fn break_everything(dice: &Dice) -> Result<()> {
    let (scissors, listener) = Scissors::listen(dice.fork()).await?;
    let config = Config {
        backend: Backend::Postgrest,
        extra_env: vec![
            ("SUPABASE_URL".to_owned(), scissors.url()),
            ("RECALCULATE_SCHEDULE_LEASE_SECONDS".to_owned(), LEASE_SECONDS.to_owned()),
        ],
        ..Config::default()
    };
    let mut stack = Stack::start(config, |_| {}).await?;
    scissors.connect(listener, stack.url());
    let habits = [vec![Habit::Busy; 20], vec![Habit::Fickle; 6], vec![Habit::Quiet; 3]].concat();
    let population = Population::settle_in(&stack, &habits).await?;
    population.google_control("ttl", json!({ "cap_seconds": CHANNEL_SECONDS })).await;

    let cron = Cron::start(&population);
    let load = Load::start(&population, dice);
    let progress = Progress::start(&population, &load.changes);
    let mut phases =
        Phases { stack: &mut stack, population: &population, scissors: &scissors, dice, progress: &progress };
    phases.kill_functions().await;
    let by_kills = damage(&history::collect(&population, phases.stack).await?);
    println!("{KILLS} kills: {by_kills}");
    ensure!(by_kills.total() >= LEAST_DAMAGE, "the kills have hardly met any work: {by_kills}");
    phases.break_database().await?;
    phases.break_google().await?;
    phases.cut_connections().await?;
    drop(load);

    population.forget_behaviours().await;
    population.google_control("ttl", json!({ "cap_seconds": 30 * 86_400 })).await;
    for (number, inhabitant) in population.of_habit(Habit::Fickle).into_iter().enumerate() {
        let assignments = format!("sync_enabled = {}, is_active = {}", number != 0, number != 1);
        population.set(&inhabitant.connection, &assignments).await;
    }
    let mut violations = settle::settle(&population, &cron, &progress).await?;
    violations.extend(history::collect(&population, &stack).await?.iter().flat_map(judgement::judge));

    progress.phase("every channel speaks once more".to_owned());
    for inhabitant in &population.inhabitants {
        load::change_once(&population, inhabitant, dice).await?;
    }
    violations.extend(settle::settle(&population, &cron, &progress).await?);
    drop((cron, progress));
    let histories = history::collect(&population, &stack).await?;
    // Nobody is quiet any more.
    let judge = |history: &History| {
        let inhabitant = Inhabitant { habit: Habit::Busy, ..history.inhabitant.clone() };
        let history = History { inhabitant, ..history.clone() };
        [judgement::judge(&history), judgement::judge_channels(&history)].concat()
    };
    violations.extend(histories.iter().flat_map(judge));

    let panics: Vec<String> = stack
        .functions()
        .flat_map(|name| stack.function_log(name).lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| line.contains("panicked") || line.contains("unreadable_row"))
        .collect();
    stack.stop().await;
    let damage = damage(&histories);
    println!("all in all: {damage}, {} answers lost", scissors.cuts());
    report(&violations, &histories)?;
    ensure!(damage.settled >= LEAST_SETTLED, "hardly any look settled a request");
    ensure!(panics.is_empty(), "the functions log:\n{}", panics.join("\n"));
    Ok(())
}

fn report(violations: &[Violation], histories: &[History]) -> Result<()> {
    let Some(first) = violations.first() else { return Ok(()) };
    let history = histories.iter().find(|history| history.inhabitant.connection.id == first.connection);
    println!(
        "the history of connection {} ({:?}):",
        first.connection,
        history.map(|h| &h.inhabitant.connection.email)
    );
    for line in history.into_iter().flat_map(History::lines) {
        println!("  {line}");
    }
    let all: Vec<String> = violations.iter().map(ToString::to_string).collect();
    anyhow::bail!("{} promises are broken:\n{}", all.len(), all.join("\n"))
}
