//! What the database is made of: Supabase's own part, and the project's migrations.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use tokio_postgres::Client;

use crate::extensions::StandIns;
use crate::statements::{Statement, statements};

/// Roles and Auth's part, which lite brings itself.
const ROLES_AND_AUTH: &str = include_str!("../sql/roles_and_auth.sql");
/// The rest of what every project has, for PGlite too.
pub(crate) const EVERY_PROJECT: &str = include_str!("../sql/every_project.sql");
const AUTO_EXPOSE_NEW_TABLES: &str = include_str!("../sql/auto_expose_new_tables.sql");

/// A migration file: its name and its SQL.
pub struct Migration {
    pub name: String,
    pub sql: String,
}

/// What becomes of a statement that fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// Nothing starts.
    #[default]
    Stop,
    /// The statement is left out, and named. What enables pg_cron, pg_net or Vault, or uses them, meets stand-ins.
    LeaveOut,
}

/// A statement that this database could not run.
#[derive(Debug)]
pub struct LeftOut {
    file: String,
    line: usize,
    beginning: String,
    reason: String,
}

impl LeftOut {
    pub(crate) fn new(file: &str, statement: &Statement<'_>, reason: String) -> Self {
        Self { file: file.to_owned(), line: statement.line, beginning: statement.beginning(), reason }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, beginning, reason } = self;
        write!(formatter, "{file}, line {line}: {reason}: {beginning}")
    }
}

/// The migration that stands for `auto_expose_new_tables = true` in a `config.toml`; it comes before all others.
pub fn auto_exposing(config: &Path) -> Result<Option<Migration>> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Config {
        api: Api,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Api {
        auto_expose_new_tables: bool,
    }
    let Ok(text) = fs::read_to_string(config) else { return Ok(None) };
    let config: Config = toml::from_str(&text).context("supabase/config.toml")?;
    Ok(config.api.auto_expose_new_tables.then(|| Migration {
        name: "00000000000001_auto_expose_new_tables.sql".to_owned(),
        sql: AUTO_EXPOSE_NEW_TABLES.to_owned(),
    }))
}

/// The migrations of a directory, in the order in which Supabase applies them.
pub fn migrations(directory: &Path) -> Result<Vec<Migration>> {
    let mut paths: Vec<PathBuf> = directory
        .read_dir()
        .with_context(|| format!("no migrations in {}", directory.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            Ok(Migration { name, sql: fs::read_to_string(path)? })
        })
        .collect()
}

/// Turns an empty PostgreSQL database into that of a Supabase project.
pub async fn create(client: &Client, migrations: &[Migration]) -> Result<()> {
    create_but(client, migrations, OnFailure::Stop).await.map(drop)
}

/// The same; → what was left out.
pub async fn create_but(
    client: &Client,
    migrations: &[Migration],
    on_failure: OnFailure,
) -> Result<Vec<LeftOut>> {
    let own = [("roles_and_auth.sql", ROLES_AND_AUTH), ("every_project.sql", EVERY_PROJECT)];
    for (name, sql) in own {
        client.batch_execute(sql).await.context(name)?;
    }
    let mut left_out = Vec::new();
    let mut stand_ins = StandIns::default();
    for migration in migrations {
        // As `supabase db push` does: all of a file, or nothing.
        client.batch_execute("begin").await?;
        for statement in statements(&migration.sql) {
            if controls_transaction(&statement) {
                continue;
            }
            let Err(reason) = apply(client, &statement, on_failure, &mut stand_ins).await? else { continue };
            let failed = LeftOut::new(&migration.name, &statement, reason);
            if on_failure == OnFailure::Stop {
                client.batch_execute("rollback").await?;
                return Err(anyhow!("{failed}"));
            }
            left_out.push(failed);
        }
        client.batch_execute("commit").await?;
    }
    Ok(left_out)
}

/// → why the statement failed, if it did; the transaction is as before it then, or lost where that stops everything.
async fn apply(
    client: &Client,
    statement: &Statement<'_>,
    on_failure: OnFailure,
    stand_ins: &mut StandIns,
) -> Result<Result<(), String>> {
    if on_failure == OnFailure::LeaveOut {
        for sql in stand_ins.needed_by(statement) {
            client.batch_execute(sql).await?;
        }
        if stand_ins.is_done_by(statement) {
            return Ok(Ok(()));
        }
        client.batch_execute("savepoint before_statement").await?;
    }
    match client.batch_execute(statement.text).await {
        Ok(()) => Ok(Ok(())),
        Err(error) => {
            let Some(refusal) = error.as_db_error() else { return Err(error.into()) };
            if on_failure == OnFailure::LeaveOut {
                client.batch_execute("rollback to before_statement").await?;
            }
            Ok(Err(refusal.message().to_owned()))
        }
    }
}

/// Whether it begins or ends a transaction: each file is one here, whatever it says.
pub(crate) fn controls_transaction(statement: &Statement<'_>) -> bool {
    let words: Vec<String> = statement.code().split_whitespace().map(str::to_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    matches!(
        words.as_slice(),
        ["begin" | "commit" | "end"]
            | ["begin" | "commit" | "end", "transaction" | "work"]
            | ["start", "transaction"]
    )
}
