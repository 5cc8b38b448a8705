//! Programs under test and the real Supabase CLI, away from this machine's own settings.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use local_supabase::repository;
use machine::terminal::quoted;
use system_tests::{command, node, package_in};
use tempfile::TempDir;

pub(crate) fn install() -> Command {
    command("install")
}

pub(crate) fn uninstall() -> Command {
    command("uninstall")
}

pub(crate) fn deploy() -> Command {
    command("deploy")
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

    /// Keeps a command away from this machine's settings; the one of the package also from Rust.
    pub(crate) fn command(&self, mut command: Command) -> Command {
        let path = std::env::var_os("PATH").unwrap();
        let is_for_all = |directory: &PathBuf| package_in().is_none() || !directory.join("cargo").exists();
        let path = [self.path("bin")].into_iter().chain(std::env::split_paths(&path).filter(is_for_all));
        command
            .env("PATH", std::env::join_paths(path).unwrap())
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
        let mut command = self.command(supabase());
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

/// The real CLI.
pub(crate) fn supabase() -> Command {
    Command::new(repository().join("scripts/node_modules/.bin/supabase"))
}

/// A command line as it is to be typed.
fn command_line(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
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
    pub(crate) fn refused(self) -> Self {
        assert_eq!(self.code, Some(2), "{}", self.text);
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

/// As a person at a terminal who types this command, with the variables that it was given besides, and then this.
pub(crate) fn said_on_terminal(home: &Home, command: &Command, typed: &str) -> Said {
    use std::io::Write as _;
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &command_line(command), "/dev/null"]);
    let variables: Vec<_> = command.get_envs().filter_map(|(name, value)| Some((name, value?))).collect();
    let mut command = home.command(script);
    command.envs(variables);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let Output { status, stdout, .. } = child.wait_with_output().unwrap();
    Said { code: status.code(), text: String::from_utf8_lossy(&stdout).into_owned() }
}
