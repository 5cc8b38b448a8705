//! What happens day by day: runs, sweeps, channels.

use serde_json::json;
use system_tests::{Caller, Connection, REFRESH, SETUP};

use crate::case::cases;
use crate::world::{GREETED, World};

cases! {
    a_recalculate_schedule_that_refuses_service_calls_is_told,
    other_failures_of_recalculate_schedule_are_told_by_their_reason,
    a_page_in_the_place_of_recalculate_schedule_is_told,
    a_missing_schedule_is_told,
    a_job_that_fails_is_told_by_what_its_answers_say,
    runs_that_are_owed_for_long_are_told,
    looks_that_are_due_for_long_are_told,
    notifications_that_are_often_missed_are_told,
    channels_that_are_not_well_are_told,
    of_many_connections_the_first_twenty_are_named,
}

/// Has a run of this connection fail with this status, and no other start by itself.
async fn failed_run(world: &World, connection: &Connection, status: u16) {
    world.behave(connection, json!({ "status": status })).await;
    assert_eq!(world.refresh(connection).await, 200);
    world.wait(connection, &format!("sync_error is not null and {GREETED}")).await;
    world.set(connection, "sync_not_before = now() + interval '1 hour', sync_lease_until = 'epoch'").await;
}

async fn a_recalculate_schedule_that_refuses_service_calls_is_told(world: &mut World) {
    let connection = world.open().await;
    failed_run(world, &connection, 401).await;
    let report = world.examine().await;
    report.finds(&[(
        "recalculate-schedule",
        "recalculate_401",
        "it refuses calls with the service key: recalculate_401, 1 run owed",
    )]);
    assert_eq!(report.check("recalculate-schedule")["connections"]["ids"], json!([connection.id]));
}

async fn other_failures_of_recalculate_schedule_are_told_by_their_reason(world: &mut World) {
    for status in [302, 403, 404, 500, 546] {
        let connection = world.open().await;
        failed_run(world, &connection, status).await;
    }
    let id = "recalculate-schedule";
    world.examine().await.finds(&[
        (
            id,
            "recalculate_302",
            "it redirects, which is not followed, because the service key would go along: recalculate_302, 1 run owed",
        ),
        (id, "recalculate_403", "it refuses calls with the service key: recalculate_403, 1 run owed"),
        (
            id,
            "recalculate_404",
            "it is not deployed, not at RECALCULATE_SCHEDULE_URL, or answers 404 itself: recalculate_404, 1 run owed",
        ),
        (id, "recalculate_500", "it fails: recalculate_500, 1 run owed"),
        (
            id,
            "recalculate_timeout",
            "it does not answer within 50 seconds, or ran out of time or memory (502, 504, 546): recalculate_timeout, 1 run \
             owed",
        ),
    ]);
}

/// As the functions book it where a proxy or a login page answers in its place.
async fn a_page_in_the_place_of_recalculate_schedule_is_told(world: &mut World) {
    let connection = world.open().await;
    let booked = "sync_error = 'recalculate_not_a_function', sync_request_id = gen_random_uuid(), \
                  sync_not_before = now() + interval '1 hour'";
    world.set(&connection, booked).await;
    let line = "what answers with 2xx sends a page (text/html), so it is no Edge Function: recalculate_not_a_function, 1 run owed";
    world.examine().await.finds(&[("recalculate-schedule", "recalculate_not_a_function", line)]);
}

async fn a_missing_schedule_is_told(world: &mut World) {
    world.open().await;
    for (sweep, last) in [(None, "none so far"), (Some("now() - interval '3 hours'"), "the last one 3 h ago")]
    {
        world.sql("delete from calendar_webhook_sweeps").await;
        if let Some(at) = sweep {
            world.swept(at).await;
        }
        let report = world.examine().await;
        let line = format!(
            "nothing calls refresh-calendar-webhook: no job is installed, and there are no sweeps ({last})"
        );
        report.finds(&[("schedule", "not_scheduled", &line)]);
        let next = report.check("schedule")["next"].as_str().unwrap();
        // As a database in a container reaches it.
        assert!(next.contains("schedule_calendar_webhook_refresh('http://kong:8000'"), "{next}");
    }
}

