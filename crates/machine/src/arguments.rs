//! What was typed behind the name of a command.

use std::ffi::OsString;

use clap::{Error, Parser};

use crate::{Machine, Program};

/// Where the width of the terminal is not known, and the most that is easy to read.
const COLUMNS: usize = 100;

/// `name`: of the command, such as `install`. An error may also be the help that was asked for.
pub fn parse<A: Parser>(
    machine: &dyn Machine,
    program: &Program,
    name: &str,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<A, Error> {
    let typed = program.command(name);
    let mut command = A::command().no_binary_name(true).name(typed.clone()).bin_name(typed);
    command = command.term_width(machine.columns().map_or(COLUMNS, |columns| columns.min(COLUMNS)));
    if let Some(help) = command.get_after_help().map(|help| program.as_typed(&help.to_string())) {
        command = command.after_help(help);
    }
    A::from_arg_matches(&command.try_get_matches_from(arguments)?)
}
