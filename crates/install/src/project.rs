//! A Supabase project on disk: the directory that holds `supabase/`.

use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use machine::{Machine, Process};

pub(crate) const CONFIG: &str = "supabase/config.toml";
pub(crate) const FUNCTIONS: &str = "supabase/functions";
pub(crate) const MIGRATIONS: &str = "supabase/migrations";
/// Where deployment and doctor look for secrets.
pub(crate) const SECRETS: &str = "supabase/.env";
pub(crate) const IGNORED: &str = "supabase/.gitignore";

/// Paths within it are relative to its root, with `/`.
pub struct Project<'a> {
    machine: &'a dyn Machine,
    root: PathBuf,
}

impl<'a> Project<'a> {
    pub fn open(machine: &'a dyn Machine, directory: &Path) -> Result<Self> {
        if !machine.is_file(&directory.join(CONFIG)) {
            let real = machine.real_path(directory).ok();
            let parent = real.as_deref().and_then(Path::parent);
            let parent = parent.filter(|parent| machine.is_file(&parent.join(CONFIG)));
            match parent {
                Some(parent) => bail!(
                    "{} is inside a Supabase project: name its root, {}",
                    directory.display(),
                    parent.display()
                ),
                None => bail!(
                    "{} is not a Supabase project, for it has no {CONFIG}: name the directory in which you ran \
                     `supabase init`, or run that first",
                    directory.display()
                ),
            }
        }
        let root =
            machine.real_path(directory).with_context(|| format!("cannot open {}", directory.display()))?;
        Ok(Self { machine, root })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The content of a file, if there is one.
    pub(crate) fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        match self.machine.read(&self.real(path)?) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.refuse_dangling_link(path)?;
                Ok(None)
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {path}")),
        }
    }

    pub(crate) fn read_text(&self, path: &str) -> Result<String> {
        self.machine.read_text(&self.real(path)?).with_context(|| format!("cannot read {path}"))
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.machine.exists(&self.path(path))
    }

    pub(crate) fn is_file(&self, path: &str) -> bool {
        self.machine.is_file(&self.path(path))
    }

    /// Whether Git ignores the file with the secrets, which need not exist yet. Where Git cannot be asked, for it is
    /// not there or this is no repository yet, the file that `supabase init` writes tells; where that is missing too,
    /// there is something to ignore once the secrets are there.
    pub(crate) fn ignores_secrets(&self) -> bool {
        // Without `--no-index` nothing that is committed counts as ignored.
        match self.git(&["check-ignore", "--quiet", "--no-index", SECRETS]) {
            Some(0) => true,
            Some(1) => false,
            _ => match self.machine.read_text(&self.path(IGNORED)) {
                Ok(ignored) => ignored.lines().any(|line| [".env", "/.env", ".env*"].contains(&line.trim())),
                Err(_) => !self.is_file(SECRETS),
            },
        }
    }

    /// Whether Git has the file with the secrets, and goes on having it whatever it ignores.
    pub(crate) fn has_committed_secrets(&self) -> bool {
        self.is_file(SECRETS) && self.git(&["ls-files", "--error-unmatch", SECRETS]) == Some(0)
    }

    /// Git's exit code.
    fn git(&self, arguments: &[&str]) -> Option<i32> {
        let git = Process::new("git").argument("-C").argument(self.root.to_string_lossy());
        let ended = self.machine.run(&git.arguments(arguments.iter().copied()).captured());
        ended.ok()?.code
    }

    /// The names of what is in a directory, in order; nothing if there is no such directory.
    pub(crate) fn entries(&self, directory: &str) -> Result<Vec<String>> {
        match self.machine.entries(&self.real(directory)?) {
            Ok(mut names) => {
                names.sort();
                Ok(names)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.refuse_dangling_link(directory)?;
                Ok(Vec::new())
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {directory}")),
        }
    }

    /// Replaces a file in one step, so that nobody ever finds half of it. A link to a file stays a link.
    pub(crate) fn write(&self, path: &str, content: &[u8]) -> Result<()> {
        let target = self.real(path)?;
        let directory = target.parent().with_context(|| format!("{path} is not a file"))?;
        self.machine
            .create_directories(directory)
            .and_then(|()| self.machine.replace(&target, content))
            .with_context(|| format!("cannot write {path}"))
    }

    pub(crate) fn remove(&self, path: &str) -> Result<()> {
        match self.machine.remove_file(&self.entry(path)?) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {path}"));
            }
            _ => {}
        }
        self.remove_empty_parents(path);
        Ok(())
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (source, target) = (self.entry(from)?, self.entry(to)?);
        let directory = target.parent().with_context(|| format!("{to} is not a file"))?;
        self.machine
            .create_directories(directory)
            .and_then(|()| self.machine.rename(&source, &target))
            .with_context(|| format!("cannot move {from} to {to}"))?;
        self.remove_empty_parents(from);
        Ok(())
    }

    /// Where a path leads, links followed: never out of the project.
    fn real(&self, path: &str) -> Result<PathBuf> {
        let whole = self.path(path);
        let there = whole.ancestors().find(|path| self.machine.exists(path)).unwrap_or(&self.root);
        let real = self.machine.real_path(there).with_context(|| format!("cannot open {path}"))?;
        ensure!(
            real.starts_with(&self.root),
            "{path} leads out of the project, by a symbolic link: replace the link by what it stands for"
        );
        Ok(match whole.strip_prefix(there) {
            Ok(rest) if rest != Path::new("") => real.join(rest),
            _ => real,
        })
    }

    /// The entry of a directory, which may itself be a link.
    fn entry(&self, path: &str) -> Result<PathBuf> {
        let (directory, name) =
            path.rsplit_once('/').with_context(|| format!("{path} is in no directory"))?;
        Ok(self.real(directory)?.join(name))
    }

    /// For a path at which nothing was found: a link to nothing on the way to it is no place to write to.
    fn refuse_dangling_link(&self, path: &str) -> Result<()> {
        match Path::new(path).ancestors().find(|path| self.machine.is_link(&self.root.join(path))) {
            Some(link) if !self.machine.exists(&self.root.join(link)) => {
                bail!("{} is a symbolic link to nothing: remove or mend it", link.display())
            }
            _ => Ok(()),
        }
    }

    fn remove_empty_parents(&self, path: &str) {
        for directory in Path::new(path).ancestors().skip(1).take_while(|path| path.components().count() > 1)
        {
            // Fails where something is left in it.
            if self.machine.remove_empty_directory(&self.root.join(directory)).is_err() {
                break;
            }
        }
    }
}

/// Whether a path stays within `supabase/`.
pub(crate) fn is_inside(path: &str) -> bool {
    let mut components = Path::new(path).components();
    components.next() == Some(Component::Normal("supabase".as_ref()))
        && components.all(|component| matches!(component, Component::Normal(_)))
}
