//! Google's side: the consent, the calendar, the client, the API.

use serde_json::json;
use system_tests::{Connection, SETUP};

use crate::case::cases;
use crate::world::World;

cases! {
    a_dead_consent_is_told_with_both_its_causes,
    a_calendar_without_push_is_told,
    an_exhausted_quota_is_told,
    what_else_google_refuses_is_told_by_its_reason,
    a_wrong_client_secret_is_told_here_and_where_it_is_deployed,
}

async fn a_dead_consent_is_told_with_both_its_causes(world: &mut World) {
    let connection = world.open().await;
    world.google_control("revoke", json!({ "email": connection.email })).await;
    assert_eq!(world.refresh(&connection).await, 409);
    world.wait(&connection, "sync_request_id is null").await;
    let report = world.examine().await;
    report.finds(&[(
        "connections",
        "reconnect_required",
        "reconnect_required: 1 connection, Google no longer accepts the consent: the OAuth consent screen is in \
         \"Testing\", where consents die after 7 days, or access was revoked",
    )]);
    assert!(report.text.contains(&format!("      {}\n", connection.id)), "{}", report.text);
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
    report.finds(&[
        (
            "connections",
            "push_not_supported",
            "push_not_supported: 1 connection, Google sends no notifications for this calendar, as for holidays and \
             other shared ones",
        ),
        (
            "connections",
            "calendar_not_found",
            "calendar_not_found: 1 connection, Google does not know the calendar, or hides it from this user",
        ),
    ]);
}

async fn an_exhausted_quota_is_told(world: &mut World) {
    let connection = world.open().await;
    refused(world, &connection, 403, "rateLimitExceeded").await;
    let report = world.examine().await;
    report.finds(&[(
        "google-calendar",
        "google_rate_limited",
        "Google's quota is used up: google_rate_limited, 1 connection",
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
            "the Google Calendar API is not enabled: google_api_disabled, 1 connection",
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
            "Google does not answer, or with a 5xx: google_unavailable, 1 connection",
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
        "Google does not accept the OAuth client of the deployed functions, for 1 connection",
    )]);
}
