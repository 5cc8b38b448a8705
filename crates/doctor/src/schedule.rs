//! Whether `refresh-calendar-webhook` is called regularly, by pg_cron or by anything else.

use chrono::TimeDelta;

use crate::check::{Check, Id, count};
use crate::health::{Health, Schedule, duration};
use crate::home::{Home, is_loopback};
use machine::http::is_barred;

/// The one finding that is to be expected of a project after its first deployment.
pub const NOT_SCHEDULED: &str = "not_scheduled";

/// A sweep that is older says that nobody calls any more: the README asks for one a minute.
const RECENT: TimeDelta = TimeDelta::minutes(10);
/// The longest time between two runs of the job, and a bit.
const LONGEST_PERIOD: TimeDelta = TimeDelta::minutes(62);

pub fn judge(project_url: &str, health: &Health) -> Check {
    let id = Id::Schedule;
    let home = Home::of(project_url);
    // As the database reaches it, whose container has an address of its own for this machine.
    let is_in_docker = home == Home::SelfHosted || is_loopback(project_url);
    let from_database = if is_in_docker { "http://kong:8000" } else { project_url };
    let again = format!(
        "with a secret key in Vault as calendar_webhook_secret_key (dashboard: Integrations, Vault), in the SQL editor: \
         `select schedule_calendar_webhook_refresh('{from_database}')`"
    );
    let sweep = health.last_sweep.as_ref().map(|sweep| health.since(sweep.finished_at));
    let recent = sweep.filter(|age| *age <= RECENT);
    let last =
        sweep.map_or_else(|| "none so far".to_owned(), |age| format!("the last one {} ago", duration(age)));
    let Some(schedule) = &health.schedule else {
        return match recent {
            Some(age) => {
                Check::ok(id, format!("swept {} ago, by another scheduler than pg_cron", duration(age)))
            }
            None => Check::wrong(
                id,
                NOT_SCHEDULED,
                format!(
                    "nothing calls refresh-calendar-webhook: no job is installed, and there are no sweeps ({last})"
                ),
                format!(
                    "{again}. Or from any other scheduler, every minute: `curl -X POST \
                     {project_url}/functions/v1/refresh-calendar-webhook -H \"apikey: $SUPABASE_SECRET_KEY\"`"
                ),
            ),
        };
    };
    // Supabase answers 546 for a worker that ran out of time, memory or CPU.
    let is_killed = schedule.last_answer_status == Some(546)
        || schedule.last_answer_error.as_deref().is_some_and(|said| said.contains("WorkerRequestCancelled"));
    if is_killed {
        return Check::wrong(
            id,
            "worker_killed",
            "the worker of refresh-calendar-webhook was killed before its sweep ended",
            format!(
                "tell the functions how many seconds a worker lives, FUNCTION_WALL_CLOCK_SECONDS=60 in a self-hosted \
                 project: {}",
                home.set_variables()
            ),
        );
    }
    if let Some((code, what, next)) = trouble(schedule, recent.is_some()) {
        let next = match next {
            Next::Again(why) => format!("{why}: {again}"),
            Next::SeeHealth => home.see_health(),
            Next::Other(next) => next.to_owned(),
        };
        return Check::wrong(id, code, what, next);
    }
    if schedule.failed_answers > 0 {
        return Check::wrong(
            id,
            "sweeps_failed",
            format!(
                "{} of the last hour failed (HTTP 5xx), and not the last one",
                count(schedule.failed_answers, "sweep")
            ),
            "read the log of refresh-calendar-webhook: its lines `call_failed` and `internal_error` tell what happened",
        );
    }
    if let Some(age) = recent {
        return Check::ok(id, format!("pg_cron calls refresh-calendar-webhook; swept {} ago", duration(age)));
    }
    let run = schedule.last_run_at.map(|at| health.since(at));
    // The job as installed is told as an interval, which has no spaces. Its last run led to a sweep.
    let every = schedule.every.as_deref().filter(|every| every.contains(' '));
    let is_swept = run.zip(sweep).is_some_and(|(run, sweep)| run > RECENT && sweep <= run + RECENT);
    if let Some(every) = every.filter(|_| is_swept) {
        return Check::wrong(
            id,
            "schedule_edited",
            format!("the job's schedule is {}, and not every few minutes; sweeps: {last}", clipped(every)),
            format!("install it anew, {again}"),
        );
    }
    match run {
        None => Check::wrong(
            id,
            "never_ran",
            format!("the job is installed, but has not run yet; sweeps: {last}"),
            format!(
                "if it was installed less than a few minutes ago, look again; else install it anew, {again}"
            ),
        ),
        Some(age) if age > LONGEST_PERIOD => Check::wrong(
            id,
            "cron_stopped",
            format!("pg_cron has not run the job for {}", duration(age)),
            format!(
                "restart the database ({}): pg_cron's worker has stopped",
                home.pick("Project Settings, General", "`docker compose restart db`")
            ),
        ),
        // With a longer period sweeps may well be as old as the last run.
        Some(age) if sweep.is_some_and(|sweep| sweep <= age + RECENT) => {
            Check::ok(id, format!("pg_cron calls refresh-calendar-webhook; sweeps: {last}"))
        }
        Some(age) => Check::wrong(
            id,
            "no_sweeps",
            format!("pg_cron ran the job {} ago, but no sweep comes of it; sweeps: {last}", duration(age)),
            format!(
                "see whether pg_net works (`select * from net._http_response`), and install the job anew, {again}"
            ),
        ),
    }
}

