//! A file of environment variables, such as `supabase/.env`, as the Supabase CLI reads it: npm's dotenv.

use std::collections::BTreeMap;
use std::env::VarError;
use std::fmt::Write as _;

use anyhow::{Result, bail};

/// Has no `Debug`: the values are secrets.
#[derive(Default)]
pub struct EnvFile(BTreeMap<String, String>);

impl EnvFile {
    /// `NAME=value`, with or without `export`. A value may be quoted by `'`, `"` or `` ` ``, and then go over several
    /// lines; only within `"` do `\n` and `\r` mean line ends. What is no assignment is passed over.
    pub fn parse(text: &str) -> Self {
        let mut variables = BTreeMap::new();
        // Editors of Windows put a mark before the first line.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, following) = rest.split_once('\n').unwrap_or((rest, ""));
            let from_line = rest;
            rest = following;
            let Some((name, value)) = assignment(line) else { continue };
            let value = value.trim_start();
            let quote = value.chars().next().filter(|quote| matches!(quote, '\'' | '"' | '`'));
            // What is quoted may end on a later line.
            let quoted = quote.and_then(|quote| {
                let from_quote = from_line.get(line.len() - value.len()..)?;
                let end = 1 + closing(from_quote.get(1..)?, quote)?;
                let (inner, tail) = (from_quote.get(..=end)?, from_quote.get(end + 1..)?);
                let (tail, following) = tail.split_once('\n').unwrap_or((tail, ""));
                let is_whole = tail.trim_start().is_empty() || tail.trim_start().starts_with('#');
                is_whole.then_some((inner, following))
            });
            let value = match quoted {
                Some((value, following)) => {
                    rest = following;
                    value
                }
                None => value.split('#').next().unwrap_or_default().trim(),
            };
            let inner =
                quote.and_then(|quote| value.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(value);
            let value = if quote == Some('"') {
                inner.replace("\\n", "\n").replace("\\r", "\r")
            } else {
                inner.to_owned()
            };
            variables.insert(name.to_owned(), value);
        }
        Self(variables)
    }

    /// These variables and no others: from the environment, else from the file. An empty value is none.
    pub fn with_environment<'a>(
        mut self,
        environment: impl Fn(&str) -> Result<String, VarError>,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self> {
        let mut variables = BTreeMap::new();
        for name in names {
            let value = match environment(name) {
                Ok(value) if !value.is_empty() => Some(value),
                // The file's value would be another than the one that was meant.
                Err(VarError::NotUnicode(_)) => bail!("{name} is not UTF-8"),
                _ => self.0.remove(name).filter(|value| !value.is_empty()),
            };
            variables.extend(value.map(|value| (name.to_owned(), value)));
        }
        Ok(Self(variables))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A file that reads as this.
    pub fn text(&self) -> Result<String> {
        let mut text = String::new();
        for (name, value) in self.variables() {
            let Some(quote) = ['\'', '`'].into_iter().find(|quote| !value.contains(*quote)) else {
                bail!(
                    "{name} holds both ' and `, which a file of variables cannot hold: set it in the dashboard"
                );
            };
            writeln!(text, "{name}={quote}{value}{quote}")?;
        }
        Ok(text)
    }
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    let end =
        line.find(|character: char| !(character.is_ascii_alphanumeric() || "_.-".contains(character)))?;
    let (name, rest) = line.split_at(end);
    let value = rest.trim_start().strip_prefix('=').or_else(|| rest.strip_prefix(": "))?;
    (!name.is_empty()).then_some((name, value))
}

/// The first such quote that no backslash precedes, else the last one.
fn closing(text: &str, quote: char) -> Option<usize> {
    let is_free = |position: &usize| !text.get(..*position).is_some_and(|before| before.ends_with('\\'));
    let mut quotes = text.match_indices(quote).map(|(position, _)| position);
    quotes.find(is_free).or_else(|| text.rfind(quote))
}

#[cfg(test)]
mod tests {
    use std::env::VarError;

    use super::EnvFile;

    const NAMES: [&str; 3] = ["ID", "SECRET", "URL"];

    fn file() -> EnvFile {
        EnvFile::parse("ID=of the file\nSECRET=of the file\nURL=\nOTHER=of the file\n")
    }

    #[test]
    fn the_environment_wins_over_the_file_and_an_empty_value_is_none() {
        let environment = |name: &str| match name {
            "ID" => Ok("of the environment".to_owned()),
            "SECRET" => Ok(String::new()),
            _ => Err(VarError::NotPresent),
        };
        let variables = file().with_environment(environment, NAMES).unwrap();
        let expected = [("ID", "of the environment"), ("SECRET", "of the file")];
        assert_eq!(variables.variables().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_not_utf_8_is_named_and_the_file_is_not_taken_instead() {
        let environment = |_: &str| Err(VarError::NotUnicode("hunter2".into()));
        let Err(error) = file().with_environment(environment, NAMES) else { panic!("taken") };
        assert_eq!(error.to_string(), "ID is not UTF-8");
    }

    #[test]
    fn the_last_line_reads_the_same_without_an_end() {
        for quoted in ["\"ab#cd\"", "'ab#cd'", "`ab#cd` # a remark"] {
            for before in ["", "A=1\n", "A=\"1\n2\"\n\n"] {
                for end in ["", "\n", "\r\n"] {
                    let text = format!("{before}GOOGLE_CLIENT_SECRET={quoted}{end}");
                    assert_eq!(EnvFile::parse(&text).get("GOOGLE_CLIENT_SECRET"), Some("ab#cd"), "{text:?}");
                }
            }
        }
    }
}
