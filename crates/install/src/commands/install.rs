use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use machine::terminal::quoted;
use machine::{Machine, Program};

use super::{Manner, exit_code, refuse_clone};
use crate::install::RECALCULATION;
use crate::payload::Payload;
use crate::project::Project;

/// Brings the three functions, their module, the migrations and their config keys into a Supabase project, or up to
/// date there. Shows what it will do and asks before it writes; what is the project's own is never overwritten
#[derive(Parser)]
#[command(after_help = "Examples:
  scripts/install --dry-run --diff       show what would be done, line by line
  scripts/install                        show it, ask, do it
  scripts/install --into ../my-app --yes
  scripts/install --with-sample          with a recalculate-schedule and an OAuth flow to start from

What was installed is recorded in supabase/calendar-webhooks.lock; commit it with the rest.")]
struct InstallArguments {
    /// The project: the directory that holds supabase/; by default the current one
    #[arg(long, value_name = "DIR", default_value = ".")]
    into: PathBuf,
    #[command(flatten)]
    manner: Manner,
    /// Move functions of your own with these names out of the way (to supabase/functions/_replaced), and
    /// overwrite installed files that were edited since
    #[arg(long)]
    replace: bool,
    /// Write the functions of the sample app that the project lacks: recalculate-schedule, google-oauth-start,
    /// google-oauth-callback. They are yours from then on
    #[arg(long)]
    with_sample: bool,
}

pub fn install(
    machine: &dyn Machine,
    program: &Program,
    arguments: impl IntoIterator<Item = OsString>,
) -> u8 {
    exit_code(machine, program, "install", arguments, |arguments| run(machine, program, &arguments))
}

fn run(machine: &dyn Machine, program: &Program, arguments: &InstallArguments) -> Result<()> {
    let into = machine.typed_path(&arguments.into);
    let project = Project::open(machine, &into)?;
    refuse_clone(&project, machine, program)?;
    let mut payload = Payload::read(machine, program.root())?;
    if arguments.with_sample {
        payload = payload.with_sample(machine, &program.sample_app())?;
    }
    let now = machine.now().format("%Y%m%d%H%M%S").to_string();
    let mut plan = crate::install::install(&payload, &project, arguments.replace, &now)?;
    plan.ignore_secrets(&project)?;
    if arguments.manner.carry_out(&plan, &project, machine)? {
        let deploy = program.command("deploy");
        let own = payload.sample.map_or(RECALCULATION.to_owned(), |sample| sample.functions.join(" "));
        let into = into.to_string_lossy();
        let workdir = if into == "." { String::new() } else { format!(" --workdir {}", quoted(&into)) };
        machine.say(format_args!(
            "\nDone. Commit it, and bring it online: {deploy}{workdir}\n\
             Your own functions you deploy yourself: supabase functions deploy {own}\n"
        ));
    }
    Ok(())
}
