//! Every connection that is not well, by its id: who must act.

use chrono::TimeDelta;

use crate::check::{Affected, Check, Id, count};
use crate::health::{Group, Health, Members, NAMED, NO_REFRESH_TOKEN, word};

/// The statuses that have several reasons, which different people see to.
const BY_REASON: [(&str, &[&str]); 2] = [
    ("reconnect_required", &["reconnect_required", "permission_missing", "blocked_by_policy"]),
    ("unsupported", &["push_not_supported", "calendar_not_found", "no_calendar"]),
];

pub fn judge(health: &Health, members: &Members) -> Vec<Check> {
    let mut checks = vec![Check::ok(Id::Connections, overview(health))];
    for (status, number) in &health.connections {
        if status == "active" {
            continue;
        }
        let codes = BY_REASON.iter().find(|(of, _)| of == status).map_or(&[][..], |(_, codes)| codes);
        let told: Vec<_> =
            codes.iter().filter_map(|code| Some((*code, *health.failing_renewals.get(*code)?))).collect();
        if told.is_empty() {
            checks.push(finding(health, word(status), *number, members, &Group::Status(status.clone())));
        }
        for (code, number) in told {
            let group = Group::RenewalError(code.to_owned());
            checks.push(finding(health, code, number, members, &group));
        }
    }
    checks.extend(short_lived(members));
    // What has to be done before what is only to be known.
    checks.sort_by_key(|check| !check.is_wrong());
    checks
}

