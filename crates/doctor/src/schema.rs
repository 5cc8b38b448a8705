//! Whether the migrations are applied: tables, views, and columns of the type that the functions rely on.

use std::collections::BTreeMap;

use protocol::table::{Column, DataType, Owner};
use serde_json::Value as Json;

use crate::check::{Check, Id};
use crate::home::Home;

const TABLE: &str = "calendar_connections";
const OTHERS: [&str; 5] = [
    "calendar_connection_status",
    "calendar_webhook_health",
    "calendar_webhook_sweeps",
    "calendar_connection_events",
    "calendar_webhook_farewells",
];

/// What a column may be, as PostgREST names it, the usual first; none = anything.
const fn types(column: Column) -> &'static [&'static str] {
    match (column.data_type(), column.owner()) {
        (DataType::Boolean, _) => &["boolean"],
        (DataType::Integer, _) => &["integer", "bigint"],
        (DataType::BigInteger, _) => &["bigint"],
        (DataType::Text, _) => &["text", "character varying", "extensions.citext", "public.citext"],
        (DataType::Time, Owner::Host) => &["timestamp with time zone", "timestamp without time zone"],
        (DataType::Time, Owner::Shared | Owner::Ours) => &["timestamp with time zone"],
        (DataType::Uuid, _) => &["uuid"],
        (DataType::Word, _) => &[],
    }
}

/// Types of columns, by table or view and column.
pub type Description = BTreeMap<String, BTreeMap<String, String>>;

/// Reads PostgREST's OpenAPI description; `None` where the backend gives none.
pub fn parse_description(root: &Json) -> Option<Description> {
    let tables = root.get("definitions")?.as_object()?;
    let columns = |table: &Json| {
        let columns = table.get("properties").and_then(Json::as_object).into_iter().flatten();
        columns
            .map(|(name, column)| {
                (name.clone(), column.get("format").and_then(Json::as_str).unwrap_or_default().to_owned())
            })
            .collect()
    };
    Some(tables.iter().map(|(name, table)| (name.clone(), columns(table))).collect())
}

/// What was seen of the database.
pub struct Seen {
    pub description: Option<Description>,
    /// Whether the two views could be read.
    pub status_view: bool,
    pub health_view: bool,
}

pub fn judge(home: Home, seen: &Seen) -> Vec<Check> {
    let id = Id::Schema;
    let Some(description) = &seen.description else {
        return vec![match (seen.status_view, seen.health_view) {
            (true, true) => {
                Check::unknown(id, "both views answer; this backend does not tell the types of columns")
            }
            (false, _) => missing(home, &["calendar_connection_status"]),
            (true, false) => missing(home, &["calendar_webhook_health"]),
        }];
    };
    let absent: Vec<&str> =
        [TABLE].into_iter().chain(OTHERS).filter(|name| !description.contains_key(*name)).collect();
    if !absent.is_empty() {
        return vec![missing(home, &absent)];
    }
    let checks: Vec<Check> = description
        .get(TABLE)
        .map(|table| judge_columns(home, table))
        .unwrap_or_default()
        .into_iter()
        .flatten()
        .collect();
    if !checks.is_empty() {
        return checks;
    }
    if !(seen.status_view && seen.health_view) {
        return vec![Check::wrong(
            id,
            "views_fail",
            "the views calendar_connection_status and calendar_webhook_health are there, but cannot be read",
            format!(
                "apply the migrations again ({}), and see the database's log for what the views answer",
                home.migrate()
            ),
        )];
    }
    vec![Check::ok(id, "both migrations are applied; every column is there and of the right type")]
}

fn judge_columns(home: Home, columns: &BTreeMap<String, String>) -> [Option<Check>; 3] {
    let id = Id::Schema;
    let absent: Vec<&Column> =
        Column::ALL.iter().filter(|column| !columns.contains_key(column.name())).collect();
    let lacking = |is_hosts: bool, next: String| {
        let is_it = |column: &&&Column| (column.owner() == Owner::Host) == is_hosts;
        let names: Vec<&str> = absent.iter().filter(is_it).map(|column| column.name()).collect();
        let what = format!("{TABLE} lacks columns: {}", names.join(", "));
        (!names.is_empty()).then(|| Check::wrong(id, "columns_missing", what, next))
    };
    let mistyped: Vec<String> = Column::ALL
        .iter()
        .filter_map(|column| {
            let (name, types) = (column.name(), types(*column));
            let actual = columns.get(name)?;
            let expected = types.first()?;
            (!types.contains(&actual.as_str())).then(|| format!("{name} is {actual}, not {expected}"))
        })
        .collect();
    [
        lacking(
            true,
            "bring them back, or rename them back: they are the app's own, which the migrations do not make".to_owned(),
        ),
        lacking(false, apply(home)),
        (!mistyped.is_empty()).then(|| {
            Check::wrong(
                id,
                "column_of_wrong_type",
                format!("{TABLE} has columns of another type: {}", mistyped.join("; ")),
                "change the type in a migration of your own: `alter table … alter column … type …` (for a time without \
                 time zone: `using … at time zone 'UTC'`)",
            )
        }),
    ]
}

