//! Everything together: starts in order, stops in the reverse one.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::serve::ListenerExt;
use clap::ValueEnum;
use futures_util::future::join_all;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use crate::cron::{self, Cron};
use crate::edge_function::{self, EdgeFunction, Runtime, Source};
use crate::extensions;
use crate::gateway::{self, Front, Function, Routes, Upstream};
use crate::keys::ApiKeys;
use crate::lite::Lite;
use crate::npm_tools::{self, Deno};
use crate::output::Output;
use crate::postgres::{self, Cluster};
use crate::postgrest::Postgrest;
use crate::process::free_port;
use crate::schema::{self, Migration, OnFailure};
use crate::self_hosted::{Main, SelfHosted, Service};
use crate::users::Users;

/// What serves REST. Auth is lite's with either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// @supabase/lite on PGlite.
    #[default]
    Lite,
    /// PostgreSQL and PostgREST 12.0.2 (Linux on x64).
    Postgrest,
}

/// Which generation of Supabase's keys the functions find in their environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Keys {
    #[default]
    Current,
    Legacy,
    /// As in hosted projects that have both.
    Both,
}

impl Keys {
    /// The service's key that the functions know.
    fn service_key(self, keys: &ApiKeys) -> &str {
        match self {
            Self::Current | Self::Both => &keys.secret,
            Self::Legacy => &keys.legacy_service_role,
        }
    }
}

/// A directory of functions.
pub struct Functions {
    /// Like `supabase/functions`; a `config.toml` beside it counts too.
    pub directory: PathBuf,
    /// What they find in their environment besides what Supabase sets, over which it wins.
    pub environment: Vec<(String, String)>,
    /// What is told of each of them when it has started.
    pub note: &'static str,
}

/// The gateway's address and the keys that it accepts, known before anything is behind it: apps are configured with
/// both.
pub struct Entrance {
    listener: TcpListener,
    url: String,
    keys: Arc<ApiKeys>,
}

impl Entrance {
    /// Takes the port; 0 = any.
    pub async fn open(port: u16) -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let listener = TcpListener::bind(address).await.map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => {
                anyhow::anyhow!("port {port} is taken: stop what uses it, or choose another one with --port")
            }
            _ => anyhow::Error::new(error).context(format!("cannot listen on port {port}")),
        })?;
        let url = format!("http://{}", listener.local_addr()?);
        Ok(Self { listener, url, keys: Arc::new(ApiKeys::local()?) })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn keys(&self) -> &ApiKeys {
        &self.keys
    }
}

pub struct Config {
    pub backend: Backend,
    pub deno: Deno,
    pub keys: Keys,
    /// The layout of a self-hosted project instead of a hosted one's.
    pub self_hosted: Option<SelfHosted>,
    /// Of two functions of one name the first directory's is served.
    pub functions: Vec<Functions>,
    pub migrations: Vec<Migration>,
    pub on_failure: OnFailure,
    /// What functions fetch below the first of two addresses comes from the second.
    pub diversions: Vec<(String, String)>,
    /// What stands before functions, by their names.
    pub fronts: Vec<(String, Front)>,
    /// What the gateway's address serves besides Supabase.
    pub site: Router,
    pub cron: Option<Cron>,
    /// Whether extensions are to be enabled, which this machine's PostgreSQL has, and not that of npm.
    pub needs_extensions: bool,
    /// Whether what the functions print appears on the terminal.
    pub show_output: bool,
}

/// A running project. Dropping it kills its processes; `stop` ends them in order.
pub struct Supabase {
    url: String,
    keys: Arc<ApiKeys>,
    generation: Keys,
    runtime: Runtime,
    functions: HashMap<String, EdgeFunction>,
    main: Option<Arc<Main>>,
    sources: HashMap<String, Source>,
    left_out: Vec<String>,
    postgrest: Option<Postgrest>,
    cluster: Option<Cluster>,
    database: Option<Client>,
    lite: Lite,
    servers: JoinSet<()>,
    _directory: TempDir,
}

