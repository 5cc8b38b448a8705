//! What the database says of itself: the row of `calendar_webhook_health`, and which connections its numbers mean.

use std::collections::{BTreeMap, BTreeSet};

use adapters::timestamp::parse_timestamp;
use chrono::{DateTime, TimeDelta, Utc};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::check::Affected;
use crate::looks::Looks;

/// How many connections of a kind are named.
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
}

/// The job of pg_cron.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Schedule {
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
    /// Live ones whose renewal fails so.
    RenewalError(String),
    /// Those to which a run is owed that failed so.
    RunError(String),
}

impl Group {
    /// What to ask `calendar_connection_status` for; nothing for a word that no code of ours writes.
    pub fn query(&self) -> Option<String> {
        let (Self::Status(word) | Self::RenewalError(word) | Self::RunError(word)) = self;
        let filter = match self {
            _ if !is_word(word) => return None,
            Self::Status(_) => format!("status=eq.{word}"),
            Self::RenewalError(_) => format!("webhook_error=eq.{word}&status=not.in.(paused,disconnected)"),
            Self::RunError(_) => {
                format!("sync_status=eq.failing&sync_error=eq.{word}&status=not.in.(paused,disconnected)")
            }
        };
        Some(format!(
            "calendar_connection_status?select=id,webhook_error_reason&{filter}&order=id&limit={NAMED}"
        ))
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

/// What is known of the connections that health counts.
#[derive(Clone, Debug, Default)]
pub struct Members {
    /// The first of each group that is not empty.
    pub ids: BTreeMap<Group, Vec<Uuid>>,
    /// By `webhook_error`: Google's own words for it, of those.
    pub reasons: BTreeMap<String, BTreeSet<String>>,
    /// How long consents lived that Google no longer accepts.
    pub consents_lived: Vec<TimeDelta>,
    /// Live ones whose access token nothing can renew.
    pub without_refresh_token: Vec<Uuid>,
    pub looks: Looks,
}

impl Members {
    /// The groups of which somebody has to hear.
    pub fn wanted(health: &Health) -> Vec<Group> {
        let well = |status: &&String| status.as_str() != "active";
        let statuses = health.connections.keys().filter(well).cloned().map(Group::Status);
        let renewals = health.failing_renewals.keys().cloned().map(Group::RenewalError);
        let runs = health.failing_runs.keys().cloned().map(Group::RunError);
        statuses.chain(renewals).chain(runs).collect()
    }

    pub fn affected(&self, group: &Group, count: u64) -> Affected {
        Affected { count, ids: self.ids.get(group).cloned().unwrap_or_default() }
    }

    /// Google's own words for a failure, in brackets; nothing where there is none.
    pub fn said(&self, code: &str) -> String {
        let said = self.reasons.get(code).into_iter().flatten().map(String::as_str);
        let words: Vec<&str> = said.filter(|word| *word != NO_REFRESH_TOKEN).collect();
        if words.is_empty() { String::new() } else { format!(" (Google says {})", words.join(", ")) }
    }
}

/// How long each consent lived, by the events of its connection in the order of time: from when it was given until
/// Google no longer accepted it.
pub fn consents_lived(events: &Json) -> Vec<TimeDelta> {
    let mut given = BTreeMap::new();
    let mut lived = Vec::new();
    for event in events.as_array().into_iter().flatten() {
        let text = |name: &str| event.get(name).and_then(Json::as_str);
        let (Some(connection), Some(at)) = (text("connection_id"), text("at").and_then(parse_timestamp))
        else {
            continue;
        };
        match (text("event"), text("reason")) {
            (Some("connected" | "reconnected"), _) => {
                given.insert(connection, at);
            }
            (Some("broken"), Some("reconnect_required")) => {
                lived.extend(given.remove(connection).map(|given| at.signed_duration_since(given)));
            }
            _ => {}
        }
    }
    lived
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
        health.failing_renewals.insert("google_rate_limited".to_owned(), 2);
        health.failing_runs.insert("recalculate_500".to_owned(), 1);
        assert_eq!(
            Members::wanted(&health),
            [
                Group::Status("paused".to_owned()),
                Group::RenewalError("google_rate_limited".to_owned()),
                Group::RunError("recalculate_500".to_owned()),
            ]
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
