//! The command `google-calendar-webhooks` of the npm package: the commands of the scripts, as WASM under Node.

#[cfg(target_family = "wasm")]
mod node;

use std::ffi::OsString;

use machine::{Machine, Program};

const WRONG_USAGE: u8 = 2;
const VERSION: &str = env!("CARGO_PKG_VERSION");
const HELP: &str = "\
Keeps what an app on Supabase schedules in step with its users' Google Calendars

Usage: npx google-calendar-webhooks <command> [options]

Commands:
  install    brings the three Edge Functions, the migrations and their config keys into the project in this folder,
             or up to date there; shows what it will do and asks first
  deploy     brings them online with the Supabase CLI: secrets, migrations, functions, doctor
  doctor     looks at the deployed project, and says what is wrong and what to do
  uninstall  takes the installation back

`npx google-calendar-webhooks <command> --help` tells a command's options. `--version` tells the package's version.

To try it without Supabase and Google, with stand-ins for both on your machine (`scripts/dev`), clone the repository: the
stand-ins are servers written in Rust, which WASM under Node cannot be.
";

/// Does what was typed behind the name of the program. Returns the exit code.
pub fn run(machine: &dyn Machine, program: &Program, arguments: Vec<String>) -> u8 {
    let mut arguments = arguments.into_iter();
    let command = arguments.next().unwrap_or_default();
    let rest = arguments.map(OsString::from);
    match command.as_str() {
        "install" => install::commands::install(machine, program, rest),
        "deploy" => install::commands::deploy(machine, program, rest),
        "doctor" => doctor::command::main(machine, program, rest),
        "uninstall" => install::commands::uninstall(machine, program, rest),
        "--help" | "-h" | "help" => say(machine, HELP),
        "--version" | "-V" => say(machine, &format!("{VERSION}\n")),
        "" => {
            machine.warn(format_args!("{HELP}"));
            WRONG_USAGE
        }
        // Not repeated: it may be a key that went astray.
        _ => {
            machine.warn(format_args!("error: there is no such command; see --help\n"));
            WRONG_USAGE
        }
    }
}

fn say(machine: &dyn Machine, text: &str) -> u8 {
    machine.say(format_args!("{text}"));
    0
}
