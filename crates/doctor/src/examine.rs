//! Gathers the facts, reading only, and has them judged in order.

use std::net::IpAddr;
use std::time::Duration;

use adapters::google::token_request;
use adapters::http::HttpRequest;
use chrono::{DateTime, Utc};
use machine::Machine;
use machine::http::{Answer, Reply};
use protocol::connection::RefreshToken;
use protocol::failure::Word;
use serde_json::{Value as Json, json};
use url::Url;
use uuid::Uuid;

use crate::callback;
use crate::check::{Check, Id};
use crate::clocks::{self, Reading};
use crate::connections;
use crate::consents::ended_by_testing;
use crate::database::{self, Obstacle};
use crate::functions::{self, Probe, probe};
use crate::google;
use crate::health::{Group, Health, Members, parse_health};
use crate::looks;
use crate::owed_runs;
use crate::project::{self, Access};
use crate::recalculation;
use crate::robots;
use crate::schedule;
use crate::schema::{self, parse_description};
use crate::variables::{Variables, shown};

const FUNCTIONS: [Id; 3] = [Id::SetupCalendarWebhook, Id::GoogleCalendarWebhook, Id::RefreshCalendarWebhook];
const ANSWER_WITHIN: Duration = Duration::from_secs(12);
const RESOLVE_WITHIN: Duration = Duration::from_secs(5);
/// RFC 9309, section 2.3.1.2.
const ROBOTS_REDIRECTS: usize = 5;
/// As many rows as PostgREST shows at once on Supabase.
const PAGE: usize = 1000;
/// How many pages of one kind are read.
const PAGES: usize = 100;

/// What was found.
pub struct Examination {
    pub checked_at: DateTime<Utc>,
    pub checks: Vec<Check>,
    /// What the database says of itself, if it could be asked.
    pub health: Option<(Health, Members)>,
}

impl Examination {
    pub fn is_well(&self) -> bool {
        !self.checks.iter().any(Check::is_wrong)
    }

    pub fn is_wrong(&self, id: Id) -> bool {
        self.checks.iter().any(|check| check.id == id && check.is_wrong())
    }
}

pub fn examine(variables: &Variables, machine: &dyn Machine) -> Examination {
    let database = variables.has_project().then(|| Database::look(variables, machine));
    let host_answers = database.as_ref().is_some_and(|database| project::answers(database.access));
    let is_open = database.as_ref().is_some_and(|database| database.access == Access::Open);
    let outside = Outside::look(variables, machine, host_answers, is_open);

    let mut checks = variables.judge();
    judge_project(variables, database.as_ref(), &mut checks);
    judge_functions(variables, &outside, host_answers, &mut checks);
    let health = database.and_then(|database| Some((database.health?, database.members, database.readings)));
    judge_ways_in(variables, &outside, health.as_ref().map(|(health, ..)| health), &mut checks);
    let (gateway, database) = health.as_ref().map(|(.., readings)| *readings).unwrap_or_default();
    checks.push(clocks::judge(gateway.or(outside.project_clock), database));
    judge_google_client(variables, &outside, &mut checks);
    let health = health.map(|(health, members, _)| (health, members));
    judge_operation(variables, health.as_ref(), &mut checks);
    Examination { checked_at: machine.now(), checks, health }
}

/// What the project's database shows to the service.
struct Database {
    access: Access,
    /// What was answered where it does not tell. None without a key to ask with.
    obstacles: Option<Result<Vec<Obstacle>, Box<Reply>>>,
    description: Option<schema::Description>,
    status_view: bool,
    health: Option<Health>,
    members: Members,
    /// Of the gateway and of the database.
    readings: (Option<Reading>, Option<Reading>),
}

