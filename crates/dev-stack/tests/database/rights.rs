//! Who may do what with a table that the migration created.

use serde_json::json;
use uuid::Uuid;

use crate::project::{
    Caller::{Anon, Service, User},
    Outcome::{Denied, Failed, Rows},
    Project,
};

/// What a signed-in user may do with a column of their own rows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Right {
    Nothing,
    Read,
    Write,
}
use Right::{Nothing, Read, Write};

/// Every column, so that a new one needs a decision here.
const COLUMNS: [(&str, Right); 32] = [
    ("id", Read),
    ("user_id", Read),
    ("provider", Read),
    ("access_token", Nothing),
    ("refresh_token", Nothing),
    ("expires_at", Read),
    ("calendar_id", Write),
    ("is_active", Write),
    ("created_at", Read),
    ("updated_at", Read),
    ("webhook_id", Read),
    ("webhook_expiration", Read),
    ("sync_enabled", Write),
    ("last_sync_at", Read),
    ("webhook_token", Nothing),
    ("webhook_token_hash", Nothing),
    ("webhook_source", Nothing),
    ("webhook_resource_id", Nothing),
    ("webhook_pending_id", Nothing),
    ("webhook_opened_at", Read),
    ("webhook_confirmed_id", Read),
    ("webhook_message_number", Read),
    ("webhook_lease_until", Nothing),
    ("webhook_not_before", Nothing),
    ("webhook_attempts", Nothing),
    ("webhook_error", Read),
    ("sync_request_id", Read),
    ("sync_lease_until", Nothing),
    ("sync_not_before", Nothing),
    ("sync_attempts", Nothing),
    ("sync_streak", Nothing),
    ("sync_error", Read),
];

/// A table with one row of the user returned and one of somebody else.
async fn two_rows() -> (Project, Uuid) {
    let project = Project::migrated().await;
    let (owner, other) = (Uuid::new_v4(), Uuid::new_v4());
    for user in [owner, other] {
        let row = json!({ "user_id": user, "access_token": "access", "refresh_token": "refresh" });
        assert_eq!(project.insert(Service, &row).await, Rows(1));
    }
    (project, owner)
}

#[tokio::test]
async fn each_role_may_do_with_each_column_what_it_is_meant_to() {
    let (project, owner) = two_rows().await;
    let (owner, stranger) = (User(owner), User(Uuid::new_v4()));
    let names: Vec<_> = COLUMNS.iter().map(|(column, _)| column.to_string()).collect();
    let mut actual = project.columns("public.calendar_connections").await;
    let mut expected = names.clone();
    actual.sort();
    expected.sort();
    assert_eq!(actual, expected);

    for (column, right) in COLUMNS {
        let select = format!("select {column} from public.calendar_connections");
        let erase = format!("update public.calendar_connections set {column} = default");
        let rewrite = format!("update public.calendar_connections set {column} = {column}");
        let insert = format!("insert into public.calendar_connections ({column}) values (default)");
        let of_own = |allowed: bool, rows: u64| if allowed { Rows(rows) } else { Denied };
        for (caller, own) in [(owner, 1), (stranger, 0)] {
            assert_eq!(project.attempt(caller, &select).await, of_own(right != Nothing, own), "{select}");
            assert_eq!(project.attempt(caller, &erase).await, of_own(right == Write, own), "{erase}");
            assert_eq!(project.attempt(caller, &insert).await, Denied, "{insert}");
        }
        for statement in [&select, &erase, &insert] {
            assert_eq!(project.attempt(Anon, statement).await, Denied, "{statement}");
        }
        assert_eq!(project.attempt(Service, &select).await, Rows(2), "{select}");
        assert_eq!(project.attempt(Service, &rewrite).await, Rows(2), "{rewrite}");
    }
}

