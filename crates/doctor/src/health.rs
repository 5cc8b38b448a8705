//! What the database says of itself: the row of `calendar_webhook_health`, and which connections its numbers mean.

use std::collections::{BTreeMap, BTreeSet};

use adapters::timestamp::parse_timestamp;
use chrono::{DateTime, TimeDelta, Utc};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::check::Affected;

/// How many connections of a kind are named, or repaired.
pub const NAMED: usize = 20;

#[derive(Clone, Debug, Deserialize)]
pub struct Health {
    #[serde(deserialize_with = "time")]
    pub checked_at: DateTime<Utc>,
    /// By status.
    pub connections: BTreeMap<String, u64>,
    pub owed_runs: u64,
    #[serde(deserialize_with = "optional_time")]
    pub oldest_owed_since: Option<DateTime<Utc>>,
    /// Runs that are owed because one has failed, by `sync_error`.
    pub failing_runs: BTreeMap<String, u64>,
    /// Live connections by `webhook_error`.
    pub failing_renewals: BTreeMap<String, u64>,
    #[serde(deserialize_with = "optional_time")]
    pub last_success_at: Option<DateTime<Utc>>,
    pub schedule: Option<Schedule>,
    pub last_sweep: Option<Sweep>,
    #[serde(default)]
    pub due_looks: u64,
    #[serde(default)]
    pub due_renewals: u64,
}

/// The job of pg_cron.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Schedule {
    /// An interval; or, of a schedule that was edited by hand, the cron expression.
    pub every: Option<String>,
    pub active: Option<bool>,
    #[serde(default, deserialize_with = "optional_time")]
    pub last_run_at: Option<DateTime<Utc>>,
    pub last_run_status: Option<String>,
    pub last_run_message: Option<String>,
    pub last_answer_status: Option<u16>,
    pub last_answer_error: Option<String>,
    /// Of the last hour: how many were a 5xx.
    #[serde(default)]
    pub failed_answers: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Sweep {
    #[serde(deserialize_with = "time")]
    pub finished_at: DateTime<Utc>,
    pub remaining: u64,
}

impl Health {
    /// How long ago something was, by the database's clock; what lies ahead is now.
    pub fn since(&self, then: DateTime<Utc>) -> TimeDelta {
        (self.checked_at - then).max(TimeDelta::zero())
    }
}

/// The view's only row, out of PostgREST's answer.
pub fn parse_health(answer: &Json) -> Option<Health> {
    serde_json::from_value(answer.get(0)?.clone()).ok()
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    optional_time(deserializer)?.ok_or_else(|| D::Error::custom("no time"))
}

fn optional_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    text.map(|text| parse_timestamp(&text).ok_or_else(|| D::Error::custom("no time"))).transpose()
}

/// Connections that have something in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    Status(String),
    /// Live ones whose renewal fails so, and for this reason: mostly Google's own word.
    RenewalError(String, Option<String>),
    /// Those to which a run is owed that failed so.
    RunError(String),
}

impl Group {
    /// What to ask `calendar_connection_status` for; nothing for a word that no code of ours writes, and for renewals,
    /// which are all read at once.
    pub fn query(&self) -> Option<String> {
        let filter = match self {
            Self::Status(word) if is_word(word) => format!("status=eq.{word}"),
            Self::RunError(word) if is_word(word) => {
                format!("sync_status=eq.failing&sync_error=eq.{word}&status=not.in.(paused,disconnected)")
            }
            _ => return None,
        };
        Some(format!("calendar_connection_status?select=id&{filter}&order=id&limit={NAMED}"))
    }
}

