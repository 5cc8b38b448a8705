//! The runtime of these tests: HTTP by reqwest, the real clock.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use adapters::configuration::{Configuration, Environment};
use adapters::deployment::Deployment;
use adapters::http::{Http, HttpFailure, HttpRequest, HttpResponse};
use protocol::Timestamp;
use protocol::event::Event;
use protocol::ports::{Clock, Entropy, Instance, Log};
use protocol::waiters::Waiters;
use uuid::Uuid;

#[derive(Default)]
pub(crate) struct Native {
    client: reqwest::Client,
    waiters: Waiters,
    pub(crate) log: RefCell<Vec<Event>>,
}

/// A deployment whose services are where `variables` say.
pub(crate) fn deployment(variables: [(&str, &str); 6]) -> Deployment<Native> {
    let configuration = Configuration::parse(&Environment::from(variables)).unwrap();
    Deployment::new(Native::default(), Rc::new(configuration.into()))
}

impl Http for Native {
    async fn send(&self, request: HttpRequest, timeout: Duration) -> Result<HttpResponse, HttpFailure> {
        let method = request.method.name().parse().unwrap();
        let mut builder = self.client.request(method, &request.url).timeout(timeout);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        let failure = |error: reqwest::Error| {
            if error.is_timeout() { HttpFailure::TimedOut } else { HttpFailure::Unreachable }
        };
        let mut response = builder.send().await.map_err(failure)?;
        let header =
            |name| response.headers().get(name).and_then(|value| Some(value.to_str().ok()?.to_owned()));
        let (content_type, content_range, retry_after) =
            (header("content-type"), header("content-range"), header("retry-after"));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failure)? {
            body.extend(chunk);
            match request.longest_answer {
                0 => body.clear(),
                limit if body.len() > limit => return Err(HttpFailure::TooLong),
                _ => {}
            }
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(HttpResponse {
            status: response.status().as_u16(),
            content_type,
            content_range,
            retry_after,
            body,
        })
    }
}

impl Clock for Native {
    fn now(&self) -> Timestamp {
        chrono::Utc::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

impl Entropy for Native {
    fn random(&self) -> u128 {
        Uuid::new_v4().as_u128()
    }
}

impl Instance for Native {
    fn waiters(&self) -> &Waiters {
        &self.waiters
    }
}

impl Log for Native {
    fn log(&self, event: Event) {
        self.log.borrow_mut().push(event);
    }
}
