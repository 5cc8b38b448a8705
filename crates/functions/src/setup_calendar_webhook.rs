//! `setup-calendar-webhook`: a channel for a connection, right after Google OAuth.

use std::rc::Rc;

use adapters::deployment::{Deployment, Platform};
use futures_util::FutureExt;
use futures_util::future::join_all;
use protocol::Timestamp;
use protocol::invocation::{Invocation, Kind};
use protocol::setup::{SetUp, follow_up, setup};

use crate::authenticate::{Caller, authenticate};
use crate::problem::Problem;
use crate::target::{self, Target};
use crate::{Incoming, Reply};

pub(crate) async fn handle<P: Platform + 'static>(
    deployment: Rc<Deployment<P>>,
    incoming: &impl Incoming,
    started_at: Timestamp,
) -> Result<Reply, Problem> {
    let caller = authenticate(&deployment, incoming).await?;
    let target = Target::read(incoming).await?;
    if caller == Caller::Service && target.is_everybody() {
        return Err(Problem::InvalidRequest("name connection_id or user_id"));
    }
    let connections = target.connections(&deployment, caller).await?;
    let invocation = Invocation::new(Kind::Targeted, started_at);
    let set_up = join_all(connections.iter().map(|row| setup(&*deployment, &invocation, row.clone()))).await;

    let results: Vec<_> = set_up.iter().map(|result| result.as_ref().map(|_| ()).map_err(|r| *r)).collect();
    let answer = target::answer(&deployment, &connections, &results).await;
    let opened = set_up.into_iter().filter_map(|result| match result {
        Ok(SetUp::Opened(renewed)) => Some(*renewed),
        Ok(SetUp::Found) | Err(_) => None,
    });
    let opened: Vec<_> = opened.collect();
    let follow_up = async move {
        join_all(opened.into_iter().map(|renewed| follow_up(&*deployment, &invocation, renewed))).await;
    };
    Ok(Reply { follow_up: Some(follow_up.boxed_local()), ..answer.into() })
}
