//! The tables `[functions.…]` of `config.toml`: what is not changed stays as it is, comments and all.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::ops::Range;

use anyhow::{Context, Result, ensure};
use similar::TextDiff;
use toml_edit::{Document, DocumentMut, Item, TableLike, Value, value};

use crate::payload::Payload;
use crate::project::CONFIG;
use crate::record::Table;

/// Editors of Windows put it before the first line.
const MARK: &str = "\u{feff}";
const VERIFY_JWT: &str = "verify_jwt";
const COMMENT: &str =
    "# Google has no JWT, and the gateway's own check admits publishable keys, so it authenticates nobody:
# each function checks its caller itself.
";

pub(crate) struct Edit {
    pub text: String,
    pub tables: BTreeMap<String, Table>,
    /// Settings that keep a function from being served.
    pub obstacles: Vec<String>,
}

/// Sees to it that the functions are served, without the gateway's check.
///
/// `replaced` are those that take the place of the project's own: settings that only those needed are removed.
/// `is_there` tells whether a file will be there, by its path from `supabase/`.
pub(crate) fn add(
    text: &str,
    functions: &[String],
    known: &BTreeMap<String, Table>,
    replaced: &BTreeSet<String>,
    is_there: impl Fn(&str) -> bool,
) -> Result<Edit> {
    let (form, text) = Form::of(text);
    let mut document = parse(&text)?;
    let mut tables = known.clone();
    let mut obstacles = Vec::new();
    let mut missing = Vec::new();
    let mut is_edited = false;

    for function in functions {
        let Some(table) = table(&mut document, function) else {
            missing.push(function);
            tables.entry(function.clone()).or_insert(Table { added: true, ..Table::default() });
            continue;
        };
        let record = tables.entry(function.clone()).or_default();
        for (key, why) in obstacles_in(table, function, &is_there) {
            if replaced.contains(function) {
                is_edited = true;
                let was = table.remove(key);
                remember(record, key, was.as_ref());
            } else {
                obstacles.push(format!("{CONFIG}: {key} in [functions.{function}] {why}"));
            }
        }
        if table.get(VERIFY_JWT).and_then(Item::as_bool) != Some(false) {
            is_edited = true;
            remember(record, VERIFY_JWT, table.get(VERIFY_JWT));
            set(table, VERIFY_JWT, Value::from(false));
        }
    }

    // An inline table takes no headers.
    if let Some(functions) = document.get_mut("functions").and_then(Item::as_inline_table_mut) {
        for function in missing.drain(..) {
            is_edited = true;
            let mut table = toml_edit::InlineTable::new();
            table.insert(VERIFY_JWT, Value::from(false));
            functions.insert(function, Value::from(table));
        }
    }
    let mut text = if is_edited { document.to_string() } else { text };
    for (position, function) in missing.into_iter().enumerate() {
        text += &block(function, position == 0);
    }

    let mut document = parse(&text)?;
    for function in functions {
        let table = table(&mut document, function);
        let verify_jwt = table.and_then(|table| table.get(VERIFY_JWT)).and_then(Item::as_bool);
        ensure!(
            verify_jwt == Some(false),
            "{CONFIG} is written in a way in which {function} cannot be added"
        );
    }
    Ok(Edit { text: form.restore(&text), tables, obstacles })
}

/// A remote's own setting that keeps one of our functions from being called there.
pub(crate) struct Override {
    remote: String,
    /// The ref of the remote's project.
    pub project: Option<String>,
    function: String,
    key: &'static str,
    why: String,
}

impl Override {
    pub(crate) fn text(&self) -> String {
        let Self { remote, function, key, why, .. } = self;
        format!("{CONFIG}: {key} in [remotes.{remote}.functions.{function}] {why}")
    }
}

