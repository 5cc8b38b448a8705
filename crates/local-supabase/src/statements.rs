//! A file of SQL as the statements that PostgreSQL takes one by one.

/// One statement, without the semicolon that ends it.
#[derive(Debug, PartialEq)]
pub(crate) struct Statement<'a> {
    /// The line of the file on which it begins, comments before it aside; the first is 1.
    pub line: usize,
    /// With the comments before it.
    pub text: &'a str,
    /// Where its first word begins in the text.
    start: usize,
}

impl<'a> Statement<'a> {
    /// The statement without the comments before it.
    pub(crate) fn code(&self) -> &'a str {
        self.text.get(self.start..).unwrap_or_default()
    }

    /// What it begins with, as far as a message quotes it.
    pub(crate) fn beginning(&self) -> String {
        const LENGTH: usize = 80;
        let words = self.code().split_whitespace().collect::<Vec<_>>().join(" ");
        match words.char_indices().nth(LENGTH) {
            Some((end, _)) => format!("{}…", words.get(..end).unwrap_or_default()),
            None => words,
        }
    }
}

/// The statements of a file, in order. What is quoted, commented out or the body of a function is not looked into.
pub(crate) fn statements(sql: &str) -> Vec<Statement<'_>> {
    let mut found = Vec::new();
    let (mut begin, mut at, mut start) = (0, 0, None);
    // Within parentheses (a rule's list of commands) and within `begin atomic … end` a semicolon ends nothing.
    let (mut depth, mut bodies) = (0_usize, 0_usize);
    let mut previous_word = "";
    // `E` right before a quote makes backslashes escape.
    let mut after_e = false;
    while let Some(rest) = sql.get(at..).filter(|rest| !rest.is_empty()) {
        let token = Token::first(rest, after_e);
        let text = rest.get(..token.length).unwrap_or(rest);
        match token.kind {
            Kind::Semicolon if depth == 0 && bodies == 0 => {
                found.extend(statement(sql, begin, start, at));
                (begin, start) = (at + token.length, None);
            }
            Kind::Blank => {}
            Kind::Other if text == "(" => depth += 1,
            Kind::Other if text == ")" => depth = depth.saturating_sub(1),
            Kind::Word
                if text.eq_ignore_ascii_case("atomic") && previous_word.eq_ignore_ascii_case("begin") =>
            {
                bodies += 1;
            }
            Kind::Word if bodies > 0 && text.eq_ignore_ascii_case("case") => bodies += 1,
            Kind::Word if bodies > 0 && text.eq_ignore_ascii_case("end") => bodies -= 1,
            _ => {}
        }
        if !matches!(token.kind, Kind::Blank | Kind::Semicolon) && start.is_none() {
            start = Some(at);
        }
        after_e = token.kind == Kind::Word && text.eq_ignore_ascii_case("e");
        if token.kind == Kind::Word {
            previous_word = text;
        }
        at += token.length;
    }
    found.extend(statement(sql, begin, start, sql.len()));
    found
}

fn statement(sql: &str, begin: usize, start: Option<usize>, end: usize) -> Option<Statement<'_>> {
    let start = start?;
    let untrimmed = sql.get(begin..end)?;
    let text = untrimmed.trim();
    let begin = begin + (untrimmed.len() - untrimmed.trim_start().len());
    let line = sql.get(..start)?.matches('\n').count() + 1;
    Some(Statement { line, text, start: start - begin })
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// White space or a comment.
    Blank,
    Semicolon,
    Word,
    /// What is quoted, and every character that is none of the others.
    Other,
}

struct Token {
    kind: Kind,
    length: usize,
}

