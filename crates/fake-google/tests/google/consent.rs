//! The way through the browser.

use reqwest::Url;

use crate::world::{ADA, World, assert_oauth_error};

const CALLBACK: &str = "https://app.example/callback?from=google";

fn fields<'a>(decision: &'a str, email: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("client_id", "fake-client-id"),
        ("redirect_uri", CALLBACK),
        ("scope", "openid https://www.googleapis.com/auth/calendar"),
        ("state", "a&b"),
        ("access_type", "offline"),
        ("email", email),
        ("decision", decision),
    ]
}

/// Submits the page's form. → the parameters that the app gets.
async fn decide(world: &World, fields: &[(&str, &str)]) -> Vec<(String, String)> {
    let response = world.http.post(world.google.consent_url()).form(fields).send().await.unwrap();
    assert_eq!(response.status(), 303);
    let back: Url = response.headers()["location"].to_str().unwrap().parse().unwrap();
    assert!(back.as_str().starts_with(CALLBACK));
    back.query_pairs().into_owned().collect()
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
}

fn exchange<'a>(code: &'a str, redirect_uri: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("client_id", "fake-client-id"),
        ("client_secret", "fake-client-secret"),
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect_uri),
    ]
}

#[tokio::test]
async fn allowing_gives_a_code_that_is_worth_tokens_once() {
    let world = World::start().await;
    let back = decide(&world, &fields("allow", ADA)).await;
    assert_eq!((value(&back, "from"), value(&back, "state")), (Some("google"), Some("a&b")));
    let code = value(&back, "code").unwrap();
    let (status, tokens) = world.token(&exchange(code, CALLBACK)).await;
    assert_eq!(status, 200, "{tokens}");
    assert_eq!((&tokens["expires_in"], &tokens["token_type"]), (&3599.into(), &"Bearer".into()));
    assert_eq!(tokens["scope"], "openid https://www.googleapis.com/auth/calendar");
    assert_eq!(world.renew_token(tokens["refresh_token"].as_str().unwrap()).await.0, 200);
    let list = world.get("/calendars/primary/events", tokens["access_token"].as_str().unwrap()).await;
    assert_eq!((list.0.as_u16(), &list.1["summary"]), (200, &ADA.into()));
    assert_oauth_error(&world.token(&exchange(code, CALLBACK)).await, 400, "invalid_grant");
}

#[tokio::test]
async fn only_offline_access_comes_with_a_refresh_token() {
    let world = World::start().await;
    let online: Vec<_> =
        fields("allow", ADA).into_iter().filter(|(name, _)| *name != "access_type").collect();
    let back = decide(&world, &online).await;
    let (_, tokens) = world.token(&exchange(value(&back, "code").unwrap(), CALLBACK)).await;
    assert!(tokens["access_token"].is_string());
    assert_eq!(tokens.get("refresh_token"), None);
}

#[tokio::test]
async fn denying_sends_access_denied_and_the_state_back() {
    let world = World::start().await;
    let back = decide(&world, &fields("deny", "")).await;
    assert_eq!((value(&back, "error"), value(&back, "state")), (Some("access_denied"), Some("a&b")));
    assert_eq!(value(&back, "code"), None);
}

#[tokio::test]
async fn a_code_is_bound_to_its_redirect_uri() {
    let world = World::start().await;
    let back = decide(&world, &fields("allow", ADA)).await;
    let answer = world.token(&exchange(value(&back, "code").unwrap(), "https://evil.example/")).await;
    assert_oauth_error(&answer, 400, "redirect_uri_mismatch");
}

#[tokio::test]
async fn the_page_names_app_scopes_and_hint_and_cannot_be_injected_into() {
    let world = World::start().await;
    let page = async |client_id: &str, hint: &str| {
        let query = [
            ("client_id", client_id),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", "https://www.googleapis.com/auth/calendar"),
            ("login_hint", hint),
        ];
        let response = world.http.get(world.google.consent_url()).query(&query).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    };
    let (status, html) = page("fake-client-id", "\"><script>").await;
    assert_eq!(status, 200);
    assert!(html.contains("<b>Sessions around a calendar</b> wants access"));
    let scope =
        "<li title=\"https://www.googleapis.com/auth/calendar\">See, edit, share, and permanently delete";
    assert!(html.contains(scope));
    assert!(html.contains("value=\"&quot;&gt;&lt;script&gt;\""));
    assert!(!html.contains("<script"));
    let (status, html) = page("unknown", ADA).await;
    assert_eq!(status, 401);
    assert!(html.contains("Error 401: invalid_client"));
}
