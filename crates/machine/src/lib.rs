//! What the command line asks of the machine that it runs on: files, processes, terminal, network, clock, environment.
//!
//! The commands are the same code in a clone, where [`Native`] is the operating system, and in the npm package, where
//! they are WASM and Node does what is asked. So nothing of them asks the standard library for any of this.

#![cfg_attr(
    not(target_family = "wasm"),
    allow(clippy::disallowed_methods, reason = "the operating system is asked here, and nowhere else")
)]

pub mod arguments;
pub mod http;
#[cfg(not(target_family = "wasm"))]
mod native;
mod process;
mod program;
pub mod terminal;

use std::env::VarError;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use adapters::http::HttpRequest;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::http::Reply;
#[cfg(not(target_family = "wasm"))]
pub use crate::native::Native;
pub use crate::process::{Argument, Ended, Process};
pub use crate::program::Program;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    Directory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Input,
    Output,
    Error,
}

/// Paths have `/` between their names, on every system. Where nothing is at a path, the error is `NotFound`.
pub trait Machine {
    /// A path as somebody has typed it, maybe with the separators of Windows.
    fn typed_path(&self, path: &Path) -> PathBuf;

    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// What is there; links are followed. `None` also where it cannot be told.
    fn kind(&self, path: &Path) -> Option<Kind>;

    fn is_link(&self, path: &Path) -> bool;

    /// The names of what is in a directory, in no order.
    fn entries(&self, directory: &Path) -> io::Result<Vec<String>>;

    /// Absolute, and without links.
    fn real_path(&self, path: &Path) -> io::Result<PathBuf>;

    /// Puts a whole file in the place of what is there, in one step, with its permissions.
    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()>;

    fn create_directories(&self, path: &Path) -> io::Result<()>;

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Fails where something is left in it.
    fn remove_empty_directory(&self, path: &Path) -> io::Result<()>;

    /// Has work done in a directory that is made for it, and removed afterwards.
    fn in_temporary_directory(&self, work: &mut dyn FnMut(&Path)) -> io::Result<()>;

    fn variable(&self, name: &str) -> Result<String, VarError>;

    fn now(&self) -> DateTime<Utc>;

    fn sleep(&self, duration: Duration);

    /// At random.
    fn uuid(&self) -> Uuid;

    /// What cannot be written, for its reader has gone, is lost.
    fn write(&self, stream: Stream, text: &str);

    /// A line that somebody types; empty at the end of the input.
    fn read_line(&self) -> io::Result<String>;

    fn is_terminal(&self, stream: Stream) -> bool;

    /// How many characters a line of the terminal has.
    fn columns(&self) -> Option<usize>;

    /// Waits until it has ended.
    fn run(&self, process: &Process) -> io::Result<Ended>;

    /// All at the same time, each with the limit of time for its whole answer. The answers are in the order of the
    /// requests.
    fn send_all(&self, requests: Vec<(HttpRequest, Duration)>) -> Vec<Reply>;

    /// What a host's name resolves to; nothing where that takes too long.
    fn resolve(&self, host: &str, within: Duration) -> Vec<IpAddr>;
}

impl dyn Machine + '_ {
    pub fn say(&self, text: fmt::Arguments<'_>) {
        self.write(Stream::Output, &text.to_string());
    }

    pub fn warn(&self, text: fmt::Arguments<'_>) {
        self.write(Stream::Error, &text.to_string());
    }

    pub fn read_text(&self, path: &Path) -> io::Result<String> {
        String::from_utf8(self.read(path)?)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
    }

    pub fn is_file(&self, path: &Path) -> bool {
        self.kind(path) == Some(Kind::File)
    }

    pub fn exists(&self, path: &Path) -> bool {
        self.kind(path).is_some()
    }

    pub fn send(&self, request: HttpRequest, timeout: Duration) -> Reply {
        self.send_all(vec![(request, timeout)]).pop().unwrap_or(Err(http::Silence::Broken))
    }

    /// Whether what is printed may have colours.
    pub fn is_coloured(&self, stream: Stream) -> bool {
        self.is_terminal(stream) && self.variable("NO_COLOR").map_or(true, |value| value.is_empty())
    }
}
