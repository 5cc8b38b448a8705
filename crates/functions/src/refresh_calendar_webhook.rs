//! `refresh-calendar-webhook`: the user's button, and cron's sweep.

use std::rc::Rc;

use adapters::deployment::{Deployment, Platform};
use futures_util::FutureExt;
use protocol::Timestamp;
use protocol::connection::Connection;
use protocol::invocation::{Invocation, Kind};
use protocol::refresh::{follow_up, refresh};
use protocol::sweep::{Swept, sweep};
use serde_json::Value as Json;

use crate::authenticate::{Caller, authenticate};
use crate::problem::Problem;
use crate::target::{Attempt, Target, attempt_all};
use crate::{Answer, Incoming, Reply, object};

pub(crate) async fn handle<P: Platform + 'static>(
    deployment: Rc<Deployment<P>>,
    incoming: &impl Incoming,
    started_at: Timestamp,
) -> Result<Reply, Problem> {
    let caller = authenticate(&deployment, incoming).await?;
    let target = Target::read(incoming).await?;
    if caller == Caller::Service && target.is_everybody() {
        let invocation = Invocation::new(Kind::Sweep, started_at);
        let swept = sweep(&*deployment, &invocation).await?;
        return Ok(Reply { note: Some("swept"), ..Ok(summary(&swept)).into() });
    }
    let connections = target.connections(&deployment, caller).await?;
    let invocation = Rc::new(Invocation::new(Kind::Targeted, started_at));
    let attempt = |connection| attempt(deployment.clone(), invocation.clone(), connection).boxed_local();
    Ok(attempt_all(&deployment, &connections, attempt).await)
}

async fn attempt<P: Platform + 'static>(
    deployment: Rc<Deployment<P>>,
    invocation: Rc<Invocation>,
    connection: Connection,
) -> Attempt {
    let refreshed = refresh(&*deployment, &invocation, &connection).await;
    let result = refreshed.result;
    let follow_up = async move { follow_up(&*deployment, &invocation, refreshed).await };
    Attempt { result, follow_up: follow_up.boxed_local() }
}

fn summary(swept: &Swept) -> Answer {
    let failed = swept.failed.iter().map(|(connection, code)| {
        object([("connection_id", connection.to_string().into()), ("code", code.as_str().into())])
    });
    Answer::ok(object([
        ("renewed", swept.renewed.into()),
        ("stopped", swept.stopped.into()),
        ("synced", swept.synced.into()),
        ("reconciled", swept.reconciled.into()),
        ("failed", Json::Array(failed.collect())),
        ("remaining", swept.remaining.into()),
    ]))
}