async fn a_job_that_fails_is_told_by_what_its_answers_say(world: &mut World) {
    world.open().await;
    // pg_cron's and pg_net's own tables, as far as they are looked at.
    for sql in [
        "create schema cron",
        "create schema net",
        "create table cron.job (jobid bigint, jobname text, schedule text, command text, active boolean)",
        "create table cron.job_run_details
           (jobid bigint, runid bigint, status text, return_message text, start_time timestamptz)",
        "create table net._http_response
           (id bigint, status_code integer, content text, error_msg text, created timestamptz default now())",
        "insert into cron.job values (1, 'refresh-calendar-webhook', '* * * * *',
           'select public.request_calendar_webhook_refresh(1)', true)",
        "insert into cron.job_run_details values (1, 1, 'succeeded', '1 row', now())",
        "insert into calendar_webhook_requests (id, requested_at) values (7, now() - interval '2 s')",
        "insert into net._http_response values (7, 200, '{}', null)",
    ] {
        world.sql(sql).await;
    }
    world.examine().await.is_all_well();
    for sql in [
        "insert into calendar_webhook_requests (id, requested_at) values (6, now() - interval '30 minutes')",
        "insert into net._http_response values (6, 503, '{}', null, now() - interval '30 minutes')",
    ] {
        world.sql(sql).await;
    }
    let line = "1 sweep of the last hour failed (HTTP 5xx), and not the last one";
    world.examine().await.finds(&[("schedule", "sweeps_failed", line)]);
    world.sql("delete from net._http_response where id = 6").await;
    for (fault, code, line) in [
        (
            "update net._http_response set status_code = 409",
            "another_project",
            "the job calls the functions of another project, which work on another database: this one is a copy of theirs",
        ),
        (
            "update net._http_response set status_code = 401",
            "key_refused",
            "refresh-calendar-webhook refuses the key that the job sends (HTTP 401): was it rotated?",
        ),
        (
            "update net._http_response set status_code = null, error_msg = 'Couldn''t resolve host name'",
            "no_answer",
            "the job gets no answer from refresh-calendar-webhook: Couldn't resolve host name",
        ),
        (
            "update cron.job_run_details set status = 'failed', return_message = 'ERROR: Vault lacks the key'",
            "job_fails",
            "pg_cron's last run of the job failed: ERROR: Vault lacks the key",
        ),
        ("update cron.job set active = false", "deactivated", "the job is installed, but deactivated"),
    ] {
        world.sql(fault).await;
        world.examine().await.finds(&[("schedule", code, line)]);
    }
    for sql in
        ["drop schema cron cascade", "drop schema net cascade", "delete from calendar_webhook_requests"]
    {
        world.sql(sql).await;
    }
}

async fn runs_that_are_owed_for_long_are_told(world: &mut World) {
    let connection = world.open().await;
    world.set(&connection, "sync_request_id = gen_random_uuid()").await;
    world.examine().await.is_all_well();

    // Without the trigger, which alone writes this time.
    world.sql("alter table calendar_connections disable trigger user").await;
    world.set(&connection, "sync_owed_since = now() - interval '90 minutes'").await;
    world.sql("alter table calendar_connections enable trigger user").await;
    let line = "1 run owed, the oldest for 1 h 30 min";
    world.examine().await.finds(&[("owed-runs", "runs_overdue", line)]);
}

