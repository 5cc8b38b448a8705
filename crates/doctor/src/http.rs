//! Asking servers, each call with a time limit and none following a redirect on its own.

use std::io;
use std::time::Duration;

use adapters::http::{HttpRequest, HttpResponse};
use chrono::{DateTime, TimeDelta, Utc};
use ureq::Agent;
use ureq::http::Response;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
pub const ANSWER_WITHIN: Duration = Duration::from_secs(12);
/// In bytes. The largest answer is PostgREST's description of a database.
const LONGEST_BODY: u64 = 16 << 20;

/// An answer, and what its server takes for the time.
#[derive(Clone)]
pub struct Answer {
    pub response: HttpResponse,
    pub date: Option<DateTime<Utc>>,
    /// Where it sends its caller instead.
    pub location: Option<String>,
    /// The middle of the time that the call took, by the clock of this machine.
    pub at: DateTime<Utc>,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.response.status
    }

    /// The body; null where it is no JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.response.body).unwrap_or_default()
    }
}

/// Why there is no answer. Never a library's own text, which may quote what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    NoSuchHost,
    Refused,
    NotTrusted,
    TimedOut,
    Broken,
}

impl Silence {
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoSuchHost => "no_such_host",
            Self::Refused => "connection_refused",
            Self::NotTrusted => "tls_failed",
            Self::TimedOut => "timed_out",
            Self::Broken => "connection_broken",
        }
    }

    pub const fn text(self) -> &'static str {
        match self {
            Self::NoSuchHost => "its name does not resolve",
            Self::Refused => "it refuses connections",
            Self::NotTrusted => "no TLS connection to it can be made, or its certificate is not valid",
            Self::TimedOut => "it did not answer in time",
            Self::Broken => "the connection broke",
        }
    }
}

pub type Reply = Result<Answer, Silence>;

pub struct Http(Agent);

impl Http {
    pub fn new() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_resolve(Some(CONNECT_WITHIN))
            .timeout_connect(Some(CONNECT_WITHIN))
            // Who refuses a request before reading its body closes the connection after the answer, and the next
            // request on it would seem to find a broken server.
            .max_idle_connections(0)
            .user_agent("calendar-webhooks-doctor");
        Self(config.build().into())
    }

    /// The time limit covers the whole answer, body included.
    pub fn send(&self, request: HttpRequest, timeout: Duration) -> Reply {
        let before = Utc::now();
        let mut response = self.call(request, timeout).map_err(silence)?;
        let body = response.body_mut().with_config().limit(LONGEST_BODY).lossy_utf8(true).read_to_string();
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        Ok(Answer {
            response: HttpResponse {
                status: response.status().as_u16(),
                body: body.map_err(silence)?,
                ..HttpResponse::default()
            },
            date: header("date")
                .and_then(|date| DateTime::parse_from_rfc2822(date).ok())
                .map(|date| date.to_utc()),
            location: header("location").map(str::to_owned),
            at: midpoint(before, Utc::now()),
        })
    }

    fn call(&self, request: HttpRequest, timeout: Duration) -> Result<Response<ureq::Body>, ureq::Error> {
        let mut builder = ureq::http::Request::builder().method(request.method.name()).uri(request.url);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let request = builder.body(request.body.unwrap_or_default())?;
        self.0.run(self.0.configure_request(request).timeout_global(Some(timeout)).build())
    }
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}

fn midpoint(before: DateTime<Utc>, after: DateTime<Utc>) -> DateTime<Utc> {
    before + (after - before).max(TimeDelta::zero()) / 2
}

fn silence(error: ureq::Error) -> Silence {
    use ureq::Error;
    match error {
        Error::HostNotFound => Silence::NoSuchHost,
        Error::Timeout(_) => Silence::TimedOut,
        Error::Tls(_) | Error::Rustls(_) | Error::TlsRequired => Silence::NotTrusted,
        Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => Silence::Refused,
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Silence::TimedOut,
            // What rustls says of a certificate, and of a server that speaks something else, comes as this.
            io::ErrorKind::InvalidData => Silence::NotTrusted,
            // The standard library has no kind for what the system's resolver says.
            _ if error.to_string().starts_with("failed to lookup address") => Silence::NoSuchHost,
            _ => Silence::Broken,
        },
        _ => Silence::Broken,
    }
}

/// An answer as tests of verdicts need it.
#[cfg(test)]
pub(crate) fn answer(status: u16, body: &str) -> Answer {
    Answer {
        response: HttpResponse { status, body: body.to_owned(), ..HttpResponse::default() },
        date: None,
        location: None,
        at: DateTime::UNIX_EPOCH,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn a_connection_that_was_used_is_not_used_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        // Answers the first request on a connection, and ends it with the second.
        thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                thread::spawn(move || {
                    let mut request = [0; 4096];
                    let _ = connection.read(&mut request);
                    connection.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").unwrap();
                    let _ = connection.read(&mut request);
                });
            }
        });
        let http = Http::new();
        for _ in 0..3 {
            let request = HttpRequest::get(url.as_str());
            assert!(http.send(request, ANSWER_WITHIN).is_ok_and(|answer| answer.status() == 401));
        }
    }

    #[test]
    fn why_there_is_no_answer_is_told_apart() {
        let resolver = "failed to lookup address information: Name or service not known";
        for (error, expected) in [
            (io::Error::other(resolver), Silence::NoSuchHost),
            (io::ErrorKind::ConnectionRefused.into(), Silence::Refused),
            (io::ErrorKind::TimedOut.into(), Silence::TimedOut),
            (io::ErrorKind::InvalidData.into(), Silence::NotTrusted),
            (io::ErrorKind::ConnectionReset.into(), Silence::Broken),
        ] {
            assert_eq!(silence(ureq::Error::Io(error)), expected);
        }
    }
}
