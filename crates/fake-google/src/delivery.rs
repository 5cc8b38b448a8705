//! Notifications on their way: one task a channel, and how often each is tried.

use reqwest::RequestBuilder;
use reqwest::header::CONTENT_LENGTH;
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use crate::model::channel::Channel;
use crate::model::clock::now;
use crate::model::google::Google;
use crate::model::message::Message;
use crate::model::record::Delivery;
use crate::state::Shared;

/// Starts the delivery task of a channel; it ends when the channel is forgotten.
pub(crate) fn open(state: &Shared, channel: Uuid) -> mpsc::UnboundedSender<Message> {
    let (outbox, mut messages) = mpsc::unbounded_channel::<Message>();
    let state = state.clone();
    tokio::spawn(async move {
        while let Some(mut message) = messages.recv().await {
            tokio::time::sleep_until(message.due).await;
            let answered = message.answered.take();
            let sending = Sending { state: state.clone(), channel, message, key: Uuid::new_v4() };
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
    state: Shared,
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
        let mut pause = self.state.config.retry_base;
        for number in 2..=self.state.config.delivery_attempts {
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2);
            if self.attempt(number).await == Outcome::Over {
                return;
            }
        }
    }

    async fn attempt(&self, attempts: u32) -> Outcome {
        let message = &self.message;
        let (channel_id, request) = match self.channel(&self.state.lock()) {
            Some(channel) if message.forced || channel.is_live() => {
                (channel.id.clone(), request(&self.state, channel, message))
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
        let mut google = self.state.lock();
        if self.channel(&google).is_none() {
            return Outcome::Over;
        }
        match google.deliveries.iter_mut().rev().find(|delivery| delivery.key == self.key) {
            Some(known) => *known = delivery,
            None => google.deliveries.push(delivery),
        }
        match status {
            None | Some(500 | 502 | 503 | 504) => Outcome::Retry,
            Some(_) => Outcome::Over,
        }
    }

    /// By key and not by id, which is free again after a reset.
    fn channel<'a>(&self, google: &'a Google) -> Option<&'a Channel> {
        google.channels.iter().find(|channel| channel.key == self.channel)
    }
}

fn request(state: &Shared, channel: &Channel, message: &Message) -> RequestBuilder {
    let expiration = channel.expiration.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let request = state
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
