//! The headers of a notification: which are refused unasked, and whose calendar the others ask about.

use functions::{Function, Incoming};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::oracle::{assert_hidden, filters};
use crate::project::{Post, Project, empty};

#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Refused(u16),
    Asked { channel: String, token_hash: String, number: i128, is_sync: bool },
}

/// `data` is the head of a request, `name: value` a line.
pub fn target(data: &[u8]) {
    let post = Post::with_head(data);
    let project = Project::new(empty);
    let handled = project.handle(Function::GoogleCalendarWebhook, &post);
    let asked = project.asked();
    match expected(&post) {
        Expected::Refused(status) => {
            assert_eq!(handled.answer.status, status);
            assert!(asked.is_empty(), "a refused notification reaches nobody");
        }
        Expected::Asked { channel, token_hash, number, is_sync } => {
            assert_eq!(handled.answer.status, if is_sync { 200 } else { 404 });
            assert!(!asked.is_empty());
            for request in &asked {
                assert!(request.url.starts_with("https://project.supabase.co/rest/v1/calendar_connections?"));
                let filters = filters(&request.url);
                let is = |name: &'static str| filters.iter().filter(move |(column, _)| column == name);
                assert!(is("webhook_token_hash").all(|(_, value)| *value == format!("eq.{token_hash}")));
                assert_eq!(is("webhook_token_hash").count(), 1);
                for (_, value) in is("webhook_id").chain(is("webhook_pending_id")) {
                    let (operator, operand) = value.split_once('.').unwrap_or_default();
                    assert!(operator == "eq" || operator == "isdistinct", "{value}");
                    assert_eq!(operand, channel);
                }
                let body: Json = request
                    .body
                    .as_deref()
                    .and_then(|body| serde_json::from_str(body).ok())
                    .unwrap_or_default();
                let stored = body.get("webhook_message_number").and_then(Json::as_i64);
                assert!(stored.is_none_or(|stored| i128::from(stored) == if is_sync { 1 } else { number }));
            }
            let others = ["x-goog-channel-token", "authorization", "apikey"].map(|name| post.header(name));
            for request in &asked {
                assert_hidden(&request.url, others.iter().flatten().map(String::as_str));
            }
        }
    }
    let token = post.header("x-goog-channel-token");
    let told = format!("{}{}", project.log(), handled.answer.body.unwrap_or_default());
    assert_hidden(&told, token.as_deref());
}

fn expected(post: &Post) -> Expected {
    let header = |name: &str| post.header(name).unwrap_or_default();
    let Some(token) = post.header("x-goog-channel-token") else { return Expected::Refused(401) };
    let channel = header("x-goog-channel-id");
    let in_alphabet = |c: char| c.is_ascii_alphanumeric() || "-_+/=".contains(c);
    let is_channel = !channel.is_empty() && channel.chars().count() <= 64 && channel.chars().all(in_alphabet);
    let number = header("x-goog-message-number");
    let digits = number.trim_start_matches('0');
    let is_number = number.chars().all(|c| "0123456789".contains(c))
        && (1..=19).contains(&digits.len())
        && (digits.len() < 19 || digits <= "9223372036854775807");
    let resource = header("x-goog-resource-id").len();
    let state = header("x-goog-resource-state");
    if !is_channel || !is_number || resource == 0 || resource > 1024 || state.is_empty() || token.len() > 256
    {
        return Expected::Refused(400);
    }
    if token.chars().count() != 64 || token.chars().any(|c| !"0123456789abcdefABCDEF".contains(c)) {
        return Expected::Refused(404);
    }
    Expected::Asked {
        channel,
        token_hash: Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect(),
        number: digits.parse().unwrap_or_default(),
        is_sync: state == "sync",
    }
}
