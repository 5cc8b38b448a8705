//! Notifications that Google never sent.

use system_tests::RECEIVE;
use uuid::Uuid;

use super::bad::{Bad, Cast, Met, NOT_HTTP};
use crate::notification::Notification;
use crate::wire::Wire;

const MALFORMED: Met = (400, "invalid_request");
const NO_TOKEN: Met = (401, "unauthenticated");
const UNKNOWN: Met = (404, "unknown_channel");
/// A replay: answered as the first time, and nothing comes of it.
const OLD: Met = (200, "");

pub(super) fn rows(cast: &Cast) -> Vec<Bad> {
    let mut rows = Rows(Vec::new());
    let channel = cast.own_row["webhook_id"].as_str().unwrap();
    let token = cast.own.token.as_str();
    // All of it is right, the token included, but for what a row changes. Number 9 would be a change.
    let good = || Notification { account: None, ..Notification::of(&cast.own, &cast.own_row, 9) };
    let random = || format!("{:064x}", Uuid::new_v4().as_u128());
    let forged = || good().token(random());
    let tokenless = || Notification { token: None, ..good() };

    rows.add("no token", tokenless(), NO_TOKEN);
    let nothing =
        Notification { channel: None, token: None, resource: None, state: None, number: None, account: None };
    rows.add("nothing at all", nothing, NO_TOKEN);
    rows.add("no token, bad channel", tokenless().channel("a b"), NO_TOKEN);
    rows.add("no token, bad number", tokenless().number("x"), NO_TOKEN);
    rows.add("no token, sync", tokenless().state("sync"), NO_TOKEN);
    rows.add("no token, long channel", tokenless().channel("a".repeat(30_000)), NO_TOKEN);

    for (label, token, expected) in [
        ("empty", String::new(), UNKNOWN),
        ("another", random(), UNKNOWN),
        ("63 digits", token[..63].to_owned(), UNKNOWN),
        ("65 digits", format!("{token}0"), UNKNOWN),
        ("upper case", token.to_uppercase(), UNKNOWN),
        ("backwards", token.chars().rev().collect(), UNKNOWN),
        ("a letter beyond f", format!("{}g", &token[..63]), UNKNOWN),
        ("another last digit", format!("{}{}", &token[..63], other_digit(token)), UNKNOWN),
        ("its hash", cast.own.token_hash.clone(), UNKNOWN),
        ("of zeros", "0".repeat(64), UNKNOWN),
        ("of spaces in quotes", format!("\"{}\"", " ".repeat(62)), UNKNOWN),
        ("twice", format!("{token},{token}"), UNKNOWN),
        ("a space inside", format!("{} {}", &token[..32], &token[32..]), UNKNOWN),
        ("a tab inside", format!("{}\t{}", &token[..32], &token[32..]), UNKNOWN),
        ("in quotes", format!("\"{token}\""), UNKNOWN),
        ("hexadecimal by its prefix", format!("0x{}", &token[..62]), UNKNOWN),
        ("one character", "0".to_owned(), UNKNOWN),
        ("a pattern", "*".to_owned(), UNKNOWN),
        ("another pattern", format!("{}%", &token[..63]), UNKNOWN),
        ("an operator", format!("neq.{}", &token[..60]), UNKNOWN),
        ("no operator", format!("not.eq.{}", &token[..57]), UNKNOWN),
        ("a list", format!("in.({})", cast.own.token_hash), UNKNOWN),
        ("null by its operator", "is.null".to_owned(), UNKNOWN),
        ("another filter", format!("{}&id=not.is.null", &token[..40]), UNKNOWN),
        ("another filter, 64 long", format!("{}&id=not.is.null", &token[..48]), UNKNOWN),
        ("SQL", "' or 1=1; drop table calendar_connections; --".to_owned(), UNKNOWN),
        ("a path", "../../etc/passwd".to_owned(), UNKNOWN),
        ("percent encoding", "%27%20or%20true".to_owned(), UNKNOWN),
        ("a newline, encoded", format!("{token}%0a"), UNKNOWN),
        ("a newline, escaped", format!("{token}\\n"), UNKNOWN),
        ("null", "null".to_owned(), UNKNOWN),
        ("undefined", "undefined".to_owned(), UNKNOWN),
        ("an object", "[object Object]".to_owned(), UNKNOWN),
        ("the service key", cast.key.clone(), if cast.key.len() > 256 { MALFORMED } else { UNKNOWN }),
        ("256 bytes", "a".repeat(256), UNKNOWN),
        ("257 bytes", "a".repeat(257), MALFORMED),
        ("8 KB", "a".repeat(8192), MALFORMED),
        ("30 KB", "a".repeat(30_000), MALFORMED),
        ("digits of another script", "٠".repeat(32), UNKNOWN),
        ("full width", "ａ".repeat(21), UNKNOWN),
        ("an emoji", "🗓".to_owned(), UNKNOWN),
    ] {
        rows.add(format!("token: {label}"), good().token(token), expected);
    }
    let token_of = |bytes: Vec<u8>| Notification { token: Some(bytes), ..good() };
    rows.add("token: bytes beyond ASCII", token_of(vec![0xff; 64]), UNKNOWN);
    rows.add(
        "token: ended by a byte beyond ASCII",
        token_of([&token.as_bytes()[..63], &[0xe9]].concat()),
        UNKNOWN,
    );
    rows.add("token: overlong UTF-8", token_of(vec![0xc0, 0xaf]), UNKNOWN);

    for (label, channel) in [
        ("empty", String::new()),
        ("65 characters", "a".repeat(65)),
        ("8 KB", "a".repeat(8192)),
        ("a space", "a b".to_owned()),
        ("a tab", "a\tb".to_owned()),
        ("a comma", "a,b".to_owned()),
        ("a point", "a.b".to_owned()),
        ("parentheses", "in.(a)".to_owned()),
        ("an operator", "eq.a".to_owned()),
        ("a star", "*".to_owned()),
        ("an ampersand", "a&id=eq.1".to_owned()),
        ("a question mark", "a?b".to_owned()),
        ("a hash", "a#b".to_owned()),
        ("a percent sign", "a%20b".to_owned()),
        ("an encoded newline", "a%0d%0aX-Evil:1".to_owned()),
        ("a quote", "a\"b".to_owned()),
        ("an apostrophe", "a'b".to_owned()),
        ("a backslash", "a\\b".to_owned()),
        ("braces", "{a}".to_owned()),
        ("SQL", "';--".to_owned()),
        ("a colon", "a:b".to_owned()),
        ("a tilde", "~".to_owned()),
        ("markup", "<script>".to_owned()),
    ] {
        rows.add(format!("channel: {label}"), good().channel(&channel), MALFORMED);
        rows.add(format!("channel, unknown token: {label}"), forged().channel(&channel), MALFORMED);
    }
    rows.add("channel: none", Notification { channel: None, ..good() }, MALFORMED);
    for (label, bytes) in [
        ("beyond ASCII", "zürich".as_bytes().to_vec()),
        ("a letter that looks like a", "а".as_bytes().to_vec()),
        ("an emoji", "🗓".as_bytes().to_vec()),
        ("no UTF-8", vec![0xc3, 0x28, 0xff]),
    ] {
        rows.add(format!("channel: {label}"), Notification { channel: Some(bytes), ..good() }, MALFORMED);
    }

    for number in [
        "",
        "0",
        "00",
        "-0",
        "-1",
        "+5",
        "1.5",
        "5.0",
        "1e3",
        "5.",
        ".5",
        "abc",
        "5a",
        "0x10",
        "0b1",
        "5 5",
        "5,6",
        "5;6",
        "٥",
        "５",
        "²",
        "NaN",
        "Infinity",
        "-Infinity",
        "null",
        "true",
        "9_000",
        "9'000",
        "-9223372036854775808",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999",
        "170141183460469231731687303715884105728",
        "lt.9",
        "9&sync_request_id=is.null",
        "9;drop table calendar_connections",
    ] {
        rows.add(format!("number: {number:?}"), good().number(number), MALFORMED);
    }
    rows.add("number: a thousand digits", good().number("9".repeat(1000)), MALFORMED);
    rows.add("number: none", Notification { number: None, ..good() }, MALFORMED);
    rows.add("number of a sync: none", Notification { number: None, ..good() }.state("sync"), MALFORMED);
    rows.add("number of a sync: 0", good().number(0).state("sync"), MALFORMED);
    rows.add("number: largest, unknown token", forged().number(i64::MAX), UNKNOWN);
    rows.add("number: many zeros before, unknown token", forged().number(format!("{:0>300}", 9)), UNKNOWN);
    rows.add("number: the one before again", good().number(1), OLD);
    rows.add("number: the one before, zeros before it", good().number("001"), OLD);

    rows.add("resource: none", Notification { resource: None, ..good() }, MALFORMED);
    rows.add("resource: empty", good().resource(""), MALFORMED);
    rows.add("resource: 1025 bytes", good().resource("a".repeat(1025)), MALFORMED);
    rows.add("resource: 30 KB", good().resource("a".repeat(30_000)), MALFORMED);
    rows.add("resource: 1024 bytes, unknown token", forged().resource("a".repeat(1024)), UNKNOWN);
    rows.add("resource: SQL, unknown token", forged().resource("' or 1=1 --"), UNKNOWN);
    rows.add("state: none", Notification { state: None, ..good() }, MALFORMED);
    rows.add("state: empty", good().state(""), MALFORMED);
    for state in ["gone", "SYNC", "sync, sync", "exists;sync", "🗓"] {
        rows.add(format!("state: {state:?}, unknown token"), forged().state(state), UNKNOWN);
    }
    rows.add("state: 30 KB, unknown token", forged().state("a".repeat(30_000)), UNKNOWN);

    rows.add("unknown token, current channel", forged().channel(channel), UNKNOWN);
    rows.add("unknown token, unknown channel", forged().channel("x".repeat(64)), UNKNOWN);
    rows.add("unknown token, sync of the current channel", forged().state("sync"), OLD);
    rows.add("own token, sync of the current channel again", good().state("sync"), OLD);
    rows.add("a token of another provider's row", good().token(&cast.foreign.token), UNKNOWN);

    // One header twice is one value, joined by a comma.
    let twice = |notification: Notification, name: &str, value: &str| wire(&notification).header(name, value);
    for (name, value, expected) in [
        ("x-goog-channel-token", token, UNKNOWN),
        ("x-goog-channel-token", "", UNKNOWN),
        ("x-goog-channel-id", channel, MALFORMED),
        ("x-goog-message-number", "9", MALFORMED),
    ] {
        rows.send(format!("twice: {name}, then {value:?}"), twice(good(), name, value), expected);
    }
    let names_in_capitals = wire(&tokenless()).header("X-GOOG-CHANNEL-TOKEN", random());
    rows.send("names in capitals", names_in_capitals, UNKNOWN);
    let underscored = wire(&tokenless()).header("x_goog_channel_token", token);
    rows.send("a name with underscores", underscored, NO_TOKEN);
    let with_query = wire(&tokenless()).target(format!("/{RECEIVE}?x-goog-channel-token={token}"));
    rows.send("the token in the query", with_query, NO_TOKEN);
    let as_bearer = wire(&tokenless()).header("authorization", format!("Bearer {token}"));
    rows.send("the token as bearer", as_bearer, NO_TOKEN);

    // What would end a header's line, or hide in it.
    for (label, bytes) in [
        ("carriage return", &b"a\rb"[..]),
        ("carriage return and another header", b"a\rx-goog-channel-token: b"),
        ("NUL", b"a\0b"),
        ("bell", b"a\x07b"),
        ("escape", b"\x1b[31m"),
        ("delete", b"a\x7fb"),
        ("a folded line", b"a\r\n b"),
    ] {
        for name in ["x-goog-channel-token", "x-goog-channel-id", "x-goog-resource-id"] {
            let request = wire(&tokenless()).header(name, bytes);
            rows.send(format!("{name}: {label}"), request, NOT_HTTP);
        }
    }
    // A line may end without a carriage return: what follows is another header, and none that counts.
    let split = wire(&tokenless()).line(b"x-goog-channel-token: a\nx-evil: b");
    rows.send("x-goog-channel-token: a newline and another header", split, UNKNOWN);

    for (label, body) in [
        ("1 MB", vec![b'a'; 1 << 20]),
        ("10 MB", vec![b'a'; 10 << 20]),
        ("JSON with the token", format!("{{\"token\":\"{token}\"}}").into_bytes()),
        ("100,000 brackets", vec![b'['; 100_000]),
        ("no UTF-8", vec![0xff; 100]),
    ] {
        rows.send(format!("body: {label}, unknown token"), wire(&forged()).body(&body), UNKNOWN);
        rows.send(format!("body: {label}, no token"), wire(&tokenless()).body(&body), NO_TOKEN);
    }
    let announced = wire(&forged()).header("content-length", "1000");
    rows.0.push(Bad::new(RECEIVE, "body: announced and not sent", announced, UNKNOWN));
    rows.0
}

struct Rows(Vec<Bad>);

impl Rows {
    fn add(&mut self, label: impl ToString, notification: Notification, expected: Met) {
        self.send(label, wire(&notification), expected);
    }

    fn send(&mut self, label: impl ToString, request: Wire, expected: Met) {
        self.0.push(Bad::new(RECEIVE, label, request, expected));
    }
}

fn wire(notification: &Notification) -> Wire {
    let headers = notification.headers();
    headers.iter().fold(Wire::post(RECEIVE), |wire, (name, value)| wire.header(name.as_str(), value))
}

fn other_digit(token: &str) -> char {
    if token.ends_with('0') { '1' } else { '0' }
}
