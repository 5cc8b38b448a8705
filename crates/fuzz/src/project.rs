//! A deployment of the functions whose every neighbour answers as it is told, and whose clock stands still unless
//! somebody sleeps.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use adapters::configuration::{Configuration, Environment};
use adapters::deployment::Deployment;
use adapters::http::{Http, HttpFailure, HttpRequest, HttpResponse};
use functions::{Function, Handled, Incoming, LONGEST_BODY};
use protocol::Timestamp;
use protocol::event::Event;
use protocol::ports::{Clock, Entropy, Instance, Log};
use protocol::waiters::Waiters;

pub const URL: &str = "https://project.supabase.co";
pub const KEY: &str = "sb_secret_7c1d0f5ba3e24986_0b9e";
pub const CLIENT_SECRET: &str = "GOCSPX-4b0f9a67c2d81e35";
pub const USER: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
pub const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJub2JvZHkifQ.c2lnbmF0dXJlLW9mLW5vYm9keQ";
/// 2026-11-22T16:00:00Z.
pub const NOW: i64 = 1_795_363_200_000;

pub type Answered = Result<HttpResponse, HttpFailure>;

/// An answer as the runtime hands it over: text, without a byte order mark.
pub fn response(status: u16, body: &[u8]) -> HttpResponse {
    let body = String::from_utf8_lossy(body);
    let body = body.strip_prefix('\u{feff}').unwrap_or(&body).to_owned();
    HttpResponse { status, body, ..HttpResponse::default() }
}

/// Nothing is there: no row, and nobody who is signed in.
pub fn empty(request: &HttpRequest) -> Answered {
    if !request.url.contains("/rest/v1/") {
        return Ok(response(401, b"{}"));
    }
    Ok(HttpResponse { content_range: Some("*/0".to_owned()), ..response(200, b"[]") })
}

#[allow(clippy::expect_used, reason = "a target that cannot start must not pass")]
fn configuration() -> Configuration {
    let environment = Environment::from([
        ("SUPABASE_URL", URL),
        ("SUPABASE_SECRET_KEYS", concat!(r#"{"default":""#, "sb_secret_7c1d0f5ba3e24986_0b9e", r#""}"#)),
        ("GOOGLE_CLIENT_ID", "client-id"),
        ("GOOGLE_CLIENT_SECRET", CLIENT_SECRET),
    ]);
    Configuration::parse(&environment).expect("the environment is complete")
}

/// The runtime: every request is answered at once.
#[derive(Clone)]
pub struct Scripted(Rc<Script>);

struct Script {
    answer: Box<dyn Fn(&HttpRequest) -> Answered>,
    asked: RefCell<Vec<HttpRequest>>,
    log: RefCell<String>,
    now: Cell<Timestamp>,
    waiters: Waiters,
}

pub struct Project {
    pub deployment: Rc<Deployment<Scripted>>,
    runtime: Scripted,
}

impl Project {
    /// A project whose neighbours answer so.
    pub fn new(answer: impl Fn(&HttpRequest) -> Answered + 'static) -> Self {
        Self::configured(configuration(), answer)
    }

    pub fn configured(
        configuration: Configuration,
        answer: impl Fn(&HttpRequest) -> Answered + 'static,
    ) -> Self {
        let runtime = Scripted(Rc::new(Script {
            answer: Box::new(answer),
            asked: RefCell::default(),
            log: RefCell::default(),
            waiters: Waiters::default(),
            now: Cell::new(Timestamp::from_timestamp_millis(NOW).unwrap_or_default()),
        }));
        let deployment = Rc::new(Deployment::new(runtime.clone(), Rc::new(configuration.into())));
        Self { deployment, runtime }
    }

    /// Has a function handle a request to the end.
    pub fn handle(&self, function: Function, post: &Post) -> Handled {
        let now = || self.runtime.now();
        let handling = functions::handle(function, Ok(self.deployment.clone()), post, now(), now);
        let mut handled = finish(handling);
        self.runtime.0.log.borrow_mut().push_str(&handled.log_line.1);
        if let Some(follow_up) = handled.follow_up.take() {
            finish(follow_up);
        }
        handled
    }

    /// What its neighbours have been asked so far.
    pub fn asked(&self) -> Vec<HttpRequest> {
        self.runtime.0.asked.borrow().clone()
    }

    pub fn log(&self) -> String {
        self.runtime.0.log.borrow().clone()
    }

    pub fn now(&self) -> Timestamp {
        self.runtime.now()
    }
}

/// Runs a future that waits for nothing outside this thread.
pub fn finish<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

impl Http for Scripted {
    async fn send(&self, request: HttpRequest, _: Duration) -> Answered {
        let answer = (self.0.answer)(&request);
        let limit = request.longest_answer;
        self.0.asked.borrow_mut().push(request);
        match &answer {
            Ok(response) if limit == 0 => Ok(HttpResponse { body: String::new(), ..response.clone() }),
            Ok(response) if response.body.len() > limit => Err(HttpFailure::TooLong),
            _ => answer,
        }
    }
}

impl Clock for Scripted {
    fn now(&self) -> Timestamp {
        self.0.now.get()
    }

    async fn sleep(&self, duration: Duration) {
        self.0.now.set(self.now() + duration);
    }
}

impl Entropy for Scripted {
    fn random(&self) -> u128 {
        0x0123_4567_89ab_cdef_0123_4567_89ab_cdef
    }
}

impl Instance for Scripted {
    fn waiters(&self) -> &Waiters {
        &self.0.waiters
    }
}

impl Log for Scripted {
    fn log(&self, event: Event) {
        let (_, line) = functions::event_line(&event);
        self.0.log.borrow_mut().push_str(&line);
    }
}

/// A request as Deno hands it over.
#[derive(Clone, Debug, Default)]
pub struct Post {
    pub method: &'static str,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Post {
    pub fn new(headers: &[(&str, &str)], body: &[u8]) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { method: "POST", headers, body: body.to_vec() }
    }

    /// Reads the head of a request, `name: value` a line. What HTTP does not let through is left out; bytes become
    /// characters as `Headers` has it.
    pub fn with_head(head: &[u8]) -> Self {
        let is_sent = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
        let lines = head.split(|byte| *byte == b'\n').filter(|line| line.iter().all(is_sent));
        let headers = lines.filter_map(|line| {
            let line: String = line.iter().map(|byte| char::from(*byte)).collect();
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()))
        });
        Self { method: "POST", headers: headers.collect(), body: Vec::new() }
    }
}

impl Incoming for Post {
    fn method(&self) -> String {
        self.method.to_owned()
    }

    /// Headers of one name are one, joined by commas.
    fn header(&self, name: &str) -> Option<String> {
        let same = self.headers.iter().filter(|(header, _)| header == name);
        let values: Vec<&str> = same.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    async fn body(&self) -> Option<String> {
        let short = Some(&self.body).filter(|body| body.len() <= LONGEST_BODY)?;
        String::from_utf8(short.clone()).ok()
    }

    async fn discard_body(&self) {}
}
