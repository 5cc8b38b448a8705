//! What was found, for people and for programs.

use std::fmt::Write as _;

use chrono::SecondsFormat;
use machine::Program;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::check::{Affected, Check, Verdict, count};
use crate::examine::Examination;
use crate::fix::Outcome;
use crate::health::NAMED;
use crate::redact::Redactor;
use crate::variables::shown;

/// As wide as the longest id.
const ID_WIDTH: usize = 24;

/// Says all of it; nothing goes out but through the redactor.
pub struct Reporter {
    pub redactor: Redactor,
    pub program: Program,
    pub coloured: bool,
}

impl Reporter {
    pub fn text(&self, examination: &Examination) -> String {
        let mut text = String::new();
        for check in &examination.checks {
            let (sign, colour) = match check.verdict {
                Verdict::Ok => ("✓", "32"),
                Verdict::Wrong => ("✗", "31"),
                Verdict::Unknown => ("–", "33"),
            };
            let sign = self.painted(sign, colour);
            // Writing to a string does not fail.
            let _ = writeln!(text, "{sign} {:ID_WIDTH$}  {}", check.id.name(), self.said(&check.line));
            if let Some(affected) = &check.affected {
                text.push_str(&listed(affected));
            }
            if let Some(next) = &check.next {
                let _ = writeln!(text, "    {} {}", self.painted("→", "36"), self.said(next));
            }
        }
        let _ = writeln!(text, "\n{}", self.summary(examination));
        text
    }

    fn summary(&self, examination: &Examination) -> String {
        let [well, wrong, unknown] = counts(&examination.checks);
        let rest = if unknown > 0 { format!(", {unknown} not judged") } else { String::new() };
        match wrong {
            0 => self.painted(&format!("All is well: {}{rest}.", count(well, "check")), "32"),
            _ => self.painted(&format!("{}: {well} well{rest}.", count(wrong, "problem")), "31"),
        }
    }

    pub fn outcome(&self, outcome: &Outcome) -> String {
        let sign = if outcome.is_success() { self.painted("✓", "32") } else { self.painted("✗", "31") };
        let code = outcome.code.as_deref().map(|code| format!(": {code}")).unwrap_or_default();
        format!("{sign} {}{code}", outcome.repair.describe())
    }

    /// One object; scripts/README.md documents it.
    pub fn json(&self, url: &str, examination: &Examination, outcomes: Option<&[Outcome]>) -> Json {
        let [well, wrong, unknown] = counts(&examination.checks);
        let mut report = json!({
            "url": self.redactor.redact(&shown(url)),
            "checked_at": examination.checked_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            "ok": examination.is_well(),
            "summary": { "ok": well, "wrong": wrong, "unknown": unknown },
            "checks": examination.checks.iter().map(|check| self.check(check)).collect::<Vec<Json>>(),
        });
        if let (Some(outcomes), Some(report)) = (outcomes, report.as_object_mut()) {
            let repairs = outcomes.iter().map(|outcome| {
                json!({
                    "function": outcome.repair.function(),
                    "connection_id": outcome.repair.connection(),
                    "status": outcome.status,
                    "code": outcome.code,
                })
            });
            report.insert("repairs".to_owned(), repairs.collect());
        }
        report
    }

    fn check(&self, check: &Check) -> Json {
        json!({
            "id": check.id.name(),
            "verdict": check.verdict.name(),
            "code": check.code,
            "line": self.said(&check.line),
            "next": check.next.as_deref().map(|next| self.said(next)),
            "connections": check.affected.as_ref().map(|affected| json!({ "count": affected.count, "ids": named(affected) })),
        })
    }

    fn said(&self, text: &str) -> String {
        self.program.as_typed(&self.redactor.redact(text))
    }

    fn painted(&self, text: &str, colour: &str) -> String {
        if self.coloured { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

fn listed(affected: &Affected) -> String {
    let mut text = String::new();
    let named = named(affected);
    for id in named {
        let _ = writeln!(text, "      {id}");
    }
    let more = affected.count.saturating_sub(named.len() as u64);
    if more > 0 && !named.is_empty() {
        let _ = writeln!(text, "      … and {more} more");
    }
    text
}

fn named(affected: &Affected) -> &[Uuid] {
    affected.ids.get(..NAMED).unwrap_or(&affected.ids)
}

fn counts(checks: &[Check]) -> [u64; 3] {
    [Verdict::Ok, Verdict::Wrong, Verdict::Unknown]
        .map(|verdict| checks.iter().filter(|check| check.verdict == verdict).count() as u64)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use chrono::DateTime;

    use super::*;
    use crate::check::Id;

    fn examination() -> Examination {
        let affected = Affected { count: 3, ids: vec![Uuid::nil()] };
        Examination {
            checked_at: DateTime::UNIX_EPOCH,
            checks: vec![
                Check::ok(Id::Variables, "set"),
                Check::wrong(
                    Id::Connections,
                    "expired",
                    "expired: my-secret",
                    "renew my-secret: scripts/doctor --fix",
                )
                .about(affected),
                Check::after(Id::Schema, Id::Project),
            ],
            health: None,
        }
    }

    fn reporter(coloured: bool) -> Reporter {
        Reporter {
            redactor: Redactor::new(["my-secret".to_owned()]),
            program: Program::packaged(PathBuf::new()),
            coloured,
        }
    }

    #[test]
    fn a_line_a_check_and_the_next_step_below() {
        assert_eq!(
            reporter(false).text(&examination()),
            "✓ variables                 set\n\
             ✗ connections               expired: [redacted]\n      \
             00000000-0000-0000-0000-000000000000\n      … and 2 more\n    \
             → renew [redacted]: npx google-calendar-webhooks doctor --fix\n\
             – schema                    not judged: put project right first\n\n\
             1 problem: 1 well, 1 not judged.\n"
        );
        assert!(reporter(true).text(&examination()).starts_with("\u{1b}[32m✓\u{1b}[0m variables"));
    }

    #[test]
    fn the_same_as_one_object() {
        let report = reporter(true).json("https://user:pass@abc.supabase.co/", &examination(), Some(&[]));
        assert_eq!(
            report,
            json!({
                "url": "https://abc.supabase.co",
                "checked_at": "1970-01-01T00:00:00Z",
                "ok": false,
                "summary": { "ok": 1, "wrong": 1, "unknown": 1 },
                "checks": [
                    { "id": "variables", "verdict": "ok", "code": null, "line": "set", "next": null, "connections": null },
                    {
                        "id": "connections",
                        "verdict": "wrong",
                        "code": "expired",
                        "line": "expired: [redacted]",
                        "next": "renew [redacted]: npx google-calendar-webhooks doctor --fix",
                        "connections": { "count": 3, "ids": ["00000000-0000-0000-0000-000000000000"] },
                    },
                    {
                        "id": "schema",
                        "verdict": "unknown",
                        "code": null,
                        "line": "not judged: put project right first",
                        "next": null,
                        "connections": null,
                    },
                ],
                "repairs": [],
            })
        );
    }

    #[test]
    fn the_first_twenty_connections_are_named() {
        let mut examination = examination();
        examination.checks[1].affected = Some(Affected::all((0..23).map(Uuid::from_u128).collect()));
        let text = reporter(false).text(&examination);
        assert!(text.contains("-000000000013\n      … and 3 more\n"), "{text}");
        let ids = &reporter(false).json("", &examination, None)["checks"][1]["connections"]["ids"];
        assert_eq!(ids.as_array().unwrap().len(), 20);
    }
}
