//! Notifications that Google never sent: refused as documented, and without a trace in any row.

use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    notification::Notification,
    scene::{RECEIVE, Scene, cases},
};

cases! {
    shared: [
        a_forged_malformed_or_oversized_notification_changes_nothing,
        a_valid_token_does_not_reach_the_channel_of_another_connection,
        only_post_is_allowed,
    ],
    alone: [],
}

const MALFORMED: (u16, &str) = (400, "invalid_request");
const NO_TOKEN: (u16, &str) = (401, "unauthenticated");
const UNKNOWN: (u16, &str) = (404, "unknown_channel");

async fn a_forged_malformed_or_oversized_notification_changes_nothing(scene: &Scene) {
    let connection = scene.open().await;
    let other = scene.open().await;
    let row = scene.row(&connection).await;
    let row_of_other = scene.row(&other).await;
    // All of it is right, the token included, but for what a row changes. Number 9 would be a change.
    let good = || Notification::of(&connection, &row, 9);
    let random = || format!("{:064x}", Uuid::new_v4().as_u128());
    let forged = || good().token(random());

    let mut rows: Vec<(String, Notification, (u16, &str))> = Vec::new();
    let mut row_of =
        |label: &str, notification, expected| rows.push((label.to_owned(), notification, expected));

    row_of("no token", Notification { token: None, ..good() }, NO_TOKEN);
    row_of("no token and nothing else", bare(), NO_TOKEN);
    row_of("no token, bad channel", Notification { token: None, ..good() }.channel("a b"), NO_TOKEN);
    row_of("no token, bad number", Notification { token: None, ..good() }.number("x"), NO_TOKEN);
    row_of("no token, sync", Notification { token: None, ..good() }.state("sync"), NO_TOKEN);

    let token = &connection.token;
    for (label, token) in [
        ("another token", random()),
        ("63 digits", token[..63].to_owned()),
        ("65 digits", format!("{token}0")),
        ("upper case", token.to_uppercase()),
        ("a letter beyond f", format!("{}g", &token[..63])),
        ("the token's hash", connection.token_hash.clone()),
        ("the token twice", format!("{token},{token}")),
        ("the token and a space inside", format!("{} {}", &token[..32], &token[32..])),
        ("the token in quotes", format!("\"{token}\"")),
        ("one character", "0".to_owned()),
        ("a pattern", "*".to_owned()),
        ("an operator", format!("neq.{}", &token[..60])),
        ("a list", format!("in.({})", connection.token_hash)),
        ("another filter", format!("{}&id=not.is.null", &token[..40])),
        ("SQL", "' or 1=1; drop table calendar_connections; --".to_owned()),
        ("256 bytes", "a".repeat(256)),
        ("null", "null".to_owned()),
        ("a path", "../../etc/passwd".to_owned()),
        ("percent encoding", "%27%20or%20true".to_owned()),
    ] {
        row_of(&format!("token: {label}"), good().token(&token), UNKNOWN);
    }
    row_of("token: 257 bytes", good().token("a".repeat(257)), MALFORMED);
    row_of("token: 8 KB", good().token("a".repeat(8192)), MALFORMED);
    let bytes = Notification { token: Some(vec![0xff; 64]), ..good() };
    row_of("token: bytes beyond ASCII", bytes, UNKNOWN);

    for (label, channel) in [
        ("empty", String::new()),
        ("65 characters", "a".repeat(65)),
        ("8 KB", "a".repeat(8192)),
        ("a space", "a b".to_owned()),
        ("a comma", "a,b".to_owned()),
        ("parentheses", "in.(a)".to_owned()),
        ("an operator", "eq.a".to_owned()),
        ("a star", "*".to_owned()),
        ("an ampersand", "a&id=eq.1".to_owned()),
        ("a question mark", "a?b".to_owned()),
        ("a percent sign", "a%20b".to_owned()),
        ("a quote", "a\"b".to_owned()),
        ("SQL", "';--".to_owned()),
        ("a colon", "a:b".to_owned()),
    ] {
        row_of(&format!("channel: {label}"), good().channel(&channel), MALFORMED);
        row_of(&format!("channel, unknown token: {label}"), forged().channel(&channel), MALFORMED);
    }
    row_of("channel: none", Notification { channel: None, ..good() }, MALFORMED);
    let bytes = Notification { channel: Some("zürich".as_bytes().to_vec()), ..good() };
    row_of("channel: beyond ASCII", bytes, MALFORMED);
    let bytes = Notification { channel: Some(vec![0xc3, 0x28, 0xff]), ..good() };
    row_of("channel: no UTF-8", bytes, MALFORMED);

    for number in [
        "",
        "0",
        "-1",
        "+5",
        "1.5",
        "1e3",
        "5.",
        "abc",
        "0x10",
        "5 5",
        "5,6",
        "٥",
        "NaN",
        "Infinity",
        "9_000",
        "9223372036854775808",
        "18446744073709551616",
        "99999999999999999999999999",
    ] {
        let bad = good().number(number);
        row_of(&format!("number: {number:?}"), bad, MALFORMED);
    }
    row_of("number: a thousand digits", good().number("9".repeat(1000)), MALFORMED);
    row_of("number: none", Notification { number: None, ..good() }, MALFORMED);
    row_of("number of a sync: none", Notification { number: None, ..good() }.state("sync"), MALFORMED);

    row_of("resource: none", Notification { resource: None, ..good() }, MALFORMED);
    row_of("resource: empty", good().resource(""), MALFORMED);
    row_of("resource: 1025 bytes", good().resource("a".repeat(1025)), MALFORMED);
    row_of("resource: 1024 bytes, unknown token", forged().resource("a".repeat(1024)), UNKNOWN);
    row_of("state: none", Notification { state: None, ..good() }, MALFORMED);
    row_of("state: empty", good().state(""), MALFORMED);
    row_of("state: unknown, unknown token", forged().state("gone"), UNKNOWN);

    let channel = row["webhook_id"].as_str().unwrap();
    row_of("unknown token, current channel", forged().channel(channel), UNKNOWN);
    row_of("unknown token, unknown channel", forged().channel("x".repeat(64)), UNKNOWN);
    row_of("unknown token, largest number", forged().number(i64::MAX), UNKNOWN);
    row_of("own token, sync of an unknown channel", good().channel("unknown").state("sync"), (200, ""));
    row_of("own token, sync of the current channel again", good().state("sync"), (200, ""));

    assert!(rows.len() >= 60, "{}", rows.len());
    for (label, notification, expected) in rows {
        let answer = scene.notify(&notification).await;
        assert_eq!(answer.outcome(), expected, "{label}: {}", answer.text);
        assert_eq!(scene.row(&connection).await, row, "{label}");
    }
    for body in [vec![b'a'; 1 << 20], b"{\"token\":1}".to_vec()] {
        let answer = scene.notify_with(Method::POST, &forged(), body).await;
        assert_eq!(answer.outcome(), UNKNOWN, "{}", answer.text);
    }
    assert_eq!(scene.row(&connection).await, row);
    assert_eq!(scene.row(&other).await, row_of_other);
    assert_eq!(scene.runs(&connection).await.len() + scene.runs(&other).await.len(), 2);
    assert_eq!(scene.live_channels(&connection).await, [channel]);
}

