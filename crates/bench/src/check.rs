//! What every contender must do, or its numbers say nothing.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep};

use crate::contender::{Contender, Running};
use crate::wire::Line;
use crate::world::{Channel, World};

const PATIENCE: Duration = Duration::from_secs(20);

/// A stranger is told so; a change is stored before it is answered, and again is no harm; the run that follows, if
/// one does, is one call for this user, and leaves nothing owed.
pub(crate) async fn check(contender: &Contender, running: &Running, world: &World) -> Result<()> {
    let name = contender.name;
    let mut channels = world.channels(1).await?;
    let Some(channel) = channels.first_mut() else { return Ok(()) };
    let mut line = Line::open(running.port).await?;
    world.gateway.take_asked();
    let stranger = Channel { token: "0".repeat(64), ..channel.clone() };
    let status = line.post(&stranger.again()).await?;
    ensure!(status == 404, "{name} answers {status} to a stranger");
    let status = line.post(&channel.next()).await?;
    ensure!(status == 200, "{name} answers {status} to a change");
    let row = "select webhook_message_number from calendar_connections where id = $1";
    let number: i64 = world.database.query_one(row, &[&channel.connection]).await?.get(0);
    ensure!(number == channel.number, "{name} answers before it has stored the change");
    settled(world, &channels, contender.runs).await?;
    let Some(channel) = channels.first() else { return Ok(()) };
    let status = line.post(&channel.again()).await?;
    ensure!(status == 200, "{name} answers {status} to a notification that it had");
    sleep(Duration::from_millis(100)).await;
    let runs: Vec<String> = (world.gateway.take_asked().into_iter())
        .filter(|asked| asked.line.contains("recalculate-schedule"))
        .map(|asked| asked.body)
        .collect();
    let expected = usize::from(contender.runs);
    ensure!(runs.len() == expected, "{name} made {} runs of a change", runs.len());
    let is_theirs = runs.iter().all(|body| body.contains(&channel.user.to_string()));
    ensure!(is_theirs, "{name} ran for another user: {runs:?}");
    Ok(())
}

/// Waits until nothing is owed or under way for any of these, and a run of each was noted if `ran`.
pub(crate) async fn settled(world: &World, channels: &[Channel], ran: bool) -> Result<()> {
    let unsettled = "select count(*) from calendar_connections where id = any($1) and
        (sync_request_id is not null or sync_lease_until > now()
         or $2 and last_sync_at < now() - interval '30 minutes')";
    let ids: Vec<_> = channels.iter().map(|channel| channel.connection).collect();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left: i64 = world.database.query_one(unsettled, &[&ids, &ran]).await?.get(0);
        if left == 0 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{left} connections are still owed a run");
        sleep(Duration::from_millis(20)).await;
    }
}
