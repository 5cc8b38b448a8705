//! After all trials: no secret has appeared in an answer, in a log, or in the address of a request.

use std::sync::{Arc, Weak};
use std::time::Duration;

use libtest_mimic::Failed;
use tokio::time::sleep;

use crate::scene::FUNCTIONS;
use crate::world::World;

pub(crate) const NAME: &str = "secrets::no_secret_appears_in_any_answer_log_or_address";

/// Shorter ones would be found by chance.
const SHORTEST: usize = 12;

pub(crate) async fn check(world: Arc<World>, unfinished: Weak<()>) -> Result<(), Failed> {
    while unfinished.strong_count() > 0 {
        sleep(Duration::from_millis(50)).await;
    }
    let stack = world.stack.read().await;
    let stack = stack.as_ref().ok_or("the stack has been stopped")?;
    let mut places: Vec<(String, String)> =
        FUNCTIONS.map(|function| (format!("the log of {function}"), stack.function_log(function))).into();
    for (name, log) in &places {
        assert!(!log.is_empty(), "{name} is empty");
    }
    let heard = world.heard.lock().unwrap().join("\n");
    places.push(("an answer".to_owned(), heard));
    let addresses: Vec<String> = world.tap.asked(|_| true).into_iter().map(|asked| asked.uri).collect();
    places.push(("an address".to_owned(), addresses.join("\n")));

    let secrets = world.secrets.lock().unwrap();
    let mut leaks = Vec::new();
    for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST) {
        for (place, text) in &places {
            let line = text.lines().find(|line| line.contains(secret.as_str()));
            leaks.extend(line.map(|line| format!("{place} holds {secret}: {line}")));
        }
    }
    if leaks.is_empty() { Ok(()) } else { Err(leaks.join("\n").into()) }
}
