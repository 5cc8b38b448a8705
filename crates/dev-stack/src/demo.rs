//! The main job as a story, played without a person: two people connect their calendars, one of them uses it, and
//! the other must not notice.

mod backend;
mod browser;
mod google;
mod narrator;
mod official_clients;
mod patience;
mod person;

use anyhow::{Context, Result, ensure};
use dev_stack::Stack;
use futures_util::try_join;
use local_supabase::Keys;
use sample_app::host_app::HostApp;

use backend::Backend;
use google::Google;
use narrator::step;
use patience::until;
use person::Person;

/// Long enough for an event to be created while Google's answer to `watch` is on its way.
const SLOW_WATCH_MS: u32 = 1_000;

/// Fails at the first step that does not go as told.
pub(crate) async fn play(stack: &Stack, keys: Keys) -> Result<()> {
    let told = tell(&Story::cast(stack, keys).await?).await;
    if told.is_err() {
        for name in stack.functions() {
            println!("\nWhat {name} printed:\n{}", stack.function_log(name).trim_end());
        }
    }
    told
}

async fn tell(story: &Story<'_>) -> Result<()> {
    println!();
    step(story.two_people_sign_up()).await?;
    step(story.each_plans_a_session()).await?;
    step(story.connects_a_calendar(&story.ada)).await?;
    step(story.connects_a_calendar(&story.bob)).await?;
    step(story.an_event_moves_its_owners_session_alone()).await?;
    step(story.deleting_the_event_moves_the_session_back()).await?;
    step(story.the_channel_comes_near_its_end()).await?;
    step(story.a_sweep_renews_it_without_a_gap()).await?;
    step(story.a_revoked_consent_asks_to_reconnect()).await?;
    step(story.bob_noticed_nothing()).await
}

struct Story<'a> {
    ada: Person,
    bob: Person,
    host_app: &'a HostApp,
    backend: Backend,
    google: Google,
}