/// What works until its access token expires.
fn short_lived(members: &Members) -> Option<Check> {
    let number = u64::try_from(members.without_refresh_token.len()).unwrap_or(u64::MAX);
    let ids = members.without_refresh_token.iter().take(NAMED).copied().collect();
    (number > 0).then(|| {
        let line = format!(
            "refresh_token_missing: {}, without a refresh token they work for an hour at most after connecting",
            count(number, "connection")
        );
        let next = "the app asks Google for consent with access_type=offline and prompt=consent, and stores the \
                    refresh token; then the user connects the calendar again";
        Check::wrong(Id::Connections, "refresh_token_missing", line, next).about(Affected { count: number, ids })
    })
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

fn finding(health: &Health, code: &str, number: u64, members: &Members, group: &Group) -> Check {
    let (what, next) = explain_all(health, code, number, members);
    let line = format!("{code}: {}, {what}{}", count(number, "connection"), members.said(code));
    let check = match next {
        Some(next) => Check::wrong(Id::Connections, code, line, next),
        None => Check::ok(Id::Connections, line).coded(code),
    };
    check.about(members.affected(group, number))
}

type Explained = (&'static str, Option<&'static str>);

/// By what Google said, where that is the same for all of them; else generally, with what else is to be done where Google
/// gives a reason of its own.
fn explain_all(
    health: &Health,
    code: &str,
    number: u64,
    members: &Members,
) -> (&'static str, Option<String>) {
    let is_live = |status: &&String| !matches!(status.as_str(), "paused" | "disconnected");
    let live: u64 =
        health.connections.iter().filter(|(status, _)| is_live(status)).map(|(_, number)| number).sum();
    let is_everybody = number > 1 && number == live;
    let reasons: Vec<&String> = members.reasons.get(code).into_iter().flatten().collect();
    let is_only_reason = reasons.len() == 1;
    let explained: Vec<Option<Explained>> =
        reasons.iter().map(|reason| explain_reason(code, reason, is_everybody && is_only_reason)).collect();
    if let Some(Some((what, next))) = explained.first()
        && explained.iter().all(|other| other == &Some((*what, *next)))
    {
        return (what, next.map(str::to_owned));
    }
    let (what, next) = match code {
        "reconnect_required" if die_after_a_week(&members.consents_lived) => (
            "Google no longer accepts consents about 7 days after they were given, as while the OAuth consent screen is \
             in \"Testing\"",
            Some(
                "set the consent screen to \"In production\" (Google Cloud, Google Auth Platform, Audience); then the \
                 user connects the calendar again",
            ),
        ),
        "permission_missing" if is_everybody => (
            "no consent includes a calendar: the app asks Google for the wrong scope",
            Some(
                "let the app ask for a calendar scope, such as https://www.googleapis.com/auth/calendar.events; then the \
                 users connect the calendar again",
            ),
        ),
        _ => explain(code),
    };
    let of_reasons = reasons.iter().zip(&explained).filter_map(|(reason, explained)| {
        let (_, next) = explained.as_ref()?;
        let where_it_is = match reason.as_str() {
            NO_REFRESH_TOKEN => "where there is no refresh token".to_owned(),
            reason => format!("where Google says {reason}"),
        };
        Some(format!("{where_it_is}: {}", (*next)?))
    });
    let all: Vec<String> = next.into_iter().map(str::to_owned).chain(of_reasons).collect();
    (what, (!all.is_empty()).then(|| all.join("; ")))
}

/// What a reason of Google's says beyond the code; `is_everybodys`: every connection that is live has it.
fn explain_reason(code: &str, reason: &str, is_everybodys: bool) -> Option<Explained> {
    Some(match (code, reason) {
        ("reconnect_required", "invalid_rapt" | "rapt_required") => (
            "the user's organisation ends sessions after a time that its administrator has set",
            Some(
                "the user connects the calendar again; so that it lasts, the user's administrator exempts the app (Google \
                 Admin, Security, Google Cloud session control)",
            ),
        ),
        ("reconnect_required", "unauthorized_client") if is_everybodys => (
            "the refresh tokens belong to another OAuth client than the functions'",
            Some(
                "give the functions GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET of the client that users consent to, then \
                 scripts/doctor --fix",
            ),
        ),
        ("reconnect_required", "unauthorized_client") => (
            "the refresh token belongs to another OAuth client",
            Some("the user connects the calendar again"),
        ),
        ("reconnect_required", NO_REFRESH_TOKEN) => (
            "the access token has expired, and there is no refresh token",
            Some(
                "ask Google with `access_type=offline` and `prompt=consent`; then the user connects the calendar again",
            ),
        ),
        ("blocked_by_policy", "org_internal") => (
            "the OAuth consent screen is \"Internal\", for accounts of its own organisation",
            Some("set the user type to \"External\" (Google Cloud, Google Auth Platform, Audience)"),
        ),
        _ => return None,
    })
}

/// Whether several consents died about seven days after they were given, and most of those that died.
fn die_after_a_week(lived: &[TimeDelta]) -> bool {
    let week = TimeDelta::hours(6 * 24 + 12)..TimeDelta::hours(8 * 24 + 12);
    let after_a_week = lived.iter().filter(|lived| week.contains(lived)).count();
    after_a_week > 1 && 2 * after_a_week > lived.len()
}

/// What a status or an error means, and what to do about it; nothing for what is as somebody wanted it.
fn explain(code: &str) -> Explained {
    match code {
        "reconnect_required" => (
            "Google no longer accepts the consent, as after access was revoked or a password changed, or there is no \
             refresh token",
            Some("the user connects the calendar again"),
        ),
        "permission_missing" => (
            "the consent does not include the calendar, as when the user left its box empty",
            Some("the user connects the calendar again, and ticks the box for Google Calendar"),
        ),
        "blocked_by_policy" => (
            "the user's organisation, or the protection of the account, blocks the app",
            Some(
                "the user's administrator allows the app (Google Admin, Security, API controls, App access control); it \
                 is tried again daily, and at once by the user's button",
            ),
        ),
        "no_calendar" => (
            "the account has no Google Calendar",
            Some(
                "the user connects another account, or the account's administrator turns Google Calendar on",
            ),
        ),
        "push_not_supported" => (
            "Google sends no notifications for this calendar, as for holidays and other shared ones: it is looked at every \
             15 minutes instead, or run for every six hours where it is too large to be compared",
            None,
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
                (Verdict::Wrong, "calendar_not_found"),
                (Verdict::Ok, "overview"),
                (Verdict::Ok, "disconnected"),
                (Verdict::Ok, "paused"),
                (Verdict::Ok, "push_not_supported"),
            ]
        );
        for check in &checks {
            assert!(!check.line.contains("not known here"), "{check:?}");
        }
    }

    fn judged(code: &str, number: u64, more: &[(&str, u64)], members: &Members) -> Check {
        let mut health = healthy();
        let status = BY_REASON.iter().find(|(_, codes)| codes.contains(&code)).unwrap().0;
        health.connections = more.iter().map(|(status, number)| ((*status).to_owned(), *number)).collect();
        health.connections.insert(status.to_owned(), number);
        health.failing_renewals.insert(code.to_owned(), number);
        judge(&health, members).into_iter().find(|check| check.code.as_deref() == Some(code)).unwrap()
    }

    fn told(code: &str, words: &[&str]) -> Members {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Members { reasons: [(code.to_owned(), words)].into(), ..Members::default() }
    }

    #[test]
    fn what_google_said_tells_who_must_act() {
        for (code, word, line, next) in [
            ("reconnect_required", "invalid_grant", "as after access was revoked", "the user connects"),
            ("reconnect_required", "invalid_rapt", "organisation ends sessions", "administrator exempts"),
            ("reconnect_required", "unauthorized_client", "another OAuth client", "the user connects"),
            ("permission_missing", "insufficientPermissions", "left its box empty", "ticks the box"),
            ("blocked_by_policy", "admin_policy_enforced", "organisation", "administrator allows"),
            ("blocked_by_policy", "org_internal", "\"Internal\"", "\"External\""),
            ("no_calendar", "notACalendarUser", "no Google Calendar", "another account"),
        ] {
            let check = judged(code, 1, &[("active", 2)], &told(code, &[word]));
            let said = format!("(Google says {word})");
            assert!(check.line.contains(line) && check.line.ends_with(&said), "{check:?}");
            assert!(check.next.as_deref().unwrap().contains(next), "{check:?}");
            assert!(!check.line.contains("Testing"), "{check:?}");
        }
    }

    #[test]
    fn a_missing_refresh_token_is_not_what_google_said() {
        let check = judged(
            "reconnect_required",
            1,
            &[("active", 2)],
            &told("reconnect_required", &[NO_REFRESH_TOKEN]),
        );
        assert!(check.line.ends_with("there is no refresh token"), "{check:?}");
        assert!(check.next.unwrap().starts_with("ask Google with `access_type=offline`"));
        let members = told("reconnect_required", &["invalid_grant", NO_REFRESH_TOKEN]);
        let check = judged("reconnect_required", 2, &[], &members);
        assert!(check.line.ends_with("(Google says invalid_grant)"), "{check:?}");
        assert!(check.next.unwrap().contains("where there is no refresh token: ask Google with"));
    }

    #[test]
    fn one_users_problem_is_told_from_everybodys() {
        let scope = |number, more: &[(&str, u64)]| {
            judged("permission_missing", number, more, &Members::default()).line.contains("wrong scope")
        };
        assert!(scope(3, &[]));
        assert!(scope(3, &[("paused", 1)]));
        assert!(!scope(3, &[("active", 1)]));
        assert!(!scope(1, &[]), "one is not everybody");
        let members = told("reconnect_required", &["unauthorized_client"]);
        let check = judged("reconnect_required", 2, &[], &members);
        assert!(check.next.unwrap().contains("GOOGLE_CLIENT_ID"));
    }

    #[test]
    fn several_reasons_are_told_each_with_its_next_step() {
        let members = told("reconnect_required", &["invalid_grant", "invalid_rapt", "unauthorized_client"]);
        let check = judged("reconnect_required", 3, &[], &members);
        assert!(check.line.contains("as after access was revoked"), "{check:?}");
        assert!(check.line.ends_with("(Google says invalid_grant, invalid_rapt, unauthorized_client)"));
        let next = check.next.unwrap();
        assert!(next.starts_with("the user connects the calendar again; where Google says invalid_rapt: "));
        assert!(
            next.ends_with("where Google says unauthorized_client: the user connects the calendar again")
        );
        // All of them are dead, but not all for the operator's client.
        assert!(!next.contains("GOOGLE_CLIENT_ID"), "{next}");

        let members = told("blocked_by_policy", &["admin_policy_enforced", "org_internal"]);
        let next = judged("blocked_by_policy", 2, &[("active", 1)], &members).next.unwrap();
        assert!(next.starts_with("the user's administrator allows"), "{next}");
        assert!(next.contains("where Google says org_internal: set the user type to \"External\""), "{next}");

        let members = told("reconnect_required", &["invalid_rapt", "rapt_required"]);
        let check = judged("reconnect_required", 2, &[("active", 1)], &members);
        assert!(check.line.contains("organisation ends sessions"), "{check:?}");
    }

    #[test]
    fn testing_is_a_guess_only_if_the_ages_of_the_consents_speak_for_it() {
        for (hours, expected) in [
            (&[168, 169][..], true),
            (&[168, 170, 30], true),
            (&[168, 170, 30, 500], false),
            (&[168], false),
            (&[30, 500], false),
            (&[], false),
        ] {
            let consents_lived = hours.iter().map(|hours| TimeDelta::hours(*hours)).collect();
            let members = Members { consents_lived, ..Members::default() };
            let check = judged("reconnect_required", 5, &[("active", 5)], &members);
            assert_eq!(check.line.contains("\"Testing\""), expected, "{hours:?}");
        }
    }

    #[test]
    fn a_connection_without_a_refresh_token_is_told_while_it_works() {
        let members = Members { without_refresh_token: vec![Uuid::nil()], ..Members::default() };
        let check = &judge(&healthy(), &members)[0];
        assert_eq!(check.code.as_deref(), Some("refresh_token_missing"));
        assert!(
            check.next.as_deref().unwrap().contains("access_type=offline and prompt=consent"),
            "{check:?}"
        );
    }

    #[test]
    fn a_project_without_connections_is_well() {
        let mut health = healthy();
        health.connections.clear();
        assert_eq!(judge(&health, &Members::default()), [Check::ok(Id::Connections, "there are none yet")]);
    }
}
