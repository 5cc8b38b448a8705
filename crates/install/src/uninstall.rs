//! Which changes take an installation back.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::config_toml;
use crate::plan::{Change, Plan};
use crate::project::{CONFIG, Project};
use crate::record::{RECORD, Record};

/// Removes what the migrations made from a database; the table with the connections stays.
pub const DROP: &str = include_str!("drop.sql");

/// What an uninstallation changes, and the versions of the migrations that it removes.
pub(crate) fn uninstall(project: &Project<'_>) -> Result<(Plan, Vec<String>)> {
    let mut plan = Plan::default();
    let mut versions = Vec::new();
    if !Record::exists(project) {
        return Ok((plan, versions));
    }
    let record = Record::read(project)?;
    let paths = record.files.keys().chain(record.writing.keys()).chain(record.migrations.keys());
    let paths = paths.chain(record.sample.keys());
    let mut removed = BTreeSet::new();
    for path in paths.collect::<BTreeSet<_>>() {
        match project.read(path)? {
            Some(content) if record.owns(path, &content) => {
                plan.changes.push(Change::Remove { path: path.clone(), before: content });
                removed.insert(path.clone());
                let file = path.rsplit('/').next().unwrap_or(path);
                if record.migrations.contains_key(path) {
                    versions.extend(file.split_once('_').map(|(version, _)| version.to_owned()));
                }
            }
            Some(_) => plan.notes.push(format!("{path} was edited since it was installed, and stays")),
            None => {}
        }
    }
    for (to, from) in &record.moved {
        if !project.exists(to) {
            continue;
        }
        let is_free =
            project.entries(from)?.into_iter().all(|name| removed.contains(&format!("{from}/{name}")));
        if is_free {
            plan.changes.push(Change::Move { from: to.clone(), to: from.clone() });
        } else {
            plan.notes.push(format!("{to} stays there, for there is something else in {from}"));
        }
    }
    let text = project.read_text(CONFIG)?;
    let restored = config_toml::remove(&text, &record.config)?;
    plan.write(CONFIG, Some(text.into_bytes()), restored.into_bytes());
    if let Some(before) = project.read(RECORD)? {
        plan.changes.push(Change::Remove { path: RECORD.to_owned(), before });
    }
    Ok((plan, versions))
}
