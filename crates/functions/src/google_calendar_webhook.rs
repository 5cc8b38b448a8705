//! `google-calendar-webhook`: Google's notifications.

use std::rc::Rc;

use adapters::deployment::{Deployment, Platform};
use adapters::json::object;
use futures_util::FutureExt;
use protocol::Timestamp;
use protocol::invocation::{Invocation, Kind};
use protocol::receive::{Verdict, follow_up, receive};

use crate::notification::parse_notification;
use crate::problem::Problem;
use crate::{Answer, Incoming, Reply};

pub(crate) async fn handle<P: Platform + 'static>(
    deployment: Rc<Deployment<P>>,
    incoming: &impl Incoming,
    started_at: Timestamp,
) -> Result<Reply, Problem> {
    let notification = parse_notification(incoming)?;
    let invocation = Invocation::new(Kind::Targeted, started_at);
    let verdict = receive(&*deployment, &invocation, &notification).await;
    let note = match verdict {
        Verdict::Opened => return Ok(Reply { note: Some("opened"), ..Ok(Answer::ok(object(&[]))).into() }),
        Verdict::Unknown => return Err(Problem::UnknownChannel),
        Verdict::Unavailable => return Err(protocol::failure::DatabaseUnavailable.into()),
        Verdict::Changed(_) => "changed",
        Verdict::Orphan(_) => "orphan",
        Verdict::Late(_) => "late",
    };
    let follow_up = async move {
        follow_up(&*deployment, &invocation, &notification, verdict).await;
    };
    Ok(Reply {
        answer: Ok(Answer::ok(object(&[]))),
        note: Some(note),
        follow_up: Some(follow_up.boxed_local()),
    })
}
