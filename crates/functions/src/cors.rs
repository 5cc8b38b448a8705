//! CORS, for setup and refresh: pages of any origin may call, because the JWT is what authenticates.

use crate::answer::Answer;
use crate::incoming::Incoming;

/// What supabase-js sends.
const ALLOWED_HEADERS: &str = "authorization, x-client-info, apikey, content-type";

/// Answers a preflight with what supabase-js sends and whatever else this page asks for.
pub(crate) fn preflight(incoming: &impl Incoming) -> Answer {
    let requested = incoming.header("access-control-request-headers").unwrap_or_default();
    let more = requested.split(',').map(str::trim).filter(|name| {
        is_token(name) && !ALLOWED_HEADERS.split(',').any(|allowed| allowed.trim().eq_ignore_ascii_case(name))
    });
    let allowed = std::iter::once(ALLOWED_HEADERS).chain(more).collect::<Vec<_>>().join(", ");
    Answer {
        status: 204,
        headers: vec![
            ("access-control-allow-methods", "POST, OPTIONS".to_owned()),
            ("access-control-allow-headers", allowed),
            ("access-control-max-age", "86400".to_owned()),
        ],
        body: None,
    }
}

/// Lets the page read an answer, and the one header of it that a page needs.
pub(crate) fn allow_browsers(answer: &mut Answer) {
    answer.headers.push(("access-control-allow-origin", "*".to_owned()));
    answer.headers.push(("access-control-expose-headers", "Retry-After".to_owned()));
}

/// RFC 9110's token, the grammar of a header's name.
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
