//! `@supabase/lite` on PGlite: Auth for every backend, and REST for its own.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::process::Command;

use crate::extensions::{StandIns, enabled_by};
use crate::keys::ApiKeys;
use crate::npm_tools;
use crate::output::Output;
use crate::process::{Process, accepts_connections, free_port};
use crate::schema::{EVERY_PROJECT, LeftOut, Migration, OnFailure, controls_transaction};
use crate::statements::{Statement, statements};

/// PGlite creates its database in WASM at the first start.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Below the directory that lite works on.
const MIGRATIONS: &str = "supabase/migrations";

/// What lite says before it quotes the statement that failed.
const REFUSED: &str = "Migration failed: Failed to execute query: ";

/// That of hosted projects.
const SEARCH_PATH: &str = "set search_path = \"$user\", public, extensions";

/// The extensions that lite starts PGlite with.
const EXTENSIONS: [&str; 5] = ["plpgsql", "pgcrypto", "ltree", "isn", "file_fdw"];

pub(crate) struct Lite {
    server: Process,
    port: u16,
    _project: TempDir,
}

impl Lite {
    /// Auth alone, on a database without a single table of the project.
    pub(crate) async fn auth(keys: &ApiKeys) -> Result<Self> {
        Workdir::create(keys).await?.start().await
    }

    /// Auth and REST, on a database with the project's migrations; and what of them was left out.
    pub(crate) async fn auth_and_rest(
        keys: &ApiKeys,
        migrations: &[Migration],
        on_failure: OnFailure,
    ) -> Result<(Self, Vec<LeftOut>)> {
        let workdir = Workdir::create(keys).await?;
        let left_out = workdir.migrate(migrations, on_failure).await?;
        Ok((workdir.start().await?, left_out))
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await;
    }
}

/// What lite works on.
struct Workdir {
    directory: TempDir,
    port: u16,
}

impl Workdir {
    async fn create(keys: &ApiKeys) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("local-supabase-lite-").tempdir()?;
        let port = free_port().await?;
        fs::create_dir_all(directory.path().join(MIGRATIONS))?;
        fs::write(directory.path().join("supabase/config.toml"), config(keys, port))?;
        Ok(Self { directory, port })
    }

    async fn start(self) -> Result<Lite> {
        let mut command = lite(self.directory.path())?;
        // Its admin mode would serve requests without a key as service_role.
        command.args(["start", "--no-admin"]);
        let mut server = Process::spawn(command, &Output::kept("lite"))?;
        server
            .wait_until(READY_WITHIN, || accepts_connections(self.port))
            .await
            .context("@supabase/lite did not start")?;
        Ok(Lite { server, port: self.port, _project: self.directory })
    }

    /// → what was left out.
    async fn migrate(&self, migrations: &[Migration], on_failure: OnFailure) -> Result<Vec<LeftOut>> {
        let mut left_out = Vec::new();
        let mut stand_ins = StandIns::default();
        self.write("00000000000000_every_project.sql", &[Part { sql: EVERY_PROJECT, of: None }])?;
        let mut files = Vec::new();
        for Migration { name, sql } in migrations {
            // PGlite forgets what was set for the database.
            let mut parts = vec![Part { sql: SEARCH_PATH, of: None }];
            for statement in statements(sql).into_iter().filter(|one| !controls_transaction(one)) {
                if on_failure == OnFailure::LeaveOut {
                    let made = stand_ins.needed_by(&statement).into_iter();
                    parts.extend(made.map(|sql| Part { sql, of: None }));
                    if stand_ins.is_done_by(&statement) {
                        continue;
                    }
                    if let Some(extension) = missing_extension(&statement) {
                        // Its function is there by other means.
                        if extension != "uuid-ossp" {
                            let reason = format!("PGlite does not have {extension}");
                            left_out.push(LeftOut::new(name, &statement, reason));
                        }
                        continue;
                    }
                }
                parts.push(Part { sql: statement.text, of: Some(statement) });
            }
            self.write(name, &parts)?;
            files.push((name, parts));
        }
        // What precedes a refusal in other files is applied; the refused file is not.
        while let Some(RefusedStatement { statement, reason, output }) = self.apply().await? {
            let refused = files.iter_mut().find_map(|(name, parts)| {
                let at = parts.iter().position(|part| part.of.is_some() && part.sql == statement)?;
                let refused = LeftOut::new(name, &parts.remove(at).of?, reason.clone());
                Some((&**name, &*parts, refused))
            });
            let Some((name, rest, refused)) = refused else {
                bail!("lite refused the migrations:\n{output}")
            };
            if on_failure == OnFailure::Stop {
                bail!("{refused}");
            }
            self.write(name, rest)?;
            left_out.push(refused);
        }
        Ok(left_out)
    }

    fn write(&self, name: &str, parts: &[Part<'_>]) -> Result<()> {
        // A comment at the end of a part must not take the semicolon.
        let sql: String = parts.iter().map(|part| format!("{}\n;\n", part.sql)).collect();
        Ok(fs::write(self.directory.path().join(MIGRATIONS).join(name), sql)?)
    }

    /// → the first statement that failed, if one did.
    async fn apply(&self) -> Result<Option<RefusedStatement>> {
        let result = lite(self.directory.path())?.args(["migration", "up"]).output().await?;
        if result.status.success() {
            return Ok(None);
        }
        let texts = [result.stdout, result.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        let quoted = texts.iter().find_map(|text| Some(text.split_once(REFUSED)?.1.trim().to_owned()));
        let output = texts.concat();
        let reason = output.lines().find_map(|line| line.strip_prefix("error: ")).unwrap_or("it failed");
        Ok(Some(RefusedStatement {
            statement: quoted.unwrap_or_default(),
            reason: reason.to_owned(),
            output,
        }))
    }
}

/// A piece of a migration file, and the statement of the project's that it is, if it is one.
struct Part<'a> {
    sql: &'a str,
    of: Option<Statement<'a>>,
}

struct RefusedStatement {
    statement: String,
    reason: String,
    /// All that lite said.
    output: String,
}

/// The extension that a statement would enable, if PGlite does not have it.
fn missing_extension(statement: &Statement<'_>) -> Option<String> {
    enabled_by(statement).filter(|extension| !EXTENSIONS.contains(&extension.as_str()))
}

fn lite(project: &Path) -> Result<Command> {
    let mut command = Command::new("node");
    command
        .arg(npm_tools::lite()?)
        .arg("--no-telemetry")
        .current_dir(project)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    Ok(command)
}

fn config(keys: &ApiKeys, port: u16) -> String {
    let ApiKeys { publishable, secret, jwt_secret, .. } = keys;
    format!(
        r#"
project_id = "local-supabase"
[api]
port = {port}
[db]
driver = "pglite"
url = "file:./supabase/.temp/data"
[auth]
publishable_key = "{publishable}"
secret_key = "{secret}"
jwt_secret = "{jwt_secret}"
[auth.email]
enable_confirmations = false
"#
    )
}
