//! The migrations make the columns that the protocol knows.

use std::collections::BTreeMap;
use std::fs;

use protocol::table::{Column, DataType, Owner};
use protocol::transition::ROTATED;

fn migrations() -> String {
    // Cargo runs tests in the directory of their package.
    let mut files: Vec<_> =
        fs::read_dir("../../supabase/migrations").unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let read = files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "sql"));
    read.map(|file| fs::read_to_string(file).unwrap()).collect()
}

/// The columns that are added to the table: their types, and whether nulls are refused.
fn added_columns(sql: &str) -> BTreeMap<&str, (&str, bool)> {
    let mut added = BTreeMap::new();
    for statement in sql.split("alter table public.calendar_connections\n").skip(1) {
        let (statement, _) = statement.split_once(';').unwrap();
        for column in statement.split("add column if not exists ").skip(1) {
            let (definition, _) = column.split_once(',').unwrap_or((column, ""));
            let mut words = definition.split_whitespace();
            let (name, data_type) = (words.next().unwrap(), words.next().unwrap());
            let is_required = definition.contains(" not null")
                || sql.contains(&format!("alter column {name} set not null"));
            added.insert(name, (data_type, is_required));
        }
    }
    added
}

#[test]
fn the_migrations_add_every_column_that_is_not_the_hosts() {
    let sql = migrations();
    let expected = Column::ALL.iter().filter(|column| column.owner() != Owner::Host).map(|column| {
        let data_type = match column.data_type() {
            DataType::Boolean => "boolean",
            DataType::Integer => "integer",
            DataType::BigInteger => "bigint",
            DataType::Text | DataType::Word => "text",
            DataType::Time => "timestamptz",
            DataType::Uuid => "uuid",
        };
        (column.name(), (data_type, column.owner() == Owner::Ours))
    });
    assert_eq!(added_columns(&sql), expected.collect());
}

#[test]
fn a_table_that_is_there_is_asked_for_the_same_columns() {
    let sql = migrations().replace("::regtype[]", "");
    let asked = sql.split_once("from (values (1, 'id'").unwrap().1;
    let asked = format!("(1, 'id'{}", asked.split_once("as expected (").unwrap().0);
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let expected = Column::ALL.iter().enumerate().map(|(index, column)| {
        let owner = match column.owner() {
            Owner::Host => "host",
            Owner::Shared => "shared",
            Owner::Ours => "ours",
        };
        let types = match column.data_type() {
            DataType::Boolean => "'{boolean}'",
            DataType::Integer => "'{integer, bigint}'",
            DataType::BigInteger => "'{bigint}'",
            DataType::Text => "'{text}'",
            DataType::Time if column.owner() == Owner::Host => "'{timestamptz, timestamp}'",
            DataType::Time => "'{timestamptz}'",
            DataType::Uuid => "'{uuid}'",
            DataType::Word => "null",
        };
        format!("({}, '{}', {types}, '{owner}')", index + 1, column.name())
    });
    let asked = asked.lines().filter(|line| !line.trim().starts_with("--")).collect::<Vec<_>>().join(" ");
    assert_eq!(words(&asked), format!("{})", expected.collect::<Vec<_>>().join(", ")));
}

#[test]
fn the_trigger_knows_the_word_for_a_rotated_token() {
    assert!(migrations().contains(&format!("new.webhook_source is not distinct from '{ROTATED}'")));
}

#[test]
fn a_row_is_read_as_one_value_of_every_column_that_is_read() {
    let sql = migrations();
    let (_, function) = sql.split_once("function public.calendar_webhook_state(").unwrap();
    let (_, object) = function.split_once("json_build_object(").unwrap();
    let (object, _) = object.split_once(")\n$$").unwrap();
    let fields = Column::READ.iter().map(|column| match column {
        Column::AccessToken | Column::RefreshToken | Column::CalendarId => format!(
            "'{0}', case when pg_catalog.length(connection.{0}) > 4096 then 'false'::pg_catalog.json \
             else pg_catalog.to_json(connection.{0}) end",
            column.name()
        ),
        _ => format!("'{0}', connection.{0}", column.name()),
    });
    let words = object.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words, fields.collect::<Vec<_>>().join(", "));
}
