//! Asking servers, each call with a time limit and none following a redirect on its own.

use std::io;
use std::time::Duration;

use adapters::http::HttpRequest;
use chrono::Utc;
use ureq::Agent;
use ureq::http::Response;

use crate::http::{Answer, LONGEST_BODY, Reply, Silence, USER_AGENT};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);

pub(super) struct Http(Agent);

impl Http {
    pub(super) fn new() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_resolve(Some(CONNECT_WITHIN))
            .timeout_connect(Some(CONNECT_WITHIN))
            // Who refuses a request before reading its body closes the connection after the answer, and the next
            // request on it would seem to find a broken server.
            .max_idle_connections(0)
            .user_agent(USER_AGENT);
        Self(config.build().into())
    }

    /// The time limit covers the whole answer, body included.
    pub(super) fn send(&self, request: HttpRequest, timeout: Duration) -> Reply {
        let before = Utc::now();
        let mut response = self.call(request, timeout).map_err(silence)?;
        let body = response.body_mut().with_config().limit(LONGEST_BODY).lossy_utf8(true).read_to_string();
        let body = body.map_err(silence)?;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let status = response.status().as_u16();
        Ok(Answer::new((status, body), header("date"), header("location"), (before, Utc::now())))
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
            assert!(http.send(request, Duration::from_secs(12)).is_ok_and(|answer| answer.status() == 401));
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
