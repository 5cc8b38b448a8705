//! A request as Deno hands it over.

use std::time::Duration;

use functions::{Incoming, LONGEST_BODY};
use futures_util::future::{Either, select};
use js_sys::{Reflect, Uint8Array};
use protocol::ports::Clock;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStreamDefaultReader, Request};

use crate::platform::Deno;

const BODY_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct DenoRequest(pub(crate) Request);

impl Incoming for DenoRequest {
    fn method(&self) -> String {
        self.0.method()
    }

    fn header(&self, name: &str) -> Option<String> {
        self.0.headers().get(name).ok().flatten()
    }

    async fn body(&self) -> Option<String> {
        let Some(stream) = self.0.body() else { return Some(String::new()) };
        let reader: ReadableStreamDefaultReader = stream.get_reader().dyn_into().ok()?;
        let read = Box::pin(read_all(&reader));
        let body = match select(read, Box::pin(Deno.sleep(BODY_TIMEOUT))).await {
            Either::Left((body, _)) => body,
            Either::Right(_) => None,
        };
        if body.is_none() {
            // The rest is not wanted; a stream that cannot be cancelled is not read either.
            let _ = reader.cancel();
        }
        String::from_utf8(body?).ok()
    }
}

/// Reads a body chunk by chunk, so that an endless one does not fill the memory.
async fn read_all(reader: &ReadableStreamDefaultReader) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let step = JsFuture::from(reader.read()).await.ok()?;
        if Reflect::get(&step, &JsValue::from_str("done")).ok()?.is_truthy() {
            return Some(body);
        }
        let chunk: Uint8Array = Reflect::get(&step, &JsValue::from_str("value")).ok()?.dyn_into().ok()?;
        if body.len() + chunk.length() as usize > LONGEST_BODY {
            return None;
        }
        body.extend(chunk.to_vec());
    }
}
