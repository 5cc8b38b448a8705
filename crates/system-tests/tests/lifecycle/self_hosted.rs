//! A self-hosted project, as its Docker Compose file lays it out: Kong, one router, one switch for all JWTs, and
//! workers that live a minute. pg_cron reaches the gateway by http.

use std::time::Duration;

use anyhow::{Context, Result};
use chrono::Utc;
use dev_stack::{Config, Stack};
use doctor::check::Check;
use doctor::examine::{Examination, examine};
use doctor::variables::Variables;
use local_supabase::{Backend, Keys, SelfHosted};
use machine::Native;
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{Caller, Connection, FUNCTIONS, Project, REFRESH, SETUP, User, until};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::schedule::{run_job, schedule};

/// As the router is shipped.
const WORKER_LIMIT: Duration = Duration::from_secs(60);
const HANGS: u64 = 120_000;

struct Home {
    stack: Stack,
    project: Project,
}

impl Home {
    async fn start(self_hosted: SelfHosted, environment: &[(&str, &str)]) -> Result<Self> {
        // The templates leave the new kind of key empty.
        let empty = [("SUPABASE_SECRET_KEYS", r#"{"default":""}"#)];
        let variables = empty.iter().chain(environment);
        let config = Config {
            backend: Backend::Postgrest,
            keys: Keys::Legacy,
            self_hosted: Some(self_hosted),
            extra_env: variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            needs_extensions: true,
            ..Config::default()
        };
        let mut stack = Stack::start(config, |_| {}).await?;
        stack.enable_extensions().await?;
        let project = Project::of(&stack);
        schedule(&project, &stack.keys().legacy_service_role).await?;
        Ok(Self { stack, project })
    }

    /// Somebody who has signed in and connected a calendar.
    async fn user(&self) -> (User, Connection) {
        let user = self.project.sign_up().await;
        let email = format!("{}@gmail.com", Uuid::new_v4().simple());
        let connection = self.project.connect(user.id, &email, json!({})).await;
        (user, connection)
    }

    /// What the doctor finds with the project's own keys.
    async fn examined(&self) -> Result<Examination> {
        let mut variables = self.stack.doctor_environment();
        variables.retain(|(name, _)| *name != "SUPABASE_SECRET_KEY");
        variables.push(("SUPABASE_SERVICE_ROLE_KEY", self.stack.keys().legacy_service_role.clone()));
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let variables = Variables::parse(variables, Utc::now()).context("usable variables")?;
        Ok(tokio::task::spawn_blocking(move || examine(&variables, &Native::new())).await?)
    }

    /// A run that is owed and will hang. No minute that begins starts a sweep of its own.
    async fn owe_a_run_that_hangs(&self) -> Connection {
        self.project.sql("update cron.job set active = false", &[]).await.unwrap();
        self.project.sql("delete from net.http_request_queue", &[]).await.unwrap();
        let connection = self.project.connection().await;
        self.project.open_channel(&connection).await;
        self.project.behave(&connection, json!({ "delay_ms": HANGS })).await;
        self.project.set(&connection, "sync_request_id = gen_random_uuid(), sync_not_before = now()").await;
        connection
    }

    /// The lease of a run that hung is over, and the host's function is in order again: the next sweep makes the run.
    async fn assert_next_sweep_makes_the_run(&self, connection: &Connection) -> Result<()> {
        let row = self.project.row(connection).await;
        assert!(!row["sync_request_id"].is_null(), "{row}");
        self.project.forget_behaviours().await;
        self.project.set(connection, "sync_lease_until = 'epoch', sync_not_before = now()").await;
        let since = Utc::now();
        assert_eq!(run_job(&self.project).await?, 200);
        self.project.until_run_after(connection, since).await;
        self.project.settled(connection).await;
        Ok(())
    }

    async fn last_answer_to_cron(&self) -> Result<Value> {
        let answers = "select content from net._http_response order by id desc limit 1";
        let content: String = self.project.sql(answers, &[]).await?[0].get(0);
        Ok(serde_json::from_str(&content)?)
    }
}

fn wrong(examination: &Examination) -> Vec<&Check> {
    examination.checks.iter().filter(|check| check.is_wrong()).collect()
}

pub(crate) async fn all_works_where_the_router_verifies_no_jwt() -> Result<()> {
    let settings = SelfHosted { verify_jwt: false, worker_limit: WORKER_LIMIT };
    let home = Home::start(settings, &[("FUNCTION_WALL_CLOCK_SECONDS", "60")]).await?;
    let (project, (user, connection)) = (&home.project, home.user().await);

    let answer = project.call(SETUP, Caller::User(&user), connection.target()).await?;
    assert_eq!(answer.status, 200, "{}", answer.text);
    project.settled(&connection).await;
    // Google has no JWT.
    let changed_at = project.change(&connection).await;
    project.until_run_after(&connection, changed_at).await;
    project.settled(&connection).await;

    project
        .set(&connection, "webhook_opened_at = now() - interval '1 hour', webhook_lease_until = 'epoch'")
        .await;
    let answer = project.call(REFRESH, Caller::User(&user), connection.target()).await?;
    assert_eq!(answer.status, 200, "{}", answer.text);
    project.settled(&connection).await;
    assert_eq!(run_job(project).await?, 200);

    // Kong answers the browser's preflight, and keeps what browsers may read.
    let preflight = project
        .request(Method::OPTIONS, SETUP)
        .header("origin", "https://app.example.com")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization, apikey, x-client-info");
    let preflight = project.send(preflight).await?;
    let allowed = preflight.headers.get("access-control-allow-headers").and_then(|value| value.to_str().ok());
    assert_eq!((preflight.status, allowed), (200, Some("authorization, apikey, x-client-info")));
    let again = project.call(REFRESH, Caller::User(&user), connection.target()).await?;
    assert_eq!(again.outcome(), (429, "too_soon"), "{}", again.text);
    let header = |name: &str| again.headers.get_all(name).iter().count();
    assert_eq!((header("access-control-allow-origin"), header("access-control-expose-headers")), (1, 1));

    let found = home.examined().await?;
    assert!(found.is_well(), "{:?}", wrong(&found));
    home.stack.stop().await;
    Ok(())
}

pub(crate) async fn where_the_router_verifies_every_jwt_the_doctor_names_its_one_switch() -> Result<()> {
    let settings = SelfHosted { verify_jwt: true, worker_limit: WORKER_LIMIT };
    let home = Home::start(settings, &[("FUNCTION_WALL_CLOCK_SECONDS", "60")]).await?;
    let (project, (user, connection)) = (&home.project, home.user().await);

    // Users and the legacy key have a JWT, Google has none.
    let answer = project.call(SETUP, Caller::User(&user), connection.target()).await?;
    assert_eq!(answer.status, 200, "{}", answer.text);
    project.row_where(&connection, "no run owed", |row| row["sync_request_id"].is_null()).await;
    let changed_at = project.change(&connection).await;
    let row = project.row(&connection).await;
    let channel = row["webhook_id"].as_str().context("a channel")?;
    until("the notification refused", || async {
        (project.answers(channel).await == [Some(401)]).then_some(())
    })
    .await;
    // A look finds what was refused.
    project.set(&connection, "sync_look_at = now(), webhook_lease_until = 'epoch'").await;
    assert_eq!(run_job(project).await?, 200);
    project.until_run_after(&connection, changed_at).await;

    let found = home.examined().await?;
    let expected = FUNCTIONS.map(|function| (function, Some("gateway_401")));
    let wrong = wrong(&found);
    assert_eq!(
        wrong.iter().map(|check| (check.id.name(), check.code.as_deref())).collect::<Vec<_>>(),
        expected,
        "{wrong:?}"
    );
    for next in wrong.iter().filter_map(|check| check.next.as_deref()) {
        // A port that is not Docker Compose's own tells of no home: both remedies are named.
        assert!(next.contains("FUNCTIONS_VERIFY_JWT=false") && next.contains("config.toml"), "{next}");
    }
    home.stack.stop().await;
    Ok(())
}

pub(crate) async fn a_sweep_whose_run_hangs_ends_before_its_worker_does() -> Result<()> {
    let settings = SelfHosted { verify_jwt: false, worker_limit: WORKER_LIMIT };
    let home = Home::start(settings, &[("FUNCTION_WALL_CLOCK_SECONDS", "60")]).await?;
    // A worker that a button has started serves the sweep too, and is killed a minute after its start.
    let connection = home.owe_a_run_that_hangs().await;
    let born_at = Instant::now();
    let unknown = json!({ "connection_id": Uuid::new_v4() });
    assert_eq!(home.project.call(REFRESH, Caller::Service, unknown).await?.status, 404);
    sleep_until(born_at + Duration::from_secs(20)).await;
    assert_eq!(run_job(&home.project).await?, 200);
    assert!(born_at.elapsed() < Duration::from_secs(55), "{:?}", born_at.elapsed());
    let told = home.last_answer_to_cron().await?;
    assert_eq!(told["failed"], json!([{ "connection_id": connection.id, "code": "recalculate_timeout" }]));
    home.assert_next_sweep_makes_the_run(&connection).await?;
    home.stack.stop().await;
    Ok(())
}

pub(crate) async fn a_sweep_that_is_killed_loses_nothing_and_the_doctor_names_the_wall_clock() -> Result<()> {
    // Shorter than the functions believe, as 60 s are where nothing is set.
    let settings = SelfHosted { verify_jwt: false, worker_limit: Duration::from_secs(12) };
    let home = Home::start(settings, &[]).await?;
    let connection = home.owe_a_run_that_hangs().await;
    assert_eq!(run_job(&home.project).await?, 500);
    let told = home.last_answer_to_cron().await?;
    assert_eq!(told["msg"], "WorkerRequestCancelled: request has been cancelled by supervisor");

    let found = home.examined().await?;
    let killed = found.checks.iter().find(|check| check.code.as_deref() == Some("worker_killed"));
    let next = killed.and_then(|check| check.next.as_deref()).context("a check of the killed worker")?;
    assert!(next.contains("FUNCTION_WALL_CLOCK_SECONDS=60") && next.contains("docker compose"), "{next}");

    home.assert_next_sweep_makes_the_run(&connection).await?;
    home.stack.stop().await;
    Ok(())
}
