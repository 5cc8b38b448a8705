//! The events of the connected calendar: the page shows and changes them, and never sees a token.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::connected_calendar::{Event, Slot, Which, format_time};
use crate::host_app::HostApp;
use crate::host_writes::session_of;
use crate::page::refusal::Refusal;
use crate::services::User;

/// An event, named like a row of `sessions`.
#[derive(Serialize)]
pub(super) struct Shown {
    id: String,
    title: String,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    /// When it last changed, by Google's clock.
    updated_at: Option<DateTime<Utc>>,
    /// Of an event that the app has written, what it stands for.
    session_id: Option<Uuid>,
}

impl Shown {
    fn of(event: Event) -> Option<Self> {
        let Slot { start, end } = event.slot()?;
        let session_id = session_of(&event);
        let Event { id, summary, updated, .. } = event;
        Some(Self { id, title: summary, starts_at: start, ends_at: end, updated_at: updated, session_id })
    }
}

#[derive(Deserialize)]
pub(super) struct Change {
    /// Of a new event, where the page wants to know it beforehand.
    id: Option<String>,
    title: Option<String>,
    starts_at: Option<DateTime<Utc>>,
    ends_at: Option<DateTime<Utc>>,
}

impl Change {
    fn resource(self) -> Value {
        let mut resource = Map::new();
        let texts = [("id", self.id), ("summary", self.title)];
        let times = [("start", self.starts_at), ("end", self.ends_at)];
        resource.extend(texts.into_iter().filter_map(|(field, text)| Some((field.to_owned(), text?.into()))));
        resource.extend(
            times.into_iter().filter_map(|(field, time)| {
                Some((field.to_owned(), json!({ "dateTime": format_time(time?) })))
            }),
        );
        resource.into()
    }
}

#[derive(Deserialize)]
pub(super) struct Window {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

pub(super) async fn list(
    State(host_app): State<Arc<HostApp>>,
    user: User,
    Query(window): Query<Window>,
) -> Result<Json<Vec<Shown>>, Refusal> {
    let window = Slot { start: window.from, end: window.to };
    let events = host_app.calendar(user.id).await?.events(Which::Within(window)).await?;
    Ok(Json(events.into_iter().filter_map(Shown::of).collect()))
}

pub(super) async fn insert(
    State(host_app): State<Arc<HostApp>>,
    user: User,
    Json(event): Json<Change>,
) -> Result<Json<Option<Shown>>, Refusal> {
    let event = host_app.calendar(user.id).await?.insert(&event.resource()).await?;
    Ok(Json(Shown::of(event)))
}

pub(super) async fn change(
    State(host_app): State<Arc<HostApp>>,
    user: User,
    Path(id): Path<String>,
    Json(change): Json<Change>,
) -> Result<Json<Option<Shown>>, Refusal> {
    let event = host_app.calendar(user.id).await?.patch(&id, &change.resource()).await?;
    Ok(Json(Shown::of(event)))
}

pub(super) async fn delete(
    State(host_app): State<Arc<HostApp>>,
    user: User,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    host_app.calendar(user.id).await?.delete(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes every event of the calendar.
pub(super) async fn clear(State(host_app): State<Arc<HostApp>>, user: User) -> Result<StatusCode, Refusal> {
    let mut calendar = host_app.calendar(user.id).await?;
    for event in calendar.events(Which::All).await? {
        calendar.delete(&event.id).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
