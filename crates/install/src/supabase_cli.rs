//! The Supabase CLI: where it is, and commands for it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use machine::{Ended, Machine, Process, Program};
use serde_json::Value as Json;

use crate::project::Project;

/// The first version with `--remote`, which took the place of `--project-ref` and `--db-url`.
const OLDEST: u32 = 3;
const MODULE: &str = "node_modules/supabase";
const HOW_TO_GET_IT: &str =
    "npm install --save-dev supabase (or https://supabase.com/docs/guides/local-development)";

/// As it is started.
pub(crate) struct SupabaseCli {
    program: String,
    /// What Node runs, where it is a program for Node.
    script: Option<String>,
}

impl SupabaseCli {
    /// The clone's own; else the one that npm has installed for the project or for a workspace that it is in; else that
    /// of the PATH.
    pub(crate) fn find(machine: &dyn Machine, program: &Program, project: &Project<'_>) -> Result<Self> {
        let directories: Vec<PathBuf> = if program.is_clone() {
            vec![program.root().join("scripts")]
        } else {
            project.root().ancestors().map(Path::to_owned).collect()
        };
        for directory in directories {
            let module = directory.join(MODULE);
            if let Ok(manifest) = machine.read_text(&module.join("package.json")) {
                return Self::of_npm(&module, &manifest);
            }
        }
        ensure!(!program.is_clone(), "the Supabase CLI is missing: run scripts/setup");
        let cli = Self { program: "supabase".to_owned(), script: None };
        let ended = machine.run(&cli.command("--version").captured());
        let ended = ended.ok().filter(Ended::is_success).with_context(|| {
            format!("the Supabase CLI is neither in node_modules nor in the PATH: {HOW_TO_GET_IT}")
        })?;
        check_version(ended.output.trim())?;
        Ok(cli)
    }

    /// npm's own link to it is a script of the shell, or on Windows of another one, which cannot be started as a
    /// program.
    fn of_npm(module: &Path, manifest: &str) -> Result<Self> {
        let manifest: Json = serde_json::from_str(manifest).unwrap_or_default();
        check_version(manifest.get("version").and_then(Json::as_str).unwrap_or_default())?;
        let bin = manifest.get("bin").map(|bin| bin.get("supabase").unwrap_or(bin));
        let bin = bin.and_then(Json::as_str).context("the npm package supabase names no program")?;
        let path = module.join(bin).to_string_lossy().into_owned();
        Ok(if bin.ends_with("js") {
            Self { program: "node".to_owned(), script: Some(path) }
        } else {
            Self { program: path, script: None }
        })
    }

    pub(crate) fn command(&self, first: &str) -> Process {
        let process = Process::new(self.program.as_str());
        let process = match &self.script {
            Some(script) => process.argument(script.as_str()),
            None => process,
        };
        process.argument(first)
    }

    /// Told not to ask: everything has been announced.
    pub(crate) fn in_directory(&self, directory: &Path, arguments: &[&str]) -> Process {
        let (first, rest) = arguments.split_first().unwrap_or((&"help", &[]));
        let process = self.command(first).arguments(rest.iter().copied());
        process.argument("--yes").argument("--workdir").argument(directory.to_string_lossy())
    }
}

fn check_version(version: &str) -> Result<()> {
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    ensure!(
        major.is_some_and(|major| major >= OLDEST),
        "the Supabase CLI is of version {version}, and {OLDEST} or newer is needed: {HOW_TO_GET_IT}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(manifest: &str, expected: Result<(&str, Option<&str>), &str>) {
        match (SupabaseCli::of_npm(Path::new("C:/my app/node_modules/supabase"), manifest), expected) {
            (Ok(cli), Ok((program, script))) => {
                assert_eq!((cli.program.as_str(), cli.script.as_deref()), (program, script));
            }
            (Err(error), Err(says)) => assert!(error.to_string().contains(says), "{error}"),
            (found, _) => panic!("{manifest}: {}", found.is_ok()),
        }
    }

    #[test]
    fn node_runs_what_is_written_for_it() {
        let script = Some("C:/my app/node_modules/supabase/dist/supabase.js");
        check(r#"{"version":"3.1.0","bin":{"supabase":"dist/supabase.js"}}"#, Ok(("node", script)));
        let program = "C:/my app/node_modules/supabase/bin/supabase";
        check(r#"{"version":"4.0.0","bin":"bin/supabase"}"#, Ok((program, None)));
    }

    #[test]
    fn a_version_that_knows_other_options_is_refused() {
        check(r#"{"version":"2.122.1","bin":{"supabase":"bin/supabase"}}"#, Err("2.122.1"));
        check("", Err("or newer is needed"));
    }
}
