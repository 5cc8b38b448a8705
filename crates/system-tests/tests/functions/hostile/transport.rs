//! Methods, paths, queries, and HTTP that is none.

use serde_json::json;
use system_tests::{FUNCTIONS, RECEIVE, REFRESH, SETUP};
use uuid::Uuid;

use super::bad::{Bad, Cast, Met, NOT_HTTP};
use crate::notification::Notification;
use crate::wire::Wire;

const METHOD: Met = (405, "method_not_allowed");
const WHO: Met = (401, "unauthenticated");
const INVALID: Met = (400, "invalid_request");
const NONE: Met = (404, "no_connection");
const UNKNOWN: Met = (404, "unknown_channel");
/// The oldest Deno's words for what is too long; the newest says 400.
const TARGET_TOO_LONG: Met = (414, "");
const HEAD_TOO_LONG: Met = (431, "");

pub(super) fn rows(cast: &Cast) -> Vec<Bad> {
    [methods(cast), targets(cast), heads(cast), lengths(cast)].into_iter().flatten().collect()
}

/// All is right but the method.
fn methods(cast: &Cast) -> Vec<Bad> {
    let mut rows = Vec::new();
    for function in FUNCTIONS {
        let request = match function {
            RECEIVE => {
                let change = Notification::of(&cast.own, &cast.own_row, 9);
                let headers = change.headers();
                headers
                    .iter()
                    .fold(Wire::post(RECEIVE), |wire, (name, value)| wire.header(name.as_str(), value))
            }
            _ => cast.as_user(function),
        };
        for method in
            ["GET", "PUT", "PATCH", "DELETE", "PROPFIND", "QUERY", "MKCOL", "POSTS", "XPOST", "POST-X", "A"]
        {
            rows.push(Bad::new(function, method, request.clone().method(method), METHOD));
        }
        let long = "A".repeat(1000);
        rows.push(Bad::new(function, "a method of 1,000 letters", request.clone().method(&long), METHOD));
        rows.push(Bad::new(function, "HEAD", request.clone().method("HEAD"), (405, "")));
        let with_body = request.clone().method("PUT").body(cast.own.target().to_string());
        rows.push(Bad::new(function, "PUT with a body", with_body, METHOD));
        let overridden = request.clone().method("GET").header("x-http-method-override", "POST");
        rows.push(Bad::new(function, "GET that says it is POST", overridden, METHOD));
        rows.push(Bad::new(function, "a method with a colon", request.clone().method("PO:ST"), NOT_HTTP));
        rows.push(Bad::new(function, "no method", request.clone().method(""), NOT_HTTP));
    }
    let change = Wire::post(RECEIVE).method("OPTIONS").header("origin", "https://example.com");
    rows.push(Bad::new(RECEIVE, "a preflight", change, METHOD));
    rows
}

/// Only the method and the headers count: no part of an address reaches another function, a filter or a caller.
fn targets(cast: &Cast) -> Vec<Bad> {
    let unknown = json!({ "connection_id": Uuid::new_v4() }).to_string();
    let mut rows = Vec::new();
    let targets = |function: &str| {
        [
            format!("/{function}/"),
            format!("/{function}/more/of/it"),
            format!("/{function}//"),
            format!("/{function}/../{REFRESH}"),
            format!("/{function}/..%2f..%2frest%2fv1%2fcalendar_connections"),
            format!("/{function}%2f..%2f{SETUP}"),
            format!("/{function}/%00"),
            format!("/{function}/%0d%0aapikey:%20x"),
            format!("/{function}/%ff%fe"),
            format!("/{function}/%zz"),
            format!("/{function}/%"),
            format!("/{function};a=b"),
            format!("/{function}.json"),
            format!("/{}", function.to_uppercase()),
            "/".to_owned(),
            "//".to_owned(),
            "/..".to_owned(),
            "/rest/v1/calendar_connections?select=*".to_owned(),
            format!("/{function}?"),
            format!("/{function}?connection_id={}", cast.own.id),
            format!("/{function}?user_id=eq.{}", cast.user.id),
            format!("/{function}?or=(id.not.is.null)&select=access_token"),
            format!("/{function}?apikey={}", cast.key),
            format!("/{function}?token={}&access_token={}", cast.user.token, cast.user.token),
            format!("/{function}?a=%27%3bdrop+table+calendar_connections"),
            format!("/{function}?{}", "a=b&".repeat(1000)),
            format!("/{function}?%%%"),
        ]
    };
    for function in FUNCTIONS {
        for target in targets(function) {
            let label = |who| format!("{who}: {}", target.chars().take(60).collect::<String>());
            let refused = Wire::post(function).target(&target);
            rows.push(Bad::new(function, label("nobody"), refused, WHO));
            let (request, expected) = match function {
                RECEIVE => {
                    let change = Notification::of(&cast.own, &cast.own_row, 9).token("f".repeat(64));
                    let headers = change.headers();
                    let wire = headers
                        .iter()
                        .fold(Wire::post(RECEIVE), |wire, (name, value)| wire.header(name.as_str(), value));
                    (wire, UNKNOWN)
                }
                _ => (cast.as_service(function).body(&unknown), NONE),
            };
            rows.push(Bad::new(function, label("somebody"), request.target(&target), expected));
        }
        for (label, target, expected) in [
            ("another server", "http://example.com/rest/v1/", WHO),
            ("a space", "/a b", NOT_HTTP),
            ("a control character", "/a\x01", NOT_HTTP),
            ("nothing", "", NOT_HTTP),
        ] {
            rows.push(Bad::new(
                function,
                format!("target: {label}"),
                Wire::post(function).target(target),
                expected,
            ));
        }
        let long = Wire::post(function).target(format!("/{}", "a".repeat(8000)));
        rows.push(Bad::new(function, "target: 8,000 letters", long, WHO));
        let longer = Wire::post(function).target(format!("/{}", "a".repeat(70_000)));
        rows.push(Bad::new(function, "target: 70,000 letters", longer, NOT_HTTP).on_floor(TARGET_TOO_LONG));
        for (label, target) in [("no path", "setup"), ("a star", "*")] {
            let request = Wire::post(function).target(target);
            rows.push(Bad::new(function, format!("target: {label}"), request, NOT_HTTP).on_floor(WHO));
        }
    }
    rows
}

