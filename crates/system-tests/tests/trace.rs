//! Hosted, a call to another function counts against the request in whose asynchronous context it is made. Requests
//! that are handled side by side in one process keep theirs apart.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use dev_stack::{Config, Stack, shipped_functions};
use futures_util::future::join_all;
use local_supabase::{Deno, repository};
use reqwest::Client;
use serde_json::{Value, json};
use system_tests::RECEIVE;
use tempfile::TempDir;

const REQUESTS: usize = 5;

/// The shipped function in a runtime that knows by the context of a call which request it belongs to. Answers are let
/// go when each request has one, so that all of them go on in one turn.
fn traced_function() -> TempDir {
    let project = tempfile::tempdir().unwrap();
    let directory = project.path().join("functions").join(RECEIVE);
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::copy(repository().join("supabase/config.toml"), project.path().join("config.toml")).unwrap();
    let shipped = shipped_functions().unwrap().join(RECEIVE).join("index.ts");
    let index = r#"
        import { AsyncLocalStorage } from "node:async_hooks";
        import shipped from "SHIPPED";

        const trace = new AsyncLocalStorage<string>();
        const calls: Record<string, number> = {};
        const { fetch } = globalThis;
        let waiting: (() => void)[] = [];

        globalThis.fetch = async (...values) => {
          const name = trace.getStore() ?? "none";
          calls[name] = (calls[name] ?? 0) + 1;
          const answer = await fetch(...values);
          await new Promise<void>((resolve) => waiting.push(resolve));
          return answer;
        };
        setInterval(() => {
          if (waiting.length < REQUESTS) return;
          for (const go of waiting) go();
          waiting = [];
        }, 10);

        export default {
          fetch(request: Request): Response | Promise<Response> {
            const name = request.headers.get("x-trace");
            return name === null ? Response.json(calls) : trace.run(name, () => shipped.fetch(request));
          },
        };
    "#;
    let index = index.replace("SHIPPED", &format!("file://{}", shipped.display()));
    std::fs::write(directory.join("index.ts"), index.replace("REQUESTS", &REQUESTS.to_string())).unwrap();
    project
}

async fn every_call_is_made_in_its_requests_context(deno: Deno, project: &Path) {
    let functions_dir = project.join("functions");
    let stack = Stack::start(Config { deno, functions_dir, ..Config::default() }, |_| {}).await.unwrap();
    let url = format!("{}/functions/v1/{RECEIVE}", stack.url());
    let client = Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    // What starts with the first request takes no time of those that are timed.
    client.get(&url).send().await.unwrap();
    let rows = format!("{}/rest/v1/calendar_connections?limit=1", stack.url());
    client.get(rows).header("apikey", stack.keys().secret.as_str()).send().await.unwrap();
    let notifications = (0..REQUESTS).map(|number| {
        client
            .post(&url)
            .header("x-trace", format!("request {number}"))
            .header("x-goog-channel-id", format!("channel-{number}"))
            .header("x-goog-channel-token", format!("{number:064x}"))
            .header("x-goog-resource-id", "resource")
            .header("x-goog-resource-state", "exists")
            .header("x-goog-message-number", "2")
            .send()
    });
    for answer in join_all(notifications).await {
        assert_eq!(answer.unwrap().status(), 404, "nobody has these tokens");
    }
    let calls: Value = client.get(&url).send().await.unwrap().json().await.unwrap();
    // Is it the current channel's, an orphan's, or unknown?
    let expected: Value = (0..REQUESTS).map(|number| (format!("request {number}"), json!(3))).collect();
    assert_eq!(calls, expected);
    stack.stop().await;
}

#[tokio::test]
async fn requests_side_by_side_make_their_calls_each_in_its_own_context() {
    let project = traced_function();
    every_call_is_made_in_its_requests_context(Deno::Newest, project.path()).await;
    every_call_is_made_in_its_requests_context(Deno::Floor, project.path()).await;
}
