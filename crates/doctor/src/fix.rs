//! What can be put right from here: broken channels are renewed, failing runs asked for again, a sweep made.

use std::collections::BTreeSet;
use std::time::Duration;

use adapters::http::HttpRequest;
use chrono::TimeDelta;
use machine::Machine;
use protocol::failure::RenewalFailure;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::check::Id;
use crate::examine::{Examination, look_at_health};
use crate::health::{Group, Members, NAMED, word};
use crate::variables::Variables;

/// An invocation ends within 70 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(80);
/// Runs go on after the answer.
const RUNS_WITHIN: TimeDelta = TimeDelta::seconds(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Opens the first channel of a connection.
    Setup(Uuid),
    /// Renews the channel of a connection, and asks for a run.
    Refresh(Uuid),
    /// Does all that is due, as the schedule would.
    Sweep,
}

impl Repair {
    pub fn describe(self) -> String {
        match self {
            Self::Setup(id) => format!("open a channel for connection {id} (setup-calendar-webhook)"),
            Self::Refresh(id) => {
                format!("renew the channel of connection {id} and recalculate (refresh-calendar-webhook)")
            }
            Self::Sweep => "make one sweep now (refresh-calendar-webhook)".to_owned(),
        }
    }

    pub const fn function(self) -> &'static str {
        match self {
            Self::Setup(_) => Id::SetupCalendarWebhook.name(),
            Self::Refresh(_) | Self::Sweep => Id::RefreshCalendarWebhook.name(),
        }
    }

    pub const fn connection(self) -> Option<Uuid> {
        match self {
            Self::Setup(id) | Self::Refresh(id) => Some(id),
            Self::Sweep => None,
        }
    }
}

/// What became of a repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub repair: Repair,
    /// `None` where there was no answer.
    pub status: Option<u16>,
    /// The function's word for what is wrong, or ours for why there was no answer.
    pub code: Option<String>,
}

impl Outcome {
    pub fn is_success(&self) -> bool {
        self.status == Some(200)
    }
}

/// What would help with what was found. A consent or a calendar is the user's to change.
pub fn repairs(examination: &Examination) -> Vec<Repair> {
    let Some((_, members)) = &examination.health else { return vec![] };
    let works = |id| !examination.is_wrong(id);
    let mut repairs = Vec::new();
    if works(Id::SetupCalendarWebhook) {
        let status = Group::Status("not_set_up".to_owned());
        repairs.extend(members.ids.get(&status).into_iter().flatten().copied().map(Repair::Setup));
    }
    if works(Id::RefreshCalendarWebhook) {
        repairs.extend(to_refresh(members).into_iter().map(Repair::Refresh));
        if [Id::Schedule, Id::OwedRuns].into_iter().any(|id| examination.is_wrong(id)) {
            repairs.push(Repair::Sweep);
        }
    }
    repairs
}

fn to_refresh(members: &Members) -> BTreeSet<Uuid> {
    let wanted = |group: &Group| match group {
        Group::Status(status) => matches!(status.as_str(), "expired" | "expiring" | "unconfirmed"),
        Group::RenewalError(code, _) => RenewalFailure::parse(code).is_none_or(RenewalFailure::is_retryable),
        Group::RunError(_) => true,
    };
    let not_set_up = members.ids.get(&Group::Status("not_set_up".to_owned()));
    let set_up = |id: &Uuid| !not_set_up.is_some_and(|ids| ids.contains(id));
    members
        .ids
        .iter()
        .filter(|(group, _)| wanted(group))
        .flat_map(|(_, ids)| ids.iter().take(NAMED))
        .copied()
        .filter(set_up)
        .collect()
}

/// Makes one change, as the service.
pub fn make(repair: Repair, variables: &Variables, machine: &dyn Machine) -> Outcome {
    let configuration = &variables.configuration;
    let url = format!("{}/functions/v1/{}", configuration.supabase_url, repair.function());
    let body = repair.connection().map_or_else(|| json!({}), |id| json!({ "connection_id": id }));
    let request = HttpRequest::post(url, "application/json", body.to_string());
    match machine.send(configuration.key.authorize(request), ANSWER_WITHIN) {
        Ok(answer) => {
            let body = answer.json();
            let code = body.pointer("/error/code").and_then(Json::as_str).map(|code| word(code).to_owned());
            Outcome { repair, status: Some(answer.status()), code }
        }
        Err(silence) => Outcome { repair, status: None, code: Some(silence.code().to_owned()) },
    }
}

/// Waits until no run is owed any more, but not for long.
pub fn settle(variables: &Variables, machine: &dyn Machine) {
    const PAUSE: Duration = Duration::from_millis(500);
    let started = machine.now();
    while machine.now() - started < RUNS_WITHIN {
        match look_at_health(variables, machine) {
            Some((health, _)) if health.owed_runs > 0 => machine.sleep(PAUSE),
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::check::Check;
    use crate::health::healthy;

    fn examination(members: &[(Group, u128)], wrong: &[Id]) -> Examination {
        let members = members.iter().map(|(group, id)| (group.clone(), vec![Uuid::from_u128(*id)])).collect();
        Examination {
            checked_at: DateTime::UNIX_EPOCH,
            checks: wrong.iter().map(|id| Check::wrong(*id, "x", "x", "x")).collect(),
            health: Some((healthy(), Members { ids: members, ..Members::default() })),
        }
    }

    #[test]
    fn what_is_broken_is_renewed_once_and_what_the_user_must_change_is_left_alone() {
        let status = |word: &str| Group::Status(word.to_owned());
        let renewal = |word: &str| Group::RenewalError(word.to_owned(), None);
        let run = |word: &str| Group::RunError(word.to_owned());
        let found = examination(
            &[
                (status("not_set_up"), 1),
                (status("expired"), 2),
                (status("paused"), 3),
                (status("reconnect_required"), 4),
                (renewal("reconnect_required"), 4),
                (renewal("push_not_supported"), 5),
                (renewal("google_rate_limited"), 1),
                (run("recalculate_401"), 2),
                (run("recalculate_500"), 6),
            ],
            &[],
        );
        let [one, two, six] = [1, 2, 6].map(Uuid::from_u128);
        assert_eq!(repairs(&found), [Repair::Setup(one), Repair::Refresh(two), Repair::Refresh(six)]);
    }

    #[test]
    fn a_sweep_is_made_where_the_schedule_makes_none() {
        assert_eq!(repairs(&examination(&[], &[Id::Schedule])), [Repair::Sweep]);
        assert_eq!(repairs(&examination(&[], &[])), []);
    }

    #[test]
    fn nothing_is_asked_of_a_function_that_does_not_work() {
        let groups = [(Group::Status("not_set_up".to_owned()), 1), (Group::Status("expired".to_owned()), 2)];
        let wrong = [Id::SetupCalendarWebhook, Id::RefreshCalendarWebhook, Id::Schedule];
        assert_eq!(repairs(&examination(&groups, &wrong)), []);
    }
}
