//! Requests that nobody honest sends: every one is refused as its row says, at once, and leaves no trace.
//!
//! They go straight to the functions' Deno processes: a gateway would tidy some of them up.

mod bodies;
mod credentials;
mod notifications;
mod transport;

use std::time::Duration;

use futures_util::future::join_all;
use local_supabase::{Deno, Keys};
use serde_json::Value;
use system_tests::{Connection, FUNCTIONS, User, until};

use crate::case::cases;
use crate::notification::Notification;
use crate::scene::Scene;
use crate::standalone::Standalone;
use crate::wire::Wire;

cases! {
    shared: [a_valid_token_does_not_reach_the_channel_of_another_connection,],
    alone: [no_bad_request_is_slow_changes_a_row_or_answers_5xx,],
}

/// What a function's own work may take.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A status, and the code if it is an error of ours.
type Outcome = (u16, &'static str);

/// What the HTTP server of Deno refuses by itself, before a function hears of it.
const NOT_HTTP: Outcome = (400, "");

/// A request, and what it meets.
struct Bad {
    label: String,
    function: &'static str,
    request: Wire,
    expected: Outcome,
    /// Where the HTTP server of the oldest Deno is of another mind.
    on_floor: Outcome,
}

impl Bad {
    fn new(function: &'static str, label: impl ToString, request: Wire, expected: Outcome) -> Self {
        Self { label: label.to_string(), function, request, expected, on_floor: expected }
    }

    fn on_floor(self, on_floor: Outcome) -> Self {
        Self { on_floor, ..self }
    }

    /// Sends the request; what is wrong with the answer.
    async fn try_out(&self, scene: &Scene, processes: &[Standalone]) -> Option<String> {
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
struct Cast {
    user: User,
    own: Connection,
    own_row: Value,
    other: Connection,
    paused: Connection,
    /// Of another provider.
    foreign: Connection,
    /// The key that the functions are configured with.
    key: String,
    publishable_key: String,
    jwt_secret: String,
}

impl Cast {
    async fn new(scene: &Scene) -> Self {
        let user = scene.user().await;
        let own = scene.connection_of(user.id).await;
        scene.open_channel(&own).await;
        let (other, paused, foreign) = (scene.open().await, scene.open().await, scene.connection().await);
        scene.set(&own, "webhook_message_number = 1").await;
        scene.set(&paused, "sync_enabled = false").await;
        scene.set(&foreign, "provider = 'outlook'").await;
        let key = match scene.generation {
            Keys::Current => &scene.keys.secret,
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

    fn as_service(&self, function: &str) -> Wire {
        Wire::post(function).header("apikey", &self.key)
    }

    fn as_user(&self, function: &str) -> Wire {
        let bearer = format!("Bearer {}", self.user.token);
        Wire::post(function).header("apikey", &self.publishable_key).header("authorization", bearer)
    }
}

async fn no_bad_request_is_slow_changes_a_row_or_answers_5xx(scene: &mut Scene) {
    let scene = &*scene;
    let cast = Cast::new(scene).await;
    let rows =
        [notifications::rows(&cast), bodies::rows(&cast), credentials::rows(&cast), transport::rows(&cast)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>();
    assert!(rows.len() >= 300, "{}", rows.len());

    let processes = join_all(FUNCTIONS.map(|function| Standalone::start(scene, function, &[]))).await;
    let table = checksum(scene).await;
    let asked = asked_of_others(scene).await;
    let mut failures = Vec::new();
    for row in &rows {
        failures.extend(row.try_out(scene, &processes).await);
        // What comes after the answer shows in a later row, or in the end.
        assert_eq!(checksum(scene).await, table, "{}, {}", row.function, row.label);
    }
    for (function, process) in FUNCTIONS.into_iter().zip(processes) {
        let log = process.end(scene).await;
        let panic = log.lines().find(|line| line.contains("panicked"));
        failures.extend(panic.map(|line| format!("{function} has logged: {line}")));
    }
    assert_eq!(checksum(scene).await, table);
    assert_eq!(asked_of_others(scene).await, asked);
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), rows.len(), failures.join("\n"));
}

/// Of every row there is.
async fn checksum(scene: &Scene) -> String {
    let sql =
        "select count(*) || ' ' || md5(string_agg(c::text, '' order by id)) from calendar_connections c";
    scene.sql(sql, &[]).await.unwrap()[0].get(0)
}

/// How often Google and `recalculate-schedule` have been called.
pub(crate) async fn asked_of_others(scene: &Scene) -> [usize; 2] {
    [scene.google_list::<Value>("requests").await.len(), scene.all_runs().await.len()]
}

async fn a_valid_token_does_not_reach_the_channel_of_another_connection(scene: &Scene) {
    let (attacker, victim) = (scene.open().await, scene.open().await);
    let row = scene.row(&victim).await;
    let of_victim = Notification::of(&victim, &row, 5).token(&attacker.token);
    assert_eq!(scene.notify(&of_victim).await.status, 200);
    let answer = scene.notify(&of_victim.clone().state("sync")).await;
    assert_eq!(answer.status, 200);
    // It counts as an orphan of the attacker's own, whose consent stops no channel of somebody else.
    until("the run", || async { (scene.runs(&attacker).await.len() == 2).then_some(()) }).await;
    scene.settled(&attacker).await;
    assert_eq!(scene.row(&victim).await, row);
    assert_eq!(scene.live_channels(&victim).await, [row["webhook_id"].as_str().unwrap()]);
    assert_eq!(scene.runs(&victim).await.len(), 1);
}
