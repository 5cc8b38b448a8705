//! What breaks, one after the other, while the load goes on.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use dev_stack::Stack;
use serde_json::{Value, json};
use system_tests::{Caller, RECEIVE, REFRESH, SETUP};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::dice::Dice;
use crate::load::change_once;
use crate::population::{Habit, Population};
use crate::progress::Progress;
use crate::scissors::Scissors;

pub(crate) const KILLS: u32 = 100;

const GOOGLE: [&str; 4] = ["watch", "stop", "token", "list"];

pub(crate) struct Phases<'a> {
    pub stack: &'a mut Stack,
    pub population: &'a Arc<Population>,
    pub scissors: &'a Scissors,
    pub dice: &'a Dice,
    pub progress: &'a Progress,
}

impl Phases<'_> {
    /// A function's process is killed, 100 times, each time with something of it under way.
    pub(crate) async fn kill_functions(&mut self) {
        // Slow enough to be hit between the request and its answer, before or after Google has done the work.
        self.google_fails(json!({ "delay_ms": 150, "after": true })).await;
        for kill in 1..=KILLS {
            self.progress.phase(format!("kill {kill} of {KILLS}"));
            let function = *self.dice.pick(&[SETUP, RECEIVE, RECEIVE, REFRESH, REFRESH]);
            // So that most of what waited for the process before is taken up.
            self.wait(300, 1_200).await;
            let work = self.give_work(function);
            // While it is judged or claimed, or later, while it runs.
            let latest = if self.dice.chance(50) { 80 } else { 900 };
            self.wait(0, latest).await;
            self.stack.kill_function(function).await;
            drop(work);
        }
        self.google_recovers().await;
    }

    /// PostgREST is stopped and started; PostgreSQL crashes and recovers.
    pub(crate) async fn break_database(&mut self) -> Result<()> {
        for round in 1..=2 {
            self.progress.phase(format!("PostgREST stopped, round {round}"));
            self.stack.postgrest().context("no PostgREST")?.stop().await;
            self.wait(500, 7_000).await;
            self.stack.postgrest().context("no PostgREST")?.restart().await?;
            self.wait(2_000, 4_000).await;

            self.progress.phase(format!("PostgreSQL crashed, round {round}"));
            self.stack.cluster().context("no PostgreSQL")?.crash().await;
            self.wait(0, 5_000).await;
            self.stack.cluster().context("no PostgreSQL")?.restart().await?;
            self.wait(3_000, 6_000).await;
        }
        Ok(())
    }

    /// Google hangs up before or after it has done what it was asked, then takes 30 s for everything.
    pub(crate) async fn break_google(&mut self) -> Result<()> {
        for (name, fault, seconds) in [
            ("Google unreachable", json!({ "status": 0 }), 8),
            ("Google loses its answers", json!({ "status": 0, "after": true }), 8),
            ("Google takes 30 s", json!({ "delay_ms": 30_000 }), 18),
            ("Google takes 30 s to answer", json!({ "delay_ms": 30_000, "after": true }), 18),
        ] {
            self.progress.phase(name.to_owned());
            self.google_fails(fault).await;
            sleep(Duration::from_secs(seconds)).await;
            self.google_recovers().await;
        }
        Ok(())
    }

    /// The gateway closes connections after the request was sent: functions lose answers of the database and of runs,
    /// Google those of the functions.
    pub(crate) async fn cut_connections(&mut self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            let percent = self.dice.between(5, 50);
            self.progress.phase(format!("{percent} % of the gateway's answers lost"));
            self.scissors.cut(percent);
            self.wait(2_000, 5_000).await;
        }
        self.scissors.cut(0);
        Ok(())
    }

    /// Something for a function to do, beside what the load gives it. It is not waited for.
    fn give_work(&self, function: &'static str) -> JoinSet<Result<()>> {
        let habit = if function == RECEIVE { Habit::Busy } else { Habit::Fickle };
        let inhabitant = (*self.dice.pick(&self.population.of_habit(habit))).clone();
        let (population, dice, mut work) = (self.population.clone(), self.dice.fork(), JoinSet::new());
        work.spawn(async move {
            if function == RECEIVE {
                return change_once(&population, &inhabitant, &dice).await;
            }
            // A new consent makes a new channel due. The page asks for it, or the next sweep finds it.
            population.consent_again(&inhabitant).await?;
            let target = if function == SETUP { inhabitant.connection.target() } else { json!({}) };
            population.call(function, Caller::Service, target).await?;
            Ok(())
        });
        work
    }

    async fn google_fails(&self, fault: Value) {
        for operation in GOOGLE {
            let mut fault = fault.clone();
            fault["operation"] = json!(operation);
            fault["times"] = Value::Null;
            self.population.google_control("faults", fault).await;
        }
    }

    async fn google_recovers(&self) {
        self.population.google_forgets("faults").await;
    }

    async fn wait(&self, least: u64, most: u64) {
        sleep(Duration::from_millis(self.dice.between(least, most))).await;
    }
}
