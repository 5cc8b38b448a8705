//! What users, backends and cron do all the while, whatever breaks.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::Result;
use chrono::{SecondsFormat, TimeDelta};
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{Caller, Project, REFRESH, SETUP};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use crate::dice::Dice;
use crate::population::{Habit, Inhabitant, Population};

const SWEEPS_AT_ONCE: usize = 4;

/// Cron: every second, however long the one before takes. Holding all of the permits means that none is going on.
pub(crate) struct Cron {
    pub sweeps: Arc<Semaphore>,
    task: tokio::task::JoinHandle<()>,
}

impl Cron {
    pub(crate) fn start(population: &Arc<Population>) -> Self {
        let (population, sweeps) = (population.clone(), Arc::new(Semaphore::new(SWEEPS_AT_ONCE)));
        let permits = sweeps.clone();
        let task = tokio::spawn(async move {
            let mut ticks = interval(Duration::from_secs(1));
            loop {
                ticks.tick().await;
                let Ok(permit) = permits.clone().acquire_owned().await else { return };
                let population = population.clone();
                tokio::spawn(async move {
                    let _ = population.call(REFRESH, Caller::Service, json!({})).await;
                    drop(permit);
                });
            }
        });
        Self { sweeps, task }
    }

    /// Returns once no sweep is going on and none starts while the permit is held.
    pub(crate) async fn pause(&self) -> tokio::sync::SemaphorePermit<'_> {
        self.sweeps.acquire_many(SWEEPS_AT_ONCE as u32).await.unwrap()
    }
}

impl Drop for Cron {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Users and backends; they stop when dropped.
pub(crate) struct Load {
    pub changes: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Load {
    pub(crate) fn start(population: &Arc<Population>, dice: &Dice) -> Self {
        let (changes, mut tasks) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
        for inhabitant in population.inhabitants.iter().filter(|each| each.habit != Habit::Quiet) {
            let editor = Editor {
                population: population.clone(),
                inhabitant: inhabitant.clone(),
                changes: changes.clone(),
                dice: dice.fork(),
            };
            tasks.spawn(editor.edit());
        }
        tasks.spawn(press_buttons(population.clone(), dice.fork()));
        tasks.spawn(change_minds(population.clone(), dice.fork()));
        tasks.spawn(vary_runs(population.clone(), dice.fork()));
        tasks.spawn(let_hours_pass(population.clone(), dice.fork()));
        Self { changes, _tasks: tasks }
    }
}

struct Editor {
    population: Arc<Population>,
    inhabitant: Inhabitant,
    changes: Arc<AtomicU64>,
    dice: Dice,
}

impl Editor {
    /// Bursts of changes. Some pauses are so long that the storm brake lets go.
    async fn edit(self) {
        let mut events = Vec::new();
        loop {
            let pause = if self.dice.chance(60) { (1_000, 9_000) } else { (20_000, 30_000) };
            sleep(Duration::from_millis(self.dice.between(pause.0, pause.1))).await;
            for _ in 0..self.dice.between(1, 3) {
                if self.change(&mut events).await.is_ok() {
                    self.changes.fetch_add(1, Relaxed);
                }
                sleep(Duration::from_millis(self.dice.between(30, 700))).await;
            }
        }
    }

