//! What a function makes of a request.

use futures_util::future::LocalBoxFuture;
use protocol::connection::{ConnectionId, RequestId};

use crate::answer::Answer;
use crate::problem::Problem;

/// An answer, a note of it, and what remains to be done.
pub(crate) struct Reply {
    pub(crate) answer: Result<Answer, Problem>,
    pub(crate) note: Option<Note>,
    pub(crate) follow_up: Option<LocalBoxFuture<'static, ()>>,
}

/// What to log of a request besides the status.
#[derive(Clone, Copy)]
pub(crate) struct Note {
    pub(crate) outcome: &'static str,
    pub(crate) connection: Option<ConnectionId>,
    /// The run that is owed for it.
    pub(crate) request: Option<RequestId>,
}

impl From<Result<Answer, Problem>> for Reply {
    fn from(answer: Result<Answer, Problem>) -> Self {
        Self { answer, note: None, follow_up: None }
    }
}