impl Token {
    /// The token that a non-empty text begins with.
    fn first(text: &str, backslash_escapes: bool) -> Self {
        let token = |kind, length| Self { kind, length };
        if text.starts_with("--") {
            return token(Kind::Blank, text.find('\n').unwrap_or(text.len()));
        }
        if text.starts_with("/*") {
            return token(Kind::Blank, comment(text));
        }
        let first = text.chars().next().unwrap_or_default();
        match first {
            ';' => token(Kind::Semicolon, 1),
            '\'' => token(Kind::Other, quoted(text, '\'', backslash_escapes)),
            '"' => token(Kind::Other, quoted(text, '"', false)),
            '$' => token(Kind::Other, dollar_quoted(text).unwrap_or(1)),
            _ if first.is_whitespace() => token(Kind::Blank, first.len_utf8()),
            _ if first.is_alphanumeric() || first == '_' => {
                let in_word = |character: char| character.is_alphanumeric() || matches!(character, '_' | '$');
                token(Kind::Word, text.find(|character| !in_word(character)).unwrap_or(text.len()))
            }
            _ => token(Kind::Other, first.len_utf8()),
        }
    }
}

/// The length of a comment, which may hold others.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of what is quoted. A doubled quote inside ends one and begins another, which comes to the same.
fn quoted(text: &str, quote: char, backslash_escapes: bool) -> usize {
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        if character == quote {
            return at + 1;
        }
        if backslash_escapes && character == '\\' {
            characters.next();
        }
    }
    text.len()
}

/// The length of `$tag$ … $tag$`.
fn dollar_quoted(text: &str) -> Option<usize> {
    let tag = 2 + text.get(1..)?.find('$')?;
    let (opening, rest) = text.split_at_checked(tag)?;
    let name = opening.trim_matches('$');
    let is_name = name.chars().all(|character| character.is_alphanumeric() || character == '_')
        && !name.starts_with(|first: char| first.is_ascii_digit());
    is_name.then(|| rest.find(opening).map_or(text.len(), |end| tag + end + tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(sql: &str) -> Vec<&str> {
        statements(sql).iter().map(Statement::code).collect()
    }

    #[test]
    fn a_semicolon_ends_a_statement_only_where_postgresql_says_so() {
        for (sql, expected) in [
            ("", vec![]),
            (" ; ;\n-- nothing; here\n", vec![]),
            ("select 1; select 2", vec!["select 1", "select 2"]),
            ("select ';'; select ''';'", vec!["select ';'", "select ''';'"]),
            (
                r"select e'\';'; select E'\\'; select '\'; x",
                vec![r"select e'\';'", r"select E'\\'", r"select '\'", "x"],
            ),
            ("select \"a;b\"\"\"; x", vec!["select \"a;b\"\"\"", "x"]),
            ("a -- b; c\n d; e", vec!["a -- b; c\n d", "e"]),
            ("a /* b; /* c; */ d; */ e; f", vec!["a /* b; /* c; */ d; */ e", "f"]),
            ("do $$ begin a; b; end $$; c", vec!["do $$ begin a; b; end $$", "c"]),
            ("do $a$ $$; $b$; $a$; c", vec!["do $a$ $$; $b$; $a$", "c"]),
            ("execute p($1); select a$b$c; d", vec!["execute p($1)", "select a$b$c", "d"]),
            (
                "create rule r as on insert to t do also (a; b); c",
                vec!["create rule r as on insert to t do also (a; b)", "c"],
            ),
            (
                "create function f() begin atomic select case when a then b end; select 2; end; c",
                vec!["create function f() begin atomic select case when a then b end; select 2; end", "c"],
            ),
            ("begin; commit; end; a", vec!["begin", "commit", "end", "a"]),
            ("select 'never ends; a", vec!["select 'never ends; a"]),
        ] {
            assert_eq!(codes(sql), expected, "{sql}");
        }
    }

    #[test]
    fn a_statement_knows_its_line_and_keeps_the_comments_before_it() {
        let sql = "select 1;\n\n-- why;\n  /* and\n how */ select\n 2 ;";
        let found = statements(sql);
        let second = &found[1];
        assert_eq!((second.line, second.text), (5, "-- why;\n  /* and\n how */ select\n 2"));
        assert_eq!((second.code(), second.beginning().as_str()), ("select\n 2", "select 2"));
    }

    #[test]
    fn a_message_quotes_no_whole_function() {
        let sql = format!("select {}", "ä".repeat(200));
        assert_eq!(statements(&sql)[0].beginning().chars().count(), 81);
    }
}
