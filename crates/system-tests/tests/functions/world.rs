//! A running stack, shared by the trials, and what is remembered of all of them together.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use dev_stack::{Config, Stack};
use futures_util::FutureExt;
use libtest_mimic::Failed;
use local_supabase::{Backend, Deno, Keys};
use tempfile::TempDir;
use tokio::sync::{OnceCell, RwLock};
use tokio::time::timeout;

use crate::scene::{Case, Lock, Scene};
use crate::table;
use crate::tap::Tap;

/// No trial takes nearly as long; one that hangs must not hang the suite.
const PATIENCE: Duration = Duration::from_secs(150);

/// What a world is made of.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub name: &'static str,
    pub deno: Deno,
    pub keys: Keys,
    index: usize,
}

pub(crate) const WORLDS: [Kind; 2] = [
    Kind { name: "newest", deno: Deno::Newest, keys: Keys::Current, index: 0 },
    Kind { name: "floor", deno: Deno::Floor, keys: Keys::Legacy, index: 1 },
];

#[derive(Default)]
pub(crate) struct Worlds([OnceCell<Result<Arc<World>, String>>; WORLDS.len()]);

impl Worlds {
    pub(crate) async fn get(&self, kind: Kind) -> Result<Arc<World>, Failed> {
        let start = || async { World::start(kind).await.map(Arc::new).map_err(|error| format!("{error:#}")) };
        Ok(self.0[kind.index].get_or_init(start).await.clone()?)
    }

    pub(crate) async fn stop(&self) {
        for world in self.0.iter().filter_map(OnceCell::get).flatten() {
            let stack = world.stack.write().await.take();
            if let Some(stack) = stack {
                stack.stop().await;
            }
        }
    }
}

pub(crate) struct World {
    pub kind: Kind,
    pub tap: Arc<Tap>,
    pub http: reqwest::Client,
    /// `None` when it has been stopped.
    pub stack: Arc<RwLock<Option<Stack>>>,
    /// What Deno has compiled for functions that are started beside the stack.
    pub deno_cache: TempDir,
    /// Every answer of a function that a trial has seen.
    pub heard: Mutex<Vec<String>>,
    /// What must be in none of them.
    pub secrets: Mutex<BTreeSet<String>>,
}

impl World {
    async fn start(kind: Kind) -> Result<Self> {
        let tap = Tap::start().await?;
        let config = Config {
            backend: Backend::Postgrest,
            deno: kind.deno,
            keys: kind.keys,
            extra_env: vec![("SUPABASE_URL".to_owned(), tap.url().to_owned())],
            ..Config::default()
        };
        let secret = config.google.client_secret.clone();
        let stack = Stack::start(config, |_| {}).await?;
        tap.connect(stack.url());
        let secrets = [stack.secret_key(), stack.legacy_service_role_key(), stack.jwt_secret(), &secret];
        Ok(Self {
            kind,
            tap,
            http: reqwest::Client::builder().no_proxy().build()?,
            deno_cache: tempfile::Builder::new().prefix("system-tests-deno-").tempdir()?,
            heard: Mutex::default(),
            secrets: Mutex::new(secrets.map(str::to_owned).into()),
            stack: Arc::new(RwLock::new(Some(stack))),
        })
    }

    /// Plays one trial, and removes what it has made.
    pub(crate) async fn play(self: Arc<Self>, case: Case) -> Result<(), Failed> {
        let lock = match case {
            Case::Shared(..) => Lock::Shared(self.stack.clone().read_owned().await),
            Case::Alone(..) => Lock::Alone(self.stack.clone().write_owned().await),
        };
        let mut scene = Scene::new(self, lock);
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
}
