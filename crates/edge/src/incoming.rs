//! A request as Deno hands it over.

use chrono::TimeDelta;
use functions::{Incoming, LONGEST_BODY};
use futures_util::future::{Either, select};
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStreamDefaultReader, Request};

use crate::platform::{now, sleep};

/// A body comes with the head, or soon after; one that is announced and does not come keeps no answer for a second.
const BODY_TIMEOUT: TimeDelta = TimeDelta::milliseconds(800);
/// What is read at most of a body, in bytes, so that one without end does not fill the worker's memory.
const LONGEST_DISCARDED: usize = 8 * 1024 * 1024;

pub(crate) struct DenoRequest(pub(crate) Request);

impl Incoming for DenoRequest {
    fn method(&self) -> String {
        self.0.method()
    }

    fn header(&self, name: &str) -> Option<String> {
        self.0.headers().get(name).ok().flatten()
    }

    async fn body(&self) -> Option<String> {
        let body = self.read(LONGEST_BODY).await?;
        (body.len() <= LONGEST_BODY).then(|| String::from_utf8(body).ok()).flatten()
    }

    async fn discard_body(&self) {
        if !self.0.body_used() {
            self.read(0).await;
        }
    }
}

impl DenoRequest {
    /// Reads the body to its end, for a caller that still sends it would not see the answer, but keeps no more than
    /// shows that it is longer than `limit`. None where it breaks off, takes too long, or is endless.
    async fn read(&self, limit: usize) -> Option<Vec<u8>> {
        // Google's notifications have none, and Deno's first reader and first timer take 5 ms.
        if self.header("content-length").as_deref() == Some("0") {
            return Some(Vec::new());
        }
        let Some(stream) = self.0.body() else { return Some(Vec::new()) };
        let reader: ReadableStreamDefaultReader = stream.get_reader().dyn_into().ok()?;
        let give_up_at = now() + BODY_TIMEOUT;
        let mut body = Vec::new();
        let mut length = 0;
        while length < LONGEST_DISCARDED {
            let Ok(left) = (give_up_at - now()).to_std() else { break };
            let read = JsFuture::from(reader.read());
            let Either::Left((step, _)) = select(read, Box::pin(sleep(left))).await else { break };
            let step = step.ok()?;
            if Reflect::get(&step, &JsValue::from_str("done")).ok()?.is_truthy() {
                return Some(body);
            }
            let chunk: Uint8Array = Reflect::get(&step, &JsValue::from_str("value")).ok()?.dyn_into().ok()?;
            length += chunk.length() as usize;
            if body.len() <= limit {
                body.extend(chunk.to_vec());
            }
        }
        // The rest is not wanted. Awaited, for a rejection that nobody sees would end the process.
        let _ = JsFuture::from(reader.cancel()).await;
        None
    }
}
