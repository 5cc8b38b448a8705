//! A Supabase project's database, and what is done to it by whom.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use local_supabase::postgres::Cluster;
use local_supabase::{repository, schema};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSqlOwned, ToSql};
use tokio_postgres::{AsyncMessage, Client, Error, NoTls};
use uuid::Uuid;

pub(crate) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Whom PostgREST acts as, by the token of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Anon,
    User(Uuid),
    Service,
}

impl Caller {
    pub(crate) fn claims(self) -> Value {
        match self {
            Self::Anon => json!({ "role": "anon" }),
            Self::User(user) => json!({ "role": "authenticated", "sub": user }),
            Self::Service => json!({ "role": "service_role" }),
        }
    }

    pub(crate) fn role(self) -> &'static str {
        match self {
            Self::Anon => "anon",
            Self::User(_) => "authenticated",
            Self::Service => "service_role",
        }
    }
}

/// What became of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// How many rows it read or wrote.
    Rows(u64),
    /// It is not the caller's to do.
    Denied,
    Failed(String),
}

pub(crate) struct Project {
    cluster: Cluster,
    client: Client,
}

impl Project {
    /// A project before its first migration.
    pub(crate) async fn new() -> Self {
        Self::on(Cluster::start().await.unwrap()).await
    }

    /// One whose server can have the extension.
    pub(crate) async fn with_pg_cron() -> Self {
        Self::on(Cluster::start_with_pg_cron().await.unwrap()).await
    }

    async fn on(cluster: Cluster) -> Self {
        let client = cluster.connect().await.unwrap();
        schema::create(&client, &[]).await.unwrap();
        Self { cluster, client }
    }

    pub(crate) async fn migrated() -> Self {
        let project = Self::new().await;
        project.migrate().await.unwrap();
        project
    }

    pub(crate) async fn migrate(&self) -> Result<(), Error> {
        self.apply("supabase/migrations").await
    }

    /// Applies the migrations as they were first published.
    pub(crate) async fn migrate_to_first_edition(&self) {
        self.apply("crates/migration-tests/first_edition").await.unwrap();
    }

