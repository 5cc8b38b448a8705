//! `setup-calendar-webhook`: a channel for a connection, right after Google OAuth.

use std::rc::Rc;

use adapters::deployment::{Deployment, Platform};
use futures_util::future::{FutureExt, LocalBoxFuture};
use protocol::Timestamp;
use protocol::connection::Connection;
use protocol::event::Event;
use protocol::invocation::Invocation;
use protocol::ports::Log;
use protocol::recalculation::Reason;
use protocol::setup::{SetUp, setup};

use crate::authenticate::{Caller, authenticate};
use crate::incoming::Incoming;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::target::{Attempt, Target, attempt_all, is_short_lived};

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
    attempt_all(deployment, caller, target, started_at, attempt).await
}

fn attempt<P: Platform + 'static>(
    deployment: Rc<Deployment<P>>,
    invocation: Rc<Invocation>,
    connections: Vec<Connection>,
) -> LocalBoxFuture<'static, Vec<Attempt>> {
    let attempts = async move {
        for connection in connections.iter().filter(|connection| is_short_lived(connection)) {
            deployment.log(Event::RefreshTokenMissing { connection: connection.id });
        }
        let set_up = setup(&*deployment, &invocation, &connections).await;
        let attempts = set_up.into_iter().map(|set_up| {
            let result = set_up.as_ref().map(|_| ()).map_err(|refusal| *refusal);
            let (deployment, invocation) = (deployment.clone(), invocation.clone());
            let follow_up = async move {
                if let Ok(SetUp::Opened(renewed)) = set_up {
                    renewed.follow_up(&*deployment, &invocation, Reason::ChannelOpened).await;
                }
            };
            Attempt { result, follow_up: follow_up.boxed_local() }
        });
        attempts.collect()
    };
    attempts.boxed_local()
}
