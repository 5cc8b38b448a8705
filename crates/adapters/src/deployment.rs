//! The protocol's ports over one project's HTTP services.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::time::Duration;

use protocol::Timestamp;
use protocol::connection::Farewell;
use protocol::connection::{
    AccessToken, CalendarId, ChannelId, ChannelToken, Connection, ConnectionId, RefreshToken, ResourceId,
    UnreadableRow, UserId,
};
use protocol::event::{Event, Service};
use protocol::failure::{
    DatabaseUnavailable, Refused, RenewalFailure, RunFailure, StopFailure, WatchFailure, Word,
};
use protocol::grant::{OpenedChannel, RenewedToken};
use protocol::look::{Anchor, Look, LookFailure};
use protocol::ports::{Clock, Connections, Entropy, Google, Instance, Log, Recalculation};
use protocol::recalculation::Run;
use protocol::schedule::{DATABASE_TIMEOUT, life_left};
use protocol::table::{Filter, Query};
use protocol::transition::{Transition, Update};
use protocol::waiters::Waiters;

use crate::configuration::Configuration;
use crate::database::{self, Database};
use crate::google;
use crate::http::{Http, HttpFailure, HttpRequest, HttpResponse};
use crate::look::Reading;
use crate::supabase::{self, UserFailure};

/// What only the runtime can do.
pub trait Platform: Http + Clock + Entropy + Log + Instance {}

impl<T: Http + Clock + Entropy + Log + Instance> Platform for T {}

/// What all requests of an instance work with.
pub struct Project {
    pub configuration: Configuration,
    database: Database,
    /// A worker is started for its first request.
    first_request_at: OnceCell<Timestamp>,
}

impl From<Configuration> for Project {
    fn from(configuration: Configuration) -> Self {
        Self { database: Database::new(&configuration), configuration, first_request_at: OnceCell::new() }
    }
}

/// What one request works with.
pub struct Deployment<P> {
    platform: P,
    project: Rc<Project>,
    /// When the worker was started.
    born_at: Timestamp,
    database_refused: Cell<bool>,
}

impl<P: Platform> Deployment<P> {
    pub fn new(platform: P, project: Rc<Project>) -> Self {
        let born_at = *project.first_request_at.get_or_init(|| platform.now());
        Self { platform, project, born_at, database_refused: Cell::new(false) }
    }

    pub fn configuration(&self) -> &Configuration {
        &self.project.configuration
    }

    /// How long the worker lives after the start of a request.
    pub fn life_left(&self, started_at: Timestamp) -> Duration {
        let age = started_at.signed_duration_since(self.born_at).to_std().unwrap_or_default();
        life_left(self.configuration().wall_clock, age)
    }

    /// Whether the database has refused something for a reason that a person must mend. The protocol goes on as if it
    /// had not answered; the caller is told the difference.
    pub fn database_refused(&self) -> bool {
        self.database_refused.get()
    }

    /// Whose JWT this is, says Auth.
    pub async fn user(&self, jwt: &str) -> Result<UserId, UserFailure> {
        let request = supabase::user_request(self.configuration(), jwt);
        let answer = self.platform.send(request, DATABASE_TIMEOUT).await;
        let user = match &answer {
            Ok(response) => supabase::parse_user_response(response),
            Err(_) => Err(UserFailure::Unavailable),
        };
        if user == Err(UserFailure::Unavailable) {
            let refusal = answer.as_ref().ok().and_then(supabase::key_refusal);
            self.log_failure(Service::Auth, None, &answer, |_| "unexpected".to_owned(), refusal);
        }
        user
    }

    /// Rows of the status view as JSON, as they are sent to callers, in no order.
    pub async fn statuses(
        &self,
        connections: &[ConnectionId],
    ) -> Result<Vec<(ConnectionId, String)>, DatabaseUnavailable> {
        let request = self.project.database.status_request(connections);
        self.ask_database(request, DATABASE_TIMEOUT, None, database::parse_statuses).await
    }

    /// Whether a sweep that a schedule asked for at that time was asked for by this project's own database, and not by
    /// a copy of it. A database that cannot tell is believed.
    pub async fn is_asked_by_own_database(&self, at: Timestamp) -> bool {
        let request = self.project.database.sweep_asked_request(at);
        self.ask_database(request, DATABASE_TIMEOUT, None, database::parse_whether_taken)
            .await
            .unwrap_or(true)
    }

    /// Keeps what a sweep did, a JSON object; a failure is logged, and nothing else depends on it.
    pub async fn record_sweep(&self, row: String) {
        let request = self.project.database.record_sweep_request(row);
        let recorded = |response: &HttpResponse| response.is_success().then_some(());
        let _ = self.ask_database(request, DATABASE_TIMEOUT, None, recorded).await;
    }

