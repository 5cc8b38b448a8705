//! `apikey` and `Authorization`: a secret key makes a service, a JWT is for Auth to judge, anything else is nobody.

use functions::{Function, Incoming};

use crate::oracle::assert_hidden;
use crate::project::{KEY, Post, Project, empty};

/// `data` is the head of a request, `name: value` a line.
pub fn target(data: &[u8]) {
    let post = Post::with_head(data);
    let project = Project::new(empty);
    let handled = project.handle(Function::SetupCalendarWebhook, &post);
    let asked = project.asked();

    let authorization = post.header("authorization").unwrap_or_default();
    let bearer = match authorization.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("bearer ") => {
            authorization.get(7..).map(|token| token.trim_matches(' '))
        }
        _ => None,
    };
    let is_service = post.header("apikey").as_deref() == Some(KEY) || bearer == Some(KEY);
    let api_key = post.header("apikey");
    // Auth is not asked about a secret key of another project's.
    let is_secret =
        [api_key.as_deref(), bearer].into_iter().flatten().any(|given| given.starts_with("sb_secret_"));
    let jwt = bearer.filter(|token| is_jwt(token) && !is_secret);
    match (is_service, jwt) {
        // It names nobody, and nobody is asked.
        (true, _) => assert_eq!((handled.answer.status, asked.len()), (400, 0)),
        (false, None) => assert_eq!((handled.answer.status, asked.len()), (401, 0)),
        (false, Some(jwt)) => {
            assert_eq!((handled.answer.status, asked.len()), (401, 1));
            for request in &asked {
                assert_eq!(request.url, "https://project.supabase.co/auth/v1/user");
                let sent: Vec<_> =
                    request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                let expected = format!("Bearer {jwt}");
                assert_eq!(sent, [("apikey", KEY), ("authorization", expected.as_str())]);
            }
        }
    }
    let secrets = ["apikey", "authorization"].map(|name| post.header(name));
    let told = format!("{}{}", project.log(), handled.answer.body.unwrap_or_default());
    assert_hidden(&told, secrets.iter().flatten().map(String::as_str).chain(bearer));
}

/// Three parts in base64url, none empty (RFC 7515), 8 KiB at most.
fn is_jwt(token: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut parts = 1;
    let mut empty = true;
    for c in token.chars() {
        match c {
            '.' if !empty => (parts, empty) = (parts + 1, true),
            c if is_letter(c) => empty = false,
            _ => return false,
        }
    }
    parts == 3 && !empty && token.len() <= 8192
}
