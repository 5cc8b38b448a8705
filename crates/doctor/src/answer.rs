//! An answer as tests of verdicts need it.

use chrono::DateTime;
use machine::http::Answer;

pub(crate) fn answer(status: u16, body: &str) -> Answer {
    Answer::new((status, body.to_owned()), None, None, (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH))
}