    /// The rows that `request` asks for, or returns.
    async fn ask_for_rows(
        &self,
        request: impl Fn() -> HttpRequest,
        timeout: Duration,
        transition: Option<Transition>,
    ) -> Result<Vec<Result<Connection, UnreadableRow>>, DatabaseUnavailable> {
        let first = request();
        let url = first.url.clone();
        let mut answer = self.platform.send(first, timeout).await;
        if answer.as_ref().is_ok_and(|response| self.project.database.must_name_columns(&url, response)) {
            answer = self.platform.send(request(), timeout).await;
        }
        self.read_answer(&answer, transition, database::parse_rows)
    }

    /// What `parse` reads from the database's answer. `transition` is the step that the request is to take, if one.
    async fn ask_database<T>(
        &self,
        request: HttpRequest,
        timeout: Duration,
        transition: Option<Transition>,
        parse: impl FnOnce(&HttpResponse) -> Option<T>,
    ) -> Result<T, DatabaseUnavailable> {
        self.read_answer(&self.platform.send(request, timeout).await, transition, parse)
    }

    fn read_answer<T>(
        &self,
        answer: &Result<HttpResponse, HttpFailure>,
        transition: Option<Transition>,
        parse: impl FnOnce(&HttpResponse) -> Option<T>,
    ) -> Result<T, DatabaseUnavailable> {
        let parsed = answer.as_ref().ok().and_then(parse);
        parsed.ok_or_else(|| {
            let refusal = answer.as_ref().ok().and_then(database::refusal);
            self.database_refused.set(self.database_refused.get() || refusal.is_some());
            self.log_failure(Service::Database, transition, answer, database::error_code, refusal);
            DatabaseUnavailable
        })
    }

    fn log_failure(
        &self,
        service: Service,
        transition: Option<Transition>,
        answer: &Result<HttpResponse, HttpFailure>,
        code: impl FnOnce(&HttpResponse) -> String,
        refusal: Option<String>,
    ) {
        let (status, code) = match answer {
            Ok(response) => (Some(response.status), code(response)),
            Err(failure) => (None, failure.code().to_owned()),
        };
        self.platform.log(Event::CallFailed { service, transition, status, code, refusal });
    }
}

/// Google's own word for a refusal, for the log.
fn told(refused: &Refused) -> String {
    refused.reason.as_ref().map_or(refused.failure.code(), Word::as_str).to_owned()
}

impl<P: Platform> Connections for Deployment<P> {
    async fn update(
        &self,
        update: Update,
        timeout: Duration,
    ) -> Result<Option<Connection>, DatabaseUnavailable> {
        let request = || self.project.database.update_request(&update);
        let mut rows = self.ask_for_rows(request, timeout, Some(update.transition)).await?;
        rows.pop().transpose().map_err(|unreadable| {
            self.platform.log(Event::UnreadableRow(unreadable));
            DatabaseUnavailable
        })
    }

    async fn select(
        &self,
        query: Query,
        timeout: Duration,
    ) -> Result<Vec<Result<Connection, UnreadableRow>>, DatabaseUnavailable> {
        let rows = self.ask_for_rows(|| self.project.database.select_request(&query), timeout, None).await?;
        for unreadable in rows.iter().filter_map(|row| row.as_ref().err()) {
            self.platform.log(Event::UnreadableRow(*unreadable));
        }
        Ok(rows)
    }

    async fn count(&self, filters: Vec<Filter>, timeout: Duration) -> Result<u64, DatabaseUnavailable> {
        let request = self.project.database.count_request(&filters);
        self.ask_database(request, timeout, None, database::parse_count).await
    }

    async fn farewells(
        &self,
        now: Timestamp,
        offset: usize,
        limit: usize,
        timeout: Duration,
    ) -> Result<Vec<Farewell>, DatabaseUnavailable> {
        let request = self.project.database.farewells_request(now, offset, limit);
        self.ask_database(request, timeout, None, database::parse_farewells).await
    }

    async fn claim_farewell(
        &self,
        farewell: &Farewell,
        next: Timestamp,
        timeout: Duration,
    ) -> Result<bool, DatabaseUnavailable> {
        let request = self.project.database.claim_farewell_request(farewell, next);
        self.ask_database(request, timeout, None, database::parse_whether_taken).await
    }

    async fn delete_farewell(&self, id: i64, timeout: Duration) -> Result<(), DatabaseUnavailable> {
        let request = self.project.database.delete_farewell_request(id);
        let deleted = |response: &HttpResponse| response.is_success().then_some(());
        self.ask_database(request, timeout, None, deleted).await
    }
}

