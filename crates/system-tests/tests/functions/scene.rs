//! What a trial plays in: a project, its own hold on the stack, and the rows it has made.

use std::ops::Deref;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use dev_stack::Stack;
use local_supabase::postgrest::Postgrest;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use system_tests::{Answer, Caller, Connection, Project, User, assert_error_shape};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};
use uuid::Uuid;

use crate::backdrop::Backdrop;

pub(crate) enum Hold {
    Shared(OwnedRwLockReadGuard<Option<Stack>>),
    Alone(OwnedRwLockWriteGuard<Option<Stack>>),
}

pub(crate) struct Scene {
    pub backdrop: Arc<Backdrop>,
    hold: Hold,
    /// The users whose rows this trial has made.
    users: Mutex<Vec<Uuid>>,
}

/// A scene is a project, some of whose functions it does in its own way.
impl Deref for Scene {
    type Target = Project;

    fn deref(&self) -> &Project {
        &self.backdrop.project
    }
}

impl Scene {
    pub(crate) fn new(backdrop: Arc<Backdrop>, hold: Hold) -> Self {
        Self { backdrop, hold, users: Mutex::default() }
    }

    pub(crate) fn stack(&self) -> &Stack {
        let stack = match &self.hold {
            Hold::Shared(stack) => stack.as_ref(),
            Hold::Alone(stack) => stack.as_ref(),
        };
        stack.expect("a stack is stopped after the last trial")
    }

    pub(crate) fn postgrest(&mut self) -> &mut Postgrest {
        match &mut self.hold {
            Hold::Alone(stack) => {
                stack.as_mut().and_then(|stack| stack.postgrest()).expect("the PostgREST backend")
            }
            Hold::Shared(_) => panic!("others need PostgREST now"),
        }
    }

    /// Asks a function as a frontend or a backend does. An empty body is none.
    pub(crate) async fn call(&self, function: &str, caller: Caller<'_>, body: impl ToString) -> Answer {
        let answer = self.project().call(function, caller, body).await.expect("an answer");
        self.remember(&answer, true);
        answer
    }

    /// Sends a request to a function. Whatever it answers is remembered, and an error has the documented shape.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let (client, request) = request.build_split();
        let request = request.expect("a request");
        let has_body = request.method() != Method::HEAD;
        let request = RequestBuilder::from_parts(client, request);
        let answer = self.project().send(request).await.expect("an answer");
        self.remember(&answer, has_body);
        answer
    }

    fn remember(&self, answer: &Answer, has_body: bool) {
        let Answer { status, headers, text, body, .. } = answer;
        self.hear(format!("{status} {headers:?} {text}"));
        if *status >= 400 && has_body {
            assert_error_shape(body, text);
        }
    }

    /// Something that must not hold a secret.
    pub(crate) fn hear(&self, text: String) {
        self.backdrop.heard.lock().unwrap().push(text);
    }

    pub(crate) async fn user(&self) -> User {
        let user = self.sign_up().await;
        self.keep_secret(&user.token);
        self.makes_rows_of(user.id);
        user
    }

    /// A connection without a channel, of a user whom nobody else has.
    pub(crate) async fn connection(&self) -> Connection {
        self.connection_of(Uuid::new_v4()).await
    }

    pub(crate) async fn connection_of(&self, user: Uuid) -> Connection {
        self.connection_to(user, json!({})).await
    }

    /// A connection to a Google account with these settings.
    pub(crate) async fn connection_to(&self, user: Uuid, settings: Value) -> Connection {
        self.makes_rows_of(user);
        let email = format!("{}@gmail.com", Uuid::new_v4().simple());
        let connection = self.connect(user, &email, settings).await;
        self.remember_tokens(&[user]).await.unwrap();
        connection
    }

    /// A connection with an open channel, on which Google has said hello and after which a run was made.
    pub(crate) async fn open(&self) -> Connection {
        let connection = self.connection().await;
        self.open_channel(&connection).await;
        // Whether the hello came before or after the commit.
        self.set(&connection, "webhook_message_number = 1").await;
        connection
    }

    /// Since the last run: what Google says next is no echo of it, and nothing is braked.
    pub(crate) async fn let_an_hour_pass(&self, connection: &Connection) {
        let changes = "last_sync_at = last_sync_at - interval '1 hour', sync_streak = 0,
                         sync_not_before = least(sync_not_before, now())";
        self.set(connection, changes).await;
    }

    pub(crate) fn makes_rows_of(&self, user: Uuid) {
        self.users.lock().unwrap().push(user);
    }

    pub(crate) fn keep_secret(&self, secret: &str) {
        self.backdrop.secrets.lock().unwrap().insert(secret.to_owned());
    }

    /// Ends a trial: nothing of it is left for the sweeps of another one.
    pub(crate) async fn clear(&self) -> Result<()> {
        let users = self.users.lock().unwrap().clone();
        self.remember_tokens(&users).await?;
        self.sql("delete from calendar_connections where user_id = any($1)", &[&users]).await?;
        Ok(())
    }

    /// Keeps the tokens that these users' rows hold at the moment.
    async fn remember_tokens(&self, users: &[Uuid]) -> Result<()> {
        let tokens =
            "select unnest(array[access_token, refresh_token, webhook_token]) from calendar_connections
                        where user_id = any($1)";
        for row in self.sql(tokens, &[&users]).await? {
            if let Some(token) = row.get::<_, Option<&str>>(0) {
                self.keep_secret(token);
            }
        }
        Ok(())
    }

    fn project(&self) -> &Project {
        &self.backdrop.project
    }
}
