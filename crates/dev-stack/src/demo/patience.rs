//! Waiting for what happens in the background.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// For the answer to a single call; longer than any function of the stack takes.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// For what happens in the background. It takes a second; a busy machine needs more.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until what is seen is as expected, and says what was seen last if it never is.
pub(super) async fn until<T: Debug>(
    expected: &str,
    look: impl AsyncFn() -> Result<T>,
    as_expected: impl Fn(&T) -> bool,
) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = look().await?;
        if as_expected(&seen) {
            return Ok(seen);
        }
        if Instant::now() >= deadline {
            bail!("expected {expected}; saw {seen:?} even after {PATIENCE:?}");
        }
        sleep(PAUSE).await;
    }
}
