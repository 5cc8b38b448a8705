//! Where the time of an answer goes: V8's profile of each receiver, and PostgREST's own account of the request that
//! each contender makes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use local_supabase::Deno;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::contender::{Contender, Running};
use crate::measure::{MOST_LANES, acknowledge};
use crate::report::digits;
use crate::world::World;

const NOTIFICATIONS: usize = 4_000;

/// Writes a profile of each into `directory`. → PostgREST's times, in Markdown
pub(crate) async fn profile(world: &mut World, contenders: &[Contender], directory: &Path) -> Result<String> {
    // What PostgREST 12.0.2 tells as milliseconds are microseconds.
    let timed = "alter role authenticator set pgrst.server_timing_enabled = 'true'";
    world.database.batch_execute(timed).await?;
    world.postgrest.restart().await?;
    let cache = TempDir::new()?;
    let mut channels = world.channels(MOST_LANES).await?;
    world.set(&channels, "sync_lease_until = now() + interval '1 day'").await?;
    let mut text =
        "| median, µs | jwt | parse | plan | transaction | response | the request | the answer to Google |\n|---|---|---|---|---|---|---|---|\n"
            .to_owned();
    for contender in contenders {
        let entry = ended_by_a_signal(&contender.entry, cache.path())?;
        let profile = directory.join(contender.name);
        let mut running =
            Running::start_with(&entry, Deno::Newest, cache.path(), world, Some(&profile)).await?;
        running.first_answer("").await?;
        acknowledge(&running, &mut channels, 1, 200).await?;
        world.gateway.take_asked();
        let acks = acknowledge(&running, &mut channels, 1, NOTIFICATIONS).await?;
        let mut phases = BTreeMap::<String, Vec<f64>>::new();
        phases.insert("ack".to_owned(), acks.iter().map(|ack| ack * 1000.0).collect());
        for asked in world.gateway.take_asked() {
            phases.entry("all".to_owned()).or_default().push(asked.took.as_micros() as f64);
            for phase in asked.server_timing.split(',') {
                let Some((name, duration)) = phase.trim().split_once(";dur=") else { continue };
                phases.entry(name.to_owned()).or_default().push(duration.parse()?);
            }
        }
        let cell = |phase: &str| {
            let mut times = phases.get(phase).cloned().unwrap_or_default();
            times.sort_by(f64::total_cmp);
            times.get(times.len() / 2).copied().map_or("–".to_owned(), digits)
        };
        let cells = ["jwt", "parse", "plan", "transaction", "response", "all", "ack"].map(cell).join(" | ");
        text += &format!("| {} | {cells} |\n", contender.name);
        running.end_in_order().await?;
        sleep(Duration::from_millis(100)).await;
    }
    Ok(text)
}

/// V8 writes its profile where a program ends by itself.
fn ended_by_a_signal(entry: &Path, directory: &Path) -> Result<PathBuf> {
    let file = directory.join("profiled.ts");
    let url = entry.to_str().context("a path that is no text")?;
    let program = format!(
        "import served from {url:?};\n\
         Deno.addSignalListener(\"SIGTERM\", () => Deno.exit(0));\n\
         Deno.serve({{ hostname: \"127.0.0.1\", port: Number(Deno.env.get(\"PORT\")) }}, served.fetch);\n"
    );
    fs::write(&file, program)?;
    Ok(file)
}
