//! Under which names migrations are installed.
//!
//! Supabase applies them in the order of their names, and refuses one that sorts before any it has applied. So each
//! is added after all that the project has, once; a changed one is added again, and with it those that follow it,
//! for they build on each other. Each can be applied twice.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use crate::payload::Migration;
use crate::project::MIGRATIONS;
use crate::record::hash;

#[derive(Debug, PartialEq)]
pub(crate) enum Fate {
    /// Is there, installed or not.
    Present {
        file: String,
    },
    /// Was installed, and has been edited or removed since.
    Changed {
        file: String,
    },
    Add {
        file: String,
    },
}

/// Whether a migration makes a table of this name in the schema `public`.
pub fn makes_table(sql: &str, table: &str) -> bool {
    let sql = sql.to_lowercase().replace('"', "").replace('(', " (").replace("if not exists ", "");
    let words: Vec<_> = sql.split_whitespace().collect();
    let is_it = |name: &str| name.strip_prefix("public.").unwrap_or(name) == table;
    words.windows(3).any(|words| matches!(words, ["create", "table", name] if is_it(name)))
}

/// `existing`: the hashes of the project's migrations by file name. `installed`: those of the record, likewise.
/// `now`: the time as the version of a migration.
pub(crate) fn plan(
    migrations: &[Migration],
    mut existing: BTreeMap<String, String>,
    installed: &BTreeMap<String, String>,
    now: &str,
) -> Result<Vec<Fate>> {
    let mut steps = Vec::new();
    let mut previous = String::new();
    for migration in migrations {
        let hash = hash(&migration.sql);
        let latest = |files: &BTreeMap<String, String>| {
            let same = |(file, other): &(&String, &String)| **other == hash && **file > previous;
            files.iter().rev().find(same).map(|(file, _)| file.clone())
        };
        let last = existing.last_key_value().map(|(file, _)| file.clone());
        let step = if let Some(file) = latest(&existing) {
            Fate::Present { file }
        } else if let Some(file) = latest(installed) {
            // One that is gone can come back only where it still is the last.
            let is_gone = !existing.contains_key(&file);
            if is_gone && last.is_none_or(|last| file > last) {
                Fate::Add { file }
            } else {
                Fate::Changed { file }
            }
        } else {
            let version = version_after(last.as_deref(), now)?;
            Fate::Add { file: format!("{version}_{}", migration.name) }
        };
        let (Fate::Present { file } | Fate::Changed { file } | Fate::Add { file }) = &step;
        existing.insert(file.clone(), hash);
        previous.clone_from(file);
        steps.push(step);
    }
    Ok(steps)
}

