//! Whether the app's own `recalculate-schedule` does what it is asked. It is never called to find out: what became of
//! its last calls tells.

use crate::check::{Check, Id, count};
use crate::health::{Group, Health, Members, duration, word};

pub fn judge(health: &Health, members: &Members) -> Vec<Check> {
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
            let (what, next) = explain(code);
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

fn explain(code: &str) -> (&'static str, &'static str) {
    match code {
        "recalculate_401" | "recalculate_403" => (
            "it refuses calls with the service key",
            "let it accept the project's secret key: with a key of the current kind (sb_secret_…) set \
             `verify_jwt = false` for it, and compare the header `apikey` in the function",
        ),
        "recalculate_404" => (
            "it is not deployed, not at RECALCULATE_SCHEDULE_URL, or answers 404 itself",
            "see in the dashboard whether it was called (Edge Functions, recalculate-schedule, Invocations): if it was, its \
             own code says 404; else deploy it (`supabase functions deploy recalculate-schedule`), or correct \
             RECALCULATE_SCHEDULE_URL",
        ),
        "recalculate_timeout" => (
            "it does not answer within 50 seconds, or ran out of time or memory (502, 504, 546)",
            "make it faster, for instance by recalculating this user alone; its log in the dashboard shows how long it \
             works",
        ),
        "recalculate_not_a_function" => (
            "what answers with 2xx sends a page (text/html), so it is no Edge Function",
            "correct RECALCULATE_SCHEDULE_URL; a proxy or a login page may stand before it",
        ),
        "recalculate_unreachable" => (
            "no connection to it can be made",
            "see whether it starts (its log in the dashboard), and whether RECALCULATE_SCHEDULE_URL is right",
        ),
        "recalculate_400" | "recalculate_422" => (
            "it does not understand what it is asked",
            "compare what it expects with what it is sent: user_id, userId, connection_id, reason, request_id",
        ),
        "recalculate_503" => {
            ("it does not start", "read its log in the dashboard: Edge Functions, recalculate-schedule, Logs")
        }
        "connection_without_user" => {
            ("connections without a user cannot be recalculated", "give their rows a user_id, or delete them")
        }
        _ => ("it fails", "read its log in the dashboard: Edge Functions, recalculate-schedule, Logs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;
    use crate::health::healthy;

    #[test]
    fn it_is_judged_by_what_became_of_its_calls() {
        for (code, says) in [
            ("recalculate_401", "refuses calls with the service key: recalculate_401, 2 runs owed"),
            ("recalculate_403", "refuses"),
            ("recalculate_404", "not deployed"),
            ("recalculate_timeout", "50 seconds"),
            ("recalculate_not_a_function", "sends a page"),
            ("recalculate_unreachable", "no connection"),
            ("recalculate_503", "does not start"),
            ("recalculate_500", "it fails: recalculate_500"),
            ("connection_without_user", "without a user"),
        ] {
            let mut health = healthy();
            health.failing_runs.insert(code.to_owned(), 2);
            let checks = judge(&health, &Members::default());
            assert_eq!(checks.len(), 1);
            assert!(checks[0].line.contains(says), "{checks:?}");
        }
    }

    #[test]
    fn a_success_is_well_and_no_call_says_nothing() {
        let mut health = healthy();
        assert_eq!(
            judge(&health, &Members::default())[0].line,
            "no run is failing; the last one succeeded 1 min ago"
        );
        health.last_success_at = None;
        assert_eq!(judge(&health, &Members::default())[0].verdict, Verdict::Unknown);
    }
}
