//! A project that runs hand-written functions of these names, with open channels of theirs, becomes one of ours:
//! nothing that changes at any moment is lost.

use anyhow::Result;
use chrono::{DateTime, Utc};
use dev_stack::{Config, Stack, shipped_functions};
use futures_util::future::join_all;
use local_supabase::{Backend, repository, schema};
use serde_json::{Value, json};
use system_tests::{Caller, Connection, Project, REFRESH, SETUP, until};
use uuid::Uuid;

pub(crate) async fn hand_written_functions_are_replaced_without_losing_a_change() -> Result<()> {
    let handwritten = repository().join("crates/system-tests/tests/lifecycle/handwritten");
    let config = Config {
        backend: Backend::Postgrest,
        functions_dir: handwritten.join("functions"),
        migrations_dir: handwritten.join("migrations"),
        ..Config::default()
    };
    let mut stack = Stack::start(config, |_| {}).await?;
    let project = Project::of(&stack);
    let host = Host::populate(&project).await?;

    // The old code works, but for a notification that never came.
    project.until_run_after(&host.plain, project.change(&host.plain).await).await;
    project.delivery(&host.shared_token, json!({ "drop": 1 })).await;
    let mut changes = vec![(&host.shared_token, project.change(&host.shared_token).await)];

    migrate(&mut stack, &project).await?;
    // It goes on working on the migrated table.
    project.until_run_after(&host.plain, project.change(&host.plain).await).await;
    migrate(&mut stack, &project).await?;
    stack.deploy(&shipped_functions()?, &[]).await?;

    // Old channels are not ours: no token is 401, another one 404, and neither does anything.
    let before = host.rows(&project).await;
    let runs = host.runs(&project).await;
    for (connection, status) in [
        (&host.plain, 401),
        (&host.shared_token, 404),
        (&host.hex_token, 404),
        (&host.twin, 401),
        (&host.doubled, 401),
        (&host.paused, 401),
        (&host.inactive, 401),
    ] {
        changes.push((connection, project.change(connection).await));
        answered(&project, connection, status).await;
    }
    assert_eq!(host.rows(&project).await, before);
    assert_eq!(host.runs(&project).await, runs);
    changes.push((&host.expired, project.change(&host.expired).await));

    // The first sweep sees to all of it.
    let swept = project.call(REFRESH, Caller::Service, json!({})).await?;
    assert_eq!(swept.status, 200);
    let failed = json!([{ "connection_id": host.without_tokens.id, "code": "reconnect_required" }]);
    assert_eq!((&swept.body["stopped"], &swept.body["failed"]), (&json!(2), &failed), "{}", swept.body);
    let live = host.live();
    assert_eq!(swept.body["renewed"], live.len(), "{}", swept.body);
    for (connection, time) in changes {
        if live.iter().any(|live| live.id == connection.id) {
            project.until_run_after(connection, time).await;
        }
    }
    for connection in &live {
        project.settled(connection).await;
        project.until_run_after(connection, project.change(connection).await).await;
        one_channel_of_ours(&project, connection, connection.id == host.doubled.id).await;
    }

    // Who is paused or disconnected is left alone; their old channels, whose resource id nobody knows, go on until
    // they expire, and are not heard.
    for connection in [&host.paused, &host.inactive] {
        let row = project.row(connection).await;
        assert_eq!((&row["webhook_id"], &row["sync_request_id"]), (&Value::Null, &Value::Null));
        assert_eq!(project.live_channels(connection).await.len(), 1);
        project.change(connection).await;
        answered(&project, connection, 401).await;
        assert!(project.runs(connection).await.is_empty());
    }

    // A second sweep finds nothing left.
    let swept = project.call(REFRESH, Caller::Service, json!({})).await?;
    let idle = json!({
        "renewed": 0, "stopped": 0, "synced": 0, "settled": 0, "looked": 0, "reconciled": 0, "missed": 0,
        "failed": [], "remaining": 0,
    });
    assert_eq!(swept.body, idle);
    stack.stop().await;
    Ok(())
}

/// The host's connections, whose channels its own code has opened.
struct Host {
    /// Without a token.
    plain: Connection,
    /// With a token that is everybody's.
    shared_token: Connection,
    /// With a token that looks like one of ours.
    hex_token: Connection,
    /// Another user's row names the same channel.
    twin: Connection,
    other_twin: Connection,
    /// Two channels, the first of which nobody remembers.
    doubled: Connection,
    expired: Connection,
    never_set_up: Connection,
    paused: Connection,
    inactive: Connection,
    without_tokens: Connection,
}

