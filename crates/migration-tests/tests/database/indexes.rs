//! No request scans a table of 100,000 connections, half of which are disconnected.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::Utc;
use functions::Function;
use hmac::{Hmac, KeyInit, Mac};
use local_supabase::ApiKeys;
use local_supabase::postgrest::Postgrest;
use protocol::schedule::{RENEWALS_PER_SWEEP, RUNS_PER_INVOCATION};
use serde_json::json;
use sha2::Sha256;
use uuid::Uuid;

use crate::platform::{ANALYZED_PLAN, Functions, Plans};
use crate::project::{Caller, Project};

/// Of ten connections, five are live, two paused, two disconnected, one of another provider. Those that are not live
/// look as urgent as can be. Of the live ones a few owe a run, a few are due for renewal, and a few were not looked
/// at for days.
const ROWS: &str = "
insert into public.calendar_connections
  (id, user_id, provider, access_token, refresh_token, expires_at, is_active, sync_enabled, webhook_id,
   webhook_expiration, webhook_resource_id, webhook_opened_at, webhook_message_number, webhook_not_before,
   sync_request_id, last_sync_at, webhook_token)
select
    lpad(to_hex(i), 32, '0')::uuid, ('ffffffff' || lpad(to_hex(i), 24, '0'))::uuid,
    case when i % 10 = 9 then 'outlook' else 'google' end,
    'access', 'refresh', now() + interval '1 hour',
    case i % 10 when 7 then false when 8 then null else true end,
    case when i % 10 in (5, 6) then false when i % 3 = 0 then null else true end,
    case when i % 10 in (0, 1, 2, 3, 4, 9) or i % 5000 = 5 then 'channel-' || i end,
    now() + interval '20 days', 'resource', now() - interval '10 days', 7,
    case when i % 10 < 5 and i % 5000 <> 1 then now() + (i % 28) * interval '1 day' + interval '1 hour'
         else 'epoch' end,
    case when i % 10 < 5 and i % 10000 <> 10 then null else gen_random_uuid() end,
    case when i % 10 < 5 and i % 5000 <> 2 then now() - (i % 1400) * interval '1 minute' end,
    encode(sha256(i::text::bytea), 'hex')
  from generate_series(0, 99999) i;
insert into public.calendar_webhook_farewells (connection_id, not_before)
  select gen_random_uuid(), now() + interval '1 hour' from generate_series(0, 9999);
analyze public.calendar_connections, public.calendar_webhook_farewells;";

/// Of every live connection a look is due, or soon; one in five has a dead consent, owes a run, and heads every order.
const LOOKS: &str = "
update public.calendar_connections set
    sync_look_at = case when i % 10 = 1 then '2020-01-01' else now() + (i % 360 - 2) * interval '1 minute' end,
    webhook_error = case when i % 10 = 1 then (array['reconnect_required', 'permission_missing', 'blocked_by_policy'])
                                              [1 + i / 10 % 3] end,
    sync_request_id = case when i % 10 = 1 and i % 20 = 1 or i % 1000 = 4 then gen_random_uuid() end,
    sync_not_before = case when i % 10 = 1 then 'epoch' else now() - interval '1 minute' end
  from (select id, (row_number() over (order by id))::integer - 1 as i from public.calendar_connections) as numbered
  where numbered.id = calendar_connections.id;
vacuum analyze public.calendar_connections;";

/// Everything of everybody is due.
const OUTAGE: &str = "
update public.calendar_connections set
    webhook_not_before = now() - random() * interval '2 days', webhook_lease_until = 'epoch',
    sync_request_id = gen_random_uuid(), sync_not_before = now() - random() * interval '2 days',
    sync_lease_until = 'epoch', last_sync_at = now() - random() * interval '4 days'
  where is_active and sync_enabled is not false and provider = 'google';
analyze public.calendar_connections;";

/// A little of everything that can be wrong.
const TROUBLE: &str = "
update public.calendar_connections set
    webhook_expiration = case i when 0 then now() - interval '1 hour' when 1 then now() + interval '12 hours'
                                else webhook_expiration end,
    webhook_message_number = case i when 2 then 0 else 7 end,
    webhook_error = (array['reconnect_required', 'push_not_supported', 'calendar_not_found', 'google_api_disabled',
                           'google_rate_limited'])[i - 2],
    sync_request_id = case when i < 10 then gen_random_uuid() end,
    sync_error = (array['recalculate_401', 'recalculate_500'])[i - 7]
  from (select id, (row_number() over (order by id))::integer % 5000 as i from public.calendar_connections
          where is_active and sync_enabled is not false and provider = 'google') as live
  where live.id = calendar_connections.id and i < 10;
