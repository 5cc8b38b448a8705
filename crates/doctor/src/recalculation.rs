//! Whether the app's own `recalculate-schedule` does what it is asked. It is never called to find out: what became of
//! its last calls tells.

use crate::check::{Check, Id, count};
use crate::health::{Group, Health, Members, duration, word};
use crate::home::Home;

pub fn judge(home: Home, health: &Health, members: &Members) -> Vec<Check> {
    let id = Id::RecalculateSchedule;
    if health.failing_runs.is_empty() {
        return vec![match health.last_success_at {
            Some(at) => Check::ok(
                id,
                format!("no run is failing; the last one succeeded {} ago", duration(health.since(at))),
            ),
            None => Check::unknown(id, "not judged: it has not been called yet"),
        }];
    }
    let failing = health.failing_runs.iter();
    failing
        .map(|(code, number)| {
            let affected = members.affected(&Group::RunError(code.clone()), *number);
            let code = word(code);
            let (what, next) = explain(home, code);
            let line = format!("{what}: {code}, {} owed", count(*number, "run"));
            Check::wrong(
                id,
                code,
                line,
                format!("{next}. Runs are retried by themselves, at once with --fix"),
            )
            .about(affected)
        })
        .collect()
}

fn explain(home: Home, code: &str) -> (&'static str, String) {
    let log = home.read_log("recalculate-schedule");
    match code {
        "recalculate_401" | "recalculate_403" => (
            "it refuses calls with the service key",
            format!(
                "let it accept the project's secret key: with a key of the current kind (sb_secret_…) {}, and compare the \
                 header `apikey` in the function",
                home.pick("set `verify_jwt = false` for it", "set FUNCTIONS_VERIFY_JWT=false in Docker Compose's .env")
            ),
        ),
        "recalculate_404" => (
            "it is not deployed, not at RECALCULATE_SCHEDULE_URL, or answers 404 itself",
            format!(
                "see whether it was called ({}): if it was, its own code says 404; else deploy it ({}), or correct \
                 RECALCULATE_SCHEDULE_URL",
                home.pick(
                    "dashboard: Edge Functions, recalculate-schedule, Invocations",
                    "`docker compose logs functions`"
                ),
                home.pick(
                    "`supabase functions deploy recalculate-schedule`",
                    "copy it into volumes/functions, then `docker compose restart functions`"
                )
            ),
        ),
        "recalculate_timeout" => (
            "it does not answer within 50 seconds, or ran out of time or memory (502, 504, 546)",
            format!("make it faster, for instance by recalculating this user alone; to see how long it works, {log}"),
        ),
        "recalculate_not_a_function" => (
            "what answers with 2xx sends a page (text/html), so it is no Edge Function",
            "correct RECALCULATE_SCHEDULE_URL; a proxy or a login page may stand before it".to_owned(),
        ),
        "recalculate_unreachable" => (
            "no connection to it can be made",
            format!("see whether RECALCULATE_SCHEDULE_URL is right, and whether it starts: {log}"),
        ),
        "recalculate_400" | "recalculate_422" => (
            "it does not understand what it is asked",
            "compare what it expects with what it is sent: user_id, userId, connection_id, reason, request_id".to_owned(),
        ),
        "recalculate_301" | "recalculate_302" | "recalculate_303" | "recalculate_307" | "recalculate_308" => (
            "it redirects, which is not followed, because the service key would go along",
            "let the function answer itself, or set RECALCULATE_SCHEDULE_URL to the address it redirects to; a redirect \
             to a login page means that the key is not looked at"
                .to_owned(),
        ),
        "recalculate_405" => ("it does not take POST", "let the function answer POST".to_owned()),
        "recalculate_429" => (
            "it, or what stands before it, takes no more calls for now",
            format!("let it take a call for each change of each user; {log}"),
        ),
        "recalculate_503" => ("it does not start, or says that something it needs does not answer", log),
        "connection_without_user" => {
            let next = "give their rows a user_id, or delete them".to_owned();
            ("connections without a user cannot be recalculated", next)
        }
        _ => (
            "it fails",
            format!(
                "{log}. If it says `permission denied for table …`: Supabase grants nothing on tables that are new since \
                 30 October 2026; in the SQL editor: `grant select, insert, update, delete on public.… to service_role`"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;
    use crate::health::healthy;
    use crate::home::assert_self_hosted;

    #[test]
    fn it_is_judged_by_what_became_of_its_calls() {
        for (code, says) in [
            ("recalculate_401", "refuses calls with the service key: recalculate_401, 2 runs owed"),
            ("recalculate_403", "refuses"),
            ("recalculate_404", "not deployed"),
            ("recalculate_timeout", "50 seconds"),
            ("recalculate_not_a_function", "sends a page"),
            ("recalculate_unreachable", "no connection"),
            ("recalculate_302", "it redirects"),
            ("recalculate_405", "does not take POST"),
            ("recalculate_429", "takes no more calls"),
            ("recalculate_503", "does not start"),
            ("recalculate_500", "it fails: recalculate_500"),
            ("connection_without_user", "without a user"),
        ] {
            let mut health = healthy();
            health.failing_runs.insert(code.to_owned(), 2);
            let checks = judge(Home::Hosted, &health, &Members::default());
            assert_eq!(checks.len(), 1);
            assert!(checks[0].line.contains(says), "{checks:?}");
            let checks = judge(Home::SelfHosted, &health, &Members::default());
            assert_self_hosted(checks[0].next.as_deref().unwrap());
        }
    }

    #[test]
    fn a_success_is_well_and_no_call_says_nothing() {
        let mut health = healthy();
        assert_eq!(
            judge(Home::Hosted, &health, &Members::default())[0].line,
            "no run is failing; the last one succeeded 1 min ago"
        );
        health.last_success_at = None;
        assert_eq!(judge(Home::Hosted, &health, &Members::default())[0].verdict, Verdict::Unknown);
    }
}
