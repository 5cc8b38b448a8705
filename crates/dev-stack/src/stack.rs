//! Everything together: starts in order, stops in the reverse one.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::serve::ListenerExt;
use clap::ValueEnum;
use fake_google::FakeGoogle;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use crate::cron;
use crate::edge_function::{self, EdgeFunction, Runtime};
use crate::gateway::{self, Function, Routes, Upstream};
use crate::host_app::HostApp;
use crate::keys::ApiKeys;
use crate::lite::Lite;
use crate::npm_tools::{self, Deno};
use crate::output::Output;
use crate::page;
use crate::postgres::Cluster;
use crate::postgrest::Postgrest;
use crate::recalculate::Recalculate;
use crate::replan::Turns;
use crate::schema;
use crate::services::Services;

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

pub struct Config {
    pub backend: Backend,
    pub deno: Deno,
    pub keys: Keys,
    /// The gateway's port; 0 = any.
    pub port: u16,
    /// Like `supabase/functions`; a `config.toml` beside it counts too.
    pub functions_dir: PathBuf,
    pub migrations_dir: PathBuf,
    /// More of the functions' environment; wins over what the stack sets.
    pub extra_env: Vec<(String, String)>,
    pub google: fake_google::Config,
    /// How often `refresh-calendar-webhook` is called as by cron.
    pub sweep_every: Option<Duration>,
    /// Whether what the functions print appears on the terminal.
    pub show_output: bool,
}

impl Default for Config {
    fn default() -> Self {
        let supabase = npm_tools::repository().join("supabase");
        Self {
            backend: Backend::default(),
            deno: Deno::default(),
            keys: Keys::default(),
            port: 0,
            functions_dir: supabase.join("functions"),
            migrations_dir: supabase.join("migrations"),
            extra_env: Vec::new(),
            google: fake_google::Config::default(),
            sweep_every: None,
            show_output: false,
        }
    }
}

/// A running stack. Dropping it kills its processes; `stop` ends them in order.
pub struct Stack {
    url: String,
    recalculate_url: String,
    keys: Arc<ApiKeys>,
    runtime: Runtime,
    google: FakeGoogle,
    host_app: Arc<HostApp>,
    functions: HashMap<String, EdgeFunction>,
    postgrest: Option<Postgrest>,
    cluster: Option<Cluster>,
    database: Option<Client>,
    lite: Lite,
    servers: JoinSet<()>,
    _directory: TempDir,
}

impl Stack {
    pub async fn start(config: Config, progress: impl Fn(&str)) -> Result<Self> {
        let deno = npm_tools::deno(config.deno)?;
        let listener = listen(config.port).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let control_listener = listen(0).await?;
        let recalculate_url = format!("http://{}", control_listener.local_addr()?);
        let keys = Arc::new(ApiKeys::local()?);
        let directory = tempfile::Builder::new().prefix("dev-stack-").tempdir()?;

        let (client_id, client_secret) =
            (config.google.client_id.clone(), config.google.client_secret.clone());
        let google = FakeGoogle::start(config.google).await.context("the fake Google did not start")?;
        progress("fake Google");

        let services = Arc::new(Services {
            client: reqwest::Client::new(),
            supabase_url: url.clone(),
            publishable_key: keys.publishable.clone(),
            service_key: keys.secret.clone(),
            google_url: google.url(),
            consent_url: google.consent_url(),
            oauth_token_url: google.oauth_token_url(),
            calendar_api_url: google.calendar_api_url(),
            client_id: client_id.clone(),
            client_secret: client_secret.clone(),
            turns: Turns::default(),
        });
        let recalculate = Recalculate::new(keys.clone(), services.clone());
        let host_app = Arc::new(HostApp::new(services));

        let mut environment = vec![
            ("SUPABASE_URL".to_owned(), url.clone()),
            match config.keys {
                Keys::Current => {
                    ("SUPABASE_SECRET_KEYS".to_owned(), json!({ "default": keys.secret }).to_string())
                }
                Keys::Legacy => ("SUPABASE_SERVICE_ROLE_KEY".to_owned(), keys.legacy_service_role.clone()),
            },
            ("GOOGLE_CLIENT_ID".to_owned(), client_id),
            ("GOOGLE_CLIENT_SECRET".to_owned(), client_secret),
            ("GOOGLE_CALENDAR_API_URL".to_owned(), google.calendar_api_url()),
            ("GOOGLE_OAUTH_TOKEN_URL".to_owned(), google.oauth_token_url()),
        ];
        environment.extend(config.extra_env);
        let runtime = Runtime { deno, directory: directory.path().to_owned(), environment };

        let migrations = schema::migrations(&config.migrations_dir)?;
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
                        let cluster = Cluster::start().await?;
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
            // What the host app deploys itself.
            routes.insert("recalculate-schedule".to_owned(), Function::Inside(recalculate.function()));
            Ok((functions, routes))
        };
        let ((lite, rest), (functions, routes)) = tokio::try_join!(backend, functions)?;

        let auth = Upstream::Lite { port: lite.port() };
        let (cluster, database, postgrest) = match rest {
            Some((cluster, database, postgrest)) => (Some(cluster), Some(database), Some(postgrest)),
            None => (None, None, None),
        };
        let rest = postgrest.as_ref().map_or(auth, |rest| Upstream::Postgrest { port: rest.port() });
        let gateway = gateway::router(Routes { keys: keys.clone(), rest, auth, functions: routes });
        let gateway = gateway.merge(page::router(host_app.clone()));
        let mut servers = JoinSet::new();
        serve(&mut servers, listener, gateway);
        serve(&mut servers, control_listener, recalculate.control());
        if let Some(every) = config.sweep_every {
            let key = match config.keys {
                Keys::Current => keys.secret.clone(),
                Keys::Legacy => keys.legacy_service_role.clone(),
            };
            let output = Output::shown_if("cron", config.show_output);
            servers.spawn(cron::sweep(reqwest::Client::new(), url.clone(), key, every, output));
        }
        progress("gateway");

        Ok(Self {
            url,
            recalculate_url,
            keys,
            runtime,
            google,
            host_app,
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

    pub fn publishable_key(&self) -> &str {
        &self.keys.publishable
    }

    pub fn secret_key(&self) -> &str {
        &self.keys.secret
    }

    pub fn legacy_anon_key(&self) -> &str {
        &self.keys.legacy_anon
    }

    pub fn legacy_service_role_key(&self) -> &str {
        &self.keys.legacy_service_role
    }

    pub fn jwt_secret(&self) -> &str {
        &self.keys.jwt_secret
    }

    pub fn google(&self) -> &FakeGoogle {
        &self.google
    }

    /// The backend of the app that the demo page is the front of.
    pub fn host_app(&self) -> &HostApp {
        &self.host_app
    }

    /// The control API of the stand-in for `recalculate-schedule`.
    pub fn recalculate_url(&self) -> &str {
        &self.recalculate_url
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
        let Self { google, functions, postgrest, cluster, database, lite, mut servers, .. } = self;
        servers.shutdown().await;
        let mut stopping: JoinSet<()> = functions.into_values().map(EdgeFunction::stop).collect();
        stopping.spawn(lite.stop());
        stopping.spawn(google.stop());
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

async fn listen(port: u16) -> Result<TcpListener> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => {
            anyhow::anyhow!("port {port} is taken: stop what uses it, or choose another one with --port")
        }
        _ => anyhow::Error::new(error).context(format!("cannot listen on port {port}")),
    })
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