delete from public.calendar_connection_events where event = 'connected';
insert into public.calendar_connection_events (connection_id, user_id, at, event, reason)
  select lpad(to_hex(i), 32, '0')::uuid, ('ffffffff' || lpad(to_hex(i), 24, '0'))::uuid, now() - i * interval '1 min',
      'broken', case when i < 20 then 'reconnect_required' else 'calendar_not_found' end
    from generate_series(0, 99999) i;
alter table public.calendar_webhook_sweeps disable trigger user;
insert into public.calendar_webhook_sweeps
    (finished_at, duration_ms, renewed, stopped, synced, reconciled, failed, remaining)
  select now() - i * interval '6 s', 812, 1, 0, 25, 1, '[]', 3 from generate_series(100000, 0, -1) i;
alter table public.calendar_webhook_sweeps enable trigger user;
vacuum analyze public.calendar_connections, public.calendar_webhook_sweeps, public.calendar_connection_events;";

/// What operators ask, and how many of `TROUBLE` the answer tells of. Twenty of the fifty thousand live connections
/// have each kind, ten of which are in order.
const QUESTIONS: [(&str, &str, usize); 18] = [
    (
        "Which channels have expired?",
        "select * from calendar_connection_status where status = 'expired' and webhook_expiration <= now()",
        10,
    ),
    (
        "Which ones expire within a day, and why were they not renewed?",
        "select * from calendar_connection_status
           where webhook_expiration > now() and webhook_expiration < now() + interval '24 hours'",
        10,
    ),
    (
        "Which ones has Google never reached us through?",
        "select status.* from calendar_connection_status as status join calendar_connections using (id)
           where status = 'unconfirmed' and calendar_connections.webhook_id is not null
             and webhook_message_number = 0 and webhook_confirmed_id is distinct from calendar_connections.webhook_id",
        10,
    ),
    (
        "Who must connect again?",
        "select * from calendar_connection_status
           where webhook_error in ('reconnect_required', 'permission_missing', 'blocked_by_policy')",
        10,
    ),
    (
        "Which calendars cannot be watched?",
        "select * from calendar_connection_status
           where webhook_error in ('push_not_supported', 'calendar_not_found', 'no_calendar')",
        20,
    ),
    (
        "Does our configuration at Google keep renewals from succeeding?",
        "select * from calendar_connection_status
           where webhook_error in ('google_api_disabled', 'oauth_client_invalid', 'webhook_url_rejected')",
        10,
    ),
    (
        "Does a quota?",
        "select * from calendar_connection_status where webhook_error = 'google_rate_limited'",
        10,
    ),
    (
        "Does recalculate-schedule refuse our key?",
        "select * from calendar_connection_status
           where sync_status = 'failing' and sync_error in ('recalculate_401', 'recalculate_403')",
        10,
    ),
    (
        "Which runs fail at all?",
        "select * from calendar_connection_status where sync_status = 'failing' and sync_error is not null",
        20,
    ),
    (
        "Which runs are owed for longest, and when is the next attempt?",
        "select id, sync_owed_since, sync_attempts, sync_not_before, sync_error from calendar_connections
           where provider = 'google' and is_active is true and sync_enabled is not false
             and sync_request_id is not null order by sync_owed_since limit 20",
        20,
    ),
    (
        "Why is this user's calendar not synced?",
        "select * from calendar_connection_status where user_id = 'ffffffff-0000-0000-0000-000000000064'",
        1,
    ),
    (
        "What befell this user's connections?",
        "select * from calendar_connection_events where user_id = 'ffffffff-0000-0000-0000-000000000064'
           order by id desc",
        1,
    ),
    (
        "Whose consent died during the last hour?",
        "select * from calendar_connection_events
           where at > now() - interval '1 hour' and event = 'broken' and reason = 'reconnect_required'",
        30,
    ),
    (
        "Which looks have been due for longest?",
        "select id, sync_look_at from calendar_connections
           where provider = 'google' and is_active is true and sync_enabled is not false and sync_request_id is null
             and webhook_error is distinct from 'reconnect_required'
             and webhook_error is distinct from 'permission_missing'
             and webhook_error is distinct from 'blocked_by_policy'
             and sync_look_at < now() order by sync_look_at limit 20",
        20,
    ),
    (
        "Does anything wait for its turn?",
        "select * from calendar_webhook_backlog",
        1,
    ),
    ("Is the schedule installed, and what became of its last run?", "select schedule from calendar_webhook_health", 1),
    ("What did the last sweep do?", "select last_sweep from calendar_webhook_health", 1),
    (
        "What did the sweeps of the last hour leave undone?",
        "select * from calendar_webhook_sweeps where finished_at > now() - interval '1 hour' order by finished_at",
        600,
    ),
];

