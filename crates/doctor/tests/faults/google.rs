//! Google's side: the consent, the calendar, the client, the API.

use serde_json::json;
use system_tests::{Connection, SETUP};

use crate::case::cases;
use crate::world::World;

cases! {
    a_dead_consent_is_told_with_what_google_said,
    consents_that_die_after_a_week_are_told_to_be_of_testing,
    what_only_the_users_administrator_can_mend_is_told,
    a_scope_that_nobody_has_is_the_apps,
    a_connection_without_a_refresh_token_is_told,
    a_calendar_without_push_is_told,
    an_exhausted_quota_is_told,
    what_else_google_refuses_is_told_by_its_reason,
    a_wrong_client_secret_is_told_here_and_where_it_is_deployed,
}

async fn a_dead_consent_is_told_with_what_google_said(world: &mut World) {
    let connection = world.open().await;
    world.google_control("revoke", json!({ "email": connection.email })).await;
    assert_eq!(world.refresh(&connection).await, 409);
    world.wait(&connection, "webhook_error is not null and sync_lease_until = 'epoch'").await;
    let report = world.examine().await;
    report.finds(&[(
        "connections",
        "reconnect_required",
        "reconnect_required: 1 connection, Google no longer accepts the consent, as after access was revoked or a \
         password changed (Google says invalid_grant)",
    )]);
    assert!(report.text.contains(&format!("      {}\n", connection.id)), "{}", report.text);
}

async fn consents_that_die_after_a_week_are_told_to_be_of_testing(world: &mut World) {
    const TESTING: &str = "reconnect_required: 2 connections, Google no longer accepts consents about 7 days after they \
                           were given, as while the OAuth consent screen is in \"Testing\" (Google says invalid_grant)";
    for days in [7, 7, 3] {
        died_after(world, days).await;
    }
    let one = "reconnect_required: 1 connection, Google no longer accepts the consent, as after access was revoked or a \
               password changed (Google says invalid_grant)";
    let found = ["connections", "reconnect_required"];
    let report = world.examine().await;
    report.finds(&[TESTING, one].map(|line| (found[0], found[1], line)));

    // One that is older and well refutes it.
    given_ago(world, &world.open().await, 30).await;
    let report = world.examine().await;
    report.finds(&[(found[0], found[1], &one.replace("1 connection", "3 connections"))]);
}

async fn died_after(world: &World, days: u32) {
    let connection = world.open().await;
    given_ago(world, &connection, days).await;
    world.google_control("revoke", json!({ "email": connection.email })).await;
    assert_eq!(world.refresh(&connection).await, 409);
    world.wait(&connection, "webhook_error is not null and sync_lease_until = 'epoch'").await;
}

async fn given_ago(world: &World, connection: &Connection, days: u32) {
    let given = format!(
        "update calendar_connection_events set at = now() - interval '{days} days' where connection_id = '{}'",
        connection.id
    );
    world.sql(&given).await;
}

async fn what_only_the_users_administrator_can_mend_is_told(world: &mut World) {
    let (blocked, none) = (world.open().await, world.open().await);
    world.set(&blocked, "expires_at = now()").await;
    let fault = json!({
        "operation": "token", "email": blocked.email, "status": 400, "reason": "admin_policy_enforced",
        "times": null
    });
    world.google_control("faults", fault).await;
    assert_eq!(world.refresh(&blocked).await, 409);
    let fault = json!({
        "operation": "watch", "email": none.email, "status": 403, "reason": "notACalendarUser", "times": null
    });
    world.google_control("faults", fault).await;
    assert_eq!(world.refresh(&none).await, 422);
    world.wait(&none, "webhook_error is not null and sync_request_id is null").await;
    world.examine().await.finds(&[
        (
            "connections",
            "blocked_by_policy",
            "blocked_by_policy: 1 connection, the user's organisation, or the protection of the account, blocks the \
             app (Google says admin_policy_enforced)",
        ),
        (
            "connections",
            "no_calendar",
            "no_calendar: 1 connection, the account has no Google Calendar (Google says notACalendarUser)",
        ),
    ]);
}

async fn a_scope_that_nobody_has_is_the_apps(world: &mut World) {
    for _ in 0..2 {
        let connection = world.open().await;
        let fault = json!({
            "operation": "watch", "email": connection.email, "status": 403,
            "reason": "insufficientPermissions", "times": null
        });
        world.google_control("faults", fault).await;
        assert_eq!(world.refresh(&connection).await, 409);
        world.wait(&connection, "webhook_error is not null and sync_lease_until = 'epoch'").await;
    }
    world.examine().await.finds(&[(
        "connections",
        "permission_missing",
        "permission_missing: 2 connections, no consent includes a calendar: the app asks Google for the wrong scope \
         (Google says insufficientPermissions)",
    )]);
}

