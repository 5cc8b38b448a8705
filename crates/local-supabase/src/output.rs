//! What a child process prints: kept, and shown on the terminal if wanted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Lines kept per process: more than a test prints, and no leak in a stack that runs for days.
const KEPT: usize = 50_000;

#[derive(Clone)]
pub(crate) struct Output {
    name: Arc<str>,
    lines: Arc<Mutex<VecDeque<String>>>,
    shown: bool,
    /// Lines that are kept back until it is known whether to show them.
    held: Arc<Mutex<Option<Vec<String>>>>,
}

impl Output {
    /// Output that is only kept.
    pub(crate) fn kept(name: &str) -> Self {
        Self { name: name.into(), lines: Arc::default(), shown: false, held: Arc::default() }
    }

    /// Output that also appears on the terminal when `shown`, each line behind the process's name.
    pub(crate) fn shown_if(name: &str, shown: bool) -> Self {
        Self { shown, ..Self::kept(name) }
    }

    /// The same output, whose lines are kept back until it is released.
    pub(crate) fn held(&self) -> Self {
        Self { held: Arc::new(Mutex::new(Some(Vec::new()))), ..self.clone() }
    }

    pub(crate) fn release(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.take().iter().flatten().for_each(|line| self.show(line));
    }

    /// Everything so far.
    pub(crate) fn text(&self) -> String {
        self.tail(usize::MAX)
    }

    /// The last lines, for an error message.
    pub(crate) fn tail(&self, count: usize) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = lines.len().saturating_sub(count);
        lines.iter().skip(skipped).fold(String::new(), |text, line| text + line + "\n")
    }

    pub(crate) fn line(&self, line: &str) {
        if self.shown {
            match &mut *self.held.lock().unwrap_or_else(PoisonError::into_inner) {
                Some(held) => held.push(line.to_owned()),
                None => self.show(line),
            }
        }
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }

    fn show(&self, line: &str) {
        println!("{:<24} | {line}", self.name);
    }

    /// Reads a pipe to its end. Bytes that are not UTF-8 are replaced: a pipe that is no longer read would
    /// stop its process.
    pub(crate) fn follow(&self, pipe: impl AsyncRead + Unpin + Send + 'static) {
        let output = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(pipe).split(b'\n');
            while let Ok(Some(line)) = lines.next_segment().await {
                output.line(String::from_utf8_lossy(&line).trim_end_matches('\r'));
            }
        });
    }
}
