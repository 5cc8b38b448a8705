//! The local Supabase with the functions, the fake Google beside it, and the sample app around them.

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use fake_google::FakeGoogle;
use install::makes_table;
use local_supabase::schema::{self, Migration, OnFailure};
use local_supabase::{Backend, Cron, Deno, Entrance, Functions, Keys, SelfHosted, Supabase, repository};
use sample_app::host_app::HostApp;
use sample_app::{HostWrites, SampleApp, Services};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::shipped::{is_shipped, shipped_directory, shipped_functions};

pub struct Config {
    pub backend: Backend,
    pub deno: Deno,
    pub keys: Keys,
    /// The layout of a self-hosted project instead of a hosted one's.
    pub self_hosted: Option<SelfHosted>,
    /// The gateway's port; 0 = any.
    pub port: u16,
    /// Like `supabase/functions`; a `config.toml` beside it counts too.
    pub functions_dir: PathBuf,
    pub migrations_dir: PathBuf,
    /// What becomes of a statement of the migrations that fails here.
    pub on_failure: OnFailure,
    /// What is told of each of these functions when it has started.
    pub note: &'static str,
    /// More of the environment of these functions; wins over what the stack sets.
    pub extra_env: Vec<(String, String)>,
    pub google: fake_google::Config,
    /// How the app's runs write to the calendar.
    pub host_writes: HostWrites,
    /// How often `refresh-calendar-webhook` is called as by cron.
    pub sweep_every: Option<Duration>,
    /// Whether extensions are to be enabled, which this machine's PostgreSQL has, and not that of npm.
    pub needs_extensions: bool,
    /// Whether what the functions print appears on the terminal.
    pub show_output: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            backend: Backend::default(),
            deno: Deno::default(),
            keys: Keys::default(),
            self_hosted: None,
            port: 0,
            functions_dir: shipped_directory(),
            migrations_dir: repository().join("supabase/migrations"),
            on_failure: OnFailure::default(),
            note: "",
            extra_env: Vec::new(),
            google: fake_google::Config::default(),
            host_writes: HostWrites::default(),
            sweep_every: None,
            needs_extensions: false,
            show_output: false,
        }
    }
}