fn bare() -> Notification {
    Notification { channel: None, token: None, resource: None, state: None, number: None }
}

async fn a_valid_token_does_not_reach_the_channel_of_another_connection(scene: &Scene) {
    let (attacker, victim) = (scene.open().await, scene.open().await);
    let row = scene.row(&victim).await;
    let of_victim = Notification::of(&victim, &row, 5).token(&attacker.token);
    assert_eq!(scene.notify(&of_victim).await.status, 200);
    let answer = scene.notify(&of_victim.clone().state("sync")).await;
    assert_eq!(answer.status, 200);
    // It counts as an orphan of the attacker's own, whose consent stops no channel of somebody else.
    crate::scene::until("the run", || async { (scene.runs(&attacker).await.len() == 2).then_some(()) }).await;
    scene.settled(&attacker).await;
    assert_eq!(scene.row(&victim).await, row);
    assert_eq!(scene.live_channels(&victim).await, [row["webhook_id"].as_str().unwrap()]);
    assert_eq!(scene.runs(&victim).await.len(), 1);
}

async fn only_post_is_allowed(scene: &Scene) {
    let connection = scene.open().await;
    let row = scene.row(&connection).await;
    let change = Notification::of(&connection, &row, 9);
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        let method: Method = method.parse().unwrap();
        let request = scene.request(method.clone(), RECEIVE).headers(change.headers().into_iter().collect());
        let answer = scene.send(request).await;
        assert_eq!(answer.status, 405, "{method}: {}", answer.text);
        assert_eq!(answer.header("allow"), "POST", "{method}");
        if method != Method::HEAD {
            assert_eq!(answer.outcome().1, "method_not_allowed");
        }
    }
    assert_eq!(scene.row(&connection).await, row);
    assert_ne!(row["webhook_id"], Value::Null);
}
