//! The sample app's `recalculate-schedule`: how its runs go, and which there were.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::connection::Connection;
use crate::patience::until;
use crate::project::Project;

#[derive(Clone, Debug, Deserialize)]
pub struct Run {
    pub user_id: Uuid,
    pub connection_id: Uuid,
    pub request_id: Uuid,
    pub reason: String,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub status: Option<u16>,
    pub overlapped: bool,
}

impl Run {
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

impl Project {
    /// The calls so far, for every user.
    pub async fn all_runs(&self) -> Vec<Run> {
        let url = format!("{}/control/runs", self.recalculate);
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// Those of this connection's user.
    pub async fn runs(&self, connection: &Connection) -> Vec<Run> {
        let url = format!("{}/control/runs?user_id={}", self.recalculate, connection.user);
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// How the runs of this connection's user go from now on; the first behaviour that is not used up counts.
    pub async fn behave(&self, connection: &Connection, mut behaviour: Value) {
        behaviour["user_id"] = json!(connection.user);
        self.behave_for_all(behaviour).await;
    }

    pub async fn behave_for_all(&self, behaviour: Value) {
        let url = format!("{}/control/behaviour", self.recalculate);
        let answer = self.http.post(url).json(&behaviour).send().await.unwrap();
        assert!(answer.status().is_success(), "{behaviour}");
    }

    /// How the runs of this connection's user write to the calendar from now on: `none`, `in-place` or `recreate`.
    pub async fn host_writes(&self, connection: &Connection, style: &str) {
        let url = format!("{}/control/host-writes", self.recalculate);
        let choice = json!({ "user_id": connection.user, "style": style });
        let answer = self.http.post(url).json(&choice).send().await.unwrap();
        assert!(answer.status().is_success(), "{choice}: {answer:?}");
    }

    /// Runs go well again.
    pub async fn forget_behaviours(&self) {
        let url = format!("{}/control/behaviour", self.recalculate);
        assert!(self.http.delete(url).send().await.unwrap().status().is_success());
    }

    /// Waits until so many runs of this connection's user have started.
    pub async fn until_started(&self, connection: &Connection, count: usize) {
        until(&format!("{count} runs"), || async {
            (self.runs(connection).await.len() >= count).then_some(())
        })
        .await;
    }

    /// And until nothing is going on any more: there were no others.
    pub async fn until_runs(&self, connection: &Connection, count: usize) {
        self.until_started(connection, count).await;
        self.settled(connection).await;
        assert_eq!(self.runs(connection).await.len(), count);
    }

    pub async fn until_run_after(&self, connection: &Connection, time: DateTime<Utc>) {
        until(&format!("a run of {} that starts after {time}", connection.email), || async {
            let runs = self.runs(connection).await;
            runs.iter().any(|run| run.succeeded() && run.started_at > time).then_some(())
        })
        .await;
    }
}