async fn a_connection_without_a_refresh_token_is_told(world: &mut World) {
    let connection = world.connection().await;
    world.set(&connection, "refresh_token = null").await;
    assert_eq!(world.ask(SETUP, &connection).await, 200);
    world.wait(&connection, "sync_request_id is null").await;
    world.examine().await.finds(&[(
        "connections",
        "refresh_token_missing",
        "refresh_token_missing: 1 connection, without a refresh token they work for an hour at most after connecting",
    )]);
}

async fn a_calendar_without_push_is_told(world: &mut World) {
    let (holidays, gone) = (world.connection().await, world.connection().await);
    let id = format!("holidays-of-{}", holidays.email);
    world.google_control("calendars", json!({ "email": holidays.email, "id": id, "push": false })).await;
    world.set(&holidays, &format!("calendar_id = '{id}'")).await;
    world.set(&gone, &format!("calendar_id = 'gone-{}'", gone.email)).await;
    for connection in [&holidays, &gone] {
        assert_eq!(world.ask(SETUP, connection).await, 422);
    }
    let report = world.examine().await;
    report.finds(&[(
        "connections",
        "calendar_not_found",
        "calendar_not_found: 1 connection, Google does not know the calendar, or hides it from this user \
         (Google says notFound)",
    )]);
    report.says(
        "✓",
        "connections",
        "push_not_supported: 1 connection, Google sends no notifications for this calendar, as for holidays and other \
         shared ones: it is looked at every 15 minutes instead, or run for every six hours where it is too large to be \
         compared (Google says pushNotSupportedForRequestedResource)",
    );
}

async fn an_exhausted_quota_is_told(world: &mut World) {
    let connection = world.open().await;
    refused(world, &connection, 403, "rateLimitExceeded").await;
    let report = world.examine().await;
    report.finds(&[(
        "google-calendar",
        "google_rate_limited",
        "Google's quota is used up: google_rate_limited, 1 connection (Google says rateLimitExceeded)",
    )]);
    assert_eq!(report.check("google-calendar")["connections"]["ids"], json!([connection.id]));
}

async fn what_else_google_refuses_is_told_by_its_reason(world: &mut World) {
    for (status, reason, id, code, line) in [
        (
            403,
            "accessNotConfigured",
            "google-calendar",
            "google_api_disabled",
            "the Google Calendar API is not enabled: google_api_disabled, 1 connection (Google says accessNotConfigured)",
        ),
        (
            400,
            "push.webhookUrlNotHttps",
            "callback-url",
            "webhook_url_rejected",
            "Google refuses the address that the functions give it, for 1 connection",
        ),
        (
            503,
            "backendError",
            "google-calendar",
            "google_unavailable",
            "Google does not answer, or with a 5xx: google_unavailable, 1 connection (Google says backendError)",
        ),
        (
            403,
            "somethingNew",
            "google-calendar",
            "google_rejected",
            "Google refuses for a reason that is not known here: google_rejected, 1 connection (Google says \
             somethingNew)",
        ),
        (
            403,
            "",
            "google-calendar",
            "google_rejected",
            "Google, or a proxy on the way to it, refuses without a word of why: google_rejected, 1 connection",
        ),
    ] {
        world.reset().await;
        let connection = world.open().await;
        refused(world, &connection, status, reason).await;
        world.examine().await.finds(&[(id, code, line)]);
    }
}

/// Presses the button while Google refuses to open channels so.
async fn refused(world: &World, connection: &Connection, status: u16, reason: &str) {
    let fault = json!({
        "operation": "watch", "email": connection.email, "status": status, "reason": reason, "times": null
    });
    world.google_control("faults", fault).await;
    assert!(world.refresh(connection).await >= 500);
    world.wait(connection, "webhook_error is not null and sync_request_id is null").await;
}

async fn a_wrong_client_secret_is_told_here_and_where_it_is_deployed(world: &mut World) {
    let connection = world.open().await;
    let report = world.examine_with(&[("GOOGLE_CLIENT_SECRET", "another-secret")]).await;
    let line = "Google does not accept GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET";
    report.finds(&[("google-client", "oauth_client_invalid", line)]);

    // Rotated at Google, and here, but not where the functions are.
    world.google_control("client", json!({ "client_secret": "another-secret" })).await;
    world.set(&connection, "expires_at = now()").await;
    assert_eq!(world.refresh(&connection).await, 500);
    world.wait(&connection, "webhook_error is not null and sync_request_id is null").await;
    let report = world.examine_with(&[("GOOGLE_CLIENT_SECRET", "another-secret")]).await;
    report.finds(&[(
        "google-client",
        "deployed_oauth_client_invalid",
        "Google does not accept the OAuth client of the deployed functions, for 1 connection (Google says \
         invalid_client)",
    )]);
}
