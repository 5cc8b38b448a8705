//! A sweep over a table in which everything is due, at growing sizes: what it costs is to stay the same. The database
//! tells of every plan that it made for it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use dev_stack::shipped_functions;
use local_supabase::Deno;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::contender::Running;
use crate::measure::milliseconds;
use crate::report::digits;
use crate::wire::Line;
use crate::world::World;

/// Every other one owes a run, the others are due for a look. The triggers' part is done here: they take most of the
/// time that a million rows take.
const ROWS: &str = "
set session_replication_role = replica;
insert into calendar_connections (user_id, provider, access_token, refresh_token, expires_at, is_active, webhook_id,
    webhook_resource_id, webhook_expiration, webhook_opened_at, webhook_message_number, webhook_not_before,
    last_sync_at, sync_look_at, sync_request_id, sync_owed_since, sync_not_before, webhook_token, webhook_token_hash,
    webhook_source)
  select gen_random_uuid(), 'google', $ACCESS, 'refresh', now() + interval '20 hours', true, gen_random_uuid(),
      'resource', now() + interval '20 days', now() - interval '1 day', 7, now() + interval '18 days',
      now() - interval '1 hour', now() - random() * interval '1 hour', case when i % 2 = 0 then gen_random_uuid() end,
      case when i % 2 = 0 then now() end, now() - random() * interval '1 hour', token,
      encode(sha256(convert_to(token, 'UTF8')), 'hex'), md5(token) || md5(token)
    from (select i, md5(i::text || random()) || md5(random()::text) as token from generate_series(1, $COUNT) as i) as new;
set session_replication_role = default;";

const EXPLAINED: &str = "
alter role authenticator set session_preload_libraries = 'auto_explain';
alter role authenticator set auto_explain.log_min_duration = 0;";

/// → a table in Markdown
pub(crate) async fn sweep(
    world: &mut World,
    sizes: &[i64],
    mut progress: impl FnMut(String),
) -> Result<String> {
    world.database.batch_execute("truncate calendar_connections").await?;
    world.database.batch_execute(EXPLAINED).await?;
    // It opens its sessions anew.
    world.postgrest.restart().await?;
    let mut text = "\n| a sweep over so many rows, all due | runs, looks | CPU, s | peak RSS, MB | requests to the database | \
         time, s | slowest read, ms | slowest write, ms | sequential scans | health, ms |\n|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    let entry = shipped_functions()?.join("refresh-calendar-webhook/index.ts");
    let cache = TempDir::new()?;
    let mut rows = 0;
    for size in sizes {
        progress(format!("a sweep over {size} rows"));
        let insert = ROWS
            .replace("$ACCESS", &format!("'{}'", world.access_token()))
            .replace("$COUNT", &(size - rows).to_string());
        world.database.batch_execute(&insert).await?;
        world.database.batch_execute("vacuum analyze calendar_connections").await?;
        rows = *size;
        let mut running = Running::start(&entry, Deno::Newest, cache.path(), world).await?;
        running.first_answer("").await?;
        world.gateway.take_asked();
        let known = world.cluster.log().len();
        let (cpu, started) = (running.cpu()?, Instant::now());
        let key = &world.keys.legacy_service_role;
        let headers = format!("apikey: {key}\r\nauthorization: Bearer {key}\r\n");
        let answer = Line::open(running.port).await?.ask(&headers).await?;
        let took = started.elapsed();
        ensure!(
            answer.first_line().contains("200"),
            "a sweep answers {}: {}",
            answer.first_line(),
            answer.body()
        );
        sleep(Duration::from_millis(400)).await;
        let cpu = milliseconds(running.cpu()? - cpu) / 1000.0;
        let body: Value = serde_json::from_str(answer.body().trim()).unwrap_or_default();
        let number = |name: &str| body.get(name).and_then(Value::as_u64).unwrap_or_default();
        let rest = world.gateway.take_asked().iter().filter(|asked| asked.line.contains("/rest/v1/")).count();
        let log = world.cluster.log();
        let plans = Plans::of(log.get(known..).unwrap_or_default());
        let health = Instant::now();
        world.database.query("select * from calendar_webhook_health", &[]).await?;
        text += &format!(
            "| {size} | {}, {} | {} | {} | {rest} | {} | {} | {} | {} | {} |\n",
            number("synced"),
            number("looked"),
            digits(cpu),
            digits(running.rss(true)?),
            digits(took.as_secs_f64()),
            digits(plans.slowest_read),
            digits(plans.slowest_write),
            plans.sequential_scans,
            digits(milliseconds(health.elapsed())),
        );
        running.end().await;
    }
    let size = "select pg_total_relation_size('calendar_connections')";
    let bytes: i64 = world.database.query_one(size, &[]).await?.get(0);
    text += &format!(
        "\nA row takes {} bytes, with its part of the indexes. What remains is counted in the end, for which the database \
         reads the table where half of it is due.\n",
        bytes / rows.max(1)
    );
    Ok(text)
}

/// What the database's log tells of the statements that it carried out for PostgREST.
#[derive(Default)]
struct Plans {
    slowest_read: f64,
    slowest_write: f64,
    sequential_scans: usize,
}

impl Plans {
    fn of(log: &str) -> Self {
        let mut plans = Self::default();
        for plan in log.split("duration: ").skip(1) {
            let Some((duration, plan)) = plan.split_once(" ms  plan:") else { continue };
            let slowest =
                if plan.contains("Update on") { &mut plans.slowest_write } else { &mut plans.slowest_read };
            *slowest = slowest.max(duration.parse().unwrap_or_default());
            plans.sequential_scans += plan.matches("Seq Scan on calendar_connections").count();
        }
        plans
    }
}
