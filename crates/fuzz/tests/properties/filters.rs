//! A value in a filter is that value: no parameter, operator or address comes of what is in it.

use std::time::Duration;

use fastrand::Rng;
use fuzz::project::{Project, empty, finish};
use protocol::Timestamp;
use protocol::ports::Connections;
use protocol::table::{Column, Filter, Query, Value};
use protocol::transition::{Transition, Update};
use serde_json::{Value as Json, json};
use url::Url;
use uuid::Uuid;

use crate::{for_all, text};

const TIMEOUT: Duration = Duration::from_secs(1);

/// A filter and the parameter that PostgREST is to read.
fn filter(rng: &mut Rng) -> (Filter, [String; 2]) {
    let text = text(rng);
    let number = rng.i64(..);
    let time =
        Timestamp::from_timestamp_micros(rng.i64(-62_135_596_800_000_000..253_402_300_800_000_000)).unwrap();
    let printed = time.format("%Y-%m-%dT%H:%M:%S%.6fZ");
    let id = Uuid::from_u128(rng.u128(..));
    let (filter, name, value) = match rng.u8(0..12) {
        0 => (Filter::Eq(Column::WebhookId, text.as_str().into()), "webhook_id", format!("eq.{text}")),
        1 => {
            (Filter::Eq(Column::CalendarId, Value::Secret(text.clone())), "calendar_id", format!("eq.{text}"))
        }
        2 => (
            Filter::IsDistinct(Column::WebhookId, text.as_str().into()),
            "webhook_id",
            format!("isdistinct.{text}"),
        ),
        3 => (
            Filter::Lt(Column::WebhookMessageNumber, number.into()),
            "webhook_message_number",
            format!("lt.{number}"),
        ),
        4 => (Filter::Lte(Column::SyncNotBefore, time.into()), "sync_not_before", format!("lte.{printed}")),
        5 => (Filter::Eq(Column::Id, Value::Uuid(id)), "id", format!("eq.{id}")),
        6 => (Filter::IsNull(Column::WebhookId), "webhook_id", "is.null".to_owned()),
        7 => (Filter::NotNull(Column::SyncRequestId), "sync_request_id", "not.is.null".to_owned()),
        8 => (Filter::IsTrue(Column::IsActive), "is_active", "is.true".to_owned()),
        9 => (Filter::NotTrue(Column::IsActive), "is_active", "not.is.true".to_owned()),
        10 => (Filter::IsFalse(Column::SyncEnabled), "sync_enabled", "is.false".to_owned()),
        _ => (Filter::NotFalse(Column::SyncEnabled), "sync_enabled", "not.is.false".to_owned()),
    };
    (filter, [name.to_owned(), value])
}

fn filters(rng: &mut Rng) -> Vec<(Filter, [String; 2])> {
    (0..rng.usize(1..6)).map(|_| filter(rng)).collect()
}

/// The parameters of the one request that was made, as a server reads them, but for what is returned.
fn parameters(project: &Project) -> Vec<[String; 2]> {
    let request = project.asked().pop().unwrap();
    let url = Url::parse(&request.url).unwrap();
    assert_eq!(url.as_str(), request.url, "what sends it would change it");
    assert_eq!((url.host_str(), url.path()), (Some("project.supabase.co"), "/rest/v1/calendar_connections"));
    assert_eq!(url.fragment(), None);
    assert!(request.url.bytes().all(|byte| byte.is_ascii_graphic()), "{}", request.url);
    let read = url.query_pairs().map(|(name, value)| [name.into_owned(), value.into_owned()]);
    let mut read: Vec<_> =
        read.filter(|[name, _]| !["select", "order", "limit"].contains(&name.as_str())).collect();
    read.sort();
    read
}

fn expected(filters: &[(Filter, [String; 2])]) -> Vec<[String; 2]> {
    let mut expected: Vec<_> = filters.iter().map(|(_, parameter)| parameter.clone()).collect();
    expected.sort();
    expected
}

#[test]
fn the_filters_of_a_read_a_count_and_an_update_are_those_that_were_meant() {
    for_all(filters, |filters| {
        let meant: Vec<Filter> = filters.iter().map(|(filter, _)| filter.clone()).collect();
        let project = Project::new(empty);
        let query = Query::first(1, meant.clone(), Column::Id);
        assert!(finish(project.deployment.select(query, TIMEOUT)).is_ok());
        assert_eq!(parameters(&project), expected(filters));
        assert!(finish(project.deployment.count(meant.clone(), TIMEOUT)).is_ok());
        assert_eq!(parameters(&project), expected(filters));
        let update = Update {
            transition: Transition::RetireChannel,
            filters: meant,
            set: vec![(Column::WebhookError, Value::Null)],
        };
        assert!(finish(project.deployment.update(update, TIMEOUT)).is_ok());
        assert_eq!(parameters(&project), expected(filters));
    });
}

#[test]
fn what_is_written_is_what_was_meant_and_nothing_else() {
    for_all(text, |text| {
        let project = Project::new(empty);
        let update = Update::matching(Transition::StoreToken, Filter::IsNull(Column::WebhookId))
            .set(Column::WebhookResourceId, text.as_str())
            .set(Column::RefreshToken, Value::Secret(text.clone()));
        assert!(finish(project.deployment.update(update, TIMEOUT)).is_ok());
        let body: Json = serde_json::from_str(&project.asked().pop().unwrap().body.unwrap()).unwrap();
        assert_eq!(body, json!({ "webhook_resource_id": text, "refresh_token": text }));
    });
}

#[test]
fn no_request_holds_a_header_that_is_none() {
    for_all(filters, |filters| {
        let project = Project::new(empty);
        let meant: Vec<Filter> = filters.iter().map(|(filter, _)| filter.clone()).collect();
        assert!(finish(project.deployment.count(meant, TIMEOUT)).is_ok());
        for (name, value) in &project.asked()[0].headers {
            assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{name}: {value:?}");
        }
    });
}