impl Database {
    fn look(variables: &Variables, machine: &dyn Machine) -> Self {
        let view = rest(variables, machine, "calendar_connection_status?select=id,status&limit=1");
        let told = variables.has_key().then(|| look_for_obstacles(variables, machine));
        let obstacles = told.map(database::read);
        let access = project::access(&view, matches!(obstacles, Some(Ok(_))));
        let obstacles = match obstacles {
            // With a key that is not the service's, the view would have been refused, too.
            Some(Err(told))
                if access == Access::Open
                    && told.as_ref().as_ref().is_ok_and(|told| told.status() == 403) =>
            {
                Some(Ok(Obstacle::of_asking()))
            }
            obstacles => obstacles,
        };
        let root = (access == Access::Open).then(|| rest(variables, machine, ""));
        let mut database = Self {
            access,
            obstacles,
            description: root.and_then(|root| parse_description(&root.ok()?.json())),
            status_view: view.as_ref().is_ok_and(|view| view.status() == 200),
            health: None,
            members: Members::default(),
            readings: (view.as_ref().ok().and_then(reading), None),
        };
        if access == Access::Open
            && variables.has_key()
            && let Some((health, answer)) = look_at_health(variables, machine)
        {
            database.readings.1 = Some(Reading { shown: health.checked_at, here: answer.at });
            database.members = members(variables, machine, &health);
            database.health = Some(health);
        }
        database
    }
}

/// The row of `calendar_webhook_health`.
pub fn look_at_health(variables: &Variables, machine: &dyn Machine) -> Option<(Health, Answer)> {
    let answer = rest(variables, machine, "calendar_webhook_health?select=*").ok()?;
    Some((parse_health(&answer.json())?, answer))
}

fn members(variables: &Variables, machine: &dyn Machine, health: &Health) -> Members {
    let mut members = Members::default();
    let rows = |path: &str| match rest(variables, machine, path) {
        Ok(answer) if answer.status() == 200 => answer.json().as_array().cloned().unwrap_or_default(),
        _ => vec![],
    };
    let id = |row: &Json| -> Option<Uuid> { row.get("id")?.as_str()?.parse().ok() };
    let ids = |path: &str| -> Vec<Uuid> { rows(path).iter().filter_map(id).collect() };
    for group in Members::wanted(health) {
        if let Some(query) = group.query() {
            members.ids.insert(group, ids(&query));
        }
    }
    if !health.failing_renewals.is_empty() {
        let path = "calendar_connection_status?select=id,webhook_error,webhook_error_reason&webhook_error=not.is.null\
                    &status=not.in.(paused,disconnected)";
        for row in all_rows(&rows, path) {
            let text = |name: &str| row.get(name).and_then(Json::as_str);
            let (Some(id), Some(code)) = (id(&row), text("webhook_error")) else { continue };
            // A host may write anything into the column, and it is printed.
            let reason =
                text("webhook_error_reason").and_then(Word::parse).map(|word| word.as_str().to_owned());
            members.ids.entry(Group::RenewalError(code.to_owned(), reason)).or_default().push(id);
        }
    }
    let dead = Group::RenewalError("reconnect_required".to_owned(), Some("invalid_grant".to_owned()));
    if let Some(dead) = members.ids.get(&dead) {
        let path = "calendar_connection_events?select=id,connection_id,event,reason,detail,at\
                    &event=in.(connected,reconnected,paused,broken)";
        let well = ids(&format!("calendar_connection_status?select=id&status=eq.active&limit={PAGE}"));
        // Since the last sweep, a consent may have died unnoticed.
        let known_at = health.last_sweep.as_ref().map_or(health.checked_at, |sweep| sweep.finished_at);
        let ended = ended_by_testing(&all_rows(&rows, path), &well, known_at);
        members.of_testing = dead.iter().copied().filter(|id| ended.contains(id)).collect();
    }
    // Those that Google refuses already are told as such.
    members.without_refresh_token = ids(&format!(
        "calendar_connections?select=id&provider=eq.google&is_active=is.true&sync_enabled=not.is.false\
         &refresh_token=is.null&access_token=not.is.null&webhook_error=is.null&order=id&limit={PAGE}"
    ));
    members.looks = looks::read(health, rows);
    members
}

