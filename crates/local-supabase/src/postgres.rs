//! A PostgreSQL server with a throw-away database.

use std::future::poll_fn;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Signal, geteuid};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::error::DbError;
use tokio_postgres::{AsyncMessage, Client, NoTls};

use crate::npm_tools;
use crate::output::Output;
use crate::process::{Process, free_port};

const READY_WITHIN: Duration = Duration::from_secs(30);

/// What every server is started with.
const SETTINGS: &[&str] = &[
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    // What is lost with the machine may be lost; what was committed outlives a crash of the server.
    "fsync=off",
    "full_page_writes=off",
    "timezone=UTC",
];

/// Its workers run jobs over connections of their own.
const PG_CRON: &[&str] =
    &["shared_preload_libraries=pg_cron", "cron.database_name=postgres", "cron.host=127.0.0.1"];

pub struct Cluster {
    server: Option<Process>,
    settings: Vec<&'static str>,
    programs: PathBuf,
    directory: TempDir,
    account: Option<Account>,
    port: u16,
    output: Output,
}

impl Cluster {
    /// Of the version that npm brought, or else of this machine's.
    pub async fn start() -> Result<Self> {
        Self::start_on(free_port().await?).await
    }

    pub(crate) async fn start_on(port: u16) -> Result<Self> {
        let account = Account::if_root().await?;
        let is_open = |programs: &PathBuf| account.is_none() || is_open_to_all(programs);
        let programs = npm_tools::postgresql().filter(is_open).map_or_else(programs, Ok)?;
        Self::start_with(programs, account, port, &[]).await
    }

    /// Of this machine's version, for which there may be extensions.
    pub(crate) async fn start_of_this_machine_on(port: u16) -> Result<Self> {
        Self::start_with(programs()?, Account::if_root().await?, port, &[]).await
    }

    /// A cluster of this machine's PostgreSQL, in whose database `create extension pg_cron` works, and jobs run.
    pub async fn start_with_pg_cron() -> Result<Self> {
        let account = Account::if_root().await?;
        Self::start_with(programs()?, account, free_port().await?, PG_CRON).await.with_context(|| {
            let program = programs().ok().and_then(|programs| programs.join("postgres").canonicalize().ok());
            let version = program.and_then(|program| version(program.parent()?));
            let version = version.map_or("NN".to_owned(), |version| version.to_string());
            format!(
                "is pg_cron missing? Install it, on Debian with `apt-get install postgresql-{version}-cron`"
            )
        })
    }

    async fn start_with(
        programs: PathBuf,
        account: Option<Account>,
        port: u16,
        settings: &[&'static str],
    ) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("local-supabase-postgres-").tempdir()?;
        if let Some(account) = &account {
            chown(directory.path(), Some(account.user), Some(account.group))?;
        }
        let mut cluster = Self {
            server: None,
            settings: [SETTINGS, settings].concat(),
            programs,
            directory,
            account,
            port,
            output: Output::kept("postgres"),
        };
        cluster.initialise().await.context("PostgreSQL's initdb failed")?;
        cluster.restart().await?;
        Ok(cluster)
    }

    /// The database's address for its superuser.
    pub fn url(&self) -> String {
        self.url_as("postgres")
    }

    /// The database's address for another role; nobody needs a password.
    pub fn url_as(&self, role: &str) -> String {
        url(role, self.port)
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        self.output.text()
    }

    pub async fn connect(&self) -> Result<Client> {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// The same, and what the server warns this connection of.
    pub(crate) async fn connect_warned(&self) -> Result<(Client, UnboundedReceiver<DbError>)> {
        let (client, mut connection) = tokio_postgres::connect(&self.url(), NoTls).await?;
        let (sender, warnings) = unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                match message {
                    AsyncMessage::Notice(notice) if notice.severity() == "WARNING" => {
                        // Nobody may listen any more.
                        let _ = sender.send(notice);
                    }
                    _ => {}
                }
            }
        });
        Ok((client, warnings))
    }

    /// Ends the server, and with it every connection; the data stays.
    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    /// Ends the server as a crash does: every connection breaks, and the next start recovers what was committed.
    pub async fn crash(&mut self) {
        if let Some(server) = self.server.take() {
            server.crash().await;
        }
    }

    /// Starts the server, after ending the one that runs, on the same port and with the same data.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await;
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        // INT is a fast shutdown; QUIT an immediate one, after which no backend and no shared memory is left,
        // as there would be after KILL.
        let mut server = Process::spawn(command, &self.output)?.ended_by(Signal::INT, Signal::QUIT);
        let url = self.url();
        server
            .wait_until(READY_WITHIN, || async { tokio_postgres::connect(&url, NoTls).await.is_ok() })
            .await
            .context("PostgreSQL did not start")?;
        self.server = Some(server);
        Ok(())
    }

    async fn initialise(&self) -> Result<()> {
        let result = self
            .program("initdb")
            .arg("-D")
            .arg(self.data())
            .args(["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"])
            .args(["--no-sync", "--no-instructions"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        ensure!(result.status.success(), "{}", String::from_utf8_lossy(&result.stderr));
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.env("LC_ALL", "C").current_dir(self.directory.path());
        if let Some(account) = &self.account {
            command.uid(account.user).gid(account.group);
        }
        command
    }
}

/// The address of a database on this machine.
pub(crate) fn url(role: &str, port: u16) -> String {
    format!("postgres://{role}@127.0.0.1:{port}/postgres")
}

/// Whom PostgreSQL runs as when this program runs as root, which PostgreSQL refuses.
struct Account {
    user: u32,
    group: u32,
}

impl Account {
    async fn if_root() -> Result<Option<Self>> {
        if geteuid().is_root() { Self::unprivileged().await.map(Some) } else { Ok(None) }
    }

    async fn unprivileged() -> Result<Self> {
        for name in ["postgres", "nobody"] {
            if let (Ok(user), Ok(group)) = (id("-u", name).await, id("-g", name).await) {
                return Ok(Self { user, group });
            }
        }
        bail!("PostgreSQL does not run as root, and there is no account postgres or nobody to run it as")
    }
}

async fn id(what: &str, account: &str) -> Result<u32> {
    let result = Command::new("id").args([what, account]).output().await?;
    Ok(String::from_utf8(result.stdout)?.trim().parse()?)
}

/// Whether another account may run what is in a directory.
fn is_open_to_all(directory: &Path) -> bool {
    let is_open =
        |path: &Path| path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o1 != 0);
    directory.ancestors().all(is_open)
}

/// The directory of this machine's `postgres` and `initdb`: from PATH, or where Debian puts them, the newest version
/// first.
fn programs() -> Result<PathBuf> {
    let in_path = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
        .unwrap_or_default();
    let mut versions: Vec<PathBuf> = Path::new("/usr/lib/postgresql")
        .read_dir()
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect())
        .unwrap_or_default();
    versions.sort_by_key(|path| std::cmp::Reverse(version(path)));
    in_path
        .into_iter()
        .chain(versions)
        .find(|directory| executable(&directory.join("postgres")) && executable(&directory.join("initdb")))
        .context("PostgreSQL is missing: install it, on Debian with `apt-get install postgresql`")
}

/// The major version that a directory of Debian's programs is of.
fn version(programs: &Path) -> Option<u32> {
    programs.parent()?.file_name()?.to_str()?.parse().ok()
}

fn executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
