//! The person at the terminal.

use anyhow::{Result, bail};

use crate::{Machine, Stream};

/// Whether to go on. Without a terminal somebody must have said so beforehand.
pub fn confirm(machine: &dyn Machine, question: &str, is_agreed: bool) -> Result<bool> {
    if is_agreed {
        return Ok(true);
    }
    if !machine.is_terminal(Stream::Input) {
        bail!("there is no terminal to ask on: to confirm in advance, add --yes");
    }
    machine.say(format_args!("{question} [y/N] "));
    let answer = machine.read_line()?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// An argument as it is to be typed into a shell.
pub fn quoted(argument: &str) -> String {
    let is_plain = |character: char| character.is_alphanumeric() || "-_./:@%+=,".contains(character);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', "'\\''"))
}
