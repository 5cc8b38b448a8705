//! After all trials: no secret has appeared in an answer, in a log, or in the address of a request.

use std::sync::Weak;
use std::time::Duration;

use libtest_mimic::Failed;
use tokio::time::sleep;

use crate::shared_stack::SharedStack;

pub(crate) const NAME: &str = "secrets::no_secret_appears_in_any_answer_log_or_address";

/// Shorter ones would be found by chance.
const SHORTEST: usize = 12;

pub(crate) async fn check(shared: &SharedStack, unfinished: Weak<()>) -> Result<(), Failed> {
    while unfinished.strong_count() > 0 {
        sleep(Duration::from_millis(50)).await;
    }
    let logs = shared.logs().await?;
    let mut places: Vec<(String, String)> =
        logs.map(|(function, log)| (format!("the log of {function}"), log)).into();
    for (name, log) in &places {
        assert!(!log.is_empty(), "{name} is empty");
    }
    let heard = shared.backdrop.heard.lock().unwrap().join("\n");
    places.push(("an answer".to_owned(), heard));
    let addresses: Vec<String> =
        shared.backdrop.tap.asked(|_| true).into_iter().map(|asked| asked.uri).collect();
    places.push(("an address".to_owned(), addresses.join("\n")));

    let secrets = shared.backdrop.secrets.lock().unwrap();
    let mut leaks = Vec::new();
    for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST) {
        for (place, text) in &places {
            let line = text.lines().find(|line| line.contains(secret.as_str()));
            leaks.extend(line.map(|line| format!("{place} holds {secret}: {line}")));
        }
    }
    if leaks.is_empty() { Ok(()) } else { Err(leaks.join("\n").into()) }
}
