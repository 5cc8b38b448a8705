//! A function of `supabase/functions`, served by a Deno process of its own and restarted when that ends.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use tokio::process::Command;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::imports;
use crate::output::Output;
use crate::process::{Process, accepts_connections, free_port};

const READY_WITHIN: Duration = Duration::from_secs(30);
const DOWNLOADED_WITHIN: Duration = Duration::from_secs(120);
/// What Deno says of an import that it would have to download.
const NOT_DOWNLOADED: &str = "--cached-only is specified";
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A function of a directory such as `supabase/functions`.
pub(crate) struct Source {
    pub name: String,
    /// Whether the gateway lets only requests with a valid token pass.
    pub verify_jwt: bool,
    /// The file that is run.
    entrypoint: PathBuf,
    /// A `deno.json` or an import map.
    imports: Option<PathBuf>,
    /// The directory of all of them, which it may read.
    pub functions: PathBuf,
}

/// The functions of a directory, as `config.toml` beside it says; without those that it disables.
pub(crate) fn sources(functions: &Path) -> Result<Vec<Source>> {
    let functions =
        functions.canonicalize().with_context(|| format!("no functions in {}", functions.display()))?;
    let supabase = functions.parent().unwrap_or(&functions);
    let project = match fs::read_to_string(supabase.join("config.toml")) {
        Ok(text) => toml::from_str(&text).context("supabase/config.toml")?,
        Err(_) => ConfigFile::default(),
    };
    let mut names: BTreeSet<String> = functions
        .read_dir()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        // A leading underscore marks shared code, for the Supabase CLI too.
        .filter(|name| !name.starts_with('_') && functions.join(name).join("index.ts").is_file())
        .collect();
    let elsewhere = project.functions.iter().filter(|(_, settings)| settings.entrypoint.is_some());
    names.extend(elsewhere.map(|(name, _)| name.clone()));

    let nothing = Settings::default();
    let mut sources = Vec::new();
    for name in names {
        let settings = project.functions.get(&name).unwrap_or(&nothing);
        if settings.enabled == Some(false) {
            continue;
        }
        let directory = functions.join(&name);
        let index = directory.join("index.ts");
        let entrypoint = settings.entrypoint.as_ref().map_or(index, |path| supabase.join(path));
        let imports = match &settings.import_map {
            Some(path) => Some(supabase.join(path)),
            None => {
                [directory.join("deno.json"), directory.join("deno.jsonc"), functions.join("import_map.json")]
                    .into_iter()
                    .find(|path| path.is_file())
            }
        };
        let verify_jwt = settings.verify_jwt.unwrap_or(true);
        sources.push(Source { name, verify_jwt, entrypoint, imports, functions: functions.clone() });
    }
    Ok(sources)
}

#[derive(Default, Deserialize)]
struct ConfigFile {
    #[serde(default)]
    functions: BTreeMap<String, Settings>,
}

/// Paths are below the directory of `config.toml`.
#[derive(Default, Deserialize)]
struct Settings {
    verify_jwt: Option<bool>,
    enabled: Option<bool>,
    entrypoint: Option<PathBuf>,
    import_map: Option<PathBuf>,
}

/// How the functions of one stack are run.
#[derive(Clone)]
pub(crate) struct Runtime {
    pub deno: PathBuf,
    /// For the entry points; outlives the processes.
    pub directory: PathBuf,
    /// All that a function finds in its environment, Deno's own settings aside.
    pub environment: Vec<(String, String)>,
    /// What functions fetch below the first of two addresses comes from the second.
    pub diversions: Vec<(String, String)>,
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
        let process = command.launch(&output).await?;
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
    /// What of Deno's options says where imports lead.
    imports: Vec<OsString>,
    /// An import map for machines that do not reach jsr.io, if that helps.
    without_jsr: Option<PathBuf>,
    readable: PathBuf,
    entry: PathBuf,
}