impl Story<'_> {
    async fn cast(stack: &Stack, keys: Keys) -> Result<Story<'_>> {
        let (frontend_key, backend_key) = match keys {
            Keys::Current | Keys::Both => (stack.keys().publishable.as_str(), stack.keys().secret.as_str()),
            Keys::Legacy => (stack.keys().legacy_anon.as_str(), stack.keys().legacy_service_role.as_str()),
        };
        let google = Google::new(stack.google().url())?;
        let person = async |name| Person::new(name, stack.url(), frontend_key, &google).await;
        let (ada, bob) = try_join!(person("ada"), person("bob"))?;
        let backend = Backend::new(stack, backend_key)?;
        Ok(Story { ada, bob, host_app: stack.host_app(), backend, google })
    }

    async fn two_people_sign_up(&self) -> Result<String> {
        try_join!(self.ada.sign_up(), self.bob.sign_up())?;
        Ok("ada and bob signed up".into())
    }

    async fn each_plans_a_session(&self) -> Result<String> {
        try_join!(self.ada.plan_session(10), self.bob.plan_session(10))?;
        Ok("ada and bob each planned a session at 10:00".into())
    }

    async fn connects_a_calendar(&self, person: &Person) -> Result<String> {
        let name = person.name;
        let page = person.consent_page(&self.google).await?;
        let returned = browser::agree(page, &person.email).await?;
        person.returns_from_google(&returned).await?;

        let set_up = person.set_up_webhook().await?;
        ensure!(set_up.status == "active", "expected {name}'s connection to be active; saw {set_up:?}");
        until(
            &format!("{name}'s first recalculation"),
            || person.connection(),
            |connection| connection.last_sync_at.is_some() && connection.sync_status == "idle",
        )
        .await?;
        Ok(format!("{name} agreed on Google's page, and the connection is active and synced"))
    }

    async fn an_event_moves_its_owners_session_alone(&self) -> Result<String> {
        let (adas, bobs) = try_join!(self.ada.connection(), self.bob.connection())?;
        self.ada.create_event("dentist", 10).await?;
        self.session_moves_to(&self.ada, "11:00").await?;
        until(
            &format!("ada's last_sync_at to be later than {:?}", adas.last_sync_at),
            || self.ada.connection(),
            |connection| connection.last_sync_at > adas.last_sync_at,
        )
        .await?;

        let (session, connection) = try_join!(self.bob.session(), self.bob.connection())?;
        ensure!(session == "10:00", "expected bob's session to stay at 10:00; saw it at {session}");
        ensure!(connection == bobs, "expected bob's connection to stay {bobs:?}; saw {connection:?}");
        Ok("ada got an event at 10:00: her session moved to 11:00 and last_sync_at is set; bob's stayed"
            .into())
    }

    async fn deleting_the_event_moves_the_session_back(&self) -> Result<String> {
        self.ada.delete_event("dentist").await?;
        self.session_moves_to(&self.ada, "10:00").await?;
        Ok("ada deleted the event: her session moved back to 10:00".into())
    }

    async fn the_channel_comes_near_its_end(&self) -> Result<String> {
        self.host_app.bring_end_near(self.ada.user_id().await?.parse()?).await?;
        let status = self.ada.connection().await?.status;
        ensure!(status == "expiring", "expected ada's connection to be expiring; saw {status}");
        Ok("weeks passed: ada's connection is expiring".into())
    }

    async fn a_sweep_renews_it_without_a_gap(&self) -> Result<String> {
        let before = self.ada.connection().await?.webhook_id.context("ada has no channel")?;
        self.google.answer_watch_slowly(&self.ada.email, SLOW_WATCH_MS).await?;
        let event_meanwhile = async {
            self.live_channels_become(2).await?;
            self.ada.create_event("meeting", 10).await?;
            let live = self.google.live_channels(&self.ada.email).await?;
            ensure!(live.len() == 2, "expected both channels to be open when the event came; saw {live:?}");
            Ok(())
        };
        try_join!(self.backend.sweep(), event_meanwhile)?;
        self.session_moves_to(&self.ada, "11:00").await?;
        self.live_channels_become(1).await?;

        let connection = self.ada.connection().await?;
        let after = connection.webhook_id.as_deref().unwrap_or_default();
        ensure!(
            connection.status == "active" && after != before,
            "expected ada's connection to be active with another channel than {before}; saw {connection:?}"
        );
        let opened = self.google.opened_at(after).await?;
        let stopped = self.google.last_stop_at(&self.ada.email).await?;
        ensure!(
            opened < stopped,
            "expected the new channel before the end of the old; saw {opened}, {stopped}"
        );
        Ok(format!(
            "a sweep renewed ada's channel: old and new were both open for {} ms, and an event in that time \
             moved her session to 11:00",
            (stopped - opened).num_milliseconds()
        ))
    }

    async fn a_revoked_consent_asks_to_reconnect(&self) -> Result<String> {
        self.google.revoke(&self.ada.email).await?;
        self.host_app.bring_end_near(self.ada.user_id().await?.parse()?).await?;
        self.backend.sweep().await?;
        until(
            "ada's connection to be reconnect_required",
            || self.ada.connection(),
            |connection| connection.status == "reconnect_required",
        )
        .await?;
        Ok("ada revoked her consent at Google: after a sweep her connection is reconnect_required".into())
    }

    async fn bob_noticed_nothing(&self) -> Result<String> {
        let (session, connection) = try_join!(self.bob.session(), self.bob.connection())?;
        let recalculations = self.backend.recalculations(&self.bob.user_id().await?).await?;
        ensure!(
            (session.as_str(), connection.status.as_str(), recalculations) == ("10:00", "active", 1),
            "expected bob's session at 10:00 and his connection active after the one recalculation when he \
             connected; saw {session}, {} and {recalculations}",
            connection.status
        );
        Ok("bob noticed nothing: session at 10:00, connection active, recalculated only when he connected"
            .into())
    }

    async fn session_moves_to(&self, person: &Person, time: &str) -> Result<()> {
        let expected = format!("{}'s session to move to {time}", person.name);
        until(&expected, || person.session(), |session| session == time).await?;
        Ok(())
    }

    async fn live_channels_become(&self, count: usize) -> Result<()> {
        let expected = format!("{count} live channels on ada's calendar");
        until(&expected, || self.google.live_channels(&self.ada.email), |live| live.len() == count).await?;
        Ok(())
    }
}
