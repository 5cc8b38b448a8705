//! A child process that ends when its owner does.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::output::Output;

/// Time for an orderly end before a process is killed.
const GRACE: Duration = Duration::from_secs(10);

pub(crate) struct Process {
    child: Child,
    output: Output,
    stop: Signal,
    abandon: Signal,
}

impl Process {
    /// Starts a command in a process group of its own, so that Ctrl-C on the terminal reaches only this
    /// program, which then ends its children in order.
    pub(crate) fn spawn(mut command: Command, output: &Output) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", command.as_std().get_program().display()))?;
        if let Some(stdout) = child.stdout.take() {
            output.follow(stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            output.follow(stderr);
        }
        Ok(Self { child, output: output.clone(), stop: Signal::TERM, abandon: Signal::KILL })
    }

    /// The signals that ask for an orderly end, and for the quickest one that leaves nothing behind.
    pub(crate) fn ended_by(mut self, stop: Signal, abandon: Signal) -> Self {
        (self.stop, self.abandon) = (stop, abandon);
        self
    }

    pub(crate) fn pid(&self) -> Option<Pid> {
        self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()))
    }

    /// Returns when the process has ended, with the signal that ended it if one did.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        self.child.wait().await.ok()?.signal()
    }

    /// Ends the process at once, as a crash of the machine would.
    pub(crate) async fn crash(mut self) {
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, self.abandon);
            let _ = self.child.wait().await;
        }
    }

    /// Ends the process in order; kills it when it takes too long.
    pub(crate) async fn stop(mut self) {
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, self.stop);
            if timeout(GRACE, self.child.wait()).await.is_err() {
                let _ = kill_process_group(pid, Signal::KILL);
                let _ = self.child.wait().await;
            }
        }
    }

    /// Waits until `ready` answers true, and explains with the process's last words if that never happens.
    pub(crate) async fn wait_until<F: Future<Output = bool>>(
        &mut self,
        limit: Duration,
        ready: impl Fn() -> F,
    ) -> Result<()> {
        let poll = async {
            loop {
                if let Some(status) = self.child.try_wait()? {
                    // The readers may be a moment behind the end of the process.
                    sleep(Duration::from_millis(50)).await;
                    bail!("it ended early ({status})");
                }
                if ready().await {
                    return Ok(());
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(limit, poll)
            .await
            .unwrap_or_else(|_| Err(anyhow::anyhow!("it was not ready after {limit:?}")))
            .with_context(|| format!("its last words were:\n{}", self.output.tail(15)))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            if self.abandon == Signal::KILL {
                let _ = kill_process_group(pid, Signal::KILL);
            } else {
                let _ = kill_process(pid, self.abandon);
            }
        }
    }
}

/// Whether something on this machine accepts connections on the port.
pub(crate) async fn accepts_connections(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).await.is_ok()
}

/// A port that is free now, and that this process was not given before: its server may not have taken it yet. It lies
/// below the range from which systems serve outgoing connections, so that none of those takes it either.
pub(crate) async fn free_port() -> Result<u16> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    for _ in 0..100 {
        let [high, low, ..] = *uuid::Uuid::new_v4().as_bytes();
        let port = 20_000 + u16::from_be_bytes([high, low]) % 12_000;
        let is_new = GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port);
        if is_new && TcpListener::bind(("127.0.0.1", port)).await.is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between 20000 and 32000")
}
