//! A running project, the doctor beside it, and what must hold whatever it finds.

use std::ops::Deref;
use std::process::Stdio;
use std::sync::Arc;

use dev_stack::{Config, Stack};
use local_supabase::Backend;
use serde_json::{Value, json};
use system_tests::{Caller, Connection, Project, REFRESH, command, until};
use tempfile::TempDir;
use tokio::process::Command;

use crate::detour::Detour;

pub(crate) struct World {
    pub stack: Stack,
    /// The project's address for the doctor.
    pub detour: Arc<Detour>,
    pub project: Project,
    /// Where the doctor runs: without a `supabase/.env`.
    pub directory: TempDir,
    client_secret: String,
}

/// Google's first message has arrived, before the channel was stored or after.
pub(crate) const GREETED: &str =
    "(webhook_confirmed_id is not distinct from webhook_id or webhook_message_number > 0)";

/// A world is a project.
impl Deref for World {
    type Target = Project;

    fn deref(&self) -> &Project {
        &self.project
    }
}

/// What the doctor said.
pub(crate) struct Report {
    pub text: String,
    pub json: Value,
    pub code: i32,
}

impl Report {
    /// Everything that is wrong, as check and code.
    pub(crate) fn wrong(&self) -> Vec<(&str, &str)> {
        let checks = self.json["checks"].as_array().unwrap().iter();
        checks
            .filter(|check| check["verdict"] == "wrong")
            .map(|check| (check["id"].as_str().unwrap(), check["code"].as_str().unwrap()))
            .collect()
    }

    /// That these findings are all there are, each with its line.
    #[track_caller]
    pub(crate) fn finds(&self, expected: &[(&str, &str, &str)]) {
        let codes: Vec<(&str, &str)> = expected.iter().map(|(id, code, _)| (*id, *code)).collect();
        assert_eq!(self.wrong(), codes, "{}", self.text);
        for (id, _, line) in expected {
            self.says("✗", id, line);
        }
        assert_eq!(self.code, 1, "{}", self.text);
    }

    #[track_caller]
    pub(crate) fn says(&self, sign: &str, id: &str, line: &str) {
        let line = format!("{sign} {id:24}  {line}");
        assert!(self.text.lines().any(|said| said == line), "no line\n{line}\nin\n{}", self.text);
    }

    /// That nothing is wrong and nothing is left unjudged.
    #[track_caller]
    pub(crate) fn is_all_well(&self) {
        for check in self.json["checks"].as_array().unwrap() {
            assert_eq!(check["verdict"], "ok", "{}", self.text);
        }
        assert!(!self.text.contains('✗') && !self.text.contains('–'), "{}", self.text);
        assert_eq!(self.code, 0, "{}", self.text);
    }

    pub(crate) fn check(&self, id: &str) -> &Value {
        let checks = self.json["checks"].as_array().unwrap();
        checks.iter().find(|check| check["id"] == id).unwrap_or_else(|| panic!("no check {id}"))
    }
}

impl World {
    pub(crate) async fn start(config: Config) -> Self {
        let client_secret = config.google.client_secret.clone();
        let stack = Stack::start(config, |_| {}).await.unwrap();
        Self {
            detour: Detour::start(stack.url()).await,
            project: Project::of(&stack),
            stack,
            directory: tempfile::tempdir().unwrap(),
            client_secret,
        }
    }

    pub(crate) async fn on_postgres() -> Self {
        Self::start(Config { backend: Backend::Postgrest, ..Config::default() }).await
    }

    /// As after the start, and swept a moment ago.
    pub(crate) async fn reset(&self) {
        self.detour.restore();
        self.google_control("reset", json!({})).await;
        self.forget_behaviours().await;
        self.sql("delete from calendar_connections").await;
        self.sql("delete from calendar_webhook_sweeps").await;
        self.swept("now()").await;
    }

