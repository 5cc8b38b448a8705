//! This program itself: where what it brings is, and how its commands are typed.

use std::path::{Path, PathBuf};

/// How commands are typed in a clone, and how the texts of this program name them.
const IN_A_CLONE: &str = "scripts/";
const PACKAGED: &str = "npx google-calendar-webhooks ";

#[derive(Clone, Debug)]
pub struct Program {
    root: PathBuf,
    prefix: &'static str,
}

impl Program {
    /// In a clone of the repository, whose root this is.
    pub fn in_a_clone(root: PathBuf) -> Self {
        Self { root, prefix: IN_A_CLONE }
    }

    /// In the npm package, whose directory this is.
    pub fn packaged(root: PathBuf) -> Self {
        Self { root, prefix: PACKAGED }
    }

    /// The directory that holds `supabase/` with the functions and migrations.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory that holds `supabase/` with the functions of the sample app.
    pub fn sample_app(&self) -> PathBuf {
        self.root.join("crates/sample-app")
    }

    pub fn is_clone(&self) -> bool {
        self.prefix == IN_A_CLONE
    }

    /// A command as it is typed: `scripts/doctor`, `npx google-calendar-webhooks doctor`.
    pub fn command(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// A text that names commands, with each as it is typed.
    pub fn as_typed(&self, text: &str) -> String {
        text.replace(IN_A_CLONE, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_named_as_they_are_typed() {
        let text = "run scripts/install, then scripts/doctor --fix";
        assert_eq!(Program::in_a_clone(PathBuf::new()).as_typed(text), text);
        assert_eq!(
            Program::packaged(PathBuf::new()).as_typed(text),
            "run npx google-calendar-webhooks install, then npx google-calendar-webhooks doctor --fix"
        );
    }
}
