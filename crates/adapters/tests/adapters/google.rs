//! Google's part against the fake one over HTTP, every documented refusal included.

use std::time::Duration;

use adapters::deployment::Deployment;
use chrono::TimeDelta;
use fake_google::{Config, FakeGoogle};
use protocol::connection::{AccessToken, CalendarId, ChannelId, ChannelToken, RefreshToken, ResourceId};
use protocol::failure::{Refused, RenewalFailure, StopFailure, WatchFailure, Word};
use protocol::ports::{Clock, Google};
use serde_json::{Value, json};

use crate::native::{Native, deployment};

const TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) struct Account {
    pub(crate) google: FakeGoogle,
    pub(crate) deployment: Deployment<Native>,
    pub(crate) access_token: AccessToken,
    refresh_token: RefreshToken,
}

impl Account {
    pub(crate) async fn new() -> Self {
        let google = FakeGoogle::start(Config::default()).await.unwrap();
        let deployment = deployment([
            ("SUPABASE_URL", "http://127.0.0.1:9"),
            ("SUPABASE_SERVICE_ROLE_KEY", "unused"),
            ("GOOGLE_CLIENT_ID", "fake-client-id"),
            ("GOOGLE_CLIENT_SECRET", "fake-client-secret"),
            ("GOOGLE_CALENDAR_API_URL", &google.calendar_api_url()),
            ("GOOGLE_OAUTH_TOKEN_URL", &google.oauth_token_url()),
        ]);
        let account = control(&google, "accounts", &json!({ "email": "ada@example.com" })).await;
        let text = |name: &str| account[name].as_str().unwrap().to_owned();
        let (access, refresh) = (text("access_token"), text("refresh_token"));
        Self {
            google,
            deployment,
            access_token: AccessToken::new(access),
            refresh_token: RefreshToken::new(refresh),
        }
    }

    async fn fault(&self, fault: Value) {
        control(&self.google, "faults", &fault).await;
    }

    async fn watch(&self, id: &str) -> Result<protocol::grant::OpenedChannel, WatchFailure> {
        let token = ChannelToken::new("ab".repeat(32));
        self.deployment.watch(&self.access_token, None, &ChannelId::new(id), &token, TIMEOUT).await
    }
}

pub(crate) async fn control(google: &FakeGoogle, path: &str, body: &Value) -> Value {
    let url = format!("{}/control/{path}", google.url());
    let response = reqwest::Client::new().post(url).json(body).send().await.unwrap();
    assert!(response.status().is_success(), "{}", response.text().await.unwrap());
    response.json().await.unwrap_or_default()
}

#[tokio::test]
async fn a_channel_is_opened_for_thirty_days_and_stopped() {
    let account = Account::new().await;
    let opened = account.watch("first").await.unwrap();
    let lifetime = opened.expiration - account.deployment.now();
    assert!((29..=30).contains(&lifetime.num_days()), "{lifetime}");
    let stop = async |id: &str, resource: &ResourceId| {
        account.deployment.stop(&account.access_token, &ChannelId::new(id), resource, TIMEOUT).await
    };
    assert_eq!(stop("first", &opened.resource_id).await, Ok(()));
    assert_eq!(stop("first", &opened.resource_id).await, Err(StopFailure::Unknown));
    let nobody = AccessToken::new("ya29.unknown");
    let refused =
        account.deployment.stop(&nobody, &ChannelId::new("first"), &opened.resource_id, TIMEOUT).await;
    assert_eq!(refused, Err(StopFailure::Unauthorized(said(RenewalFailure::ReconnectRequired, "authError"))));
}

fn said(failure: RenewalFailure, reason: &str) -> Refused {
    Refused { reason: Word::parse(reason), ..failure.into() }
}