pub(crate) fn overrides(text: &str, functions: &[String]) -> Result<Vec<Override>> {
    let document = parse(&Form::of(text).1)?;
    let remotes = document.get("remotes").and_then(Item::as_table_like);
    let mut overrides = Vec::new();
    for (remote, settings) in remotes.into_iter().flat_map(TableLike::iter) {
        let project = settings.get("project_id").and_then(Item::as_str).map(str::to_owned);
        for function in functions {
            let table = settings.get("functions").and_then(|of| of.get(function)?.as_table_like());
            let Some(table) = table else { continue };
            let mut obstacles = obstacles_in(table, function, |_| true);
            if table.get(VERIFY_JWT).and_then(Item::as_bool) == Some(true) {
                let why = "is true, with which it is deployed there, and nobody without a JWT reaches it: set it to false";
                obstacles.push((VERIFY_JWT, why.to_owned()));
            }
            overrides.extend(obstacles.into_iter().map(|(key, why)| Override {
                remote: remote.to_owned(),
                project: project.clone(),
                function: function.clone(),
                key,
                why,
            }));
        }
    }
    Ok(overrides)
}

/// The file that is named for a function, in the project.
pub(crate) fn entrypoint(text: &str, function: &str) -> Result<Option<String>> {
    let mut document = parse(&Form::of(text).1)?;
    let table = table(&mut document, function);
    let named = table.and_then(|table| Some(table.get("entrypoint")?.as_str()?.to_owned()));
    let named = named.filter(|path| !path.is_empty());
    Ok(named.map(|path| format!("supabase/{}", path.trim_start_matches("./"))))
}

/// Whether the gateway asks callers of a function for a JWT, as it does unless it is told not to.
pub(crate) fn verify_jwt(text: &str, function: &str) -> Result<bool> {
    let mut document = parse(&Form::of(text).1)?;
    let verify_jwt = table(&mut document, function).and_then(|table| table.get(VERIFY_JWT)?.as_bool());
    Ok(verify_jwt.unwrap_or(true))
}

/// Takes back what `add` did.
pub(crate) fn remove(text: &str, tables: &BTreeMap<String, Table>) -> Result<String> {
    let (form, mut text) = Form::of(text);
    for (function, record) in tables {
        let mut document = parse(&text)?;
        let Some(table) = table(&mut document, function) else { continue };
        let is_untouched = table.len() == 1 && table.contains_key(VERIFY_JWT);
        if !record.added {
            for key in &record.set {
                table.remove(key);
            }
            for (key, was) in &record.was {
                set(table, key, was.parse().with_context(|| format!("{key} as it was: {was}"))?);
            }
        } else if !is_untouched {
            table.remove(VERIFY_JWT);
        } else if let Some(lines) = lines_of(&text, function) {
            text.replace_range(lines, "");
            continue;
        } else if let Some(functions) = document.get_mut("functions").and_then(Item::as_table_like_mut) {
            functions.remove(function);
        }
        text = document.to_string();
    }
    parse(&text)?;
    Ok(form.restore(&text))
}

fn block(function: &str, is_first: bool) -> String {
    let comment = if is_first { COMMENT } else { "" };
    format!("\n{comment}[functions.{function}]\n{VERIFY_JWT} = false\n")
}

/// Where a table stands that has a header and this one key, with the comment and the empty line that `add` puts before
/// it. toml_edit would take all comments before it for its own, up to the next table's.
fn lines_of(text: &str, function: &str) -> Option<Range<usize>> {
    let document = Document::parse(text).ok()?;
    let table = document.get("functions")?.get(function)?.as_table().filter(|table| !table.is_dotted())?;
    let (header, value) = (table.span()?, table.get(VERIFY_JWT)?.span()?);
    let ends_a_line = |before: &&str| before.is_empty() || before.ends_with('\n');
    let before = text.get(..header.start)?.trim_end_matches([' ', '\t']);
    let before = before.strip_suffix(COMMENT).filter(ends_a_line).unwrap_or(before);
    let before = before.strip_suffix('\n').filter(ends_a_line).unwrap_or(before);
    let end = value.end + text.get(value.end..)?.find('\n')? + 1;
    Some(before.len()..end)
}

