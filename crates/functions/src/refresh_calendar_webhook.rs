//! `refresh-calendar-webhook`: the user's button, and cron's sweep.

use std::rc::Rc;

use adapters::deployment::{Deployment, Platform};
use adapters::json::{Field, array, object};
use adapters::timestamp::parse_timestamp;
use chrono::TimeDelta;
use futures_util::future::{FutureExt, LocalBoxFuture, join_all};
use protocol::Timestamp;
use protocol::connection::Connection;
use protocol::invocation::{Invocation, Kind};
use protocol::ports::Clock;
use protocol::refresh::{follow_up, refresh};
use protocol::sweep::{Swept, sweep};

use crate::answer::Answer;
use crate::authenticate::{Caller, authenticate};
use crate::incoming::Incoming;
use crate::problem::Problem;
use crate::reply::{Note, Reply};
use crate::target::{Attempt, Target, attempt_all};

pub(crate) async fn handle<P: Platform + 'static>(
    deployment: Rc<Deployment<P>>,
    incoming: &impl Incoming,
    started_at: Timestamp,
) -> Result<Reply, Problem> {
    let caller = authenticate(&deployment, incoming).await?;
    let target = Target::read(incoming).await?;
    if caller == Caller::Service && target.is_everybody() {
        let asked_at = incoming.header("x-requested-at").and_then(|at| parse_timestamp(&at));
        if let Some(asked_at) = asked_at
            && !deployment.is_asked_by_own_database(asked_at).await
        {
            return Err(Problem::AnotherProject);
        }
        let invocation = Invocation::new(Kind::Sweep, started_at).within(deployment.life_left(started_at));
        let swept = sweep(&*deployment, &invocation, target.part).await?;
        let duration = deployment.now().signed_duration_since(started_at);
        let row = summary(&swept, Some(duration));
        let record = async move { deployment.record_sweep(row).await };
        return Ok(Reply {
            answer: Ok(Answer::ok(summary(&swept, None))),
            note: Some(Note { outcome: "swept", connection: None, request: None }),
            follow_up: Some(record.boxed_local()),
        });
    }
    attempt_all(deployment, caller, target, started_at, attempt).await
}

fn attempt<P: Platform + 'static>(
    deployment: Rc<Deployment<P>>,
    invocation: Rc<Invocation>,
    connections: Vec<Connection>,
) -> LocalBoxFuture<'static, Vec<Attempt>> {
    let attempts = connections.into_iter().map(move |connection| {
        let (deployment, invocation) = (deployment.clone(), invocation.clone());
        async move {
            let refreshed = refresh(&*deployment, &invocation, &connection).await;
            let result = refreshed.result;
            let follow_up = async move { follow_up(&*deployment, &invocation, refreshed).await };
            Attempt { result, follow_up: follow_up.boxed_local() }
        }
    });
    join_all(attempts).boxed_local()
}

/// What a sweep did, as JSON.
fn summary(swept: &Swept, duration: Option<TimeDelta>) -> String {
    let failed = swept.failed.iter().map(|(connection, code)| {
        object(&[("connection_id", connection.to_string().into()), ("code", code.as_str().into())])
    });
    let failed: Vec<String> = failed.collect();
    let mut fields = vec![
        ("renewed", swept.renewed.into()),
        ("stopped", swept.stopped.into()),
        ("synced", swept.synced.into()),
        ("settled", swept.settled.into()),
        ("looked", swept.looked.into()),
        ("reconciled", swept.reconciled.into()),
        ("missed", swept.missed.into()),
        ("failed", Field::Json(array(&failed))),
        ("remaining", swept.remaining.into()),
    ];
    fields.extend(duration.map(|duration| ("duration_ms", duration.num_milliseconds().into())));
    object(&fields)
}
