//! A file, and with it a process, of its own: whatever this process has started belongs to the one stack.
#![cfg(target_os = "linux")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "in a test a panic is the report, and a deadline needs the clock"
)]

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use dev_stack::{Config, Stack};
use local_supabase::Backend;
use tempfile::TempDir;
use tokio::time::sleep;

struct Running {
    parent: u32,
    command: String,
}

/// All processes of the machine that have not ended.
fn running() -> HashMap<u32, Running> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(Path::new("/proc").join(format!("{pid}/stat"))).ok()?;
            let (command, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
            let mut fields = rest.split_whitespace();
            let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
            (state != "Z").then(|| (pid, Running { parent, command: command.to_owned() }))
        })
        .collect()
}

fn descendants() -> Vec<u32> {
    let running = running();
    let mut found = vec![std::process::id()];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(running.iter().filter(|(_, process)| process.parent == parent).map(|(pid, _)| pid));
        next += 1;
    }
    found.split_off(1)
}

#[tokio::test]
async fn neither_stopping_nor_dropping_a_stack_leaves_a_process_behind() {
    let project = TempDir::new().unwrap();
    fs::create_dir_all(project.path().join("functions/trivial")).unwrap();
    fs::create_dir_all(project.path().join("migrations")).unwrap();
    let index = "export default { fetch: () => new Response(\"ok\") };";
    fs::write(project.path().join("functions/trivial/index.ts"), index).unwrap();

    for orderly in [true, false] {
        let config = Config {
            backend: Backend::Postgrest,
            functions_dir: project.path().join("functions"),
            migrations_dir: project.path().join("migrations"),
            ..Config::default()
        };
        let stack = Stack::start(config, |_| {}).await.unwrap();
        let started = descendants();
        let commands: Vec<_> =
            running().into_iter().filter(|(pid, _)| started.contains(pid)).map(|(_, p)| p.command).collect();
        for program in ["deno", "postgres", "postgrest", "node"] {
            assert!(commands.iter().any(|command| command.contains(program)), "{program}: {commands:?}");
        }

        if orderly {
            stack.stop().await;
        } else {
            drop(stack);
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let left = running().into_iter().filter(|(pid, _)| started.contains(pid));
            let left: Vec<_> = left.map(|(_, process)| process.command).collect();
            if left.is_empty() {
                break;
            }
            assert!(Instant::now() < deadline, "orderly: {orderly}, left: {left:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}
