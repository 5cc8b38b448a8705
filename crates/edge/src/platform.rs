//! What only the runtime can do: fetch, tell and wait for the time, make random numbers, print.

use std::time::Duration;

use adapters::http::{Http, HttpFailure, HttpRequest, HttpResponse};
use js_sys::{Date, Function, Object, Promise, Reflect, Uint8Array};
use protocol::Timestamp;
use protocol::event::{Event, Level};
use protocol::ports::{Clock, Entropy, Instance, Log};
use protocol::waiters::Waiters;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, ReadableStream, ReadableStreamDefaultReader, ReadableWritablePair, RequestInit,
    RequestRedirect, Response, TransformStream, console,
};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &Function, milliseconds: f64) -> JsValue;

    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(timer: &JsValue);

    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn get_random_values(bytes: &mut [u8]);
}

/// Deno, as one request sees it.
pub(crate) struct Deno {
    /// In the asynchronous context of the request, by which Supabase counts calls to other functions.
    pub(crate) fetch: Function,
    pub(crate) waiters: Waiters,
}

impl Http for Deno {
    async fn send(&self, request: HttpRequest, timeout: Duration) -> Result<HttpResponse, HttpFailure> {
        let answer = exchange(&self.fetch, request, timeout).await.map_err(|error| http_failure(&error))?;
        answer.ok_or(HttpFailure::TooLong)
    }
}

/// The one fetch. Its time limit covers the body too. None where the body is longer than the request would have it.
async fn exchange(
    fetch: &Function,
    request: HttpRequest,
    timeout: Duration,
) -> Result<Option<HttpResponse>, JsValue> {
    let init = RequestInit::new();
    init.set_method(request.method.name());
    // A plain object costs less than `Headers`.
    let headers = Object::new();
    for (name, value) in &request.headers {
        Reflect::set(&headers, &name.into(), &value.into())?;
    }
    init.set_headers(&headers);
    match &request.body {
        Some(body) if request.at_most_once => {
            init.set_body_opt_readable_stream(Some(&unrepeatable(body)?));
            Reflect::set(&init, &JsValue::from_str("duplex"), &JsValue::from_str("half"))?;
        }
        Some(body) => init.set_body(&JsValue::from_str(body)),
        None => {}
    }
    // A redirect would carry the key to wherever it points.
    init.set_redirect(RequestRedirect::Manual);
    // Not `AbortSignal.timeout`: its timer outlives the answer, and keeps the request with it.
    let controller = AbortController::new()?;
    init.set_signal(Some(&controller.signal()));
    let abort: Function = Reflect::get(&controller, &JsValue::from_str("abort"))?.unchecked_into();
    let _timer = Timer(set_timeout(&abort.bind0(&controller), timeout.as_millis() as f64));
    let answer: Promise = fetch.call2(&JsValue::NULL, &request.url.into(), &init)?.unchecked_into();
    let response: Response = JsFuture::from(answer).await?.unchecked_into();
    let header = |name| response.headers().get(name);
    let length = header("content-length")?.and_then(|length| length.parse::<usize>().ok());
    let body = match (request.longest_answer, response.body()) {
        (_, None) => Some(String::new()),
        (0, Some(stream)) => {
            // Awaited, for a rejection that nobody sees would end the process.
            let _ = JsFuture::from(stream.cancel()).await;
            Some(String::new())
        }
        // At once, and 5 ms sooner than by Deno's first reader.
        (limit, Some(_)) if length.unwrap_or(usize::MAX) <= limit => {
            Some(JsFuture::from(response.text()?).await?.as_string().unwrap_or_default())
        }
        (limit, Some(stream)) => read(&stream, limit).await?,
    };
    let Some(body) = body else { return Ok(None) };
    Ok(Some(HttpResponse {
        status: response.status(),
        content_type: header("content-type")?,
        content_range: header("content-range")?,
        retry_after: header("retry-after")?,
        body,
    }))
}

/// A body of at most `limit` bytes, none where it is longer; empty where it is no text.
async fn read(stream: &ReadableStream, limit: usize) -> Result<Option<String>, JsValue> {
    let reader: ReadableStreamDefaultReader = stream.get_reader().dyn_into()?;
    let mut body = Vec::new();
    loop {
        let step = JsFuture::from(reader.read()).await?;
        if Reflect::get(&step, &JsValue::from_str("done"))?.is_truthy() {
            return Ok(Some(String::from_utf8(body).unwrap_or_default()));
        }
        let chunk: Uint8Array = Reflect::get(&step, &JsValue::from_str("value"))?.dyn_into()?;
        if chunk.length() as usize > limit.saturating_sub(body.len()) {
            // The rest is not wanted. Awaited, for a rejection that nobody sees would end the process.
            let _ = JsFuture::from(reader.cancel()).await;
            return Ok(None);
        }
        body.extend(chunk.to_vec());
    }
}

/// A body that can be read once, so that the runtime has nothing to send again. Piped, for Deno sees through the
/// stream of a text.
fn unrepeatable(body: &str) -> Result<ReadableStream, JsValue> {
    let pipe = TransformStream::new()?;
    let text = Response::new_with_opt_str(Some(body))?.body().ok_or("a response with a text has a body")?;
    Ok(text.pipe_through(&ReadableWritablePair::new(&pipe.readable(), &pipe.writable())))
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
