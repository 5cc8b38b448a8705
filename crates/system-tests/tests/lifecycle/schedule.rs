//! The schedule of a project whose database has the extensions for it.

use anyhow::{Context, Result};
use local_supabase::extensions;
use system_tests::Project;

/// Has `refresh-calendar-webhook` called every minute with this key.
pub(crate) async fn schedule(project: &Project, key: &str) -> Result<()> {
    project.sql("select public.schedule_calendar_webhook_refresh($1, $2)", &[&project.url, &key]).await?;
    Ok(())
}

/// Runs the job as pg_cron does when a minute begins. → what its request was answered with
pub(crate) async fn run_job(project: &Project) -> Result<u16> {
    let database = project.database().await?;
    // What the minutes that have begun meanwhile have asked for may carry another key.
    extensions::send_requests(&database, &project.http).await?;
    let command: String = project.sql("select command from cron.job", &[]).await?[0].get(0);
    project.sql(&command, &[]).await?;
    let statuses = extensions::send_requests(&database, &project.http).await?;
    statuses.last().copied().context("the job has asked for nothing")
}