fn heads(cast: &Cast) -> Vec<Bad> {
    let mut rows = Vec::new();
    for function in FUNCTIONS {
        let bare = || Wire::post(function).bare().line("host: a").line("connection: close");
        let many = (0..200).fold(Wire::post(function), |wire, at| wire.header(&format!("x-{at}"), "a"));
        for (label, request, expected) in [
            ("no host", Wire::post(function).bare().line("connection: close"), WHO),
            (
                "another host",
                Wire::post(function).bare().line("host: evil.example").line("connection: close"),
                WHO,
            ),
            (
                "a host that is none",
                Wire::post(function).bare().line("host: a b/").line("connection: close"),
                WHO,
            ),
            ("no colon", bare().line("apikey"), NOT_HTTP),
            ("no name", bare().line(": a"), NOT_HTTP),
            ("a space before the colon", bare().line("apikey : a"), NOT_HTTP),
            ("a space in a name", bare().line("api key: a"), NOT_HTTP),
            ("a name beyond ASCII", bare().line("äpikey: a"), NOT_HTTP),
            ("a NUL in a name", bare().line("api\0key: a"), NOT_HTTP),
            ("a folded line", bare().line("x: a\r\n b"), NOT_HTTP),
            ("a header of 32 KB", bare().header("x", vec![b'a'; 32 << 10]), WHO),
            ("HTTP/1.0", bare().version("HTTP/1.0"), WHO),
            ("HTTP/0.9", bare().version("HTTP/0.9"), NOT_HTTP),
            ("HTTP/9.9", bare().version("HTTP/9.9"), NOT_HTTP),
            ("no version", bare().version(""), NOT_HTTP),
            ("another protocol", bare().version("SIP/2.0"), NOT_HTTP),
            ("an upgrade", bare().line("upgrade: websocket"), WHO),
            ("an origin of nowhere", bare().line("origin: null"), WHO),
        ] {
            rows.push(Bad::new(function, format!("head: {label}"), request, expected));
        }
        for (label, request, on_floor) in [
            ("two hosts", bare().line("host: b"), WHO),
            ("200 headers", many, HEAD_TOO_LONG),
            ("a header of 1 MB", bare().header("x", vec![b'a'; 1 << 20]), HEAD_TOO_LONG),
        ] {
            rows.push(Bad::new(function, format!("head: {label}"), request, NOT_HTTP).on_floor(on_floor));
        }
    }
    let preflight = |asked: &[u8]| {
        Wire::post(SETUP)
            .method("OPTIONS")
            .header("origin", "https://example.com")
            .header("access-control-request-headers", asked)
    };
    // What a page asks for comes back as a header: nothing that is not a header's name may.
    for (label, asked) in [
        ("nothing", &b""[..]),
        ("commas", b",,,,"),
        ("a star", b"*"),
        ("spaces in a name", b"a b, c"),
        ("a colon", b"a: b"),
        ("quotes", b"\"a\""),
        ("bytes beyond ASCII", b"\xff\xfe"),
        ("an encoded newline", b"a%0d%0ab"),
        ("markup", b"<script>"),
        ("10,000 names", &b"a,".repeat(10_000)),
    ] {
        rows.push(Bad::new(SETUP, format!("a preflight for {label}"), preflight(asked), (204, "")));
    }
    rows.push(Bad::new(
        REFRESH,
        "a preflight with a body",
        cast.as_user(REFRESH).method("OPTIONS").body(cast.own.target().to_string()),
        (204, ""),
    ));
    rows
}

