//! A request that nobody honest sends, and what it is about.

use std::time::Duration;

use local_supabase::{Deno, Keys};
use serde_json::Value;
use system_tests::{Connection, FUNCTIONS, User};

use crate::scene::Scene;
use crate::standalone::Standalone;
use crate::wire::Wire;

/// What a function's own work may take.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A status, and the code if it is an error of ours.
pub(super) type Met = (u16, &'static str);

/// What the HTTP server of Deno refuses by itself, before a function hears of it.
pub(super) const NOT_HTTP: Met = (400, "");

/// A request, and what it meets.
pub(super) struct Bad {
    pub(super) label: String,
    pub(super) function: &'static str,
    pub(super) request: Wire,
    pub(super) expected: Met,
    /// Where the HTTP server of the oldest Deno is of another mind.
    pub(super) on_floor: Met,
}

impl Bad {
    pub(super) fn new(function: &'static str, label: impl ToString, request: Wire, expected: Met) -> Self {
        Self { label: label.to_string(), function, request, expected, on_floor: expected }
    }

    pub(super) fn on_floor(self, on_floor: Met) -> Self {
        Self { on_floor, ..self }
    }

    /// Sends the request; what is wrong with the answer.
    pub(super) async fn try_out(&self, scene: &Scene, processes: &[Standalone]) -> Option<String> {
        let at = FUNCTIONS.iter().position(|function| *function == self.function).expect("one of the three");
        let address = processes[at].address();
        let mut heard = self.request.send(scene, address).await;
        if heard.took > AT_ONCE {
            // The machine may have been busy; a request that is slow by itself is so again.
            heard = self.request.send(scene, address).await;
        }
        let expected = match scene.backdrop.kind.deno {
            Deno::Newest => self.expected,
            Deno::Floor => self.on_floor,
        };
        let met = (heard.status, heard.code.as_str());
        let wrong = met != expected || heard.status >= 500 || heard.took > AT_ONCE;
        wrong.then(|| {
            let Self { function, label, .. } = self;
            format!("{function}, {label}: {met:?} after {:?}, not {expected:?}: {}", heard.took, heard.text)
        })
    }
}

/// Who and what the requests are about. All channels are open, and nothing is owed.
pub(super) struct Cast {
    pub(super) user: User,
    pub(super) own: Connection,
    pub(super) own_row: Value,
    pub(super) other: Connection,
    pub(super) paused: Connection,
    /// Of another provider.
    pub(super) foreign: Connection,
    /// The key that the functions are configured with.
    pub(super) key: String,
    pub(super) publishable_key: String,
    pub(super) jwt_secret: String,
}

impl Cast {
    pub(super) async fn new(scene: &Scene) -> Self {
        let user = scene.user().await;
        let own = scene.connection_of(user.id).await;
        scene.open_channel(&own).await;
        let (other, paused, foreign) = (scene.open().await, scene.open().await, scene.connection().await);
        scene.set(&own, "webhook_message_number = 1").await;
        scene.set(&paused, "sync_enabled = false").await;
        scene.set(&foreign, "provider = 'outlook'").await;
        let key = match scene.generation {
            Keys::Current | Keys::Both => &scene.keys.secret,
            Keys::Legacy => &scene.keys.legacy_service_role,
        };
        Self {
            own_row: scene.row(&own).await,
            key: key.to_owned(),
            publishable_key: scene.keys.publishable.clone(),
            jwt_secret: scene.keys.jwt_secret.clone(),
            user,
            own,
            other,
            paused,
            foreign,
        }
    }

    pub(super) fn as_service(&self, function: &str) -> Wire {
        Wire::post(function).header("apikey", &self.key)
    }

    pub(super) fn as_user(&self, function: &str) -> Wire {
        let bearer = format!("Bearer {}", self.user.token);
        Wire::post(function).header("apikey", &self.publishable_key).header("authorization", bearer)
    }
}
