//! Examines a project from the terminal.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "a program for the terminal: it reads the environment, prints and asks"
)]

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use adapters::configuration::VARIABLES;
use anyhow::{Context, Result, ensure};
use chrono::Utc;
use clap::Parser;
use doctor::examine::{Examination, examine};
use doctor::fix::{self, Outcome, Repair, repairs};
use doctor::http::Http;
use doctor::redact::Redactor;
use doctor::report::Reporter;
use doctor::variables::{SECRET_KEY, SUPABASE_URL, Variables, secrets};
use env_file::EnvFile;

const DEFAULT_ENV_FILE: &str = "supabase/.env";

/// Looks at a deployed project from outside and says what is wrong with it, and what to do. Reads only, unless --fix.
#[derive(Parser)]
#[command(
    name = "scripts/doctor",
    bin_name = "scripts/doctor",
    after_help = "Keys and the Google client come from the environment, or else from supabase/.env:
  SUPABASE_SECRET_KEY (or SUPABASE_SECRET_KEYS, SUPABASE_SERVICE_ROLE_KEY), GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET;
  if the functions have them: CALENDAR_WEBHOOK_URL, RECALCULATE_SCHEDULE_URL

Exit codes: 0 all is well, 1 something is wrong, 2 wrong usage.

Examples:
  scripts/doctor --url https://abcdefghijklmnopqrst.supabase.co
  scripts/doctor --json | jq '.checks[] | select(.verdict == \"wrong\")'
  scripts/doctor --fix                 asks before every change"
)]
struct Arguments {
    /// The project's address; by default SUPABASE_URL
    #[arg(long)]
    url: Option<String>,
    /// A file of NAME=value lines; by default supabase/.env, if it is there. The environment wins over it
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Then renew broken channels, ask for failed runs again, and sweep if nothing else does; asks before each
    #[arg(long)]
    fix: bool,
    /// Do not ask
    #[arg(long, requires = "fix")]
    yes: bool,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // It quotes what it does not understand, which may be a key.
            let text = Redactor::default().redact(&error.to_string());
            if error.use_stderr() {
                eprint!("{text}");
                return ExitCode::from(2);
            }
            print!("{text}");
            return ExitCode::SUCCESS;
        }
    };
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{}", Redactor::default().redact(&format!("error: {error:#}")));
            ExitCode::from(2)
        }
    }
}

/// Whether all is well in the end. An error is one of usage.
fn run(arguments: &Arguments) -> Result<bool> {
    let asks = arguments.fix && !arguments.yes;
    ensure!(
        !(asks && arguments.json),
        "--fix asks before each change, which --json has no room for: add --yes"
    );
    ensure!(
        !asks || io::stdin().is_terminal(),
        "--fix asks before each change, and there is no terminal to ask on: add --yes"
    );
    let variables = gather_variables(arguments)?;
    let reporter = Reporter {
        redactor: Redactor::new(secrets(&variables)),
        coloured: io::stdout().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    let variables = Variables::parse(variables, Utc::now()).context("the variables cannot be understood")?;
    let url = &variables.configuration.supabase_url;

    let http = Http::new();
    let mut examination = watched(&variables, &http);
    let mut outcomes = None;
    if arguments.fix {
        if !arguments.json {
            println!("{}", reporter.text(&examination));
        }
        let made = repair(arguments, &repairs(&examination), &variables, &http, &reporter)?;
        if !made.is_empty() {
            fix::settle(&variables, &http);
            examination = watched(&variables, &http);
        }
        if !arguments.json {
            if made.is_empty() {
                println!("Nothing was changed.");
                return Ok(examination.is_well());
            }
            println!("\nAfterwards:\n");
        }
        outcomes = Some(made);
    }
    if arguments.json {
        println!("{:#}", reporter.json(url, &examination, outcomes.as_deref()));
    } else {
        print!("{}", reporter.text(&examination));
    }
    Ok(examination.is_well())
}

/// From the command line, else the environment, else the file. An empty value is none.
fn gather_variables(arguments: &Arguments) -> Result<BTreeMap<String, String>> {
    let default = Path::new(DEFAULT_ENV_FILE);
    let file = arguments.env_file.as_deref().or_else(|| default.is_file().then_some(default));
    let file = file.map(EnvFile::read).transpose()?.unwrap_or_default();
    let mut variables = file.with_environment(VARIABLES.into_iter().chain([SECRET_KEY]))?;
    if let Some(url) = &arguments.url {
        variables.set(SUPABASE_URL, url);
    }
    Ok(variables.variables().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Examines, and says so where somebody waits.
fn watched(variables: &Variables, http: &Http) -> Examination {
    let waits = io::stderr().is_terminal();
    if waits {
        eprint!("examining the project …");
    }
    let examination = examine(variables, http);
    if waits {
        eprint!("\r\u{1b}[K");
    }
    examination
}

fn repair(
    arguments: &Arguments,
    repairs: &[Repair],
    variables: &Variables,
    http: &Http,
    reporter: &Reporter,
) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    if repairs.is_empty() && !arguments.json {
        println!("There is nothing that can be put right from here.");
    }
    for &repair in repairs {
        if !arguments.yes && !agreed(repair)? {
            continue;
        }
        let outcome = fix::make(repair, variables, http);
        if !arguments.json {
            println!("{}", reporter.outcome(&outcome));
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

fn agreed(repair: Repair) -> Result<bool> {
    print!("{}? [y/N] ", repair.describe());
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
