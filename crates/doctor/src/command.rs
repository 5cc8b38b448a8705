//! The command `doctor`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use adapters::configuration::VARIABLES;
use anyhow::{Context, Result, ensure};
use clap::Parser;
use env_file::EnvFile;
use machine::terminal::confirm;
use machine::{Machine, Program, Stream, arguments};

use crate::examine::{Examination, examine};
use crate::fix::{self, Outcome, Repair, repairs};
use crate::redact::Redactor;
use crate::report::Reporter;
use crate::variables::{SECRET_KEY, SUPABASE_URL, Variables, secrets};

const DEFAULT_ENV_FILE: &str = "supabase/.env";
const ALL_IS_WELL: u8 = 0;
const SOMETHING_IS_WRONG: u8 = 1;
const WRONG_USAGE: u8 = 2;

/// Looks at a deployed project from outside and says what is wrong with it, and what to do. Changes nothing, unless
/// --fix: it reads from the database, and has each function refuse or not find something
#[derive(Parser)]
#[command(after_help = "Keys and the Google client come from the environment, or else from supabase/.env:
  SUPABASE_SECRET_KEY (or SUPABASE_SECRET_KEYS, SUPABASE_SERVICE_ROLE_KEY), GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET;
  if the functions have them: CALENDAR_WEBHOOK_URL, RECALCULATE_SCHEDULE_URL

Exit codes: 0 all is well, 1 something is wrong, 2 wrong usage.

Examples:
  scripts/doctor --url https://abcdefghijklmnopqrst.supabase.co
  scripts/doctor --json | jq '.checks[] | select(.verdict == \"wrong\")'
  scripts/doctor --fix                 asks before every change")]
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

/// Returns the exit code.
pub fn main(machine: &dyn Machine, program: &Program, arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments = match arguments::parse::<Arguments>(machine, program, "doctor", arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // It quotes what it does not understand, which may be a key.
            let text = Redactor::default().redact(&error.to_string());
            if error.use_stderr() {
                machine.warn(format_args!("{text}"));
                return WRONG_USAGE;
            }
            machine.say(format_args!("{text}"));
            return ALL_IS_WELL;
        }
    };
    match run(machine, program, &arguments) {
        Ok(true) => ALL_IS_WELL,
        Ok(false) => SOMETHING_IS_WRONG,
        Err(error) => {
            let text = Redactor::default().redact(&format!("error: {error:#}"));
            machine.warn(format_args!("{text}\n"));
            WRONG_USAGE
        }
    }
}

/// Prints what is found at an address with the keys of a file, or else of the environment.
pub fn look(
    machine: &dyn Machine,
    program: &Program,
    url: &str,
    env_file: Option<&Path>,
) -> Result<Examination> {
    let visit = Visit::new(machine, program, Some(url), env_file)?;
    let examination = visit.examine();
    machine.say(format_args!("{}", visit.reporter.text(&examination)));
    Ok(examination)
}

/// Whether all is well in the end. An error is one of usage.
fn run(machine: &dyn Machine, program: &Program, arguments: &Arguments) -> Result<bool> {
    let asks = arguments.fix && !arguments.yes;
    ensure!(
        !(asks && arguments.json),
        "--fix asks before each change, which --json has no room for: add --yes"
    );
    ensure!(
        !asks || machine.is_terminal(Stream::Input),
        "--fix asks before each change, and there is no terminal to ask on: add --yes"
    );
    let env_file = arguments.env_file.as_deref().map(|file| machine.typed_path(file));
    let visit = Visit::new(machine, program, arguments.url.as_deref(), env_file.as_deref())?;
    let mut examination = visit.examine();
    let mut outcomes = None;
    if arguments.fix {
        if !arguments.json {
            machine.say(format_args!("{}\n", visit.reporter.text(&examination)));
        }
        let made = visit.repair(arguments, &repairs(&examination))?;
        if !made.is_empty() {
            fix::settle(&visit.variables, machine);
            examination = visit.examine();
        }
        if !arguments.json {
            if made.is_empty() {
                machine.say(format_args!("Nothing was changed.\n"));
                return Ok(examination.is_well());
            }
            machine.say(format_args!("\nAfterwards:\n\n"));
        }
        outcomes = Some(made);
    }
    if arguments.json {
        let url = &visit.variables.configuration.supabase_url;
        let report = visit.reporter.json(url, &examination, outcomes.as_deref());
        machine.say(format_args!("{report:#}\n"));
    } else {
        machine.say(format_args!("{}", visit.reporter.text(&examination)));
    }
    Ok(examination.is_well())
}

struct Visit<'a> {
    machine: &'a dyn Machine,
    variables: Variables,
    reporter: Reporter,
}

impl<'a> Visit<'a> {
    fn new(
        machine: &'a dyn Machine,
        program: &Program,
        url: Option<&str>,
        env_file: Option<&Path>,
    ) -> Result<Self> {
        let variables = gather_variables(machine, url, env_file)?;
        let reporter = Reporter {
            redactor: Redactor::new(secrets(&variables)),
            program: program.clone(),
            coloured: machine.is_coloured(Stream::Output),
        };
        let variables =
            Variables::parse(variables, machine.now()).context("the variables cannot be understood")?;
        Ok(Self { machine, variables, reporter })
    }

    /// Says that it examines where somebody waits.
    fn examine(&self) -> Examination {
        let waits = self.machine.is_terminal(Stream::Error);
        if waits {
            self.machine.warn(format_args!("examining the project …"));
        }
        let examination = examine(&self.variables, self.machine);
        if waits {
            self.machine.warn(format_args!("\r\u{1b}[K"));
        }
        examination
    }

    fn repair(&self, arguments: &Arguments, repairs: &[Repair]) -> Result<Vec<Outcome>> {
        let machine = self.machine;
        let mut outcomes = Vec::new();
        if repairs.is_empty() && !arguments.json {
            machine.say(format_args!("There is nothing that can be put right from here.\n"));
        }
        for &repair in repairs {
            if !confirm(machine, &format!("{}?", repair.describe()), arguments.yes)? {
                continue;
            }
            let outcome = fix::make(repair, &self.variables, machine);
            if !arguments.json {
                machine.say(format_args!("{}\n", self.reporter.outcome(&outcome)));
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }
}

/// From the command line, else the environment, else the file. An empty value is none.
fn gather_variables(
    machine: &dyn Machine,
    url: Option<&str>,
    env_file: Option<&Path>,
) -> Result<BTreeMap<String, String>> {
    let default = Path::new(DEFAULT_ENV_FILE);
    let file = env_file.or_else(|| machine.is_file(default).then_some(default));
    let file = file.map(|file| read_env_file(machine, file)).transpose()?.unwrap_or_default();
    let names = VARIABLES.into_iter().chain([SECRET_KEY]);
    let mut variables = file.with_environment(|name| machine.variable(name), names)?;
    if let Some(url) = url {
        variables.set(SUPABASE_URL, url);
    }
    Ok(variables.variables().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

pub fn read_env_file(machine: &dyn Machine, path: &Path) -> Result<EnvFile> {
    let text = machine.read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(EnvFile::parse(&text))
}