impl Supabase {
    /// `progress` hears of each part when it is there.
    pub async fn start(entrance: Entrance, config: Config, progress: impl Fn(&str)) -> Result<Self> {
        let Entrance { listener, url, keys } = entrance;
        let deno = npm_tools::deno(config.deno)?;
        let directory = tempfile::Builder::new().prefix("local-supabase-").tempdir()?;
        let database_port = free_port().await?;
        let mut runtime = Runtime {
            deno,
            directory: directory.path().to_owned(),
            environment: environment(&url, &keys, config.keys),
            diversions: config.diversions,
        };
        if config.backend == Backend::Postgrest {
            let url = postgres::url("postgres", database_port);
            runtime.environment.push(("SUPABASE_DB_URL".to_owned(), url));
        }
        if let Some(settings) = config.self_hosted {
            runtime.environment.extend(settings.environment(&keys));
        }

        let migrations = config.migrations;
        let backend = async {
            Ok::<_, anyhow::Error>(match config.backend {
                Backend::Lite => {
                    let (lite, left_out) = Lite::auth_and_rest(&keys, &migrations, config.on_failure).await?;
                    progress("REST and Auth: @supabase/lite on PGlite");
                    (lite, None, left_out)
                }
                Backend::Postgrest => {
                    let lite = async {
                        let lite = Lite::auth(&keys).await?;
                        progress("Auth: @supabase/lite on PGlite");
                        Ok(lite)
                    };
                    let rest = async {
                        let cluster = if config.needs_extensions {
                            Cluster::start_of_this_machine_on(database_port).await?
                        } else {
                            Cluster::start_on(database_port).await?
                        };
                        let (client, mut warnings) = cluster.connect_warned().await?;
                        let left_out = schema::create_but(&client, &migrations, config.on_failure).await?;
                        while let Ok(warning) = warnings.try_recv() {
                            let hint = warning.hint().map(|hint| format!("\n{hint}")).unwrap_or_default();
                            progress(&format!("warning of the migrations: {}{hint}", warning.message()));
                        }
                        progress("PostgreSQL");
                        let postgrest = Postgrest::start(&cluster, &keys).await?;
                        progress("REST: PostgREST");
                        Ok::<_, anyhow::Error>(((cluster, client, postgrest), left_out))
                    };
                    let (lite, (rest, left_out)) = tokio::try_join!(lite, rest)?;
                    (lite, Some(rest), left_out)
                }
            })
        };
        let functions = async {
            match config.self_hosted {
                Some(_) => Ok(Started::default()),
                None => start_functions(&runtime, &config.functions, config.show_output, &progress).await,
            }
        };
        let ((lite, rest, refused), started) = tokio::try_join!(backend, functions)?;
        let Started { functions, sources, routes, errors } = started;
        let main = match config.self_hosted {
            Some(settings) => {
                let services = services(&runtime, &config.functions, config.show_output)?;
                progress("the functions' router");
                Some(Arc::new(Main::new(settings, keys.clone(), services)))
            }
            None => None,
        };
        runtime
            .environment
            .extend(config.functions.into_iter().next().into_iter().flat_map(|first| first.environment));
        let left_out: Vec<String> =
            refused.iter().map(|refused| format!("left out of {refused}")).chain(errors).collect();
        for line in &left_out {
            progress(line);
        }

        let auth = Upstream::Lite { port: lite.port() };
        let (cluster, database, postgrest) = match rest {
            Some((cluster, database, postgrest)) => (Some(cluster), Some(database), Some(postgrest)),
            None => (None, None, None),
        };
        let users = cluster.as_ref().map(|cluster: &Cluster| Users { database_url: cluster.url() });
        let rest = postgrest.as_ref().map_or(auth, |rest| Upstream::Postgrest { port: rest.port() });
        let gateway = gateway::router(
            Routes { keys: keys.clone(), rest, auth, functions: routes, main: main.clone(), users },
            config.fronts,
        )
        .merge(config.site);
        let mut servers = JoinSet::new();
        serve(&mut servers, listener, gateway);
        if let Some(job) = config.cron {
            let key = config.keys.service_key(&keys).to_owned();
            let output = Output::shown_if("cron", config.show_output);
            servers.spawn(cron::call(job, url.clone(), key, output));
        }
        progress("gateway");

        Ok(Self {
            url,
            keys,
            generation: config.keys,
            runtime,
            functions,
            main,
            sources,
            left_out,
            postgrest,
            cluster,
            database,
            lite,
            servers,
            _directory: directory,
        })
    }

