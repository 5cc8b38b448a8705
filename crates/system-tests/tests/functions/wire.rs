//! Requests as bytes on a socket: what no client library would send, to a function with nothing in front of it.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join;
use serde_json::Value;
use system_tests::assert_error_shape;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::scene::Scene;

/// Between two pieces of a body.
const PAUSE: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone)]
pub(crate) struct Wire {
    method: String,
    target: Vec<u8>,
    version: &'static str,
    lines: Vec<Vec<u8>>,
    /// Sent one after the other, a moment apart.
    pieces: Vec<Vec<u8>>,
    hangs_up: bool,
}

/// An answer, or that there was none: then the status is 0.
pub(crate) struct Heard {
    pub status: u16,
    /// Of an error.
    pub code: String,
    pub text: String,
    /// From the last byte sent to the last one received.
    pub took: Duration,
}

impl Wire {
    pub(crate) fn post(function: &str) -> Self {
        Self {
            method: "POST".to_owned(),
            target: format!("/{function}").into_bytes(),
            version: "HTTP/1.1",
            lines: vec![b"host: 127.0.0.1".to_vec(), b"connection: close".to_vec()],
            pieces: vec![],
            hangs_up: false,
        }
    }

    pub(crate) fn method(self, method: &str) -> Self {
        Self { method: method.to_owned(), ..self }
    }

    pub(crate) fn target(self, target: impl AsRef<[u8]>) -> Self {
        Self { target: target.as_ref().to_vec(), ..self }
    }

    pub(crate) fn version(self, version: &'static str) -> Self {
        Self { version, ..self }
    }

    pub(crate) fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.line([name.as_bytes(), b": ", value.as_ref()].concat())
    }

    /// A line of the head, as it is.
    pub(crate) fn line(mut self, line: impl AsRef<[u8]>) -> Self {
        self.lines.push(line.as_ref().to_vec());
        self
    }

    /// Without the lines that every request has.
    pub(crate) fn bare(self) -> Self {
        Self { lines: vec![], ..self }
    }

    /// A body and its length.
    pub(crate) fn body(self, body: impl AsRef<[u8]>) -> Self {
        let length = body.as_ref().len().to_string();
        self.header("content-length", length).pieces([body])
    }

    /// What follows the head, whatever the head says of it.
    pub(crate) fn pieces<P: AsRef<[u8]>>(self, pieces: impl IntoIterator<Item = P>) -> Self {
        let pieces = pieces.into_iter().map(|piece| piece.as_ref().to_vec()).collect();
        Self { pieces, ..self }
    }

    /// The client says that nothing more comes, and listens on.
    pub(crate) fn hang_up(self) -> Self {
        Self { hangs_up: true, ..self }
    }

    fn head(&self) -> Vec<u8> {
        let mut head = [self.method.as_bytes(), b" ", &self.target, b" ", self.version.as_bytes()].concat();
        for line in &self.lines {
            head.extend_from_slice(b"\r\n");
            head.extend_from_slice(line);
        }
        head.extend_from_slice(b"\r\n\r\n");
        head
    }

    pub(crate) async fn send(&self, scene: &Scene, address: SocketAddr) -> Heard {
        let (mut reader, mut writer) = TcpStream::connect(address).await.expect("a connection").into_split();
        let writing = async {
            // The server may have heard enough, and hang up first.
            let mut open = writer.write_all(&self.head()).await.is_ok();
            for piece in &self.pieces {
                sleep(PAUSE).await;
                open = open && writer.write_all(piece).await.is_ok();
            }
            if self.hangs_up {
                let _ = writer.shutdown().await;
            }
            (writer, Instant::now())
        };
        let reading = async {
            let mut answer = Vec::new();
            // A server that has answered may go on listening for what was announced.
            while !is_whole(&answer) && reader.read_buf(&mut answer).await.is_ok_and(|read| read > 0) {}
            (answer, Instant::now())
        };
        let ((_writer, sent_at), (answer, heard_at)) =
            timeout(PATIENCE, join(writing, reading)).await.expect("an answer, or the end of the connection");
        let text = String::from_utf8_lossy(&answer).into_owned();
        scene.hear(text.clone());
        Heard::read(text, heard_at.saturating_duration_since(sent_at))
    }
}

/// Whether an answer is over, as far as it says so itself.
fn is_whole(answer: &[u8]) -> bool {
    let answer = String::from_utf8_lossy(answer);
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let length = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.and_then(|(_, length)| length.parse().ok()).is_some_and(|length: usize| body.len() >= length)
}

impl Heard {
    fn read(text: String, took: Duration) -> Self {
        let text = match text.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n") {
            Some(rest) => rest.to_owned(),
            None => text,
        };
        let status = text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
        // In one chunk, or in none.
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let json = body.find('{').zip(body.rfind('}')).map_or("", |(from, to)| &body[from..=to]);
        let json: Value = serde_json::from_str(json).unwrap_or_default();
        if status >= 400 && !body.is_empty() && !json.is_null() {
            assert_error_shape(&json, &text);
        }
        let code = json["error"]["code"].as_str().unwrap_or_default().to_owned();
        Self { status, code, text, took }
    }
}