#[tokio::test]
async fn each_role_may_do_with_whole_rows_what_it_is_meant_to() {
    let (project, owner) = two_rows().await;
    let (owner, stranger) = (User(owner), User(Uuid::new_v4()));
    let nobody = [Denied, Denied, Denied];
    for (statement, [by_anon, by_stranger, by_owner], by_service) in [
        ("delete from public.calendar_connections", [Denied, Rows(0), Rows(1)], Rows(2)),
        ("select from public.calendar_connections", [Denied, Rows(0), Rows(1)], Rows(2)),
        ("select * from public.calendar_connections", nobody.clone(), Rows(2)),
        ("select connection from public.calendar_connections connection", nobody.clone(), Rows(2)),
        ("select to_jsonb(connection) from public.calendar_connections connection", nobody.clone(), Rows(2)),
        (
            "insert into public.calendar_connections (user_id) values (gen_random_uuid())",
            nobody.clone(),
            Rows(1),
        ),
        // A secret that cannot be selected cannot be guessed at either.
        ("select id from public.calendar_connections where access_token = 'access'", nobody.clone(), Rows(2)),
        ("select id from public.calendar_connections order by webhook_token", nobody.clone(), Rows(2)),
        (
            "update public.calendar_connections set sync_enabled = true where refresh_token = 'refresh'",
            nobody.clone(),
            Rows(2),
        ),
        (
            "update public.calendar_connections set sync_enabled = true returning webhook_token",
            nobody.clone(),
            Rows(2),
        ),
        ("delete from public.calendar_connections returning *", nobody.clone(), Rows(2)),
    ] {
        assert_eq!(project.attempt(Anon, statement).await, by_anon, "{statement}");
        assert_eq!(project.attempt(stranger, statement).await, by_stranger, "{statement}");
        assert_eq!(project.attempt(owner, statement).await, by_owner, "{statement}");
        assert_eq!(project.attempt(Service, statement).await, by_service, "{statement}");
    }
    // Row level security does not hold for these.
    for statement in [
        "truncate public.calendar_connections",
        "create trigger mine before insert on public.calendar_connections
           for each row execute function public.sessions_prefer_their_start()",
    ] {
        for caller in [Anon, stranger, owner] {
            assert_eq!(project.attempt(caller, statement).await, Denied, "{caller:?}: {statement}");
        }
    }
}

#[tokio::test]
async fn a_token_without_a_user_sees_no_row() {
    let (project, _) = two_rows().await;
    for claims in ["", "{}", r#"{"role": "authenticated"}"#, r#"{"sub": ""}"#] {
        let statement = format!(
            "with claims as materialized (select set_config('request.jwt.claims', '{claims}', true))
             select id from claims, public.calendar_connections"
        );
        let outcome = project.attempt(User(Uuid::nil()), &statement).await;
        assert_eq!(outcome, Rows(0), "{claims}");
    }
}

#[tokio::test]
async fn a_user_pauses_disconnects_moves_and_deletes_a_connection() {
    let (project, user) = two_rows().await;
    let owner = User(user);
    let id: Uuid =
        project.value("select id from public.calendar_connections where user_id = $1", &[&user]).await;
    let values = json!({ "sync_enabled": false, "is_active": false, "calendar_id": "work@example.com" });
    assert_eq!(project.update(owner, id, &values).await, Rows(1));
    let row = project.row(id).await;
    for (column, value) in values.as_object().unwrap() {
        assert_eq!(&row[column], value, "{column}");
    }
    // Nobody gives a connection away.
    assert_eq!(project.update(owner, id, &json!({ "user_id": Uuid::new_v4() })).await, Denied);
    let delete = "delete from public.calendar_connections where id = $1";
    assert_eq!(project.act(owner, delete, &[&id]).await, Rows(1));
}

#[tokio::test]
async fn a_token_is_unique_even_against_the_service() {
    let (project, _) = two_rows().await;
    let twins = "update public.calendar_connections set webhook_token = 'the same'";
    assert!(matches!(project.attempt(Service, twins).await, Failed(error) if error.starts_with("23505")));
}