async fn looks_that_are_due_for_long_are_told(world: &mut World) {
    let (passed_over, paused) = (world.open().await, world.open().await);
    world.set(&paused, "sync_enabled = false, sync_look_at = now() - interval '9 days'").await;
    world.set(&passed_over, "sync_look_at = now() - interval '5 minutes'").await;
    let report = world.examine().await;
    report.is_all_well();
    report.says("✓", "looks", "1 calendar due for a look, the oldest for 5 min");

    world.set(&passed_over, "sync_look_at = now() - interval '30 hours'").await;
    let refuse = "create function refuse() returns trigger language plpgsql as
                    $$begin raise exception 'no seat'; end$$";
    world.sql(refuse).await;
    let trigger = "create trigger seats before update of sync_look_at on calendar_connections
                     for each row execute function refuse()";
    world.sql(trigger).await;
    assert_eq!(world.call(REFRESH, Caller::Service, json!({})).await.unwrap().status, 200);
    world.wait(&paused, "webhook_id is null and (select count(*) from calendar_webhook_sweeps) = 2").await;
    let report = world.examine().await;
    world.sql("drop function refuse cascade").await;
    let line = "1 calendar due for a look, the oldest for 1 d 6 h, though sweeps are made";
    report.finds(&[("looks", "looks_overdue", line)]);
    assert_eq!(report.check("looks")["connections"]["ids"], json!([passed_over.id]));
    // Where the next step sends the reader.
    let log = world.stack.function_log(REFRESH);
    assert!(log.lines().any(|line| line.contains("call_failed") && line.contains("claim_look")), "{log}");
}

async fn notifications_that_are_often_missed_are_told(world: &mut World) {
    world.open().await;
    world.sql("update calendar_webhook_sweeps set looked = 7, missed = 2").await;
    world.examine().await.is_all_well();
    world.swept("now() - interval '25 hours'").await;
    world.swept("now() - interval '23 hours'").await;
    world.sql("update calendar_webhook_sweeps set looked = 5, missed = 1 where looked = 0").await;
    world.swept("now()").await;
    let line = "3 of 12 looks within 24 hours found a change for which Google sent no notification";
    world.examine().await.finds(&[("looks", "notifications_missed", line)]);
}

async fn channels_that_are_not_well_are_told(world: &mut World) {
    world.connection().await;
    let (expired, expiring) = (world.open().await, world.open().await);
    world.set(&expired, "webhook_expiration = now() - interval '1 minute'").await;
    world.set(&expiring, "webhook_expiration = now() + interval '3 hours'").await;
    let unheard = world.connection().await;
    world.google_control("delivery", json!({ "email": unheard.email, "sync": "dropped" })).await;
    assert_eq!(world.ask(SETUP, &unheard).await, 200);
    world.wait(&unheard, "sync_request_id is null and last_sync_at is not null").await;
    world.set(&unheard, "webhook_opened_at = now() - interval '10 minutes'").await;
    let report = world.examine().await;
    report.finds(&[
        ("connections", "expired", "expired: 1 connection, the channel has expired, and no new one was opened"),
        (
            "connections",
            "expiring",
            "expiring: 1 connection, the channel expires within a day, and should have been renewed a day ago",
        ),
        ("connections", "not_set_up", "not_set_up: 1 connection, no channel was ever opened"),
        (
            "connections",
            "unconfirmed",
            "unconfirmed: 1 connection, the channel is open, but Google has not reached google-calendar-webhook",
        ),
    ]);
    for connection in [expired, expiring, unheard] {
        assert_eq!(report.text.matches(&connection.id.to_string()).count(), 1, "{}", report.text);
    }
}

async fn of_many_connections_the_first_twenty_are_named(world: &mut World) {
    world
        .sql(
            "insert into calendar_connections (user_id) select gen_random_uuid() from generate_series(1, 25)",
        )
        .await;
    let report = world.examine().await;
    report.finds(&[("connections", "not_set_up", "not_set_up: 25 connections, no channel was ever opened")]);
    assert_eq!(report.check("connections")["connections"]["ids"].as_array().unwrap().len(), 20);
    assert!(report.text.contains("      … and 5 more\n"), "{}", report.text);
}
