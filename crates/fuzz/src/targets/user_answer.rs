//! Auth's answer to whose JWT this is: a user by id, nobody, or no answer at all.

use functions::Function;
use serde_json::Value as Json;

use crate::oracle::{assert_hidden, filters, status_and_body, strings, uuid};
use crate::project::{JWT, KEY, Post, Project, empty, response};

/// `data` is a status, a newline and a body; without a status it is 200.
pub fn target(data: &[u8]) {
    let (status, body) = status_and_body(data);
    let answer = response(status, body);
    let json: Json = serde_json::from_str(&answer.body).unwrap_or_default();
    let project = Project::new(move |request| match request.url.contains("/auth/v1/") {
        true => Ok(answer.clone()),
        false => empty(request),
    });
    let authorization = format!("Bearer {JWT}");
    let post = Post::new(&[("authorization", &authorization)], b"");
    let handled = project.handle(Function::SetupCalendarWebhook, &post);

    let user = json.get("id").and_then(Json::as_str).and_then(uuid).filter(|_| status == 200);
    let asked = project.asked();
    // The gateway's word on our own key; Auth has a code for everything.
    let is_about_key = json.get("message").and_then(Json::as_str).is_some_and(|it| !it.contains("JWT"))
        && ["code", "error_code", "msg"].iter().all(|name| json.get(name).is_none());
    let (expected, requests) = match (&user, status) {
        (Some(_), _) => (404, 2),
        (None, 401) if is_about_key => (503, 1),
        (None, 400 | 401 | 403 | 404) => (401, 1),
        (None, _) => (503, 1),
    };
    assert_eq!((handled.answer.status, asked.len()), (expected, requests));
    if let Some(user) = user {
        let looked_for = asked.get(1).map(|request| filters(&request.url)).unwrap_or_default();
        let own =
            [("provider".to_owned(), "eq.google".to_owned()), ("user_id".to_owned(), format!("eq.{user}"))];
        assert_eq!(looked_for, own);
    }
    let mut secrets = vec![JWT, KEY];
    // What the gateway says of our own key is logged, but for words that may be more than words.
    let mut hidden = json.clone();
    if status == 401 && is_about_key {
        if let Some(fields) = hidden.as_object_mut() {
            fields.remove("message");
        }
        let words = json.get("message").and_then(Json::as_str).unwrap_or_default();
        secrets.extend(words.split_whitespace().filter(|word| word.contains(['@', '/', '%'])));
    }
    strings(&hidden, &mut secrets);
    let told = format!("{}{}", project.log(), handled.answer.body.unwrap_or_default());
    assert_hidden(&told, secrets);
}
