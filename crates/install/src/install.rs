//! Which changes bring a project up to date.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Result, bail};
use similar::TextDiff;

use crate::config_toml::{self, Override};
use crate::migrations::{self, Fate};
use crate::payload::{Migration, Payload};
use crate::plan::{Change, Plan, readable};
use crate::project::{CONFIG, FUNCTIONS, MIGRATIONS, Project};
use crate::record::{PACKAGE, RECORD, Record, hash, is_same};

/// The project's own function that ours call.
pub(crate) const RECALCULATION: &str = "recalculate-schedule";
/// The table of the sample app's migration.
const SESSIONS: &str = "sessions";
/// Where functions of the project are moved to: what begins with an underscore is no function.
const REPLACED: &str = "supabase/functions/_replaced";

/// What an installation changes. With `replace`, functions of these names and files edited since they were installed
/// make way; otherwise the former are an error, and the latter stay. `now` is the time as a migration's version.
pub fn install(payload: &Payload, project: &Project<'_>, replace: bool, now: &str) -> Result<Plan> {
    let known = Record::read(project)?;
    let mut installation = Installation {
        payload,
        project,
        replace,
        record: Record {
            package: PACKAGE.to_owned(),
            files: BTreeMap::new(),
            writing: BTreeMap::new(),
            ..known.clone()
        },
        known,
        replaced: BTreeSet::new(),
        lacking: Vec::new(),
        in_the_way: BTreeSet::new(),
        plan: Plan::default(),
        conflicts: Vec::new(),
    };
    installation.functions()?;
    installation.files()?;
    installation.sample()?;
    installation.migrations(now)?;
    installation.config()?;
    installation.obsolete_files()?;
    installation.into_plan()
}

struct Installation<'a> {
    payload: &'a Payload,
    project: &'a Project<'a>,
    replace: bool,
    known: Record,
    /// As it will be.
    record: Record,
    /// The functions that take the place of the project's own.
    replaced: BTreeSet<String>,
    /// The functions of the sample app that the project lacks, if it is to have them.
    lacking: Vec<String>,
    /// The directories of the project's own functions that do not make way.
    in_the_way: BTreeSet<String>,
    plan: Plan,
    conflicts: Vec<String>,
}

