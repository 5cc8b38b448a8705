//! What `calendar_connection_status` says, and to whom.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::project::Caller::{Anon, Service, User};
use crate::project::Outcome::{Denied, Rows};
use crate::project::Project;

const VIEW: &str = "public.calendar_connection_status";

/// Every status with what makes a connection that is well otherwise have it, in order of precedence. Values are SQL.
const STATUSES: [(&str, &[(&str, &str)]); 9] = [
    ("disconnected", &[("is_active", "false")]),
    ("paused", &[("sync_enabled", "false")]),
    ("reconnect_required", &[("webhook_error", "'reconnect_required'")]),
    ("unsupported", &[("webhook_error", "'push_not_supported'")]),
    ("not_set_up", &[("webhook_id", "null")]),
    ("expired", &[("webhook_expiration", "now() - interval '1 second'")]),
    (
        "unconfirmed",
        &[
            ("webhook_opened_at", "now() - interval '301 seconds'"),
            ("webhook_confirmed_id", "null"),
            ("webhook_message_number", "0"),
        ],
    ),
    ("expiring", &[("webhook_expiration", "now() + interval '23 hours 59 minutes'")]),
    ("active", &[]),
];

/// A connection that is well.
const WELL: &[(&str, &str)] = &[
    ("is_active", "true"),
    ("sync_enabled", "true"),
    ("webhook_id", "'channel'"),
    ("webhook_expiration", "now() + interval '20 days'"),
    ("webhook_opened_at", "now() - interval '10 days'"),
    ("webhook_confirmed_id", "'channel'"),
    ("webhook_message_number", "7"),
];

struct Connection {
    project: Project,
    user: Uuid,
}

impl Connection {
    async fn new() -> Self {
        let project = Project::migrated().await;
        let user = Uuid::new_v4();
        assert_eq!(project.insert(Service, &json!({ "user_id": user })).await, Rows(1));
        Self { project, user }
    }

    /// What its user sees when it is well but for `layers`, the last of which wins.
    async fn seen(&self, layers: &[&[(&str, &str)]]) -> Map<String, Value> {
        let mut values = std::collections::BTreeMap::new();
        let nothing_owed: &[_] =
            &[("webhook_error", "null"), ("sync_request_id", "null"), ("sync_error", "null")];
        for layer in [&[nothing_owed, WELL], layers].concat() {
            values.extend(layer.iter().copied());
        }
        let assignments: Vec<_> =
            values.iter().map(|(column, value)| format!("{column} = {value}")).collect();
        // The trigger resets an error in the statement that pauses; the second one states it again.
        let update = format!("update public.calendar_connections set {}", assignments.join(", "));
        self.project.sql(&format!("{update}; {update}")).await;
        let mut rows = self.project.select(User(self.user), &format!("select * from {VIEW}")).await;
        assert_eq!(rows.len(), 1);
        match rows.remove(0) {
            Value::Object(row) => row,
            other => panic!("not a row: {other}"),
        }
    }

    async fn check(&self, layers: &[&[(&str, &str)]], column: &str, expected: &str) {
        assert_eq!(self.seen(layers).await[column], json!(expected), "{layers:?}");
    }
}

#[tokio::test]
async fn the_first_status_that_applies_is_shown() {
    let connection = Connection::new().await;
    for (rank, (status, conditions)) in STATUSES.into_iter().enumerate() {
        connection.check(&[conditions], "status", status).await;
        for (_, weaker) in &STATUSES[rank + 1..] {
            connection.check(&[weaker, conditions], "status", status).await;
        }
    }
    // All at once, the first taken away again and again.
    let conditions = STATUSES.map(|(_, conditions)| conditions);
    let errors: &[_] = &[("webhook_error", "'reconnect_required'")];
    connection
        .check(
            &[conditions[4], conditions[5], conditions[1], errors, conditions[0]],
            "status",
            "disconnected",
        )
        .await;
    connection.check(&[conditions[4], conditions[5], errors, conditions[1]], "status", "paused").await;
    connection.check(&[conditions[4], conditions[5], errors], "status", "reconnect_required").await;
}

#[tokio::test]
async fn each_status_begins_and_ends_where_it_should() {
    let connection = Connection::new().await;
    let silent: &[_] = &[("webhook_confirmed_id", "null"), ("webhook_message_number", "0")];
    for (layers, expected) in [
        (&[&[("is_active", "null")][..]][..], "disconnected"),
        (&[&[("is_active", "null"), ("sync_enabled", "null")]], "disconnected"),
        (&[&[("sync_enabled", "null")]], "active"),
        (&[&[("webhook_error", "'calendar_not_found'")]], "unsupported"),
        (&[&[("webhook_error", "'no_calendar'")]], "unsupported"),
        (&[&[("webhook_error", "'permission_missing'")]], "reconnect_required"),
        (&[&[("webhook_error", "'blocked_by_policy'"), ("webhook_id", "null")]], "reconnect_required"),
        (&[&[("webhook_error", "'permission_missing'"), ("sync_enabled", "false")]], "paused"),
        (&[&[("webhook_error", "'google_api_disabled'")]], "active"),
        (&[&[("webhook_error", "'google_unavailable'")]], "active"),
        (&[&[("webhook_error", "'google_unavailable'"), ("webhook_id", "null")]], "not_set_up"),
        (
            &[&[("webhook_id", "null"), ("webhook_expiration", "null"), ("webhook_confirmed_id", "null")]],
            "not_set_up",
        ),
        (&[&[("webhook_expiration", "null")]], "expired"),
        (&[&[("webhook_expiration", "'-infinity'")]], "expired"),
        (&[&[("webhook_expiration", "'infinity'")]], "active"),
        (&[&[("webhook_expiration", "now() + interval '24 hours 1 minute'")]], "active"),
        (&[&[("webhook_expiration", "now() + interval '1 minute'")]], "expiring"),
        (&[silent, &[("webhook_opened_at", "now() - interval '4 minutes'")]], "active"),
        (&[silent], "unconfirmed"),
        (&[silent, &[("webhook_message_number", "1")]], "active"),
        (&[silent, &[("webhook_confirmed_id", "'channel'")]], "active"),
        (&[silent, &[("webhook_confirmed_id", "'the one before'")]], "unconfirmed"),
        // Somebody else's channel, which never spoke to us.
        (&[silent, &[("webhook_opened_at", "'epoch'")]], "unconfirmed"),
        (&[&[("webhook_pending_id", "'pending'"), ("webhook_id", "null")]], "not_set_up"),
    ] {
        connection.check(layers, "status", expected).await;
    }
}

