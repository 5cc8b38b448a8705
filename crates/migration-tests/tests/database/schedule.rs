//! The schedule, run by the real pg_cron: what it asks for, when, and what an operator sees of it.
//!
//! pg_net and Vault are stand-ins with the documented signatures. As in a hosted project, the owner of the schema
//! `public` is no superuser and has just the documented rights on the three extensions.

use std::time::Duration;

use local_supabase::extensions::{PG_NET, VAULT};
use protocol::schedule::{LOOKS_PER_SWEEP, RENEWALS_PER_SWEEP, RUNS_PER_INVOCATION};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_postgres::NoTls;
use uuid::Uuid;

use crate::project::Caller::Service;
use crate::project::Outcome::Rows;
use crate::project::{Project, message};

/// What Supabase grants the role `postgres` when the extensions are enabled.
const OWNER: &str = "
create role owner login nosuperuser;
grant usage, create on schema public to owner;
grant usage on schema auth, cron, net, vault to owner;
revoke all on cron.job from owner;
grant select on cron.job to owner;
grant all on all tables in schema net to owner;
grant select, delete on vault.secrets, vault.decrypted_secrets to owner;
revoke execute on all functions in schema vault from public;
grant execute on function vault.create_secret, vault.update_secret to owner;";

const URL: &str = "https://abcdefghijklmnopqrst.supabase.co";
const LEGACY_KEY: &str = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.c2lnbmF0dXJl";
/// With more claims, and the two letters in which base64url differs.
const LEGACY_KEY_OF_A_PROJECT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJzdXBhYmFzZSIsInJlZiI6ImFiY2RlZmdoaWprbG1ub3BxcnN0Iiwicm9sZSI6InNlcnZpY2Vfcm9sZSIsInN1YiI6ImE_YmI-In0.c2lnbmF0dXJl";

/// A project whose migrations its owner applied, and who is the one that acts.
async fn hosted() -> Project {
    let project = Project::with_pg_cron().await;
    for sql in ["create extension pg_cron", PG_NET, VAULT, OWNER, "set role owner"] {
        project.sql(sql).await;
    }
    project.migrate().await.unwrap();
    project
}

async fn schedule(project: &Project, arguments: &str) {
    project.sql(&format!("select public.schedule_calendar_webhook_refresh({arguments})")).await;
}

/// As `schedule`, but pg_cron does not run the job when a minute begins.
async fn schedule_idle(project: &Project, arguments: &str) {
    project.sql("begin").await;
    schedule(project, arguments).await;
    project
        .sql(
            "reset role; select cron.alter_job(jobid, active => false) from cron.job;
             set role owner; commit",
        )
        .await;
}

async fn refusal(project: &Project, sql: &str) -> String {
    message(&project.try_sql(sql).await.unwrap_err())
}

/// Everything that a schedule consists of.
async fn state(project: &Project) -> Value {
    let sql = "select jsonb_build_object(
        'jobs', (select coalesce(jsonb_agg(to_jsonb(job) - 'jobid' - 'nodename' - 'nodeport'), '[]') from cron.job),
        'secrets', (select coalesce(jsonb_object_agg(name, decrypted_secret), '{}') from vault.decrypted_secrets))";
    project.value(sql, &[]).await
}

fn scheduled(schedule: &str, parallel: u32, url: &str, key: &str) -> Value {
    json!({
        "jobs": [{
            "jobname": "refresh-calendar-webhook",
            "schedule": schedule,
            "command": format!("select public.request_calendar_webhook_refresh({parallel})"),
            "database": "postgres",
            "username": "owner",
            "active": true,
        }],
        "secrets": { "calendar_webhook_project_url": url, "calendar_webhook_secret_key": key },
    })
}

/// What the service sees of it.
async fn seen(project: &Project) -> Value {
    let mut rows = project.select(Service, "select schedule from public.calendar_webhook_health").await;
    rows.remove(0)["schedule"].take()
}