/// Whether `supabase db push` takes a file for a migration: `<version>_<name>.sql`. It skips all others.
pub(crate) fn is_applied(file: &str) -> bool {
    let version = file.strip_suffix(".sql").and_then(|name| name.split_once('_')).map(|(version, _)| version);
    version.is_some_and(|version| !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A version that sorts after a file's, and is the time if that does.
fn version_after(last: Option<&str>, now: &str) -> Result<String> {
    let Some(last) = last else { return Ok(now.to_owned()) };
    let version = last.split_once('_').map_or(last, |(version, _)| version);
    if now > version {
        return Ok(now.to_owned());
    }
    let next = version.parse::<u128>().map(|number| format!("{:0width$}", number + 1, width = version.len()));
    let next = next.ok().filter(|next| next.len() == version.len());
    ensure!(
        next.is_some(),
        "no migration can be added after {MIGRATIONS}/{last}: give it a version that is a time"
    );
    Ok(next.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "20300101120000";

    #[test]
    fn a_table_is_found_however_it_is_written() {
        for sql in [
            "create table sessions (id int);",
            "CREATE TABLE IF NOT EXISTS public.sessions(\n  id int);",
            "begin;\ncreate  table \"public\".\"sessions\"(id int)",
        ] {
            assert!(makes_table(sql, "sessions"), "{sql}");
        }
        for sql in [
            "create table session_plans (sessions int)",
            "alter table sessions add a int",
            "create table app.sessions (a int)",
        ] {
            assert!(!makes_table(sql, "sessions"), "{sql}");
        }
    }

    fn migrations(contents: &[&str]) -> Vec<Migration> {
        let migration = |(number, content): (usize, &&str)| Migration {
            name: format!("ours_{number}.sql"),
            sql: content.as_bytes().to_vec(),
        };
        contents.iter().enumerate().map(migration).collect()
    }

    fn files(files: &[(&str, &str)]) -> BTreeMap<String, String> {
        files.iter().map(|(name, content)| ((*name).to_owned(), hash(content.as_bytes()))).collect()
    }

    #[track_caller]
    fn check(ours: &[&str], existing: &[(&str, &str)], installed: &[(&str, &str)], expected: &[Fate]) {
        let steps = plan(&migrations(ours), files(existing), &files(installed), NOW).unwrap();
        assert_eq!(steps, expected);
    }

    fn add(file: &str) -> Fate {
        Fate::Add { file: file.to_owned() }
    }

    fn present(file: &str) -> Fate {
        Fate::Present { file: file.to_owned() }
    }

    fn changed(file: &str) -> Fate {
        Fate::Changed { file: file.to_owned() }
    }

    #[test]
    fn a_project_without_migrations_gets_them_in_order_from_now_on() {
        check(&["a", "b"], &[], &[], &[add("20300101120000_ours_0.sql"), add("20300101120001_ours_1.sql")]);
    }

    #[test]
    fn they_come_after_a_migration_of_the_future() {
        let existing = [("20310101235959_theirs.sql", "t")];
        check(&["a"], &existing, &[], &[add("20310101235960_ours_0.sql")]);
    }

    #[test]
    fn what_is_there_under_any_name_is_not_added_again() {
        let existing = [("20200101000000_x.sql", "a"), ("20200101000001_y.sql", "b")];
        check(
            &["a", "b"],
            &existing,
            &[],
            &[present("20200101000000_x.sql"), present("20200101000001_y.sql")],
        );
    }

    #[test]
    fn a_changed_one_is_added_with_all_that_follow_it() {
        let installed = [("20200101000000_ours_0.sql", "a"), ("20200101000001_ours_1.sql", "b")];
        let expected = [add("20300101120000_ours_0.sql"), add("20300101120001_ours_1.sql")];
        check(&["a2", "b"], &installed, &installed, &expected);
        let expected = [present("20200101000000_ours_0.sql"), add("20300101120000_ours_1.sql")];
        check(&["a", "b2"], &installed, &installed, &expected);
    }

    #[test]
    fn after_an_addition_nothing_is_to_be_added() {
        let existing =
            [("20200101000000_0.sql", "a"), ("20200101000001_1.sql", "b"), ("20300101120000_0.sql", "a2")];
        let all = [existing.as_slice(), &[("20300101120001_1.sql", "b")]].concat();
        check(&["a2", "b"], &all, &[], &[present("20300101120000_0.sql"), present("20300101120001_1.sql")]);
    }

    #[test]
    fn an_edited_one_stays_as_it_is() {
        let file = "20200101000000_ours_0.sql";
        check(&["a"], &[(file, "edited")], &[(file, "a")], &[changed(file)]);
    }

    #[test]
    fn a_lost_one_comes_back_only_as_the_last() {
        let file = "20200101000000_ours_0.sql";
        check(&["a"], &[("20190101000000_t.sql", "t")], &[(file, "a")], &[add(file)]);
        check(&["a"], &[("20200202000000_squashed.sql", "t")], &[(file, "a")], &[changed(file)]);
    }

    #[test]
    fn a_version_after_which_nothing_sorts_is_named() {
        let error = plan(&migrations(&["a"]), files(&[("9999_x.sql", "x")]), &BTreeMap::new(), NOW);
        assert!(error.unwrap_err().to_string().contains("9999_x.sql"));
    }
}
