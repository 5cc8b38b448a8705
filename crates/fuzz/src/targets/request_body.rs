//! The body of a request to setup or refresh: whom it names, and that a user's names nobody else's.

use functions::Function;
use serde_json::Value as Json;

use crate::oracle::{assert_hidden, filters, strings, uuid};
use crate::project::{JWT, KEY, Post, Project, USER, empty, response};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Named {
    Nonsense,
    Everybody,
    These { connection: Option<String>, user: Option<String> },
}

pub fn target(data: &[u8]) {
    let named = named(data);
    for function in [Function::SetupCalendarWebhook, Function::RefreshCalendarWebhook] {
        for user in [None, Some(USER)] {
            check(data, &named, function, user);
        }
    }
}

fn check(data: &[u8], named: &Named, function: Function, caller: Option<&str>) {
    let authorization = format!("Bearer {JWT}");
    let headers = match caller {
        Some(_) => [("authorization", authorization.as_str())],
        None => [("apikey", KEY)],
    };
    let project = Project::new(|request| match request.url.contains("/auth/v1/") {
        true => Ok(response(200, format!(r#"{{"id":"{USER}"}}"#).as_bytes())),
        false => empty(request),
    });
    let handled = project.handle(function, &Post::new(&headers, data));
    let mut asked = project.asked();
    asked.retain(|request| !request.url.contains("/auth/v1/"));
    let outcome = (handled.answer.status, asked.len());
    match (named, caller) {
        (Named::Nonsense, _) => assert_eq!(outcome, (400, 0)),
        (Named::Everybody, None) if function == Function::SetupCalendarWebhook => {
            assert_eq!(outcome, (400, 0))
        }
        (Named::Everybody, None) => assert_eq!(handled.answer.status, 200, "a sweep"),
        (Named::Everybody, Some(caller)) => {
            assert_eq!(outcome, (404, 1));
            assert_eq!(looked_for(&asked), expected(&None, &None, Some(caller)));
        }
        (Named::These { connection, user }, caller) => {
            assert_eq!(outcome, (404, 1));
            assert_eq!(looked_for(&asked), expected(connection, user, caller));
        }
    }
    let json: Json = serde_json::from_slice(data).unwrap_or_default();
    let mut secrets = vec![KEY, JWT];
    strings(&json, &mut secrets);
    let told = format!("{}{}", project.log(), handled.answer.body.unwrap_or_default());
    assert_hidden(&told, secrets);
}

fn looked_for(asked: &[adapters::http::HttpRequest]) -> Vec<(String, String)> {
    asked.first().map(|request| filters(&request.url)).unwrap_or_default()
}

fn expected(
    connection: &Option<String>,
    user: &Option<String>,
    caller: Option<&str>,
) -> Vec<(String, String)> {
    let mut filters = vec![("provider".to_owned(), "eq.google".to_owned())];
    filters.extend(connection.as_ref().map(|id| ("id".to_owned(), format!("eq.{id}"))));
    filters.extend(user.as_ref().map(|id| ("user_id".to_owned(), format!("eq.{id}"))));
    filters.extend(caller.map(|id| ("user_id".to_owned(), format!("eq.{id}"))));
    filters.sort();
    filters
}

fn named(body: &[u8]) -> Named {
    let Some(text) = std::str::from_utf8(body).ok().filter(|text| text.len() <= 16 * 1024) else {
        return Named::Nonsense;
    };
    if text.chars().all(char::is_whitespace) {
        return Named::Everybody;
    }
    let Ok(Json::Object(fields)) = serde_json::from_str(text) else { return Named::Nonsense };
    let mut named = Vec::new();
    for name in ["connection_id", "user_id"] {
        named.push(match fields.get(name) {
            None | Some(Json::Null) => None,
            Some(Json::String(text)) => match uuid(text) {
                Some(id) => Some(id),
                None => return Named::Nonsense,
            },
            Some(_) => return Named::Nonsense,
        });
    }
    let (user, connection) = (named.pop().flatten(), named.pop().flatten());
    match (&connection, &user) {
        (None, None) => Named::Everybody,
        _ => Named::These { connection, user },
    }
}