/// The settings of a function that would keep ours from being served under its name, and why.
fn obstacles_in(
    table: &dyn TableLike,
    function: &str,
    is_there: impl Fn(&str) -> bool,
) -> Vec<(&'static str, String)> {
    let text = |key: &str| table.get(key).and_then(Item::as_str);
    let index = Payload::index(function);
    let mut obstacles = Vec::new();
    if table.get("enabled").and_then(Item::as_bool) == Some(false) {
        obstacles.push(("enabled", "is false: remove it".to_owned()));
    }
    if let Some(entrypoint) = text("entrypoint")
        && !entrypoint.is_empty()
        && format!("supabase/{}", entrypoint.trim_start_matches("./")) != index
    {
        obstacles.push(("entrypoint", format!("names {entrypoint}: remove it, for it is to be {index}")));
    }
    if let Some(import_map) = text("import_map")
        && !import_map.is_empty()
        && !is_there(import_map.trim_start_matches("./"))
    {
        obstacles.push(("import_map", format!("names {import_map}, which is not there: remove it")));
    }
    obstacles
}

fn remember(record: &mut Table, key: &str, was: Option<&Item>) {
    // What was there before the first installation counts, not what a later one found.
    if record.added || record.was.contains_key(key) || record.set.contains(key) {
        return;
    }
    match was.and_then(Item::as_value).cloned() {
        Some(was) => _ = record.was.insert(key.to_owned(), was.decorated("", "").to_string()),
        None => _ = record.set.insert(key.to_owned()),
    }
}

/// Sets a key and keeps the comment beside it.
fn set(table: &mut dyn TableLike, key: &str, mut new: Value) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            *new.decor_mut() = old.decor().clone();
            *old = new;
        }
        None => _ = table.insert(key, value(new)),
    }
}

fn table<'a>(document: &'a mut DocumentMut, function: &str) -> Option<&'a mut dyn TableLike> {
    document.get_mut("functions")?.as_table_like_mut()?.get_mut(function)?.as_table_like_mut()
}

fn parse(text: &str) -> Result<DocumentMut> {
    text.parse().with_context(|| format!("{CONFIG} is not TOML"))
}

/// What toml_edit would not keep of a file.
struct Form<'a> {
    byte_order_mark: &'static str,
    /// Each without its end.
    lines: Vec<&'a str>,
    ends: Vec<&'static str>,
    /// Of lines that are added.
    end: &'static str,
    is_last_open: bool,
}

impl<'a> Form<'a> {
    /// Also the text as toml_edit writes it: lines that all end, with line feeds only.
    fn of(text: &'a str) -> (Self, String) {
        let (byte_order_mark, text) = text.strip_prefix(MARK).map_or(("", text), |text| (MARK, text));
        let is_last_open = !text.is_empty() && !text.ends_with('\n');
        let ended = text.matches('\n').count();
        let is_windows = ended > 0 && text.matches("\r\n").count() == ended;
        let end = if is_windows { "\r\n" } else { "\n" };
        let (lines, ends): (Vec<_>, Vec<_>) = text
            .split_inclusive('\n')
            .map(|line| match line.strip_suffix('\n') {
                Some(line) => line.strip_suffix('\r').map_or((line, "\n"), |line| (line, "\r\n")),
                None => (line, end),
            })
            .unzip();
        let text = lines.iter().flat_map(|line| [line, "\n"]).collect();
        (Form { byte_order_mark, lines, ends, end, is_last_open }, text)
    }

