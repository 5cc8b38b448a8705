//! A project of the CLI's making, to install into.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, OnceLock};

use dev_stack::shipped_functions;
use install::{Payload, Project};
use local_supabase::repository;
use machine::Native;
use tempfile::TempDir;

use crate::cli::{self, Home, Said, said};

pub(crate) const CONFIG: &str = "supabase/config.toml";
pub(crate) const RECORD: &str = "supabase/calendar-webhooks.lock";
pub(crate) const SERVE: &str = "supabase/functions/_shared/serve.ts";
pub(crate) const SETUP: &str = "supabase/functions/setup-calendar-webhook/index.ts";
pub(crate) const FUNCTIONS: [&str; 3] =
    ["google-calendar-webhook", "refresh-calendar-webhook", "setup-calendar-webhook"];

pub(crate) static MACHINE: LazyLock<Native> = LazyLock::new(Native::new);

/// Content by path; a directory's path ends with a slash.
pub(crate) type Tree = BTreeMap<String, Vec<u8>>;

pub(crate) struct Sandbox {
    pub home: Home,
    directory: TempDir,
}

impl Sandbox {
    /// As `supabase init` leaves it.
    pub(crate) fn fresh() -> Self {
        static FRESH: OnceLock<Tree> = OnceLock::new();
        Self::copy(FRESH.get_or_init(|| {
            shipped_functions().unwrap();
            let sandbox = Self::copy(&Tree::default());
            sandbox.home.supabase(sandbox.root(), &["init", "--yes"]).succeeded();
            sandbox.tree()
        }))
    }

    /// With a function, shared code, import maps, a migration and remarks of its own.
    pub(crate) fn lived_in() -> Self {
        static LIVED_IN: OnceLock<Tree> = OnceLock::new();
        Self::copy(LIVED_IN.get_or_init(|| {
            let sandbox = Self::fresh();
            sandbox.new_function("hello");
            sandbox.write("supabase/functions/_shared/cors.ts", "export const cors = {};\n");
            // The CLI gives the latter to functions that have none.
            let imports =
                "{ \"imports\": { \"cors\": \"./_shared/cors.ts\", \"./wasm/\": \"./nowhere/\" } }\n";
            sandbox.write("supabase/functions/deno.json", imports);
            sandbox.write("supabase/functions/import_map.json", imports);
            sandbox.write("supabase/migrations/20250101000000_theirs.sql", "create table theirs (id int);\n");
            let config = sandbox.read(CONFIG);
            sandbox.write(CONFIG, &format!("# Ours since 2023.\n{config}\n# The end. # Really\n"));
            sandbox.tree()
        }))
    }

    fn copy(tree: &Tree) -> Self {
        let sandbox = Self { home: Home::new(), directory: tempfile::tempdir().unwrap() };
        for (path, content) in tree {
            if path.ends_with('/') {
                fs::create_dir_all(sandbox.path(path)).unwrap();
            } else {
                fs::write(sandbox.path(path), content).unwrap();
            }
        }
        sandbox
    }

    /// As `supabase functions new` makes it.
    pub(crate) fn new_function(&self, name: &str) {
        self.home.supabase(self.root(), &["functions", "new", name, "--yes"]).succeeded();
    }

    pub(crate) fn installed() -> Self {
        let sandbox = Self::fresh();
        sandbox.install(&["--yes"]).succeeded();
        sandbox
    }

    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn project(&self) -> Project<'static> {
        Project::open(&*MACHINE, self.root()).unwrap()
    }

    pub(crate) fn install(&self, arguments: &[&str]) -> Said {
        said(self.home.command(cli::install()).arg("--into").arg(self.root()).args(arguments))
    }

    pub(crate) fn uninstall(&self, arguments: &[&str]) -> Said {
        said(self.home.command(cli::uninstall()).arg("--from").arg(self.root()).args(arguments))
    }

    /// Installs what a repository of another version holds, at that time.
    pub(crate) fn install_version(&self, payload: &Payload, now: &str) {
        install::install(payload, &self.project(), false, now).unwrap().carry_out(&self.project()).unwrap();
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    #[track_caller]
    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), content).unwrap();
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    pub(crate) fn migrations(&self) -> Vec<String> {
        let tree = self.tree();
        tree.keys()
            .filter_map(|path| path.strip_prefix("supabase/migrations/"))
            .filter(|file| !file.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// Every file and directory, but for what the CLI caches.
    pub(crate) fn tree(&self) -> Tree {
        let mut tree = Tree::new();
        collect(self.root(), self.root(), &mut tree);
        tree
    }
}

#[track_caller]
pub(crate) fn assert_same(after: &Tree, before: &Tree) {
    let paths = after.keys().chain(before.keys());
    let different: BTreeSet<_> = paths.filter(|path| after.get(*path) != before.get(*path)).collect();
    assert!(different.is_empty(), "{different:?}");
}

fn collect(root: &Path, directory: &Path, tree: &mut Tree) {
    for entry in directory.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        if name == "supabase/.temp" {
            continue;
        }
        if path.is_dir() {
            tree.insert(format!("{name}/"), Vec::new());
            collect(root, &path, tree);
        } else {
            tree.insert(name, fs::read(&path).unwrap());
        }
    }
}

pub(crate) fn payload() -> Payload {
    shipped_functions().unwrap();
    Payload::read(&*MACHINE, &repository()).unwrap()
}

/// As it was some versions ago: other code, a file that is needed no longer, the first migration alone and shorter.
pub(crate) fn older_payload() -> Payload {
    let mut payload = payload();
    payload.files.insert(SERVE.to_owned(), b"// older\n".to_vec());
    payload.files.insert("supabase/functions/_shared/old/retired.ts".to_owned(), b"export {};\n".to_vec());
    payload.migrations.truncate(1);
    payload.migrations[0].sql = b"select 1;\n".to_vec();
    payload
}
