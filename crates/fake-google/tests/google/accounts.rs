//! Tokens: how they are got, and what is said of bad ones.

use serde_json::json;

use crate::world::{ADA, BOB, World, assert_error, assert_oauth_error, event};

const SECRET: (&str, &str) = ("client_secret", "fake-client-secret");
const CLIENT: (&str, &str) = ("client_id", "fake-client-id");
const REFRESH: (&str, &str) = ("grant_type", "refresh_token");

#[tokio::test]
async fn a_renewal_gives_a_working_access_token_and_no_refresh_token() {
    let world = World::start().await;
    let grant = world.control("accounts", json!({"email": ADA, "access_token_seconds": 120})).await;
    let (status, answer) = world.renew_token(grant["refresh_token"].as_str().unwrap()).await;
    assert_eq!(status, 200);
    assert_eq!(answer["expires_in"], 120);
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["scope"], "https://www.googleapis.com/auth/calendar");
    assert_eq!(answer.get("refresh_token"), None);
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!(world.get("/calendars/primary/events", token).await.0, 200);
}

#[tokio::test]
async fn a_rotating_account_gets_a_new_refresh_token_and_the_old_one_is_over() {
    let world = World::start().await;
    let grant = world.control("accounts", json!({"email": ADA, "rotate_refresh_tokens": true})).await;
    let first = grant["refresh_token"].as_str().unwrap();
    let (_, answer) = world.renew_token(first).await;
    let second = answer["refresh_token"].as_str().unwrap();
    assert_oauth_error(&world.renew_token(first).await, 400, "invalid_grant");
    assert_eq!(world.renew_token(second).await.0, 200);
}

#[tokio::test]
async fn the_token_endpoint_says_what_is_wrong_with_a_request() {
    let world = World::start().await;
    let grant = world.control("accounts", json!({"email": ADA})).await;
    let token = ("refresh_token", grant["refresh_token"].as_str().unwrap());
    let unknown = ("refresh_token", "1//unknown");
    for (fields, status, error) in [
        (vec![CLIENT, SECRET, REFRESH, unknown], 400, "invalid_grant"),
        (vec![CLIENT, SECRET, REFRESH], 400, "invalid_request"),
        (vec![SECRET, REFRESH, token], 400, "invalid_request"),
        (vec![CLIENT, SECRET, token], 400, "invalid_request"),
        (vec![CLIENT, SECRET, ("grant_type", "password"), token], 400, "unsupported_grant_type"),
        (vec![CLIENT, ("client_secret", "wrong"), REFRESH, token], 401, "invalid_client"),
        (vec![("client_id", "wrong"), SECRET, REFRESH, token], 401, "invalid_client"),
    ] {
        assert_oauth_error(&world.token(&fields).await, status, error);
    }
}

#[tokio::test]
async fn a_replaced_client_is_refused_and_its_grants_are_not_the_new_one_s() {
    let world = World::start().await;
    let grant = world.control("accounts", json!({"email": ADA})).await;
    let token = ("refresh_token", grant["refresh_token"].as_str().unwrap());
    world.control("client", json!({"client_id": "other"})).await;
    assert_oauth_error(&world.token(&[CLIENT, SECRET, REFRESH, token]).await, 401, "invalid_client");
    let other = world.token(&[("client_id", "other"), SECRET, REFRESH, token]).await;
    assert_oauth_error(&other, 401, "unauthorized_client");
}

#[tokio::test]
async fn a_revoked_account_gets_invalid_grant_and_auth_error_and_others_do_not() {
    let world = World::start().await;
    let (ada, bob) = (world.control("accounts", json!({"email": ADA})).await, world.account(BOB).await);
    world.control("revoke", json!({"email": ADA})).await;
    let renewed = world.renew_token(ada["refresh_token"].as_str().unwrap()).await;
    assert_oauth_error(&renewed, 400, "invalid_grant");
    let listed = world.get("/calendars/primary/events", ada["access_token"].as_str().unwrap()).await;
    assert_error(&listed, 401, "authError");
    assert_eq!(world.get("/calendars/primary/events", &bob).await.0, 200);
}

#[tokio::test]
async fn revoking_an_access_token_revokes_its_grant_once() {
    let world = World::start().await;
    let grant = world.control("accounts", json!({"email": ADA})).await;
    let form = [("token", grant["access_token"].as_str().unwrap())];
    let revoke = async || {
        let url = format!("{}/revoke", world.google.url());
        world.http.post(url).form(&form).send().await.unwrap().status()
    };
    assert_eq!(revoke().await, 200);
    assert_eq!(revoke().await, 400);
    assert_oauth_error(
        &world.renew_token(grant["refresh_token"].as_str().unwrap()).await,
        400,
        "invalid_grant",
    );
}

#[tokio::test]
async fn expired_unknown_and_missing_access_tokens_are_401_in_google_s_words() {
    let world = World::start().await;
    let grant = world.control("accounts", json!({"email": ADA})).await;
    world.control("expire-access-tokens", json!({"email": ADA})).await;
    let expired = world.get("/calendars/primary/events", grant["access_token"].as_str().unwrap()).await;
    assert_eq!(expired.0, 401);
    let detail = json!({
        "domain": "global", "reason": "authError", "message": "Invalid Credentials",
        "location": "Authorization", "locationType": "header",
    });
    let error = json!({
        "code": 401, "message": "Invalid Credentials", "status": "UNAUTHENTICATED", "errors": [detail],
    });
    assert_eq!(expired.1, json!({"error": error}));
    assert_error(&world.get("/calendars/primary/events", "ya29.unknown").await, 401, "authError");
    let url = format!("{}/calendars/primary/events", world.google.calendar_api_url());
    assert_eq!(world.http.get(url).send().await.unwrap().status(), 401);
    assert_eq!(world.renew_token(grant["refresh_token"].as_str().unwrap()).await.0, 200);
}

#[tokio::test]
async fn scopes_decide_what_a_token_may_do() {
    let world = World::start().await;
    let token = async |scope: &str| {
        let answer = world.control("accounts", json!({"email": ADA, "scopes": [scope]})).await;
        answer["access_token"].as_str().unwrap().to_owned()
    };
    let foreign = token("https://www.googleapis.com/auth/drive").await;
    let listed = world.get("/calendars/primary/events", &foreign).await;
    assert_error(&listed, 403, "insufficientPermissions");
    let reader = token("https://www.googleapis.com/auth/calendar.readonly").await;
    assert_eq!(world.get("/calendars/primary/events", &reader).await.0, 200);
    let inserted = world.post("/calendars/primary/events", &reader, event("x", 9)).await;
    assert_error(&inserted, 403, "insufficientPermissions");
}