/// What a head says of its body, and what follows.
fn lengths(cast: &Cast) -> Vec<Bad> {
    let unknown = json!({ "connection_id": Uuid::new_v4() }).to_string();
    let mut rows = Vec::new();
    for function in [SETUP, REFRESH] {
        let request = || cast.as_service(function);
        let chunked = || request().line("transfer-encoding: chunked");
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        let letters: Vec<String> = unknown.chars().map(|letter| chunk(&letter.to_string())).collect();
        let in_letters = letters.concat() + "0\r\n\r\n";
        // Few, for a body that takes 800 ms is given up.
        let (at_once, one_by_one) = letters.split_at(letters.len() - 8);
        let slowly =
            [at_once.concat()].into_iter().chain(one_by_one.to_vec()).chain(["0\r\n\r\n".to_owned()]);
        for (label, request, expected) in [
            ("length: negative", request().header("content-length", "-1"), NOT_HTTP),
            ("length: a word", request().header("content-length", "all"), NOT_HTTP),
            ("length: signed", request().header("content-length", "+2").pieces(["{}"]), NOT_HTTP),
            ("length: hexadecimal", request().header("content-length", "0x2").pieces(["{}"]), NOT_HTTP),
            ("length: beyond 64 bits", request().header("content-length", "9".repeat(30)), NOT_HTTP),
            ("length: two", request().header("content-length", "2").body("[]{}"), NOT_HTTP),
            ("length: a list", request().header("content-length", "2, 4").pieces(["[]{}"]), NOT_HTTP),
            (
                "length: less than there is",
                request().header("content-length", "9").pieces([&unknown]),
                INVALID,
            ),
            (
                "length: more, and the end",
                request().header("content-length", "999").pieces([&unknown]).hang_up(),
                INVALID,
            ),
            ("chunks: one by letter", chunked().pieces([in_letters]), NONE),
            ("chunks: a letter at a time", chunked().pieces(slowly), NONE),
            ("chunks: with an extension", chunked().pieces(["2;a=b\r\n[]\r\n0\r\n\r\n"]), INVALID),
            (
                "chunks: with a trailer",
                chunked().pieces([format!("{}0\r\napikey: x\r\n\r\n", chunk("[]"))]),
                INVALID,
            ),
            ("chunks: that break off", chunked().pieces(["ff\r\n{"]).hang_up(), INVALID),
            ("chunks: without the last", chunked().pieces([chunk("[]")]).hang_up(), INVALID),
            ("chunks: no size", chunked().pieces(["zz\r\n{}\r\n0\r\n\r\n"]), INVALID),
            ("chunks: a negative size", chunked().pieces(["-2\r\n{}\r\n0\r\n\r\n"]), INVALID),
            ("chunks: a size beyond 64 bits", chunked().pieces([format!("{}\r\n", "f".repeat(20))]), INVALID),
            ("chunks: longer than they say", chunked().pieces(["1\r\n{}\r\n0\r\n\r\n"]), INVALID),
            ("chunks: 1 MB", chunked().pieces([chunk(&" ".repeat(1 << 20)) + "0\r\n\r\n"]), INVALID),
            ("an unknown encoding", request().line("transfer-encoding: xchunked").pieces(["{}"]), NOT_HTTP),
            (
                "two encodings",
                request().line("transfer-encoding: chunked, identity").pieces(["{}"]),
                NOT_HTTP,
            ),
            ("a body that was not announced", Wire::post(function).pieces(["POST / HTTP/1.1\r\n\r\n"]), WHO),
            ("an expectation", request().line("expect: 100-continue").body("["), INVALID),
            ("another expectation", request().line("expect: 200-ok").body("["), INVALID),
            (
                "a body a letter at a time",
                request().header("content-length", "8").pieces("[".repeat(8).split("")),
                INVALID,
            ),
        ] {
            rows.push(Bad::new(function, label, request, expected));
        }
        // Which of the two counts is what a proxy in front may see otherwise.
        let both = chunked().body(&unknown);
        rows.push(Bad::new(function, "chunks and a length", both, NOT_HTTP).on_floor(INVALID));
        for (label, request, expected) in [
            ("stalled: announced and not sent", request().header("content-length", "10"), INVALID),
            ("stalled: half", request().header("content-length", "999").pieces([&unknown]), INVALID),
            ("stalled: chunks without the last", chunked().pieces([chunk(&unknown)]), INVALID),
            ("stalled: half a chunk", chunked().pieces(["ff\r\n{"]), INVALID),
            ("stalled: nobody", Wire::post(function).header("content-length", "10"), WHO),
        ] {
            rows.push(Bad::new(function, label, request, expected));
        }
    }
    rows
}
