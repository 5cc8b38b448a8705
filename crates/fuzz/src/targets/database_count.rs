//! The total of a count, in `Content-Range: 0-0/57` (RFC 9110, 14.4).

use std::time::Duration;

use adapters::http::HttpResponse;
use protocol::ports::Connections;

use crate::oracle::status_and_body;
use crate::project::{Project, finish, response};

/// `data` is a status, a newline and the header's value; without a status it is 200.
pub fn target(data: &[u8]) {
    let (status, range) = status_and_body(data);
    let range = String::from_utf8_lossy(range).into_owned();
    let answer = HttpResponse { content_range: Some(range.clone()), ..response(status, b"[]") };
    let project = Project::new(move |_| Ok(answer.clone()));
    let count = finish(project.deployment.count(Vec::new(), Duration::from_secs(1)));

    let total = range.rsplit('/').next().filter(|_| range.contains('/')).unwrap_or_default();
    let digits = total.strip_prefix('+').unwrap_or(total);
    let is_total = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    let expected = digits.parse::<u128>().ok().and_then(|total| u64::try_from(total).ok());
    assert_eq!(count.ok(), expected.filter(|_| is_total && status < 300), "{range:?}");
}