    /// Every line that was there keeps its end, also when it is changed.
    fn restore(&self, text: &str) -> String {
        let lines: Vec<_> = text.lines().collect();
        let mut restored = self.byte_order_mark.to_owned();
        for change in TextDiff::from_slices(&self.lines, &lines).ops() {
            let ends = self.ends.get(change.old_range()).unwrap_or_default();
            let lines = lines.get(change.new_range()).unwrap_or_default();
            for (line, end) in lines.iter().zip(ends.iter().chain(iter::repeat(&self.end))) {
                restored.extend([*line, *end]);
            }
        }
        let open = restored.strip_suffix("\r\n").or_else(|| restored.strip_suffix('\n'));
        open.filter(|_| self.is_last_open).map(str::to_owned).unwrap_or(restored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETUP: &str = "setup-calendar-webhook";
    const TABLE: &str = "[functions.setup-calendar-webhook]\nverify_jwt = false\n";

    fn added(text: &str) -> Edit {
        let functions = ["google-calendar-webhook".to_owned(), SETUP.to_owned()];
        add(text, &functions, &BTreeMap::new(), &BTreeSet::new(), |_| true).unwrap()
    }

    #[test]
    fn removal_takes_no_line_of_the_projects_own() {
        let ours = added("project_id = 'x'\n");
        let comment = "# the button calls this one\n";
        let analytics = "[analytics]\nenabled = true\n";
        for (was, edited, left) in [
            (TABLE, format!("{comment}{TABLE}{analytics}"), format!("\n{comment}{analytics}")),
            (TABLE, format!("{TABLE}{analytics}"), analytics.to_owned()),
            (
                TABLE,
                format!("{comment}[ functions.\"{SETUP}\" ] # mine\nverify_jwt=true\n{analytics}"),
                format!("\n{comment}{analytics}"),
            ),
        ] {
            let text = ours.text.replace(was, &edited);
            assert_ne!(text, ours.text);
            let after = remove(&text, &ours.tables).unwrap();
            assert_eq!(after, format!("project_id = 'x'\n{left}"), "{text}");
            // Without its empty lines.
            let squeezed = text.replace("\n\n", "\n");
            let after = remove(&squeezed, &ours.tables).unwrap();
            assert_eq!(after, format!("project_id = 'x'\n{}", left.trim_start()), "{squeezed}");
        }
    }

    #[test]
    fn a_table_at_the_start_of_the_text_is_removed() {
        let ours = added("");
        assert_eq!(remove(&ours.text, &ours.tables).unwrap(), "");
        assert_eq!(remove(ours.text.trim_start(), &ours.tables).unwrap(), "");
    }

    #[test]
    fn lines_keep_their_own_ends() {
        let table = format!("\n{TABLE}").replace("false", "true");
        for own in [
            "a = 1\nb = 2\r\nc = '''\r\nd\n'''\r\n# e",
            "\u{feff}a = 1\r\nb = 2\n",
            "\u{feff}a = 1\r\nb = 2\r\n",
            "\u{feff}a = 1\nb = 2",
            "a = 1\r\nb = 2",
            "\r\n",
            "",
        ] {
            let edit = added(own);
            assert!(edit.text.starts_with(own), "{own:?}: {:?}", edit.text);
            assert_eq!(remove(&edit.text, &edit.tables).unwrap(), own);
        }
        // A changed line, too.
        for end in ["\n", "\r\n"] {
            let own = format!("\u{feff}a = 1\nb = 2\r\n{}c = 3 # \r\nd = 4\n", table.replace('\n', end));
            let edit = added(&own);
            let changed = own.replace("true", "false");
            assert!(edit.text.starts_with(&changed), "{own:?}: {:?}", edit.text);
            assert_eq!(remove(&edit.text, &edit.tables).unwrap(), own);
        }
    }

    #[test]
    fn added_lines_end_like_all_others_where_those_agree() {
        for (own, is_windows) in [("a = 1\r\nb = 2\r\n", true), ("a = 1\r\nb = 2\n", false), ("a = 1", false)]
        {
            let edit = added(own);
            let new = edit.text.strip_prefix(own).unwrap();
            assert_eq!(new.contains("\r\n"), is_windows, "{new:?}");
            assert_eq!(new.replace("\r\n", "").contains('\n'), !is_windows, "{new:?}");
        }
    }
}
