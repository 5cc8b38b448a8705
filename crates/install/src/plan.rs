//! What is to be done to a project: shown first, a line for each file and all lines on request, then done.

use std::fmt;

use anyhow::Result;
use similar::TextDiff;

use crate::project::{IGNORED, Project, SECRETS};
use crate::record::is_same;

/// Everything that is checked has been checked: doing it can only fail for the disk's sake.
#[derive(Default)]
pub struct Plan {
    /// Written before all else.
    pub(crate) first: Option<(&'static str, Vec<u8>)>,
    pub(crate) changes: Vec<Change>,
    /// What is left as it is, though one might think otherwise.
    pub(crate) notes: Vec<String>,
    /// What the project still has to have.
    pub(crate) needs: Vec<String>,
}

pub(crate) enum Change {
    Write { path: String, before: Option<Vec<u8>>, after: Vec<u8> },
    Remove { path: String, before: Vec<u8> },
    Move { from: String, to: String },
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(crate) fn write(&mut self, path: &str, before: Option<Vec<u8>>, after: Vec<u8>) {
        if !before.as_ref().is_some_and(|before| is_same(before, &after)) {
            self.changes.push(Change::Write { path: path.to_owned(), before, after });
        }
    }

    /// Secrets are not to be committed.
    pub fn ignore_secrets(&mut self, project: &Project<'_>) -> Result<()> {
        if project.has_committed_secrets() {
            self.notes.push(format!(
                "{SECRETS} holds secrets, and Git has it: `git rm --cached {SECRETS}`, commit that, and replace the secrets"
            ));
        }
        if !project.ignores_secrets() {
            let before = project.read(IGNORED)?;
            let mut text = before.clone().unwrap_or_default();
            if !text.is_empty() && !text.ends_with(b"\n") {
                text.push(b'\n');
            }
            text.extend(b".env\n");
            self.write(IGNORED, before, text);
            self.notes.push(format!("{SECRETS} is for secrets, and nothing had Git ignore it"));
        }
        Ok(())
    }

    pub fn carry_out(&self, project: &Project<'_>) -> Result<()> {
        if let Some((path, content)) = &self.first {
            project.write(path, content)?;
        }
        for change in &self.changes {
            match change {
                Change::Write { path, after, .. } => project.write(path, after)?,
                Change::Remove { path, .. } => project.remove(path)?,
                Change::Move { from, to } => project.rename(from, to)?,
            }
        }
        Ok(())
    }

    /// Every line that a person can read, as a unified diff.
    pub fn diff(&self) -> String {
        let mut text = String::new();
        for change in &self.changes {
            let (path, before, after) = match change {
                Change::Write { path, before, after } => (path, before.as_deref(), Some(after.as_slice())),
                Change::Remove { path, before } => (path, Some(before.as_slice()), None),
                Change::Move { .. } => continue,
            };
            if let (Some(old), Some(new)) = (readable(before), readable(after)) {
                let name = |side: &str, content: Option<&[u8]>| match content {
                    Some(_) => format!("{side}/{path}"),
                    None => "/dev/null".to_owned(),
                };
                let diff = TextDiff::from_lines(&old, &new);
                let (old_name, new_name) = (name("a", before), name("b", after));
                text += &format!("{}\n", diff.unified_diff().header(&old_name, &new_name));
            }
        }
        text
    }
}

/// A line for each file.
impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changes {
            match change {
                Change::Write { path, before: None, after } => {
                    writeln!(formatter, "  add     {path}{}", size(after))?;
                }
                Change::Write { path, before: Some(before), after } => {
                    let was = size(before);
                    let was = if was.is_empty() { was } else { format!(", was{was}") };
                    writeln!(formatter, "  change  {path}{}{was}", size(after))?;
                }
                Change::Remove { path, before } => writeln!(formatter, "  remove  {path}{}", size(before))?,
                Change::Move { from, to } => writeln!(formatter, "  move    {from} → {to}")?,
            }
        }
        for note in &self.notes {
            writeln!(formatter, "  note    {note}")?;
        }
        for need in &self.needs {
            writeln!(formatter, "  needs   {need}")?;
        }
        Ok(())
    }
}

/// The text of what a person can read, whatever the line ends of its checkout; nothing reads as empty.
pub(crate) fn readable(content: Option<&[u8]>) -> Option<String> {
    let text = std::str::from_utf8(content.unwrap_or_default()).ok()?;
    let is_generated = text.starts_with("// Generated") || text.starts_with("# Generated");
    (!is_generated).then(|| text.replace("\r\n", "\n"))
}

/// Of what nobody reads.
fn size(content: &[u8]) -> String {
    match readable(Some(content)) {
        Some(_) => String::new(),
        None => format!(" ({:.1} KB, generated)", content.len() as f64 / 1000.0),
    }
}
