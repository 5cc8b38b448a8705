//! HTTP as browsers and clumsy clients speak it: CORS, methods and bodies.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use system_tests::{Answer, Caller, FUNCTIONS, RECEIVE, REFRESH, SETUP, assert_error_shape};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::case::cases;
use crate::scene::Scene;
use crate::standalone::Standalone;
use crate::table::each;

cases! {
    shared: [
        a_preflight_allows_whatever_it_asks_for,
        every_answer_may_be_read_by_a_browser,
        other_methods_are_refused_by_name,
        a_body_that_is_not_what_it_should_be_is_refused,
        a_large_body_is_refused_and_harms_nobody,
        a_body_without_end_is_answered_and_given_up,
        a_body_may_be_left_out,
        a_body_that_ends_early_is_refused_and_harms_nobody,
        noise_on_the_line_harms_nobody,
    ],
    alone: [],
}

const FOR_BROWSERS: [&str; 2] = [SETUP, REFRESH];

fn lists(answer: &Answer, header: &str, wanted: &str) -> bool {
    let value = answer.header(header).to_lowercase();
    value.split(',').any(|part| part.trim() == "*" || part.trim() == wanted)
}

async fn a_preflight_allows_whatever_it_asks_for(scene: &Scene) {
    let usual = "authorization, x-client-info, apikey, content-type";
    for function in FOR_BROWSERS {
        for asked in
            [None, Some("authorization,x-client-info,apikey,content-type"), Some("x-region, traceparent")]
        {
            let mut request = scene
                .request(Method::OPTIONS, function)
                .header("origin", "https://app.example.com")
                .header("access-control-request-method", "POST");
            if let Some(asked) = asked {
                request = request.header("access-control-request-headers", asked);
            }
            let answer = scene.send(request).await;
            assert!([200, 204].contains(&answer.status), "{}", answer.status);
            assert!(["*", "https://app.example.com"].contains(&answer.header("access-control-allow-origin")));
            assert!(lists(&answer, "access-control-allow-methods", "post"), "{:?}", answer.headers);
            let asked = asked.unwrap_or_default().split(',');
            for header in usual.split(',').chain(asked).map(str::trim).filter(|header| !header.is_empty()) {
                // A star does not stand for `authorization`.
                let allowed = answer.header("access-control-allow-headers").to_lowercase();
                assert!(allowed.split(',').any(|part| part.trim() == header), "{header}: {allowed}");
            }
        }
    }
}

async fn every_answer_may_be_read_by_a_browser(scene: &Scene) {
    let user = scene.user().await;
    let connection = scene.connection_of(user.id).await;
    for (function, caller, body, status) in [
        (SETUP, Caller::User(&user), "", 200),
        (REFRESH, Caller::User(&user), "", 429),
        (SETUP, Caller::Nobody, "", 401),
        (REFRESH, Caller::Nobody, "", 401),
        (SETUP, Caller::User(&user), "{", 400),
        (REFRESH, Caller::User(&user), "[]", 400),
        (SETUP, Caller::User(&user), r#"{"connection_id":"7f6ad1f0-5a3c-4c56-9f3e-2d3f6f2f0001"}"#, 404),
    ] {
        let answer = scene.call(function, caller, body).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{status}");
        assert!(answer.header("content-type").starts_with("application/json"), "{status}");
    }
    scene.settled(&connection).await;
}

async fn other_methods_are_refused_by_name(scene: &Scene) {
    for function in FOR_BROWSERS {
        for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "PROPFIND"] {
            let method: Method = method.parse().unwrap();
            let request = scene.request(method.clone(), function).headers(scene.headers(Caller::Service));
            let answer = scene.send(request).await;
            assert_eq!(answer.status, 405, "{function} {method}");
            assert!(
                answer.header("allow").split(", ").any(|allowed| allowed == "POST"),
                "{:?}",
                answer.headers
            );
            assert_eq!(answer.header("access-control-allow-origin"), "*");
            if method != Method::HEAD {
                assert_eq!(answer.outcome().1, "method_not_allowed");
            }
        }
    }
}

