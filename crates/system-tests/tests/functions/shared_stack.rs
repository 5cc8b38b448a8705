//! A running stack, shared by the trials. Only here it is locked, once a trial: a second lock of the same trial would
//! wait for one that waits for the first.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use dev_stack::{Config, Stack};
use futures_util::FutureExt;
use libtest_mimic::Failed;
use local_supabase::{Backend, Deno, Keys};
use system_tests::{FUNCTIONS, Project};
use tokio::sync::{OnceCell, RwLock};
use tokio::time::timeout;

use crate::backdrop::{Backdrop, Kind};
use crate::case::Case;
use crate::scene::{Hold, Scene};
use crate::table;
use crate::tap::Tap;

/// The longest trial takes a minute, and ten times as long beside others that keep the machine busy. One that hangs
/// must not hang the suite.
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) const KINDS: [Kind; 2] = [
    Kind { name: "newest", deno: Deno::Newest, keys: Keys::Current },
    Kind { name: "floor", deno: Deno::Floor, keys: Keys::Legacy },
];

/// A stack of each kind, started when the first trial needs it.
#[derive(Default)]
pub(crate) struct SharedStacks([OnceCell<Result<SharedStack, String>>; KINDS.len()]);

impl SharedStacks {
    pub(crate) async fn get(&self, kind: usize) -> Result<&SharedStack, Failed> {
        let start = || async { SharedStack::start(KINDS[kind]).await.map_err(|error| format!("{error:#}")) };
        Ok(self.0[kind].get_or_init(start).await.as_ref()?)
    }

    pub(crate) async fn stop(&self) {
        for shared in self.0.iter().filter_map(OnceCell::get).flatten() {
            let stack = shared.stack.write().await.take();
            if let Some(stack) = stack {
                stack.stop().await;
            }
        }
    }
}

pub(crate) struct SharedStack {
    pub backdrop: Arc<Backdrop>,
    /// `None` when it has been stopped.
    stack: Arc<RwLock<Option<Stack>>>,
}

impl SharedStack {
    async fn start(kind: Kind) -> Result<Self> {
        let tap = Tap::start().await?;
        let config = Config {
            backend: Backend::Postgrest,
            deno: kind.deno,
            keys: kind.keys,
            extra_env: vec![("SUPABASE_URL".to_owned(), tap.url().to_owned())],
            ..Config::default()
        };
        let client_secret = config.google.client_secret.clone();
        let stack = Stack::start(config, |_| {}).await?;
        tap.connect(stack.url());
        let keys = stack.keys();
        let secrets = [&keys.secret, &keys.legacy_service_role, &keys.jwt_secret, &client_secret];
        let backdrop = Backdrop {
            kind,
            project: Project::of(&stack),
            tap,
            deno_cache: tempfile::Builder::new().prefix("system-tests-deno-").tempdir()?,
            heard: Mutex::default(),
            secrets: Mutex::new(secrets.map(String::to_owned).into()),
        };
        Ok(Self { backdrop: Arc::new(backdrop), stack: Arc::new(RwLock::new(Some(stack))) })
    }

    /// Plays one trial, and removes what it has made.
    pub(crate) async fn play(&self, case: Case) -> Result<(), Failed> {
        let hold = match case {
            Case::Shared(..) => Hold::Shared(self.stack.clone().read_owned().await),
            Case::Alone(..) => Hold::Alone(self.stack.clone().write_owned().await),
        };
        let mut scene = Scene::new(self.backdrop.clone(), hold);
        let outcome = {
            let trial = match case {
                Case::Shared(_, trial) => trial(&scene),
                Case::Alone(_, trial) => trial(&mut scene),
            };
            timeout(PATIENCE, AssertUnwindSafe(trial).catch_unwind()).await
        };
        scene.clear().await?;
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(panic)) => Err(table::message(panic).into()),
            Err(_) => Err(format!("not over after {PATIENCE:?}").into()),
        }
    }

    /// What each function has printed, once no trial needs the stack.
    pub(crate) async fn logs(&self) -> Result<[(&'static str, String); 3], Failed> {
        let stack = self.stack.read().await;
        let stack = stack.as_ref().ok_or("the stack has been stopped")?;
        Ok(FUNCTIONS.map(|function| (function, stack.function_log(function))))
    }
}
