//! Where the time of an answer goes: V8's profile of our receiver, and PostgREST's own account of the request that each
//! contender makes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use local_supabase::Deno;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::contender::{Contender, OURS, Running};
use crate::measure::{MOST_LANES, acknowledge};
use crate::report::digits;
use crate::world::World;

const NOTIFICATIONS: usize = 4_000;

/// Writes the profile into `directory`. → PostgREST's times, in Markdown
pub(crate) async fn profile(world: &mut World, contenders: &[Contender], directory: &Path) -> Result<String> {
    let timed = "alter role authenticator set pgrst.server_timing_enabled = 'true'";
    world.database.batch_execute(timed).await?;
    world.postgrest.restart().await?;
    fs::create_dir_all(directory)?;
    let cache = TempDir::new()?;
    let mut channels = world.channels(MOST_LANES).await?;
    world.set(&channels, "sync_lease_until = now() + interval '1 day'").await?;
    let mut text =
        "| PostgREST, ms | jwt | parse | plan | transaction | response |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for contender in contenders {
        let profile = (contender.name == OURS).then_some(directory);
        let entry = match profile {
            Some(_) => ended_by_a_signal(&contender.entry, cache.path())?,
            None => contender.entry.clone(),
        };
        let mut running = Running::start_with(&entry, Deno::Newest, cache.path(), world, profile).await?;
        running.first_answer("").await?;
        acknowledge(&running, &mut channels, 1, 200).await?;
        world.gateway.take_asked();
        acknowledge(&running, &mut channels, 1, NOTIFICATIONS).await?;
        let mut phases = BTreeMap::<String, Vec<f64>>::new();
        for asked in world.gateway.take_asked() {
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
        let cells = ["jwt", "parse", "plan", "transaction", "response"].map(cell).join(" | ");
        text += &format!("| {} | {cells} |\n", contender.name);
        running.end_in_order().await?;
        sleep(Duration::from_millis(100)).await;
    }
    Ok(text)
}

/// V8 writes its profile where a program ends by itself.
fn ended_by_a_signal(entry: &Path, directory: &Path) -> Result<std::path::PathBuf> {
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
