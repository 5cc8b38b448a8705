//! What is installed: the functions with the built module, and the migrations, as they stand in a clone or in the npm
//! package.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use machine::{Kind, Machine};

use crate::project::{FUNCTIONS, MIGRATIONS};

/// What `scripts/build` makes, and nothing works without.
pub(crate) const MODULE: &str = "supabase/functions/_shared/wasm/module.js";

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

/// The names of the functions, in order. `root` holds `supabase/`.
pub(crate) fn function_names(machine: &dyn Machine, root: &Path) -> Result<Vec<String>> {
    let mut names = sorted(machine, &root.join(FUNCTIONS))?;
    names.retain(|name| machine.is_file(&root.join(Payload::index(name))));
    Ok(names)
}

impl Payload {
    /// `root` holds `supabase/`.
    pub fn read(machine: &dyn Machine, root: &Path) -> Result<Self> {
        let functions = function_names(machine, root)?;
        let mut files = BTreeMap::new();
        for directory in functions.iter().map(String::as_str).chain(["_shared"]) {
            collect(machine, root, &format!("{FUNCTIONS}/{directory}"), &mut files)?;
        }
        for function in &functions {
            files.insert(format!("{FUNCTIONS}/{function}/deno.json"), NO_IMPORTS.to_vec());
        }
        ensure!(files.contains_key(MODULE), "the module is not built: run scripts/build first");

        Ok(Self { functions, files, migrations: migrations(machine, root)?, sample: None })
    }

    /// With the sample app's functions, too. `app` holds its `supabase/`.
    pub fn with_sample(self, machine: &dyn Machine, app: &Path) -> Result<Self> {
        let functions = function_names(machine, app)?;
        let mut files = BTreeMap::new();
        collect(machine, app, FUNCTIONS, &mut files)?;
        for function in &functions {
            files.insert(format!("{FUNCTIONS}/{function}/deno.json"), NO_IMPORTS.to_vec());
        }
        let migration = migrations(machine, app)?.pop().context("the sample app has no migration")?;
        Ok(Self { sample: Some(Sample { functions, files, migration }), ..self })
    }

    pub(crate) fn index(function: &str) -> String {
        format!("{FUNCTIONS}/{function}/index.ts")
    }
}

/// In the order in which they are applied.
fn migrations(machine: &dyn Machine, root: &Path) -> Result<Vec<Migration>> {
    let mut migrations = Vec::new();
    for file in sorted(machine, &root.join(MIGRATIONS))? {
        let (_, name) = file.split_once('_').with_context(|| format!("{file} has no version"))?;
        let sql = machine.read(&root.join(MIGRATIONS).join(&file))?;
        migrations.push(Migration { name: name.to_owned(), sql });
    }
    Ok(migrations)
}

/// Every file below a directory.
fn collect(
    machine: &dyn Machine,
    root: &Path,
    directory: &str,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Result<()> {
    for name in sorted(machine, &root.join(directory))? {
        let path = format!("{directory}/{name}");
        if machine.kind(&root.join(&path)) == Some(Kind::Directory) {
            collect(machine, root, &path, files)?;
        } else {
            let content = machine.read(&root.join(&path)).with_context(|| format!("cannot read {path}"))?;
            files.insert(path, content);
        }
    }
    Ok(())
}

/// The names in a directory, in order; hidden ones are the build's own.
fn sorted(machine: &dyn Machine, directory: &Path) -> Result<Vec<String>> {
    let names = machine.entries(directory);
    let mut names = names.with_context(|| format!("cannot read {}", directory.display()))?;
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    Ok(names)
}
