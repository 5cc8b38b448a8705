//! What is installed: the functions with the built module, and the migrations, as they stand in a repository.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::project::{FUNCTIONS, MIGRATIONS};

/// What `scripts/build` makes, and nothing works without.
pub(crate) const MODULE: &str = "supabase/functions/_shared/wasm/module.js";

/// The project of the sample app, from the root of a repository.
const SAMPLE: &str = "crates/sample-app";

/// To a function without an import map of its own the CLI gives `supabase/functions/import_map.json`, and all that this
/// names.
const NO_IMPORTS: &[u8] = b"{ \"imports\": {} }\n";

pub struct Payload {
    /// The names of the functions, in order.
    pub functions: Vec<String>,
    /// The functions' files and the code that they share: content by path within a project.
    pub files: BTreeMap<String, Vec<u8>>,
    /// In the order in which they are applied.
    pub migrations: Vec<Migration>,
    /// What an app brings itself, for projects that lack it.
    pub sample: Option<Sample>,
}

/// The functions of the sample app, which are the project's own once they are written.
pub struct Sample {
    /// The names of the functions, in order.
    pub functions: Vec<String>,
    /// Content by path within a project.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What `recalculate-schedule` needs.
    pub migration: Migration,
}

#[derive(Clone)]
pub struct Migration {
    /// The file's name without its version: `calendar_webhooks.sql`.
    pub name: String,
    pub sql: Vec<u8>,
}

/// The checkout whose script has started this program. Cargo says so when it runs one; what a program was built from may
/// be another checkout, if the directory was copied since.
pub fn repository() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    package.ancestors().nth(2).map(Path::to_owned).unwrap_or_default()
}

/// The names of the functions, in order.
pub fn function_names(repository: &Path) -> Result<Vec<String>> {
    let directories = sorted(&repository.join(FUNCTIONS))?;
    let functions = directories.iter().filter(|directory| directory.join("index.ts").is_file());
    Ok(functions.map(|directory| file_name(directory)).collect())
}

impl Payload {
    pub fn read(repository: &Path) -> Result<Self> {
        let functions = function_names(repository)?;
        let mut files = BTreeMap::new();
        for directory in functions.iter().map(String::as_str).chain(["_shared"]) {
            collect(repository, &repository.join(FUNCTIONS).join(directory), &mut files)?;
        }
        for function in &functions {
            files.insert(format!("{FUNCTIONS}/{function}/deno.json"), NO_IMPORTS.to_vec());
        }
        ensure!(files.contains_key(MODULE), "the module is not built: run scripts/build first");

        Ok(Self { functions, files, migrations: migrations(&repository.join(MIGRATIONS))?, sample: None })
    }

    /// With the sample app's functions, too.
    pub fn with_sample(self, repository: &Path) -> Result<Self> {
        let app = repository.join(SAMPLE);
        let functions = function_names(&app)?;
        let mut files = BTreeMap::new();
        collect(&app, &app.join(FUNCTIONS), &mut files)?;
        for function in &functions {
            files.insert(format!("{FUNCTIONS}/{function}/deno.json"), NO_IMPORTS.to_vec());
        }
        let migration =
            migrations(&app.join(MIGRATIONS))?.pop().context("the sample app has no migration")?;
        Ok(Self { sample: Some(Sample { functions, files, migration }), ..self })
    }

    pub(crate) fn index(function: &str) -> String {
        format!("{FUNCTIONS}/{function}/index.ts")
    }
}

/// In the order in which they are applied.
fn migrations(directory: &Path) -> Result<Vec<Migration>> {
    let mut migrations = Vec::new();
    for path in sorted(directory)? {
        let file = file_name(&path);
        let (_, name) = file.split_once('_').with_context(|| format!("{file} has no version"))?;
        migrations.push(Migration { name: name.to_owned(), sql: fs::read(&path)? });
    }
    Ok(migrations)
}

/// Every file below a directory; hidden ones are the build's own.
fn collect(repository: &Path, directory: &Path, files: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    for path in sorted(directory)? {
        if path.is_dir() {
            collect(repository, &path, files)?;
        } else {
            let name = path.strip_prefix(repository)?.to_str().context("a file name is not UTF-8")?;
            files.insert(name.to_owned(), fs::read(&path)?);
        }
    }
    Ok(())
}

fn sorted(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = directory.read_dir().with_context(|| format!("cannot read {}", directory.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if !file_name(&path).starts_with('.') {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
