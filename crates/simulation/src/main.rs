//! Plays seeded histories on every core; on a failure, prints the seed, the promise and the shortest trace found.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "prints, and measures how long it takes"
)]

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use mimalloc::MiMalloc;
use simulation::{Failure, Fault, Faults, Mutation, Promise, Settings, play, shrink, trace};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Plays seeded histories of the protocol under faults and checks what it promises.
///
/// A history that breaks a promise is shortened and printed with the command that replays it; the exit code is 1.
#[derive(Parser)]
struct Arguments {
    /// How many histories, of consecutive seeds.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Plays the history of this seed alone and prints all that happens in it.
    #[arg(long)]
    seed: Option<u64>,
    /// The first of the seeds.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Plays for so many minutes, however many histories that are.
    #[arg(long)]
    minutes: Option<u64>,
    /// Plays with a deliberate bug; `list` names them all.
    #[arg(long)]
    mutation: Option<String>,
    /// Kinds of faults to leave out, separated by commas.
    #[arg(long, value_delimiter = ',')]
    without: Vec<Fault>,
    /// At most so many connections in a history.
    #[arg(long)]
    connections: Option<usize>,
    /// Faults end after so many virtual minutes at the latest.
    #[arg(long)]
    fault_minutes: Option<u32>,
    /// Also judges what the protocol is known not to see: a holder that lost its lease alive and then died.
    #[arg(long)]
    known_limit: bool,
    /// Goes on after a failure, and tells how many histories break which promise instead of telling one.
    #[arg(long)]
    keep_going: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if arguments.mutation.as_deref() == Some("list") {
        for mutation in Mutation::ALL {
            println!("{:30}{}", mutation.name(), mutation.about().trim());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mutation = arguments.mutation.as_deref().map(str::parse).transpose();
    let settings = Settings {
        mutation: mutation.map_err(anyhow::Error::msg)?,
        without: Faults::from_iter(arguments.without.iter().copied()),
        connections: arguments.connections,
        minutes: arguments.fault_minutes,
        known_limit: arguments.known_limit,
    };
    match arguments.seed {
        Some(seed) => Ok(replay(seed, &settings)),
        None => Ok(search(&arguments, &settings)),
    }
}

fn replay(seed: u64, settings: &Settings) -> ExitCode {
    for line in trace(seed, settings) {
        println!("{line}");
    }
    match play(seed, settings) {
        Ok(()) => {
            println!("seed {seed} keeps every promise");
            ExitCode::SUCCESS
        }
        Err(violation) => {
            println!("seed {seed} breaks {violation}");
            ExitCode::FAILURE
        }
    }
}

/// The first seed that breaks a promise, and how many do.
type Failed = BTreeMap<Promise, (u64, u64)>;

fn search(arguments: &Arguments, settings: &Settings) -> ExitCode {
    let started_at = Instant::now();
    let time = arguments.minutes.map(|minutes| Duration::from_secs(60 * minutes));
    let last = if time.is_some() { u64::MAX } else { arguments.from.saturating_add(arguments.seeds) };
    let next = AtomicU64::new(arguments.from);
    let failed: Mutex<Failed> = Mutex::default();
    let lock = || failed.lock().unwrap_or_else(PoisonError::into_inner);
    let over = || time.is_some_and(|time| started_at.elapsed() >= time);
    let work = || {
        while !over() && (arguments.keep_going || lock().is_empty()) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= last {
                return;
            }
            if let Err(violation) = play(seed, settings) {
                let mut failed = lock();
                let (first, count) = failed.entry(violation.promise).or_insert((seed, 0));
                *first = seed.min(*first);
                *count += 1;
            }
        }
    };
    thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(2, usize::from);
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
            let played = next.load(Ordering::Relaxed).min(last) - arguments.from;
            show_progress(played, arguments.seeds, time, started_at.elapsed());
            thread::park_timeout(Duration::from_millis(100));
        }
    });
    end_progress();
    let played = next.load(Ordering::Relaxed).min(last) - arguments.from;
    let seconds = started_at.elapsed().as_secs_f64();
    let failed = std::mem::take(&mut *lock());
    let Some(seed) = failed.values().map(|(first, _)| *first).min() else {
        println!("{played} histories in {seconds:.1} s: every promise was kept");
        return ExitCode::SUCCESS;
    };
    println!("{played} histories in {seconds:.1} s: a promise was broken");
    for (promise, (first, count)) in &failed {
        println!("  {promise:?}: {count}, first by seed {first}");
    }
    if !arguments.keep_going
        && let Some(failure) = shrink(seed, settings)
    {
        show(&failure);
    }
    ExitCode::FAILURE
}

fn show(failure: &Failure) {
    let Failure { seed, settings, violation, trace } = failure;
    for line in trace {
        println!("{line}");
    }
    println!("\n{violation}");
    let mut command = format!("scripts/simulate --seed {seed}");
    if let Some(connections) = settings.connections {
        command += &format!(" --connections {connections}");
    }
    if let Some(minutes) = settings.minutes {
        command += &format!(" --fault-minutes {minutes}");
    }
    let without: Vec<_> = settings.without.names().collect();
    if !without.is_empty() {
        command += &format!(" --without {}", without.join(","));
    }
    if let Some(mutation) = settings.mutation {
        command += &format!(" --mutation {}", mutation.name());
    }
    if settings.known_limit {
        command += " --known-limit";
    }
    println!("shortest history found; play it again: {command}");
}

fn show_progress(played: u64, seeds: u64, time: Option<Duration>, elapsed: Duration) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    const WIDTH: usize = 40;
    #[expect(clippy::cast_precision_loss, reason = "a share of a bar")]
    let share = match time {
        Some(time) => elapsed.as_secs_f64() / time.as_secs_f64(),
        None => played as f64 / seeds.max(1) as f64,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the width")]
    let done = ((share * WIDTH as f64) as usize).min(WIDTH);
    let bar = "#".repeat(done) + &"-".repeat(WIDTH - done);
    eprint!("\r[{bar}] {played} histories, {} s", elapsed.as_secs());
    let _ = std::io::stderr().flush();
}

fn end_progress() {
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
}
