use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::process::{Command, Stdio};

use crate::{Argument, Ended, Process};

/// Where a program finds a file that has no name.
const STANDARD_INPUT: &str = "/dev/stdin";

pub(super) fn run(process: &Process) -> io::Result<Ended> {
    let mut command = Command::new(&process.program);
    command.stdin(Stdio::null()).envs(process.environment.iter().map(|(name, value)| (name, value)));
    for argument in &process.arguments {
        match argument {
            Argument::Text(text) => command.arg(text),
            Argument::SecretFile(content) => command.arg(STANDARD_INPUT).stdin(nameless_file(content)?),
        };
    }
    if !process.is_captured {
        let code = command.status()?.code();
        return Ok(Ended { code, ..Ended::default() });
    }
    let ended = command.output()?;
    Ok(Ended {
        code: ended.status.code(),
        output: String::from_utf8_lossy(&ended.stdout).into_owned(),
        errors: String::from_utf8_lossy(&ended.stderr).into_owned(),
    })
}

/// Nobody else can open it, and nothing of it is left whatever happens. No pipe, for the Supabase CLI reads from none.
fn nameless_file(content: &str) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(content.as_bytes())?;
    file.rewind()?;
    Ok(file)
}