impl<P: Platform> Google for Deployment<P> {
    async fn watch(
        &self,
        access_token: &AccessToken,
        calendar: Option<&CalendarId>,
        channel: &ChannelId,
        token: &ChannelToken,
        timeout: Duration,
    ) -> Result<OpenedChannel, WatchFailure> {
        let request = google::watch_request(self.configuration(), access_token, calendar, channel, token)?;
        let answer = self.platform.send(request, timeout).await;
        let opened = match &answer {
            Ok(response) => google::parse_watch_response(response, self.now()),
            Err(_) => Err(WatchFailure::Doubtful(RenewalFailure::GoogleUnavailable.into())),
        };
        if let Err(failure) = &opened {
            let code = |_: &HttpResponse| match failure {
                WatchFailure::ChannelIdNotUnique => "channelIdNotUnique".to_owned(),
                WatchFailure::Unauthorized(refused)
                | WatchFailure::Refused(refused)
                | WatchFailure::Doubtful(refused)
                | WatchFailure::Unusable(refused) => told(refused),
            };
            self.log_failure(Service::Calendar, None, &answer, code, None);
        }
        opened
    }

    async fn stop(
        &self,
        access_token: &AccessToken,
        channel: &ChannelId,
        resource: &ResourceId,
        timeout: Duration,
    ) -> Result<(), StopFailure> {
        let request = google::stop_request(self.configuration(), access_token, channel, resource)?;
        match self.platform.send(request, timeout).await {
            Ok(response) => google::parse_stop_response(&response, self.now()),
            Err(_) => Err(StopFailure::Refused(RenewalFailure::GoogleUnavailable.into())),
        }
    }

    fn look_interval(&self) -> Duration {
        self.configuration().look_interval
    }

    async fn look(
        &self,
        access_token: &AccessToken,
        calendar: Option<&CalendarId>,
        anchor: Anchor,
        timeout: Duration,
    ) -> Result<Look, LookFailure> {
        let mut reading = Reading::new(self.configuration(), access_token, calendar, anchor);
        let end = self.now() + timeout;
        loop {
            let request = reading.request()?;
            let left = end.signed_duration_since(self.now()).to_std().unwrap_or_default();
            let answer = match left {
                Duration::ZERO => Err(HttpFailure::TimedOut),
                left => self.platform.send(request, left).await,
            };
            let read = match &answer {
                Ok(response) => reading.read(response, self.now()),
                Err(HttpFailure::TooLong) => Err(LookFailure::TooLarge),
                Err(HttpFailure::TimedOut) if reading.has_begun() => Err(LookFailure::TooLarge),
                Err(_) => Err(LookFailure::Refused(RenewalFailure::GoogleUnavailable.into())),
            };
            match read {
                Ok(None) => {}
                Ok(Some(look)) => return Ok(look),
                Err(failure) => {
                    let code = |_: &HttpResponse| match &failure {
                        LookFailure::TooLarge | LookFailure::Doubtful => failure.code().to_owned(),
                        LookFailure::Unauthorized(refused) | LookFailure::Refused(refused) => told(refused),
                    };
                    self.log_failure(Service::Calendar, None, &answer, code, None);
                    return Err(failure);
                }
            }
        }
    }

    async fn renew_token(
        &self,
        refresh_token: &RefreshToken,
        timeout: Duration,
    ) -> Result<RenewedToken, Refused> {
        let request = google::token_request(self.configuration(), refresh_token);
        let answer = self.platform.send(request, timeout).await;
        let renewed = match &answer {
            Ok(response) => google::parse_token_response(response, self.now()),
            Err(_) => Err(RenewalFailure::GoogleUnavailable.into()),
        };
        if let Err(refused) = &renewed {
            self.log_failure(Service::Oauth, None, &answer, |_| told(refused), None);
        }
        renewed
    }
}

impl<P: Platform> Recalculation for Deployment<P> {
    async fn recalculate(&self, run: Run, timeout: Duration) -> Result<(), RunFailure> {
        let request = supabase::recalculate_request(self.configuration(), &run);
        supabase::parse_recalculate_response(self.platform.send(request, timeout).await)
    }

    fn lease(&self) -> Duration {
        self.configuration().run_lease
    }
}

impl<P: Platform> Clock for Deployment<P> {
    fn now(&self) -> Timestamp {
        self.platform.now()
    }

    async fn sleep(&self, duration: Duration) {
        self.platform.sleep(duration).await;
    }
}

impl<P: Platform> Entropy for Deployment<P> {
    fn random(&self) -> u128 {
        self.platform.random()
    }
}

impl<P: Platform> Log for Deployment<P> {
    fn log(&self, event: Event) {
        self.platform.log(event);
    }
}

impl<P: Platform> Instance for Deployment<P> {
    fn waiters(&self) -> &Waiters {
        self.platform.waiters()
    }
}