#[tokio::test]
async fn each_bad_argument_is_named_and_changes_nothing() {
    let project = hosted().await;
    schedule(&project, &format!("'{URL}', 'sb_secret_key', '3 minutes', 2")).await;
    let before = state(&project).await;
    for (name, values) in [
        (
            "project_url",
            &[
                "null",
                "''",
                "' '",
                "'abcdefghijklmnopqrst'",
                "'abcdefghijklmnopqrst.supabase.co'",
                "'ftp://example.com'",
                "'http://example.com'",
                "'http://127.0.0.1.example.com'",
                "'http://abcdefghijklmnopqrst.supabase.co'",
                "'http://kong.example'",
                "'http://8.8.8.8'",
                "'http://172.32.0.1'",
                "'http://2130706433'",
                "'http://[2001:db8::1]'",
                "'http://localhost@example.com'",
                "'https://'",
                "'https:///functions'",
                "'https://user:password@example.com'",
                "'https://example.com?a=b'",
                "'https://example.com/#a'",
                "'https://exa mple.com'",
                "'https://example.com '",
                "' https://example.com'",
                r"E'https://example.com\n'",
                r"E'https://example.com\nx'",
                r"E'x\nhttps://example.com'",
                "'https://example.com:port'",
                "'https://münchen.example'",
                "'https://supabase.com/dashboard/project/abcdefghijklmnopqrst'",
                "'https://app.supabase.io'",
                "'https://example.com/functions/v1'",
                "'https://example.com/functions/v1/refresh-calendar-webhook'",
                "'https://example.com/rest/v1/'",
            ][..],
        ),
        (
            "secret_key",
            &[
                "''",
                "' '",
                "'sb_secret_ with a blank'",
                r"E'sb_secret_key\n'",
                r"E'\rsb_secret_key'",
                r"E'sb_secret_\tkey'",
                "'sb_secret_schlüssel'",
                "'sb_publishable_key'",
                // {"role":"anon"}, "authenticated", "service_role " and 1; no role; no object; no JSON.
                "'eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.c2ln'",
                "'eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYXV0aGVudGljYXRlZCJ9.c2ln'",
                "'eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlICJ9.c2ln'",
                "'eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoxfQ.c2ln'",
                "'eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJzdXBhYmFzZSJ9.c2ln'",
                "'eyJhbGciOiJIUzI1NiJ9.InNlcnZpY2Vfcm9sZSI.c2ln'",
                "'eyJhbGciOiJIUzI1NiJ9.c2VydmljZV9yb2xl.c2ln'",
                // Not UTF-8; a NUL, which jsonb does not hold; not base64; nothing.
                "'eyJhbGciOiJIUzI1NiJ9.__79.c2ln'",
                r"'eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiXHUwMDAwIn0.c2ln'",
                "'other.key.kind'",
                "'other.a.b'",
                "'..'",
            ],
        ),
        (
            "every",
            &[
                "null",
                "'0 minutes'",
                "'-1 minutes'",
                "'30 seconds'",
                "'59.999 seconds'",
                "'90 seconds'",
                "'1 minute 0.001 seconds'",
                "'60 minutes'",
                "'1 hour'",
                "'1 day'",
                "'1 month'",
                "'100000 years'",
            ],
        ),
        ("parallel", &["null", "0", "-1", "21", "2147483647"]),
    ] {
        for value in values {
            let argument = |argument: &str, default: &str| {
                let value = if argument == name { value } else { default };
                format!("{argument} => {value}")
            };
            let sql = format!(
                "select public.schedule_calendar_webhook_refresh({}, {}, {}, {})",
                argument("project_url", "'https://example.com'"),
                argument("secret_key", "'sb_secret_other'"),
                argument("every", "'1 minute'"),
                argument("parallel", "5"),
            );
            let error = refusal(&project, &sql).await;
            assert!(error.starts_with(&format!("22023 {name} must be ")), "{value}: {error}");
            assert!(!error.contains("other"), "{value}: {error}");
        }
    }
    assert_eq!(state(&project).await, before);
}

