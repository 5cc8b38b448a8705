//! What only the runtime can do: fetch, tell and wait for the time, make random numbers, print.

use std::fmt::Write as _;
use std::time::Duration;

use adapters::http::{ANY_LENGTH, Http, HttpFailure, HttpRequest, HttpResponse};
use js_sys::{Date, Function, Promise, Reflect};
use protocol::Timestamp;
use protocol::event::{Event, Level};
use protocol::ports::{Clock, Entropy, Instance, Log};
use protocol::waiters::Waiters;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::console;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &Function, milliseconds: f64) -> JsValue;

    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(timer: &JsValue);

    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn get_random_values(bytes: &mut [u8]);

    /// Makes the calls of a request, in its asynchronous context, by which Supabase counts calls to other functions.
    pub type Caller;

    #[wasm_bindgen(method)]
    fn exchange(
        this: &Caller,
        head: &str,
        body: Option<&str>,
        at_most_once: bool,
        milliseconds: f64,
        longest: f64,
    ) -> Promise;

    /// Of `exchange.ts`.
    type Answer;

    #[wasm_bindgen(method, getter)]
    fn status(this: &Answer) -> u16;

    #[wasm_bindgen(method, getter, js_name = contentType)]
    fn content_type(this: &Answer) -> Option<String>;

    #[wasm_bindgen(method, getter, js_name = contentRange)]
    fn content_range(this: &Answer) -> Option<String>;

    #[wasm_bindgen(method, getter, js_name = retryAfter)]
    fn retry_after(this: &Answer) -> Option<String>;

    #[wasm_bindgen(method, getter)]
    fn body(this: &Answer) -> Option<String>;
}

/// Deno, as one request sees it.
pub(crate) struct Deno {
    pub(crate) caller: Caller,
    pub(crate) waiters: Waiters,
}

impl Http for Deno {
    async fn send(&self, request: HttpRequest, timeout: Duration) -> Result<HttpResponse, HttpFailure> {
        let mut head = format!("{}\n{}", request.method.name(), request.url);
        for (name, value) in &request.headers {
            // Neither holds a line break. Writing to a string does not fail.
            let _ = write!(head, "\n{name}:{value}");
        }
        let longest =
            if request.longest_answer == ANY_LENGTH { f64::INFINITY } else { request.longest_answer as f64 };
        let milliseconds = timeout.as_millis() as f64;
        let body = request.body.as_deref();
        let answer = self.caller.exchange(&head, body, request.at_most_once, milliseconds, longest);
        let answer = JsFuture::from(answer).await.map_err(|error| http_failure(&error))?;
        let answer: Answer = answer.unchecked_into();
        Ok(HttpResponse {
            status: answer.status(),
            content_type: answer.content_type(),
            content_range: answer.content_range(),
            retry_after: answer.retry_after(),
            body: answer.body().ok_or(HttpFailure::TooLong)?,
        })
    }
}

fn http_failure(error: &JsValue) -> HttpFailure {
    let property = |name| Reflect::get(error, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED);
    match property("name").as_string().as_deref() {
        Some("TimeoutError" | "AbortError") => HttpFailure::TimedOut,
        Some("RateLimitError") => {
            let milliseconds = property("retryAfterMs").as_f64().unwrap_or(60_000.0);
            HttpFailure::RateLimited { retry_after: Duration::from_millis(milliseconds.max(0.0) as u64) }
        }
        _ => HttpFailure::Unreachable,
    }
}

impl Clock for Deno {
    fn now(&self) -> Timestamp {
        now()
    }

    async fn sleep(&self, duration: Duration) {
        sleep(duration).await;
    }
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_timestamp_millis(Date::now() as i64).unwrap_or_default()
}

pub(crate) async fn sleep(duration: Duration) {
    let mut timer = None;
    let elapsed = Promise::new(&mut |resolve, _| {
        timer = Some(Timer(set_timeout(&resolve, duration.as_millis() as f64)));
    });
    // A timer does not fail.
    let _ = JsFuture::from(elapsed).await;
}

/// A running timer; one that nobody waits for any more does not keep the process alive.
struct Timer(JsValue);

impl Drop for Timer {
    fn drop(&mut self) {
        clear_timeout(&self.0);
    }
}

impl Entropy for Deno {
    fn random(&self) -> u128 {
        let mut bytes = [0; 16];
        get_random_values(&mut bytes);
        u128::from_be_bytes(bytes)
    }
}

impl Instance for Deno {
    fn waiters(&self) -> &Waiters {
        &self.waiters
    }
}

impl Log for Deno {
    fn log(&self, event: Event) {
        let (level, line) = functions::event_line(&event);
        print(level, &line);
    }
}

pub(crate) fn print(level: Level, line: &str) {
    let line = JsValue::from_str(line);
    match level {
        Level::Info => console::info_1(&line),
        Level::Warn => console::warn_1(&line),
        Level::Error => console::error_1(&line),
    }
}
