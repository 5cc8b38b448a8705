//! Everything together: starts in order, stops in the reverse one.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::serve::ListenerExt;
use clap::ValueEnum;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use crate::cron::{self, Cron};
use crate::edge_function::{self, EdgeFunction, Runtime};
use crate::gateway::{self, Function, Routes, Upstream};
use crate::keys::ApiKeys;
use crate::lite::Lite;
use crate::npm_tools::{self, Deno};
use crate::output::Output;
use crate::postgres::Cluster;
use crate::postgrest::Postgrest;
use crate::schema::{self, Migration};

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
    /// Like `supabase/functions`; a `config.toml` beside it counts too.
    pub functions_dir: PathBuf,
    pub migrations: Vec<Migration>,
    /// What the functions find in their environment besides what Supabase sets, over which it wins.
    pub environment: Vec<(String, String)>,
    /// Functions that are part of this program, by name.
    pub functions_inside: Vec<(String, Router)>,
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
        let mut environment = vec![
            ("SUPABASE_URL".to_owned(), url.clone()),
            match config.keys {
                Keys::Current => {
                    ("SUPABASE_SECRET_KEYS".to_owned(), json!({ "default": keys.secret }).to_string())
                }
                Keys::Legacy => ("SUPABASE_SERVICE_ROLE_KEY".to_owned(), keys.legacy_service_role.clone()),
            },
        ];
        environment.extend(config.environment);
        let runtime = Runtime { deno, directory: directory.path().to_owned(), environment };

        let migrations = config.migrations;
        let backend = async {
            Ok::<_, anyhow::Error>(match config.backend {
                Backend::Lite => {
                    let lite = Lite::auth_and_rest(&keys, &migrations).await?;
                    progress("REST and Auth: @supabase/lite on PGlite");
                    (lite, None)
                }
                Backend::Postgrest => {
                    let lite = async {
                        let lite = Lite::auth(&keys).await?;
                        progress("Auth: @supabase/lite on PGlite");
                        Ok(lite)
                    };
                    let rest = async {
                        let cluster = if config.needs_extensions {
                            Cluster::start_of_this_machine().await?
                        } else {
                            Cluster::start().await?
                        };
                        let client = cluster.connect().await?;
                        schema::create(&client, &migrations).await?;
                        progress("PostgreSQL");
                        let postgrest = Postgrest::start(&cluster, &keys).await?;
                        progress("REST: PostgREST");
                        Ok::<_, anyhow::Error>((cluster, client, postgrest))
                    };
                    let (lite, rest) = tokio::try_join!(lite, rest)?;
                    (lite, Some(rest))
                }
            })
        };
        let functions = async {
            let mut functions = HashMap::new();
            let mut routes = HashMap::new();
            for source in edge_function::sources(&config.functions_dir)? {
                let output = Output::shown_if(&source.name, config.show_output);
                let function = EdgeFunction::start(&runtime, &source, output).await?;
                progress(&format!("function {}", source.name));
                let route = Function::Process { address: function.address(), verify_jwt: source.verify_jwt };
                routes.insert(source.name.clone(), route);
                functions.insert(source.name, function);
            }
            let inside = config.functions_inside.into_iter();
            routes.extend(inside.map(|(name, router)| (name, Function::Inside(router))));
            Ok((functions, routes))
        };
        let ((lite, rest), (functions, routes)) = tokio::try_join!(backend, functions)?;

        let auth = Upstream::Lite { port: lite.port() };
        let (cluster, database, postgrest) = match rest {
            Some((cluster, database, postgrest)) => (Some(cluster), Some(database), Some(postgrest)),
            None => (None, None, None),
        };
        let rest = postgrest.as_ref().map_or(auth, |rest| Upstream::Postgrest { port: rest.port() });
        let gateway =
            gateway::router(Routes { keys: keys.clone(), rest, auth, functions: routes }).merge(config.site);
        let mut servers = JoinSet::new();
        serve(&mut servers, listener, gateway);
        if let Some(job) = config.cron {
            let key = match config.keys {
                Keys::Current => keys.secret.clone(),
                Keys::Legacy => keys.legacy_service_role.clone(),
            };
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

    /// Goes on with the functions of another directory and with these variables in their environment, as after
    /// `supabase functions deploy` and `supabase secrets set`. A variable set to nothing counts as not set.
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
        self.functions.get(name).map(|function| function.output().text()).unwrap_or_default()
    }

    /// Kills a function's process without notice; the gateway's next request waits for the next one.
    pub async fn kill_function(&self, name: &str) {
        if let Some(function) = self.functions.get(name) {
            function.kill().await;
        }
    }

    pub async fn stop(self) {
        let Self { functions, postgrest, cluster, database, lite, mut servers, .. } = self;
        servers.shutdown().await;
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

fn serve(servers: &mut JoinSet<()>, listener: TcpListener, router: Router) {
    servers.spawn(async move {
        let listener = listener.tap_io(|stream| {
            // As any public server does; without it answers wait for acknowledgements.
            let _ = stream.set_nodelay(true);
        });
        let _ = axum::serve(listener, router).await;
    });
}
