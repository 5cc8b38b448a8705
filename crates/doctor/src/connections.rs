//! Every connection that is not well, by its id: who must act.

use crate::check::{Check, Id, count};
use crate::health::{Group, Health, Members, word};

pub fn judge(health: &Health, members: &Members) -> Vec<Check> {
    let mut checks = vec![Check::ok(Id::Connections, overview(health))];
    for (status, number) in &health.connections {
        if status == "active" {
            continue;
        }
        if status == "unsupported" {
            // Two reasons, which two people see to.
            for code in ["push_not_supported", "calendar_not_found"] {
                if let Some(number) = health.failing_renewals.get(code) {
                    checks.push(finding(code, *number, members, &Group::RenewalError(code.to_owned())));
                }
            }
            continue;
        }
        checks.push(finding(word(status), *number, members, &Group::Status(status.clone())));
    }
    // What has to be done before what is only to be known.
    checks.sort_by_key(|check| !check.is_wrong());
    checks
}

fn overview(health: &Health) -> String {
    let total: u64 = health.connections.values().sum();
    let by_status: Vec<String> =
        health.connections.iter().map(|(status, number)| format!("{number} {}", word(status))).collect();
    match total {
        0 => "there are none yet".to_owned(),
        _ => format!("{} in all: {}", count(total, "connection"), by_status.join(", ")),
    }
}

fn finding(code: &str, number: u64, members: &Members, group: &Group) -> Check {
    let (what, next) = explain(code);
    let line = format!("{code}: {}, {what}", count(number, "connection"));
    let check = match next {
        Some(next) => Check::wrong(Id::Connections, code, line, next),
        None => Check::ok(Id::Connections, line).coded(code),
    };
    check.about(members.affected(group, number))
}

/// What a status means, and what to do about it; nothing for what is as somebody wanted it.
fn explain(code: &str) -> (&'static str, Option<&'static str>) {
    match code {
        "reconnect_required" => (
            "Google no longer accepts the consent: the OAuth consent screen is in \"Testing\", where consents die after 7 \
             days, or access was revoked",
            Some(
                "set the consent screen to \"In production\" (Google Cloud, Google Auth Platform, Audience); then the \
                 user connects the calendar again",
            ),
        ),
        "push_not_supported" => (
            "Google sends no notifications for this calendar, as for holidays and other shared ones",
            Some("the user chooses another calendar (`calendar_id`)"),
        ),
        "calendar_not_found" => (
            "Google does not know the calendar, or hides it from this user",
            Some("the user chooses another calendar (`calendar_id`), or gets access to this one"),
        ),
        "not_set_up" => (
            "no channel was ever opened",
            Some(
                "the next sweep opens one: if it stays, see schedule and google-calendar above. Without waiting the app \
                 calls setup-calendar-webhook after OAuth, and scripts/doctor --fix does",
            ),
        ),
        "expired" => (
            "the channel has expired, and no new one was opened",
            Some("see schedule and google-calendar above; scripts/doctor --fix renews the channels"),
        ),
        "expiring" => (
            "the channel expires within a day, and should have been renewed a day ago",
            Some("see schedule and google-calendar above; scripts/doctor --fix renews the channels"),
        ),
        "unconfirmed" => (
            "the channel is open, but Google has not reached google-calendar-webhook",
            Some(
                "see google-calendar-webhook, callback-url and robots.txt above. If they are well, the deployed \
                 CALENDAR_WEBHOOK_URL may be another host's, though not set here (`supabase secrets list` names it \
                 without its value): set it anew, or `supabase secrets unset` it; scripts/doctor --fix opens the \
                 channels anew",
            ),
        ),
        "paused" => (
            "paused by the user (sync_enabled is false): nothing is watched or recalculated until resumed",
            None,
        ),
        "disconnected" => (
            "disconnected (is_active is not true): nothing is watched or recalculated until connected again",
            None,
        ),
        _ => ("of a status that is not known here", Some("run the doctor of the version that is deployed")),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::check::Verdict;
    use crate::health::healthy;

    #[test]
    fn each_status_has_its_line_and_those_to_act_on_come_first() {
        let mut health = healthy();
        health.connections = [
            "active",
            "disconnected",
            "expired",
            "expiring",
            "not_set_up",
            "paused",
            "reconnect_required",
            "unconfirmed",
            "unsupported",
        ]
        .map(|status| (status.to_owned(), 1))
        .into();
        health.failing_renewals = ["reconnect_required", "push_not_supported", "calendar_not_found"]
            .map(|code| (code.to_owned(), 1))
            .into();
        let checks = judge(&health, &Members::default());
        let codes: Vec<(Verdict, &str)> =
            checks.iter().map(|check| (check.verdict, check.code.as_deref().unwrap_or("overview"))).collect();
        assert_eq!(
            codes,
            [
                (Verdict::Wrong, "expired"),
                (Verdict::Wrong, "expiring"),
                (Verdict::Wrong, "not_set_up"),
                (Verdict::Wrong, "reconnect_required"),
                (Verdict::Wrong, "unconfirmed"),
                (Verdict::Wrong, "push_not_supported"),
                (Verdict::Wrong, "calendar_not_found"),
                (Verdict::Ok, "overview"),
                (Verdict::Ok, "disconnected"),
                (Verdict::Ok, "paused"),
            ]
        );
        for check in &checks {
            assert!(!check.line.contains("not known here"), "{check:?}");
        }
    }

    #[test]
    fn both_causes_of_a_dead_consent_are_in_one_line() {
        let mut health = healthy();
        health.connections.insert("reconnect_required".to_owned(), 2);
        let group = Group::Status("reconnect_required".to_owned());
        let members = Members([(group, vec![Uuid::nil()])].into());
        let check = &judge(&health, &members)[0];
        assert!(check.line.contains("\"Testing\"") && check.line.contains("revoked"), "{check:?}");
        let affected = check.affected.as_ref().unwrap();
        assert_eq!((affected.count, affected.ids.as_slice()), (2, [Uuid::nil()].as_slice()));
    }

    #[test]
    fn a_project_without_connections_is_well() {
        let mut health = healthy();
        health.connections.clear();
        assert_eq!(judge(&health, &Members::default()), [Check::ok(Id::Connections, "there are none yet")]);
    }
}
