//! supabase-js and `@googleapis/calendar` under Node, driven by lines of JSON.

use std::process::Stdio;

use anyhow::{Context, Result, bail};
use local_supabase::repository;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::patience::CALL_TIMEOUT;

/// A process for one signed-in user. It ends when this is dropped, or with the program: its input ends then.
pub(super) struct OfficialClients {
    pipes: Mutex<Pipes>,
    _process: Child,
}

struct Pipes {
    calls: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Ok(Value),
    Error(String),
}

impl OfficialClients {
    pub(super) fn start(supabase_url: &str, supabase_key: &str, google_url: &str) -> Result<Self> {
        let mut process = Command::new("node")
            .arg(repository().join("crates/dev-stack/src/demo/official_clients.mjs"))
            .env("NODE_MODULES", repository().join("scripts/node_modules"))
            .env("NODE_NO_WARNINGS", "1")
            .env("SUPABASE_URL", supabase_url)
            .env("SUPABASE_KEY", supabase_key)
            .env("GOOGLE_URL", google_url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C on the terminal is for this program alone.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start node")?;
        let calls = process.stdin.take().context("node has no input")?;
        let answers = process.stdout.take().context("node has no output")?;
        let pipes = Mutex::new(Pipes { calls, answers: BufReader::new(answers).lines() });
        Ok(Self { pipes, _process: process })
    }

    /// Calls a function of `official_clients.mjs`.
    pub(super) async fn call<T: DeserializeOwned>(&self, name: &str, argument: Value) -> Result<T> {
        let answer = timeout(CALL_TIMEOUT, self.exchange(name, argument)).await;
        match answer.with_context(|| format!("{name} was not answered within {CALL_TIMEOUT:?}"))?? {
            Outcome::Ok(value) => {
                serde_json::from_value(value).with_context(|| format!("what {name} returned"))
            }
            Outcome::Error(message) => bail!("{name} failed: {message}"),
        }
    }

    async fn exchange(&self, name: &str, argument: Value) -> Result<Outcome> {
        let mut pipes = self.pipes.lock().await;
        pipes.calls.write_all(format!("{}\n", json!([name, argument])).as_bytes()).await?;
        let line = pipes.answers.next_line().await?.context("node ended; its error is above")?;
        serde_json::from_str(&line).with_context(|| format!("node printed {line:?}"))
    }
}
