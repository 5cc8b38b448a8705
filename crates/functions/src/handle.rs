//! One request from its arrival to its answer, its line in the log, and what follows.

use std::rc::Rc;

use adapters::configuration::Misconfigured;
use adapters::deployment::{Deployment, Platform};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use protocol::Timestamp;
use protocol::event::Level;

use crate::answer::Answer;
use crate::function::Function;
use crate::incoming::Incoming;
use crate::log::request_line;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::{cors, google_calendar_webhook, refresh_calendar_webhook, setup_calendar_webhook};

/// An answer, what is logged of the request, and what remains to be done once the caller has it.
pub struct Handled {
    pub answer: Answer,
    pub log_line: (Level, String),
    pub follow_up: Option<LocalBoxFuture<'static, ()>>,
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
            Ok(deployment) => {
                let mut reply = dispatch(function, Rc::clone(&deployment), incoming, started_at)
                    .await
                    .unwrap_or_else(|problem| Err(problem).into());
                reply.answer = reply.answer.map_err(|problem| problem.because(deployment.database_refused()));
                reply
            }
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
    let log_line = request_line(function, &method, answer.status, reply.note, problem.as_ref(), duration);
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
