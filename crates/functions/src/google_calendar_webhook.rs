//! `google-calendar-webhook`: Google's notifications.

use std::rc::Rc;

use adapters::deployment::{Deployment, Platform};
use adapters::json::object;
use futures_util::FutureExt;
use protocol::Timestamp;
use protocol::invocation::{Invocation, Kind};
use protocol::receive::{Verdict, follow_up, receive};

use crate::answer::Answer;
use crate::incoming::Incoming;
use crate::notification::parse_notification;
use crate::problem::Problem;
use crate::reply::{Note, Reply};

pub(crate) async fn handle<P: Platform + 'static>(
    deployment: Rc<Deployment<P>>,
    incoming: &impl Incoming,
    started_at: Timestamp,
) -> Result<Reply, Problem> {
    let notification = parse_notification(incoming)?;
    let invocation = Invocation::new(Kind::Targeted, started_at).within(deployment.life_left(started_at));
    let verdict = receive(&*deployment, &invocation, &notification).await;
    let (outcome, row) = match &verdict {
        Verdict::Unknown => return Err(Problem::UnknownChannel),
        Verdict::Unavailable => return Err(protocol::failure::DatabaseUnavailable.into()),
        Verdict::Opened(row) => ("opened", row.as_ref()),
        Verdict::Changed(row) => ("changed", Some(row)),
        Verdict::Orphan(row) | Verdict::OpenedOrphan(row) => ("orphan", Some(row)),
        Verdict::Late(row) => ("late", Some(row)),
    };
    let (connection, request) = (row.map(|row| row.id), row.and_then(|row| row.sync_request_id));
    let note = Some(Note { outcome, connection, request });
    let follow_up = async move {
        follow_up(&*deployment, &invocation, &notification, verdict).await;
    };
    Ok(Reply { answer: Ok(Answer::ok(object(&[]))), note, follow_up: Some(follow_up.boxed_local()) })
}
