//! What happened, as the database, the fake Google and the sample app's `recalculate-schedule` tell it.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use dev_stack::Stack;
use serde::Deserialize;
use serde_json::Value;
use system_tests::{Channel, FUNCTIONS, Project, Run};
use uuid::Uuid;

use crate::population::{Inhabitant, Population};

type Time = DateTime<Utc>;

/// A row of `calendar_connections` from one update to the next.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub at: Time,
    pub live: bool,
    pub channel: Option<String>,
    pub pending: Option<String>,
    pub request: Option<Uuid>,
    pub last_sync_at: Option<Time>,
    /// What the last run is known to have found.
    pub seen: Option<String>,
    pub streak: i32,
}

/// What became of a notification.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Delivery {
    pub channel_id: String,
    pub message_number: u64,
    pub resource_state: String,
    /// When the change happened.
    pub queued_at: Time,
    pub attempts: u32,
    pub status: Option<u16>,
    /// Start of the last attempt.
    pub at: Time,
    pub duration_ms: i64,
}

impl Delivery {
    pub(crate) fn is_answered_change(&self) -> bool {
        self.resource_state != "sync" && self.status.is_some_and(|status| (200..300).contains(&status))
    }

    pub(crate) fn answered_at(&self) -> Time {
        self.at + TimeDelta::milliseconds(self.duration_ms + 1)
    }
}

/// All that happened to one connection, each kind in order.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub inhabitant: Inhabitant,
    pub states: Vec<State>,
    pub runs: Vec<Run>,
    pub channels: Vec<Channel>,
    pub notifications: Vec<Delivery>,
    /// When the functions' looks at the calendar began, in the order in which Google was done with them.
    pub looks: Vec<Time>,
    /// How often a run's holder found its lease gone, by the functions' logs: each asks for one more run. The end of a
    /// run looks like that when its answer is lost after it was written: Deno sends a request again whose connection
    /// was closed without an answer.
    pub lost_leases: usize,
    /// When the session is.
    pub session: (Time, Time),
    /// The events that the calendar holds, but for those that the app has written.
    pub events: Vec<(Time, Time)>,
    /// And those.
    pub written: Vec<(Time, Time)>,
}

impl History {
    pub(crate) fn state(&self) -> &State {
        self.states.last().expect("a row that was inserted")
    }

    pub(crate) fn live_channels(&self) -> Vec<&str> {
        let live = self.channels.iter().filter(|channel| channel.state == "live");
        live.map(|channel| channel.id.as_str()).collect()
    }

    /// The last look before a request went from one state to the next, if that was for no other reason than that the
    /// calendar was seen as the last run had found it.
    pub(crate) fn settling_look(&self, before: &State, after: &State) -> Option<Time> {
        let is_settled = before.request.is_some()
            && after.request.is_none()
            && after.seen.is_some()
            && after.seen == before.seen;
        self.looks.iter().filter(|look| is_settled && **look <= after.at).max().copied()
    }

    pub(crate) fn is_settled_after(&self, time: Time) -> bool {
        let changes = self.states.iter().zip(self.states.iter().skip(1));
        changes.filter_map(|(before, after)| self.settling_look(before, after)).any(|look| look >= time)
    }

    /// All of it in order, a line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<(Time, String)> = Vec::new();
        for state in &self.states {
            let State { live, channel, pending, request, seen, .. } = state;
            let (channel, pending) = (short(channel.as_ref()), short(pending.as_ref()));
            let (owed, live) = (short(request.as_ref()), if *live { "live" } else { "not live" });
            let seen = short(seen.as_ref());
            let text = format!("row: {live}, channel {channel}, pending {pending}, owed {owed}, seen {seen}");
            lines.push((state.at, text));
        }
        for run in &self.runs {
            let request = short(Some(&run.request_id));
            lines.push((run.started_at, format!("run for {request} starts ({})", run.reason)));
            if let Some(finished_at) = run.finished_at {
                let status = run.status.unwrap_or_default();
                lines.push((finished_at, format!("run for {request} ends with {status}")));
            }
        }
        lines.extend(self.looks.iter().map(|look| (*look, "Google: the calendar is looked at".to_owned())));
        for channel in &self.channels {
            let id = short(Some(&channel.id));
            lines.push((channel.opened_at, format!("Google: channel {id} opened")));
            match channel.stopped_at {
                Some(at) => lines.push((at, format!("Google: channel {id} stopped"))),
                None if channel.state == "expired" => {
                    lines.push((channel.expiration, format!("Google: channel {id} expired")));
                }
                None => {}
            }
        }
        for notification in &self.notifications {
            let Delivery { message_number: number, resource_state: state, attempts, status, .. } =
                notification;
            let name = format!("{state} {number} on {}", short(Some(&notification.channel_id)));
            lines.push((notification.queued_at, format!("Google: {name} is due")));
            let answer = format!("Google: {name} met {status:?} at attempt {attempts}");
            lines.push((notification.answered_at(), answer));
        }
        lines.sort();
        lines.into_iter().map(|(at, text)| format!("{} {text}", at.format("%H:%M:%S%.3f"))).collect()
    }
}

