//! Every connection that is not well, by its id: who must act.

use protocol::failure::RenewalFailure;

use crate::check::{Affected, Check, Id, count};
use crate::health::{Group, Health, Members, NO_REFRESH_TOKEN, Refused, word};

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
        let told: Vec<Check> = codes.iter().flat_map(|code| findings(health, members, code)).collect();
        if told.is_empty() {
            let affected = members.affected(&Group::Status(status.clone()), *number);
            checks.push(finding(word(status), explain(status), "", affected));
        }
        checks.extend(told);
    }
    checks.extend(short_lived(members));
    // What has to be done before what is only to be known.
    checks.sort_by_key(|check| !check.is_wrong());
    checks
}

/// What works until its access token expires.
fn short_lived(members: &Members) -> Option<Check> {
    let what = "without a refresh token they work for an hour at most after connecting";
    let next = "the app asks Google for consent with access_type=offline and prompt=consent, and stores the refresh token; \
                then the user connects the calendar again";
    let affected = Affected::all(members.without_refresh_token.clone());
    (affected.count > 0).then(|| finding("refresh_token_missing", (what, Some(next)), "", affected))
}

fn overview(health: &Health) -> String {
    let total: u64 = health.connections.values().sum();
    let by_status: Vec<String> =
        health.connections.iter().map(|(status, number)| format!("{number} {}", word(status))).collect();
    match total {
        0 => "there are none yet: no row has the provider google".to_owned(),
        _ => format!("{} in all: {}", count(total, "connection"), by_status.join(", ")),
    }
}

/// One for each reason of a code.
fn findings(health: &Health, members: &Members, code: &str) -> Vec<Check> {
    let refused = members.refused(health, code);
    let of_one: Vec<Explained> = refused.iter().map(|one| explain_refusal(one, false)).collect();
    let mut checks = Vec::new();
    for (one, explained) in refused.iter().zip(&of_one) {
        // Several words of Google's may mean the same.
        let alike = refused.iter().zip(&of_one).filter(|(_, other)| *other == explained);
        let number = alike.map(|(other, _)| other.affected.count).sum();
        let explained = explain_refusal(one, is_everybodys(health, code, number));
        checks.push(finding(code, explained, &one.said(), one.affected.clone()));
    }
    checks
}

fn finding(code: &str, (what, next): Explained, said: &str, affected: Affected) -> Check {
    let line = format!("{code}: {}, {what}{said}", count(affected.count, "connection"));
    let check = match next {
        Some(next) => Check::wrong(Id::Connections, code, line, next),
        None => Check::ok(Id::Connections, line).coded(code),
    };
    check.about(affected)
}

/// Whether what so many connections have is everybody's problem: most of the live ones have it, and none is well in
/// what the code is about, the consent or the calendar.
fn is_everybodys(health: &Health, code: &str, number: u64) -> bool {
    let is_of_consent = RenewalFailure::parse(code).is_some_and(RenewalFailure::is_consent_dead);
    let mut live = 0;
    let mut well = 0;
    for (status, number) in &health.connections {
        match status.as_str() {
            "paused" | "disconnected" => continue,
            "active" | "expiring" | "unconfirmed" => well += number,
            // Google accepts the consents of these.
            "unsupported" if is_of_consent => well += number,
            "unsupported" => well += health.failing_renewals.get("push_not_supported").unwrap_or(&0),
            _ => {}
        }
        live += number;
    }
    number > 1 && 2 * number > live && well == 0
}

type Explained = (&'static str, Option<&'static str>);

