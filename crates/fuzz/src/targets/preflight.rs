//! A browser's preflight: whatever a page asks for, what comes back is a list of header names.

use functions::Function;

use crate::project::{Post, Project, empty};

/// `data` is the head of a request, `name: value` a line.
pub fn target(data: &[u8]) {
    let post = Post { method: "OPTIONS", ..Post::with_head(data) };
    let project = Project::new(empty);
    for function in [Function::SetupCalendarWebhook, Function::RefreshCalendarWebhook] {
        let answer = project.handle(function, &post).answer;
        assert_eq!((answer.status, answer.body), (204, None));
        for (name, value) in &answer.headers {
            assert!(value.chars().all(|c| (' '..='~').contains(&c)), "{name}: {value:?}");
        }
        let allowed = answer.headers.iter().find(|(name, _)| *name == "access-control-allow-headers");
        let allowed = allowed.map(|(_, value)| value.as_str()).unwrap_or_default();
        let names: Vec<&str> = allowed.split(", ").collect();
        for name in &names {
            assert!(
                !name.is_empty() && !name.contains(|c: char| " \t\",:;<=>?@[]\\{}()/".contains(c)),
                "{name:?}"
            );
        }
        for needed in ["authorization", "x-client-info", "apikey", "content-type"] {
            assert_eq!(names.iter().filter(|name| name.eq_ignore_ascii_case(needed)).count(), 1, "{allowed}");
        }
        let at = |name: &str| answer.headers.iter().any(|(header, value)| *header == name && value == "*");
        assert!(at("access-control-allow-origin"));
    }
    assert!(project.asked().is_empty());
}