    /// The gateway: what a frontend takes as `SUPABASE_URL`.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn keys(&self) -> &ApiKeys {
        &self.keys
    }

    /// The service's key, of the kind that the functions know.
    pub fn service_key(&self) -> &str {
        self.generation.service_key(&self.keys)
    }

    /// Which of the keys the functions find in their environment.
    pub fn generation(&self) -> Keys {
        self.generation
    }

    /// The database's address for its superuser; lite's cannot be reached from outside.
    pub fn database_url(&self) -> Option<String> {
        self.cluster.as_ref().map(Cluster::url)
    }

    /// PostgreSQL, likewise.
    pub fn cluster(&mut self) -> Option<&mut Cluster> {
        self.cluster.as_mut()
    }

    /// Restarts the database, which ends every connection to it.
    pub async fn enable_extensions(&mut self) -> Result<()> {
        extensions::enable(self.cluster.as_mut().context("lite has no extensions")?).await?;
        self.postgrest.as_mut().context("lite has no PostgREST")?.restart().await
    }

    /// Runs one statement as the database's superuser.
    pub async fn sql(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        let database = self.database.as_ref().context("lite's database takes no SQL from outside")?;
        Ok(database.query(sql, parameters).await?)
    }

    /// PostgREST, to be stopped and started by those who want to see what happens then.
    pub fn postgrest(&mut self) -> Option<&mut Postgrest> {
        self.postgrest.as_mut()
    }

    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    /// The directory that a function was taken from.
    pub fn function_directory(&self, name: &str) -> Option<&Path> {
        self.sources.get(name)?.functions.parent()
    }

    /// Whether the gateway lets only requests with a valid JWT pass to a function.
    pub fn verifies_jwt(&self, name: &str) -> bool {
        self.sources.get(name).is_some_and(|source| source.verify_jwt)
    }

    /// What could not be run here: functions, and statements of migrations.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Goes on with the functions of another directory in the place of the first one, and with these variables in their
    /// environment, as after `supabase functions deploy` and `supabase secrets set`. A variable set to nothing counts
    /// as not set.
    pub async fn deploy(&mut self, functions_dir: &Path, environment: &[(&str, &str)]) -> Result<()> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.runtime.environment.extend(environment);
        for source in edge_function::sources(functions_dir)? {
            let function = self.functions.get(&source.name);
            let function = function.with_context(|| format!("{} is not a function yet", source.name))?;
            function.deploy(&self.runtime, &source).await?;
        }
        Ok(())
    }

    /// What a function has printed so far, over all its processes.
    pub fn function_log(&self, name: &str) -> String {
        match &self.main {
            Some(main) => main.log(name),
            None => self.functions.get(name).map(|function| function.output().text()),
        }
        .unwrap_or_default()
    }

    /// Kills a function's process without notice; the gateway's next request waits for the next one.
    pub async fn kill_function(&self, name: &str) {
        if let Some(function) = self.functions.get(name) {
            function.kill().await;
        }
    }

    pub async fn stop(self) {
        let Self { functions, main, postgrest, cluster, database, lite, mut servers, .. } = self;
        servers.shutdown().await;
        if let Some(main) = main {
            main.stop().await;
        }
        let mut stopping: JoinSet<()> = functions.into_values().map(EdgeFunction::stop).collect();
        stopping.spawn(lite.stop());
        drop(database);
        if let Some(mut postgrest) = postgrest {
            postgrest.stop().await;
        }
        if let Some(mut cluster) = cluster {
            cluster.stop().await;
        }
        while stopping.join_next().await.is_some() {}
    }
}

