//! A Supabase project on disk: the directory that holds `supabase/`.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

pub(crate) const CONFIG: &str = "supabase/config.toml";
pub(crate) const FUNCTIONS: &str = "supabase/functions";
pub(crate) const MIGRATIONS: &str = "supabase/migrations";
/// Where deployment and doctor look for secrets.
pub(crate) const SECRETS: &str = "supabase/.env";
pub(crate) const IGNORED: &str = "supabase/.gitignore";

/// Paths within it are relative to its root, with `/`.
pub struct Project {
    root: PathBuf,
}

impl Project {
    pub fn open(directory: &Path) -> Result<Self> {
        if !directory.join(CONFIG).is_file() {
            let parent = directory.parent().filter(|parent| parent.join(CONFIG).is_file());
            let parent = parent.map(|parent| if parent == Path::new("") { Path::new(".") } else { parent });
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
            directory.canonicalize().with_context(|| format!("cannot open {}", directory.display()))?;
        Ok(Self { root })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The content of a file, if there is one.
    pub(crate) fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        match fs::read(self.real(path)?) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.refuse_dangling_link(path)?;
                Ok(None)
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {path}")),
        }
    }

    pub(crate) fn read_text(&self, path: &str) -> Result<String> {
        fs::read_to_string(self.real(path)?).with_context(|| format!("cannot read {path}"))
    }

    /// Whether there are secrets that Git would commit. Where it cannot be asked, for it is not there or this is no
    /// repository yet, the file that `supabase init` writes tells.
    pub(crate) fn exposes_secrets(&self) -> bool {
        if !self.path(SECRETS).is_file() {
            return false;
        }
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.root).args(["check-ignore", "--quiet", SECRETS]).stderr(Stdio::null());
        match git.status().ok().and_then(|status| status.code()) {
            Some(0) => false,
            Some(1) => true,
            _ => {
                let ignored = fs::read_to_string(self.path(IGNORED)).unwrap_or_default();
                !ignored.lines().any(|line| [".env", "/.env", ".env*"].contains(&line.trim()))
            }
        }
    }

    /// The names of what is in a directory, in order; nothing if there is no such directory.
    pub(crate) fn entries(&self, directory: &str) -> Result<Vec<String>> {
        match self.real(directory)?.read_dir().and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => {
                let names = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
                let mut names: Vec<_> = names.collect();
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
        let write = || {
            fs::create_dir_all(directory)?;
            // Made anew under a name that nobody knows beforehand: one that is there may be a link to somewhere else.
            let mut partial = tempfile::Builder::new()
                .prefix(".calendar-webhooks-")
                .permissions(Permissions::from_mode(0o666))
                .tempfile_in(directory)?;
            partial.write_all(content)?;
            if let Ok(replaced) = fs::metadata(&target) {
                partial.as_file().set_permissions(replaced.permissions())?;
            }
            partial.persist(&target).map(|_| ()).map_err(|failed| failed.error)
        };
        write().with_context(|| format!("cannot write {path}"))
    }

    pub(crate) fn remove(&self, path: &str) -> Result<()> {
        match fs::remove_file(self.entry(path)?) {
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
        fs::create_dir_all(directory)
            .and_then(|()| fs::rename(source, &target))
            .with_context(|| format!("cannot move {from} to {to}"))?;
        self.remove_empty_parents(from);
        Ok(())
    }

    /// Where a path leads, links followed: never out of the project.
    fn real(&self, path: &str) -> Result<PathBuf> {
        let whole = self.path(path);
        let there = whole.ancestors().find(|path| path.exists()).unwrap_or(&self.root);
        let real = there.canonicalize().with_context(|| format!("cannot open {path}"))?;
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
        match Path::new(path).ancestors().find(|path| self.root.join(path).is_symlink()) {
            Some(link) if !self.root.join(link).exists() => {
                bail!("{} is a symbolic link to nothing: remove or mend it", link.display())
            }
            _ => Ok(()),
        }
    }

    fn remove_empty_parents(&self, path: &str) {
        for directory in Path::new(path).ancestors().skip(1).take_while(|path| path.components().count() > 1)
        {
            // Fails where something is left in it.
            if fs::remove_dir(self.root.join(directory)).is_err() {
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
