//! The answer of `recalculate-schedule`: its status counts, and its body is not read.

use std::time::Duration;

use protocol::connection::{ConnectionId, RequestId, UserId};
use protocol::failure::RunFailure;
use protocol::ports::Recalculation;
use protocol::recalculation::{Reason, Run};
use uuid::Uuid;

use crate::oracle::status_and_body;
use crate::project::{Project, finish, response};

/// `data` is a status, a newline and a body; without a status it is 200.
pub fn target(data: &[u8]) {
    let (status, body) = status_and_body(data);
    let answer = response(status, body);
    let project = Project::new(move |_| Ok(answer.clone()));
    let id = Uuid::from_u128(7);
    let run = Run {
        user: UserId(id),
        connection: ConnectionId(id),
        request: RequestId(id),
        reason: Reason::CalendarChanged,
    };
    let done = finish(project.deployment.recalculate(run, Duration::from_secs(1)));
    let expected = match status {
        200..=299 => Ok(()),
        // Neither says that the callee has ended.
        502 | 504 | 520..=527 | 546 => Err(RunFailure::TimedOut),
        _ => Err(RunFailure::Answered(status)),
    };
    assert_eq!(done, expected);
    if let Err(RunFailure::Answered(_)) = done {
        assert_eq!(done.map_err(RunFailure::code), Err(format!("recalculate_{status}")));
    }
    assert_eq!(project.log(), "");
}