#[tokio::test]
async fn good_arguments_are_taken_as_they_are_meant() {
    let project = hosted().await;
    for (url, stored) in [
        (URL, URL),
        ("https://abcdefghijklmnopqrst.supabase.co/", URL),
        ("https://abcdefghijklmnopqrst.supabase.co//", URL),
        ("HTTPS://API.example.com", "HTTPS://API.example.com"),
        ("https://api.example.com:8443/supabase/", "https://api.example.com:8443/supabase"),
        ("http://localhost:54321", "http://localhost:54321"),
        ("http://127.0.0.1:54321/", "http://127.0.0.1:54321"),
        ("http://[::1]", "http://[::1]"),
        ("http://kong:8000", "http://kong:8000"),
        ("http://supabase_kong_my-app:8000", "http://supabase_kong_my-app:8000"),
        ("http://api.supabase.internal:8000", "http://api.supabase.internal:8000"),
        ("http://host.docker.internal:54321", "http://host.docker.internal:54321"),
        ("http://10.0.0.5", "http://10.0.0.5"),
        ("http://172.16.0.5:8000", "http://172.16.0.5:8000"),
        ("http://192.168.1.5", "http://192.168.1.5"),
        ("http://[fd00::5]:8000", "http://[fd00::5]:8000"),
    ] {
        for key in ["sb_secret_0-9_A", LEGACY_KEY, LEGACY_KEY_OF_A_PROJECT] {
            schedule(&project, &format!("'{url}', '{key}'")).await;
            assert_eq!(state(&project).await, scheduled("* * * * *", 5, stored, key), "{url}");
        }
    }
    for (every, cron) in [
        ("1 minute", "* * * * *"),
        ("60 seconds", "* * * * *"),
        ("0.5 hours", "*/30 * * * *"),
        ("59 minutes", "*/59 * * * *"),
        ("00:07", "*/7 * * * *"),
    ] {
        schedule(&project, &format!("'{URL}', 'sb_secret_key', '{every}', 10")).await;
        assert_eq!(state(&project).await, scheduled(cron, 10, URL, "sb_secret_key"), "{every}");
    }
}

#[tokio::test]
async fn without_a_key_the_one_in_vault_is_taken() {
    let project = hosted().await;
    let call = format!("select public.schedule_calendar_webhook_refresh('{URL}')");
    let error = refusal(&project, &call).await;
    assert!(error.starts_with("55000 Vault has no secret calendar_webhook_secret_key"), "{error}");
    // The second key was pasted with the end of its line.
    for key in ["sb_publishable_key", "sb_secret_key\\r\\n"] {
        let stored = format!(
            "delete from vault.secrets; select vault.create_secret(E'{key}', 'calendar_webhook_secret_key')"
        );
        project.sql(&stored).await;
        if key.starts_with("sb_publishable") {
            let error = refusal(&project, &call).await;
            assert!(error.starts_with("22023 secret_key must be "), "{error}");
        } else {
            schedule(&project, &format!("'{URL}'")).await;
        }
    }
    assert_eq!(state(&project).await, scheduled("* * * * *", 5, URL, "sb_secret_key"));
}