/// Whether a code is one as ours are. A host may write anything into these columns, and the word is printed.
pub fn is_word(word: &str) -> bool {
    (1..=60).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// A code, or what stands for one that is none.
pub fn word(code: &str) -> &str {
    if is_word(code) { code } else { "undocumented" }
}

/// The one reason that is not Google's word.
pub(crate) const NO_REFRESH_TOKEN: &str = "refresh_token_missing";

/// What the rows tell of looks.
#[derive(Clone, Debug, Default)]
pub struct Looks {
    /// The calendars that have been due for longest, and since when; the oldest first.
    pub due: Vec<(Uuid, DateTime<Utc>)>,
    /// The connections whose channels have been due for renewal for longest, likewise.
    pub renewals: Vec<(Uuid, DateTime<Utc>)>,
    /// How many looks sweeps made within 24 hours, of the newest thousand sweeps that made any.
    pub made: u64,
    /// How many of these looks found a change for which Google sent no notification.
    pub missed: u64,
}

/// What is known of the connections that health counts.
#[derive(Clone, Debug, Default)]
pub struct Members {
    /// The first of each group that is not empty; of renewals all.
    pub ids: BTreeMap<Group, Vec<Uuid>>,
    /// Those whose consent died because the OAuth consent screen is in "Testing".
    pub of_testing: BTreeSet<Uuid>,
    /// Live ones whose access token nothing can renew.
    pub without_refresh_token: Vec<Uuid>,
    pub looks: Looks,
}

impl Members {
    /// The groups to ask for, one by one.
    pub fn wanted(health: &Health) -> Vec<Group> {
        let well = |status: &&String| status.as_str() != "active";
        let statuses = health.connections.keys().filter(well).cloned().map(Group::Status);
        let runs = health.failing_runs.keys().cloned().map(Group::RunError);
        statuses.chain(runs).collect()
    }

    pub fn affected(&self, group: &Group, count: u64) -> Affected {
        Affected { count, ids: self.ids.get(group).cloned().unwrap_or_default() }
    }

    /// The connections whose renewal fails with a code, by reason; all together, unnamed, where they could not be read.
    pub fn refused<'a>(&'a self, health: &Health, code: &'a str) -> Vec<Refused<'a>> {
        let mut all = Vec::new();
        for (group, ids) in &self.ids {
            let Group::RenewalError(of, reason) = group else { continue };
            if of != code {
                continue;
            }
            let (of_testing, others): (Vec<Uuid>, Vec<Uuid>) =
                ids.iter().partition(|id| self.of_testing.contains(id));
            for (is_of_testing, ids) in [(true, of_testing), (false, others)] {
                if !ids.is_empty() {
                    let (reason, affected) = (reason.as_deref(), Affected::all(ids));
                    all.push(Refused { code, reason, is_of_testing, affected });
                }
            }
        }
        match health.failing_renewals.get(code) {
            Some(number) if all.is_empty() => {
                let affected = Affected { count: *number, ids: vec![] };
                vec![Refused { code, reason: None, is_of_testing: false, affected }]
            }
            _ => all,
        }
    }
}

/// Connections whose renewal fails with one code, for one reason.
pub struct Refused<'a> {
    pub code: &'a str,
    pub reason: Option<&'a str>,
    pub is_of_testing: bool,
    pub affected: Affected,
}

impl Refused<'_> {
    /// How the reason is known, in brackets; empty where nothing is to be said of it.
    pub fn said(&self) -> String {
        match (self.code, self.reason) {
            (_, Some(NO_REFRESH_TOKEN)) => String::new(),
            (_, Some(word)) => format!(" (Google says {word})"),
            ("permission_missing", None) => " (by the scopes of the access token)".to_owned(),
            (_, None) => String::new(),
        }
    }
}

/// How long, for people: two units at most.
pub fn duration(time: TimeDelta) -> String {
    let seconds = time.num_seconds().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, 0, _) => format!("{days} d"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// A healthy project at a fixed time, for the tests of verdicts.
#[cfg(test)]
pub(crate) fn healthy() -> Health {
    parse_health(&serde_json::json!([{
        "checked_at": "2026-11-22T12:00:00+00:00",
        "connections": { "active": 3 },
        "owed_runs": 0,
        "oldest_owed_since": null,
        "failing_runs": {},
        "failing_renewals": {},
        "last_success_at": "2026-11-22T11:59:00+00:00",
        "schedule": null,
        "last_sweep": { "finished_at": "2026-11-22T11:59:30.5+00:00", "remaining": 0, "failed": [] },
    }]))
    .unwrap()
}

/// So many connections of each code and reason, for the tests of verdicts.
#[cfg(test)]
pub(crate) fn refused(health: &mut Health, groups: &[(&str, Option<&str>, u64)]) -> Members {
    let mut members = Members::default();
    let mut last = 0;
    for (code, reason, number) in groups {
        let ids = (last..last + u128::from(*number)).map(Uuid::from_u128).collect();
        last += u128::from(*number);
        let group = Group::RenewalError((*code).to_owned(), reason.map(str::to_owned));
        members.ids.insert(group, ids);
        *health.failing_renewals.entry((*code).to_owned()).or_default() += number;
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_groups_of_our_own_words_are_asked_for() {
        let query = |word: &str| Group::RunError(word.to_owned()).query();
        assert!(query("recalculate_401").unwrap().contains("sync_error=eq.recalculate_401&"));
        for word in ["", "a&b", "me@example.com", "sb_secret_X", &"a".repeat(61)] {
            assert_eq!(query(word), None, "{word}");
            assert_eq!(super::word(word), "undocumented");
        }
    }

    #[test]
    fn everybody_who_is_not_active_is_wanted() {
        let mut health = healthy();
        health.connections.insert("paused".to_owned(), 1);
        health.failing_runs.insert("recalculate_500".to_owned(), 1);
        assert_eq!(
            Members::wanted(&health),
            [Group::Status("paused".to_owned()), Group::RunError("recalculate_500".to_owned())]
        );
    }

    #[test]
    fn durations_have_two_units_at_most() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3600, "1 h"),
            (5400, "1 h 30 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(duration(TimeDelta::seconds(seconds)), text);
        }
    }

    #[test]
    fn a_row_of_another_shape_is_no_health() {
        for answer in
            [serde_json::json!([]), serde_json::json!({}), serde_json::json!([{ "checked_at": null }])]
        {
            assert!(parse_health(&answer).is_none());
        }
    }
}
