//! The extensions that the schedule needs, as after enabling them in a hosted project's dashboard. pg_cron is the real
//! one; Vault and pg_net are stand-ins with the documented signatures, of which pg_net's worker is here.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio_postgres::Client;

use crate::supabase::Supabase;

pub const PG_NET: &str = include_str!("../sql/pg_net.sql");
pub const VAULT: &str = include_str!("../sql/vault.sql");

/// Restarts the database, which ends every connection to it.
pub async fn enable(supabase: &mut Supabase) -> Result<()> {
    let cluster = supabase.cluster().context("lite has no extensions")?;
    let preload = "alter system set shared_preload_libraries = 'pg_cron'";
    cluster.connect().await?.batch_execute(preload).await?;
    cluster.restart().await?;
    let database = cluster.connect().await?;
    for sql in ["create extension pg_cron", PG_NET, VAULT] {
        database.batch_execute(sql).await?;
    }
    supabase.postgrest().context("lite has no PostgREST")?.restart().await
}

/// Sends what pg_net was asked to send, and keeps the answers. → their statuses
pub async fn send_requests(database: &Client, http: &reqwest::Client) -> Result<Vec<u16>> {
    let requests = "with sent as (delete from net.http_request_queue returning *)
                    select id, url, headers, convert_from(body, 'UTF8'), timeout_milliseconds from sent order by id";
    let mut statuses = Vec::new();
    for request in database.query(requests, &[]).await? {
        let headers: BTreeMap<String, String> = serde_json::from_value(request.get::<_, Value>(2))?;
        let timeout = Duration::from_millis(u64::try_from(request.get::<_, i32>(4))?);
        let sending = http.post(request.get::<_, &str>(1)).body(request.get::<_, String>(3)).timeout(timeout);
        let sending = headers.iter().fold(sending, |sending, (name, value)| sending.header(name, value));
        let answer = sending.send().await?;
        let status = answer.status().as_u16();
        let keep = "insert into net._http_response (id, status_code, content) values ($1, $2, $3)";
        let id: i64 = request.get(0);
        database.execute(keep, &[&id, &i32::from(status), &answer.text().await?]).await?;
        statuses.push(status);
    }
    Ok(statuses)
}
