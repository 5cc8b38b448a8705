//! What the table's trigger keeps, for every role that writes.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::project::Caller::{Anon, Service, User};
use crate::project::Outcome::{self, Rows};
use crate::project::{Project, changed, with};

const USER: Uuid = Uuid::from_u128(7);
const EPOCH: &str = "1970-01-01T00:00:00+00:00";

/// A host that lets its page write everything: only the trigger stands between.
async fn permissive_host() -> Project {
    let project = Project::new().await;
    project
        .sql(
            "create table public.calendar_connections (
               id uuid primary key default gen_random_uuid(),
               user_id uuid not null,
               provider text not null default 'google',
               access_token text,
               refresh_token text,
               expires_at timestamptz,
               calendar_id text,
               is_active boolean default true,
               created_at timestamptz not null default now()
             );
             grant all on public.calendar_connections to anon, authenticated, service_role",
        )
        .await;
    project.migrate().await.unwrap();
    project
}

async fn connection(project: &Project, values: Value) -> Uuid {
    let id = Uuid::new_v4();
    let row = with(values.as_object().unwrap().clone(), &json!({ "id": id, "user_id": USER }));
    assert_eq!(project.insert(Service, &row.into()).await, Rows(1));
    id
}

/// Another value than any row starts with, for each column that no page may write.
fn ours() -> Map<String, Value> {
    let (time, other) = ("2030-03-03T03:03:03.000003+00:00", "2031-01-01T00:00:00.123456+00:00");
    let values = json!({
        "webhook_id": "channel",
        "webhook_expiration": time,
        "last_sync_at": other,
        "webhook_token": "ab".repeat(32),
        "webhook_token_hash": "cd".repeat(32),
        "webhook_source": "ef".repeat(32),
        "webhook_resource_id": "resource",
        "webhook_pending_id": "pending",
        "webhook_opened_at": other,
        "webhook_confirmed_id": "confirmed",
        "webhook_message_number": 42,
        "webhook_lease_until": time,
        "webhook_not_before": other,
        "webhook_attempts": 3,
        "webhook_error": "google_unavailable",
        "sync_request_id": Uuid::from_u128(9),
        "sync_owed_since": other,
        "sync_lease_until": time,
        "sync_not_before": other,
        "sync_attempts": 4,
        "sync_streak": 5,
        "sync_error": "recalculate_500",
        "sync_seen": "2026-01-01T00:00:00Z digest",
        "sync_look_at": time,
        "webhook_notified_at": other,
        "webhook_error_reason": "backendError",
        "calendar_name": "Work",
    });
    values.as_object().unwrap().clone()
}