/// A running stack. Dropping it kills its processes; `stop` ends them in order.
pub struct Stack {
    supabase: Supabase,
    google: FakeGoogle,
    oauth_client: [(&'static str, String); 2],
    app: SampleApp,
    recalculate_url: String,
    /// Serves the control API of `recalculate-schedule`.
    control: JoinHandle<()>,
}

impl Stack {
    pub async fn start(config: Config, progress: impl Fn(&str)) -> Result<Self> {
        if is_shipped(&config.functions_dir) {
            shipped_functions()?;
        }
        let entrance = Entrance::open(config.port).await?;
        let (client_id, client_secret) =
            (config.google.client_id.clone(), config.google.client_secret.clone());
        let google = FakeGoogle::start(config.google).await.context("the fake Google did not start")?;
        progress("fake Google");

        let services = Services {
            client: reqwest::Client::new(),
            supabase_url: entrance.url().to_owned(),
            publishable_key: entrance.keys().publishable.clone(),
            secret_key: entrance.keys().secret.clone(),
            legacy_service_role_key: entrance.keys().legacy_service_role.clone(),
            google_url: google.url(),
            consent_url: google.consent_url(),
            oauth_token_url: google.oauth_token_url(),
            calendar_api_url: google.calendar_api_url(),
            client_id: client_id.clone(),
            client_secret: client_secret.clone(),
        };
        let app = SampleApp::new(services, config.host_writes);

        let sample = repository().join(sample_app::SUPABASE);
        let has_migrations = config.on_failure == OnFailure::Stop || config.migrations_dir.is_dir();
        let mut migrations =
            if has_migrations { schema::migrations(&config.migrations_dir)? } else { Vec::new() };
        migrations.splice(0..0, schema::auto_exposing(&config.functions_dir.with_file_name("config.toml"))?);
        if !migrations.iter().any(|migration| makes_table(&migration.sql, "sessions")) {
            let own = schema::migrations(&sample.join("migrations"))?.into_iter().enumerate();
            // Names that sort behind those of all others.
            migrations.extend(own.map(|(number, Migration { sql, .. })| Migration {
                name: format!("999912312359{number:02}_sample_app.sql"),
                sql,
            }));
        }
        let oauth_client = [("GOOGLE_CLIENT_ID", client_id), ("GOOGLE_CLIENT_SECRET", client_secret)];
        let addresses = [
            ("GOOGLE_CALENDAR_API_URL", google.calendar_api_url()),
            ("GOOGLE_OAUTH_TOKEN_URL", google.oauth_token_url()),
        ];
        let environment = oauth_client.iter().cloned().chain(addresses);
        let environment: Vec<_> = environment.map(|(name, value)| (name.to_owned(), value)).collect();
        let functions = vec![
            Functions {
                directory: config.functions_dir,
                environment: [environment.clone(), config.extra_env].concat(),
                note: config.note,
            },
            Functions { directory: sample.join("functions"), environment, note: ", the sample app's" },
        ];
        let before_recalculate_schedule = app.clone();
        let config = local_supabase::Config {
            backend: config.backend,
            deno: config.deno,
            keys: config.keys,
            self_hosted: config.self_hosted,
            functions,
            migrations,
            on_failure: config.on_failure,
            diversions: google_addresses(&google),
            fronts: vec![(
                "recalculate-schedule".to_owned(),
                Box::new(move |function| before_recalculate_schedule.before_recalculate_schedule(function)),
            )],
            site: app.page(&repository()),
            cron: config
                .sweep_every
                .map(|every| Cron { function: "refresh-calendar-webhook".to_owned(), every }),
            needs_extensions: config.needs_extensions,
            show_output: config.show_output,
        };
        let supabase = Supabase::start(entrance, config, progress).await?;

        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let recalculate_url = format!("http://{}", listener.local_addr()?);
        let router = app.control();
        let control = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { supabase, google, oauth_client, app, recalculate_url, control })
    }

    pub fn google(&self) -> &FakeGoogle {
        &self.google
    }

    /// The backend of the page.
    pub fn host_app(&self) -> &HostApp {
        self.app.host_app()
    }

    /// The control API of the app's `recalculate-schedule`.
    pub fn recalculate_url(&self) -> &str {
        &self.recalculate_url
    }

    /// What the doctor has to find in its environment to look at this stack.
    pub fn doctor_environment(&self) -> Vec<(&'static str, String)> {
        let addresses = [
            ("SUPABASE_URL", self.url().to_owned()),
            ("SUPABASE_SECRET_KEY", self.supabase.service_key().to_owned()),
            ("GOOGLE_OAUTH_TOKEN_URL", self.google.oauth_token_url()),
        ];
        addresses.into_iter().chain(self.oauth_client.clone()).collect()
    }

    pub async fn stop(self) {
        self.control.abort();
        tokio::join!(self.supabase.stop(), self.google.stop());
    }
}

/// Where code reaches Google, and where the fake answers instead.
fn google_addresses(google: &FakeGoogle) -> Vec<(String, String)> {
    let token = google.oauth_token_url();
    [
        ("https://www.googleapis.com/calendar/v3", google.calendar_api_url()),
        ("https://oauth2.googleapis.com/token", token.clone()),
        ("https://www.googleapis.com/oauth2/v4/token", token.clone()),
        ("https://accounts.google.com/o/oauth2/token", token),
        ("https://oauth2.googleapis.com/revoke", format!("{}/revoke", google.url())),
    ]
    .map(|(from, to)| (from.to_owned(), to))
    .to_vec()
}

/// A stack is a Supabase with something beside it.
impl Deref for Stack {
    type Target = Supabase;

    fn deref(&self) -> &Supabase {
        &self.supabase
    }
}

impl DerefMut for Stack {
    fn deref_mut(&mut self) -> &mut Supabase {
        &mut self.supabase
    }
}