async fn a_body_that_is_not_what_it_should_be_is_refused(scene: &Scene) {
    let user = scene.user().await;
    let connection = scene.connection_of(user.id).await;
    let before = scene.row(&connection).await;
    let id = connection.id;
    let bodies: Vec<Vec<u8>> = [
        "{".to_owned(),
        "}".to_owned(),
        "hello".to_owned(),
        "<xml/>".to_owned(),
        "[]".to_owned(),
        format!("[{{\"connection_id\":\"{id}\"}}]"),
        "\"text\"".to_owned(),
        format!("\"{id}\""),
        "5".to_owned(),
        "true".to_owned(),
        "{}{}".to_owned(),
        format!("{{\"connection_id\":\"{id}\"}},"),
        json!({ "connection_id": 5 }).to_string(),
        json!({ "connection_id": true }).to_string(),
        json!({ "connection_id": [id] }).to_string(),
        json!({ "connection_id": { "eq": id } }).to_string(),
        json!({ "connection_id": "" }).to_string(),
        json!({ "connection_id": "5" }).to_string(),
        json!({ "connection_id": format!("{id}x") }).to_string(),
        json!({ "connection_id": format!("{id}&user_id=not.is.null") }).to_string(),
        json!({ "connection_id": format!("in.({id})") }).to_string(),
        format!("{{\"connection_id\":\"{id}\",\"connection_id\":5}}"),
        format!("{}{}", "[".repeat(1000), "]".repeat(1000)),
        format!("{}1{}", "{\"a\":".repeat(1000), "}".repeat(1000)),
        "\u{0}".to_owned(),
    ]
    .map(String::into_bytes)
    .into_iter()
    .chain([vec![0xff, 0xfe, b'{', b'}'], b"{\"connection_id\":\"\xc3\x28\"}".to_vec(), vec![b'a'; 8192]])
    .collect();
    let (bodies, user) = (&bodies, &user);
    let callers = [("a user", Caller::User(user)), ("a service", Caller::Service)];
    each(callers, |caller| async move {
        for function in FOR_BROWSERS {
            for body in bodies {
                let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
                let request = scene.request(Method::POST, function).headers(scene.headers(caller));
                let answer = scene.send(request.body(body.clone())).await;
                assert_eq!(answer.outcome(), (400, "invalid_request"), "{function} {shown}: {}", answer.text);
            }
            let wrong_user = json!({ "user_id": 7 });
            if let Caller::Service = caller {
                let answer = scene.call(function, caller, wrong_user).await;
                assert_eq!(answer.outcome(), (400, "invalid_request"), "{}", answer.text);
            }
        }
    })
    .await;
    assert_eq!(scene.row(&connection).await, before);
}

async fn a_large_body_is_refused_and_harms_nobody(scene: &Scene) {
    let user = scene.user().await;
    let connection = scene.connection_of(user.id).await;
    let before = scene.row(&connection).await;
    let bodies = [
        json!({ "connection_id": "a".repeat(1 << 20) }).to_string(),
        format!("{}{{}}", " ".repeat(1 << 20)),
        format!("{}{}", "[".repeat(500_000), "]".repeat(500_000)),
        format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000)),
        "a".repeat(20 << 20),
    ];
    let (bodies, token) = (&bodies, &user.token);
    each(FOR_BROWSERS.map(|function| (function, function)), |function| async move {
        let mut standalone = Standalone::start(scene, function, &[]).await;
        for body in bodies {
            let length = body.len();
            let request = format!(
                "POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{body}"
            );
            // An answer that comes before all has been said may be lost on the way.
            let answer = send_raw(&standalone, request.as_bytes()).await;
            let status = answer.split(' ').nth(1).unwrap_or("closed");
            assert!(["400", "closed"].contains(&status), "{length} bytes: {answer}");
            let next = standalone.try_call(scene, Caller::Nobody).await;
            assert_eq!(next.map(|answer| answer.status), Some(401), "after {length} bytes");
        }
    })
    .await;
    assert_eq!(scene.row(&connection).await, before);
}

async fn a_body_without_end_is_answered_and_given_up(scene: &Scene) {
    let trickle = ("a trickle", (b"1\r\nx\r\n".to_vec(), Duration::from_millis(50)));
    let flood = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    each([trickle, ("a flood", (flood, Duration::ZERO))], |(piece, pause)| async move {
        for function in FUNCTIONS {
            let mut standalone = Standalone::start(scene, function, &[]).await;
            let stream = TcpStream::connect(standalone.address()).await.unwrap();
            let (mut reader, mut writer) = stream.into_split();
            let mut sent = 0;
            let sending = async {
                writer
                    .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .await
                    .unwrap();
                while writer.write_all(&piece).await.is_ok() {
                    sent += piece.len();
                    sleep(pause).await;
                }
            };
            let mut answer = [0; 12];
            let given_up = timeout(Duration::from_secs(3), async {
                tokio::select! {
                    () = sending => {}
                    read = reader.read_exact(&mut answer) => {
                        read.unwrap();
                        assert_eq!(answer, *b"HTTP/1.1 401");
                    }
                }
            });
            given_up.await.expect("an answer, or the end of the connection");
            assert!(sent < 64 << 20, "{function} read {sent} bytes");
            assert_eq!(
                standalone.try_call(scene, Caller::Nobody).await.map(|answer| answer.status),
                Some(401)
            );
        }
    })
    .await;
}