fn sha256(text: &str) -> Value {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

fn source(refresh_token: Option<&str>, calendar: Option<&str>) -> Value {
    sha256(&format!("{}\n{}", refresh_token.unwrap_or(""), calendar.unwrap_or("primary")))
}

#[tokio::test]
async fn both_hashes_follow_whatever_is_written() {
    let project = Project::migrated().await;
    let token = "0123456789abcdef".repeat(4);
    for (refresh_token, calendar) in [
        (None, None),
        (Some(""), Some("")),
        (Some("1//refresh"), None),
        (Some("1//refresh"), Some("primary")),
        (None, Some("ada@example.com")),
        (Some("with a\nnewline, a 'quote', a \"double\" one and a back\\slash"), Some("x#group.v")),
        (Some("ключ-🔑"), Some("ünïcode@example.com")),
    ] {
        let tokens = json!({ "refresh_token": refresh_token, "calendar_id": calendar });
        for (sent, claim) in [
            ("nothing", json!({})),
            ("nulls", json!({ "webhook_token_hash": null, "webhook_source": null })),
            ("nonsense", json!({ "webhook_token_hash": "nonsense", "webhook_source": "nonsense" })),
        ] {
            let what = format!("{tokens} with {sent}");
            let values = with(tokens.as_object().unwrap().clone(), &claim);
            let inserted = connection(&project, values.clone().into()).await;
            let updated = connection(&project, json!({ "refresh_token": "old", "calendar_id": "old" })).await;
            let update = with(values, &json!({ "webhook_token": token }));
            assert_eq!(project.update(Service, updated, &update.into()).await, Rows(1), "{what}");
            for id in [inserted, updated] {
                let row = project.row(id).await;
                assert_eq!(row["webhook_source"], source(refresh_token, calendar), "{what}");
                let token = row["webhook_token"].as_str().unwrap();
                assert_eq!(row["webhook_token_hash"], sha256(token), "{what}");
            }
            project.sql("delete from public.calendar_connections").await;
        }
    }
}

#[tokio::test]
async fn no_connection_loses_its_token() {
    let project = Project::migrated().await;
    let id = connection(&project, json!({})).await;
    let before = project.row(id).await;
    let outcome = project.update(Service, id, &json!({ "webhook_token": null })).await;
    assert!(matches!(&outcome, Outcome::Failed(error) if error.starts_with("23502")), "{outcome:?}");
    assert_eq!(project.row(id).await, before);
}

/// `rotated` is the word for an update; what is inserted has its source like any other.
#[tokio::test]
async fn nothing_is_inserted_as_rotated() {
    let project = permissive_host().await;
    for caller in [Anon, User(USER), Service] {
        let id = Uuid::new_v4();
        let row = json!({ "id": id, "user_id": USER, "refresh_token": "r", "webhook_source": "rotated" });
        assert_eq!(project.insert(caller, &row).await, Rows(1));
        assert_eq!(project.row(id).await["webhook_source"], source(Some("r"), None), "{caller:?}");
    }
}

/// A renewal and a run that have failed and are put off, with and without a channel and a pending one, and with a run
/// going on or none.
fn put_off(channel: Option<&str>, pending: Option<&str>, is_running: bool) -> Value {
    json!({
        "webhook_id": channel,
        "webhook_pending_id": pending,
        "webhook_not_before": "2030-01-01T00:00:00+00:00",
        "webhook_lease_until": "2031-01-01T00:00:00+00:00",
        "webhook_attempts": 3,
        "webhook_error": "google_unavailable",
        "webhook_error_reason": "backendError",
        "webhook_notified_at": "2026-01-01T00:00:00+00:00",
        "webhook_expiration": "2032-01-01T00:00:00+00:00",
        "webhook_message_number": 12,
        "sync_attempts": 2,
        "sync_error": "recalculate_500",
        "sync_request_id": Uuid::from_u128(1),
        "sync_not_before": "2030-01-01T00:00:00+00:00",
        "sync_lease_until": if is_running { "2030-01-01T00:00:00+00:00" } else { EPOCH },
        "sync_streak": 4,
        "sync_seen": "2026-01-01T00:00:00Z digest",
        "sync_look_at": "2030-01-01T00:00:00+00:00",
        "calendar_name": "Work",
    })
}

/// Replaces times of these few seconds by a word: they are the database's, and nothing else tells them.
async fn with_now(project: &Project, mut row: Map<String, Value>) -> Map<String, Value> {
    for column in ["webhook_not_before", "sync_look_at", "sync_not_before"] {
        let time = row[column].as_str().unwrap().to_owned();
        let is_now = "select $1::text::timestamptz between now() - interval '10 s' and now()";
        if project.value(is_now, &[&time]).await {
            row.insert(column.to_owned(), json!("now"));
        }
    }
    row
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    AtOnce,
    /// At once if the connection has no channel; otherwise when it was.
    AtOnceWithoutChannel,
    AsBefore,
}

#[tokio::test]
async fn a_reconnected_or_resumed_connection_is_due_at_once_and_nothing_else_is() {
    use Due::{AsBefore, AtOnce, AtOnceWithoutChannel};
    let project = permissive_host().await;
    let cases = [
        (json!({}), json!({ "refresh_token": "another" }), AtOnce),
        (json!({}), json!({ "refresh_token": null }), AtOnce),
        (json!({ "refresh_token": null }), json!({ "refresh_token": "first" }), AtOnce),
        (json!({}), json!({ "calendar_id": "another" }), AtOnce),
        (json!({}), json!({ "calendar_id": null }), AtOnce),
        (json!({ "calendar_id": null }), json!({ "calendar_id": "work" }), AtOnce),
        (json!({}), json!({ "calendar_id": "another", "refresh_token": "another" }), AtOnce),
        (json!({}), json!({ "is_active": false }), AtOnceWithoutChannel),
        (json!({}), json!({ "is_active": null }), AtOnceWithoutChannel),
        (json!({}), json!({ "sync_enabled": false }), AtOnceWithoutChannel),
        (json!({ "is_active": false }), json!({ "is_active": true }), AtOnceWithoutChannel),
        (json!({ "is_active": null }), json!({ "is_active": true }), AtOnceWithoutChannel),
        (json!({ "sync_enabled": false }), json!({ "sync_enabled": true }), AtOnceWithoutChannel),
        (json!({ "sync_enabled": false }), json!({ "sync_enabled": null }), AtOnceWithoutChannel),
        (json!({}), json!({ "is_active": false, "calendar_id": "another" }), AtOnce),
        (
            json!({}),
            json!({ "access_token": "another", "expires_at": "2030-01-01T00:00:00+00:00" }),
            AsBefore,
        ),
        (json!({}), json!({ "refresh_token": "refresh", "calendar_id": "calendar" }), AsBefore),
        (json!({}), json!({ "is_active": true, "sync_enabled": true }), AsBefore),
        (json!({ "is_active": null }), json!({ "is_active": null }), AsBefore),
        (json!({}), json!({ "user_id": Uuid::from_u128(8) }), AsBefore),
    ];
    for caller in [Service, User(USER), Anon] {
        for (start, change, due) in &cases {
            for (channel, pending) in [
                (None, None),
                (None, Some("pending")),
                (Some("channel"), None),
                (Some("channel"), Some("pending")),
            ] {
                let is_running = pending.is_some() == channel.is_some();
                let what = format!(
                    "{caller:?} writes {change} over {start}, {channel:?}, {pending:?}, run: {is_running}"
                );
                let start = with(
                    json!({ "refresh_token": "refresh", "calendar_id": "calendar" })
                        .as_object()
                        .unwrap()
                        .clone(),
                    start,
                );
                let id = connection(&project, start.into()).await;
                assert_eq!(
                    project.update(Service, id, &put_off(channel, pending, is_running)).await,
                    Rows(1)
                );
                let before = project.row(id).await;
                assert_eq!(project.update(caller, id, change).await, Rows(1), "{what}");

                let mut expected = with(before, change);
                let text = |column: &str| expected[column].as_str().map(str::to_owned);
                let (refresh_token, calendar) = (text("refresh_token"), text("calendar_id"));
                expected.insert(
                    "webhook_source".to_owned(),
                    source(refresh_token.as_deref(), calendar.as_deref()),
                );
                let at_once = match due {
                    AtOnce => true,
                    AtOnceWithoutChannel => channel.is_none(),
                    AsBefore => false,
                };
                // Both leases stay, and so does what a run that is going on has booked.
                if at_once {
                    let reset = json!({
                        "webhook_not_before": "now", "webhook_attempts": 0, "webhook_error": null,
                        "webhook_error_reason": null, "sync_look_at": "now",
                    });
                    expected = with(expected, &reset);
                }
                if *due == AtOnce {
                    expected = with(expected, &json!({ "sync_seen": null, "calendar_name": null }));
                    if !is_running {
                        let reset =
                            json!({ "sync_error": null, "sync_attempts": 0, "sync_not_before": "now" });
                        expected = with(expected, &reset);
                    }
                }
                assert_eq!(with_now(&project, project.row(id).await).await, expected, "{what}");
            }
        }
    }
}

/// At the epoch it would go before every run that waits for its turn.
#[tokio::test]
async fn a_run_that_is_owed_is_due_since_a_minute_at_most() {
    let project = permissive_host().await;
    let old = "2020-01-01T00:00:00+00:00";
    let (request, another) = (Uuid::from_u128(1), Uuid::from_u128(2));
    for (name, before, change, lifted) in [
        ("asked for", json!({}), json!({ "sync_request_id": request }), true),
        (
            "put off",
            json!({ "sync_not_before": "2100-01-01T00:00:00+00:00" }),
            json!({ "sync_request_id": request }),
            false,
        ),
        ("written back", json!({ "sync_request_id": request }), json!({ "sync_not_before": old }), true),
        ("not owed", json!({}), json!({ "sync_not_before": old }), false),
        (
            "resumed",
            json!({ "sync_enabled": false, "sync_request_id": request, "sync_owed_since": old }),
            json!({ "sync_enabled": true }),
            true,
        ),
        (
            "connected again",
            json!({ "is_active": false, "sync_request_id": request, "sync_owed_since": old }),
            json!({ "is_active": true }),
            true,
        ),
        (
            "of another provider before",
            json!({ "provider": "outlook", "sync_request_id": request, "sync_owed_since": old }),
            json!({ "provider": "google" }),
            true,
        ),
    ] {
        let id = connection(&project, before).await;
        assert_eq!(project.update(Service, id, &change).await, Rows(1), "{name}");
        let since = "select now() - sync_not_before between '59 s' and '70 s' from public.calendar_connections where id = $1";
        assert_eq!(project.value::<bool>(since, &[&id]).await, lifted, "{name}");
        if lifted {
            // Its turn stays, however often it is asked for.
            let due = project.row(id).await["sync_not_before"].clone();
            project.update(Service, id, &json!({ "sync_request_id": another })).await;
            assert_eq!(project.row(id).await["sync_not_before"], due, "{name}");
        }
    }
}

#[tokio::test]
async fn a_row_that_becomes_googles_waits_for_its_turn() {
    let project = permissive_host().await;
    for (time, is_now) in [("2020-01-01T00:00:00+00:00", true), ("2100-01-01T00:00:00+00:00", false)] {
        let times = json!({ "provider": "outlook", "webhook_not_before": time, "sync_look_at": time });
        let id = connection(&project, times).await;
        project.update(Service, id, &json!({ "provider": "google" })).await;
        for column in ["webhook_not_before", "sync_look_at"] {
            let since = format!(
                "select now() - {column} between '0 s' and '10 s' from public.calendar_connections where id = $1"
            );
            assert_eq!(project.value::<bool>(&since, &[&id]).await, is_now, "{column} {time}");
        }
    }
}

/// What a new consent changes of a connection that was put off while no run was going on.
const RESET: [&str; 10] = [
    "calendar_name",
    "sync_attempts",
    "sync_error",
    "sync_look_at",
    "sync_not_before",
    "sync_seen",
    "webhook_attempts",
    "webhook_error",
    "webhook_error_reason",
    "webhook_not_before",
];

#[tokio::test]
async fn a_rotated_refresh_token_renews_the_source_and_nothing_else() {
    let project = permissive_host().await;
    for (caller, is_rotation) in [(Service, true), (User(USER), false), (Anon, false)] {
        let id = connection(&project, json!({ "refresh_token": "old" })).await;
        assert_eq!(project.update(Service, id, &put_off(Some("channel"), None, false)).await, Rows(1));
        let before = project.row(id).await;
        let rotation = json!({ "refresh_token": "new", "access_token": "new", "webhook_source": "rotated" });
        assert_eq!(project.update(caller, id, &rotation).await, Rows(1));
        let after = project.row(id).await;
        assert_eq!(after["webhook_source"], source(Some("new"), None));
        let mut expected = vec!["access_token", "refresh_token", "webhook_source"];
        if !is_rotation {
            // A new consent, then: `rotated` is not a page's to say.
            expected.extend(RESET);
            expected.sort_unstable();
        }
        assert_eq!(changed(&before, &after), expected, "{caller:?}");
    }
}

#[tokio::test]
async fn no_page_writes_what_is_not_its_own() {
    let project = permissive_host().await;
    let ours = ours();
    let mut columns = project.columns("public.calendar_connections").await;
    columns.retain(|column| {
        (column.starts_with("webhook_")
            || column.starts_with("sync_")
            || ["last_sync_at", "calendar_name"].contains(&column.as_str()))
            && column != "sync_enabled"
    });
    columns.sort();
    assert_eq!(columns, ours.keys().cloned().collect::<Vec<_>>());

    let fresh = connection(&project, json!({ "refresh_token": "r" })).await;
    let busy = connection(&project, json!({ "refresh_token": "r" })).await;
    let state = with(ours.clone(), &json!({ "webhook_token": "12".repeat(32) }));
    assert_eq!(project.update(Service, busy, &state.into()).await, Rows(1));
    for id in [fresh, busy] {
        let before = project.row(id).await;
        for caller in [User(USER), Anon] {
            for (column, value) in &ours {
                for value in [value, &Value::Null] {
                    let outcome = project.update(caller, id, &json!({ column: value })).await;
                    assert_eq!(outcome, Rows(1), "{caller:?}: {column} = {value}");
                    let after = project.row(id).await;
                    assert_eq!(changed(&before, &after), [""; 0], "{caller:?}: {column} = {value}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_page_that_saves_a_stale_row_back_undoes_no_transition() {
    let project = permissive_host().await;
    for caller in [User(USER), Anon] {
        for by_upsert in [false, true] {
            let id = connection(&project, json!({ "refresh_token": "r" })).await;
            let stale = project.row(id).await;
            let token = json!({ "webhook_token": Uuid::new_v4() });
            assert_eq!(project.update(Service, id, &with(ours(), &token).into()).await, Rows(1));
            let current = project.row(id).await;
            let theirs = json!({ "sync_enabled": false, "access_token": "theirs" });
            let saved = with(stale, &theirs).into();
            let outcome = match by_upsert {
                true => project.upsert(caller, &saved).await,
                false => project.update(caller, id, &saved).await,
            };
            assert_eq!(outcome, Rows(1));
            assert_eq!(project.row(id).await, with(current, &theirs), "{caller:?}, upsert: {by_upsert}");
        }
    }
}

#[tokio::test]
async fn what_a_page_inserts_starts_at_the_defaults() {
    let project = permissive_host().await;
    let plain = connection(&project, json!({ "refresh_token": "r", "sync_enabled": false })).await;
    let expected = project.row(plain).await;
    for caller in [User(USER), Anon] {
        let id = Uuid::new_v4();
        let theirs = json!({ "id": id, "user_id": USER, "refresh_token": "r", "sync_enabled": false });
        assert_eq!(project.insert(caller, &with(ours(), &theirs).into()).await, Rows(1));
        let row = project.row(id).await;
        let own =
            ["created_at", "id", "sync_look_at", "webhook_not_before", "webhook_token", "webhook_token_hash"];
        assert_eq!(changed(&expected, &row), own, "{caller:?}");
        let row = with_now(&project, row).await;
        assert_eq!((&row["sync_look_at"], &row["webhook_not_before"]), (&json!("now"), &json!("now")));
        let token = row["webhook_token"].as_str().unwrap();
        assert!(token.len() == 64 && token.bytes().all(|byte| byte.is_ascii_hexdigit()), "{token}");
        assert_ne!(token, ours()["webhook_token"]);
        assert_eq!(row["webhook_token_hash"], sha256(token));
    }
}

/// At the epoch, which every other connection comes after, a user with many rows would go before everybody for ever.
#[tokio::test]
async fn a_connection_that_any_role_inserts_is_due_now() {
    let project = permissive_host().await;
    let epochs = json!({ "webhook_not_before": EPOCH, "sync_look_at": EPOCH });
    for (caller, sent) in [
        (Service, json!({})),
        (Service, json!({ "webhook_not_before": EPOCH })),
        (User(USER), json!({})),
        (User(USER), epochs.clone()),
        (Anon, json!({})),
        (Anon, epochs),
    ] {
        let id = Uuid::new_v4();
        let row = with(sent.as_object().unwrap().clone(), &json!({ "id": id, "user_id": USER }));
        assert_eq!(project.insert(caller, &row.into()).await, Rows(1));
        let row = with_now(&project, project.row(id).await).await;
        let due = (&row["webhook_not_before"], &row["sync_look_at"]);
        assert_eq!(due, (&json!("now"), &json!("now")), "{caller:?} sends {sent}");
    }
    // A row that is restored brings its own times.
    let times = json!({
        "webhook_not_before": "2031-01-01T00:00:00+00:00", "sync_look_at": "2032-01-01T00:00:00+00:00",
    });
    let id = connection(&project, times.clone()).await;
    let row = project.row(id).await;
    assert_eq!(with(row.clone(), &times), row);
}

#[tokio::test]
async fn a_host_that_writes_a_whole_row_back_changes_nothing() {
    let project = Project::migrated().await;
    let mut ids = vec![connection(&project, json!({})).await];
    for values in [
        json!({}),
        json!({ "webhook_id": null }),
        json!({ "webhook_pending_id": null }),
        json!({ "is_active": null, "sync_enabled": null }),
        json!({ "refresh_token": "r", "calendar_id": "c", "expires_at": "infinity" }),
    ] {
        let id = connection(&project, json!({})).await;
        let state = with(with(ours(), &json!({ "webhook_token": Uuid::new_v4() })), &values);
        assert_eq!(project.update(Service, id, &state.into()).await, Rows(1));
        ids.push(id);
    }
    for id in ids {
        let row = project.row(id).await;
        assert_eq!(project.update(Service, id, &row.clone().into()).await, Rows(1));
        assert_eq!(project.row(id).await, row);
        assert_eq!(project.upsert(Service, &row.clone().into()).await, Rows(1));
        assert_eq!(project.row(id).await, row);
    }
}

/// The usual OAuth callback: an upsert of what Google answered, by whatever tells connections apart.
#[tokio::test]
async fn an_upsert_with_a_new_consent_is_a_reconnection() {
    let project = permissive_host().await;
    let id = connection(&project, json!({ "refresh_token": "old" })).await;
    assert_eq!(project.update(Service, id, &put_off(Some("channel"), None, false)).await, Rows(1));
    let before = project.row(id).await;
    let callback: fn(&str) -> Value = |refresh_token| json!({ "user_id": USER, "provider": "google", "access_token": "new", "refresh_token": refresh_token });
    let answer = with(json!({ "id": id }).as_object().unwrap().clone(), &callback("new"));
    assert_eq!(project.upsert(Service, &answer.into()).await, Rows(1));
    let after = project.row(id).await;
    let mut expected = [&RESET[..], &["access_token", "refresh_token", "webhook_source"]].concat();
    expected.sort_unstable();
    assert_eq!(changed(&before, &after), expected);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OwedSince {
    Never,
    /// As it was.
    Before,
    /// The time of the write.
    Now,
}

/// Since when a run is owed, which no single request tells: each notification replaces it.
#[tokio::test]
async fn the_time_since_which_a_run_is_owed_is_kept_for_every_role() {
    use OwedSince::{Before, Never, Now};
    let project = permissive_host().await;
    let time = |day: u32| format!("2026-01-{day:02}T00:00:00+00:00");
    let request = |number: u128| Uuid::from_u128(number);
    let idle = json!({ "last_sync_at": time(1) });
    let owed = json!({ "last_sync_at": time(1), "sync_request_id": request(1), "sync_owed_since": time(2) });
    let never_synced = json!({ "sync_request_id": request(1), "sync_owed_since": time(2) });
    let unknown = json!({ "last_sync_at": time(1), "sync_request_id": request(1), "sync_owed_since": null });
    for (start, change, by_service, by_page) in [
        (&idle, json!({ "sync_request_id": request(2) }), Now, Never),
        (&idle, json!({ "sync_owed_since": time(3) }), Never, Never),
        (&idle, json!({ "sync_request_id": request(2), "sync_owed_since": time(3) }), Now, Never),
        (&idle, json!({ "last_sync_at": time(3) }), Never, Never),
        (&idle, json!({ "webhook_message_number": 3 }), Never, Never),
        (&idle, json!({ "sync_enabled": false }), Never, Never),
        (&owed, json!({ "sync_request_id": request(2) }), Before, Before),
        (&owed, json!({ "sync_request_id": request(1) }), Before, Before),
        (&owed, json!({ "sync_owed_since": time(3) }), Before, Before),
        (&owed, json!({ "sync_owed_since": null }), Before, Before),
        (&owed, json!({ "sync_attempts": 3, "sync_error": "recalculate_500" }), Before, Before),
        (&owed, json!({ "sync_enabled": false }), Before, Before),
        (&owed, json!({ "is_active": false }), Before, Before),
        (&owed, json!({ "refresh_token": "another" }), Before, Before),
        (&owed, json!({ "last_sync_at": time(1) }), Before, Before),
        // A run has succeeded: what was asked for meanwhile is owed from here on.
        (&owed, json!({ "last_sync_at": time(3) }), Now, Before),
        (&owed, json!({ "last_sync_at": time(3), "sync_request_id": request(2) }), Now, Before),
        (&owed, json!({ "last_sync_at": null }), Now, Before),
        (&owed, json!({ "last_sync_at": time(3), "sync_request_id": null }), Never, Before),
        (&owed, json!({ "sync_request_id": null }), Never, Before),
        (&owed, json!({ "sync_request_id": null, "sync_owed_since": time(3) }), Never, Before),
        (&never_synced, json!({ "sync_request_id": request(2) }), Before, Before),
        (&never_synced, json!({ "last_sync_at": time(3) }), Now, Before),
        // A request from before the column.
        (&unknown, json!({ "sync_attempts": 1 }), Now, Now),
    ] {
        for (caller, expected) in [(Service, by_service), (User(USER), by_page), (Anon, by_page)] {
            let what = format!("{caller:?} writes {change} over {start}");
            let id = connection(&project, json!({})).await;
            project.sql("alter table public.calendar_connections disable trigger user").await;
            let update = "update public.calendar_connections set
                (last_sync_at, sync_request_id, sync_owed_since) =
                (select last_sync_at, sync_request_id, sync_owed_since
                   from jsonb_populate_record(null::public.calendar_connections, $1)) where id = $2";
            assert_eq!(project.act(Service, update, &[start, &id]).await, Rows(1));
            project.sql("alter table public.calendar_connections enable trigger user").await;

            assert_eq!(project.update(caller, id, &change).await, Rows(1), "{what}");
            let after = project.row(id).await["sync_owed_since"].clone();
            let is_now: bool = project
                .value(
                    "select $1::text::timestamptz > now() - interval '10 s'",
                    &[&after.as_str().unwrap_or(EPOCH)],
                )
                .await;
            match expected {
                Never => assert_eq!(after, Value::Null, "{what}"),
                Before => assert_eq!(after, start["sync_owed_since"], "{what}"),
                Now => assert!(is_now, "{what}: {after}"),
            }
        }
    }
    // A row that is restored brings its time; a page owes nothing.
    for (caller, brought, expected) in [
        (Service, json!(null), Now),
        (Service, json!(time(3)), Before),
        (User(USER), json!(time(3)), Never),
        (Anon, json!(time(3)), Never),
    ] {
        let id = Uuid::new_v4();
        let row =
            json!({ "id": id, "user_id": USER, "sync_request_id": request(1), "sync_owed_since": brought });
        assert_eq!(project.insert(caller, &row).await, Rows(1));
        let since = project.row(id).await["sync_owed_since"].clone();
        match expected {
            Never => assert_eq!(since, Value::Null, "{caller:?}"),
            Before => assert_eq!(since, brought, "{caller:?}"),
            Now => assert!(since.is_string(), "{caller:?}"),
        }
    }
}

#[tokio::test]
async fn no_page_can_store_what_would_choke_a_sweep() {
    let project = permissive_host().await;
    let id = connection(&project, json!({ "refresh_token": "r" })).await;
    let before = project.row(id).await;
    for column in ["calendar_id", "access_token", "refresh_token"] {
        for caller in [User(USER), Anon] {
            let outcome = project.update(caller, id, &json!({ column: "x".repeat(4097) })).await;
            assert!(matches!(&outcome, Outcome::Failed(error) if error.starts_with("23514")), "{outcome:?}");
            let insert = json!({ "user_id": USER, column: "x".repeat(4097) });
            let outcome = project.insert(caller, &insert).await;
            assert!(matches!(&outcome, Outcome::Failed(error) if error.starts_with("23514")), "{outcome:?}");
        }
        let changed = changed(&before, &project.row(id).await);
        assert_eq!(changed, [""; 0], "{column}");
    }
}

/// A server may store it, and one row would be more than the answer with its whole page may be.
#[tokio::test]
async fn what_is_too_long_to_be_read_is_not_read() {
    let project = permissive_host().await;
    for column in ["calendar_id", "access_token", "refresh_token"] {
        for (length, is_read) in [(4096, true), (4097, false)] {
            let text = "ä".repeat(length);
            let id = connection(&project, json!({ column: text })).await;
            let state = "select calendar_webhook_state(row) as state from public.calendar_connections as row";
            let state = project.select(Service, &format!("{state} where id = '{id}'")).await.remove(0);
            let expected = if is_read { json!(text) } else { json!(false) };
            assert_eq!(state["state"][column], expected, "{column} of {length}");
        }
    }
}

#[tokio::test]
async fn a_page_writes_to_a_row_that_was_large_before_and_to_those_of_other_providers() {
    let project = permissive_host().await;
    let large = || "x".repeat(5000);
    let id = connection(&project, json!({ "access_token": large() })).await;
    assert_eq!(project.update(User(USER), id, &json!({ "is_active": false })).await, Rows(1));
    let other = json!({ "user_id": USER, "provider": "outlook", "access_token": large() });
    assert_eq!(project.insert(User(USER), &other).await, Rows(1));
    let smuggled = connection(&project, other).await;
    let outcome = project.update(User(USER), smuggled, &json!({ "provider": "google" })).await;
    assert!(matches!(&outcome, Outcome::Failed(error) if error.starts_with("23514")), "{outcome:?}");
}
