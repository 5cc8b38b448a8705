//! The last thing before anything is printed: whatever is secret, or looks like it, becomes `[redacted]`.

const REDACTED: &str = "[redacted]";
/// How keys of Supabase and tokens of Google begin, and JSON Web Tokens.
const BEGINNINGS: [&str; 7] = ["sb_secret_", "sb_publishable_", "sbp_", "GOCSPX-", "ya29.", "1//0", "eyJ"];
/// A shorter run of characters says nothing.
const SHORTEST: usize = 16;

/// Knows what must not be printed.
#[derive(Clone, Default)]
pub struct Redactor(Vec<String>);

impl Redactor {
    /// Very short values are words of the text itself.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<String> = secrets.into_iter().filter(|secret| secret.len() >= 4).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(secrets)
    }

    pub fn redact(&self, text: &str) -> String {
        let known = self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, REDACTED));
        let mut redacted = String::with_capacity(known.len());
        let mut rest = known.as_str();
        while let Some(start) = BEGINNINGS.iter().filter_map(|beginning| rest.find(beginning)).min() {
            let (before, secret) = rest.split_at(start);
            let end = secret.find(|character: char| !is_token_character(character)).unwrap_or(secret.len());
            let (secret, after) = secret.split_at(end.max(1));
            redacted.push_str(before);
            redacted.push_str(if secret.len() < SHORTEST { secret } else { REDACTED });
            rest = after;
        }
        redacted + rest
    }
}

fn is_token_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-_./+=".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_and_what_looks_like_a_key_is_not_printed() {
        let redactor =
            Redactor::new(["my secret".to_owned(), "my secret and more".to_owned(), "a".to_owned()]);
        for (text, expected) in [
            ("say my secret and more, a word", "say [redacted], a word"),
            ("my secret", "[redacted]"),
            ("'sb_secret_0123456789abcdef'!", "'[redacted]'!"),
            ("Bearer eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoi.sig, then", "Bearer [redacted], then"),
            ("a key of the current kind (sb_secret_…)", "a key of the current kind (sb_secret_…)"),
            ("1//0abcdefghijklmnop", "[redacted]"),
        ] {
            assert_eq!(redactor.redact(text), expected);
        }
    }
}
