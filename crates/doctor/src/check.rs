//! What a check finds.

use uuid::Uuid;

/// The checks, in the order in which they are made: what a later one needs, an earlier one has looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    Variables,
    Project,
    Database,
    Schema,
    SetupCalendarWebhook,
    GoogleCalendarWebhook,
    RefreshCalendarWebhook,
    CallbackUrl,
    RobotsTxt,
    Clocks,
    GoogleClient,
    GoogleCalendar,
    RecalculateSchedule,
    Schedule,
    OwedRuns,
    Looks,
    Connections,
}

impl Id {
    /// Stable: scripts may rely on it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Variables => "variables",
            Self::Project => "project",
            Self::Database => "database",
            Self::Schema => "schema",
            Self::SetupCalendarWebhook => "setup-calendar-webhook",
            Self::GoogleCalendarWebhook => "google-calendar-webhook",
            Self::RefreshCalendarWebhook => "refresh-calendar-webhook",
            Self::CallbackUrl => "callback-url",
            Self::RobotsTxt => "robots.txt",
            Self::Clocks => "clocks",
            Self::GoogleClient => "google-client",
            Self::GoogleCalendar => "google-calendar",
            Self::RecalculateSchedule => "recalculate-schedule",
            Self::Schedule => "schedule",
            Self::OwedRuns => "owed-runs",
            Self::Looks => "looks",
            Self::Connections => "connections",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    Wrong,
    /// Nothing can be said, mostly because of what an earlier check found.
    Unknown,
}

impl Verdict {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Wrong => "wrong",
            Self::Unknown => "unknown",
        }
    }
}

/// Connections that a finding is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affected {
    /// How many there are in all.
    pub count: u64,
    /// Those that are known by their id, the first at least.
    pub ids: Vec<Uuid>,
}

impl Affected {
    pub fn all(ids: Vec<Uuid>) -> Self {
        Self { count: ids.len() as u64, ids }
    }
}

/// One finding. A check that finds several things wrong makes one of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub id: Id,
    pub verdict: Verdict,
    /// What is wrong, as one stable word.
    pub code: Option<String>,
    /// The same for people, without full stop.
    pub line: String,
    /// What to do about it.
    pub next: Option<String>,
    pub affected: Option<Affected>,
}

impl Check {
    pub fn ok(id: Id, line: impl Into<String>) -> Self {
        Self { id, verdict: Verdict::Ok, code: None, line: line.into(), next: None, affected: None }
    }

    pub fn unknown(id: Id, line: impl Into<String>) -> Self {
        Self { verdict: Verdict::Unknown, ..Self::ok(id, line) }
    }

    /// Not judged, because that has to be put right first.
    pub fn after(id: Id, first: Id) -> Self {
        Self::unknown(id, format!("not judged: put {} right first", first.name()))
    }

    pub fn wrong(id: Id, code: impl Into<String>, line: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Wrong,
            code: Some(code.into()),
            next: Some(next.into()),
            ..Self::ok(id, line)
        }
    }

    #[must_use]
    pub fn coded(self, code: impl Into<String>) -> Self {
        Self { code: Some(code.into()), ..self }
    }

    #[must_use]
    pub fn about(self, affected: Affected) -> Self {
        Self { affected: Some(affected), ..self }
    }

    pub fn is_wrong(&self) -> bool {
        self.verdict == Verdict::Wrong
    }
}

/// `1 connection`, `2 connections`.
pub fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
