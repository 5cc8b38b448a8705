//! A panic in the WASM module costs the requests in flight, and nothing after.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests read the clock")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use dev_stack::{Config, Stack};
use local_supabase::{Deno, repository};
use reqwest::{Client, Response};
use system_tests::RECEIVE;
use tempfile::TempDir;

/// The shipped TypeScript around a module that panics when asked to.
fn functions_that_panic() -> TempDir {
    let project = tempfile::tempdir().unwrap();
    let shipped = repository().join("supabase");
    let functions = project.path().join("functions");
    let index = format!("functions/{RECEIVE}/index.ts");
    let shared = ["serve.ts", "exchange.ts", "decode.js"].map(|file| format!("functions/_shared/{file}"));
    for file in shared.iter().chain([&"config.toml".to_owned(), &index]) {
        let copy = project.path().join(file);
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(shipped.join(file), copy).unwrap();
    }
    let built = Command::new(env!("CARGO"))
        .current_dir(repository())
        .args(["run", "--quiet", "--package", "build-wasm", "--", "--features", "panic-on-request", "--out"])
        .arg(functions.join("_shared/wasm"))
        .status()
        .unwrap();
    assert!(built.success());
    project
}

async fn ask(stack: &Stack, panic: &str) -> Response {
    let url = format!("{}/functions/v1/{RECEIVE}", stack.url());
    let request = Client::new().post(url).timeout(Duration::from_secs(5));
    let request = if panic.is_empty() { request } else { request.header("x-panic", panic) };
    request.send().await.unwrap()
}

async fn a_panic_costs_one_request(deno: Deno, project: &Path) {
    let functions_dir = project.join("functions");
    let stack = Stack::start(Config { deno, functions_dir, ..Config::default() }, |_| {}).await.unwrap();
    for panic in ["at once", "later", "not at all", "at once"] {
        let answer = ask(&stack, panic).await;
        assert_eq!(answer.status(), 500, "{panic}");
        let body: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["code"], "internal");
        // Without a channel token: refused, but by a working instance.
        assert_eq!(ask(&stack, "").await.status(), 401, "after {panic}");
    }
    let log = stack.function_log(RECEIVE);
    assert!(log.contains("crates/edge/src/lib.rs"), "the log says where:\n{log}");
    assert!(log.contains("the request asked for a panic"), "the log says what:\n{log}");
    for (problem, times) in [("a panic, whose message stands above", 3), ("RuntimeError: unreachable", 1)] {
        let line = format!(r#""event":"internal_error","problem":"{problem}""#);
        assert_eq!(log.matches(&line).count(), times, "{problem}:\n{log}");
    }
    assert!(!log.contains("the process has ended"), "the process goes on:\n{log}");
    stack.stop().await;
}

#[tokio::test]
async fn a_panic_is_answered_logged_and_survived() {
    let project = functions_that_panic();
    a_panic_costs_one_request(Deno::Newest, project.path()).await;
    a_panic_costs_one_request(Deno::Floor, project.path()).await;
}