impl Host {
    async fn populate(project: &Project) -> Result<Self> {
        let connect =
            async |name: &str| project.connect(Uuid::new_v4(), &format!("{name}@gmail.com"), json!({})).await;
        let host = Self {
            plain: connect("plain").await,
            shared_token: connect("shared-token").await,
            hex_token: connect("hex-token").await,
            twin: connect("twin").await,
            other_twin: connect("other-twin").await,
            doubled: connect("doubled").await,
            expired: connect("expired").await,
            never_set_up: connect("never-set-up").await,
            paused: connect("paused").await,
            inactive: connect("inactive").await,
            without_tokens: connect("without-tokens").await,
        };
        let set_up = async |connection: &Connection, token: Value| {
            let body = json!({ "connection_id": connection.id, "token": token });
            let answer = project.call(SETUP, Caller::Service, body).await.expect("an answer");
            answer.body["webhook_id"].as_str().expect("a channel").to_owned()
        };
        for connection in [&host.plain, &host.doubled, &host.doubled, &host.paused, &host.inactive] {
            set_up(connection, Value::Null).await;
        }
        set_up(&host.shared_token, json!("one-for-all")).await;
        set_up(&host.hex_token, json!("0123456789abcdef".repeat(4))).await;
        let shared = set_up(&host.twin, Value::Null).await;
        let twin = format!("webhook_id = '{shared}', webhook_expiration = now() + interval '1 day'");
        project.set(&host.other_twin, &twin).await;
        let expired = set_up(&host.expired, Value::Null).await;
        project.google_control(&format!("channels/{expired}/expire"), json!({})).await;
        project.set(&host.expired, "webhook_expiration = now() - interval '1 day'").await;
        project.set(&host.paused, "sync_enabled = false").await;
        project.set(&host.inactive, "is_active = false").await;
        let nothing = "access_token = null, refresh_token = null, expires_at = null, sync_enabled = null";
        project.set(&host.without_tokens, nothing).await;
        // Not even a provider.
        project
            .sql("insert into calendar_connections (is_active, sync_enabled) values (null, null)", &[])
            .await?;
        Ok(host)
    }

    /// Those that are to have a channel.
    fn live(&self) -> [&Connection; 8] {
        [
            &self.plain,
            &self.shared_token,
            &self.hex_token,
            &self.twin,
            &self.other_twin,
            &self.doubled,
            &self.expired,
            &self.never_set_up,
        ]
    }

    fn all(&self) -> Vec<&Connection> {
        [&self.live()[..], &[&self.paused, &self.inactive, &self.without_tokens]].concat()
    }

    async fn rows(&self, project: &Project) -> Vec<Value> {
        join_all(self.all().into_iter().map(|connection| project.row(connection))).await
    }

    async fn runs(&self, project: &Project) -> Vec<Vec<DateTime<Utc>>> {
        let runs = async |connection: &Connection| {
            project.runs(connection).await.iter().map(|run| run.started_at).collect()
        };
        join_all(self.all().into_iter().map(runs)).await
    }
}

/// As `supabase db push` to a project in use; PostgREST then reads the schema anew.
async fn migrate(stack: &mut Stack, project: &Project) -> Result<()> {
    for migration in schema::migrations(&repository().join("supabase/migrations"))? {
        project.database().await?.batch_execute(&migration.sql).await?;
    }
    stack.postgrest().expect("PostgREST").restart().await
}

/// Waits until the latest notification of the connection's first channel that is still open was answered so.
async fn answered(project: &Project, connection: &Connection, status: u64) {
    let channel = project.live_channels(connection).await.remove(0);
    let name = format!("{status} for {}", connection.email);
    until(&name, || async { (project.answers(&channel).await.last() == Some(&Some(status))).then_some(()) })
        .await;
}

/// The one that the row names, opened by us and with our token, and one that the old code forgot.
async fn one_channel_of_ours(project: &Project, connection: &Connection, forgotten: bool) {
    let row = project.row(connection).await;
    let ours = row["webhook_id"].as_str().expect("a channel");
    let live = until(&format!("the old channel of {} stopped", connection.email), || async {
        let live = project.live_channels(connection).await;
        (live.len() == 1 + usize::from(forgotten)).then_some(live)
    })
    .await;
    assert_eq!(live.last().map(String::as_str), Some(ours));
    assert_eq!(project.answers(ours).await, [Some(200)], "{}", connection.email);
    assert_ne!(row["webhook_opened_at"], "1970-01-01T00:00:00+00:00");
}
