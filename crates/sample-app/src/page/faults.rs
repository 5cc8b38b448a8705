//! Honest faults at the fake Google, for somebody who wants to see what becomes of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::host_app::HostApp;
use crate::page::refusal::Refusal;
use crate::services::User;

pub(super) const OUTAGE: Duration = Duration::from_secs(30);

/// What the user would do in the settings of a Google account.
pub(super) async fn revoke(State(host_app): State<Arc<HostApp>>, user: User) -> Result<StatusCode, Refusal> {
    host_app.calendar(user.id).await?.revoke_consent().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The channel was opened weeks ago.
pub(super) async fn age_channel(
    State(host_app): State<Arc<HostApp>>,
    user: User,
) -> Result<StatusCode, Refusal> {
    host_app.bring_end_near(user.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// It never says anything again, and nobody is told. What is seen of the calendar before is kept, so that a look has
/// something to compare with.
pub(super) async fn forget_channel(
    State(host_app): State<Arc<HostApp>>,
    user: User,
) -> Result<Json<Value>, Refusal> {
    host_app.have_calendar_looked_at(user.id).await?;
    Ok(Json(json!({ "channel": host_app.forget_channel(user.id).await? })))
}

/// What takes six hours.
pub(super) async fn look(State(host_app): State<Arc<HostApp>>, user: User) -> Result<StatusCode, Refusal> {
    host_app.have_calendar_looked_at(user.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the outage that is going on, if any.
#[derive(Clone, Default)]
pub(super) struct Outage(Arc<Mutex<Option<AbortHandle>>>);

impl Outage {
    fn replace(&self, next: Option<AbortHandle>) {
        let mut end = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(previous) = std::mem::replace(&mut *end, next) {
            previous.abort();
        }
    }
}

/// An outage of Google's Calendar API, for everybody: reading events, opening channels and stopping them fails. `POST`
/// begins the outage, or begins it anew, and `DELETE` ends it. Changes that the page makes still arrive, as if they were
/// made in Google's own app.
pub(super) fn outages(host_app: Arc<HostApp>, outage: Outage) -> Router<()> {
    let (begun, ended) = (outage.clone(), outage);
    let begin = move |State(host_app): State<Arc<HostApp>>, _: User| async move {
        let faults = Faults::of(&host_app);
        faults.clear().await?;
        for operation in ["list", "watch", "stop"] {
            faults.add(json!({ "operation": operation, "status": 503, "times": null })).await?;
        }
        let end = tokio::spawn(async move {
            sleep(OUTAGE).await;
            let _ = faults.clear().await;
        });
        begun.replace(Some(end.abort_handle()));
        Ok::<_, Refusal>(Json(json!({ "seconds": OUTAGE.as_secs() })))
    };
    let end = move |State(host_app): State<Arc<HostApp>>, _: User| async move {
        ended.replace(None);
        Faults::of(&host_app).clear().await?;
        Ok::<_, Refusal>(StatusCode::NO_CONTENT)
    };
    Router::new().route("/app/faults/outage", post(begin).delete(end)).with_state(host_app)
}

struct Faults {
    client: Client,
    url: String,
}

impl Faults {
    fn of(host_app: &HostApp) -> Self {
        let services = host_app.services();
        Self { client: services.client.clone(), url: format!("{}/control/faults", services.google_url) }
    }

    async fn add(&self, fault: Value) -> Result<(), Refusal> {
        self.client.post(&self.url).json(&fault).send().await?.error_for_status()?;
        Ok(())
    }

    async fn clear(&self) -> Result<(), Refusal> {
        self.client.delete(&self.url).send().await?.error_for_status()?;
        Ok(())
    }
}
