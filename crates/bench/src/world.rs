//! PostgreSQL with the migrations, PostgREST, a Google, and the gateway before them.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use fake_google::FakeGoogle;
use local_supabase::postgres::Cluster;
use local_supabase::postgrest::Postgrest;
use local_supabase::{ApiKeys, repository, schema};
use serde_json::{Value, json};
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::gateway::Gateway;

pub(crate) struct World {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) keys: ApiKeys,
    /// The database's log tells of plans.
    pub(crate) cluster: Cluster,
    pub(crate) database: Client,
    pub(crate) postgrest: Postgrest,
    google: FakeGoogle,
    /// A consent at Google that never ends.
    access_token: String,
}

/// A connection with a channel, as far as a notification tells of it.
#[derive(Clone)]
pub(crate) struct Channel {
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) connection: Uuid,
    pub(crate) user: Uuid,
    /// Of the last notification.
    pub(crate) number: i64,
}

impl Channel {
    /// The headers of the next notification.
    pub(crate) fn next(&mut self) -> String {
        self.number += 1;
        self.again()
    }

    pub(crate) fn again(&self) -> String {
        format!(
            "X-Goog-Channel-ID: {}\r\nX-Goog-Channel-Token: {}\r\nX-Goog-Resource-ID: resource\r\n\
             X-Goog-Resource-State: exists\r\nX-Goog-Message-Number: {}\r\n",
            self.id, self.token, self.number
        )
    }
}

/// Live connections, each with a channel that is well, no run owed and no look due.
const CHANNELS: &str = "
insert into calendar_connections (user_id, provider, access_token, refresh_token, expires_at, is_active, webhook_id,
    webhook_resource_id, webhook_expiration, webhook_opened_at, webhook_message_number, webhook_not_before,
    last_sync_at, sync_look_at)
  select gen_random_uuid(), 'google', $1, 'refresh', now() + interval '20 hours', true, gen_random_uuid(), 'resource',
      now() + interval '20 days', now() - interval '1 day', 1, now() + interval '18 days',
      now() - interval '1 hour', now() + interval '5 hours'
    from generate_series(1, $2)
  returning id, user_id, webhook_id, webhook_token";

impl World {
    pub(crate) async fn start() -> Result<Self> {
        let keys = ApiKeys::local()?;
        let cluster = Cluster::start().await?;
        let database = cluster.connect().await?;
        let migrations = schema::migrations(&repository().join("supabase/migrations"))?;
        schema::create(&database, &migrations).await?;
        // What a sweep would do anyhow; without statistics the first plans would be odd.
        database.batch_execute("analyze").await?;
        let postgrest = Postgrest::start(&cluster, &keys).await?;
        let gateway = Gateway::start(postgrest.port()).await?;
        let google = FakeGoogle::start(fake_google::Config::default()).await?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        let control = |path: &str, body: Value| {
            let request = http.post(format!("{}/control/{path}", google.url())).json(&body);
            async move { anyhow::Ok(request.send().await?.error_for_status()?.json::<Value>().await?) }
        };
        let email = "ada@gmail.com";
        let account = json!({ "email": email, "access_token_seconds": 864_000 });
        let grant = control("accounts", account).await?;
        control("events", json!({ "email": email, "events": 50 })).await?;
        let access_token =
            grant.get("access_token").and_then(Value::as_str).context("no access token")?.to_owned();
        Ok(Self { gateway, keys, cluster, database, postgrest, google, access_token })
    }

    /// What a function finds in its environment.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("SUPABASE_URL", self.gateway.url()),
            ("SUPABASE_SERVICE_ROLE_KEY", self.keys.legacy_service_role.clone()),
            ("GOOGLE_CLIENT_ID", "fake-client-id".to_owned()),
            ("GOOGLE_CLIENT_SECRET", "fake-client-secret".to_owned()),
            ("GOOGLE_CALENDAR_API_URL", self.google.calendar_api_url()),
            ("GOOGLE_OAUTH_TOKEN_URL", self.google.oauth_token_url()),
        ]
    }

    pub(crate) async fn channels(&self, count: i32) -> Result<Vec<Channel>> {
        let rows = self.database.query(CHANNELS, &[&self.access_token, &count]).await?;
        let channel = |row: &tokio_postgres::Row| Channel {
            connection: row.get(0),
            user: row.get(1),
            id: row.get(2),
            token: row.get(3),
            number: 1,
        };
        Ok(rows.iter().map(channel).collect())
    }

    pub(crate) fn access_token(&self) -> &str {
        &self.access_token
    }

    /// Changes the rows of these channels.
    pub(crate) async fn set(&self, channels: &[Channel], assignments: &str) -> Result<()> {
        let ids: Vec<Uuid> = channels.iter().map(|channel| channel.connection).collect();
        self.sql(&format!("update calendar_connections set {assignments} where id = any($1)"), &[&ids]).await
    }

    pub(crate) async fn sql(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<()> {
        self.database.execute(sql, parameters).await?;
        Ok(())
    }

    pub(crate) async fn stop(mut self) {
        self.postgrest.stop().await;
        drop(self.database);
        self.cluster.stop().await;
        self.google.stop().await;
    }
}

/// Bytes of what is deployed: a file, or a directory's files.
pub(crate) fn bytes_of(paths: &[&Path]) -> Result<u64> {
    paths
        .iter()
        .map(|path| Ok(std::fs::metadata(path).with_context(|| path.display().to_string())?.len()))
        .sum()
}