fn missing(home: Home, names: &[&str]) -> Check {
    Check::wrong(
        Id::Schema,
        "migration_missing",
        format!("the database lacks {}", names.join(", ")),
        apply(home),
    )
}

fn apply(home: Home) -> String {
    format!(
        "apply the migrations ({}). If they are applied, PostgREST has not noticed: run `notify pgrst, 'reload schema'` in \
         the SQL editor",
        home.migrate()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn complete() -> Description {
        let columns = Column::ALL.iter().map(|column| {
            let usual = types(*column).first().copied().unwrap_or("public.provider");
            (column.name().to_owned(), usual.to_owned())
        });
        let mut description: Description =
            OTHERS.iter().map(|name| ((*name).to_owned(), BTreeMap::new())).collect();
        description.insert(TABLE.to_owned(), columns.collect());
        description
    }

    fn codes(description: Option<Description>, status_view: bool, health_view: bool) -> Vec<String> {
        let checks = judge(Home::Hosted, &Seen { description, status_view, health_view });
        checks
            .into_iter()
            .map(|check| check.code.unwrap_or_else(|| check.verdict.name().to_owned()))
            .collect()
    }

    #[test]
    fn a_complete_database_is_well() {
        assert_eq!(codes(Some(complete()), true, true), ["ok"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut description = complete();
        description.get_mut(TABLE).unwrap().remove("sync_owed_since");
        let checks = judge(
            Home::Hosted,
            &Seen { description: Some(description), status_view: true, health_view: false },
        );
        assert!(checks[0].line.ends_with("lacks columns: sync_owed_since"), "{checks:?}");
        assert!(checks[0].next.as_ref().unwrap().starts_with("apply the migrations"), "{checks:?}");

        let mut description = complete();
        description.get_mut(TABLE).unwrap().remove("expires_at");
        let checks = judge(
            Home::Hosted,
            &Seen { description: Some(description), status_view: true, health_view: false },
        );
        assert!(checks[0].line.ends_with("lacks columns: expires_at"), "{checks:?}");
        assert!(checks[0].next.as_ref().unwrap().starts_with("bring them back"), "{checks:?}");

        let mut description = complete();
        description.remove("calendar_webhook_health");
        assert_eq!(codes(Some(description), true, false), ["migration_missing"]);
        assert_eq!(codes(Some(complete()), true, false), ["views_fail"]);
    }

    #[test]
    fn a_column_of_another_type_is_named_with_both() {
        let mut description = complete();
        let columns = description.get_mut(TABLE).unwrap();
        columns.insert("expires_at".to_owned(), "bigint".to_owned());
        columns.insert("created_at".to_owned(), "timestamp without time zone".to_owned());
        columns.insert("access_token".to_owned(), "character varying".to_owned());
        columns.insert("calendar_id".to_owned(), "extensions.citext".to_owned());
        let checks = judge(
            Home::Hosted,
            &Seen { description: Some(description), status_view: true, health_view: true },
        );
        assert_eq!(checks.len(), 1, "{checks:?}");
        assert!(
            checks[0].line.ends_with("another type: expires_at is bigint, not timestamp with time zone"),
            "{checks:?}"
        );
    }

    #[test]
    fn a_backend_that_does_not_describe_itself_is_judged_by_its_views() {
        assert_eq!(codes(None, true, true), ["unknown"]);
        assert_eq!(codes(None, true, false), ["migration_missing"]);
        assert_eq!(codes(None, false, false), ["migration_missing"]);
    }

    #[test]
    fn a_description_is_read_from_openapi() {
        let root = json!({ "definitions": { "t": { "properties": { "c": { "format": "uuid" } } } } });
        assert_eq!(parse_description(&root).unwrap()["t"]["c"], "uuid");
        assert!(parse_description(&json!({ "message": "no" })).is_none());
    }
}
