//! Waiting for what happens elsewhere.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// A recalculation begins within seconds; machines that run tests are busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// Many tests wait at the same time, and each question costs processor time: after a long wait questions are rarer.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Asks until there is an answer.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, probe: impl Fn() -> F) -> T {
    within(PATIENCE, what, probe).await
}

pub async fn within<T, F: Future<Output = Option<T>>>(
    patience: Duration,
    what: &str,
    probe: impl Fn() -> F,
) -> T {
    let deadline = Instant::now() + patience;
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < deadline, "after {patience:?} still not: {what}");
        sleep(pause).await;
        pause = (pause * 5 / 4).min(LONGEST_PAUSE);
    }
}
