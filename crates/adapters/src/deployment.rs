//! The protocol's ports over one project's HTTP services.

use std::rc::Rc;
use std::time::Duration;

use protocol::Timestamp;
use protocol::connection::{
    AccessToken, CalendarId, ChannelId, ChannelToken, Connection, ConnectionId, RefreshToken, ResourceId,
    UnreadableRow, UserId,
};
use protocol::event::{Event, Service};
use protocol::failure::{DatabaseUnavailable, RenewalFailure, RunFailure, StopFailure, WatchFailure};
use protocol::ports::{
    Clock, Connections, Entropy, Google, Log, OpenedChannel, Recalculation, RefreshedToken, Run,
};
use protocol::schedule::DATABASE_TIMEOUT;
use protocol::table::{Filter, Query, Update};

use crate::configuration::Configuration;
use crate::database::{self, Database};
use crate::google;
use crate::http::{Http, HttpFailure, HttpRequest, HttpResponse};
use crate::supabase::{self, UserFailure};

/// What only the runtime can do.
pub trait Platform: Http + Clock + Entropy + Log {}

impl<T: Http + Clock + Entropy + Log> Platform for T {}

pub struct Deployment<P> {
    platform: P,
    configuration: Rc<Configuration>,
    database: Database,
}

impl<P: Platform> Deployment<P> {
    pub fn new(platform: P, configuration: impl Into<Rc<Configuration>>) -> Self {
        let configuration = configuration.into();
        let database = Database::new(&configuration);
        Self { platform, configuration, database }
    }

    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// Whose JWT this is, says Auth.
    pub async fn user(&self, jwt: &str) -> Result<UserId, UserFailure> {
        let request = supabase::user_request(&self.configuration, jwt);
        let answer = self.platform.send(request, DATABASE_TIMEOUT).await;
        let user = match &answer {
            Ok(response) => supabase::parse_user_response(response),
            Err(_) => Err(UserFailure::Unavailable),
        };
        if user == Err(UserFailure::Unavailable) {
            self.log_failure(Service::Auth, &answer, |_| "unexpected".to_owned());
        }
        user
    }

    /// Rows of the status view as JSON, as they are sent to callers, in no order.
    pub async fn statuses(
        &self,
        connections: &[ConnectionId],
    ) -> Result<Vec<(ConnectionId, String)>, DatabaseUnavailable> {
        let request = self.database.status_request(connections);
        let response = self.ask_database(request, DATABASE_TIMEOUT).await?;
        self.understood(&response, database::parse_statuses(&response))
    }

    /// Keeps what a sweep did, a JSON object; a failure is logged, and nothing else depends on it.
    pub async fn record_sweep(&self, row: String) {
        let request = self.database.record_sweep_request(row);
        if let Ok(response) = self.ask_database(request, DATABASE_TIMEOUT).await {
            let _ = self.understood(&response, response.is_success().then_some(()));
        }
    }

    async fn ask_database(
        &self,
        request: HttpRequest,
        timeout: Duration,
    ) -> Result<HttpResponse, DatabaseUnavailable> {
        let answer = self.platform.send(request, timeout).await;
        answer.map_err(|failure| {
            let code = failure.code().to_owned();
            self.platform.log(Event::CallFailed { service: Service::Database, status: None, code });
            DatabaseUnavailable
        })
    }

    /// What was read from an answer of the database, if anything could be.
    fn understood<T>(&self, response: &HttpResponse, parsed: Option<T>) -> Result<T, DatabaseUnavailable> {
        parsed.ok_or_else(|| {
            self.platform.log(Event::CallFailed {
                service: Service::Database,
                status: Some(response.status),
                code: database::error_code(response),
            });
            DatabaseUnavailable
        })
    }

    fn log_failure(
        &self,
        service: Service,
        answer: &Result<HttpResponse, HttpFailure>,
        code: impl FnOnce(&HttpResponse) -> String,
    ) {
        let (status, code) = match answer {
            Ok(response) => (Some(response.status), code(response)),
            Err(failure) => (None, failure.code().to_owned()),
        };
        self.platform.log(Event::CallFailed { service, status, code });
    }
}

impl<P: Platform> Connections for Deployment<P> {
    async fn update(
        &self,
        update: Update,
        timeout: Duration,
    ) -> Result<Option<Connection>, DatabaseUnavailable> {
        let response = self.ask_database(self.database.update_request(&update), timeout).await?;
        let mut rows = self.understood(&response, database::parse_rows(&response))?;
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
        let response = self.ask_database(self.database.select_request(&query), timeout).await?;
        let rows = self.understood(&response, database::parse_rows(&response))?;
        for unreadable in rows.iter().filter_map(|row| row.as_ref().err()) {
            self.platform.log(Event::UnreadableRow(*unreadable));
        }
        Ok(rows)
    }

    async fn count(&self, filters: Vec<Filter>, timeout: Duration) -> Result<u64, DatabaseUnavailable> {
        let response = self.ask_database(self.database.count_request(&filters), timeout).await?;
        self.understood(&response, database::parse_count(&response))
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
        let request = google::watch_request(&self.configuration, access_token, calendar, channel, token)?;
        let answer = self.platform.send(request, timeout).await;
        let opened = match &answer {
            Ok(response) => google::parse_watch_response(response, self.now()),
            Err(_) => Err(WatchFailure::Doubtful(RenewalFailure::GoogleUnavailable)),
        };
        if opened.is_err() {
            self.log_failure(Service::Calendar, &answer, |response| {
                google::error_reason(response).to_owned()
            });
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
        let request = google::stop_request(&self.configuration, access_token, channel, resource)?;
        match self.platform.send(request, timeout).await {
            Ok(response) => google::parse_stop_response(&response),
            Err(_) => Err(StopFailure { status: None }),
        }
    }

    async fn refresh(
        &self,
        refresh_token: &RefreshToken,
        timeout: Duration,
    ) -> Result<RefreshedToken, RenewalFailure> {
        let request = google::refresh_request(&self.configuration, refresh_token);
        let answer = self.platform.send(request, timeout).await;
        let refreshed = match &answer {
            Ok(response) => google::parse_refresh_response(response),
            Err(_) => Err(RenewalFailure::GoogleUnavailable),
        };
        if refreshed.is_err() {
            self.log_failure(Service::Oauth, &answer, |response| google::error_reason(response).to_owned());
        }
        refreshed
    }
}

impl<P: Platform> Recalculation for Deployment<P> {
    async fn recalculate(&self, run: Run, timeout: Duration) -> Result<(), RunFailure> {
        let request = supabase::recalculate_request(&self.configuration, &run);
        supabase::parse_recalculate_response(self.platform.send(request, timeout).await)
    }

    fn lease(&self) -> Duration {
        self.configuration.run_lease
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