    async fn apply(&self, directory: &str) -> Result<(), Error> {
        for migration in schema::migrations(&repository().join(directory)).unwrap() {
            self.client.batch_execute(&migration.sql).await?;
        }
        Ok(())
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Goes on with a new session, once every other one has ended: only then do the server's statistics tell all that
    /// they did.
    pub(crate) async fn reconnect(&mut self) {
        self.client = self.cluster.connect().await.unwrap();
        let others = "select count(*) from pg_stat_activity
                      where backend_type = 'client backend' and pid <> pg_backend_pid()";
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.value::<i64>(others, &[]).await > 0 {
            assert!(Instant::now() < deadline, "other sessions did not end");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs statements as the superuser.
    #[track_caller]
    pub(crate) fn sql(&self, sql: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let result = self.try_sql(sql).await;
            result.unwrap_or_else(|error| panic!("{caller}: {error:?}"));
        }
    }

    pub(crate) async fn try_sql(&self, sql: &str) -> Result<(), Error> {
        self.client.batch_execute(sql).await
    }

    /// What the server says besides, when a session of its own runs these statements as the superuser.
    pub(crate) async fn notices(&self, sql: &str) -> Vec<String> {
        let (client, mut connection) = tokio_postgres::connect(&self.cluster.url(), NoTls).await.unwrap();
        let messages = tokio::spawn(
            stream::poll_fn(move |context| connection.poll_message(context))
                .filter_map(async |message| match message {
                    Ok(AsyncMessage::Notice(notice)) => Some(notice.message().to_owned()),
                    _ => None,
                })
                .collect(),
        );
        client.batch_execute(sql).await.unwrap();
        drop(client);
        messages.await.unwrap()
    }

    /// The first column of the one row that a query of the superuser returns.
    pub(crate) async fn value<T: FromSqlOwned>(&self, sql: &str, parameters: Parameters<'_>) -> T {
        self.client.query_one(sql, parameters).await.unwrap().get(0)
    }

    /// Rows of two texts, as a map.
    pub(crate) async fn map(&self, sql: &str) -> BTreeMap<String, String> {
        let rows = self.client.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// The first column, a text, of each row that a query returns.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.client.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// A row as the superuser sees it.
    pub(crate) async fn row(&self, id: Uuid) -> Map<String, Value> {
        let sql = "select to_jsonb(connection) from public.calendar_connections connection where id = $1";
        match self.value(sql, &[&id]).await {
            Value::Object(row) => row,
            other => panic!("not a row: {other}"),
        }
    }

    pub(crate) async fn columns(&self, relation: &str) -> Vec<String> {
        let sql = "select array_agg(attname::text order by attnum) from pg_attribute
                   where attrelid = $1::text::regclass and attnum > 0 and not attisdropped";
        self.value(sql, &[&relation]).await
    }

    pub(crate) async fn insert(&self, caller: Caller, values: &Value) -> Outcome {
        let columns = columns_of(values);
        let sql = format!(
            "insert into public.calendar_connections ({columns})
             select {columns} from jsonb_populate_record(null::public.calendar_connections, $1)"
        );
        self.act(caller, &sql, &[values]).await
    }

    pub(crate) async fn update(&self, caller: Caller, id: Uuid, values: &Value) -> Outcome {
        let columns = columns_of(values);
        let sql = format!(
            "update public.calendar_connections set ({columns}) =
             (select {columns} from jsonb_populate_record(null::public.calendar_connections, $1)) where id = $2"
        );
        self.act(caller, &sql, &[values, &id]).await
    }

    /// As supabase-js's `upsert` of a row with its id.
    pub(crate) async fn upsert(&self, caller: Caller, values: &Value) -> Outcome {
        let columns = columns_of(values);
        let excluded = columns.split(", ").map(|column| format!("excluded.{column}")).collect::<Vec<_>>();
        let sql = format!(
            "insert into public.calendar_connections ({columns})
             select {columns} from jsonb_populate_record(null::public.calendar_connections, $1)
             on conflict (id) do update set ({columns}) = row({})",
            excluded.join(", ")
        );
        self.act(caller, &sql, &[values]).await
    }

    /// Runs one statement as PostgREST does for a request of the caller.
    pub(crate) async fn act(&self, caller: Caller, sql: &str, parameters: Parameters<'_>) -> Outcome {
        self.transact(caller, sql, parameters, "commit").await
    }

    /// What would become of the statement; nothing comes of it.
    pub(crate) async fn attempt(&self, caller: Caller, sql: &str) -> Outcome {
        self.transact(caller, sql, &[], "rollback").await
    }

    /// The rows that a query returns to the caller, each as JSON.
    pub(crate) async fn select(&self, caller: Caller, query: &str) -> Vec<Value> {
        self.begin(caller).await;
        let rows = self.client.query(&format!("select to_jsonb(row) from ({query}) row"), &[]).await.unwrap();
        self.sql("commit").await;
        rows.iter().map(|row| row.get(0)).collect()
    }

    async fn transact(&self, caller: Caller, sql: &str, parameters: Parameters<'_>, end: &str) -> Outcome {
        self.begin(caller).await;
        let result = self.client.execute(sql, parameters).await;
        self.sql(if result.is_ok() { end } else { "rollback" }).await;
        match result {
            Ok(rows) => Outcome::Rows(rows),
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Outcome::Denied,
            Err(error) => Outcome::Failed(message(&error)),
        }
    }

    async fn begin(&self, caller: Caller) {
        let (role, claims) = (caller.role(), caller.claims());
        let settings = format!("set local role {role}; set local request.jwt.claims = '{claims}'");
        self.sql(&format!("begin; {settings}")).await;
    }
}

/// What the server says is wrong, its hint included.
pub(crate) fn message(error: &Error) -> String {
    let error = error.as_db_error().expect("the server's error");
    format!("{} {} {}", error.code().code(), error.message(), error.hint().unwrap_or_default())
}

/// The columns in which two rows differ.
pub(crate) fn changed(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<String> {
    let mut names: Vec<_> = before.keys().chain(after.keys()).cloned().collect();
    names.sort();
    names.dedup();
    names.retain(|name| before.get(name) != after.get(name));
    names
}

/// The row, but for what `values` says.
pub(crate) fn with(mut row: Map<String, Value>, values: &Value) -> Map<String, Value> {
    row.extend(values.as_object().unwrap().clone());
    row
}

fn columns_of(values: &Value) -> String {
    values.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(", ")
}