#[tokio::test]
async fn the_sync_status_tells_what_is_owed_whatever_the_channel_does() {
    let connection = Connection::new().await;
    for (_, conditions) in STATUSES {
        for (request, error, expected) in [
            ("null", "null", "idle"),
            ("null", "'recalculate_500'", "idle"),
            ("gen_random_uuid()", "null", "pending"),
            ("gen_random_uuid()", "'recalculate_500'", "failing"),
        ] {
            let sync = [("sync_request_id", request), ("sync_error", error)];
            connection.check(&[conditions, &sync], "sync_status", expected).await;
        }
    }
}

#[tokio::test]
async fn a_row_says_exactly_what_is_documented() {
    let connection = Connection::new().await;
    let columns = connection.project.columns(VIEW).await;
    assert_eq!(
        columns,
        [
            "id",
            "user_id",
            "calendar_id",
            "status",
            "webhook_id",
            "webhook_expiration",
            "webhook_error",
            "sync_status",
            "last_sync_at",
            "sync_error",
            "webhook_error_reason",
            "calendar_name",
            "webhook_notified_at",
        ]
    );
    let seen = connection
        .seen(&[&[
            ("calendar_id", "'ada@example.com'"),
            ("webhook_expiration", "'2031-01-01'"),
            ("webhook_error", "'google_unavailable'"),
            ("last_sync_at", "'2026-01-01'"),
            ("sync_error", "'recalculate_500'"),
            ("webhook_error_reason", "'backendError'"),
            ("calendar_name", "'Ada''s calendar'"),
            ("webhook_notified_at", "'2026-01-02'"),
        ]])
        .await;
    let id: Uuid = connection.project.value("select id from public.calendar_connections", &[]).await;
    let expected = json!({
        "id": id,
        "user_id": connection.user,
        "calendar_id": "ada@example.com",
        "status": "active",
        "webhook_id": "channel",
        "webhook_expiration": "2031-01-01T00:00:00+00:00",
        "webhook_error": "google_unavailable",
        "sync_status": "idle",
        "last_sync_at": "2026-01-01T00:00:00+00:00",
        "sync_error": "recalculate_500",
        "webhook_error_reason": "backendError",
        "calendar_name": "Ada's calendar",
        "webhook_notified_at": "2026-01-02T00:00:00+00:00",
    });
    assert_eq!(Value::Object(seen), expected);
}

#[tokio::test]
async fn users_read_their_own_google_rows_and_nobody_writes() {
    let project = Project::migrated().await;
    let (owner, other) = (Uuid::new_v4(), Uuid::new_v4());
    for user in [owner, other] {
        for provider in ["google", "google", "outlook", "Google", "google "] {
            let row = json!({ "user_id": user, "provider": provider });
            assert_eq!(project.insert(Service, &row).await, Rows(1));
        }
    }
    let select = format!("select * from {VIEW}");
    for (caller, expected) in
        [(Service, Rows(4)), (User(owner), Rows(2)), (User(Uuid::new_v4()), Rows(0)), (Anon, Denied)]
    {
        assert_eq!(project.attempt(caller, &select).await, expected, "{caller:?}");
    }
    for statement in [
        format!("update {VIEW} set webhook_error = null"),
        format!("update {VIEW} set calendar_id = null"),
        format!("insert into {VIEW} (user_id) values (gen_random_uuid())"),
        format!("delete from {VIEW}"),
    ] {
        for caller in [Anon, User(owner), Service] {
            assert_eq!(project.attempt(caller, &statement).await, Denied, "{caller:?}: {statement}");
        }
    }
}

/// The view shows what the caller may read of the table, and is no way around it.
#[tokio::test]
async fn the_tables_own_rules_hold_for_the_view() {
    let project = Project::migrated().await;
    let user = Uuid::new_v4();
    assert_eq!(project.insert(Service, &json!({ "user_id": user })).await, Rows(1));
    let select = format!("select * from {VIEW}");
    assert_eq!(project.attempt(User(user), &select).await, Rows(1));

    project.sql("grant select on public.calendar_connection_status to anon").await;
    assert_eq!(project.attempt(Anon, &select).await, Denied);
    project.sql("revoke select on public.calendar_connections from authenticated").await;
    assert_eq!(project.attempt(User(user), &select).await, Denied);
}