impl Launch {
    fn new(runtime: &Runtime, source: &Source) -> Result<Self> {
        let entry = runtime.directory.join(format!("{}.ts", source.name));
        let globals = runtime.directory.join(format!("{}.globals.ts", source.name));
        let shared = crate::repository().join("crates/local-supabase/edge_runtime.ts");
        let diversions = serde_json::to_string(&runtime.diversions)?;
        fs::write(&globals, format!("import {{ divert }} from {shared:?};\ndivert({diversions});\n"))?;
        // Static imports, which are evaluated in this order and need no permission to read files.
        let index = &source.entrypoint;
        fs::write(
            &entry,
            format!(
                "import {globals:?};\nimport {{ handlerOf }} from {shared:?};\nimport * as index from {index:?};\n\
                 export default {{ fetch: await handlerOf(index) }};\n"
            ),
        )?;
        let imports = match &source.imports {
            None => vec!["--no-config".into()],
            Some(path) => {
                let is_map = path.file_name().is_some_and(|name| name == "import_map.json");
                vec![if is_map { "--import-map" } else { "--config" }.into(), path.into()]
            }
        };
        let without_jsr = match imports::from_npm(source.imports.as_deref(), index) {
            Some(map) => {
                let path = runtime.directory.join(format!("{}.imports.json", source.name));
                fs::write(&path, map.to_string())?;
                Some(path)
            }
            None => None,
        };
        let working_directory = source.entrypoint.parent().map(Path::to_owned).unwrap_or_default();
        let readable = source.functions.clone();
        Ok(Self { runtime: runtime.clone(), working_directory, imports, without_jsr, readable, entry })
    }

    /// Starts the function; what it imports from elsewhere is downloaded once.
    async fn launch(&self, output: &Output) -> Result<(Process, Running)> {
        // An import that is not downloaded yet is no error of the function.
        let first = output.held();
        match self.serve(&first).await {
            Err(error) if format!("{error:#}").contains(NOT_DOWNLOADED) => {
                let Err(error) = self.download(output).await else { return self.serve(output).await };
                let is_of_jsr = format!("{error:#}").contains("jsr.io");
                let Some(map) = &self.without_jsr.as_ref().filter(|_| is_of_jsr) else { return Err(error) };
                output.line("jsr.io is not reached: what it has of Supabase is taken from npm");
                let imports = vec!["--no-config".into(), "--import-map".into(), map.into()];
                let instead = Self { imports, ..self.clone() };
                instead.download(output).await?;
                instead.serve(output).await
            }
            outcome => {
                first.release();
                outcome
            }
        }
    }

    async fn serve(&self, output: &Output) -> Result<(Process, Running)> {
        let port = free_port().await?;
        let mut command = self.deno("serve");
        let mut readable = OsString::from("--allow-read=");
        readable.push(&self.readable);
        command
            .args(["--cached-only", "--allow-net", "--allow-env", "--allow-sys"])
            .arg(readable)
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .arg(&self.entry)
            .env_clear()
            .env("NO_COLOR", "1")
            .envs(self.runtime.environment.iter().map(|(name, value)| (name, value)));
        self.configure(&mut command);
        // Where packages come from is a part of where they are kept.
        if let Some(registry) = std::env::var_os("NPM_CONFIG_REGISTRY") {
            command.env("NPM_CONFIG_REGISTRY", registry);
        }
        // Hosted functions end without notice; Deno would first wait for everything that is under way.
        let mut process = Process::spawn(command, output)?.ended_by(Signal::KILL, Signal::KILL);
        process.wait_until(READY_WITHIN, || accepts_connections(port)).await?;
        let pid = process.pid().context("it has ended already")?;
        Ok((process, Running { port, pid }))
    }

    /// With the developer's own environment, in which proxies and registries are configured.
    async fn download(&self, output: &Output) -> Result<()> {
        output.line("downloading what it imports");
        let mut command = self.deno("cache");
        command.arg("--allow-import").arg(&self.entry);
        if std::env::var_os("DENO_TLS_CA_STORE").is_none() {
            command.env("DENO_TLS_CA_STORE", "system,mozilla");
        }
        self.configure(&mut command);
        command.env("NO_COLOR", "1").stdin(Stdio::null()).kill_on_drop(true);
        let result = timeout(DOWNLOADED_WITHIN, command.output()).await;
        let result = result.context("what it imports was not downloaded in time")??;
        let text = String::from_utf8_lossy(&result.stderr);
        let error = text.lines().skip_while(|line| !line.starts_with("error")).take(5);
        ensure!(result.status.success(), "{}", error.collect::<Vec<_>>().join("\n"));
        Ok(())
    }

    fn deno(&self, command: &str) -> Command {
        let mut deno = Command::new(&self.runtime.deno);
        // Not even a package.json in a directory above is theirs to deploy.
        deno.arg(command).args(["--quiet", "--no-lock", "--node-modules-dir=none"]).args(&self.imports);
        if command == "serve" {
            deno.arg("--no-prompt");
        }
        deno.current_dir(&self.working_directory);
        deno
    }

    fn configure(&self, command: &mut Command) {
        command
            .env("DENO_DIR", crate::repository().join("target/deno"))
            .env("DENO_NO_PACKAGE_JSON", "1")
            .env("DENO_NO_UPDATE_CHECK", "1");
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
