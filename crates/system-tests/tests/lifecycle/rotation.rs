//! Keys are replaced while the project is in use: what goes on, what stops, and what starts it again.

use std::sync::Arc;

use anyhow::Result;
use chrono::{DateTime, Utc};
use dev_stack::{Config, Stack, shipped_functions};
use local_supabase::{ApiKeys, Backend, Keys, Role};
use serde_json::{Value, json};
use system_tests::{Answer, Caller, Connection, Project, REFRESH, SETUP, until};

use crate::gateway::Gateway;
use crate::schedule::{run_job, schedule};

const OLD: &str = "sb_secret_old";
const NEW: &str = "sb_secret_new";
const NEWEST: &str = "sb_secret_newest";

/// A project whose functions start with these variables, and one connection with an open channel.
struct Rotation {
    stack: Stack,
    project: Project,
    gateway: Arc<Gateway>,
    connection: Connection,
}

impl Rotation {
    async fn start(keys: Keys, environment: &[(&str, String)], key: &str) -> Result<Self> {
        let gateway = Gateway::start().await?;
        gateway.accept(&[key]);
        let mut extra_env = vec![("SUPABASE_URL".to_owned(), gateway.url().to_owned())];
        extra_env.extend(environment.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let config = Config {
            backend: Backend::Postgrest,
            keys,
            extra_env,
            needs_extensions: true,
            ..Config::default()
        };
        let mut stack = Stack::start(config, |_| {}).await?;
        stack.enable_extensions().await?;
        // The key that the sample app's functions go on with.
        let known = match keys {
            Keys::Legacy => &stack.keys().legacy_service_role,
            Keys::Current | Keys::Both => &stack.keys().secret,
        };
        gateway.connect(stack.url(), known);
        let project = Project::of(&stack);
        let connection = project.connection().await;
        schedule(&project, key).await?;
        assert_eq!(run_job(&project).await?, 200);
        project.settled(&connection).await;
        Ok(Self { stack, project, gateway, connection })
    }

    /// What Supabase does by itself when keys change, and `supabase secrets set` when told to.
    async fn restart_with(&mut self, variable: &str, value: &str) -> Result<()> {
        let functions = shipped_functions()?;
        self.stack.deploy(&functions, &[(variable, value)]).await
    }

    async fn sweep(&self, key: &str) -> u16 {
        self.ask(REFRESH, Caller::Key(key)).await.status
    }

    async fn ask(&self, function: &str, caller: Caller<'_>) -> Answer {
        self.project.call(function, caller, json!({})).await.expect("an answer")
    }

    /// That cron is refused for the key that it sends, which operators see, until it is told the new one.
    async fn assert_schedule_needs(&self, key: &str) -> Result<()> {
        let refused = run_job(&self.project).await?;
        assert_eq!((refused, self.last_answer_to_cron().await?), (401, json!(401)));
        schedule(&self.project, key).await?;
        let accepted = run_job(&self.project).await?;
        assert_eq!((accepted, self.last_answer_to_cron().await?), (200, json!(200)));
        Ok(())
    }

    async fn last_answer_to_cron(&self) -> Result<Value> {
        let schedule = "select schedule -> 'last_answer_status' from public.calendar_webhook_health";
        Ok(self.project.sql(schedule, &[]).await?[0].get(0))
    }

    /// Without what the storm brake has counted: the sweep that would make up for a run held back does not come here.
    async fn change(&self) -> DateTime<Utc> {
        self.project.set(&self.connection, "sync_streak = 0").await;
        self.project.change(&self.connection).await
    }

    async fn assert_change_is_run(&self) -> Result<()> {
        let changed_at = self.change().await;
        self.project.until_run_after(&self.connection, changed_at).await;
        self.project.settled(&self.connection).await;
        Ok(())
    }

    async fn last_answer(&self) -> Option<u64> {
        let row = self.project.row(&self.connection).await;
        let answers = self.project.answers(row["webhook_id"].as_str().expect("a channel")).await;
        answers.last().copied().flatten()
    }

    /// A change that Google reports in vain, until `mend`. It is not lost.
    async fn assert_refused_until(
        &mut self,
        status: u64,
        mend: impl AsyncFnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let changed_at = self.change().await;
        let what = format!("a notification answered with {status}");
        until(&what, || async { (self.last_answer().await == Some(status)).then_some(()) }).await;
        mend(self).await?;
        self.project.until_run_after(&self.connection, changed_at).await;
        assert_eq!(self.last_answer().await, Some(200));
        self.project.settled(&self.connection).await;
        Ok(())
    }
}

fn secret_keys(keys: Value) -> String {
    keys.to_string()
}

pub(crate) async fn a_new_secret_key_replaces_the_old_one() -> Result<()> {
    const VARIABLE: &str = "SUPABASE_SECRET_KEYS";
    let only_old = secret_keys(json!({ "default": OLD }));
    let mut rotation = Rotation::start(Keys::Current, &[(VARIABLE, only_old)], OLD).await?;

    // A second key exists; the functions do not know it before they are started again.
    rotation.gateway.accept(&[OLD, NEW]);
    assert_eq!([rotation.sweep(OLD).await, rotation.sweep(NEW).await], [200, 401]);
    rotation.restart_with(VARIABLE, &secret_keys(json!({ "default": OLD, "next": NEW }))).await?;
    assert_eq!([rotation.sweep(OLD).await, rotation.sweep(NEW).await], [200, 200]);
    rotation.assert_change_is_run().await?;

    // The old one is gone: notifications go on, cron must be given the new one.
    rotation.restart_with(VARIABLE, &secret_keys(json!({ "default": NEW }))).await?;
    rotation.gateway.accept(&[NEW]);
    rotation.assert_change_is_run().await?;
    assert_eq!([rotation.sweep(OLD).await, rotation.sweep(NEW).await], [401, 200]);
    rotation.assert_schedule_needs(NEW).await?;

    // Gone before the functions know of it: Google is told to try again until they do.
    rotation.gateway.accept(&[NEWEST]);
    rotation
        .assert_refused_until(503, async |rotation| {
            assert_eq!(rotation.sweep(NEW).await, 503);
            let signed_in = [("authorization", "Bearer header.payload.signature".to_owned())];
            let asked = rotation.ask(SETUP, Caller::With(&signed_in)).await;
            assert_eq!(asked.outcome(), (503, "auth_unavailable"), "{}", asked.body);
            rotation.restart_with(VARIABLE, &secret_keys(json!({ "default": NEWEST }))).await
        })
        .await?;

    // One of the keys has to be named `default`; until it is, everything is refused and nothing is lost.
    rotation.restart_with(VARIABLE, &secret_keys(json!({ "renamed": NEWEST }))).await?;
    rotation
        .assert_refused_until(500, async |rotation| {
            let answer = rotation.ask(REFRESH, Caller::Key(NEWEST)).await;
            assert_eq!(answer.outcome(), (500, "misconfigured"), "{}", answer.body);
            rotation.restart_with(VARIABLE, &secret_keys(json!({ "default": NEWEST }))).await
        })
        .await?;
    rotation.stack.stop().await;
    Ok(())
}

pub(crate) async fn the_legacy_key_is_renewed_and_then_gives_way_to_secret_keys() -> Result<()> {
    const LEGACY: &str = "SUPABASE_SERVICE_ROLE_KEY";
    let signed_by = |jwt_secret: &str| -> Result<String> {
        let keys = ApiKeys { jwt_secret: jwt_secret.to_owned(), ..ApiKeys::local()? };
        keys.mint(Role::ServiceRole, Utc::now())
    };
    let (old, new) = (signed_by("the project's first JWT secret")?, signed_by("its second JWT secret")?);
    let mut rotation = Rotation::start(Keys::Legacy, &[(LEGACY, old.clone())], &old).await?;

    // With another JWT secret the old key is void at once, whether the functions know the new one or not.
    rotation.gateway.accept(&[&new]);
    let replace = new.clone();
    rotation
        .assert_refused_until(503, async |rotation| rotation.restart_with(LEGACY, &replace).await)
        .await?;
    assert_eq!([rotation.sweep(&old).await, rotation.sweep(&new).await], [401, 200]);
    rotation.assert_schedule_needs(&new).await?;

    // Both generations side by side: either starts a sweep, and the functions use the secret key.
    rotation.gateway.accept(&[&new, OLD]);
    rotation.restart_with("SUPABASE_SECRET_KEYS", &secret_keys(json!({ "default": OLD }))).await?;
    assert_eq!([rotation.sweep(&new).await, rotation.sweep(OLD).await], [200, 200]);
    rotation.gateway.accept(&[OLD]);
    rotation.assert_change_is_run().await?;
    // The functions take whom they find in their environment, disabled or not.
    assert_eq!(rotation.sweep(&new).await, 200);

    // Disabled, and gone from the environment.
    rotation.restart_with(LEGACY, "").await?;
    rotation.assert_change_is_run().await?;
    assert_eq!([rotation.sweep(&new).await, rotation.sweep(OLD).await], [401, 200]);
    rotation.assert_schedule_needs(OLD).await?;
    rotation.stack.stop().await;
    Ok(())
}

pub(crate) async fn a_new_google_client_secret_heals_by_itself() -> Result<()> {
    let keys = secret_keys(json!({ "default": OLD }));
    let mut rotation = Rotation::start(Keys::Current, &[("SUPABASE_SECRET_KEYS", keys)], OLD).await?;
    let Rotation { project, connection, .. } = &rotation;
    let before = project.row(connection).await;

    // The old secret is deleted; soon after the access token has to be renewed, and the channel renewed.
    project.google_control("client", json!({ "client_secret": "another-client-secret" })).await;
    project.set(connection, "expires_at = now(), webhook_not_before = 'epoch'").await;
    let answer = project.call(SETUP, Caller::Key(OLD), connection.target()).await?;
    assert_eq!(answer.outcome(), (500, "oauth_client_invalid"), "{}", answer.body);
    wait_out(project, connection).await;
    let swept = rotation.ask(REFRESH, Caller::Key(OLD)).await;
    let failed = json!([{ "connection_id": connection.id, "code": "oauth_client_invalid" }]);
    assert_eq!((&swept.body["renewed"], &swept.body["failed"]), (&json!(0), &failed), "{}", swept.body);

    // The row says so and the user need not do anything; the channel is open, and is heard.
    let row = project.row(connection).await;
    assert_eq!(row["webhook_error"], "oauth_client_invalid");
    assert_eq!(row["webhook_id"], before["webhook_id"]);
    assert_eq!(project.status(connection).await["status"], "active");
    rotation.assert_change_is_run().await?;

    // The new secret is set: the next sweep that tries finds all well.
    rotation.restart_with("GOOGLE_CLIENT_SECRET", "another-client-secret").await?;
    let Rotation { project, connection, .. } = &rotation;
    wait_out(project, connection).await;
    let swept = rotation.ask(REFRESH, Caller::Key(OLD)).await;
    assert_eq!((&swept.body["renewed"], &swept.body["failed"]), (&json!(1), &json!([])), "{}", swept.body);
    project.settled(connection).await;
    let row = project.row(connection).await;
    assert_eq!((&row["webhook_error"], &row["webhook_attempts"]), (&Value::Null, &json!(0)));
    assert_eq!(row["refresh_token"], before["refresh_token"]);
    assert_eq!(row["webhook_token"], before["webhook_token"]);
    let named = row["webhook_id"].as_str().expect("a channel");
    until("only the new channel", || async {
        (project.live_channels(connection).await == [named]).then_some(())
    })
    .await;
    rotation.assert_change_is_run().await?;
    rotation.stack.stop().await;
    Ok(())
}

/// Brings the next renewal, which a failure has put off for half a minute or more, to now.
async fn wait_out(project: &Project, connection: &Connection) {
    project.set(connection, "webhook_lease_until = 'epoch', webhook_not_before = now()").await;
}
