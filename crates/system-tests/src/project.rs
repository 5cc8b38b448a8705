//! A project from outside: where its parts listen, its keys, its database.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use dev_stack::Stack;
use local_supabase::{ApiKeys, Keys};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row};
use uuid::Uuid;

use crate::answer::Answer;
use crate::caller::{Caller, User};
use crate::patience::until;

/// A sweep ends by its 70th second.
const PATIENCE: Duration = Duration::from_secs(90);

/// It holds nothing of the stack, which can be stopped, broken and locked beside it.
pub struct Project {
    pub http: reqwest::Client,
    pub url: String,
    pub keys: ApiKeys,
    /// Which of the keys the functions have.
    pub generation: Keys,
    pub(crate) google: String,
    pub(crate) calendar_api: String,
    pub(crate) recalculate: String,
    database_url: Option<String>,
    database: Mutex<Option<Arc<Client>>>,
}

impl Project {
    pub fn of(stack: &Stack) -> Self {
        Self {
            http: reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("an HTTP client"),
            url: stack.url().to_owned(),
            keys: stack.keys().clone(),
            generation: stack.generation(),
            google: stack.google().url(),
            calendar_api: stack.google().calendar_api_url(),
            recalculate: stack.recalculate_url().to_owned(),
            database_url: stack.database_url(),
            database: Mutex::default(),
        }
    }

    /// A session of the database's superuser; another one after the server has crashed or was restarted.
    pub async fn database(&self) -> Result<Arc<Client>> {
        let mut database = self.database.lock().await;
        if let Some(client) = database.as_ref().filter(|client| !client.is_closed()) {
            return Ok(client.clone());
        }
        let url = self.database_url.as_ref().context("lite's database takes no SQL from outside")?;
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        Ok(database.insert(Arc::new(client)).clone())
    }

    /// Runs one statement as the database's superuser.
    pub async fn sql(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        Ok(self.database().await?.query(sql, parameters).await?)
    }

    pub fn request(&self, method: Method, function: &str) -> RequestBuilder {
        self.http.request(method, format!("{}/functions/v1/{function}", self.url))
    }

    pub fn headers(&self, caller: Caller<'_>) -> HeaderMap {
        caller.headers(&self.keys, self.generation)
    }

    /// Asks a function as a frontend or a backend does. An empty body is none.
    pub async fn call(&self, function: &str, caller: Caller<'_>, body: impl ToString) -> Result<Answer> {
        let body = body.to_string();
        let mut request = self.request(Method::POST, function).headers(self.headers(caller));
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(body);
        }
        self.send(request).await
    }

    pub async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let started = Instant::now();
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = String::from_utf8_lossy(&response.bytes().await?).into_owned();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Ok(Answer { status, headers, text, body, took: started.elapsed() })
    }

    pub async fn sign_up(&self) -> User {
        // Hashing a password occupies lite whole: many at once would keep it from telling who somebody is in time.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
        let _turn = ONE_AT_A_TIME.lock().await;
        let email = format!("{}@example.com", Uuid::new_v4().simple());
        let request = || {
            self.http
                .post(format!("{}/auth/v1/signup", self.url))
                .header("apikey", &self.keys.publishable)
                .json(&json!({ "email": email, "password": "correct horse" }))
        };
        let answer = until("Auth running", || async {
            let answer = request().send().await.unwrap();
            (answer.status() != StatusCode::SERVICE_UNAVAILABLE).then_some(answer)
        })
        .await;
        let answer: Value = answer.json().await.unwrap();
        let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("no sign-up: {answer}"));
        let id = answer["user"]["id"].as_str().unwrap().parse().unwrap();
        User { id, token: token.to_owned() }
    }
}
