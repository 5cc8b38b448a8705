//! `refresh-calendar-webhook`: the user's button, and cron's sweep.

use std::rc::Rc;

use adapters::deployment::{Deployment, Platform};
use futures_util::FutureExt;
use futures_util::future::join_all;
use protocol::Timestamp;
use protocol::invocation::{Invocation, Kind};
use protocol::refresh::{follow_up, refresh};
use protocol::sweep::{Swept, sweep};
use serde_json::json;

use crate::authenticate::{Caller, authenticate};
use crate::problem::Problem;
use crate::target::{self, Target};
use crate::{Answer, Incoming, Reply};

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
    let invocation = Invocation::new(Kind::Targeted, started_at);
    let refreshed = join_all(connections.iter().map(|row| refresh(&*deployment, &invocation, row))).await;

    let results: Vec<_> = refreshed.iter().map(|refreshed| refreshed.result).collect();
    let answer = target::answer(&deployment, &connections, &results).await;
    let follow_up = async move {
        join_all(refreshed.into_iter().map(|refreshed| follow_up(&*deployment, &invocation, refreshed)))
            .await;
    };
    Ok(Reply { follow_up: Some(follow_up.boxed_local()), ..answer.into() })
}

fn summary(swept: &Swept) -> Answer {
    let failed = swept
        .failed
        .iter()
        .map(|(connection, code)| json!({ "connection_id": connection.to_string(), "code": code }));
    Answer::ok(json!({
        "renewed": swept.renewed,
        "stopped": swept.stopped,
        "synced": swept.synced,
        "reconciled": swept.reconciled,
        "failed": failed.collect::<Vec<_>>(),
        "remaining": swept.remaining,
    }))
}
