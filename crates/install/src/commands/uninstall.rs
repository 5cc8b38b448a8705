use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use machine::{Machine, Program};

use super::{Manner, exit_code, refuse_clone};
use crate::deploy::secret_names;
use crate::payload::function_names;
use crate::project::Project;
use crate::uninstall::{DROP, DROP_SAMPLE, Uninstallation};

/// Removes from a Supabase project what was installed, as far as it was not edited since, and says what to remove
/// online
#[derive(Parser)]
#[command(after_help = "Examples:
  scripts/uninstall --dry-run --diff       show what would be done, line by line
  scripts/uninstall                        show it, ask, do it")]
struct UninstallArguments {
    /// The project: the directory that holds supabase/; by default the current one
    #[arg(long, value_name = "DIR", default_value = ".")]
    from: PathBuf,
    #[command(flatten)]
    manner: Manner,
}

pub fn uninstall(
    machine: &dyn Machine,
    program: &Program,
    arguments: impl IntoIterator<Item = OsString>,
) -> u8 {
    exit_code(machine, program, "uninstall", arguments, |arguments| run(machine, program, &arguments))
}

fn run(machine: &dyn Machine, program: &Program, arguments: &UninstallArguments) -> Result<()> {
    let project = Project::open(machine, &machine.typed_path(&arguments.from))?;
    refuse_clone(&project, machine, program)?;
    let uninstallation = crate::uninstall::uninstall(&project)?;
    if arguments.manner.carry_out(&uninstallation.plan, &project, machine)? {
        say_what_stays(machine, program, &uninstallation)?;
    }
    Ok(())
}

fn say_what_stays(
    machine: &dyn Machine,
    program: &Program,
    Uninstallation { versions, sample, restored, .. }: &Uninstallation,
) -> Result<()> {
    machine.say(format_args!(
        "\nDone. What was deployed stays online. To remove it there too, first pause every connection in the SQL editor, so \
         that\nthe next sweeps close the channels; Google calls through an open one for up to 30 days. Who has paused is \
         not\nknown any more afterwards:\n\n  \
         update public.calendar_connections set sync_enabled = false where provider = 'google' and sync_enabled is not false;\n  \
         select count(*) from public.calendar_connections\n    \
         where provider = 'google' and coalesce(webhook_id, webhook_pending_id) is not null;    -- until it is 0\n\n\
         Then:\n\n"
    ));
    for function in function_names(machine, program.root())?.iter().chain(sample) {
        if restored.contains(function) {
            machine.say(format_args!("  supabase functions deploy {function}    # yours, which is back\n"));
        } else {
            machine.say(format_args!("  supabase functions delete {function}\n"));
        }
    }
    let secrets: Vec<&str> = secret_names().collect();
    machine.say(format_args!(
        "  supabase secrets unset {}    # those that no function of yours reads\n",
        secrets.join(" ")
    ));
    if !versions.is_empty() {
        let versions = versions.join(" ");
        machine.say(format_args!("  supabase migration repair --status reverted {versions}\n"));
    }
    machine.say(format_args!("\nand in the SQL editor:\n\n"));
    let drop_sample = if sample.is_empty() { "" } else { DROP_SAMPLE };
    for line in DROP.lines().chain(drop_sample.lines()) {
        machine.say(format_args!("  {line}\n"));
    }
    Ok(())
}
