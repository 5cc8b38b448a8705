//! `@supabase/lite` on PGlite: Auth for every backend, and REST for its own.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::process::Command;

use crate::keys::ApiKeys;
use crate::npm_tools;
use crate::output::Output;
use crate::process::{Process, accepts_connections, free_port};
use crate::schema::Migration;

/// PGlite creates its database in WASM at the first start.
const READY_WITHIN: Duration = Duration::from_secs(60);

pub(crate) struct Lite {
    server: Process,
    port: u16,
    _project: TempDir,
}

impl Lite {
    /// Auth alone, on a database without a single table of the project.
    pub(crate) async fn auth(keys: &ApiKeys) -> Result<Self> {
        Self::start(keys, None).await
    }

    /// Auth and REST, on a database with the project's migrations.
    pub(crate) async fn auth_and_rest(keys: &ApiKeys, migrations: &[Migration]) -> Result<Self> {
        Self::start(keys, Some(migrations)).await
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await;
    }

    async fn start(keys: &ApiKeys, migrations: Option<&[Migration]>) -> Result<Self> {
        let project = tempfile::Builder::new().prefix("local-supabase-lite-").tempdir()?;
        let port = free_port().await?;
        let directory = project.path().join("supabase/migrations");
        fs::create_dir_all(&directory)?;
        fs::write(project.path().join("supabase/config.toml"), config(keys, port))?;

        if let Some(migrations) = migrations {
            for migration in migrations {
                fs::write(directory.join(&migration.name), &migration.sql)?;
            }
            let result = lite(project.path())?.args(["migration", "up"]).output().await?;
            let text = [result.stdout, result.stderr].concat();
            ensure!(
                result.status.success(),
                "lite refused the migrations:\n{}",
                String::from_utf8_lossy(&text)
            );
        }

        let mut command = lite(project.path())?;
        // Its admin mode would serve requests without a key as service_role.
        command.args(["start", "--no-admin"]);
        let mut server = Process::spawn(command, &Output::kept("lite"))?;
        server
            .wait_until(READY_WITHIN, || accepts_connections(port))
            .await
            .context("@supabase/lite did not start")?;
        Ok(Self { server, port, _project: project })
    }
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