/// Reads page after page, in the order of their ids.
fn all_rows(rows: &dyn Fn(&str) -> Vec<Json>, path: &str) -> Vec<Json> {
    let mut all: Vec<Json> = Vec::new();
    for _ in 0..PAGES {
        let last = all.last().and_then(|row| row.get("id"));
        let last = last.map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
        let after = last.map(|id| format!("&id=gt.{id}")).unwrap_or_default();
        let page = rows(&format!("{path}{after}&order=id&limit={PAGE}"));
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    all
}

/// Tries a notification's update, too, of which nothing stays.
fn look_for_obstacles(variables: &Variables, machine: &dyn Machine) -> Reply {
    let url = format!("{}/rest/v1/rpc/calendar_webhook_obstacles", variables.configuration.supabase_url);
    let request = HttpRequest::post(url, "application/json", json!({ "try_write": true }).to_string());
    let request = request.header("content-profile", "public");
    machine.send(variables.configuration.key.authorize(request), ANSWER_WITHIN)
}

fn rest(variables: &Variables, machine: &dyn Machine, path: &str) -> Reply {
    let configuration = &variables.configuration;
    let request = HttpRequest::get(format!("{}/rest/v1/{path}", configuration.supabase_url));
    // Named as the functions do, for a project may expose another schema first.
    let request = request.header("accept-profile", "public");
    machine.send(configuration.key.authorize(request), ANSWER_WITHIN)
}

fn reading(answer: &Answer) -> Option<Reading> {
    Some(Reading { shown: answer.date?, here: answer.at })
}

/// What the functions answer, and what anybody sees without a key.
struct Outside {
    functions: Vec<(Id, Option<Probe>)>,
    callback: Option<Probe>,
    addresses: Vec<IpAddr>,
    robots: Option<(String, Reply)>,
    token: Option<Reply>,
    project_clock: Option<Reading>,
}

impl Outside {
    /// `key_opens`: whether the database accepts the key.
    fn look(variables: &Variables, machine: &dyn Machine, host_answers: bool, key_opens: bool) -> Self {
        let configuration = &variables.configuration;
        let elsewhere = variables.has_callback() && !callback_is_default(variables);
        let robots = if variables.has_callback() && (elsewhere || host_answers) {
            robots_url(&configuration.webhook_url)
        } else {
            None
        };
        let never_given = RefreshToken::new("doctor-asks-whether-the-client-is-known");

        let mut calls = Calls::default();
        let knock = |url: &str| functions::knock(url, machine);
        let functions =
            FUNCTIONS.map(|id| host_answers.then(|| calls.add(knock(&function_url(variables, id)))));
        let callback = elsewhere.then(|| calls.add(knock(&configuration.webhook_url)));
        let robots = robots.map(|url| (calls.add(HttpRequest::get(url.as_str())), url));
        let token =
            variables.has_google_client().then(|| calls.add(token_request(configuration, &never_given)));
        let replies = calls.send(machine);

        // A key may be let in where nobody is without one: so the second time only.
        let mut calls = Calls::default();
        let functions = FUNCTIONS.into_iter().zip(functions).map(|(id, knocked)| {
            let knocked = knocked.and_then(|call| replies.get(call));
            let is_ours = knocked.is_some_and(|reply| probe(reply) == Probe::Ours);
            let asks = is_ours && key_opens && id != Id::GoogleCalendarWebhook;
            let ask = || functions::ask(&function_url(variables, id), &configuration.key, machine);
            (id, knocked, asks.then(|| calls.add(ask())))
        });
        let functions: Vec<_> = functions.collect();
        let answers = calls.send(machine);
        let answered = |(id, knocked, asked): (Id, Option<&Reply>, Option<usize>)| {
            (id, asked.and_then(|call| answers.get(call)).or(knocked).cloned())
        };
        let functions: Vec<_> = functions.into_iter().map(answered).collect();

        let shows_time = |(_, reply): &(Id, Option<Reply>)| reading(reply.as_ref()?.as_ref().ok()?);
        Self {
            project_clock: functions.iter().find_map(shows_time),
            functions: functions.into_iter().map(|(id, reply)| (id, reply.as_ref().map(probe))).collect(),
            callback: callback.and_then(|call| replies.get(call)).map(probe),
            addresses: if variables.has_callback() {
                addresses(&configuration.webhook_url, machine)
            } else {
                vec![]
            },
            robots: robots.and_then(|(call, url)| {
                Some((url.to_string(), followed(machine, url, replies.get(call)?.clone())))
            }),
            token: token.and_then(|call| replies.get(call)).cloned(),
        }
    }

    fn function(&self, id: Id) -> Option<&Probe> {
        self.functions.iter().find(|(function, _)| *function == id)?.1.as_ref()
    }
}

/// Requests that are sent at the same time.
#[derive(Default)]
struct Calls(Vec<(HttpRequest, Duration)>);

impl Calls {
    /// Returns the place of its reply among those of `send`.
    fn add(&mut self, request: HttpRequest) -> usize {
        self.0.push((request, ANSWER_WITHIN));
        self.0.len() - 1
    }

    fn send(self, machine: &dyn Machine) -> Vec<Reply> {
        if self.0.is_empty() { vec![] } else { machine.send_all(self.0) }
    }
}

fn function_url(variables: &Variables, id: Id) -> String {
    format!("{}/functions/v1/{}", variables.configuration.supabase_url, id.name())
}

fn callback_is_default(variables: &Variables) -> bool {
    variables.configuration.webhook_url == function_url(variables, Id::GoogleCalendarWebhook)
}

fn robots_url(callback: &str) -> Option<Url> {
    Url::parse(callback).ok()?.join("/robots.txt").ok()
}

fn followed(machine: &dyn Machine, mut url: Url, mut reply: Reply) -> Reply {
    for _ in 0..ROBOTS_REDIRECTS {
        let Ok(answer) = &reply else { break };
        let target = answer.location.as_deref().filter(|_| (300..400).contains(&answer.status()));
        let Some(target) = target.and_then(|target| url.join(target).ok()) else { break };
        url = target;
        reply = machine.send(HttpRequest::get(url.as_str()), ANSWER_WITHIN);
    }
    reply
}

/// What the name in an address resolves to.
fn addresses(url: &str, machine: &dyn Machine) -> Vec<IpAddr> {
    let host = Url::parse(url).ok().and_then(|url| url.domain().map(str::to_owned));
    host.map(|host| machine.resolve(&host, RESOLVE_WITHIN)).unwrap_or_default()
}

fn judge_project(variables: &Variables, database: Option<&Database>, checks: &mut Vec<Check>) {
    // Without a usable key nothing more can be said of a project than that it answers.
    let Some(database) =
        database.filter(|database| variables.has_key() || !project::answers(database.access))
    else {
        checks.extend([Id::Project, Id::Database, Id::Schema].map(|id| Check::after(id, Id::Variables)));
        return;
    };
    checks.push(project::judge(&variables.configuration.supabase_url, database.access));
    if database.access != Access::Open {
        checks.extend([Id::Database, Id::Schema].map(|id| Check::after(id, Id::Project)));
        return;
    }
    let schema = schema::judge(
        variables.home(),
        &schema::Seen {
            description: database.description.clone(),
            status_view: database.status_view,
            health_view: database.health.is_some(),
        },
    );
    let is_incomplete = schema.iter().any(Check::is_wrong);
    match &database.obstacles {
        // A column that is missing keeps the update from being tried.
        Some(Ok(obstacles)) if is_incomplete && database::are_of_trial(obstacles) => {
            checks.push(Check::after(Id::Database, Id::Schema));
        }
        Some(Ok(obstacles)) => checks.extend(database::judge(obstacles)),
        Some(Err(_)) if is_incomplete => checks.push(Check::after(Id::Database, Id::Schema)),
        Some(Err(told)) => checks.push(database::untold(variables.home(), told)),
        None => checks.push(Check::after(Id::Database, Id::Variables)),
    }
    // PostgREST describes to a role what the role may read.
    if is_incomplete && checks.iter().any(|check| check.id == Id::Database && check.is_wrong()) {
        checks.push(Check::after(Id::Schema, Id::Database));
    } else {
        checks.extend(schema);
    }
}

fn judge_functions(variables: &Variables, outside: &Outside, host_answers: bool, checks: &mut Vec<Check>) {
    let first = if variables.has_project() && !host_answers { Id::Project } else { Id::Variables };
    let is_wrong = |id: &Id| checks.iter().any(|check| check.id == *id && check.is_wrong());
    let refuses = [Id::Database, Id::Schema].into_iter().find(is_wrong);
    for (id, probe) in &outside.functions {
        checks.push(match probe {
            Some(Probe::DatabaseRefused) if let Some(first) = refuses => Check::after(*id, first),
            Some(probe) => functions::judge(variables.home(), *id, probe),
            None => Check::after(*id, first),
        });
    }
}

/// Google's way to the callback.
fn judge_ways_in(variables: &Variables, outside: &Outside, health: Option<&Health>, checks: &mut Vec<Check>) {
    if !variables.has_callback() {
        checks.extend([Id::CallbackUrl, Id::RobotsTxt].map(|id| Check::after(id, Id::Variables)));
        return;
    }
    let url = &variables.configuration.webhook_url;
    let by_default = callback_is_default(variables);
    let own = outside.function(Id::GoogleCalendarWebhook).filter(|_| by_default);
    let rejected = health.and_then(|health| health.failing_renewals.get("webhook_url_rejected").copied());
    checks.push(match outside.callback.as_ref().or(own) {
        Some(probe) => callback::judge(&callback::Callback {
            url,
            project_url: &variables.configuration.supabase_url,
            by_default,
            addresses: &outside.addresses,
            probe,
            rejected: rejected.unwrap_or_default(),
        }),
        None => Check::after(Id::CallbackUrl, Id::Project),
    });
    let path = Url::parse(url).map(|url| url.path().to_owned()).unwrap_or_default();
    checks.push(match &outside.robots {
        Some((url, reply)) => robots::judge(&shown(url), &path, reply),
        None => Check::after(Id::RobotsTxt, Id::Project),
    });
}

fn judge_google_client(variables: &Variables, outside: &Outside, checks: &mut Vec<Check>) {
    checks.push(match &outside.token {
        Some(reply) => {
            google::judge_client(variables.home(), &variables.configuration.oauth_token_url, reply)
        }
        None => Check::after(Id::GoogleClient, Id::Variables),
    });
}

/// What only the database can tell.
fn judge_operation(variables: &Variables, health: Option<&(Health, Members)>, checks: &mut Vec<Check>) {
    let Some((health, members)) = health else {
        let first = |id| checks.iter().any(|check| check.id == id && check.is_wrong());
        let first = [Id::Project, Id::Database, Id::Schema]
            .into_iter()
            .find(|id| first(*id))
            .unwrap_or(Id::Variables);
        let ids = [
            Id::GoogleCalendar,
            Id::RecalculateSchedule,
            Id::Schedule,
            Id::OwedRuns,
            Id::Looks,
            Id::Connections,
        ];
        checks.extend(ids.map(|id| Check::after(id, first)));
        return;
    };
    checks.extend(google::judge_deployed_client(variables.home(), health, members));
    checks.extend(google::judge_calendar(variables.home(), health, members));
    checks.extend(recalculation::judge(variables.home(), health, members));
    let schedule = schedule::judge(&shown(&variables.configuration.supabase_url), health);
    let owed = owed_runs::judge(health, schedule.is_wrong());
    let looks = looks::judge(health, &members.looks, schedule.is_wrong());
    checks.extend([schedule, owed]);
    checks.extend(looks);
    checks.extend(connections::judge(health, members));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_several_pages_is_read_to_its_end() {
        for ids in [json!([]), json!([1]), json!([1, 2, 3, 4, 5]), json!(["a", "b", "c"])] {
            let ids = ids.as_array().unwrap();
            let pages = |path: &str| {
                let last = path.split_once("&id=gt.").map(|(_, rest)| rest.split('&').next().unwrap());
                let is_last = |id: &Json| id.to_string().trim_matches('"') == last.unwrap();
                let from = last.map_or(0, |_| ids.iter().position(is_last).unwrap() + 1);
                ids.iter().skip(from).take(2).map(|id| json!({ "id": id })).collect()
            };
            let read = all_rows(&pages, "view?x=y");
            assert_eq!(read, ids.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>());
        }
    }
}
