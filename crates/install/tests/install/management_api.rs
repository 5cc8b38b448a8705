//! A stand-in for Supabase's management API, as far as the CLI asks it for a deployment. It keeps what it is sent.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Path, Query, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use crate::cli::Home;

pub(crate) const PROJECT: &str = "abcdefghijklmnopqrst";
/// What the CLI logs in to the database as when it was told no password.
pub(crate) const LENT_ROLE: &str = "cli_login_postgres";
pub(crate) const ACCESS_TOKEN: &str = "sbp_0123456789abcdef0123456789abcdef01234567";

pub(crate) struct ManagementApi {
    url: String,
    received: Arc<Mutex<Received>>,
    /// Of its own, for it serves tests that have one and tests that have none.
    runtime: Option<Runtime>,
}

#[derive(Default)]
struct Received {
    /// By name.
    secrets: BTreeMap<String, String>,
    /// By function.
    uploads: BTreeMap<String, Upload>,
    /// The functions that are online.
    published: Vec<String>,
    /// What is answered with 403.
    refused: Option<&'static str>,
    /// Who puts functions online, and says when they are.
    publisher: Option<UnboundedSender<oneshot::Sender<()>>>,
    /// The port of the project's database, and the password of the role that the CLI is lent.
    database: Option<(u16, String)>,
}

/// A function as the CLI sends it.
#[derive(Clone, Default)]
pub(crate) struct Upload {
    /// Of the whole request.
    pub bytes: usize,
    pub files: BTreeMap<String, Bytes>,
    pub metadata: Value,
}

type Refusal = (StatusCode, Json<Value>);
type Shared = State<Arc<Mutex<Received>>>;

impl ManagementApi {
    pub(crate) fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let received = Arc::new(Mutex::new(Received::default()));
        let router = Router::new()
            .route("/v1/projects", get(list_projects))
            .route("/v1/projects/{project}/secrets", get(list_secrets).post(set_secrets))
            .route("/v1/projects/{project}/functions/deploy", post(upload))
            .route("/v1/projects/{project}/functions", put(publish))
            .route("/v1/projects/{project}/config/database/pooler", get(pooler))
            .route("/v1/projects/{project}/cli/login-role", post(lend_role))
            .fallback(async || (StatusCode::NOT_FOUND, Json(json!({ "message": "not here" }))))
            .layer(DefaultBodyLimit::disable())
            .with_state(received.clone());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async { axum::serve(TcpListener::from_std(listener).unwrap(), router).await });
        Self { url, received, runtime: Some(runtime) }
    }

    /// Where a command in this home finds it.
    pub(crate) fn environment(&self, home: &Home) -> Vec<(&'static str, String)> {
        let profile = home.path("profile.yaml");
        let url = &self.url;
        let text = format!("name: local\napi_url: {url}\ndashboard_url: {url}\nproject_host: example.test\n");
        fs::write(&profile, text).unwrap();
        vec![
            ("SUPABASE_PROFILE", profile.to_str().unwrap().to_owned()),
            ("SUPABASE_ACCESS_TOKEN", ACCESS_TOKEN.to_owned()),
        ]
    }

    pub(crate) fn refuse(&self, what: &'static str) {
        self.received.lock().unwrap().refused = Some(what);
    }

    /// Whom the CLI has to wait for whenever it publishes functions.
    pub(crate) fn publications(&self) -> UnboundedReceiver<oneshot::Sender<()>> {
        let (sender, receiver) = unbounded_channel();
        self.received.lock().unwrap().publisher = Some(sender);
        receiver
    }

    /// Lets the CLI find the project's database as it finds that of a hosted project, and lends it `LENT_ROLE`.
    pub(crate) fn serve_database(&self, port: u16, password: &str) {
        self.received.lock().unwrap().database = Some((port, password.to_owned()));
    }

    pub(crate) fn secrets(&self) -> BTreeMap<String, String> {
        self.received.lock().unwrap().secrets.clone()
    }

    pub(crate) fn uploads(&self) -> BTreeMap<String, Upload> {
        self.received.lock().unwrap().uploads.clone()
    }

    pub(crate) fn published(&self) -> Vec<String> {
        self.received.lock().unwrap().published.clone()
    }

    /// Writes what was uploaded, and nothing else, into an empty project.
    pub(crate) fn unpack(&self, project: &std::path::Path) {
        let mut config = String::new();
        for (function, upload) in self.uploads() {
            for (path, content) in &upload.files {
                let path = project.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
            config += &format!("[functions.{function}]\nverify_jwt = {}\n", upload.metadata["verify_jwt"]);
        }
        fs::write(project.join("supabase/config.toml"), config).unwrap();
    }
}

