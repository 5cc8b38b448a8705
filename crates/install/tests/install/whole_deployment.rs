//! All that scripts/deploy does, to a project that is well in the end: what the CLI uploads is served by Deno, what it
//! sets is the functions' environment, pg_cron has them sweep, and a calendar is connected.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use dev_stack::{Config, Stack};
use local_supabase::{Backend, extensions, repository};
use serde_json::Value;
use system_tests::{Project, package_in};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::cli::{self, Said, said};
use crate::management_api::{ManagementApi, PROJECT};
use crate::sandbox::{FUNCTIONS, Sandbox};

/// What Supabase answers in the place of a function that is not deployed.
const NOT_DEPLOYED: &str = r#"export default {
  fetch: () => Response.json({ code: "NOT_FOUND", message: "Requested function was not found" }, { status: 404 }),
};
"#;

/// A hosted project, before the first deployment and after.
struct Hosted {
    stack: Stack,
    project: Project,
    api: ManagementApi,
    publications: UnboundedReceiver<oneshot::Sender<()>>,
    sandbox: Sandbox,
}

impl Hosted {
    async fn start() -> Self {
        let supabase = tempfile::tempdir().unwrap();
        let directory = |path: &str| supabase.path().join(path);
        fs::create_dir(directory("migrations")).unwrap();
        let mut config = String::new();
        for function in FUNCTIONS {
            fs::create_dir_all(directory(&format!("functions/{function}"))).unwrap();
            fs::write(directory(&format!("functions/{function}/index.ts")), NOT_DEPLOYED).unwrap();
            config += &format!("[functions.{function}]\nverify_jwt = false\n");
        }
        fs::write(directory("config.toml"), config).unwrap();

        let google = fake_google::Config::default();
        let (client_id, client_secret) = (google.client_id.clone(), google.client_secret.clone());
        let unset =
            ["GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET", "GOOGLE_CALENDAR_API_URL", "GOOGLE_OAUTH_TOKEN_URL"];
        let config = Config {
            backend: Backend::Postgrest,
            functions_dir: directory("functions"),
            migrations_dir: directory("migrations"),
            extra_env: unset.map(|name| (name.to_owned(), String::new())).into(),
            google,
            needs_extensions: true,
            ..Config::default()
        };
        let mut stack = Stack::start(config, |_| {}).await.unwrap();
        stack.enable_extensions().await.unwrap();

        let sandbox = Sandbox::lived_in();
        sandbox.install(&["--yes"]).succeeded();
        let variables = format!(
            "GOOGLE_CLIENT_ID={client_id}\nGOOGLE_CLIENT_SECRET='{client_secret}'\nGOOGLE_CALENDAR_API_URL={}\n\
             GOOGLE_OAUTH_TOKEN_URL={}\nSUPABASE_SECRET_KEY={}\n",
            stack.google().calendar_api_url(),
            stack.google().oauth_token_url(),
            stack.keys().secret.as_str(),
        );
        sandbox.write("supabase/.env", &variables);
        let api = ManagementApi::start();
        let publications = api.publications();
        Self { project: Project::of(&stack), stack, api, publications, sandbox }
    }

    /// Runs the whole script, and puts online what the CLI publishes meanwhile.
    async fn deploy(&mut self) -> Said {
        let deploy = match package_in() {
            Some(_) => cli::deploy(),
            None => Command::new(repository().join("scripts/deploy")),
        };
        let mut command = self.sandbox.home.command(deploy);
        let database = format!("{}?sslmode=disable", self.stack.database_url().unwrap());
        command
            .arg("--workdir")
            .arg(self.sandbox.root())
            .args(["--yes", "--project-ref", PROJECT, "--db-url", &database, "--url", self.stack.url()])
            .envs(self.api.environment(&self.sandbox.home));
        let mut deploying = spawn_blocking(move || said(&mut command));
        let online = tokio::select! {
            said = &mut deploying => return said.unwrap(),
            online = self.publications.recv() => online.unwrap(),
        };
        let uploaded = tempfile::tempdir().unwrap();
        self.publish(uploaded.path()).await;
        online.send(()).unwrap();
        deploying.await.unwrap()
    }

    async fn publish(&mut self, directory: &Path) {
        self.api.unpack(directory);
        let secrets = self.api.secrets();
        let secrets: Vec<(&str, &str)> =
            secrets.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.stack.deploy(&directory.join("supabase/functions"), &secrets).await.unwrap();
        // A hosted PostgREST is told when the schema changes.
        self.stack.postgrest().unwrap().restart().await.unwrap();
    }

    /// Sends what pg_cron has pg_net ask for, until it is so.
    async fn until(&self, condition: &str) {
        let deadline = Instant::now() + Duration::from_secs(100);
        let database = self.project.database().await.unwrap();
        while !database.query_one(condition, &[]).await.unwrap().get::<_, bool>(0) {
            assert!(Instant::now() < deadline, "still not: {condition}");
            extensions::send_requests(&database, &self.project.http).await.unwrap();
            sleep(Duration::from_millis(200)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_healthy_after_what_the_first_one_has_asked_for() {
    let mut hosted = Hosted::start().await;
    let first = hosted.deploy().await.succeeded().with("One thing is left to do").without("GOCSPX");
    let asked = first.text.lines().find(|line| line.trim_start().starts_with("select schedule_"));
    let sql = format!(
        "select vault.create_secret('{}', 'calendar_webhook_secret_key'); {}",
        hosted.stack.keys().secret.as_str(),
        asked.unwrap()
    );
    hosted.project.database().await.unwrap().batch_execute(&sql).await.unwrap();
    hosted.project.open_channel(&hosted.project.connection().await).await;
    hosted.until("select exists (select from calendar_webhook_sweeps)").await;
    hosted.until("select bool_and(sync_request_id is null) from calendar_connections").await;

    // The log tells how long after what it was asked for a run was done.
    let log = hosted.stack.function_log("setup-calendar-webhook");
    let run = log.lines().find_map(|line| {
        serde_json::from_str::<Value>(line).ok().filter(|line| line["event"] == "run_succeeded")
    });
    let run = run.unwrap_or_else(|| panic!("no run in {log}"));
    assert!(run["lag_ms"].as_u64().unwrap() >= run["duration_ms"].as_u64().unwrap(), "{run}");

    let second = hosted.deploy().await.succeeded();
    for step in ["files", "secrets", "migrations", "functions", "doctor"] {
        assert!(second.text.contains(&format!("\n✓ {step}, ")), "{step}: {}", second.text);
    }
    let second = second.with("pg_cron calls refresh-calendar-webhook").with("1 connection in all: 1 active");
    second.with("\nDeployed.\n").without("✗").without("One thing is left");
    hosted.stack.stop().await;
}
