//! Which notifications are sent, and in which order.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::model::channel::Channel;
use crate::model::google::Google;
use crate::model::message::Message;
use crate::model::rule::{Fate, Rule, SyncOrder};

/// Numbers grow by 1 to this much.
const LARGEST_GAP: u64 = 4;

/// Queues the `sync` message of a channel just made. → what to wait for before `watch` is answered.
pub(crate) fn announce(
    channel: &mut Channel,
    rules: &BTreeMap<Option<String>, Rule>,
    usual_delay: Duration,
) -> Option<oneshot::Receiver<()>> {
    channel.last_message_number = 1;
    let rule = rules.get(&Some(channel.email.clone())).or_else(|| rules.get(&None));
    let order = rule.map_or(SyncOrder::After, |rule| rule.sync);
    let delay = match (rule.and_then(|rule| rule.sync_delay_ms), order) {
        (Some(milliseconds), _) => Duration::from_millis(milliseconds),
        (None, SyncOrder::After) => usual_delay,
        (None, _) => Duration::ZERO,
    };
    let message = Message::new(1, "sync", delay);
    match order {
        SyncOrder::Dropped => None,
        SyncOrder::After => {
            queue(channel, message);
            None
        }
        SyncOrder::Before => {
            let (answered, wait) = oneshot::channel();
            queue(channel, Message { answered: Some(answered), ..message });
            Some(wait)
        }
    }
}

/// Something in the calendar has changed.
pub(crate) fn notify_change(google: &mut Google, calendar_id: &str) {
    let Google { channels, rules, .. } = google;
    let mut fates = BTreeMap::new();
    for channel in
        channels.iter_mut().filter(|channel| channel.calendar_id == calendar_id && channel.is_live())
    {
        let own = Some(channel.email.clone());
        let key = if rules.contains_key(&own) { own } else { None };
        let number = next_number(channel);
        let Some(rule) = rules.get_mut(&key) else {
            queue(channel, Message::new(number, "exists", Duration::ZERO));
            continue;
        };
        let delay = Duration::from_millis(rule.delay_ms);
        match *fates.entry(key).or_insert_with(|| rule.judge()) {
            Fate::Drop => {}
            Fate::Hold => rule.held.push((channel.key, Message::new(number, "exists", delay))),
            Fate::Send { copies } => {
                (0..copies).for_each(|_| queue(channel, Message::new(number, "exists", delay)));
            }
        }
    }
    for rule in rules.values_mut().filter(|rule| rule.reorder == 0) {
        release(rule, channels);
    }
}

/// One more notification, whatever state the channel is in. → its number.
pub(crate) fn notify_anyway(channel: &mut Channel, resource_state: &str, number: Option<u64>) -> u64 {
    let number = number.unwrap_or_else(|| next_number(channel));
    channel.last_message_number = channel.last_message_number.max(number);
    queue(channel, Message { forced: true, ..Message::new(number, resource_state, Duration::ZERO) });
    number
}

/// Sends what was held, newest first.
pub(crate) fn release(rule: &mut Rule, channels: &[Channel]) {
    for (key, message) in rule.held.drain(..).rev() {
        if let Some(channel) = channels.iter().find(|channel| channel.key == key) {
            queue(channel, message);
        }
    }
}

fn next_number(channel: &mut Channel) -> u64 {
    channel.last_message_number += 1 + Uuid::new_v4().as_u64_pair().0 % LARGEST_GAP;
    channel.last_message_number
}

fn queue(channel: &Channel, message: Message) {
    // Fails when the server is shutting down.
    let _ = channel.outbox.send(message);
}