const TABLE: &str = "/calendar_connections";
const VIEW: &str = "/calendar_connection_status";

fn id(number: u32) -> Uuid {
    Uuid::from_u128(number.into())
}

fn user(number: u32) -> Uuid {
    Uuid::from_u128(0xffff_ffff << 96 | u128::from(number))
}

fn token(number: u32) -> String {
    use sha2::Digest;
    Sha256::digest(number.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What PostgREST takes for a caller's token.
fn jwt(caller: Caller, keys: &ApiKeys) -> String {
    let part = |json: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", part(json!({ "alg": "HS256", "typ": "JWT" })), part(caller.claims()));
    let mac = Hmac::<Sha256>::new_from_slice(keys.jwt_secret.as_bytes()).unwrap().chain_update(&signed);
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

struct Table {
    project: Project,
    rest: Postgrest,
    keys: ApiKeys,
    functions: Functions,
}

impl Table {
    async fn new() -> Self {
        let project = Project::migrated().await;
        project.sql("alter role authenticator set pgrst.db_plan_enabled = 'true'").await;
        project.sql(ROWS).await;
        let keys = ApiKeys::local().unwrap();
        let rest = Postgrest::start(project.cluster(), &keys).await.unwrap();
        let functions = Functions::new(&rest, &keys);
        Self { project, rest, keys, functions }
    }

    /// The plan of a read that no function makes, but a page or an operator does.
    async fn plan(&self, caller: Caller, path: &str) -> String {
        let client = reqwest::Client::new();
        let request = client.get(format!("{}{path}", self.rest.url())).bearer_auth(jwt(caller, &self.keys));
        let request = request.header("accept", ANALYZED_PLAN);
        let response = request.send().await.unwrap().error_for_status().unwrap();
        response.text().await.unwrap()
    }

    /// What such a read returns.
    async fn read(&self, caller: Caller, path: &str) -> serde_json::Value {
        let request = reqwest::Client::new()
            .get(format!("{}{path}", self.rest.url()))
            .bearer_auth(jwt(caller, &self.keys));
        let response = request.send().await.unwrap().error_for_status().unwrap();
        serde_json::from_str(&response.text().await.unwrap()).unwrap()
    }

    /// How often any session that has ended scanned the table.
    async fn sequential_scans(&mut self) -> i64 {
        self.rest.stop().await;
        self.project.reconnect().await;
        let sql = "select seq_scan from pg_stat_user_tables where relname = 'calendar_connections'";
        let scans = self.project.value(sql, &[]).await;
        self.rest.restart().await.unwrap();
        scans
    }
}

/// That every plan goes by an index that leads to the right rows, and that none of the `expected` requests is missing.
#[track_caller]
fn assert_indexed(plans: &Plans, expected: &[&str]) {
    // An insert looks nothing up.
    let goes_by_index = |plan: &str| plan.contains("Index") || plan.contains("Insert on");
    let scans: Vec<_> = plans
        .iter()
        .filter(|(_, plan)| !goes_by_index(plan) || plan.contains("Seq Scan") || rows_in_vain(plan) > 100)
        .map(|(request, plan)| format!("{request}\n{plan}"))
        .collect();
    assert!(scans.is_empty(), "{}", scans.join("\n"));
    for part in expected {
        let requests: Vec<_> = plans.keys().collect();
        assert!(requests.iter().any(|request| request.contains(part)), "no {part} in {requests:#?}");
    }
}

/// How many rows were read only to be left out, as far as the plan was carried out.
fn rows_in_vain(plan: &str) -> u64 {
    plan.lines()
        .filter_map(|line| line.trim().strip_prefix("Rows Removed by Filter: "))
        .map(|rows| rows.parse::<u64>().unwrap())
        .sum()
}

#[tokio::test]
async fn every_request_goes_by_index() {
    let mut table = Table::new().await;
    let before = table.sequential_scans().await;
    a_notification_is_judged(&table).await;
    a_page_and_its_buttons_are_served(&table).await;
    a_sweep_finds_the_few_that_need_something(&table).await;
    // A plan that is made once for all values comes only with repetition, and is not asked for: it shows here.
    assert_eq!(table.sequential_scans().await, before, "a request scanned the table after all");
}

async fn a_notification_is_judged(Table { functions, .. }: &Table) {
    for connection in (0..20).map(|number| 100 * number) {
        let (channel, secret) = (format!("channel-{connection}"), token(connection));
        for (what, notification, status) in [
            ("change", functions.notify(&channel, &secret, 8).await, 200),
            ("late", functions.notify(&channel, &secret, 8).await, 200),
            ("orphan", functions.notify("orphan", &token(connection + 1), 2).await, 200),
            ("sync", functions.notify(&channel, &secret, 1).await, 200),
            ("unknown", functions.notify(&channel, &"0".repeat(64), 8).await, 404),
        ] {
            assert_eq!(notification["status"], status, "{what}: {notification}");
        }
    }
    assert_indexed(
        &functions.take_plans(),
        &[
            "webhook_token_hash=eq&provider=eq&webhook_id=eq&webhook_message_number=lt",
            "webhook_id=isdistinct",
            "webhook_pending_id=eq",
            "GET /calendar_connections?order=id.asc.nullsfirst&webhook_token_hash=eq",
            "sync_lease_until=eq",
        ],
    );
}

async fn a_page_and_its_buttons_are_served(table: &Table) {
    let functions = &table.functions;
    for number in (0..20).map(|number| 100 * number) {
        let target = json!({ "user_id": user(number) });
        let set_up = functions.call(Function::SetupCalendarWebhook, &target).await;
        assert_eq!(set_up["body"]["connections"][0]["id"], json!(id(number)), "{set_up}");
        let target = json!({ "connection_id": id(number) });
        let renewed = functions.call(Function::RefreshCalendarWebhook, &target).await;
        assert_eq!(renewed["body"]["connections"][0]["status"], "active", "{renewed}");
    }
    let mut plans = functions.take_plans();
    let (mine, service) = (Caller::User(user(100)), Caller::Service);
    for (caller, path) in [
        (mine, VIEW.to_owned()),
        (mine, format!("{VIEW}?id=eq.{}", id(100))),
        (mine, format!("{VIEW}?status=eq.active&order=last_sync_at")),
        (mine, format!("{TABLE}?select=id,sync_enabled")),
        (service, format!("{VIEW}?id=in.(\"{}\",\"{}\")", id(100), id(101))),
        (service, format!("{VIEW}?user_id=eq.{}", user(100))),
        (service, format!("{TABLE}?webhook_id=eq.channel-100")),
    ] {
        plans.insert(format!("{path} of {}", caller.role()), table.plan(caller, &path).await);
    }
    assert_indexed(&plans, &["user_id=eq", "id=eq", "GET /calendar_connection_status?id=in", "PATCH"]);
}

async fn a_sweep_finds_the_few_that_need_something(Table { functions, .. }: &Table) {
    let sweep = functions.call(Function::RefreshCalendarWebhook, &json!({})).await;
    let body = &sweep["body"];
    let done = (&body["renewed"], &body["stopped"], &body["failed"]);
    assert_eq!(done, (&json!(20), &json!(20), &json!([])), "{sweep}");
    assert!(body["reconciled"].as_u64() > Some(10), "{sweep}");
    assert_indexed(
        &functions.take_plans(),
        &[
            "order=sync_not_before",
            "order=webhook_not_before",
            "order=sync_look_at",
            "GET /calendar_webhook_farewells",
            "GET /calendar_connections?order=id.asc.nullsfirst&provider=eq",
            "count",
            "POST /calendar_webhook_sweeps",
        ],
    );
}

#[tokio::test]
async fn a_sweep_reads_its_share_by_index_when_everything_is_due() {
    let table = Table::new().await;
    table.project.sql(OUTAGE).await;
    let sweep = table.functions.call(Function::RefreshCalendarWebhook, &json!({})).await;
    assert_eq!(
        (&sweep["body"]["renewed"], &sweep["body"]["synced"]),
        (&json!(RENEWALS_PER_SWEEP), &json!(RUNS_PER_INVOCATION)),
        "{sweep}"
    );
    let mut plans = table.functions.take_plans();
    // To count half of the table is what a sequential scan is for.
    plans.retain(|request, _| !request.starts_with("count"));
    assert_indexed(&plans, &["order=sync_not_before", "order=webhook_not_before"]);
}

#[tokio::test]
async fn looks_and_runs_that_are_due_are_found_by_index_past_dead_consents() {
    let mut table = Table::new().await;
    for statement in LOOKS.split_inclusive(';') {
        table.project.sql(statement).await;
    }
    let before = table.sequential_scans().await;
    let select = "select=id,webhook_error,sync_request_id&provider=eq.google&is_active=is.true\
                  &sync_enabled=not.is.false&webhook_error=isdistinct.reconnect_required\
                  &webhook_error=isdistinct.permission_missing&webhook_error=isdistinct.blocked_by_policy&limit=200";
    let now = Utc::now().format("%Y-%m-%dT%H:%M:%SZ");
    let looks = format!(
        "{TABLE}?{select}&sync_request_id=is.null&sync_look_at=lte.{now}&order=sync_look_at.asc.nullsfirst"
    );
    let runs = format!(
        "{TABLE}?{select}&sync_request_id=not.is.null&sync_lease_until=lt.{now}&sync_not_before=lte.{now}\
         &order=sync_not_before.asc.nullsfirst"
    );
    let mut plans = Plans::new();
    for (path, index) in
        [(&looks, "calendar_connections_due_looks"), (&runs, "calendar_connections_due_runs")]
    {
        let plan = table.plan(Caller::Service, path).await;
        assert!(plan.contains(index), "{path}\n{plan}");
        plans.insert(path.clone(), plan);
        // More often than PostgreSQL makes a plan for the values at hand.
        let mut found = 0;
        for _ in 0..20 {
            let rows = table.read(Caller::Service, path).await;
            found = rows.as_array().unwrap().len();
            let is_alive = |row: &serde_json::Value| row["webhook_error"].is_null();
            assert!(rows.as_array().unwrap().iter().all(is_alive), "{rows}");
        }
        assert!(found > 40, "{found}");
    }
    assert_indexed(&plans, &["sync_look_at", "sync_not_before"]);
    assert_eq!(table.sequential_scans().await, before, "a request scanned the table after all");

    let backlog = analyzed(&table.project, "select * from calendar_webhook_backlog").await;
    assert!(scans_of_the_table(&backlog) == 0 && rows_in_vain(&backlog) <= 100, "{backlog}");
}

/// The plan of a query as carried out for the service.
async fn analyzed(project: &Project, query: &str) -> String {
    project.sql("set role service_role").await;
    let lines =
        project.texts(&format!("explain (analyze, costs off, timing off, summary off) {query}")).await;
    project.sql("reset role").await;
    lines.join("\n")
}

/// Scans of the table that took place; a plan may name some that did not.
fn scans_of_the_table(plan: &str) -> usize {
    plan.lines()
        .filter(|line| line.contains("Seq Scan on calendar_connections") && !line.contains("never executed"))
        .count()
}

#[tokio::test]
async fn an_operators_questions_are_answered_by_index() {
    let project = Project::migrated().await;
    project.sql(ROWS).await;
    for statement in TROUBLE.split_inclusive(';') {
        project.sql(statement).await;
    }
    let mut plans = Plans::new();
    for (question, query, answers) in QUESTIONS {
        let rows = project.select(Caller::Service, query).await.len();
        assert_eq!(rows, answers, "{question}");
        plans.insert(question.to_owned(), analyzed(&project, query).await);
    }
    // To count by status takes one scan; nothing else of the row does.
    let health = analyzed(&project, "select * from calendar_webhook_health").await;
    assert_eq!(scans_of_the_table(&health), 1, "{health}");
    let others =
        "select owed_runs, oldest_owed_age, failing_runs, failing_renewals, expiring_1h, expiring_24h,
                    expiring_48h, schedule, last_sweep, due_looks, oldest_due_look_age, due_runs, oldest_due_run_age
             from calendar_webhook_health";
    plans.insert("everything else of health".to_owned(), analyzed(&project, others).await);
    let forget = "delete from calendar_webhook_sweeps where finished_at < now() - interval '7 days'";
    plans.insert("old sweeps".to_owned(), analyzed(&project, forget).await);
    let forget = "delete from calendar_connection_events where at < now() - interval '30 days'";
    plans.insert("old events".to_owned(), analyzed(&project, forget).await);

    plans.retain(|_, plan| {
        scans_of_the_table(plan) > 0 || !plan.contains("Index") || rows_in_vain(plan) > 100
    });
    let slow: Vec<_> = plans.iter().map(|(question, plan)| format!("{question}\n{plan}")).collect();
    assert!(slow.is_empty(), "{}", slow.join("\n"));
}
