//! The HTTP contract of the three Edge Functions, without a runtime: who may call, what a body may be, what is
//! answered. The shell hands in an [`Incoming`] request and gets an answer and what remains to be done after it.

mod answer;
mod authenticate;
mod cors;
mod function;
mod google_calendar_webhook;
mod handle;
mod incoming;
mod log;
mod notification;
mod problem;
mod refresh_calendar_webhook;
mod reply;
mod setup_calendar_webhook;
mod target;

pub use crate::answer::Answer;
pub use crate::function::Function;
pub use crate::handle::{Handled, handle};
pub use crate::incoming::{Incoming, LONGEST_BODY};
pub use crate::log::event_line;
