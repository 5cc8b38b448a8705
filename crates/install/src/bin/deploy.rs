//! Behind scripts/deploy.

use std::process::ExitCode;

use machine::{Native, Program};

fn main() -> ExitCode {
    let program = Program::in_a_clone(checkout::repository());
    install::commands::deploy(&Native::new(), &program, std::env::args_os().skip(1)).into()
}