/// What a refusal means by its code and its reason, of single connections or of everybody.
fn explain_refusal(refused: &Refused, is_everybodys: bool) -> Explained {
    let (what, next) = match (policy_or(refused), refused.reason.unwrap_or_default(), is_everybodys) {
        _ if refused.is_of_testing => (
            "Google no longer accepts consents about 7 days after they were given, as while the OAuth consent screen is \
             in \"Testing\"",
            "set the consent screen to \"In production\" (Google Cloud, Google Auth Platform, Audience); then the user \
             connects the calendar again",
        ),
        ("reconnect_required", "invalid_rapt" | "rapt_required", _) => (
            "the user's organisation ends sessions after a time that its administrator has set",
            "the user connects the calendar again; so that it lasts, the user's administrator exempts the app (Google \
             Admin, Security, Google Cloud session control)",
        ),
        ("reconnect_required", "unauthorized_client", true) => (
            "the refresh tokens belong to another OAuth client than the functions'",
            "give the functions GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET of the client that users consent to, then \
             scripts/doctor --fix",
        ),
        ("reconnect_required", "unauthorized_client", false) => (
            "the refresh token belongs to another OAuth client",
            "the user connects the calendar again; if that does not help, the functions have another OAuth client than the \
             app has users consent to",
        ),
        ("reconnect_required", NO_REFRESH_TOKEN, _) => (
            "the access token has expired, and there is no refresh token",
            "ask Google with `access_type=offline` and `prompt=consent`; then the user connects the calendar again",
        ),
        ("reconnect_required", "accountDeleted", _) => {
            ("the account has been deleted", "the user connects another account")
        }
        ("reconnect_required", _, true) => (
            "Google no longer accepts the users' consents, and no connection is well",
            "see whether the app revokes consents, or stores another refresh_token than Google gave it (encrypted, cut or \
             replaced), and correct that; then the users connect the calendar again",
        ),
        ("permission_missing", _, true) => (
            "no consent includes a calendar: the app asks Google for the wrong scope",
            "let the app ask for a calendar scope, such as https://www.googleapis.com/auth/calendar.events; then the \
             users connect the calendar again",
        ),
        ("blocked_by_policy", "org_internal", _) => (
            "the OAuth consent screen is \"Internal\", for accounts of its own organisation",
            "set the user type to \"External\" (Google Cloud, Google Auth Platform, Audience)",
        ),
        ("blocked_by_policy", "policy_enforced", _) => (
            "Google's Advanced Protection of the account blocks the app",
            "the user connects an account without Advanced Protection; of an organisation's account, the administrator \
             trusts the app (Google Admin, Security, API controls, App access control)",
        ),
        ("blocked_by_policy", "accountDisabled" | "userDisabled", _) => (
            "the account is disabled",
            "the user's administrator enables the account again (Google Admin, Directory, Users); of an account without \
             one, the user asks Google to (https://support.google.com/accounts/answer/40695)",
        ),
        ("blocked_by_policy", "accountUnverified", _) => {
            ("the account's e-mail address is not verified", "the user verifies the address with Google")
        }
        ("blocked_by_policy", _, true) => (
            "the app is blocked, and no connection is well: perhaps Google has not verified the app, or the users' \
             organisation does not trust it",
            "see whether Google has verified the app (Google Cloud, Google Auth Platform, Verification Center); the users' \
             administrator allows it (Google Admin, Security, API controls, App access control). It is tried again daily, \
             and at once by the user's button",
        ),
        ("no_calendar", _, true) => (
            "the accounts have no Google Calendar, and no connection is well",
            "see which accounts the app connects: where all are of one organisation, its administrator turns Google \
             Calendar on (Google Admin, Apps, Google Workspace, Calendar); otherwise the users connect other accounts",
        ),
        ("calendar_not_found", _, true) => (
            "Google does not know the calendars, or hides them, and no connection is well",
            "see what the app writes into `calendar_id`: it has to be null, or the `id` of a calendar in the list of the \
             same account (calendarList.list)",
        ),
        (code, ..) => return explain(code),
    };
    (what, Some(next))
}

/// The code; that of a policy where Google names one beside `invalid_grant`.
fn policy_or<'a>(refused: &Refused<'a>) -> &'a str {
    match refused.reason {
        Some("admin_policy_enforced" | "policy_enforced" | "org_internal") => "blocked_by_policy",
        _ => refused.code,
    }
}

