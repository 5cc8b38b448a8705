//! Other programs.

use std::fmt;

/// A program that is started with these arguments, in the directory and with the environment of this one. Has no
/// `Debug`: it may hold secrets.
pub struct Process {
    pub program: String,
    pub arguments: Vec<Argument>,
    /// Besides that of this program, and in the place of what it has there.
    pub environment: Vec<(String, String)>,
    /// What it prints is handed back instead of shown.
    pub is_captured: bool,
}

pub enum Argument {
    Text(String),
    /// The path of a file with this content, which nobody else can read and which is gone afterwards.
    SecretFile(String),
}

/// How a program ended.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// None where something else has ended it.
    pub code: Option<i32>,
    pub output: String,
    pub errors: String,
}

impl Process {
    pub fn new(program: impl Into<String>) -> Self {
        Self { program: program.into(), arguments: Vec::new(), environment: Vec::new(), is_captured: false }
    }

    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(Argument::Text(argument.into()));
        self
    }

    #[must_use]
    pub fn arguments<'a>(self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        arguments.into_iter().fold(self, Self::argument)
    }

    #[must_use]
    pub fn secret_file(mut self, content: String) -> Self {
        self.arguments.push(Argument::SecretFile(content));
        self
    }

    #[must_use]
    pub fn variable(mut self, name: &str, value: String) -> Self {
        self.environment.push((name.to_owned(), value));
        self
    }

    #[must_use]
    pub fn captured(mut self) -> Self {
        self.is_captured = true;
        self
    }
}

impl Ended {
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(formatter, "exit code {code}"),
            None => formatter.write_str("a signal"),
        }
    }
}
