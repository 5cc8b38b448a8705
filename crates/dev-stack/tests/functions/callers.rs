//! Who may ask for what: every kind of credential, at setup and at refresh, for every kind of target.

use std::time::Duration;

use dev_stack::Keys;
use serde_json::json;
use uuid::Uuid;

use crate::{
    scene::{Caller, REFRESH, SETUP, Scene, assert_between, cases},
    table::each,
    tap::Spoil,
    token,
};

cases! {
    shared: [
        credentials_that_prove_nothing_are_refused,
        a_user_and_a_service_reach_what_is_theirs,
        a_users_body_names_nobody_else,
        a_user_is_whom_auth_says,
        auth_that_does_not_answer_is_a_503,
        a_database_that_does_not_answer_is_a_503,
    ],
    alone: [],
}

const FUNCTIONS: [&str; 2] = [SETUP, REFRESH];

fn bearer(token: impl ToString) -> (&'static str, String) {
    ("authorization", format!("Bearer {}", token.to_string()))
}

fn apikey(key: impl ToString) -> (&'static str, String) {
    ("apikey", key.to_string())
}

async fn credentials_that_prove_nothing_are_refused(scene: &Scene) {
    let (user, other) = (scene.user().await, scene.user().await);
    let connection = scene.connection_of(user.id).await;
    let before = scene.row(&connection).await;

    let genuine = token::claims(&user.token);
    let claims = |field: &str, value| {
        let mut claims = genuine.clone();
        claims[field] = value;
        claims
    };
    let secret = scene.jwt_secret();
    let expired = token::sign(&claims("exp", json!(1_700_000_000)), secret);
    let service_role =
        json!({ "iss": "supabase", "role": "service_role", "iat": 0, "exp": 4_000_000_000_u64 });
    let (key, other_key) = match scene.world.kind.keys {
        Keys::Current => (scene.secret_key(), scene.legacy_service_role_key()),
        Keys::Legacy => (scene.legacy_service_role_key(), scene.secret_key()),
    };
    let flipped = format!("{}{}", &user.token[..user.token.len() - 4], "AAAA");

    let mut rows: Vec<(&str, Vec<(&'static str, String)>)> = vec![
        ("nothing", vec![]),
        ("a publishable key", vec![apikey(scene.publishable_key())]),
        ("a publishable key as token", vec![bearer(scene.publishable_key())]),
        ("a publishable key twice", vec![apikey(scene.publishable_key()), bearer(scene.publishable_key())]),
        ("a legacy anon key", vec![apikey(scene.legacy_anon_key()), bearer(scene.legacy_anon_key())]),
        ("a user's token as key", vec![apikey(&user.token)]),
        ("an expired token", vec![apikey(scene.publishable_key()), bearer(&expired)]),
        ("an unsigned token", vec![bearer(token::unsigned(&genuine))]),
        ("an unsigned service token", vec![bearer(token::unsigned(&service_role))]),
        ("a token of another secret", vec![bearer(token::sign(&genuine, "another secret"))]),
        ("a service token of another secret", vec![bearer(token::sign(&service_role, "another secret"))]),
        ("a token with another signature", vec![bearer(&flipped)]),
        ("a token without a signature", vec![bearer(&user.token[..user.token.rfind('.').unwrap()])]),
        ("another scheme", vec![("authorization", format!("Basic {}", user.token))]),
        ("no scheme", vec![("authorization", user.token.clone())]),
        ("an empty token", vec![("authorization", "Bearer ".to_owned())]),
        ("garbage", vec![bearer("a.b.c")]),
        ("a long token", vec![bearer("a".repeat(10_000))]),
        ("a token of nobody", vec![bearer(token::sign(&claims("sub", json!(Uuid::new_v4())), secret))]),
        ("an empty key", vec![apikey("")]),
        ("a key with more behind it", vec![apikey(format!("{key}x"))]),
        ("a key with a line of nothing behind it", vec![apikey(format!("{key}%0a"))]),
        ("half a key", vec![apikey(&key[..key.len() / 2])]),
        ("a key without its last character", vec![apikey(&key[..key.len() - 1])]),
        ("a key in other letters", vec![apikey(key.to_uppercase())]),
        ("a wrong secret key", vec![apikey("sb_secret_wrong")]),
        ("a wrong secret key as token", vec![bearer("sb_secret_wrong")]),
        ("a key with more behind it as token", vec![bearer(format!("{key}x"))]),
        ("a key in a list", vec![apikey(format!("{key},{key}"))]),
        ("a key as password", vec![("authorization", format!("Basic {key}"))]),
        ("the other generation's secret key", vec![apikey(other_key)]),
        ("the other generation's secret key as token", vec![bearer(other_key)]),
        ("the JWT secret", vec![apikey(secret)]),
        ("a channel token", vec![apikey(&connection.token), bearer(&connection.token)]),
    ];
    rows.push(("an access token of Google's", vec![bearer(before["access_token"].as_str().unwrap())]));
    for (_, headers) in &rows {
        for (_, value) in headers {
            let token = value.trim_start_matches("Bearer ");
            if token.len() > 100 {
                scene.keep_secret(token);
            }
        }
    }
    let targets = [
        json!({}),
        connection.target(),
        json!({ "user_id": other.id }),
        json!({ "connection_id": Uuid::new_v4() }),
    ];
    let (rows, targets) = (&rows, &targets);
    each(rows.iter().map(|row| (row.0, &row.1)), |headers| async move {
        for function in FUNCTIONS {
            for target in targets {
                let answer = scene.call(function, Caller::With(headers), target).await;
                assert_eq!(
                    answer.outcome(),
                    (401, "unauthenticated"),
                    "{function} {target}: {}",
                    answer.text
                );
            }
        }
    })
    .await;
    assert_eq!(scene.row(&connection).await, before);
    assert_eq!(scene.asked_google(&connection, "watch").await, 0);
}

async fn a_user_and_a_service_reach_what_is_theirs(scene: &Scene) {
    let (user, other) = (scene.user().await, scene.user().await);
    let own = scene.connection_of(user.id).await;
    let theirs = scene.connection_of(other.id).await;
    scene.open_channel(&own).await;
    scene.open_channel(&theirs).await;
    scene.set(&own, "webhook_opened_at = now() + interval '10 minutes'").await;
    scene.set(&theirs, "webhook_opened_at = now() + interval '10 minutes'").await;

    let service_key = match scene.world.kind.keys {
        Keys::Current => scene.secret_key(),
        Keys::Legacy => scene.legacy_service_role_key(),
    };
    let with_key = [apikey(scene.publishable_key()), bearer(&user.token)];
    let without_key = [bearer(&user.token)];
    let in_lower_case = [("authorization", format!("bearer {}", user.token))];
    let key_as_apikey = [apikey(service_key)];
    let key_as_token = [bearer(service_key)];
    let key_and_publishable = [apikey(scene.publishable_key()), bearer(service_key)];

    const NONE: (u16, &str) = (404, "no_connection");
    let well = |function| if function == SETUP { (200, "") } else { (429, "too_soon") };
    for (name, headers, is_user) in [
        ("a user", &with_key[..], true),
        ("a user without a key", &without_key[..], true),
        ("a user in lower case", &in_lower_case[..], true),
        ("a secret key", &key_as_apikey[..], false),
        ("a secret key as token", &key_as_token[..], false),
        ("a secret key beside a publishable one", &key_and_publishable[..], false),
    ] {
        for function in FUNCTIONS {
            let ask = |target| scene.call(function, Caller::With(headers), target);
            let case = format!("{name}, {function}");
            assert_eq!(ask(own.target()).await.outcome(), well(function), "{case}: own");
            let others = if is_user { NONE } else { well(function) };
            assert_eq!(ask(theirs.target()).await.outcome(), others, "{case}: of another");
            assert_eq!(
                ask(json!({ "connection_id": Uuid::new_v4() })).await.outcome(),
                NONE,
                "{case}: unknown"
            );
            match (is_user, function) {
                (true, _) => assert_eq!(ask(json!({})).await.outcome(), well(function), "{case}: none"),
                (false, SETUP) => {
                    assert_eq!(ask(json!({})).await.outcome(), (400, "invalid_request"), "{case}: none");
                }
                // That would be a sweep.
                (false, _) => {}
            }
        }
    }
}

async fn a_users_body_names_nobody_else(scene: &Scene) {
    let (user, other) = (scene.user().await, scene.user().await);
    let own = scene.connection_of(user.id).await;
    let theirs = scene.connection_of(other.id).await;
    let before = scene.row(&theirs).await;
    for function in FUNCTIONS {
        for body in [
            json!({ "user_id": other.id }),
            json!({ "connection_id": theirs.id, "user_id": other.id }),
            json!({ "connection_id": theirs.id, "user_id": user.id }),
        ] {
            let answer = scene.call(function, Caller::User(&user), &body).await;
            assert!(!answer.text.contains(&other.id.to_string()), "{body}: {}", answer.text);
            assert!([200, 400, 404, 429].contains(&answer.status), "{body}: {}", answer.text);
        }
    }
    assert_eq!(scene.row(&theirs).await, before);
    assert!(scene.runs(&theirs).await.is_empty());
    assert!(scene.runs(&own).await.len() <= 2);
}

async fn a_user_is_whom_auth_says(scene: &Scene) {
    let (user, other) = (scene.user().await, scene.user().await);
    let theirs = scene.connection_of(other.id).await;
    let bearer_of = |token: &str| format!("Bearer {token}");
    for status in [401, 403] {
        let token = bearer_of(&user.token);
        scene.world.tap.spoil(1, Spoil::Answer(status, r#"{"code":403,"msg":"no"}"#), move |asked| {
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
        ("no answer in 5 seconds", Spoil::Delay(Duration::from_secs(7))),
        ("HTML", Spoil::Answer(200, "<h1>Hello</h1>")),
    ];
    each(rows, |spoil| async move {
        let user = scene.user().await;
        let connection = scene.connection_of(user.id).await;
        let token = format!("Bearer {}", user.token);
        scene.world.tap.spoil(None, spoil, move |asked| {
            asked.uri.starts_with("/auth/v1/user") && asked.header("authorization") == Some(token.as_str())
        });
        for function in FUNCTIONS {
            let answer = scene.call(function, Caller::User(&user), "").await;
            assert_eq!(answer.outcome(), (503, "auth_unavailable"), "{function}: {}", answer.text);
            assert_between(answer.took.as_secs_f64(), 0.0, 6.5, "the patience");
        }
        assert_eq!(scene.asked_google(&connection, "watch").await, 0);
    })
    .await;
}

async fn a_database_that_does_not_answer_is_a_503(scene: &Scene) {
    let rows = [
        ("400", Spoil::Answer(400, r#"{"code":"PGRST100"}"#)),
        ("401", Spoil::Answer(401, r#"{"message":"JWT expired"}"#)),
        ("404", Spoil::Answer(404, "{}")),
        ("500", Spoil::Answer(500, "{}")),
        ("503", Spoil::Answer(503, "{}")),
        ("HTML", Spoil::Answer(200, "<h1>Hello</h1>")),
        ("an object", Spoil::Answer(200, "{}")),
        ("a cut connection", Spoil::Cut),
        ("no answer in 5 seconds", Spoil::Delay(Duration::from_secs(7))),
    ];
    each(rows, |spoil| async move {
        let connection = scene.connection().await;
        let id = connection.id.to_string();
        scene.world.tap.spoil(None, spoil, move |asked| asked.is_rest() && asked.uri.contains(&id));
        for function in FUNCTIONS {
            let answer = scene.call(function, Caller::Service, connection.target()).await;
            assert_eq!(answer.outcome(), (503, "database_unavailable"), "{function}: {}", answer.text);
        }
        assert_eq!(scene.asked_google(&connection, "watch").await, 0);
    })
    .await;
}