/// What a status or an error means, and what to do about it; nothing for what is as somebody wanted it.
fn explain(code: &str) -> Explained {
    match code {
        "reconnect_required" => (
            "Google no longer accepts the consent, as after access was revoked or a password changed",
            Some("the user connects the calendar again"),
        ),
        "permission_missing" => (
            "the consent includes no calendar scope (such as https://www.googleapis.com/auth/calendar.events), as when the \
             user left the box empty",
            Some(
                "the user connects the calendar again, and ticks the box for Google Calendar; if there is no such box, the \
                 app does not ask for a calendar scope",
            ),
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
                "a sweep opens one within minutes, or where that failed before at `webhook_retry_at`: if it stays, see \
                 schedule and google-calendar above. Without waiting the app calls setup-calendar-webhook after OAuth, \
                 and scripts/doctor --fix does",
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
    use crate::health::{healthy, refused};

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

    /// The findings of so many connections of each code and reason, beside others of each status.
    fn judged(groups: &[(&str, Option<&str>, u64)], others: &[(&str, u64)]) -> Vec<Check> {
        let mut health = healthy();
        health.connections = others.iter().map(|(status, number)| ((*status).to_owned(), *number)).collect();
        for (code, _, number) in groups {
            let status = BY_REASON.iter().find(|(_, codes)| codes.contains(code)).unwrap().0;
            *health.connections.entry(status.to_owned()).or_default() += number;
        }
        let members = refused(&mut health, groups);
        let checks = judge(&health, &members);
        checks.into_iter().filter(|check| check.affected.is_some()).collect()
    }

    #[test]
    fn what_google_said_tells_who_must_act() {
        for (code, word, line, next) in [
            ("reconnect_required", "", "access was revoked or a password changed", "the user connects"),
            ("reconnect_required", "invalid_grant", "as after access was revoked", "the user connects"),
            ("reconnect_required", "invalid_rapt", "organisation ends sessions", "administrator exempts"),
            ("reconnect_required", "unauthorized_client", "another OAuth client", "the user connects"),
            ("reconnect_required", "accountDeleted", "account has been deleted", "another account"),
            ("reconnect_required", NO_REFRESH_TOKEN, "there is no refresh token", "`access_type=offline`"),
            // As subtypes of `invalid_grant`.
            ("reconnect_required", "admin_policy_enforced", "blocks the app", "administrator allows"),
            ("reconnect_required", "org_internal", "\"Internal\"", "\"External\""),
            ("permission_missing", "insufficientPermissions", "left the box empty", "ticks the box"),
            ("permission_missing", "", "(by the scopes of the access token)", "ticks the box"),
            ("blocked_by_policy", "admin_policy_enforced", "organisation", "administrator allows"),
            ("blocked_by_policy", "org_internal", "\"Internal\"", "\"External\""),
            ("blocked_by_policy", "policy_enforced", "Advanced Protection", "an account without"),
            ("blocked_by_policy", "accountDisabled", "account is disabled", "enables the account again"),
            ("blocked_by_policy", "accountUnverified", "is not verified", "the user verifies"),
            ("no_calendar", "notACalendarUser", "no Google Calendar", "another account"),
            ("calendar_not_found", "notFound", "does not know the calendar", "another calendar"),
        ] {
            let reason = Some(word).filter(|word| !word.is_empty());
            let [check] = &judged(&[(code, reason, 1)], &[("active", 2)])[..] else { panic!("{word}") };
            let is_googles = reason.is_some_and(|word| word != NO_REFRESH_TOKEN);
            let said = if is_googles { format!("(Google says {word})") } else { line.to_owned() };
            assert_eq!(check.code.as_deref(), Some(code));
            assert!(check.line.contains(line) && check.line.ends_with(&said), "{check:?}");
            assert!(check.next.as_deref().unwrap().contains(next), "{check:?}");
            assert!(!check.line.contains("Testing"), "{check:?}");
            assert_eq!(check.line.contains("no refresh token"), word == NO_REFRESH_TOKEN, "{check:?}");
        }
    }

    #[test]
    fn each_reason_has_its_own_line_with_its_connections_and_testing_those_that_it_ended() {
        let mut health = healthy();
        health.connections = [("active".to_owned(), 1), ("reconnect_required".to_owned(), 8)].into();
        let group = |word| ("reconnect_required", Some(word), 2);
        let groups = ["UNAUTHENTICATED", "invalid_grant", "invalid_rapt", "unauthorized_client"].map(group);
        let mut members = refused(&mut health, &groups);
        members.of_testing = [Uuid::from_u128(3)].into();
        let checks = judge(&health, &members);
        for (check, (ids, what, word)) in checks.iter().zip([
            (&[0, 1][..], "access was revoked", "UNAUTHENTICATED"),
            (&[3], "\"Testing\"", "invalid_grant"),
            (&[2], "access was revoked", "invalid_grant"),
            (&[4, 5], "ends sessions", "invalid_rapt"),
            (&[6, 7], "another OAuth client", "unauthorized_client"),
        ]) {
            let start = format!("reconnect_required: {}, ", count(ids.len() as u64, "connection"));
            assert!(check.line.starts_with(&start) && check.line.contains(what), "{check:?}");
            assert!(check.line.ends_with(&format!("(Google says {word})")), "{check:?}");
            let ids = ids.iter().copied().map(Uuid::from_u128).collect();
            assert_eq!(check.affected, Some(Affected::all(ids)));
        }
        assert_eq!(checks.len(), 6);
    }

    #[test]
    fn one_users_problem_is_told_from_everybodys() {
        const CONSENT: &str = "reconnect_required";
        for (code, word, everybodys) in [
            (CONSENT, "unauthorized_client", "GOOGLE_CLIENT_ID"),
            (CONSENT, "invalid_grant", "another refresh_token than Google gave"),
            ("permission_missing", "insufficientPermissions", "let the app ask for a calendar scope"),
            ("blocked_by_policy", "admin_policy_enforced", "Verification Center"),
            ("no_calendar", "notACalendarUser", "which accounts the app connects"),
            ("calendar_not_found", "notFound", "what the app writes into `calendar_id`"),
        ] {
            let another = if word == "invalid_grant" { "invalid_rapt" } else { "invalid_grant" };
            for (number, others, expected) in [
                (10, &[][..], true),
                (9, &[(CONSENT, Some(another), 1)], true),
                (2, &[(CONSENT, Some(another), 1)], true),
                (5, &[(CONSENT, Some(another), 5)], false),
                (1, &[], false),
            ] {
                let groups = [&[(code, Some(word), number)][..], others].concat();
                for (status, still_expected) in [
                    ("paused", expected),
                    ("disconnected", expected),
                    ("active", false),
                    ("expiring", false),
                    ("unconfirmed", false),
                ] {
                    let checks = judged(&groups, &[(status, 1)]);
                    let check = checks.iter().find(|check| check.line.ends_with(&format!("says {word})")));
                    let next = check.unwrap().next.as_deref().unwrap();
                    assert_eq!(next.contains(everybodys), still_expected, "{word} {number} {status}: {next}");
                }
            }
        }
    }

    #[test]
    fn what_is_well_depends_on_what_the_reason_is_about() {
        let next = |groups: &[(&str, Option<&str>, u64)]| judged(groups, &[]).remove(0).next.unwrap();
        let scope = ("permission_missing", Some("insufficientPermissions"), 3);
        assert!(next(&[scope, ("calendar_not_found", Some("notFound"), 1)]).contains("ticks the box"));
        let gone = ("calendar_not_found", Some("notFound"), 3);
        assert!(next(&[gone, ("no_calendar", Some("notACalendarUser"), 1)]).contains("what the app writes"));
        assert!(next(&[gone, ("push_not_supported", None, 1)]).contains("another calendar"));
        // Google has several words for one thing, and the token's scopes tell it without any.
        let same = [scope, ("permission_missing", None, 3)];
        assert!(judged(&same, &[]).iter().all(|check| check.line.contains("the wrong scope")));
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
        assert_eq!(
            judge(&health, &Members::default()),
            [Check::ok(Id::Connections, "there are none yet: no row has the provider google")]
        );
    }
}
