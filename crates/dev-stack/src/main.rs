//! Starts the local Supabase and keeps it until Ctrl-C, or until the demo is over.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "a program for the terminal: it prints, and tells how long starting took"
)]

mod demo;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::Parser;
use dev_stack::{Config, Stack, project};
use local_supabase::{Backend, Deno, Keys};
use sample_app::HostWrites;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

/// A local Supabase with the three functions, a fake Google, the sample app, and a page that shows
/// them at work.
#[derive(Parser)]
#[command(
    name = "scripts/dev",
    bin_name = "scripts/dev",
    after_help = "Examples:
  scripts/dev                          REST and Auth on PGlite, at http://127.0.0.1:54321
  scripts/dev --backend postgrest      the same on PostgreSQL and the real PostgREST
  scripts/dev --port 0 --deno floor    on any free port, with the oldest Deno that counts
  scripts/dev --host-writes recreate   with an app that writes to the calendar in every run
  scripts/dev --demo                   the whole job once, without a person
  scripts/dev --project ../my-app      your project, in which scripts/install was used"
)]
struct Arguments {
    /// Play the story of two users and their calendars, then stop; the exit code tells whether all of it held
    #[arg(long)]
    demo: bool,
    /// What serves REST
    #[arg(long, value_enum, default_value_t)]
    backend: Backend,
    /// The gateway's port; 0 = any that is free, as is the default for the demo
    #[arg(long, default_value_t = 54321, default_value_if("demo", "true", "0"))]
    port: u16,
    /// The Deno that runs the functions
    #[arg(long, value_enum, default_value_t)]
    deno: Deno,
    /// The keys that the functions find in their environment: SUPABASE_SECRET_KEYS, SUPABASE_SERVICE_ROLE_KEY or both
    #[arg(long, value_enum, default_value_t = Keys::Both)]
    keys: Keys,
    /// How the app's recalculate-schedule writes its sessions into the calendar that is watched
    #[arg(long, value_enum, default_value_t, conflicts_with = "demo", value_name = "STYLE")]
    host_writes: HostWrites,
    /// Seconds between two sweeps, as by cron; 0 = none. The demo asks for its own, each at its moment
    #[arg(
        long,
        default_value_t = 60,
        default_value_if("demo", "true", "0"),
        conflicts_with = "demo",
        value_name = "SECONDS"
    )]
    sweep_every: u64,
    /// Your project: its functions and migrations run, with the variables of its supabase/functions/.env. The directory
    /// that holds supabase/; without it, this repository
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    let mut signals = Signals::new()?;
    let started = Instant::now();
    let progress = |what: &str| {
        println!("{:>7.2} s  {}", started.elapsed().as_secs_f64(), what.replace('\n', "\n           "))
    };
    let config = config(&arguments, progress)?;
    let keys = config.keys;
    let stack = tokio::select! {
        stack = Stack::start(config, &progress) => stack?,
        // Dropping what has started so far kills it.
        () = signals.next() => return if arguments.demo { Err(anyhow!("interrupted")) } else { Ok(()) },
    };
    if arguments.demo {
        let played = tokio::select! {
            played = demo::play(&stack, keys) => played,
            () = signals.next() => Err(anyhow!("interrupted")),
        };
        stop(stack, &mut signals).await;
        played?;
        println!("\nAll of it held, in {:.2} s with starting and stopping.", started.elapsed().as_secs_f64());
        return Ok(());
    }
    print_addresses(&stack);
    if let Some(hint) = project::hint(&stack, arguments.project.is_some()) {
        println!("{hint}\n");
    }
    signals.next().await;
    println!("\nstopping; Ctrl-C again to kill");
    if stop(stack, &mut signals).await {
        println!("stopped");
    }
    Ok(())
}

/// Whether everything ended in order; dropped, it is killed.
async fn stop(stack: Stack, signals: &mut Signals) -> bool {
    tokio::select! {
        () = stack.stop() => true,
        () = signals.next() => false,
    }
}

fn config(arguments: &Arguments, progress: impl Fn(&str)) -> Result<Config> {
    let project = match &arguments.project {
        Some(directory) => project::config(directory, progress)?,
        None => Config::default(),
    };
    Ok(Config {
        backend: arguments.backend,
        deno: arguments.deno,
        keys: arguments.keys,
        host_writes: arguments.host_writes,
        port: arguments.port,
        sweep_every: (arguments.sweep_every > 0).then(|| Duration::from_secs(arguments.sweep_every)),
        show_output: !arguments.demo,
        ..project
    })
}

fn print_addresses(stack: &Stack) {
    let url = stack.url();
    let mut rows = vec![
        ("Demo page", format!("{url}/")),
        ("Supabase", url.to_owned()),
        ("Functions", format!("{url}/functions/v1/<name>")),
        ("Publishable key", stack.keys().publishable.clone()),
        ("Secret key", stack.keys().secret.clone()),
        ("Legacy anon key", stack.keys().legacy_anon.clone()),
        ("Legacy service key", stack.keys().legacy_service_role.clone()),
        ("Google's consent page", stack.google().consent_url()),
        ("Google's Calendar API", stack.google().calendar_api_url()),
        ("Google's faults", format!("{}/control", stack.google().url())),
        ("Planner's faults", format!("{}/control", stack.recalculate_url())),
    ];
    if let Some(database) = stack.database_url() {
        rows.insert(2, ("PostgreSQL", database));
    }
    println!();
    for (name, value) in rows {
        println!("{name:>22}  {value}");
    }
    let variables = stack.doctor_environment().into_iter().map(|(name, value)| format!("{name}={value} "));
    println!("\nThe doctor looks at it by\n  {}scripts/doctor", variables.collect::<String>());
    println!("\nCtrl-C stops everything.\n");
}

/// The signals that mean "stop": Ctrl-C, `kill`, and the terminal being closed.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
