//! The commands `install`, `uninstall` and `deploy`. Each returns its exit code: 0, 1 if it failed, 2 for wrong usage.

mod deploy;
mod install;
mod uninstall;

use std::error::Error;
use std::ffi::OsString;
use std::fmt;

use anyhow::{Result, ensure};
use clap::Parser;
use doctor::redact::Redactor;
use machine::terminal::confirm;
use machine::{Machine, Program, arguments};

pub use deploy::deploy;
pub use install::install;
pub use uninstall::uninstall;

use crate::plan::Plan;
use crate::project::Project;

const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;

/// An argument that is understood, but cannot be meant.
#[derive(Debug)]
pub(crate) struct WrongUsage(pub String);

impl fmt::Display for WrongUsage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for WrongUsage {}

fn exit_code<A: Parser>(
    machine: &dyn Machine,
    program: &Program,
    name: &str,
    arguments: impl IntoIterator<Item = OsString>,
    run: impl FnOnce(A) -> Result<()>,
) -> u8 {
    match arguments::parse(machine, program, name, arguments) {
        Ok(arguments) => match run(arguments) {
            Ok(()) => 0,
            Err(error) => {
                machine.warn(format_args!("error: {error:#}\n"));
                if error.is::<WrongUsage>() { WRONG_USAGE } else { FAILED }
            }
        },
        Err(error) if error.use_stderr() => {
            // A key that went astray is not repeated.
            machine.warn(format_args!("{}", Redactor::default().redact(&error.to_string())));
            WRONG_USAGE
        }
        Err(help) => {
            machine.say(format_args!("{help}"));
            0
        }
    }
}

/// How a plan is shown and carried out.
#[derive(clap::Args)]
struct Manner {
    /// Show what would be done, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Show every line that is added, changed or removed
    #[arg(long)]
    diff: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Manner {
    /// Whether it was carried out.
    fn carry_out(&self, plan: &Plan, project: &Project<'_>, machine: &dyn Machine) -> Result<bool> {
        if self.diff {
            machine.say(format_args!("{}", plan.diff()));
        }
        machine.say(format_args!("{plan}"));
        if plan.is_empty() {
            machine.say(format_args!("Nothing to do in {}.\n", project.root().display()));
            return Ok(false);
        }
        if self.dry_run {
            machine.say(format_args!("\nNothing was written (--dry-run); --diff shows every line.\n"));
            return Ok(false);
        }
        let is_agreed = confirm(machine, "\nDo this? --diff shows every line.", self.yes)?;
        ensure!(is_agreed, "nothing was written");
        plan.carry_out(project)?;
        Ok(true)
    }
}

/// The clone has the functions already, and nothing is installed into it.
fn refuse_clone(project: &Project<'_>, machine: &dyn Machine, program: &Program) -> Result<()> {
    ensure!(
        !program.is_clone() || project.root() != machine.real_path(program.root())?,
        "{} is this repository, which has the functions already: {} brings them online from here",
        project.root().display(),
        program.command("deploy")
    );
    Ok(())
}
