//! What the database is made of: Supabase's own part, and the project's migrations.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio_postgres::Client;
use tokio_postgres::error::ErrorPosition;

const SUPABASE: &str = include_str!("../sql/supabase.sql");

/// A migration file: its name and its SQL.
pub struct Migration {
    pub name: String,
    pub sql: String,
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

/// Turns an empty PostgreSQL database into that of a Supabase project. lite does the same by itself.
pub async fn create(client: &Client, migrations: &[Migration]) -> Result<()> {
    apply(client, "supabase.sql", SUPABASE).await?;
    for migration in migrations {
        apply(client, &migration.name, &migration.sql).await?;
    }
    Ok(())
}

async fn apply(client: &Client, name: &str, sql: &str) -> Result<()> {
    client.batch_execute(sql).await.map_err(|error| {
        let line = error.as_db_error().and_then(|error| match error.position() {
            Some(ErrorPosition::Original(position)) => {
                let before = sql.chars().take(*position as usize).filter(|character| *character == '\n');
                Some(before.count() + 1)
            }
            _ => None,
        });
        let place = line.map(|line| format!("{name}, line {line}")).unwrap_or_else(|| name.to_owned());
        anyhow::Error::new(error).context(place)
    })
}