impl Installation<'_> {
    /// Functions of the project that have the name of one of ours.
    fn functions(&mut self) -> Result<()> {
        for function in &self.payload.functions {
            let index = Payload::index(function);
            let directory = format!("{FUNCTIONS}/{function}");
            let current = self.project.read(&index)?;
            let is_ours = match &current {
                None => self.known.knows(&index),
                // Being written is not enough: an installation may have been interrupted before it moved this one.
                Some(current) => {
                    self.known.files.contains_key(&index)
                        || self.known.owns(&index, current)
                        || self.payload.files.get(&index).is_some_and(|ours| is_same(current, ours))
                }
            };
            if is_ours || !self.project.exists(&directory) {
                continue;
            }
            let to = format!("{REPLACED}/{function}");
            if !self.replace {
                self.conflicts.push(format!(
                    "{directory} is a function of your own: with --replace it makes way (it is moved to {to}, and \
                     uninstalling moves it back)"
                ));
                self.in_the_way.insert(directory);
            } else if self.project.exists(&to) {
                self.conflicts.push(format!("{to} is in the way of {directory}: remove or rename it"));
                self.in_the_way.insert(directory);
            } else {
                self.record.moved.insert(to.clone(), directory.clone());
                self.plan.changes.push(Change::Move { from: directory, to });
                self.replaced.insert(function.clone());
            }
        }
        Ok(())
    }

    fn files(&mut self) -> Result<()> {
        for (path, content) in &self.payload.files {
            let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
            if self.in_the_way.contains(directory) {
                continue;
            }
            let is_moved = self.replaced.iter().any(|name| directory == format!("{FUNCTIONS}/{name}"));
            let current = if is_moved { None } else { self.project.read(path)? };
            let is_ours = current
                .as_ref()
                .is_none_or(|current| is_same(current, content) || self.known.owns(path, current));
            if is_ours {
                self.plan.write(path, current, content.clone());
            } else if !self.known.knows(path) {
                self.conflicts.push(format!(
                    "{path} is a file of your own, and has the name of one of ours: rename it"
                ));
            } else if self.replace {
                self.plan.write(path, current, content.clone());
            } else {
                self.keep_edited(path, current.unwrap_or_default(), content)?;
                continue;
            }
            self.record.files.insert(path.clone(), hash(content));
        }
        Ok(())
    }

    fn keep_edited(&mut self, path: &str, current: Vec<u8>, ours: &[u8]) -> Result<()> {
        let mut note = format!("{path} was edited since it was installed, and stays; --replace takes ours:");
        if let (Some(current), Some(ours)) = (readable(Some(&current)), readable(Some(ours))) {
            let diff = TextDiff::from_lines(&current, &ours);
            let diff = diff.unified_diff().header(path, "ours").to_string();
            for line in diff.lines() {
                write!(note, "\n          {line}")?;
            }
        }
        self.plan.notes.push(note);
        // Still the hash of what was installed: it stays an edited file.
        if let Some(hash) = self.known.files.get(path).or_else(|| self.known.writing.get(path)) {
            self.record.files.insert(path.to_owned(), hash.clone());
        }
        Ok(())
    }

    /// What the project lacks of the sample app; nothing that is there is changed.
    fn sample(&mut self) -> Result<()> {
        let Some(sample) = &self.payload.sample else { return Ok(()) };
        for function in &sample.functions {
            if !self.has_function(function)? && self.unnamed_index(function)?.is_none() {
                self.lacking.push(function.clone());
            }
        }
        let is_shared = |path: &str| path.strip_prefix(FUNCTIONS).is_some_and(|path| path.starts_with("/_"));
        for (path, content) in &sample.files {
            let is_lacking = |name: &String| path.starts_with(&format!("{FUNCTIONS}/{name}/"));
            if self.lacking.is_empty() || !is_shared(path) && !self.lacking.iter().any(is_lacking) {
                continue;
            }
            match self.project.read(path)? {
                None => {
                    self.plan.write(path, None, content.clone());
                    self.record.sample.insert(path.clone(), hash(content));
                }
                Some(current) if is_same(&current, content) => {
                    self.record.sample.insert(path.clone(), hash(content));
                }
                Some(_) => {
                    self.plan.notes.push(format!("{path} is another one than the sample app's, and stays"))
                }
            }
        }
        if !self.lacking.is_empty() {
            self.plan.notes.push(format!(
                "{} are yours from now on: edit them; no later installation touches them",
                self.lacking.join(", ")
            ));
        }
        Ok(())
    }

    fn migrations(&mut self, now: &str) -> Result<()> {
        let sample = self.payload.sample.as_ref().filter(|_| self.lacks(RECALCULATION));
        let sample = sample.map(|sample| &sample.migration);
        let mut existing = BTreeMap::new();
        let mut has_sessions = false;
        for file in self.project.entries(MIGRATIONS)? {
            if migrations::is_applied(&file) {
                let content = self.project.read(&format!("{MIGRATIONS}/{file}"))?.unwrap_or_default();
                let is_other = !sample.is_some_and(|sample| is_same(&sample.sql, &content));
                has_sessions |=
                    is_other && migrations::makes_table(&String::from_utf8_lossy(&content), SESSIONS);
                existing.insert(file, hash(&content));
            }
        }
        if sample.is_some() && has_sessions {
            self.plan.notes.push(format!(
                "{MIGRATIONS} makes a table {SESSIONS}, so that of the sample app is left out: its {RECALCULATION} needs \
                 the columns and functions of crates/sample-app/{MIGRATIONS} of google-calendar-webhooks"
            ));
        }
        let sample = sample.filter(|_| !has_sessions);
        let wanted: Vec<Migration> = self.payload.migrations.iter().chain(sample).cloned().collect();
        let name = |path: &String| path.rsplit('/').next().unwrap_or(path).to_owned();
        let installed = self.known.migrations.iter().map(|(path, hash)| (name(path), hash.clone())).collect();
        let steps = migrations::plan(&wanted, existing, &installed, now)?;
        for (migration, step) in wanted.iter().zip(steps) {
            let (Fate::Present { file } | Fate::Changed { file } | Fate::Add { file }) = &step;
            let path = format!("{MIGRATIONS}/{file}");
            match step {
                Fate::Present { .. } => {}
                Fate::Add { .. } => self.plan.write(&path, None, migration.sql.clone()),
                Fate::Changed { .. } => self.plan.notes.push(format!(
                    "{path} was edited or removed since it was installed, and stays so; your version control has it"
                )),
            }
            let is_sample = sample.is_some_and(|sample| sample.name == migration.name);
            let record = if is_sample { &mut self.record.sample } else { &mut self.record.migrations };
            record.insert(path, hash(&migration.sql));
        }
        Ok(())
    }

    fn config(&mut self) -> Result<()> {
        let text = self.project.read_text(CONFIG)?;
        let is_there = |path: &str| {
            let is_ours = self.payload.files.contains_key(&format!("supabase/{path}"));
            let is_moved = self.replaced.iter().any(|name| path.starts_with(&format!("functions/{name}/")));
            is_ours || !is_moved && self.project.exists(&format!("supabase/{path}"))
        };
        let functions = [self.payload.functions.as_slice(), self.lacking.as_slice()].concat();
        let is_there =
            |path: &str| is_there(path) || self.record.sample.contains_key(&format!("supabase/{path}"));
        let edit = config_toml::add(&text, &functions, &self.known.config, &self.replaced, is_there)?;
        // Those of a function that is to make way go with it.
        if self.conflicts.is_empty() {
            self.conflicts.extend(edit.obstacles);
        }
        self.plan
            .notes
            .extend(config_toml::overrides(&text, &self.payload.functions)?.iter().map(Override::text));
        self.plan.needs.extend(self.recalculation(&text)?);
        self.record.config = edit.tables;
        self.plan.write(CONFIG, Some(text.into_bytes()), edit.text.into_bytes());
        Ok(())
    }

    /// What the project's own function still needs to be called.
    fn recalculation(&self, config: &str) -> Result<Option<String>> {
        let is_there = self.has_function(RECALCULATION)?;
        Ok(if self.lacks(RECALCULATION) {
            None
        } else if let Some(index) = self.unnamed_index(RECALCULATION)?.filter(|_| !is_there) {
            Some(format!(
                "entrypoint = \"./functions/{RECALCULATION}/{index}\" under [functions.{RECALCULATION}] in {CONFIG}: the \
                 Supabase CLI deploys no other file than index.ts without it"
            ))
        } else if !is_there {
            Some(format!(
                "{FUNCTIONS}/{RECALCULATION}: it is yours to write, and is called for each change \
                 (supabase/README.md of google-calendar-webhooks, \"What recalculate-schedule must accept\"); \
                 --with-sample writes one to start from"
            ))
        } else if config_toml::verify_jwt(config, RECALCULATION)? {
            Some(format!(
                "verify_jwt = false under [functions.{RECALCULATION}] in {CONFIG}, and a check of the key in that function: \
                 the gateway refuses calls with a secret key (sb_secret_…)"
            ))
        } else {
            None
        })
    }

    /// Whether the project has a function that the Supabase CLI deploys: an `index.ts`, or a file that is named for it.
    fn has_function(&self, function: &str) -> Result<bool> {
        let named = config_toml::entrypoint(&self.project.read_text(CONFIG)?, function)?;
        let file = named.unwrap_or_else(|| Payload::index(function));
        Ok(self.project.exists(&file))
    }

    /// An index file in another language than TypeScript, which no `entrypoint` names.
    fn unnamed_index(&self, function: &str) -> Result<Option<String>> {
        let files = self.project.entries(&format!("{FUNCTIONS}/{function}"))?;
        let is_index =
            |file: &String| ["index.js", "index.mjs", "index.jsx", "index.tsx"].contains(&file.as_str());
        Ok(files.into_iter().find(is_index))
    }

    /// Whether the sample app's function is written.
    fn lacks(&self, function: &str) -> bool {
        self.lacking.iter().any(|lacking| lacking == function)
    }

    /// Those that an older version installed.
    fn obsolete_files(&mut self) -> Result<()> {
        for path in self.known.files.keys().filter(|path| !self.payload.files.contains_key(*path)) {
            match self.project.read(path)? {
                Some(content) if self.known.owns(path, &content) => {
                    self.plan.changes.push(Change::Remove { path: path.clone(), before: content });
                }
                Some(_) => self.plan.notes.push(format!(
                    "{path} is needed no longer, but was edited since it was installed: it is yours now"
                )),
                None => {}
            }
        }
        Ok(())
    }

    /// The record comes first, with what is about to be written, so that an installation that is interrupted is
    /// known as one; and last, as it is to stay.
    fn into_plan(self) -> Result<Plan> {
        let Installation { project, known, record, mut plan, conflicts, .. } = self;
        if !conflicts.is_empty() {
            bail!("nothing was written:\n  {}", conflicts.join("\n  "));
        }
        let (before, last) = (project.read(RECORD)?, record.text()?);
        if before.as_ref().is_some_and(|before| is_same(before, &last)) {
            return Ok(plan);
        }
        let is_written = |(path, _): &(&String, &String)| {
            plan.changes
                .iter()
                .any(|change| matches!(change, Change::Write { path: written, .. } if written == *path))
        };
        let writing = record.files.iter().filter(is_written);
        let first = Record {
            files: known.files,
            migrations: known.migrations,
            writing: writing.map(|(path, hash)| (path.clone(), hash.clone())).collect(),
            ..record
        };
        plan.first = Some((RECORD, first.text()?));
        plan.write(RECORD, before, last);
        Ok(plan)
    }
}
