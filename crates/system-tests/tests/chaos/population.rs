//! The project under fire, and who its users are.

use std::ops::Deref;
use std::sync::Arc;

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use dev_stack::Stack;
use serde_json::{Value, json};
use system_tests::{Connection, Project};
use uuid::Uuid;

use crate::remember::SCHEMA;

/// Short, so that tokens are renewed all the while.
const ACCESS_TOKEN_SECONDS: u64 = 150;

/// What a connection's user does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Edits the calendar.
    Busy,
    /// Edits it too, and pauses, resumes and reconnects.
    Fickle,
    /// Nothing at all.
    Quiet,
}

/// A user with the one connection and the one session there is.
#[derive(Clone, Debug)]
pub(crate) struct Inhabitant {
    pub connection: Connection,
    pub habit: Habit,
    /// Whether the app deletes the session from the calendar and writes it anew in every run.
    pub writes: bool,
    /// When the session is wanted.
    pub preferred: DateTime<Utc>,
}

pub(crate) struct Population {
    pub project: Project,
    pub inhabitants: Vec<Inhabitant>,
}

impl Population {
    /// Gives a running stack its users, and has all that happens to their connections remembered.
    pub(crate) async fn settle_in(stack: &Stack, habits: &[Habit]) -> Result<Arc<Self>> {
        let project = Project::of(stack);
        project.database().await?.batch_execute(SCHEMA).await?;
        // Far ahead: what is over is not looked at.
        let preferred = DateTime::from_timestamp(4_800_000_000, 0).unwrap();
        let mut inhabitants = Vec::new();
        for (number, habit) in habits.iter().enumerate() {
            let email = format!("{}{number}@gmail.com", format!("{habit:?}").to_lowercase());
            let connection = project.connect(Uuid::new_v4(), &email, account()).await;
            let plan = "insert into sessions (user_id, preferred_starts_at, starts_at, ends_at) values ($1, $2, $2, $3)";
            let ends_at = preferred + TimeDelta::hours(1);
            project.sql(plan, &[&connection.user, &preferred, &ends_at]).await?;
            let writes = *habit != Habit::Quiet && number % 3 == 0;
            project.host_writes(&connection, if writes { "recreate" } else { "none" }).await;
            inhabitants.push(Inhabitant { connection, habit: *habit, writes, preferred });
        }
        Ok(Arc::new(Self { project, inhabitants }))
    }

    pub(crate) fn of_habit(&self, habit: Habit) -> Vec<&Inhabitant> {
        self.inhabitants.iter().filter(|inhabitant| inhabitant.habit == habit).collect()
    }

    pub(crate) async fn consent_again(&self, inhabitant: &Inhabitant) -> Result<()> {
        self.reconnect(&inhabitant.connection, account()).await
    }
}

/// A population lives in a project.
impl Deref for Population {
    type Target = Project;

    fn deref(&self) -> &Project {
        &self.project
    }
}

fn account() -> Value {
    json!({ "access_token_seconds": ACCESS_TOKEN_SECONDS })
}
