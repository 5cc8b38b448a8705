//! Programs under test and the real Supabase CLI, away from this machine's own settings.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use local_supabase::repository;
use system_tests::program;
use tempfile::TempDir;

pub(crate) fn install() -> PathBuf {
    program("install")
}

pub(crate) fn uninstall() -> PathBuf {
    program("uninstall")
}

pub(crate) fn deploy() -> PathBuf {
    program("deploy")
}

/// A home directory of its own, and a `node` that notes with which arguments it is called.
pub(crate) struct Home {
    directory: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let home = Self { directory: tempfile::tempdir().unwrap() };
        let wrapper = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$*\" >> '{}'\nprintf '%s\\n' \"$PGPASSWORD\" >> '{}'\nexec '{}' \"$@\"\n",
            home.path("arguments").display(),
            home.path("passwords").display(),
            node().display(),
        );
        fs::create_dir(home.path("bin")).unwrap();
        fs::write(home.path("bin/node"), wrapper).unwrap();
        fs::set_permissions(home.path("bin/node"), fs::Permissions::from_mode(0o755)).unwrap();
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new(program);
        command
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("SUPABASE_HOME", self.directory.path())
            .env("SUPABASE_TELEMETRY_DISABLED", "1")
            .env("SUPABASE_NO_UPDATE_NOTIFIER", "1")
            .env("SUPABASE_NO_KEYRING", "1")
            .stdin(Stdio::null());
        for name in [
            "GOOGLE_CLIENT_ID",
            "GOOGLE_CLIENT_SECRET",
            "PGPASSWORD",
            "SUPABASE_ACCESS_TOKEN",
            "SUPABASE_DB_PASSWORD",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// The real CLI.
    pub(crate) fn supabase(&self, workdir: &Path, arguments: &[&str]) -> Said {
        let mut command = self.command(repository().join("scripts/node_modules/.bin/supabase"));
        said(command.args(arguments).arg("--workdir").arg(workdir))
    }

    /// The arguments of every CLI command so far, a line each.
    pub(crate) fn command_lines(&self) -> String {
        fs::read_to_string(self.path("arguments")).unwrap_or_default()
    }

    /// What every CLI command so far found in PGPASSWORD, a line each.
    pub(crate) fn passwords(&self) -> String {
        fs::read_to_string(self.path("passwords")).unwrap_or_default()
    }
}

fn node() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path)
        .map(|directory| directory.join("node"))
        .find(|node| node.is_file())
        .expect("node")
}

/// What a program printed, on both channels.
pub(crate) struct Said {
    pub code: Option<i32>,
    pub text: String,
}

impl Said {
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.text);
        self
    }

    #[track_caller]
    pub(crate) fn failed(self) -> Self {
        assert_eq!(self.code, Some(1), "{}", self.text);
        self
    }

    #[track_caller]
    pub(crate) fn with(self, expected: &str) -> Self {
        assert!(self.text.contains(expected), "no {expected:?} in:\n{}", self.text);
        self
    }

    #[track_caller]
    pub(crate) fn without(self, unexpected: &str) -> Self {
        assert!(!self.text.contains(unexpected), "{unexpected:?} in:\n{}", self.text);
        self
    }
}

pub(crate) fn said(command: &mut Command) -> Said {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    Said { code: status.code(), text }
}

/// As a person at a terminal who types this.
pub(crate) fn said_on_terminal(home: &Home, command_line: &str, typed: &str) -> Said {
    use std::io::Write as _;
    let mut command = home.command("script");
    command.args(["--quiet", "--return", "--command", command_line, "/dev/null"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let Output { status, stdout, .. } = child.wait_with_output().unwrap();
    Said { code: status.code(), text: String::from_utf8_lossy(&stdout).into_owned() }
}