/// Each answer that there is, is in the table's own test.
#[tokio::test]
async fn refusals_of_a_watch_are_told_apart() {
    use RenewalFailure as Failure;
    use WatchFailure::{ChannelIdNotUnique, Doubtful, Refused, Unauthorized};
    let account = Account::new().await;
    for (status, reason, expected) in [
        (400, "channelIdNotUnique", ChannelIdNotUnique),
        (
            400,
            "pushNotSupportedForRequestedResource",
            Refused(said(Failure::PushNotSupported, "pushNotSupportedForRequestedResource")),
        ),
        (
            401,
            "push.webhookUrlUnauthorized",
            Refused(said(Failure::WebhookUrlRejected, "push.webhookUrlUnauthorized")),
        ),
        (401, "authError", Unauthorized(said(Failure::ReconnectRequired, "authError"))),
        (403, "rateLimitExceeded", Refused(said(Failure::GoogleRateLimited, "rateLimitExceeded"))),
        (
            403,
            "insufficientPermissions",
            Refused(said(Failure::PermissionMissing, "insufficientPermissions")),
        ),
        (404, "notFound", Refused(said(Failure::CalendarNotFound, "notFound"))),
        (403, "something.new", Refused(said(Failure::GoogleRejected, "something.new"))),
        (503, "backendError", Doubtful(said(Failure::GoogleUnavailable, "backendError"))),
    ] {
        account.fault(json!({ "operation": "watch", "status": status, "reason": reason })).await;
        assert_eq!(account.watch("refused").await, Err(expected), "{status} {reason}");
    }
    account.fault(json!({ "operation": "watch", "status": 0 })).await;
    let unavailable = WatchFailure::Doubtful(RenewalFailure::GoogleUnavailable.into());
    assert_eq!(account.watch("cut").await, Err(unavailable.clone()));
    account.fault(json!({ "operation": "watch", "delay_ms": 5_000 })).await;
    assert_eq!(account.watch("slow").await, Err(unavailable));
}

#[tokio::test]
async fn a_calendar_is_named_whatever_its_id() {
    let account = Account::new().await;
    let token = ChannelToken::new("ab".repeat(32));
    for (number, calendar) in ["team/a b#1?x=%@example.com", "größe@example.com"].into_iter().enumerate() {
        control(&account.google, "calendars", &json!({ "email": "ada@example.com", "id": calendar })).await;
        let opened = account
            .deployment
            .watch(
                &account.access_token,
                Some(&CalendarId::new(calendar)),
                &ChannelId::new(format!("c{number}")),
                &token,
                TIMEOUT,
            )
            .await;
        assert!(opened.is_ok(), "{calendar}: {opened:?}");
    }
    // As hosts have stored them.
    for (number, calendar) in
        ["  größe@example.com\n", "gr%C3%B6%C3%9Fe%40example.com", "primary "].into_iter().enumerate()
    {
        let opened = account
            .deployment
            .watch(
                &account.access_token,
                Some(&CalendarId::new(calendar)),
                &ChannelId::new(format!("d{number}")),
                &token,
                TIMEOUT,
            )
            .await;
        assert!(opened.is_ok(), "{calendar}: {opened:?}");
    }
    for calendar in ["", " ", ".", "..", "nowhere@example.com"] {
        let refused = account
            .deployment
            .watch(
                &account.access_token,
                Some(&CalendarId::new(calendar)),
                &ChannelId::new("none"),
                &token,
                TIMEOUT,
            )
            .await;
        let Err(WatchFailure::Refused(refused)) = refused else { panic!("{calendar}: {refused:?}") };
        assert_eq!(refused.failure, RenewalFailure::CalendarNotFound, "{calendar}");
    }
}

#[tokio::test]
async fn a_token_that_is_no_header_is_never_sent() {
    let account = Account::new().await;
    let broken = AccessToken::new("ya29\nx: y");
    let token = ChannelToken::new("ab".repeat(32));
    let watched = account.deployment.watch(&broken, None, &ChannelId::new("c"), &token, TIMEOUT).await;
    assert_eq!(watched, Err(WatchFailure::Unauthorized(RenewalFailure::ReconnectRequired.into())));
}

#[tokio::test]
async fn an_access_token_is_renewed_and_every_refusal_told_apart() {
    use RenewalFailure as Failure;
    let account = Account::new().await;
    let renew = async || account.deployment.renew_token(&account.refresh_token, TIMEOUT).await;
    let renewed = renew().await.unwrap();
    assert!(renewed.refresh_token.is_none());
    assert!(TimeDelta::from_std(renewed.expires_in).unwrap() > TimeDelta::minutes(50));
    for (status, reason, expected) in [
        (400, "invalid_grant", Failure::ReconnectRequired),
        (401, "invalid_client", Failure::OauthClientInvalid),
        (401, "deleted_client", Failure::OauthClientInvalid),
        (400, "invalid_request", Failure::GoogleRejected),
        (429, "rate_limit_exceeded", Failure::GoogleRateLimited),
        (500, "internal_failure", Failure::GoogleUnavailable),
        (0, "", Failure::GoogleUnavailable),
    ] {
        account.fault(json!({ "operation": "token", "status": status, "reason": reason })).await;
        assert_eq!(renew().await, Err(said(expected, reason)), "{status} {reason}");
    }
    control(&account.google, "revoke", &json!({ "email": "ada@example.com" })).await;
    assert_eq!(renew().await, Err(said(Failure::ReconnectRequired, "invalid_grant")));
}