/// What Supabase sets.
fn environment(url: &str, keys: &ApiKeys, generation: Keys) -> Vec<(String, String)> {
    let current = [
        ("SUPABASE_PUBLISHABLE_KEYS", json!({ "default": keys.publishable }).to_string()),
        ("SUPABASE_SECRET_KEYS", json!({ "default": keys.secret }).to_string()),
    ];
    let legacy = [
        ("SUPABASE_ANON_KEY", keys.legacy_anon.clone()),
        ("SUPABASE_SERVICE_ROLE_KEY", keys.legacy_service_role.clone()),
    ];
    let keys = match generation {
        Keys::Current => current.to_vec(),
        Keys::Legacy => legacy.to_vec(),
        Keys::Both => [current, legacy].concat(),
    };
    let url = ("SUPABASE_URL", url.to_owned());
    [url].into_iter().chain(keys).map(|(name, value)| (name.to_owned(), value)).collect()
}

#[derive(Default)]
struct Started {
    functions: HashMap<String, EdgeFunction>,
    sources: HashMap<String, Source>,
    routes: HashMap<String, Function>,
    /// Of those that did not start.
    errors: Vec<String>,
}

async fn start_functions(
    runtime: &Runtime,
    directories: &[Functions],
    show_output: bool,
    progress: &impl Fn(&str),
) -> Result<Started> {
    let mut started = Started::default();
    let mut starting = Vec::new();
    let mut names = HashSet::new();
    for Functions { directory, environment, note } in directories {
        let mut runtime = runtime.clone();
        runtime.environment.extend(environment.iter().cloned());
        for source in edge_function::sources(directory)? {
            if !names.insert(source.name.clone()) {
                continue;
            }
            let (runtime, output) = (runtime.clone(), Output::shown_if(&source.name, show_output));
            starting.push(async move {
                let function = EdgeFunction::start(&runtime, &source, output).await;
                if function.is_ok() {
                    progress(&format!("function {}{note}", source.name));
                }
                (source, function)
            });
        }
    }
    for (source, function) in join_all(starting).await {
        let (name, verify_jwt) = (source.name.clone(), source.verify_jwt);
        let route = match function {
            Ok(function) => {
                let route = Function::Process { address: function.address(), verify_jwt };
                started.functions.insert(name.clone(), function);
                route
            }
            Err(error) => {
                let reason = reason(&format!("{error:#}"));
                started.errors.push(format!("left out, function {name} did not start: {reason}"));
                Function::NotStarted
            }
        };
        started.routes.insert(name.clone(), route);
        started.sources.insert(name, source);
    }
    Ok(started)
}

/// The functions of several directories, for a router that starts them when they are asked.
fn services(
    runtime: &Runtime,
    directories: &[Functions],
    show_output: bool,
) -> Result<HashMap<String, Service>> {
    let mut services = HashMap::new();
    // Of two of one name the first directory's is served.
    for Functions { directory, environment, .. } in directories.iter().rev() {
        let mut runtime = runtime.clone();
        runtime.environment.extend(environment.iter().cloned());
        for source in edge_function::sources(directory)? {
            let output = Output::shown_if(&source.name, show_output);
            services.insert(source.name.clone(), Service { runtime: runtime.clone(), source, output });
        }
    }
    Ok(services)
}

/// Deno's error, and where it says that it arose, of all that a process printed; all where there is none.
fn reason(printed: &str) -> String {
    let mut lines = printed.lines().skip_while(|line| !line.starts_with("error"));
    let Some(error) = lines.next() else { return printed.to_owned() };
    match lines.find(|line| line.trim_start().starts_with("at file://")) {
        Some(place) => format!("{error}, {}", place.trim()),
        None => error.to_owned(),
    }
}

fn serve(servers: &mut JoinSet<()>, listener: TcpListener, router: Router) {
    servers.spawn(async move {
        let listener = listener.tap_io(|stream| {
            // As any public server does; without it answers wait for acknowledgements.
            let _ = stream.set_nodelay(true);
        });
        let _ = axum::serve(listener, router).await;
    });
}
