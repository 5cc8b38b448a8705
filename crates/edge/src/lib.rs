//! The shell that Deno loads: one WASM module for all three functions. It decides nothing.

mod incoming;
mod platform;

use std::cell::OnceCell;
use std::rc::Rc;

use adapters::configuration::{Configuration, Environment, Misconfigured};
use adapters::deployment::{Deployment, Project};
use functions::{Answer, Function};
use futures_channel::oneshot;
use js_sys::{Array, Object};
use protocol::waiters::Waiters;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;
use web_sys::{Request, Response, ResponseInit};

use crate::incoming::DenoRequest;
use crate::platform::{Caller, Deno, now, print};

/// 7 KB smaller than the standard one. Memory that grows is one pool, for a sweep's rows need more than a page.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: rlsf::GlobalTlsf<Small> = rlsf::GlobalTlsf::new();

#[cfg(target_arch = "wasm32")]
struct Small;

#[cfg(target_arch = "wasm32")]
impl rlsf::GlobalTlsfOptions for Small {
    const ENABLE_REALLOCATION: bool = false;
}

thread_local! {
    static PROJECT: OnceCell<Result<Rc<Project>, Misconfigured>> = const { OnceCell::new() };
    static WAITERS: Waiters = Waiters::default();
}

/// Starts an instance. A panic is printed, and `on_panic` told before the instance is lost.
#[wasm_bindgen]
pub fn start(environment: &Object, on_panic: js_sys::Function) {
    std::panic::set_hook(Box::new(move |panic| {
        console_error_panic_hook::hook(panic);
        // Whatever becomes of the call, there is nobody to tell.
        let _ = on_panic.call0(&JsValue::NULL);
    }));
    let environment: Environment = serde_wasm_bindgen::from_value(environment.into()).unwrap_or_default();
    PROJECT.with(|project| {
        // Started once; a second start would find the same environment.
        let _ = project.set(Configuration::parse(&environment).map(|valid| Rc::new(valid.into())));
    });
}

/// Answers a request to the function of this name. All calls on its behalf are made by `caller`. `wait_until` is given
/// a promise of everything that is done, so that the runtime lets it finish.
#[wasm_bindgen]
pub async fn handle(
    function: String,
    request: Request,
    caller: Caller,
    wait_until: js_sys::Function,
) -> Result<Response, JsValue> {
    let started_at = now();
    let function = Function::parse(&function).ok_or("there is no function of this name")?;
    let project =
        PROJECT.with(|project| project.get().cloned()).ok_or("the instance has not been started")?;
    let waiters = WAITERS.with(Waiters::clone);
    let deployment = project.map(|project| Rc::new(Deployment::new(Deno { caller, waiters }, project)));
    let (answer, answered) = oneshot::channel();
    let everything = future_to_promise(async move {
        #[cfg(feature = "panic-on-request")]
        panic_if_asked(&request).await;
        let handled = functions::handle(function, deployment, &DenoRequest(request), started_at, now).await;
        let (level, line) = &handled.log_line;
        print(*level, line);
        // The caller may have gone away.
        let _ = answer.send(handled.answer);
        if let Some(follow_up) = handled.follow_up {
            follow_up.await;
        }
        Ok(JsValue::UNDEFINED)
    });
    wait_until.call1(&JsValue::NULL, &everything)?;
    let answer = answered.await.map_err(|_| "the request was not answered")?;
    response(answer)
}

#[cfg(feature = "panic-on-request")]
#[allow(clippy::panic, reason = "it is what the test is about")]
async fn panic_if_asked(request: &Request) {
    let asked = request.headers().get("x-panic").ok().flatten();
    match asked.as_deref() {
        Some("later") => platform::sleep(std::time::Duration::from_millis(1)).await,
        // As where memory runs out: a trap, and no panic that tells of it.
        Some("not at all") => std::process::abort(),
        _ => {}
    }
    assert!(asked.is_none(), "the request asked for a panic");
}

fn response(answer: Answer) -> Result<Response, JsValue> {
    let content_type = answer.body.is_some().then_some(("content-type", "application/json; charset=utf-8"));
    let headers = answer.headers.iter().map(|(name, value)| (*name, value.as_str())).chain(content_type);
    let pairs: Array = headers.map(|(name, value)| Array::of2(&name.into(), &value.into())).collect();
    let init = ResponseInit::new();
    init.set_status(answer.status);
    init.set_headers(&pairs);
    Response::new_with_opt_str_and_init(answer.body.as_deref(), &init)
}