impl Drop for ManagementApi {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Received {
    fn allows(&self, what: &str, headers: &HeaderMap) -> Result<(), Refusal> {
        let expected = format!("Bearer {ACCESS_TOKEN}");
        let is_known =
            headers.get(AUTHORIZATION).is_some_and(|given| given.as_bytes() == expected.as_bytes());
        let status = match (is_known, self.refused == Some(what)) {
            (false, _) => StatusCode::UNAUTHORIZED,
            (true, true) => StatusCode::FORBIDDEN,
            (true, false) => return Ok(()),
        };
        Err((status, Json(json!({ "message": "refused by the test" }))))
    }
}

/// The CLI insists on the port of Supabase's pooler, but goes on to the other hosts of an address that has several.
async fn pooler(State(received): Shared, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    let received = received.lock().unwrap();
    received.allows("database", &headers)?;
    let port = received.database.as_ref().map_or(0, |(port, _)| *port);
    let user = format!("postgres.{PROJECT}");
    let address = format!(
        "postgresql://{user}:[YOUR-PASSWORD]@pooler.example.test,127.0.0.1:{port}/postgres?sslmode=disable"
    );
    Ok(Json(json!([{
        "identifier": PROJECT, "database_type": "PRIMARY", "is_using_scram_auth": true, "db_user": user,
        "db_host": "pooler.example.test", "db_port": 6543, "db_name": "postgres", "connection_string": address,
        "connectionString": address, "default_pool_size": null, "max_client_conn": null, "pool_mode": "transaction",
    }])))
}

async fn lend_role(
    State(received): Shared,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let received = received.lock().unwrap();
    received.allows("database", &headers)?;
    let password = received.database.as_ref().map_or("", |(_, password)| password);
    let role = json!({ "role": LENT_ROLE, "password": password, "ttl_seconds": 300 });
    Ok((StatusCode::CREATED, Json(role)))
}

async fn list_projects(State(received): Shared, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    received.lock().unwrap().allows("the list of projects", &headers)?;
    Ok(Json(json!([{
        "id": PROJECT, "ref": PROJECT, "organization_id": "organisation", "organization_slug": "organisation",
        "name": "the project", "region": "eu-central-1", "created_at": "2026-01-01T00:00:00Z",
        "status": "ACTIVE_HEALTHY",
        "database": { "host": "db.example.test", "version": "17", "postgres_engine": "17", "release_channel": "ga" },
    }])))
}

async fn list_secrets(
    State(received): Shared,
    Path(project): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    let received = received.lock().unwrap();
    received.allows("the list of secrets", &headers)?;
    if project != PROJECT {
        return Err((StatusCode::NOT_FOUND, Json(json!({ "message": "Project not found" }))));
    }
    Ok(Json(received.secrets.keys().map(|name| json!({ "name": name, "value": "a digest" })).collect()))
}

async fn set_secrets(
    State(received): Shared,
    headers: HeaderMap,
    Json(secrets): Json<Vec<BTreeMap<String, String>>>,
) -> Result<StatusCode, Refusal> {
    let mut received = received.lock().unwrap();
    received.allows("secrets", &headers)?;
    received
        .secrets
        .extend(secrets.into_iter().map(|secret| (secret["name"].clone(), secret["value"].clone())));
    Ok(StatusCode::CREATED)
}

async fn upload(
    State(received): Shared,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    received.lock().unwrap().allows("functions", &headers)?;
    let slug = query["slug"].clone();
    let bytes = headers["content-length"].to_str().unwrap().parse().unwrap();
    let mut upload = Upload { bytes, ..Upload::default() };
    let mut form = Multipart::from_request(request, &()).await.unwrap();
    while let Some(field) = form.next_field().await.unwrap() {
        match (field.name().unwrap(), field.file_name().map(str::to_owned)) {
            ("file", Some(path)) => _ = upload.files.insert(path, field.bytes().await.unwrap()),
            ("metadata", _) => {
                upload.metadata = serde_json::from_slice(&field.bytes().await.unwrap()).unwrap()
            }
            (other, _) => panic!("{other} in the upload of {slug}"),
        }
    }
    let mut received = received.lock().unwrap();
    if query.get("bundleOnly").is_none_or(|only| only != "true") {
        received.published.push(slug.clone());
    }
    let id = format!("00000000-0000-4000-8000-{:012}", received.uploads.len());
    let answer = json!({
        "id": id, "slug": slug, "name": slug, "version": 1, "status": "ACTIVE",
        "verify_jwt": upload.metadata["verify_jwt"], "created_at": 1, "updated_at": 1,
    });
    received.uploads.insert(slug, upload);
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn publish(
    State(received): Shared,
    headers: HeaderMap,
    Json(functions): Json<Vec<Value>>,
) -> Result<Json<Value>, Refusal> {
    let (online, is_online) = oneshot::channel();
    {
        let mut received = received.lock().unwrap();
        received.allows("functions", &headers)?;
        let slugs = functions.iter().map(|function| function["slug"].as_str().unwrap().to_owned());
        received.published = slugs.collect();
        match &received.publisher {
            Some(publisher) => publisher.send(online).unwrap(),
            None => drop(online),
        }
    }
    // Without a publisher nobody is left to say so, which ends it as well.
    let _ = is_online.await;
    Ok(Json(json!({ "functions": functions })))
}
