//! A receiver in a Deno process of its own, and what the process costs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use dev_stack::shipped_functions;
use local_supabase::{Deno, deno, repository};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::wire::Line;
use crate::world::{World, bytes_of};

const READY_WITHIN: Duration = Duration::from_secs(30);

pub(crate) const OURS: &str = "ours";
pub(crate) const BARE: &str = "bare";
pub(crate) const TYPESCRIPT: &str = "TypeScript";

/// A function to be served.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) entry: PathBuf,
    /// Whether a notification is followed by a run.
    pub(crate) runs: bool,
    /// In bytes.
    pub(crate) upload: u64,
}

/// Ours and its peers, and ours of another checkout, if there is one to be measured against. Peers that import from npm
/// are made one file each, in `directory`: their best case.
pub(crate) async fn contenders(directory: &Path, against: Option<&Path>) -> Result<Vec<Contender>> {
    let peers = repository().join("crates/bench/peers");
    let entry = peers.join("bare/index.ts");
    let bare = Contender { name: BARE, upload: bytes_of(&[&entry])?, entry, runs: false };
    let mut contenders = vec![receiver(OURS, &shipped_functions()?)?, bare];
    for name in [TYPESCRIPT, "googleapis"] {
        let entry = directory.join(format!("{name}.js"));
        let bundled = Command::new("node")
            .arg(peers.join("bundle.mjs"))
            .arg(repository().join("scripts/node_modules"))
            .arg(peers.join(name.to_lowercase()).join("index.ts"))
            .arg(&entry)
            .output()
            .await?;
        ensure!(bundled.status.success(), "{}", String::from_utf8_lossy(&bundled.stderr));
        contenders.push(Contender { name, upload: bytes_of(&[&entry])?, entry, runs: true });
    }
    if let Some(functions) = against {
        contenders.push(receiver("against", &functions.canonicalize()?)?);
    }
    Ok(contenders)
}

/// The receiver of a directory like `supabase/functions`.
fn receiver(name: &'static str, functions: &Path) -> Result<Contender> {
    let entry = functions.join("google-calendar-webhook/index.ts");
    let shared = ["serve.ts", "exchange.ts", "decode.js", "wasm/calendar_webhooks.js", "wasm/module.js"];
    let uploaded: Vec<PathBuf> = shared.iter().map(|file| functions.join("_shared").join(file)).collect();
    let uploaded: Vec<&Path> = uploaded.iter().map(PathBuf::as_path).chain([entry.as_path()]).collect();
    Ok(Contender { name, upload: bytes_of(&uploaded)?, entry, runs: true })
}

pub(crate) struct Running {
    process: Child,
    pub(crate) port: u16,
    started_at: Instant,
    errors: PathBuf,
}

impl Running {
    /// Starts the process, and does not wait until it is ready. `cache` is where Deno keeps what it compiled.
    pub(crate) async fn start(entry: &Path, version: Deno, cache: &Path, world: &World) -> Result<Self> {
        Self::start_with(entry, version, cache, world, None).await
    }

    /// With a directory for V8's profile, `entry` is a program that serves by itself.
    pub(crate) async fn start_with(
        entry: &Path,
        version: Deno,
        cache: &Path,
        world: &World,
        profile: Option<&Path>,
    ) -> Result<Self> {
        // Free now, and taken by nothing else meanwhile: nothing else is started at the same time.
        let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
        let errors = cache.join(format!("{port}.stderr"));
        let mut command = Command::new(deno(version)?);
        match profile {
            Some(directory) => command.arg("run").arg("--cpu-prof").arg("--cpu-prof-dir").arg(directory),
            None => command.args(["serve", "--host", "127.0.0.1", "--port", &port.to_string()]),
        };
        command
            .args(["--quiet", "--no-prompt", "--no-lock", "--allow-net", "--allow-env"])
            .arg(entry)
            .env_clear()
            .env("DENO_DIR", cache)
            .env("DENO_NO_UPDATE_CHECK", "1")
            .env("NO_COLOR", "1")
            .envs(world.environment())
            .env("PORT", port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&errors)?)
            .kill_on_drop(true);
        let started_at = Instant::now();
        Ok(Self { process: command.spawn()?, port, started_at, errors })
    }

    /// Sends it a request as soon as it listens. → how long after its start it was answered, and with what status
    pub(crate) async fn first_answer(&mut self, headers: &str) -> Result<(Duration, u16)> {
        loop {
            if let Ok(mut line) = Line::open(self.port).await {
                let status = line.post(headers).await?;
                return Ok((self.started_at.elapsed(), status));
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("the function has ended ({status}): {}", self.last_words());
            }
            ensure!(self.started_at.elapsed() < READY_WITHIN, "the function does not listen");
            sleep(Duration::from_micros(500)).await;
        }
    }

    pub(crate) fn last_words(&self) -> String {
        fs::read_to_string(&self.errors).unwrap_or_default()
    }

    /// What the process has used of all processors so far, in user and kernel mode.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(self.proc("stat")?)?;
        let (_, fields) = stat.rsplit_once(')').context("a name in parentheses")?;
        let ticks =
            fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        // Ticks are hundredths of a second wherever Deno runs.
        Ok(Duration::from_millis(10 * ticks))
    }

    /// The memory that it occupies, in MB; with `peak`, the most so far.
    pub(crate) fn rss(&self, peak: bool) -> Result<f64> {
        let field = if peak { "VmHWM:" } else { "VmRSS:" };
        let status = fs::read_to_string(self.proc("status")?)?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)).context("no such field")?;
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes / 1024.0)
    }

    fn proc(&self, file: &str) -> Result<String> {
        Ok(format!("/proc/{}/{file}", self.process.id().context("the process has ended")?))
    }

    pub(crate) async fn end_in_order(mut self) -> Result<()> {
        let id = self.process.id().context("the process has ended")?;
        Command::new("kill").arg(id.to_string()).status().await?;
        self.process.wait().await?;
        Ok(())
    }

    pub(crate) async fn end(mut self) {
        let _ = self.process.kill().await;
    }
}
