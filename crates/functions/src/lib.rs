//! The HTTP contract of the three Edge Functions, without a runtime: who may call, what a body may be, what is
//! answered. The shell hands in an [`Incoming`] request and gets an answer and what remains to be done after it.

mod authenticate;
mod cors;
mod google_calendar_webhook;
mod log;
mod notification;
mod problem;
mod refresh_calendar_webhook;
mod setup_calendar_webhook;
mod target;

use std::rc::Rc;

use adapters::configuration::Misconfigured;
use adapters::deployment::{Deployment, Platform};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use protocol::Timestamp;
use protocol::connection::ConnectionId;
use protocol::event::Level;

pub use crate::log::event_line;
use crate::problem::Problem;

/// One of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    SetupCalendarWebhook,
    GoogleCalendarWebhook,
    RefreshCalendarWebhook,
}

impl Function {
    pub const ALL: [Self; 3] =
        [Self::SetupCalendarWebhook, Self::GoogleCalendarWebhook, Self::RefreshCalendarWebhook];

    pub const fn name(self) -> &'static str {
        match self {
            Self::SetupCalendarWebhook => "setup-calendar-webhook",
            Self::GoogleCalendarWebhook => "google-calendar-webhook",
            Self::RefreshCalendarWebhook => "refresh-calendar-webhook",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }
}

/// A request as the runtime received it.
#[allow(async_fn_in_trait)]
pub trait Incoming {
    fn method(&self) -> String;
    fn header(&self, name: &str) -> Option<String>;
    /// The body as text. `None` where it is longer than [`LONGEST_BODY`], not UTF-8, or did not arrive in time.
    async fn body(&self) -> Option<String>;
    /// Reads what is left of the body and throws it away: a server that answers and closes while its client still
    /// sends is not heard.
    async fn discard_body(&self);
}

/// In bytes. Ours are a hundred.
pub const LONGEST_BODY: usize = 16 * 1024;

/// What the caller gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    /// JSON; `None` = no body.
    pub body: Option<String>,
}

impl Answer {
    fn ok(body: String) -> Self {
        Self { status: 200, headers: Vec::new(), body: Some(body) }
    }
}

/// An answer, what is logged of the request, and what remains to be done once the caller has it.
pub struct Handled {
    pub answer: Answer,
    pub log_line: (Level, String),
    pub follow_up: Option<LocalBoxFuture<'static, ()>>,
}

/// What a function makes of a request.
struct Reply {
    answer: Result<Answer, Problem>,
    note: Option<Note>,
    follow_up: Option<LocalBoxFuture<'static, ()>>,
}

/// What to log of a request besides the status.
#[derive(Clone, Copy)]
struct Note {
    outcome: &'static str,
    connection: Option<ConnectionId>,
}

impl From<Result<Answer, Problem>> for Reply {
    fn from(answer: Result<Answer, Problem>) -> Self {
        Self { answer, note: None, follow_up: None }
    }
}

/// Handles one request that arrived at `started_at`. Never fails: whatever is wrong is an answer.
pub async fn handle<P: Platform + 'static>(
    function: Function,
    deployment: Result<Rc<Deployment<P>>, Misconfigured>,
    incoming: &impl Incoming,
    started_at: Timestamp,
    now: impl Fn() -> Timestamp,
) -> Handled {
    let method = incoming.method();
    let reply = match (method.as_str(), function) {
        ("OPTIONS", Function::SetupCalendarWebhook | Function::RefreshCalendarWebhook) => {
            Ok(cors::preflight(incoming)).into()
        }
        _ => match deployment {
            Err(misconfigured) => Err(Problem::Misconfigured(misconfigured)).into(),
            Ok(_) if method != "POST" => Err(Problem::MethodNotAllowed(function)).into(),
            Ok(deployment) => dispatch(function, deployment, incoming, started_at)
                .await
                .unwrap_or_else(|problem| Err(problem).into()),
        },
    };
    incoming.discard_body().await;
    let (mut answer, problem) = match reply.answer {
        Ok(answer) => (answer, None),
        Err(problem) => (problem.answer(), Some(problem)),
    };
    if function != Function::GoogleCalendarWebhook {
        cors::allow_browsers(&mut answer);
    }
    let duration = now().signed_duration_since(started_at);
    let log_line =
        log::request_line(function, &method, answer.status, reply.note, problem.as_ref(), duration);
    Handled { answer, log_line, follow_up: reply.follow_up }
}

/// Boxed, so that a request to one function does not have the runtime compile the other two.
fn dispatch<'a, P: Platform + 'static>(
    function: Function,
    deployment: Rc<Deployment<P>>,
    incoming: &'a impl Incoming,
    started_at: Timestamp,
) -> LocalBoxFuture<'a, Result<Reply, Problem>> {
    match function {
        Function::SetupCalendarWebhook => {
            setup_calendar_webhook::handle(deployment, incoming, started_at).boxed_local()
        }
        Function::GoogleCalendarWebhook => {
            google_calendar_webhook::handle(deployment, incoming, started_at).boxed_local()
        }
        Function::RefreshCalendarWebhook => {
            refresh_calendar_webhook::handle(deployment, incoming, started_at).boxed_local()
        }
    }
}