    async fn change(&self, events: &mut Vec<String>) -> Result<()> {
        let Self { population: project, inhabitant, dice, .. } = self;
        let (event, connection) = (event(inhabitant, dice), &inhabitant.connection);
        if events.is_empty() || (events.len() < 4 && dice.chance(40)) {
            let answer = project.calendar(Method::POST, connection, "").json(&event).send().await?;
            let event: Value = answer.error_for_status()?.json().await?;
            events.push(event["id"].as_str().expect("an event's id").to_owned());
            return Ok(());
        }
        let id = dice.pick(events).clone();
        let path = format!("/{id}");
        if dice.chance(60) {
            project
                .calendar(Method::PATCH, connection, &path)
                .json(&event)
                .send()
                .await?
                .error_for_status()?;
        } else {
            project.calendar(Method::DELETE, connection, &path).send().await?.error_for_status()?;
            events.retain(|other| *other != id);
        }
        Ok(())
    }
}

/// Somewhere around the session.
fn event(inhabitant: &Inhabitant, dice: &Dice) -> Value {
    let start = inhabitant.preferred + TimeDelta::minutes(i64::try_from(dice.between(0, 360)).unwrap() - 180);
    let end = start + TimeDelta::minutes(i64::try_from(dice.between(15, 120)).unwrap());
    let time = |time: chrono::DateTime<chrono::Utc>| json!({ "dateTime": time.to_rfc3339_opts(SecondsFormat::Secs, true) });
    json!({ "summary": "Busy", "start": time(start), "end": time(end) })
}

/// One change in a connection's calendar.
pub(crate) async fn change_once(project: &Project, inhabitant: &Inhabitant, dice: &Dice) -> Result<()> {
    let request = project.calendar(Method::POST, &inhabitant.connection, "").json(&event(inhabitant, dice));
    request.send().await?.error_for_status()?;
    Ok(())
}

/// Setup and the button, for anybody but those who do nothing.
async fn press_buttons(population: Arc<Population>, dice: Dice) {
    let mut pressed = JoinSet::new();
    loop {
        sleep(Duration::from_millis(dice.between(500, 4_000))).await;
        let inhabitant = dice.pick(&population.inhabitants);
        if inhabitant.habit == Habit::Quiet {
            continue;
        }
        let function = if dice.chance(50) { SETUP } else { REFRESH };
        let (population, target) = (population.clone(), inhabitant.connection.target());
        pressed.spawn(async move {
            let _ = population.call(function, Caller::Service, target).await;
        });
        while pressed.try_join_next().is_some() {}
    }
}

/// Pauses, resumes and reconnects; setup follows as the page would call it.
async fn change_minds(population: Arc<Population>, dice: Dice) {
    let fickle = population.of_habit(Habit::Fickle);
    loop {
        sleep(Duration::from_millis(dice.between(500, 3_000))).await;
        let inhabitant = *dice.pick(&fickle);
        let connection = &inhabitant.connection;
        match dice.between(0, 3) {
            0 => drop(population.try_set(connection, "sync_enabled = false").await),
            1 => drop(population.try_set(connection, "sync_enabled = true").await),
            2 => {
                let is_active = format!("is_active = {}", dice.chance(60));
                drop(population.try_set(connection, &is_active).await);
            }
            _ => drop(population.consent_again(inhabitant).await),
        }
        if dice.chance(50) {
            let setup = population.call(SETUP, Caller::Service, connection.target());
            let setup = tokio::time::timeout(Duration::from_secs(2), setup);
            drop(setup.await);
        }
    }
}

/// For somebody's calendar, until it is due for a look.
async fn let_hours_pass(population: Arc<Population>, dice: Dice) {
    loop {
        sleep(Duration::from_millis(dice.between(300, 1_500))).await;
        let inhabitant = dice.pick(&population.inhabitants);
        drop(population.try_set(&inhabitant.connection, "sync_look_at = now()").await);
    }
}

/// Runs take their time, and some fail or lose their answer.
async fn vary_runs(population: Arc<Population>, dice: Dice) {
    loop {
        let mut behaviours = Vec::new();
        for _ in 0..4 {
            let user = dice.pick(&population.inhabitants).connection.user;
            behaviours.push(match dice.between(0, 2) {
                0 => json!({ "user_id": user, "times": 1, "status": 500, "delay_ms": 100 }),
                1 => json!({ "user_id": user, "times": 1, "cut": true, "delay_ms": 100 }),
                _ => json!({ "user_id": user, "times": 1, "delay_ms": dice.between(1_000, 6_000) }),
            });
        }
        behaviours.push(json!({ "delay_ms": dice.between(50, 800) }));
        population.forget_behaviours().await;
        for behaviour in behaviours {
            population.behave_for_all(behaviour).await;
        }
        sleep(Duration::from_millis(dice.between(2_000, 4_000))).await;
    }
}
