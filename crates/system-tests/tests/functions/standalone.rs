//! One shipped function in a Deno process of its own, with an environment of its own.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use dev_stack::shipped_functions;
use futures_util::future::join;
use local_supabase::{Keys, deno};
use reqwest::Method;
use serde_json::json;
use system_tests::{Answer, Caller};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::scene::Scene;

const READY_WITHIN: Duration = Duration::from_secs(30);
/// The end of a process takes a moment after its cause.
const DIES_WITHIN: Duration = Duration::from_secs(1);

pub(crate) struct Standalone {
    process: Child,
    address: SocketAddr,
    log: JoinHandle<String>,
}

impl Standalone {
    /// Starts a function with the usual environment but for these variables; `None` = not set.
    pub(crate) async fn start(scene: &Scene, function: &str, changes: &[(&str, Option<&str>)]) -> Self {
        let functions = shipped_functions().expect("the functions");
        let mut command = Command::new(deno(scene.backdrop.kind.deno).expect("Deno from npm"));
        command
            .args(["serve", "--no-prompt", "--no-lock", "--allow-net", "--allow-env"])
            .args(["--host", "127.0.0.1", "--port", "0"])
            .arg(functions.join(function).join("index.ts"))
            .env_clear()
            .env("DENO_DIR", scene.backdrop.deno_cache.path())
            .env("DENO_NO_UPDATE_CHECK", "1")
            .env("NO_COLOR", "1")
            .envs(environment(scene))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for (name, value) in changes {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut process = command.spawn().expect("Deno");
        let mut errors = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let listening = async {
            while let Some(line) = errors.next_line().await.unwrap() {
                if let Some((_, url)) = line.split_once("Listening on http://") {
                    return url.trim_end_matches('/').parse().unwrap();
                }
                said.push_str(&line);
            }
            panic!("{function} did not start: {said}");
        };
        let address = timeout(READY_WITHIN, listening).await.expect("a function that starts");
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        let log = tokio::spawn(async move {
            let (printed, said) = join(to_the_end(output), to_the_end(errors)).await;
            printed + &said
        });
        Self { process, address, log }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.process.id().expect("a process that has not ended")
    }

    pub(crate) async fn call(&self, scene: &Scene, caller: Caller<'_>, body: &'static str) -> Answer {
        let url = format!("http://{}/", self.address);
        let request = scene.http.request(Method::POST, url).headers(scene.headers(caller)).body(body);
        scene.send(request).await
    }

    /// The answer to a request without a body; `None` if the process dies, for which it is watched a while.
    pub(crate) async fn try_call(&mut self, scene: &Scene, caller: Caller<'_>) -> Option<Answer> {
        if timeout(DIES_WITHIN, self.process.wait()).await.is_ok() {
            return None;
        }
        Some(self.call(scene, caller, "").await)
    }

    /// Ends the process, and returns all that it has printed.
    pub(crate) async fn end(mut self, scene: &Scene) -> String {
        self.process.kill().await.unwrap();
        let log = self.log.await.unwrap();
        scene.hear(log.clone());
        log
    }
}

async fn to_the_end(mut lines: Lines<impl AsyncBufRead + Unpin>) -> String {
    let mut text = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        text += &(line + "\n");
    }
    text
}

fn environment(scene: &Scene) -> Vec<(&'static str, String)> {
    vec![
        ("SUPABASE_URL", scene.backdrop.tap.url().to_owned()),
        match scene.generation {
            Keys::Current | Keys::Both => {
                ("SUPABASE_SECRET_KEYS", json!({ "default": scene.keys.secret }).to_string())
            }
            Keys::Legacy => ("SUPABASE_SERVICE_ROLE_KEY", scene.keys.legacy_service_role.clone()),
        },
        ("GOOGLE_CLIENT_ID", "fake-client-id".to_owned()),
        ("GOOGLE_CLIENT_SECRET", "fake-client-secret".to_owned()),
        ("GOOGLE_CALENDAR_API_URL", scene.stack().google().calendar_api_url()),
        ("GOOGLE_OAUTH_TOKEN_URL", scene.stack().google().oauth_token_url()),
    ]
}
