//! A line every few seconds, so that nobody wonders.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval};

use crate::population::Population;

const EVERY: Duration = Duration::from_secs(5);

pub(crate) struct Progress {
    phase: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl Progress {
    pub(crate) fn start(population: &Arc<Population>, changes: &Arc<AtomicU64>) -> Self {
        let (population, changes) = (population.clone(), changes.clone());
        let phase = Arc::new(Mutex::new(String::new()));
        let current = phase.clone();
        let task = tokio::spawn(async move {
            let (started, mut ticks) = (Instant::now(), interval(EVERY));
            loop {
                ticks.tick().await;
                let runs = population.all_runs().await.len();
                let channels = population.google_list::<Value>("channels").await.len();
                let (phase, changes) = (current.lock().unwrap().clone(), changes.load(Relaxed));
                let seconds = started.elapsed().as_secs();
                println!(
                    "{seconds:>4} s  {changes:>4} changes {runs:>4} runs {channels:>4} channels  {phase}"
                );
            }
        });
        Self { phase, task }
    }

    pub(crate) fn phase(&self, phase: String) {
        *self.phase.lock().unwrap() = phase;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.task.abort();
    }
}
