//! One line for each step of the story.

use anyhow::{Result, bail};
use tokio::time::Instant;

/// Prints what happened in a step, or what should have, and how long it took.
pub(super) async fn step(step: impl Future<Output = Result<String>>) -> Result<()> {
    let started = Instant::now();
    let told = step.await;
    let seconds = started.elapsed().as_secs_f64();
    match told {
        Ok(line) => println!("✓ {seconds:5.2} s  {line}"),
        Err(error) => {
            println!("✗ {seconds:5.2} s  {error:#}");
            bail!("the story did not go as told");
        }
    }
    Ok(())
}