#[tokio::test]
async fn a_call_that_is_refused_leaves_no_key_in_postgresqls_log() {
    let project = hosted().await;
    for (setting, key) in
        [("log_min_error_statement", "sb_secret_one"), ("log_min_messages", "sb_secret_two")]
    {
        project.sql(&format!("reset role; grant set on parameter {setting} to owner; set role owner")).await;
        let call = format!("select public.schedule_calendar_webhook_refresh('http://example.com', '{key}')");
        assert!(refusal(&project, &call).await.starts_with("22023 project_url"));
        project
            .sql(&format!("reset role; revoke set on parameter {setting} from owner; set role owner"))
            .await;
    }
    // What follows in the transaction of a call that succeeds is logged as ever.
    for setting in ["log_min_error_statement", "log_min_messages"] {
        project
            .sql(&format!("reset role; grant set on parameter {setting} to owner; set role owner; begin"))
            .await;
        let level = format!("select current_setting('{setting}')");
        let before: String = project.value(&level, &[]).await;
        schedule(&project, &format!("'{URL}', 'sb_secret_three'")).await;
        assert_eq!(project.value::<String>(&level, &[]).await, before);
        project
            .sql(&format!(
                "rollback; reset role; revoke set on parameter {setting} from owner; set role owner"
            ))
            .await;
    }
    // What is logged later is there: so is what was logged before.
    refusal(&project, "select 'the last statement' from nothing").await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while !project.cluster().log().contains("the last statement") {
        assert!(Instant::now() < deadline, "{}", project.cluster().log());
        sleep(Duration::from_millis(20)).await;
    }
    assert!(!project.cluster().log().contains("sb_secret_"), "{}", project.cluster().log());
}

#[tokio::test]
async fn each_missing_extension_is_named_with_what_to_do() {
    let project = hosted().await;
    let call =
        "set local role owner; select public.schedule_calendar_webhook_refresh('https://example.com', 'k')";
    let extensions = [
        ("pg_cron", "drop extension pg_cron"),
        ("pg_net", "drop schema net cascade"),
        ("supabase_vault", "drop schema vault cascade"),
    ];
    for missing in 1..8_u8 {
        let missing: Vec<_> =
            (0..3).filter(|bit| missing & 1 << bit != 0).map(|bit| extensions[bit]).collect();
        let names = missing.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        project.sql("reset role; begin").await;
        for (_, drop) in &missing {
            project.sql(drop).await;
        }
        let error = refusal(&project, call).await;
        assert!(error.starts_with(&format!("55000 extensions that are not enabled: {names} ")), "{error}");
        assert!(error.contains("create extension") && error.contains("Database > Extensions"), "{error}");
        project.sql("rollback").await;
    }
}

/// pg_cron starts each run of a job over a connection of the job's owner: so does this, without waiting for the minute.
async fn run_job(project: &Project) -> Result<(), tokio_postgres::Error> {
    let job = "select jsonb_build_array(username, command) from cron.job";
    let job: Value = project.value(job, &[]).await;
    let url = project.cluster().url_as(job[0].as_str().unwrap());
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute(job[1].as_str().unwrap()).await
}

/// What pg_net was told to send since it was last asked.
async fn requests(project: &Project) -> Value {
    let sql = "
        with sent as (delete from net.http_request_queue returning *),
          texts as (select id, to_jsonb(sent) - 'id' #- '{headers,X-Requested-At}'
                             || jsonb_build_object('body', convert_from(body, 'UTF8')) as request from sent)
        select coalesce(jsonb_agg(request order by id), '[]') from texts";
    project.value(sql, &[]).await
}

#[tokio::test]
async fn a_run_asks_for_a_sweep_with_the_keys_of_now() {
    let project = hosted().await;
    for (key, headers) in [
        ("sb_secret_key", json!({ "Content-Type": "application/json", "apikey": "sb_secret_key" })),
        (
            LEGACY_KEY,
            json!({
                "Content-Type": "application/json",
                "apikey": LEGACY_KEY,
                "Authorization": format!("Bearer {LEGACY_KEY}"),
            }),
        ),
    ] {
        schedule_idle(&project, &format!("'{URL}/', '{key}'")).await;
        run_job(&project).await.unwrap();
        let request = json!({
            "method": "POST",
            "url": format!("{URL}/functions/v1/refresh-calendar-webhook"),
            "headers": headers,
            "body": r#"{"part": 0, "parts": 1}"#,
            "timeout_milliseconds": 80_000,
        });
        assert_eq!(requests(&project).await, json!([request]));
    }
    // A key that is rotated in Vault counts at once.
    project
        .sql(
            "select vault.update_secret(id, E' sb_secret_new\\n') from vault.secrets
             where name = 'calendar_webhook_secret_key'",
        )
        .await;
    run_job(&project).await.unwrap();
    assert_eq!(requests(&project).await[0]["headers"]["apikey"], "sb_secret_new");
    // And one that is gone is missed.
    project.sql("delete from vault.secrets where name = 'calendar_webhook_secret_key'").await;
    let error = message(&run_job(&project).await.unwrap_err());
    assert!(error.contains("Vault lacks") && error.contains("schedule_calendar_webhook_refresh"), "{error}");
    assert_eq!(requests(&project).await, json!([]));
}