async fn a_body_may_be_left_out(scene: &Scene) {
    let user = scene.user().await;
    scene.open_channel(&scene.connection_of(user.id).await).await;
    for body in ["", "{}", " {} ", "{\"name\":\"Functions\"}"] {
        let answer = scene.call(SETUP, Caller::User(&user), body).await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.text);
    }
}

/// Sends these bytes and nothing more, and returns what comes back before the line is closed.
async fn send_raw(function: &Standalone, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(function.address()).await.unwrap();
    let mut answer = Vec::new();
    // A server may close the connection of somebody who breaks the protocol without a word.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn a_body_that_ends_early_is_refused_and_harms_nobody(scene: &Scene) {
    let user = scene.user().await;
    let connection = scene.connection_of(user.id).await;
    let before = scene.row(&connection).await;
    let callers = [
        ("a user", format!("Host: x\r\nAuthorization: Bearer {}\r\n", user.token)),
        ("nobody", "Host: x\r\n".to_owned()),
        (
            "a forger",
            format!(
                "Host: x\r\nX-Goog-Channel-ID: x\r\nX-Goog-Channel-Token: {}\r\nX-Goog-Resource-ID: r\r\n\
             X-Goog-Resource-State: exists\r\nX-Goog-Message-Number: 5\r\n",
                "0".repeat(64),
            ),
        ),
    ];
    let bodies = [
        "Transfer-Encoding: chunked\r\n\r\n10\r\n{\"connect",
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        "Content-Length: 100\r\n\r\n{}",
    ];
    let cases =
        FUNCTIONS.into_iter().flat_map(|function| callers.iter().map(move |caller| (function, caller)));
    let cases =
        cases.map(|(function, (name, headers))| (format!("{name} at {function}"), (function, headers)));
    each(cases, |(function, headers)| async move {
        let mut standalone = Standalone::start(scene, function, &[]).await;
        for body in bodies {
            let request = format!("POST /{function} HTTP/1.1\r\n{headers}{body}");
            let answer = send_raw(&standalone, request.as_bytes()).await;
            let status = answer.split(' ').nth(1).unwrap_or("closed");
            assert!(["400", "401", "404", "closed"].contains(&status), "{body:?}: {answer}");
            let next = standalone.try_call(scene, Caller::Nobody).await;
            assert_eq!(next.map(|answer| answer.status), Some(401), "after {body:?}");
        }
    })
    .await;
    assert_eq!(scene.row(&connection).await, before);
}

async fn noise_on_the_line_harms_nobody(scene: &Scene) {
    let connection = scene.open().await;
    let row = scene.row(&connection).await;
    let receiver = Standalone::start(scene, RECEIVE, &[]).await;
    let (token, channel) = (&connection.token, row["webhook_id"].as_str().unwrap());
    let good = format!(
        "Host: x\r\nX-Goog-Channel-ID: {channel}\r\nX-Goog-Channel-Token: {token}\r\nX-Goog-Resource-ID: r\r\n\
         X-Goog-Resource-State: exists\r\n"
    );
    let big = "a".repeat(200_000);
    for noise in [
        "\r\n\r\n".to_owned(),
        "GET".to_owned(),
        "POST / HTTP/1.1\r\n\r\n".to_owned(),
        format!("POST / HTTP/9.9\r\n{good}X-Goog-Message-Number: 5\r\n\r\n"),
        format!("POST / HTTP/1.1\r\n{good}X-Goog-Message-Number: 5\0\r\n\r\n"),
        format!(
            "POST / HTTP/1.1\r\n{good}X-Goog-Message-Number: 5\r\nX-Goog-Message-Number: 6\r\nContent-Length: 0\r\n\r\n"
        ),
        format!(
            "POST / HTTP/1.1\r\n{good}X-Goog-Channel-ID: other\r\nX-Goog-Message-Number: 5\r\nContent-Length: 0\r\n\r\n"
        ),
        format!(
            "POST / HTTP/1.1\r\n{good}X-Goog-Channel-Token: {}\r\nX-Goog-Message-Number: 5\r\nContent-Length: 0\r\n\r\n",
            Uuid::new_v4()
        ),
        format!("POST / HTTP/1.1\r\n{good}X-Goog-Message-Number: {big}\r\nContent-Length: 0\r\n\r\n"),
        format!("POST /{big} HTTP/1.1\r\n{good}\r\nContent-Length: 0\r\n\r\n"),
    ] {
        let answer = send_raw(&receiver, noise.as_bytes()).await;
        let status = answer.split(' ').nth(1).unwrap_or("closed");
        assert!(
            !status.starts_with('5') && !status.starts_with('2'),
            "{}: {answer}",
            &noise[..noise.len().min(400)]
        );
        assert_eq!(scene.row(&connection).await, row);
    }
    let answer = receiver.call(scene, Caller::Nobody, "").await;
    assert_eq!(answer.status, 401, "{}", answer.text);
    assert_error_shape(&answer.body, &answer.text);
}