    pub(crate) async fn sql(&self, sql: &str) {
        self.project.sql(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:#}"));
    }

    /// Records a sweep, as `refresh-calendar-webhook` does.
    pub(crate) async fn swept(&self, at: &str) {
        self.sql(&format!(
            "insert into calendar_webhook_sweeps
               (finished_at, duration_ms, renewed, stopped, synced, reconciled, failed, remaining)
             values ({at}, 100, 0, 0, 0, 0, '[]', 0)"
        ))
        .await;
    }

    /// A connection with an open channel, on which Google has said hello and after which a run was made.
    pub(crate) async fn open(&self) -> Connection {
        let connection = self.connection().await;
        self.open_channel(&connection).await;
        connection
    }

    /// Asks a function as the service, about one connection. → the status
    pub(crate) async fn ask(&self, function: &str, connection: &Connection) -> u16 {
        self.call(function, Caller::Service, connection.target()).await.unwrap().status
    }

    /// Presses the connection's button, long after the last time.
    pub(crate) async fn refresh(&self, connection: &Connection) -> u16 {
        self.set(connection, "webhook_opened_at = now() - interval '1 hour'").await;
        self.ask(REFRESH, connection).await
    }

    /// Waits until the row is so.
    pub(crate) async fn wait(&self, connection: &Connection, condition: &str) {
        let sql = format!("select {condition} from calendar_connections where id = $1");
        until(condition, || async {
            let row = &self.project.sql(&sql, &[&connection.id]).await.unwrap()[0];
            (row.get::<_, Option<bool>>(0) == Some(true)).then_some(())
        })
        .await;
    }

    /// What the doctor finds. It is asked twice, for people and for programs.
    pub(crate) async fn examine(&self) -> Report {
        self.examine_with(&[]).await
    }

    /// With other variables than the project's; an empty one is not set.
    pub(crate) async fn examine_with(&self, changes: &[(&str, &str)]) -> Report {
        let before = self.fingerprint().await;
        let text = self.run(&[], changes).await;
        let json = self.run(&["--json"], changes).await;
        assert_eq!(self.fingerprint().await, before, "the doctor has changed something");
        assert_eq!(text.code, json.code, "{}\n{}", text.text, json.text);
        let object: Value = serde_json::from_str(&json.text).unwrap();
        assert_eq!(object["ok"], json!(json.code == 0));
        Report { json: object, ..text }
    }

    /// Runs the doctor; what it prints holds no secret. → standard output
    pub(crate) async fn run(&self, arguments: &[&str], changes: &[(&str, &str)]) -> Report {
        let output = self.command(arguments, changes).output().await.unwrap();
        let (stdout, stderr) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        for secret in self.secrets(changes).await {
            assert!(
                !stdout.contains(&secret) && !stderr.contains(&secret),
                "{secret} in\n{stdout}\n{stderr}"
            );
        }
        assert!(!stdout.contains('\u{1b}'), "colours where there is no terminal");
        let text = if stdout.is_empty() { stderr } else { stdout };
        Report { text, json: Value::Null, code: output.status.code().unwrap() }
    }

    fn command(&self, arguments: &[&str], changes: &[(&str, &str)]) -> Command {
        let mut command = Command::from(command("doctor"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .envs(self.stack.doctor_environment())
            .env("SUPABASE_URL", &self.detour.url)
            .envs(changes.iter().copied())
            .stdin(Stdio::null());
        command
    }

    /// Keys, tokens, and e-mail addresses, which are ids of calendars.
    async fn secrets(&self, changes: &[(&str, &str)]) -> Vec<String> {
        let stack = &self.stack;
        let keys = [
            stack.keys().secret.as_str(),
            stack.keys().legacy_service_role.as_str(),
            stack.keys().jwt_secret.as_str(),
            &self.client_secret,
        ];
        let mut secrets: Vec<String> = keys.map(str::to_owned).into();
        let is_secret = |name: &str| name.contains("KEY") || name.contains("SECRET");
        secrets
            .extend(changes.iter().filter(|(name, _)| is_secret(name)).map(|(_, value)| (*value).to_owned()));
        let tokens = "select unnest(array[access_token, refresh_token, webhook_token, webhook_token_hash, calendar_id])
                        from calendar_connections";
        let tokens = self.project.sql(tokens, &[]).await.unwrap_or_default();
        secrets.extend(tokens.iter().filter_map(|row| row.get::<_, Option<String>>(0)));
        secrets.push("@gmail.com".to_owned());
        secrets.retain(|secret| !secret.is_empty());
        secrets
    }

    /// Of everything that the functions write.
    async fn fingerprint(&self) -> Option<String> {
        let sql = "select md5(string_agg(line, E'\\n' order by line)) from (
                     select c::text from calendar_connections c
                     union all select s::text from calendar_webhook_sweeps s
                     union all select r::text from calendar_webhook_requests r) as lines (line)";
        // lite's database cannot be looked into.
        let rows = self.project.sql(sql, &[]).await.ok()?;
        rows[0].get(0)
    }
}
