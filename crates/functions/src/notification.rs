//! The headers of a notification. Google sends nothing else: the body is empty, and whatever it holds says nothing.

use std::fmt::Write as _;

use protocol::connection::{ChannelId, ResourceId, TokenHash};
use protocol::notification::{Notification, State};
use sha2::{Digest, Sha256};

use crate::incoming::Incoming;
use crate::problem::Problem;

const LONGEST_CHANNEL_ID: usize = 64;
const LONGEST_TOKEN: usize = 256;
const LONGEST_RESOURCE_ID: usize = 1024;
/// Ours are 64 hex digits.
const TOKEN: usize = 64;

pub(crate) fn parse_notification(incoming: &impl Incoming) -> Result<Notification, Problem> {
    let header = |name| incoming.header(name).unwrap_or_default();
    let token = incoming
        .header("x-goog-channel-token")
        .ok_or(Problem::Unauthenticated("the notification has no X-Goog-Channel-Token"))?;
    let channel = header("x-goog-channel-id");
    if !is_channel_id(&channel) {
        return Err(Problem::InvalidRequest("X-Goog-Channel-ID is not 1 to 64 of A-Z a-z 0-9 - _ + / ="));
    }
    let number = parse_number(&header("x-goog-message-number"))
        .ok_or(Problem::InvalidRequest("X-Goog-Message-Number is not a number from 1 to 2^63 - 1"))?;
    let resource = header("x-goog-resource-id");
    if resource.is_empty() || resource.len() > LONGEST_RESOURCE_ID {
        return Err(Problem::InvalidRequest("X-Goog-Resource-ID is missing or longer than 1024 bytes"));
    }
    let state = match header("x-goog-resource-state").as_str() {
        "" => return Err(Problem::InvalidRequest("X-Goog-Resource-State is missing")),
        "sync" => State::Sync,
        _ => State::Change,
    };
    if token.len() > LONGEST_TOKEN {
        return Err(Problem::InvalidRequest("X-Goog-Channel-Token is longer than 256 bytes"));
    }
    if token.len() != TOKEN || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Problem::UnknownChannel);
    }
    Ok(Notification {
        channel: ChannelId::new(channel),
        token_hash: hash(&token),
        resource: ResourceId::new(resource),
        state,
        number,
    })
}

fn is_channel_id(text: &str) -> bool {
    (1..=LONGEST_CHANNEL_ID).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_+/=".contains(&byte))
}

fn parse_number(text: &str) -> Option<i64> {
    // `parse` alone would admit a sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number >= 1)
}

/// As the trigger computes `webhook_token_hash`: lower-case hex SHA-256.
fn hash(token: &str) -> TokenHash {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(token) {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    TokenHash::new(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Headers(Vec<(&'static str, String)>);

    impl Incoming for Headers {
        fn method(&self) -> String {
            "POST".to_owned()
        }

        fn header(&self, name: &str) -> Option<String> {
            self.0.iter().find(|(header, _)| *header == name).map(|(_, value)| value.clone())
        }

        async fn body(&self) -> Option<String> {
            panic!("the body of a notification says nothing")
        }

        async fn discard_body(&self) {}
    }

    fn headers() -> Headers {
        Headers(vec![
            ("x-goog-channel-id", "4ba78bf0-6a47-11e2-bcfd-0800200c9a66".to_owned()),
            ("x-goog-channel-token", "0123456789abcdef".repeat(4)),
            ("x-goog-resource-id", "o3hgv1538sdjfh".to_owned()),
            ("x-goog-resource-state", "exists".to_owned()),
            ("x-goog-message-number", "10".to_owned()),
        ])
    }

    #[track_caller]
    fn check(name: &'static str, value: Option<&str>, expected: Result<(), &str>) {
        let mut headers = headers();
        headers.0.retain(|(header, _)| *header != name);
        headers.0.extend(value.map(|value| (name, value.to_owned())));
        let parsed = parse_notification(&headers);
        assert_eq!(parsed.as_ref().map(|_| ()).map_err(Problem::code), expected, "{name}: {value:?}");
    }

    #[test]
    fn a_notification_is_read_from_its_headers() {
        let notification = parse_notification(&headers()).unwrap();
        assert_eq!(notification.state, State::Change);
        assert_eq!(notification.number, 10);
        assert_eq!(
            notification.token_hash.as_str(),
            "a8ae6e6ee929abea3afcfc5258c8ccd6f85273e0d4626d26c7279f3250f77c8e"
        );
    }

    #[test]
    fn what_google_would_not_send_is_refused() {
        let malformed = Err("invalid_request");
        for (name, value, expected) in [
            ("x-goog-channel-token", None, Err("unauthenticated")),
            ("x-goog-channel-token", Some(""), Err("unknown_channel")),
            ("x-goog-channel-token", Some("not-ours"), Err("unknown_channel")),
            ("x-goog-channel-token", Some(&*"g".repeat(64)), Err("unknown_channel")),
            ("x-goog-channel-token", Some(&*"a".repeat(256)), Err("unknown_channel")),
            ("x-goog-channel-token", Some(&*"a".repeat(257)), malformed),
            ("x-goog-channel-id", None, malformed),
            ("x-goog-channel-id", Some(&*"a".repeat(64)), Ok(())),
            ("x-goog-channel-id", Some(&*"a".repeat(65)), malformed),
            ("x-goog-channel-id", Some("a b"), malformed),
            ("x-goog-channel-id", Some("a,b"), malformed),
            ("x-goog-message-number", None, malformed),
            ("x-goog-message-number", Some("0"), malformed),
            ("x-goog-message-number", Some("+1"), malformed),
            ("x-goog-message-number", Some("1.5"), malformed),
            ("x-goog-message-number", Some("9223372036854775807"), Ok(())),
            ("x-goog-message-number", Some("9223372036854775808"), malformed),
            ("x-goog-resource-id", None, malformed),
            ("x-goog-resource-id", Some(&*"r".repeat(1024)), Ok(())),
            ("x-goog-resource-id", Some(&*"r".repeat(1025)), malformed),
            ("x-goog-resource-state", None, malformed),
            ("x-goog-resource-state", Some("sync"), Ok(())),
            ("x-goog-resource-state", Some("not_exists"), Ok(())),
            ("x-goog-resource-state", Some("whatever"), Ok(())),
        ] {
            check(name, value, expected);
        }
    }
}