/// What to do about the job.
enum Next {
    /// Schedule it again, for this reason or in this way.
    Again(&'static str),
    SeeHealth,
    Other(&'static str),
}

/// What the job's own records say. `goes_on`: whether there are sweeps all the same.
fn trouble(schedule: &Schedule, goes_on: bool) -> Option<(&'static str, String, Next)> {
    if schedule.active == Some(false) {
        let what = "the job is installed, but deactivated".to_owned();
        return Some(("deactivated", what, Next::Again("install it anew")));
    }
    if schedule.last_answer_status == Some(409) {
        return Some((
            "another_project",
            "the job calls the functions of another project, which work on another database: this one is a copy of theirs"
                .to_owned(),
            Next::Again("schedule it for this project"),
        ));
    }
    let message = schedule.last_run_message.as_deref().unwrap_or("without a message");
    // pg_cron's own words for a run that it could not start in time; the next one may well.
    let is_passing = ["job startup timeout", "server restarted", "connection failed"].contains(&message);
    if schedule.last_run_status.as_deref() == Some("failed") && !(is_passing && goes_on) {
        // What is missing or not granted comes again with the job; anything else is the database's own trouble.
        let comes_again =
            ["Vault", "does not exist", "permission denied"].iter().any(|word| message.contains(word));
        let next = if comes_again { Next::Again("install it anew") } else { Next::SeeHealth };
        let what = format!("pg_cron's last run of the job failed: {}", clipped(message));
        return Some(("job_fails", what, next));
    }
    let said = schedule.last_answer_error.as_deref();
    match schedule.last_answer_status {
        Some(status) if said.is_some_and(|said| is_barred(status, said)) => Some((
            "page_in_front",
            format!(
                "a page answers the job (HTTP {status}), from what stands before the functions: a CDN, a firewall, \
                 maintenance"
            ),
            Next::Other("let the database's requests to /functions/v1 through there without a challenge"),
        )),
        Some(402) => Some((
            "restricted",
            "the project is restricted (HTTP 402): the plan's quota is used up, or a payment is due"
                .to_owned(),
            Next::Other("see the organization's billing page in the dashboard"),
        )),
        Some(status @ (401 | 403)) => Some((
            "key_refused",
            format!(
                "refresh-calendar-webhook refuses the key that the job sends (HTTP {status}): was it rotated?"
            ),
            Next::Again("store the new key"),
        )),
        Some(404) => Some((
            "wrong_address",
            "the job calls an address where refresh-calendar-webhook is not (HTTP 404)".to_owned(),
            Next::Again("deploy the function, or store the right address"),
        )),
        Some(status @ 300..) => Some((
            "sweeps_fail",
            format!("refresh-calendar-webhook answers the job with HTTP {status}"),
            Next::Again("read the function's log; if the address or key is wrong, store them anew"),
        )),
        Some(_) => None,
        None => said.map(|error| {
            let what = format!("the job gets no answer from refresh-calendar-webhook: {}", clipped(error));
            ("no_answer", what, Next::Again("if the stored address is wrong, store it anew"))
        }),
    }
}

fn clipped(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.chars().filter(|character| !character.is_control()).take(160).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::health::healthy;

    /// With a job, and the last sweep so many minutes ago.
    fn code(job: &Json, sweep: Option<i64>) -> String {
        let mut health = healthy();
        health.schedule = serde_json::from_value(job.clone()).unwrap();
        match (sweep, &mut health.last_sweep) {
            (Some(minutes), Some(last)) => last.finished_at = health.checked_at - TimeDelta::minutes(minutes),
            (_, last) => *last = None,
        }
        let check = judge("https://abc.supabase.co", &health);
        check.code.unwrap_or_else(|| check.verdict.name().to_owned())
    }

    #[test]
    fn any_scheduler_will_do_as_long_as_there_are_sweeps() {
        for (sweep, expected) in
            [(Some(1), "ok"), (Some(10), "ok"), (Some(11), "not_scheduled"), (None, "not_scheduled")]
        {
            assert_eq!(code(&json!(null), sweep), expected);
        }
    }

    #[test]
    fn a_job_is_judged_by_its_runs_and_their_answers() {
        let ran = "2026-11-22T11:59:00+00:00";
        for (job, sweep, expected) in [
            (
                json!({ "last_run_at": ran, "last_run_status": "succeeded", "last_answer_status": 200 }),
                Some(1),
                "ok",
            ),
            (json!({ "last_run_at": ran, "last_run_status": "succeeded" }), Some(1), "ok"),
            (json!({ "last_run_at": "2026-11-22T11:30:00+00:00" }), Some(30), "ok"),
            (
                json!({ "every": "0 */6 * * *", "last_run_at": "2026-11-22T08:00:00+00:00" }),
                Some(240),
                "schedule_edited",
            ),
            (
                json!({ "every": "00:30:00", "last_run_at": "2026-11-22T08:00:00+00:00" }),
                Some(240),
                "cron_stopped",
            ),
            (json!({ "every": "*/2 * * * 1-5", "last_run_at": ran }), Some(240), "no_sweeps"),
            (json!({ "every": "30 seconds", "last_run_at": ran }), Some(1), "ok"),
            (json!({ "active": false, "last_run_at": ran }), Some(1), "deactivated"),
            (
                json!({ "last_run_at": ran, "last_run_status": "failed", "last_run_message": "ERROR: x" }),
                Some(1),
                "job_fails",
            ),
            (
                json!({
                    "last_run_at": ran, "last_run_status": "failed", "last_run_message": "job startup timeout",
                    "last_answer_status": 200,
                }),
                Some(1),
                "ok",
            ),
            (
                json!({
                    "last_run_at": ran, "last_run_status": "failed", "last_run_message": "job startup timeout",
                }),
                Some(30),
                "job_fails",
            ),
            (
                json!({ "last_run_at": ran, "last_answer_status": 200, "failed_answers": 3 }),
                Some(1),
                "sweeps_failed",
            ),
            (json!({ "last_run_at": ran, "last_answer_status": 401 }), Some(1), "key_refused"),
            (
                json!({ "last_run_at": ran, "last_run_status": "failed", "last_answer_status": 409 }),
                Some(30),
                "another_project",
            ),
            (json!({ "last_run_at": ran, "last_answer_status": 404 }), Some(1), "wrong_address"),
            (
                json!({
                    "last_run_at": ran, "last_answer_status": 500,
                    "last_answer_error": "{\"msg\":\"WorkerRequestCancelled: request has been cancelled by supervisor\"}",
                }),
                Some(1),
                "worker_killed",
            ),
            (json!({ "last_run_at": ran, "last_answer_status": 546 }), Some(1), "worker_killed"),
            (
                json!({ "last_run_at": ran, "last_answer_status": 403, "last_answer_error": "<!DOCTYPE html>" }),
                Some(1),
                "page_in_front",
            ),
            (
                json!({ "last_run_at": ran, "last_answer_status": 404, "last_answer_error": "<html>" }),
                Some(1),
                "wrong_address",
            ),
            (json!({ "last_run_at": ran, "last_answer_status": 402 }), Some(1), "restricted"),
            (json!({ "last_run_at": ran, "last_answer_status": 503 }), Some(1), "sweeps_fail"),
            (json!({ "last_run_at": ran, "last_answer_error": "Timeout was reached" }), Some(1), "no_answer"),
            (json!({ "last_run_at": null }), None, "never_ran"),
            (json!({ "last_run_at": "2026-11-22T10:00:00+00:00" }), Some(120), "cron_stopped"),
            (json!({ "last_run_at": ran }), None, "no_sweeps"),
            (json!({ "last_run_at": ran }), Some(30), "no_sweeps"),
        ] {
            assert_eq!(code(&job, sweep), expected, "{job}");
        }
    }

    #[test]
    fn a_job_that_fails_is_installed_anew_only_where_something_comes_again() {
        for (message, is_anew) in [
            ("ERROR: Vault lacks calendar_webhook_secret_key", true),
            ("ERROR: function net.http_post(…) does not exist", true),
            ("job startup timeout", false),
            ("ERROR: could not extend file: No space left on device", false),
            ("ERROR: cannot execute INSERT in a read-only transaction", false),
        ] {
            let mut health = healthy();
            health.last_sweep = None;
            health.schedule = Some(Schedule {
                last_run_status: Some("failed".to_owned()),
                last_run_message: Some(message.to_owned()),
                ..Schedule::default()
            });
            let next = judge("https://abc.supabase.co", &health).next.unwrap();
            assert_eq!(next.starts_with("install it anew"), is_anew, "{message}: {next}");
        }
    }

    #[test]
    fn after_a_rotation_the_next_step_is_to_store_the_new_key() {
        let mut health = healthy();
        health.schedule = Some(Schedule { last_answer_status: Some(401), ..Schedule::default() });
        let next = judge("https://abc.supabase.co", &health).next.unwrap();
        assert!(next.starts_with("store the new key: "), "{next}");
        assert!(
            next.contains("select schedule_calendar_webhook_refresh('https://abc.supabase.co')"),
            "{next}"
        );
        let next = judge("http://127.0.0.1:8000", &health).next.unwrap();
        assert!(next.contains("select schedule_calendar_webhook_refresh('http://kong:8000')"), "{next}");
    }
}
