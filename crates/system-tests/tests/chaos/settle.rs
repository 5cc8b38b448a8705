//! Faults have stopped and sweeps go on: waits until nothing is left to do.

use std::time::Duration;

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use system_tests::Project;
use tokio::time::{Instant, sleep};
use tokio_postgres::Row;

use crate::judgement::{Promise, Violation};
use crate::load::Cron;
use crate::progress::Progress;

/// Longer than Google retries a notification, so that nothing is under way that nobody sees.
const GOOGLE_RETRIES: Duration = Duration::from_secs(27);
/// The last write of a run or a renewal is given up after 5 s.
const LAST_WRITE: Duration = Duration::from_secs(6);
const PATIENCE: Duration = Duration::from_secs(150);

/// Rows that still wait for something, and what they are.
const RESTLESS: &str = "
    select id, jsonb_build_object('owed', sync_request_id, 'sync_not_before', sync_not_before, 'sync_error',
        sync_error, 'sync_lease_until', sync_lease_until, 'channel', webhook_id, 'pending', webhook_pending_id,
        'webhook_not_before', webhook_not_before, 'webhook_error', webhook_error)::text
      from calendar_connections
      where case when is_active is true and sync_enabled is not false
        then sync_request_id is not null or webhook_id is null or webhook_pending_id is not null
          or webhook_error is not null or webhook_not_before < now() + interval '1 hour'
        else webhook_id is not null or webhook_pending_id is not null end";

/// What a minute does to leases and delays.
const MINUTE: &str = "
    update calendar_connections set
      sync_lease_until = greatest(sync_lease_until - interval '1 minute', 'epoch'),
      sync_not_before = greatest(sync_not_before - interval '1 minute', 'epoch'),
      webhook_lease_until = greatest(webhook_lease_until - interval '1 minute', 'epoch'),
      webhook_not_before = greatest(webhook_not_before - interval '1 minute', 'epoch')
      where sync_lease_until > now() or sync_not_before > now() or webhook_lease_until > now()
        or webhook_not_before between now() and now() + interval '1 hour'";

/// What was settled by looks alone is in doubt until the next one is due, which leads to a run.
const NEXT_LOOK: &str = "
    update calendar_connections set sync_look_at = now(), last_sync_at = last_sync_at - interval '1 minute'
      where sync_streak > 0";

/// Minutes in which nothing is under way are skipped by letting every time come a minute nearer, as waiting would;
/// nothing that is owed is touched. By then the holder of a lease is dead: a living one would be at work.
/// → what never came to rest.
pub(crate) async fn settle(project: &Project, cron: &Cron, progress: &Progress) -> Result<Vec<Violation>> {
    let (started, mut minutes) = (Instant::now(), 0);
    sleep(GOOGLE_RETRIES).await;
    let mut in_doubt = true;
    loop {
        let restless = project.sql(RESTLESS, &[]).await?;
        if restless.is_empty() && in_doubt {
            let paused = cron.pause().await;
            until_idle(project).await?;
            project.sql(NEXT_LOOK, &[]).await?;
            in_doubt = false;
            drop(paused);
            sleep(Duration::from_secs(4)).await;
            continue;
        }
        if restless.is_empty() || started.elapsed() > PATIENCE {
            let violation = |row: &Row| Violation {
                promise: Promise::NothingIsOwed,
                connection: row.get(0),
                what: format!("not at rest after {minutes} skipped minutes: {}", row.get::<_, String>(1)),
            };
            return Ok(restless.iter().map(violation).collect());
        }
        progress.phase(format!("settling: {} rows wait, {minutes} minutes skipped", restless.len()));
        let paused = cron.pause().await;
        until_idle(project).await?;
        project.sql(MINUTE, &[]).await?;
        minutes += 1;
        drop(paused);
        sleep(Duration::from_secs(4)).await;
    }
}

/// Returns when no run was going on for a while. With no sweep and no notification, nothing else is either.
async fn until_idle(project: &Project) -> Result<()> {
    let last_write = chrono::TimeDelta::from_std(LAST_WRITE)?;
    let started = Instant::now();
    loop {
        let runs = project.all_runs().await;
        let ends = runs.iter().map(|run| run.finished_at);
        let last: Option<DateTime<Utc>> = ends.map(|end| end.unwrap_or(DateTime::<Utc>::MAX_UTC)).max();
        if last.is_none_or(|last| last < Utc::now() - last_write) {
            return Ok(());
        }
        if started.elapsed() > PATIENCE {
            let endless: Vec<_> = runs.iter().filter(|run| run.finished_at.is_none()).collect();
            bail!("{} s without a sweep, and still runs are going on: {endless:?}", PATIENCE.as_secs());
        }
        sleep(Duration::from_millis(200)).await;
    }
}
