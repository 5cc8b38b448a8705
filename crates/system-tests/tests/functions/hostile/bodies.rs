//! Bodies for setup and refresh, from callers who may call.

use serde_json::json;
use system_tests::{REFRESH, SETUP};
use uuid::Uuid;

use super::bad::{Bad, Cast, Met};

const INVALID: Met = (400, "invalid_request");
const NONE: Met = (404, "no_connection");
const PAUSED: Met = (409, "paused");

/// The longest body that is read.
const LIMIT: usize = 16 * 1024;

pub(super) fn rows(cast: &Cast) -> Vec<Bad> {
    let mut rows = Vec::new();
    for function in [SETUP, REFRESH] {
        for (label, body) in not_an_object(cast) {
            let service = cast.as_service(function).body(&body);
            rows.push(Bad::new(function, format!("as service: {label}"), service, INVALID));
            let user = cast.as_user(function).body(&body);
            rows.push(Bad::new(function, format!("as user: {label}"), user, INVALID));
        }
        for (label, value) in not_an_id(cast) {
            for field in ["connection_id", "user_id"] {
                let request = cast.as_service(function).body(format!("{{\"{field}\":{value}}}"));
                rows.push(Bad::new(function, format!("{field}: {label}"), request, INVALID));
            }
        }
        for (label, body, expected) in nobodys(cast) {
            let request = cast.as_service(function).body(body);
            rows.push(Bad::new(function, format!("as service: {label}"), request, expected));
        }
        for (label, body) in somebody_elses(cast) {
            let request = cast.as_user(function).body(body);
            rows.push(Bad::new(function, format!("as user: {label}"), request, NONE));
        }
        for (label, content_type, body) in mislabelled(cast) {
            let request = cast.as_user(function).header("content-type", content_type).body(body);
            rows.push(Bad::new(function, format!("{content_type}: {label}"), request, INVALID));
        }
        let encoded = cast.as_user(function).header("content-encoding", "gzip").body(GZIP);
        rows.push(Bad::new(function, "gzip", encoded, INVALID));
    }
    for (label, value) in not_an_id(cast) {
        let both = format!("{{\"connection_id\":\"{}\",\"user_id\":{value}}}", cast.own.id);
        let request = cast.as_user(SETUP).body(both);
        rows.push(Bad::new(SETUP, format!("user_id beside the own connection: {label}"), request, INVALID));
    }
    // A service that names nobody asks for a sweep at refresh, and for nothing that setup knows.
    for (label, body) in [
        ("nothing", ""),
        ("spaces", " \t\r\n "),
        ("an empty object", "{}"),
        ("nulls", r#"{"connection_id":null,"user_id":null}"#),
        ("other fields", r#"{"connectionId":"*","where":"1=1","id":"*"}"#),
        ("a name in another case", r#"{"CONNECTION_ID":"x"}"#),
        ("a name with a space", r#"{"connection_id ":"x"}"#),
        ("the last of two is null", r#"{"connection_id":"x","connection_id":null}"#),
        ("a prototype", r#"{"__proto__":{"connection_id":"x"}}"#),
        ("a constructor", r#"{"constructor":{"prototype":{"user_id":"x"}}}"#),
    ] {
        rows.push(Bad::new(
            SETUP,
            format!("as service: {label}"),
            cast.as_service(SETUP).body(body),
            INVALID,
        ));
    }
    rows
}

/// `{}`, compressed.
const GZIP: &[u8] = &[31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 171, 174, 5, 0, 67, 191, 166, 163, 2, 0, 0, 0];

fn not_an_object(cast: &Cast) -> Vec<(&'static str, Vec<u8>)> {
    let text = |text: &str| text.as_bytes().to_vec();
    let utf_16 =
        |order: fn(u16) -> [u8; 2]| -> Vec<u8> { "\u{feff}{}".encode_utf16().flat_map(order).collect() };
    vec![
        ("an opening brace", text("{")),
        ("a closing brace", text("}")),
        ("an opening bracket", text("[")),
        ("an open string", text("\"")),
        ("half a word", text("nul")),
        ("undefined", text("undefined")),
        ("a name without quotes", text("{connection_id:null}")),
        ("apostrophes", text("{'connection_id':null}")),
        ("a comma too many", text("{\"connection_id\":null,}")),
        ("a colon too few", text("{\"connection_id\" null}")),
        ("a value too few", text("{\"connection_id\":}")),
        ("a comment", text("{} // all of them")),
        ("two objects", text("{} {}")),
        ("something behind it", text("{}x")),
        ("a NUL behind it", text("{}\0")),
        ("only a NUL", text("\0")),
        ("markup", text("<connection_id>1</connection_id>")),
        ("YAML", text("connection_id: null")),
        ("a form", format!("connection_id={}", cast.own.id).into_bytes()),
        ("a query", text("?select=*&id=not.is.null")),
        ("an id alone", cast.own.id.to_string().into_bytes()),
        ("SQL", text("'; delete from calendar_connections; --")),
        ("NaN", text("NaN")),
        ("Infinity", text("-Infinity")),
        ("NaN in a field", text("{\"x\":NaN}")),
        ("Infinity in a field", text("{\"x\":Infinity}")),
        ("a number with a zero before it", text("{\"x\":01}")),
        ("a number with a plus", text("{\"x\":+1}")),
        ("a hexadecimal number", text("{\"x\":0x10}")),
        ("half an escape", text("{\"x\":\"\\u12\"}")),
        ("an unknown escape", text("{\"x\":\"\\q\"}")),
        ("half a surrogate pair", text("{\"x\":\"\\ud800\"}")),
        ("a control character", text("{\"x\":\"\x01\"}")),
        ("a newline in a string", text("{\"x\":\"\n\"}")),
        ("null", text("null")),
        ("true", text("true")),
        ("false", text("false")),
        ("zero", text("0")),
        ("a negative number", text("-1")),
        ("a huge number", text("1e400")),
        ("a number of 5,000 digits", vec![b'9'; 5000]),
        ("a string", text("\"connection_id\"")),
        ("an id as string", format!("\"{}\"", cast.own.id).into_bytes()),
        ("an empty array", text("[]")),
        ("an array of an object", format!("[{{\"connection_id\":\"{}\"}}]", cast.own.id).into_bytes()),
        ("a byte order mark", text("\u{feff}{}")),
        ("only a byte order mark", text("\u{feff}")),
        ("UTF-16, little end first", utf_16(u16::to_le_bytes)),
        ("UTF-16, big end first", utf_16(u16::to_be_bytes)),
        ("bytes that are no UTF-8", vec![0xff; 10]),
        ("a string that is no UTF-8", b"{\"x\":\"\xff\"}".to_vec()),
        ("overlong UTF-8", b"{\"x\":\"\xc0\xaf\"}".to_vec()),
        ("a surrogate in UTF-8", b"{\"x\":\"\xed\xa0\x80\"}".to_vec()),
        ("UTF-8 that breaks off", b"{\"x\":\"\xe2\x82".to_vec()),
        ("a space of another kind", text("\u{a0}{}")),
        ("200 brackets", [vec![b'['; 200], vec![b']'; 200]].concat()),
        ("200 objects", ["{\"x\":".repeat(200), "1".to_owned(), "}".repeat(200)].concat().into_bytes()),
        ("8,000 brackets", vec![b'['; 8000]),
        ("100,000 brackets", vec![b'['; 100_000]),
        ("100,000 brackets, closed", [vec![b'['; 100_000], vec![b']'; 100_000]].concat()),
        ("100,000 objects", "{\"x\":".repeat(100_000).into_bytes()),
        ("one byte too many", vec![b' '; LIMIT + 1]),
        ("an object, one byte too long", [text("{}"), vec![b' '; LIMIT - 1]].concat()),
        ("64 KB", vec![b'a'; 64 << 10]),
        ("1 MB of spaces", vec![b' '; 1 << 20]),
        ("10 MB", vec![b'a'; 10 << 20]),
        ("10 MB of an object", [text("{\"x\":\""), vec![b'a'; 10 << 20], text("\"}")].concat()),
    ]
}

/// Values of a field that names somebody, as JSON.
fn not_an_id(cast: &Cast) -> Vec<(&'static str, String)> {
    let id = cast.own.id.to_string();
    let string = |text: &str| json!(text).to_string();
    vec![
        ("a number", "1".to_owned()),
        ("a negative number", "-1".to_owned()),
        ("a fraction", "0.5".to_owned()),
        ("a number beyond 64 bits", "18446744073709551616".to_owned()),
        ("a number beyond a double", "1e308".to_owned()),
        ("true", "true".to_owned()),
        ("false", "false".to_owned()),
        ("an empty array", "[]".to_owned()),
        ("an array", json!([id]).to_string()),
        ("an empty object", "{}".to_owned()),
        ("an operator as object", json!({ "neq": id }).to_string()),
        ("an object with a length", json!({ "length": 36, "0": "a" }).to_string()),
        ("100 brackets", ["[".repeat(100), "]".repeat(100)].concat()),
        ("an empty string", string("")),
        ("a space", string(" ")),
        ("a space before", string(&format!(" {id}"))),
        ("a space behind", string(&format!("{id} "))),
        ("a newline behind", string(&format!("{id}\n"))),
        ("a NUL behind", string(&format!("{id}\0"))),
        ("a NUL behind, encoded", string(&format!("{id}%00"))),
        ("a character too few", string(&id[1..])),
        ("a character too many", string(&format!("{id}0"))),
        ("a letter beyond f", string(&format!("g{}", &id[1..]))),
        ("underscores", string(&id.replace('-', "_"))),
        ("dashes of another kind", string(&id.replace('-', "–"))),
        ("digits of another script", string(&id.replace(|c: char| c.is_ascii_digit(), "٣"))),
        ("full width", string(&id.replace(|c: char| c.is_ascii_digit(), "３"))),
        ("a space of no width inside", string(&format!("{}\u{200b}{}", &id[..8], &id[8..]))),
        ("written from right to left", string(&format!("\u{202e}{id}"))),
        ("an emoji", string("🗓")),
        ("a star", string("*")),
        ("a percent sign", string("%")),
        ("null", string("null")),
        ("undefined", string("undefined")),
        ("an operator", string(&format!("eq.{id}"))),
        ("a negated operator", string("not.is.null")),
        ("a list", string(&format!("in.({id})"))),
        ("two", string(&format!("{id},{id}"))),
        ("another filter", string(&format!("{id}&user_id=not.is.null"))),
        ("or", string(&format!("{id})or(id.not.is.null"))),
        ("a choice of columns", string(&format!("{id}&select=access_token"))),
        ("a fragment", string(&format!("{id}#"))),
        ("SQL", string("' or 1=1 --")),
        ("SQL behind it", string(&format!("{id}'; drop table calendar_connections; --"))),
        ("SQL that waits", string("'||pg_sleep(10)||'")),
        ("a path", string("../../auth/v1/admin/users")),
        ("an address", string("http://127.0.0.1/")),
        ("a template", string("${7*7}{{7*7}}")),
        ("headers", string("a\r\napikey: b")),
        ("10 KB", string(&"a".repeat(10_000))),
    ]
}

/// Well-formed, and not there.
fn nobodys(cast: &Cast) -> Vec<(&'static str, String, Met)> {
    let (own, other) = (cast.own.id, &cast.other);
    let unknown = Uuid::new_v4();
    let twice =
        |first: Uuid, second: Uuid| format!(r#"{{"connection_id":"{first}","connection_id":"{second}"}}"#);
    vec![
        ("an unknown connection", json!({ "connection_id": unknown }).to_string(), NONE),
        ("an unknown user", json!({ "user_id": unknown }).to_string(), NONE),
        ("no bit set", json!({ "connection_id": Uuid::nil() }).to_string(), NONE),
        ("every bit set", json!({ "user_id": Uuid::max() }).to_string(), NONE),
        ("a user as connection", json!({ "connection_id": cast.user.id }).to_string(), NONE),
        ("a connection as user", json!({ "user_id": own }).to_string(), NONE),
        ("another provider's", json!({ "connection_id": cast.foreign.id }).to_string(), NONE),
        ("a user of another provider", json!({ "user_id": cast.foreign.user }).to_string(), NONE),
        ("of two users", json!({ "connection_id": own, "user_id": other.user }).to_string(), NONE),
        ("the second of two counts", twice(own, unknown), NONE),
        ("paused", json!({ "connection_id": cast.paused.id }).to_string(), PAUSED),
        ("paused, by user", json!({ "user_id": cast.paused.user }).to_string(), PAUSED),
    ]
}

fn somebody_elses(cast: &Cast) -> Vec<(&'static str, String)> {
    let (own, other) = (cast.own.id, &cast.other);
    let twice = format!(r#"{{"connection_id":"{own}","connection_id":"{}"}}"#, other.id);
    vec![
        ("an unknown connection", json!({ "connection_id": Uuid::new_v4() }).to_string()),
        ("another user's connection", json!({ "connection_id": other.id }).to_string()),
        (
            "another user's, in capitals",
            json!({ "connection_id": other.id.to_string().to_uppercase() }).to_string(),
        ),
        ("another user's, in braces", json!({ "connection_id": other.id.braced().to_string() }).to_string()),
        ("another user's, as URN", json!({ "connection_id": other.id.urn().to_string() }).to_string()),
        ("another user's, paused", json!({ "connection_id": cast.paused.id }).to_string()),
        ("another user", json!({ "user_id": other.user }).to_string()),
        (
            "the own connection of another user",
            json!({ "connection_id": own, "user_id": other.user }).to_string(),
        ),
        (
            "another's connection of oneself",
            json!({ "connection_id": other.id, "user_id": cast.user.id }).to_string(),
        ),
        ("the second of two counts", twice),
        ("escapes in the name", format!(r#"{{"\u0063onnection_id":"{}"}}"#, other.id)),
    ]
}

fn mislabelled(cast: &Cast) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let id = cast.own.id;
    let part =
        format!("--x\r\nContent-Disposition: form-data; name=\"connection_id\"\r\n\r\n{id}\r\n--x--\r\n");
    vec![
        ("a form", "application/x-www-form-urlencoded", format!("connection_id={id}").into_bytes()),
        ("a form of parts", "multipart/form-data; boundary=x", part.into_bytes()),
        ("a form without its boundary", "multipart/form-data", b"--\r\n".to_vec()),
        ("text", "text/plain", b"hello".to_vec()),
        ("markup", "application/xml", b"<a/>".to_vec()),
        ("bytes", "application/octet-stream", vec![0, 1, 2, 3]),
        ("not what it says", "application/json", b"connection_id".to_vec()),
        ("UTF-16", "application/json; charset=utf-16le", b"{\0}\0".to_vec()),
        ("UTF-7", "application/json; charset=utf-7", b"+AHsAfQ-".to_vec()),
        ("an unknown type", "\"", b"[".to_vec()),
    ]
}
