//! Notifications on their way: which are sent, in which order, and how often each is tried.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::RequestBuilder;
use reqwest::header::CONTENT_LENGTH;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use crate::channels::Channel;
use crate::state::{Shared, State, now};

/// Numbers grow by 1 to this much.
const LARGEST_GAP: u64 = 4;

/// How the notifications of an account's channels are delivered.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) email: Option<String>,
    #[serde(default)]
    sync: SyncOrder,
    sync_delay_ms: Option<u64>,
    #[serde(default)]
    delay_ms: u64,
    #[serde(default)]
    duplicate: u32,
    #[serde(default)]
    drop: u32,
    #[serde(default)]
    reorder: u32,
    /// With the keys of their channels, in the order of the changes.
    #[serde(skip)]
    held: Vec<(Uuid, Message)>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SyncOrder {
    #[default]
    After,
    Before,
    Dropped,
}

#[derive(Clone, Copy)]
enum Verdict {
    Drop,
    Hold,
    Send { copies: usize },
}

impl Rule {
    /// What happens to the notifications of the next change.
    fn judge(&mut self) -> Verdict {
        if self.drop > 0 {
            self.drop -= 1;
            return Verdict::Drop;
        }
        if self.reorder > 0 {
            self.reorder -= 1;
            return Verdict::Hold;
        }
        if self.duplicate > 0 {
            self.duplicate -= 1;
            return Verdict::Send { copies: 2 };
        }
        Verdict::Send { copies: 1 }
    }
}

pub(crate) struct Message {
    number: u64,
    resource_state: String,
    queued_at: DateTime<Utc>,
    due: Instant,
    /// Sent although the channel may be stopped or expired.
    forced: bool,
    /// Told when the first attempt is over.
    answered: Option<oneshot::Sender<()>>,
}

impl Message {
    fn new(number: u64, resource_state: &str, delay: Duration) -> Self {
        let resource_state = resource_state.to_owned();
        Self {
            number,
            resource_state,
            queued_at: now(),
            due: Instant::now() + delay,
            forced: false,
            answered: None,
        }
    }
}

/// What became of one notification.
#[derive(Clone, Serialize)]
pub(crate) struct Delivery {
    #[serde(skip)]
    key: Uuid,
    pub(crate) channel_id: String,
    message_number: u64,
    resource_state: String,
    /// When what it tells of happened.
    queued_at: DateTime<Utc>,
    attempts: u32,
    /// Of the last attempt; `None` = nobody answered.
    status: Option<u16>,
    /// Start of the last attempt.
    at: DateTime<Utc>,
    duration_ms: u64,
}

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
pub(crate) fn notify_change(state: &mut State, calendar_id: &str) {
    let State { channels, rules, .. } = state;
    let mut verdicts = BTreeMap::new();
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
        match *verdicts.entry(key).or_insert_with(|| rule.judge()) {
            Verdict::Drop => {}
            Verdict::Hold => rule.held.push((channel.key, Message::new(number, "exists", delay))),
            Verdict::Send { copies } => {
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

/// Starts the delivery task of a channel; it ends when the channel is forgotten.
pub(crate) fn open(google: &Shared, channel: Uuid) -> mpsc::UnboundedSender<Message> {
    let (outbox, mut messages) = mpsc::unbounded_channel::<Message>();
    let google = google.clone();
    tokio::spawn(async move {
        while let Some(mut message) = messages.recv().await {
            tokio::time::sleep_until(message.due).await;
            let answered = message.answered.take();
            let sending = Sending { google: google.clone(), channel, message, key: Uuid::new_v4() };
            let outcome = sending.attempt(1).await;
            if let Some(answered) = answered {
                // Fails if nobody waits any more.
                let _ = answered.send(());
            }
            if outcome == Outcome::Retry {
                tokio::spawn(sending.retry());
            }
        }
    });
    outbox
}

struct Sending {
    google: Shared,
    channel: Uuid,
    message: Message,
    /// Of its entry in the log.
    key: Uuid,
}

#[derive(PartialEq, Eq)]
enum Outcome {
    Over,
    Retry,
}

impl Sending {
    async fn retry(self) {
        let mut pause = self.google.config.retry_base;
        for number in 2..=self.google.config.delivery_attempts {
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2);
            if self.attempt(number).await == Outcome::Over {
                return;
            }
        }
    }

    async fn attempt(&self, attempts: u32) -> Outcome {
        let message = &self.message;
        let (channel_id, request) = match self.channel(&self.google.lock()) {
            Some(channel) if message.forced || channel.is_live() => {
                (channel.id.clone(), request(&self.google, channel, message))
            }
            _ => return Outcome::Over,
        };
        let (at, started) = (now(), Instant::now());
        let status = request.send().await.ok().map(|response| response.status().as_u16());
        let delivery = Delivery {
            key: self.key,
            channel_id,
            message_number: message.number,
            resource_state: message.resource_state.clone(),
            queued_at: message.queued_at,
            attempts,
            status,
            at,
            duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        let mut state = self.google.lock();
        if self.channel(&state).is_none() {
            return Outcome::Over;
        }
        match state.deliveries.iter_mut().rev().find(|delivery| delivery.key == self.key) {
            Some(known) => *known = delivery,
            None => state.deliveries.push(delivery),
        }
        match status {
            None | Some(500 | 502 | 503 | 504) => Outcome::Retry,
            Some(_) => Outcome::Over,
        }
    }

    /// By key and not by id, which is free again after a reset.
    fn channel<'a>(&self, state: &'a State) -> Option<&'a Channel> {
        state.channels.iter().find(|channel| channel.key == self.channel)
    }
}

fn request(google: &Shared, channel: &Channel, message: &Message) -> RequestBuilder {
    let expiration = channel.expiration.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let request = google
        .http
        .post(&channel.address)
        .header(CONTENT_LENGTH, 0)
        .header("X-Goog-Channel-ID", &channel.id)
        .header("X-Goog-Channel-Expiration", expiration)
        .header("X-Goog-Resource-ID", &channel.resource_id)
        .header("X-Goog-Resource-URI", &channel.resource_uri)
        .header("X-Goog-Resource-State", &message.resource_state)
        .header("X-Goog-Message-Number", message.number);
    match &channel.token {
        Some(token) => request.header("X-Goog-Channel-Token", token),
        None => request,
    }
}
