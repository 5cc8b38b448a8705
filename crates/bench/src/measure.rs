//! The receivers, side by side: in rounds, so that whatever else the machine does concerns all of them alike.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use local_supabase::Deno;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::check::{check, settled};
use crate::contender::{Contender, Running};
use crate::report::{Progress, Report};
use crate::wire::Line;
use crate::world::{Channel, World};

pub(crate) const MOST_LANES: i32 = 64;
/// As large that what is asked after the answer has not been answered when the answer arrives.
const DELAY: Duration = Duration::from_millis(60);

pub(crate) struct Amount {
    pub(crate) rounds: usize,
    /// Notifications in each round, for each number of lanes.
    pub(crate) acks: usize,
    /// Notifications with a run each, in each round.
    pub(crate) runs: i32,
}

impl Amount {
    pub(crate) const QUICK: Self = Self { rounds: 2, acks: 64, runs: 16 };
    pub(crate) const FULL: Self = Self { rounds: 5, acks: 640, runs: 160 };

    /// How many steps [`measure`] takes for so many contenders.
    pub(crate) fn steps(&self, contenders: usize) -> usize {
        contenders * (1 + 3 * self.rounds)
    }
}

pub(crate) async fn measure(
    world: &World,
    contenders: &[Contender],
    (version, deno): (Deno, &str),
    amount: &Amount,
    report: &mut Report,
    progress: &mut Progress,
) -> Result<()> {
    let cache = TempDir::new()?;
    let mut busy = world.channels(MOST_LANES).await?;
    // As while a run goes on: nothing follows the answer, of any contender.
    world.set(&busy, "sync_lease_until = now() + interval '1 day'").await?;
    let mut all = Vec::new();
    for contender in contenders {
        progress.step(&format!("{deno}: {} is tested", contender.name));
        report.add("upload", "KB", deno, contender.name, contender.upload as f64 / 1000.0);
        let mut running = Running::start(&contender.entry, version, cache.path(), world).await?;
        running.first_answer("").await?;
        check(contender, &running, world).await?;
        let (before, after) = requests(world, contender, &running).await?;
        report.add("requests before the answer", "", deno, contender.name, before as f64);
        report.add("requests after the answer", "", deno, contender.name, after as f64);
        all.push((contender, running));
    }
    for round in 0..amount.rounds {
        for (contender, _) in rotated(&all, round) {
            progress.step(&format!("{deno}: {} starts", contender.name));
            let mut running = Running::start(&contender.entry, version, cache.path(), world).await?;
            let mut headers = busy.first_mut().map(Channel::next).unwrap_or_default();
            let (took, status) = running.first_answer(&headers).await?;
            ensure!(status == 200, "{} answers {status}", contender.name);
            report.add("cold start until the first 200", "ms", deno, contender.name, milliseconds(took));
            sleep(Duration::from_millis(150)).await;
            report.add("RSS idle", "MB", deno, contender.name, running.rss(false)?);
            headers.clear();
            running.end().await;
        }
    }
    for round in 0..amount.rounds {
        for (contender, running) in rotated(&all, round) {
            progress.step(&format!("{deno}: {} answers", contender.name));
            let mut cpu = Duration::ZERO;
            for lanes in [1, 16, 64] {
                // One lane would take most of the time.
                let notifications = if lanes == 1 { amount.acks / 4 } else { amount.acks };
                let (before, started) = (running.cpu()?, Instant::now());
                let mut acks = acknowledge(running, &mut busy, lanes, notifications).await?;
                let took = started.elapsed();
                cpu += running.cpu()? - before;
                acks.sort_by(f64::total_cmp);
                for (percentile, name) in [(50, "p50"), (99, "p99")] {
                    let ack = acks.get((acks.len() * percentile / 100).min(acks.len() - 1)).copied();
                    let what = format!("ack {name}, {lanes} lane{}", if lanes == 1 { "" } else { "s" });
                    report.add(&what, "ms", deno, contender.name, ack.unwrap_or_default());
                }
                if lanes == 16 {
                    let rate = acks.len() as f64 / took.as_secs_f64();
                    report.add("answers a second, 16 lanes", "", deno, contender.name, rate);
                }
            }
            let notifications = amount.acks * 2 + amount.acks / 4;
            let cpu = milliseconds(cpu) / notifications as f64;
            report.add("CPU of 1,000 answers", "s", deno, contender.name, cpu);
        }
    }
    for round in 0..amount.rounds {
        for (contender, running) in rotated(&all, round) {
            progress.step(&format!("{deno}: {} runs", contender.name));
            if !contender.runs {
                continue;
            }
            let mut channels = world.channels(amount.runs).await?;
            let before = running.cpu()?;
            acknowledge(running, &mut channels, 16, channels_of(amount)).await?;
            settled(world, &channels, true).await?;
            let cpu = milliseconds(running.cpu()? - before) / f64::from(amount.runs);
            report.add("CPU of 1,000 answers with runs", "s", deno, contender.name, cpu);
        }
    }
    for (contender, running) in all {
        let notifications = (amount.acks * 2 + amount.acks / 4 + channels_of(amount)) * amount.rounds;
        let what = format!("RSS after {notifications} notifications");
        report.add(&what, "MB", deno, contender.name, running.rss(false)?);
        running.end().await;
    }
    Ok(())
}

fn channels_of(amount: &Amount) -> usize {
    usize::try_from(amount.runs).unwrap_or_default()
}

/// Another one begins each round.
fn rotated<T>(all: &[T], round: usize) -> impl Iterator<Item = &T> {
    all.iter().cycle().skip(round % all.len().max(1)).take(all.len())
}

/// Sends so many notifications over so many connections at once, each of which waits for the answer before the next,
/// and speaks for channels of its own. → how long each answer took, in milliseconds
pub(crate) async fn acknowledge(
    running: &Running,
    channels: &mut [Channel],
    lanes: usize,
    notifications: usize,
) -> Result<Vec<f64>> {
    let share = channels.len() / lanes;
    let lanes = channels.chunks_mut(share.max(1)).take(lanes).map(|channels| async move {
        let mut line = Line::open(running.port).await?;
        let mut acks = Vec::new();
        for turn in 0..notifications / lanes {
            let turn = turn % channels.len();
            let Some(channel) = channels.get_mut(turn) else { break };
            let headers = channel.next();
            let started = Instant::now();
            let status = line.post(&headers).await?;
            acks.push(milliseconds(started.elapsed()));
            ensure!(status == 200, "a notification was answered with {status}: {}", running.last_words());
        }
        Ok(acks)
    });
    Ok(try_join_all(lanes).await?.concat())
}

/// How many requests a change costs until it is answered, and afterwards.
async fn requests(world: &World, contender: &Contender, running: &Running) -> Result<(usize, usize)> {
    let mut channels = world.channels(1).await?;
    let mut line = Line::open(running.port).await?;
    world.gateway.take_asked();
    world.gateway.delay(DELAY);
    let Some(headers) = channels.first_mut().map(Channel::next) else { return Ok((0, 0)) };
    line.post(&headers).await?;
    let before = world.gateway.answered();
    settled(world, &channels, contender.runs).await?;
    sleep(DELAY * 3).await;
    world.gateway.delay(Duration::ZERO);
    Ok((before, world.gateway.take_asked().len() - before))
}

pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
