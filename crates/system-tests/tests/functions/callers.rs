//! Who a caller is, as Auth and the database say, and what is answered when they do not.

use std::time::Duration;

use serde_json::Value;
use system_tests::{Caller, RECEIVE, REFRESH, SETUP};

use crate::case::cases;
use crate::moment::assert_between;
use crate::notification::Notification;
use crate::scene::Scene;
use crate::table::each;
use crate::tap::Spoil;

cases! {
    shared: [
        a_user_is_whom_auth_says,
        auth_that_does_not_answer_is_a_503,
        a_database_that_does_not_answer_is_a_503,
        a_database_that_refuses_is_told_from_one_that_does_not_answer,
        a_secret_key_that_is_not_known_is_told_so,
    ],
    alone: [],
}

const FUNCTIONS: [&str; 2] = [SETUP, REFRESH];

async fn a_user_is_whom_auth_says(scene: &Scene) {
    let (user, other) = (scene.user().await, scene.user().await);
    let theirs = scene.connection_of(other.id).await;
    let bearer_of = |token: &str| format!("Bearer {token}");
    for status in [401, 403] {
        let token = bearer_of(&user.token);
        scene.backdrop.tap.spoil(1, Spoil::Answer(status, r#"{"code":403,"msg":"no"}"#), move |asked| {
            asked.uri.starts_with("/auth/v1/user") && asked.header("authorization") == Some(token.as_str())
        });
        let answer = scene.call(SETUP, Caller::User(&user), "").await;
        assert_eq!(answer.outcome(), (401, "unauthenticated"), "{status}: {}", answer.text);
    }
    let answer = scene.call(SETUP, Caller::User(&user), "").await;
    assert_eq!(answer.outcome(), (404, "no_connection"));
    assert_eq!(scene.asked_google(&theirs, "watch").await, 0);
}

async fn auth_that_does_not_answer_is_a_503(scene: &Scene) {
    let rows = [
        ("500", Spoil::Answer(500, "{}")),
        ("502", Spoil::Answer(502, "<h1>Bad Gateway</h1>")),
        ("503", Spoil::Answer(503, "{}")),
        ("504", Spoil::Answer(504, "")),
        ("429", Spoil::Answer(429, "{}")),
        ("a cut connection", Spoil::Cut),
        ("no answer in 5 seconds", Spoil::Delay(Duration::from_secs(20))),
        ("HTML", Spoil::Answer(200, "<h1>Hello</h1>")),
    ];
    each(rows, |spoil| async move {
        let user = scene.user().await;
        let connection = scene.connection_of(user.id).await;
        let token = format!("Bearer {}", user.token);
        scene.backdrop.tap.spoil(None, spoil, move |asked| {
            asked.uri.starts_with("/auth/v1/user") && asked.header("authorization") == Some(token.as_str())
        });
        for function in FUNCTIONS {
            let answer = scene.call(function, Caller::User(&user), "").await;
            assert_eq!(answer.outcome(), (503, "auth_unavailable"), "{function}: {}", answer.text);
            assert_between(answer.took.as_secs_f64(), 0.0, 15.0, "the patience");
        }
        assert_eq!(scene.asked_google(&connection, "watch").await, 0);
    })
    .await;
}

async fn a_database_that_does_not_answer_is_a_503(scene: &Scene) {
    let rows = [
        ("400", Spoil::Answer(400, r#"{"code":"PGRST100"}"#)),
        ("404", Spoil::Answer(404, "{}")),
        ("500", Spoil::Answer(500, "{}")),
        ("503", Spoil::Answer(503, "{}")),
        ("HTML", Spoil::Answer(200, "<h1>Hello</h1>")),
        ("an object", Spoil::Answer(200, "{}")),
        ("a cut connection", Spoil::Cut),
        ("no answer in 5 seconds", Spoil::Delay(Duration::from_secs(20))),
    ];
    each(rows, |spoil| async move {
        let connection = scene.connection().await;
        let id = connection.id.to_string();
        scene.backdrop.tap.spoil(None, spoil, move |asked| asked.is_rest() && asked.uri.contains(&id));
        for function in FUNCTIONS {
            let answer = scene.call(function, Caller::Service, connection.target()).await;
            assert_eq!(answer.outcome(), (503, "database_unavailable"), "{function}: {}", answer.text);
        }
        assert_eq!(scene.asked_google(&connection, "watch").await, 0);
    })
    .await;
}

/// The refusals that a project meets: a key that is no longer accepted, a grant that is missing, a trigger of the
/// host's.
async fn a_database_that_refuses_is_told_from_one_that_does_not_answer(scene: &Scene) {
    let rows = [
        ("a key", (401, r#"{"message":"Invalid API key"}"#, "Invalid API key")),
        (
            "a grant",
            (
                403,
                r#"{"code":"42501","message":"permission denied for table calendar_connections"}"#,
                "permission denied for table calendar_connections: grant select, insert, update, delete on \
                 public.calendar_connections to service_role",
            ),
        ),
        (
            "a trigger",
            (400, r#"{"code":"P0001","message":"ada@example.com has no seat"}"#, "[…] has no seat"),
        ),
    ];
    each(rows, |(status, body, message)| async move {
        let connection = scene.open().await;
        let row = scene.row(&connection).await;
        let (id, hash) = (connection.id.to_string(), row["webhook_token_hash"].as_str().unwrap().to_owned());
        scene.backdrop.tap.spoil(None, Spoil::Answer(status, body), move |asked| {
            asked.is_rest() && (asked.uri.contains(&id) || asked.uri.contains(&hash))
        });
        for function in FUNCTIONS {
            let answer = scene.call(function, Caller::Service, connection.target()).await;
            assert_eq!(answer.outcome(), (503, "database_refused"), "{function}: {}", answer.text);
        }
        let answer = scene.notify(&Notification::of(&connection, &row, 2)).await;
        assert_eq!(answer.outcome(), (503, "database_refused"), "{}", answer.text);
        for function in [SETUP, REFRESH, RECEIVE] {
            let log = scene.stack().function_log(function);
            let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let told = lines.find(|line| line["event"] == "call_failed" && line["message"] == message);
            assert_eq!(told.unwrap_or_else(|| panic!("{message} in {log}"))["level"], "error");
        }
    })
    .await;
}

async fn a_secret_key_that_is_not_known_is_told_so(scene: &Scene) {
    let legacy = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.c2lnbmF0dXJl";
    for key in ["sb_secret_of_yesterday", legacy] {
        for headers in [[("apikey", key.to_owned())], [("authorization", format!("Bearer {key}"))]] {
            for function in FUNCTIONS {
                let answer = scene.call(function, Caller::With(&headers), "").await;
                assert_eq!(answer.outcome(), (401, "unauthenticated"), "{function}: {}", answer.text);
                assert!(answer.text.contains("this secret key is none of this project's"), "{}", answer.text);
            }
        }
    }
}
