//! Asking the person at the terminal.

use std::io::{IsTerminal, Write, stdin, stdout};

use anyhow::{Result, bail};

/// Whether to go on. Without a terminal somebody must have said so beforehand.
pub fn confirm(question: &str, is_agreed: bool) -> Result<bool> {
    if is_agreed {
        return Ok(true);
    }
    if !stdin().is_terminal() {
        bail!("there is no terminal to ask on: to confirm in advance, add --yes");
    }
    print!("{question} [y/N] ");
    stdout().flush()?;
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
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