/// With a channel, and then deleted.
const DELETED: &str = "webhook_id = 'channel'";

/// Has so many connections that need nothing but what is `due`.
async fn be_due(project: &Project, rows: usize, due: &str) {
    let sql = format!(
        "delete from public.calendar_connections;
         delete from public.calendar_webhook_farewells;
         insert into public.calendar_connections (user_id, provider, is_active)
           select gen_random_uuid(), 'google', true from generate_series(1, {rows});
         update public.calendar_connections set webhook_not_before = 'infinity', sync_look_at = 'infinity';
         update public.calendar_connections set {due}"
    );
    project.sql(&sql).await;
}

#[tokio::test]
async fn a_run_asks_for_as_many_sweeps_as_the_backlog_needs_each_for_its_part() {
    let project = hosted().await;
    schedule_idle(&project, &format!("'{URL}', 'sb_secret_key', parallel => 4")).await;
    let (runs, looks) = (RUNS_PER_INVOCATION as usize, LOOKS_PER_SWEEP);
    for (rows, due, sweeps) in [
        (1, "sync_request_id = null", 1),
        (runs, "sync_request_id = gen_random_uuid()", 1),
        (runs + 1, "sync_request_id = gen_random_uuid()", 2),
        (runs + 1, "sync_request_id = gen_random_uuid(), webhook_error = 'reconnect_required'", 1),
        (runs + 1, "sync_request_id = gen_random_uuid(), sync_lease_until = now() + interval '1 minute'", 1),
        (2 * looks + 1, "sync_look_at = now()", 3),
        (RENEWALS_PER_SWEEP + 1, "webhook_not_before = now()", 2),
        (RENEWALS_PER_SWEEP + 1, "webhook_id = 'channel', sync_enabled = false", 2),
        (2 * RENEWALS_PER_SWEEP + 1, DELETED, 3),
        (100 * runs, "sync_request_id = gen_random_uuid()", 4),
    ] {
        be_due(&project, rows, due).await;
        if due == DELETED {
            project.sql("delete from public.calendar_connections").await;
        }
        run_job(&project).await.unwrap();
        let requests = requests(&project).await;
        let bodies: Vec<&Value> =
            requests.as_array().unwrap().iter().map(|request| &request["body"]).collect();
        let parts = (0..sweeps).map(|part| json!(format!(r#"{{"part": {part}, "parts": {sweeps}}}"#)));
        assert_eq!(bodies, parts.collect::<Vec<_>>().iter().collect::<Vec<_>>(), "{rows} rows: {due}");
    }
}

#[tokio::test]
async fn a_call_replaces_the_schedule_and_another_one_takes_it_away() {
    let project = hosted().await;
    schedule(&project, &format!("'{URL}', 'sb_secret_old', '5 minutes', 4")).await;
    // By hand, as a superuser may.
    project
        .sql("reset role; select cron.alter_job(jobid, active => false) from cron.job; set role owner")
        .await;
    assert_eq!(seen(&project).await["active"], false);
    schedule(&project, "'https://example.com', 'sb_secret_new', '2 minutes'").await;
    let replaced = scheduled("*/2 * * * *", 5, "https://example.com", "sb_secret_new");
    assert_eq!(state(&project).await, replaced);

    // The job and the secrets are the owner's, also where another role calls.
    project.sql("reset role").await;
    schedule(&project, "'https://example.com', 'sb_secret_new', '2 minutes'").await;
    assert_eq!(state(&project).await, replaced);

    // Somebody else's job and secret stay.
    project
        .sql("select cron.schedule('other', '0 0 * * *', 'select 1'), vault.create_secret('theirs', 'other')")
        .await;
    let theirs = state(&project).await;
    project.sql("select public.unschedule_calendar_webhook_refresh()").await;
    let left = state(&project).await;
    assert_eq!(left["secrets"], json!({ "other": "theirs" }));
    assert_eq!(left["jobs"], json!([theirs["jobs"][1]]));
    assert_eq!(seen(&project).await, Value::Null);
}

#[tokio::test]
async fn what_may_surprise_is_said() {
    let project = hosted().await;
    let unschedule = "select public.unschedule_calendar_webhook_refresh()";
    assert_eq!(project.notices(unschedule).await, ["refresh-calendar-webhook is not scheduled"]);
    for (url, is_surprising) in
        [("http://127.0.0.1:54321", true), ("http://localhost:54321", true), ("http://kong:8000", false)]
    {
        let sql = format!("select public.schedule_calendar_webhook_refresh('{url}', 'sb_secret_key')");
        let expected = format!("{url} is the machine or container of the database itself");
        let expected: Vec<_> = is_surprising.then_some(expected).into_iter().collect();
        assert_eq!(project.notices(&sql).await, expected);
    }
    for minutes in 1..60 {
        let sql = format!(
            "select public.schedule_calendar_webhook_refresh('{URL}', 'sb_secret_key', '{minutes} minutes')"
        );
        let notices = project.notices(&sql).await;
        // The minutes of an hour are not a multiple of this one.
        assert_eq!(!notices.is_empty(), 60 % minutes != 0, "{minutes}: {notices:?}");
        assert!(
            notices.iter().all(|notice| notice.contains(&format!("every {minutes} minutes"))),
            "{notices:?}"
        );
        let every = seen(&project).await["every"].take();
        assert_eq!(every, json!(format!("00:{minutes:02}:00")));
    }
    assert_eq!(project.notices(unschedule).await, [""; 0]);
    assert_eq!(project.notices(unschedule).await.len(), 1);
    // Without any extension there is nothing to take away either.
    project
        .sql("reset role; drop extension pg_cron; drop schema net cascade; drop schema vault cascade")
        .await;
    assert_eq!(project.notices(unschedule).await.len(), 1);
}

#[tokio::test]
async fn the_job_runs_within_the_first_minute_and_health_shows_what_became_of_it() {
    let project = hosted().await;
    assert_eq!(seen(&project).await, Value::Null);
    schedule(&project, &format!("'{URL}', 'sb_secret_key', parallel => 2")).await;
    let mut expected = json!({
        "every": "00:01:00", "parallel": 2, "active": true,
        "last_run_at": null, "last_run_status": null, "last_run_message": null,
        "last_answer_status": null, "last_answer_error": null, "failed_answers": 0,
    });
    assert_eq!(seen(&project).await, expected);

    let deadline = Instant::now() + Duration::from_secs(90);
    while seen(&project).await["last_run_status"] != "succeeded" {
        assert!(Instant::now() < deadline, "{}", seen(&project).await);
        sleep(Duration::from_millis(200)).await;
    }
    assert_ne!(requests(&project).await, json!([]));
    let mut actual = seen(&project).await;
    let age = "select extract(epoch from now() - (schedule ->> 'last_run_at')::timestamptz)::float8
               from public.calendar_webhook_health";
    let age: f64 = project.value(age, &[]).await;
    assert!((0.0..90.0).contains(&age), "{age}");
    actual["last_run_at"].take();
    expected["last_run_status"] = json!("succeeded");
    expected["last_run_message"] = json!("1 row");
    assert_eq!(actual, expected);

    // Neither the job nor its log tells a secret.
    let told = "select jsonb_build_array(to_jsonb(job), to_jsonb(details))::text
                from cron.job join cron.job_run_details details using (jobid) limit 1";
    let told: String = project.value(told, &[]).await;
    assert!(!told.contains("sb_secret") && !told.contains("supabase.co"), "{told}");
}

#[tokio::test]
async fn a_request_says_when_it_was_made_and_one_from_a_copy_of_the_database_is_the_last() {
    let project = hosted().await;
    let scheduled = format!("'{URL}', 'sb_secret_key'");
    schedule_idle(&project, &scheduled).await;
    run_job(&project).await.unwrap();
    let is_known = "select bool_and(headers ->> 'X-Requested-At' ~ 'Z$') and bool_and(
        (headers ->> 'X-Requested-At')::timestamptz in (select requested_at from public.calendar_webhook_requests))
        from net.http_request_queue";
    assert!(project.value::<bool>(is_known, &[]).await);
    assert_eq!(project.select(Service, "select id from public.calendar_webhook_requests").await.len(), 1);

    // Another database's functions do not know of it.
    project.sql("insert into net._http_response (id, status_code) values (1, 409)").await;
    requests(&project).await;
    let error = message(&run_job(&project).await.unwrap_err());
    assert!(error.contains("this one is a copy of theirs") && error.contains("of this project"), "{error}");
    assert_eq!(requests(&project).await, json!([]));
    schedule_idle(&project, &scheduled).await;
    run_job(&project).await.unwrap();
    assert_eq!(requests(&project).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_newest_answer_to_the_schedule_is_shown_and_no_other() {
    let project = hosted().await;
    schedule_idle(&project, &format!("'{URL}', 'sb_secret_key', parallel => 2")).await;
    be_due(&project, 2 * RUNS_PER_INVOCATION as usize, "sync_request_id = gen_random_uuid()").await;
    run_job(&project).await.unwrap();
    run_job(&project).await.unwrap();
    let answer = |id: u32, columns: &str, values: &str| {
        format!("insert into net._http_response (id, {columns}) values ({id}, {values});")
    };
    let page = format!("'{}'", "x".repeat(2000));
    for (answers, status, error) in [
        (String::new(), Value::Null, Value::Null),
        // Another request of the project's.
        (answer(99, "status_code, content", "500, 'theirs'"), Value::Null, Value::Null),
        // From before pg_net was installed anew and counted from 1 again.
        (answer(4, "status_code, created", "200, now() - interval '1 day'"), Value::Null, Value::Null),
        (answer(1, "status_code, content", "200, '{}'"), json!(200), Value::Null),
        (
            answer(2, "status_code, content", "401, '{\"message\": \"Missing authorization header\"}'"),
            json!(401),
            json!("{\"message\": \"Missing authorization header\"}"),
        ),
        (answer(3, "status_code, content", &format!("502, {page}")), json!(502), json!("x".repeat(500))),
        (
            answer(4, "timed_out, error_msg", "true, 'Timeout of 80000 ms reached'"),
            Value::Null,
            json!("Timeout of 80000 ms reached"),
        ),
    ] {
        project.sql(&answers).await;
        let seen = seen(&project).await;
        assert_eq!((&seen["last_answer_status"], &seen["last_answer_error"]), (&status, &error), "{answers}");
    }

    assert_eq!(seen(&project).await["failed_answers"], 1);

    // What nobody will ask about any more is forgotten.
    project
        .sql("update public.calendar_webhook_requests set requested_at = now() - interval '6 hours 1 second'")
        .await;
    run_job(&project).await.unwrap();
    let kept: i64 = project.value("select count(*) from public.calendar_webhook_requests", &[]).await;
    assert_eq!(kept, 2);
}

/// The recipe of supabase/README.md, as it stands there: the statements that are indented.
fn recipe() -> String {
    let readme = std::fs::read_to_string(local_supabase::repository().join("supabase/README.md")).unwrap();
    let start = readme.find("    create function tell_of_dead_consent()").expect("the recipe");
    let lines = readme[start..].lines().take_while(|line| line.starts_with("    "));
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn the_recipe_for_a_dead_consent_has_the_hosts_function_called_for_every_role() {
    let project = hosted().await;
    schedule_idle(&project, &format!("'{URL}', 'sb_secret_key'")).await;
    project.sql(&recipe()).await;
    let user = Uuid::new_v4();
    let row = json!({ "user_id": user, "refresh_token": "refresh" });
    assert_eq!(project.insert(Service, &row).await, Rows(1));
    let refused = |code: &str| {
        format!(
            "update public.calendar_connections set webhook_error = '{code}', webhook_error_reason = 'invalid_grant'"
        )
    };
    for code in ["calendar_not_found", "google_unavailable", "reconnect_required", "reconnect_required"] {
        assert_eq!(project.act(Service, &refused(code), &[]).await, Rows(1));
    }
    let sent = requests(&project).await;
    assert_eq!(sent.as_array().unwrap().len(), 1, "{sent}");
    assert_eq!(sent[0]["url"], format!("{URL}/functions/v1/tell-of-dead-consent"));
    assert_eq!(sent[0]["headers"]["apikey"], "sb_secret_key");
    let event: Value = serde_json::from_str(sent[0]["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&event["user_id"], &event["event"], &event["reason"], &event["detail"]),
        (&json!(user), &json!("broken"), &json!("reconnect_required"), &json!("invalid_grant"))
    );
}

/// A run of the job as pg_cron logs it.
#[tokio::test]
async fn the_newest_run_is_shown_as_pg_cron_tells_it() {
    let project = hosted().await;
    schedule_idle(&project, &format!("'{URL}', 'sb_secret_key'")).await;
    for (status, details) in [
        ("succeeded", Some("1 row")),
        ("failed", Some("ERROR:  Vault lacks calendar_webhook_project_url or calendar_webhook_secret_key")),
        ("running", None),
    ] {
        let literal = details.map_or("null".to_owned(), |details| format!("'{details}'"));
        let job = "(select jobid from cron.job where jobname = 'refresh-calendar-webhook')";
        project
            .sql(&format!(
                "reset role;
                 insert into cron.job_run_details (jobid, username, status, return_message, start_time) values
                   ({job}, 'owner', '{status}', {literal}, '2026-01-01'),
                   ({job} + 1, 'owner', 'succeeded', 'somebody else''s', '2026-01-02');
                 set role owner"
            ))
            .await;
        let seen = seen(&project).await;
        assert_eq!(seen["last_run_status"], status);
        assert_eq!(seen["last_run_at"], "2026-01-01T00:00:00+00:00");
        assert_eq!(seen["last_run_message"], json!(details));
    }
    // A schedule that somebody changed by hand is shown as it is.
    project
        .sql("reset role; select cron.alter_job(jobid, schedule => '0 4 * * *', command => 'select 1') from cron.job;
              set role owner")
        .await;
    let seen = seen(&project).await;
    assert_eq!((&seen["every"], &seen["parallel"]), (&json!("0 4 * * *"), &Value::Null));
}

/// A project may have enabled some extensions and not others, or have taken rights from the owner.
#[tokio::test]
async fn health_is_there_whatever_is_missing() {
    let project = hosted().await;
    schedule(&project, &format!("'{URL}', 'sb_secret_key'")).await;
    for (taken, is_seen) in [
        ("drop schema net cascade", true),
        ("drop schema vault cascade", true),
        ("revoke usage on schema net from owner", true),
        ("revoke usage on schema cron from public, owner", false),
        ("drop extension pg_cron", false),
    ] {
        project.sql(&format!("reset role; begin; {taken}; set local role service_role")).await;
        let schedule: Option<Value> =
            project.value("select schedule from public.calendar_webhook_health", &[]).await;
        assert_eq!(schedule.is_some(), is_seen, "{taken}: {schedule:?}");
        project.sql("rollback").await;
    }
}
