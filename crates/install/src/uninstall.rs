//! Which changes take an installation back.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::config_toml;
use crate::payload::Payload;
use crate::plan::{Change, Plan};
use crate::project::{CONFIG, MIGRATIONS, Project};
use crate::record::{RECORD, Record};

/// Removes what the migrations made from a database; the table with the connections stays.
pub const DROP: &str = include_str!("drop.sql");

/// Removes what the migration of the sample app made.
pub(crate) const DROP_SAMPLE: &str = "
-- The sample app's: with it go the sessions of its users.
drop table if exists public.session_plans, public.sessions;
drop function if exists public.begin_plan, public.store_plan, public.sessions_prefer_their_start;
";

/// What an uninstallation changes, the versions of the migrations that it removes, the sample app's functions, and the
/// project's own that come back.
#[derive(Default)]
pub(crate) struct Uninstallation {
    pub(crate) plan: Plan,
    pub(crate) versions: Vec<String>,
    pub(crate) sample: Vec<String>,
    pub(crate) restored: Vec<String>,
}

pub(crate) fn uninstall(project: &Project<'_>) -> Result<Uninstallation> {
    if !Record::exists(project) {
        return Ok(Uninstallation::default());
    }
    let (mut plan, mut versions) = (Plan::default(), Vec::new());
    let mut record = Record::read(project)?;
    let mut restored = Vec::new();
    let is_sample = |function: &&String| record.sample.contains_key(&Payload::index(function));
    let mut sample: Vec<String> = record.config.keys().filter(is_sample).cloned().collect();
    if is_sample_edited(project, &record)? {
        plan.notes.push("the sample app's functions were edited, and all of them stay".to_owned());
        record.config.retain(|function, _| !sample.contains(function));
        record.sample.clear();
        sample.clear();
    }
    let paths = record.files.keys().chain(record.writing.keys()).chain(record.migrations.keys());
    let paths = paths.chain(record.sample.keys());
    let mut removed = BTreeSet::new();
    for path in paths.collect::<BTreeSet<_>>() {
        match project.read(path)? {
            Some(content) if record.owns(path, &content) => {
                plan.changes.push(Change::Remove { path: path.clone(), before: content });
                removed.insert(path.clone());
                let file = path.rsplit('/').next().unwrap_or(path);
                if path.starts_with(MIGRATIONS) {
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
            restored.extend(from.rsplit('/').next().map(str::to_owned));
        } else {
            plan.notes.push(format!("{to} stays there, for there is something else in {from}"));
        }
    }
    let text = project.read_text(CONFIG)?;
    let config = config_toml::remove(&text, &record.config)?;
    plan.write(CONFIG, Some(text.into_bytes()), config.into_bytes());
    if let Some(before) = project.read(RECORD)? {
        plan.changes.push(Change::Remove { path: RECORD.to_owned(), before });
    }
    Ok(Uninstallation { plan, versions, sample, restored })
}

/// One of them without the others would not start.
fn is_sample_edited(project: &Project<'_>, record: &Record) -> Result<bool> {
    for path in record.sample.keys() {
        if project.read(path)?.is_some_and(|content| !record.owns(path, &content)) {
            return Ok(true);
        }
    }
    Ok(false)
}
