//! A function of `supabase/functions`, served by a Deno process of its own and restarted when that ends.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use tokio::process::Command;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::npm_tools;
use crate::output::Output;
use crate::process::{Process, accepts_connections, free_port};

const READY_WITHIN: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A directory of `supabase/functions` that is a function.
pub(crate) struct Source {
    pub name: String,
    /// Whether the gateway lets only requests with a valid token pass.
    pub verify_jwt: bool,
    index: PathBuf,
}

/// The functions of a directory, and what `config.toml` beside it says about them.
pub(crate) fn sources(functions: &Path) -> Result<Vec<Source>> {
    let functions =
        functions.canonicalize().with_context(|| format!("no functions in {}", functions.display()))?;
    let project = match functions.parent().map(|parent| fs::read_to_string(parent.join("config.toml"))) {
        Some(Ok(text)) => toml::from_str(&text).context("supabase/config.toml")?,
        _ => Project::default(),
    };
    let mut sources: Vec<Source> = functions
        .read_dir()?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let index = entry.path().join("index.ts");
            // A leading underscore marks shared code, for the Supabase CLI too.
            (!name.starts_with('_') && index.is_file()).then(|| {
                let settings = project.functions.get(&name);
                let verify_jwt = settings.and_then(|settings| settings.verify_jwt).unwrap_or(true);
                Source { name, verify_jwt, index }
            })
        })
        .collect();
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(sources)
}

#[derive(Default, Deserialize)]
struct Project {
    #[serde(default)]
    functions: BTreeMap<String, Settings>,
}

#[derive(Deserialize)]
struct Settings {
    verify_jwt: Option<bool>,
}

/// How the functions of one stack are run.
#[derive(Clone)]
pub(crate) struct Runtime {
    pub deno: PathBuf,
    /// For Deno's cache and the entry points; outlives the processes.
    pub directory: PathBuf,
    /// All that a function finds in its environment, Deno's own settings aside.
    pub environment: Vec<(String, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Running {
    port: u16,
    pid: Pid,
}

/// Where to reach a function's process, whichever it is at the moment.
#[derive(Clone)]
pub(crate) struct Address(watch::Receiver<Option<Running>>);

impl Address {
    /// The port of the running process, or of the next one if that is ready soon enough.
    pub(crate) async fn port(&mut self, patience: Duration) -> Option<u16> {
        let running = timeout(patience, self.0.wait_for(Option::is_some)).await.ok()?.ok()?;
        running.map(|running| running.port)
    }
}

pub(crate) struct EdgeFunction {
    running: watch::Receiver<Option<Running>>,
    /// What the next process is started with.
    launch: Arc<Mutex<Launch>>,
    output: Output,
    stop: oneshot::Sender<()>,
    supervisor: JoinHandle<()>,
}

impl EdgeFunction {
    pub(crate) async fn start(runtime: &Runtime, source: &Source, output: Output) -> Result<Self> {
        let command = Launch::new(runtime, source)?;
        let process =
            command.launch(&output).await.with_context(|| format!("{} did not start", source.name))?;
        let (report, running) = watch::channel(None);
        let (stop, stopped) = oneshot::channel();
        let launch = Arc::new(Mutex::new(command));
        let supervisor = tokio::spawn(supervise(launch.clone(), process, output.clone(), report, stopped));
        Ok(Self { running, launch, output, stop, supervisor })
    }

    /// Goes on with another code or environment.
    pub(crate) async fn deploy(&self, runtime: &Runtime, source: &Source) -> Result<()> {
        *self.launch.lock().unwrap_or_else(PoisonError::into_inner) = Launch::new(runtime, source)?;
        self.kill().await;
        Ok(())
    }

    pub(crate) fn address(&self) -> Address {
        Address(self.running.clone())
    }

    pub(crate) fn output(&self) -> &Output {
        &self.output
    }

    /// Kills the process, or the next one if none runs, as hosted Edge Functions are killed: without notice. The
    /// next one follows.
    pub(crate) async fn kill(&self) {
        let mut reports = self.running.clone();
        let Some(running) = reports.wait_for(Option::is_some).await.ok().and_then(|running| *running) else {
            return;
        };
        let _ = kill_process_group(running.pid, Signal::KILL);
        let _ = reports.wait_for(|now| *now != Some(running)).await;
    }

    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.supervisor.await;
    }
}

/// The command that serves a function.
#[derive(Clone)]
struct Launch {
    runtime: Runtime,
    working_directory: PathBuf,
    entry: PathBuf,
}

impl Launch {
    fn new(runtime: &Runtime, source: &Source) -> Result<Self> {
        let entry = runtime.directory.join(format!("{}.ts", source.name));
        let globals = npm_tools::repository().join("crates/local-supabase/edge_runtime.ts");
        // Static imports, which are evaluated in this order and need no permission to read files.
        fs::write(
            &entry,
            format!("import {globals:?};\nexport {{ default }} from {index:?};\n", index = source.index),
        )?;
        let working_directory = source.index.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self { runtime: runtime.clone(), working_directory, entry })
    }

    async fn launch(&self, output: &Output) -> Result<(Process, Running)> {
        let port = free_port().await?;
        let mut command = Command::new(&self.runtime.deno);
        command
            .args(["serve", "--quiet", "--no-prompt", "--no-lock", "--allow-net", "--allow-env"])
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .arg(&self.entry)
            .current_dir(&self.working_directory)
            .env_clear()
            .env("DENO_DIR", self.runtime.directory.join("deno"))
            .env("DENO_NO_UPDATE_CHECK", "1")
            .env("NO_COLOR", "1")
            .envs(self.runtime.environment.iter().map(|(name, value)| (name, value)));
        // Hosted functions end without notice; Deno would first wait for everything that is under way.
        let mut process = Process::spawn(command, output)?.ended_by(Signal::KILL, Signal::KILL);
        process.wait_until(READY_WITHIN, || accepts_connections(port)).await?;
        let pid = process.pid().context("it has ended already")?;
        Ok((process, Running { port, pid }))
    }
}

async fn supervise(
    launch: Arc<Mutex<Launch>>,
    first: (Process, Running),
    output: Output,
    report: watch::Sender<Option<Running>>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut next = Some(first);
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some((mut process, running)) = next.take() {
            let started = Instant::now();
            report.send_replace(Some(running));
            let signal = tokio::select! {
                signal = process.ended() => signal,
                _ = &mut stopped => return process.stop().await,
            };
            report.send_replace(None);
            output.line("the process has ended; restarting it");
            // One that was killed has not failed.
            if signal == Some(Signal::KILL.as_raw()) || started.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
        }
        tokio::select! {
            () = sleep(pause) => {}
            _ = &mut stopped => return,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
        let command = launch.lock().unwrap_or_else(PoisonError::into_inner).clone();
        tokio::select! {
            launched = command.launch(&output) => match launched {
                Ok(launched) => next = Some(launched),
                Err(error) => output.line(&format!("not restarted: {error}")),
            },
            _ = &mut stopped => return,
        }
    }
}
