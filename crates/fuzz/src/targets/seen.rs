//! What stands in `sync_seen`, which anybody may have written: read as it was written, or not known.

use protocol::look::Seen;

/// The seconds of the calendar's ends (chrono: the years -262143 and 262142).
const SECONDS: std::ops::RangeInclusive<i64> = -8_334_601_228_800..=8_210_266_876_799;

/// `data` is the text of the column.
pub fn target(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let seen = Seen::parse(&text);
    assert_eq!(seen.is_some(), is_ours(&text), "{text}");
    if let Some(seen) = seen {
        assert_eq!(seen.to_string(), text);
        assert_eq!(Seen::parse(&text), Some(seen));
    }
}

fn is_ours(text: &str) -> bool {
    let words: Vec<&str> = text.split(' ').collect();
    let &[version, seconds, digest] = words.as_slice() else { return false };
    let is_digest = digest.len() == 64 && digest.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
    let number = seconds.parse().ok().filter(|number: &i64| number.to_string() == seconds);
    version == "1" && is_digest && number.is_some_and(|number| SECONDS.contains(&number))
}
