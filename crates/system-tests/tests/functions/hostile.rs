//! Requests that nobody honest sends: every one is refused as its row says, at once, and leaves no trace.
//!
//! They go straight to the functions' Deno processes: a gateway would tidy some of them up.

mod bad;
mod bodies;
mod credentials;
mod notifications;
mod transport;

use futures_util::future::join_all;
use serde_json::Value;
use system_tests::{FUNCTIONS, until};

use crate::case::cases;
use crate::hostile::bad::Cast;
use crate::notification::Notification;
use crate::scene::Scene;
use crate::standalone::Standalone;

cases! {
    shared: [a_valid_token_does_not_reach_the_channel_of_another_connection,],
    alone: [no_bad_request_is_slow_changes_a_row_or_answers_5xx,],
}

async fn no_bad_request_is_slow_changes_a_row_or_answers_5xx(scene: &mut Scene) {
    let scene = &*scene;
    let cast = Cast::new(scene).await;
    let rows =
        [notifications::rows(&cast), bodies::rows(&cast), credentials::rows(&cast), transport::rows(&cast)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>();
    assert!(rows.len() > 1400, "{}", rows.len());

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
    scene.change_silently(&attacker).await;
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
