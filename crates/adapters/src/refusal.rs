//! What a service says of a refusal, for the log: its message without whatever may be a secret or an address.

use serde_json::Value as Json;

const LONGEST: usize = 200;

/// The message of an error.
pub(crate) fn message(body: &str) -> String {
    let body: Json = serde_json::from_str(body).unwrap_or_default();
    let message = body.get("message").or_else(|| body.get("msg")).and_then(Json::as_str).unwrap_or_default();
    plain(message)
}

/// A text with each word replaced that may be more than a word. A trigger of the host's may say anything, and quote the
/// row.
pub fn plain(text: &str) -> String {
    let words = text.split_whitespace().map(|word| if is_plain(word) { word } else { "[…]" });
    words.collect::<Vec<_>>().join(" ").chars().take(LONGEST).collect()
}

/// A word of a language or an identifier: no address, no id, no token.
fn is_plain(word: &str) -> bool {
    let letters = || word.bytes().filter(u8::is_ascii_alphabetic);
    let is_identifier = || letters().all(|letter| letter.is_ascii_lowercase());
    !word.contains(['@', '/', '%', '='])
        && word.is_ascii()
        && word.bytes().filter(u8::is_ascii_digit).count() <= 4
        && (word.len() <= 20 || word.len() <= 50 && word.contains('_') && is_identifier())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_keeps_its_words_and_loses_what_may_be_secret() {
        for (said, told) in [
            (
                "permission denied for table calendar_connections",
                "permission denied for table calendar_connections",
            ),
            ("record \"new\" has no field \"updated_at\"", "record \"new\" has no field \"updated_at\""),
            (
                "calendar ada@example.com of 3f2504e0-4f89-41d3-9a0c-0305e82c3301 is full",
                "calendar […] of […] is full",
            ),
            ("token=ya29.a0AfH6SMBx12345 refused", "[…] refused"),
            ("could not connect: password=hunter2Abc", "could not connect: […]"),
            ("key AbCdEfGhIjKlMnOpQrStUvWxYz", "key […]"),
            ("größe", "[…]"),
            ("", ""),
        ] {
            let body = serde_json::json!({ "code": "P0001", "message": said }).to_string();
            assert_eq!(message(&body), told);
        }
        assert_eq!(message("<html>"), "");
        let long = serde_json::json!({ "message": "word ".repeat(1000) }).to_string();
        assert_eq!(message(&long).len(), LONGEST);
    }
}
