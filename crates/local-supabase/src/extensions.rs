//! The extensions that the schedule needs, as after enabling them in a hosted project's dashboard. pg_cron is the real
//! one; Vault and pg_net are stand-ins with the documented signatures, of which pg_net's worker is here.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use tokio_postgres::Client;

use crate::postgres::Cluster;
use crate::statements::Statement;

const PG_CRON: &str = include_str!("../sql/pg_cron.sql");
pub const PG_NET: &str = include_str!("../sql/pg_net.sql");
pub const VAULT: &str = include_str!("../sql/vault.sql");

/// An extension that is simulated, the schema that it makes, and the SQL for that.
const STAND_INS: [(&str, &str, &str); 3] =
    [("pg_cron", "cron", PG_CRON), ("pg_net", "net", PG_NET), ("supabase_vault", "vault", VAULT)];

/// Which of the stand-ins a database has so far.
#[derive(Default)]
pub(crate) struct StandIns(Vec<&'static str>);

impl StandIns {
    /// What makes the extensions that a statement uses, or enables, as far as they are not there yet. In a hosted
    /// project a dashboard has enabled them.
    pub(crate) fn needed_by(&mut self, statement: &Statement<'_>) -> Vec<&'static str> {
        let enabled = enabled_by(statement);
        let mut missing = Vec::new();
        for (extension, schema, sql) in STAND_INS {
            let is_needed = enabled.as_deref() == Some(extension) || names_schema(statement.code(), schema);
            if is_needed && !self.0.contains(&extension) {
                self.0.push(extension);
                missing.push(sql);
            }
        }
        missing
    }

    /// Whether all that a statement does is to enable one of them.
    pub(crate) fn is_done_by(&self, statement: &Statement<'_>) -> bool {
        enabled_by(statement).is_some_and(|extension| self.0.contains(&extension.as_str()))
    }
}

/// The extension that `create extension` enables.
pub(crate) fn enabled_by(statement: &Statement<'_>) -> Option<String> {
    let mut words = statement.code().split_whitespace().map(str::to_lowercase);
    if words.next()? != "create" || words.next()? != "extension" {
        return None;
    }
    let mut name = words.next()?;
    if name == "if" {
        name = words.nth(2)?;
    }
    Some(name.trim_matches('"').to_owned())
}

fn names_schema(sql: &str, schema: &str) -> bool {
    let name = format!("{schema}.");
    sql.match_indices(&name).any(|(at, _)| {
        let before = sql.get(..at).and_then(|before| before.chars().next_back());
        before.is_none_or(|before| !before.is_alphanumeric() && !matches!(before, '_' | '.'))
    })
}

/// Restarts the database, which ends every connection to it.
pub(crate) async fn enable(cluster: &mut Cluster) -> Result<()> {
    let preload = "alter system set shared_preload_libraries = 'pg_cron'";
    cluster.connect().await?.batch_execute(preload).await?;
    cluster.restart().await?;
    let database = cluster.connect().await?;
    for sql in ["create extension pg_cron", PG_NET, VAULT] {
        database.batch_execute(sql).await?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statements::statements;

    #[test]
    fn a_stand_in_is_made_once_and_before_what_uses_it() {
        let mut stand_ins = StandIns::default();
        for (sql, made, is_done) in [
            ("select internet.www.net.x, my_cron.y", vec![], false),
            ("CREATE EXTENSION IF NOT EXISTS \"pg_cron\" WITH SCHEMA pg_catalog", vec![PG_CRON], true),
            (
                "select cron.schedule('nightly', '0 3 * * *', $$select net.http_post('https://x')$$)",
                vec![PG_NET],
                false,
            ),
            ("create extension pg_net", vec![], true),
            ("select (vault.create_secret('s'))", vec![VAULT], false),
            ("create extension postgis", vec![], false),
        ] {
            let found = statements(sql);
            assert_eq!(stand_ins.needed_by(&found[0]), made, "{sql}");
            assert_eq!(stand_ins.is_done_by(&found[0]), is_done, "{sql}");
        }
    }
}