fn short(id: Option<&impl ToString>) -> String {
    // The end, because requests of one time begin alike.
    id.map_or("none".to_owned(), |id| {
        id.to_string().chars().rev().take(6).collect::<Vec<_>>().iter().rev().collect()
    })
}

/// Everybody's histories so far.
pub(crate) async fn collect(population: &Population, stack: &Stack) -> Result<Vec<History>> {
    let mut runs: HashMap<Uuid, Vec<Run>> = HashMap::new();
    for run in population.all_runs().await {
        runs.entry(run.connection_id).or_default().push(run);
    }
    let mut notifications: HashMap<String, Vec<Delivery>> = HashMap::new();
    for notification in population.google_list::<Delivery>("deliveries").await {
        notifications.entry(notification.channel_id.clone()).or_default().push(notification);
    }
    let mut channels: BTreeMap<String, Vec<Channel>> = BTreeMap::new();
    for channel in population.google_list::<Channel>("channels").await {
        channels.entry(channel.email.clone()).or_default().push(channel);
    }
    let mut states: HashMap<Uuid, Vec<State>> = HashMap::new();
    let sql = "select connection, at, live, channel, pending, request, last_sync_at, seen, streak
                 from chaos.states order by id";
    for row in population.sql(sql, &[]).await? {
        states.entry(row.get(0)).or_default().push(State {
            at: row.get(1),
            live: row.get(2),
            channel: row.get(3),
            pending: row.get(4),
            request: row.get(5),
            last_sync_at: row.get(6),
            seen: row.get(7),
            streak: row.get(8),
        });
    }
    let mut looks: HashMap<String, Vec<Time>> = HashMap::new();
    for request in population.google_list::<Asked>("requests").await.into_iter().filter(Asked::is_look) {
        looks.entry(request.email.unwrap_or_default()).or_default().push(request.at);
    }
    let lost_leases = lost_leases(stack);
    let mut histories = Vec::new();
    for inhabitant in &population.inhabitants {
        let connection = &inhabitant.connection;
        let channels = channels.remove(&connection.email).unwrap_or_default();
        let of_channel = |channel: &Channel| notifications.remove(&channel.id).unwrap_or_default();
        let session = "select starts_at, ends_at from sessions where user_id = $1";
        let session = population.sql(session, &[&connection.user]).await?;
        let (written, events) = events(population, inhabitant).await?;
        histories.push(History {
            inhabitant: inhabitant.clone(),
            states: states.remove(&connection.id).unwrap_or_default(),
            runs: runs.remove(&connection.id).unwrap_or_default(),
            notifications: channels.iter().flat_map(of_channel).collect(),
            lost_leases: lost_leases.get(&connection.id.to_string()).copied().unwrap_or_default(),
            channels,
            session: (session[0].get(0), session[0].get(1)),
            looks: looks.remove(&connection.email).unwrap_or_default(),
            events,
            written,
        });
    }
    Ok(histories)
}

/// By connection.
fn lost_leases(stack: &Stack) -> HashMap<String, usize> {
    let mut lost = HashMap::new();
    for function in FUNCTIONS {
        let log = stack.function_log(function);
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        for line in lines.filter(|line| line["event"] == "run_lease_lost") {
            *lost.entry(line["connection_id"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
    }
    lost
}

/// What Google was asked.
#[derive(Deserialize)]
struct Asked {
    at: Time,
    operation: String,
    query: Option<String>,
    email: Option<String>,
    status: u16,
}

impl Asked {
    /// The functions alone ask for some fields only; here a calendar has one page.
    fn is_look(&self) -> bool {
        let of_functions = self.query.as_ref().is_some_and(|query| query.contains("fields="));
        self.operation == "list" && self.status == 200 && of_functions
    }
}

type Slots = Vec<(Time, Time)>;

/// → those that the app has written, and the others.
async fn events(project: &Project, inhabitant: &Inhabitant) -> Result<(Slots, Slots)> {
    let list =
        project.calendar(reqwest::Method::GET, &inhabitant.connection, "?maxResults=2500").send().await?;
    let list: Value = list.error_for_status()?.json().await?;
    let time =
        |event: &Value, side: &str| -> Time { event[side]["dateTime"].as_str().unwrap().parse().unwrap() };
    let events = list["items"].as_array().into_iter().flatten();
    let (written, others): (Vec<&Value>, Vec<&Value>) =
        events.partition(|event| event["extendedProperties"]["private"]["session"].is_string());
    let slots = |events: Vec<&Value>| {
        events.into_iter().map(|event| (time(event, "start"), time(event, "end"))).collect()
    };
    Ok((slots(written), slots(others)))
}
