//! Where the tests have notifications sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use tokio::net::TcpListener;

#[derive(Clone, Debug)]
pub(crate) struct Notification {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) at: Instant,
}

impl Notification {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn number(&self) -> u64 {
        self.header("x-goog-message-number").parse().unwrap()
    }
}

#[derive(Default)]
struct Inbox {
    received: Vec<Notification>,
    /// Statuses of the next answers; then 200.
    answers: VecDeque<u16>,
}

pub(crate) struct Receiver {
    pub(crate) url: String,
    inbox: Arc<Mutex<Inbox>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let inbox = Arc::<Mutex<Inbox>>::default();
        let router = Router::new().fallback(receive).with_state(inbox.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, inbox }
    }

    pub(crate) fn answer_with(&self, statuses: impl IntoIterator<Item = u16>) {
        self.inbox.lock().unwrap().answers.extend(statuses);
    }

    /// All that has arrived on this channel so far.
    pub(crate) fn received(&self, channel_id: &str) -> Vec<Notification> {
        let inbox = self.inbox.lock().unwrap();
        let of_channel =
            |notification: &&Notification| notification.header("x-goog-channel-id") == channel_id;
        inbox.received.iter().filter(of_channel).cloned().collect()
    }

    /// Waits until this many have arrived on this channel.
    pub(crate) async fn of_channel(&self, channel_id: &str, count: usize) -> Vec<Notification> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let received = self.received(channel_id);
            if received.len() >= count {
                return received;
            }
            assert!(Instant::now() < deadline, "{count} notifications wanted on {channel_id}: {received:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn receive(State(inbox): State<Arc<Mutex<Inbox>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut inbox = inbox.lock().unwrap();
    inbox.received.push(Notification { headers, body, at: Instant::now() });
    StatusCode::from_u16(inbox.answers.pop_front().unwrap_or(200)).unwrap()
}
