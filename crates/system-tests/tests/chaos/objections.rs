//! The judge objects: each promise is broken in a made-up history that is otherwise good.

use anyhow::{Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use system_tests::{Channel, Connection, Run};
use uuid::Uuid;

use crate::history::{Delivery, History, State};
use crate::judgement::{Promise, judge, judge_channels};
use crate::population::{Habit, Inhabitant};

/// What breaks a promise.
type Spoil = fn(&mut History);

const EMAIL: &str = "somebody@gmail.com";

const SPOILS: [(Promise, Spoil); 19] = [
    (Promise::ChangeIsRun, |history| history.runs.truncate(1)),
    (Promise::ChangeIsRequested, |history| history.notifications[0].queued_at = second(14)),
    (Promise::RequestIsKept, |history| history.runs[1].status = Some(500)),
    (Promise::RequestIsKept, |history| history.runs[1].started_at = second(9)),
    (Promise::ChannelIsRun, |history| history.states[7].request = history.states[6].request),
    (Promise::OneRunAtATime, |history| history.runs[1].finished_at = Some(second(23))),
    (Promise::OnlyTheAffected, |history| history.runs[1].user_id = Uuid::from_u128(99)),
    (Promise::OnlyTheAffected, |history| history.inhabitant.habit = Habit::Quiet),
    (Promise::OnlyTheLive, |history| history.states.iter_mut().for_each(|state| state.live = false)),
    (Promise::OneChannel, |history| history.channels[0].state = "live".to_owned()),
    (Promise::CurrentIsNotStopped, |history| history.channels[0].stopped_at = Some(second(20))),
    (Promise::NothingIsOwed, |history| history.states[10].request = Some(Uuid::from_u128(4))),
    (Promise::SessionIsPlaced, |history| history.events = vec![history.session]),
    (Promise::SessionIsPlaced, |history| history.written = vec![history.session]),
    (Promise::SessionIsPlaced, |history| history.inhabitant.writes = true),
    (Promise::RequestIsKept, |history| history.looks.clear()),
    (Promise::RequestIsKept, |history| history.looks[0] = second(29)),
    (Promise::RequestIsKept, |history| history.states[10].seen = Some("else".to_owned())),
    (Promise::RequestIsKept, |history| history.states[8..].iter_mut().for_each(|state| state.seen = None)),
];

pub(crate) fn every_broken_promise_is_noticed() -> Result<()> {
    let objections = |history: &History| [judge(history), judge_channels(history)].concat();
    let good = objections(&good());
    ensure!(good.is_empty(), "a good history is objected to: {good:?}");
    for (number, (promise, spoil)) in SPOILS.into_iter().enumerate() {
        let mut history = self::good();
        spoil(&mut history);
        let found = objections(&history);
        ensure!(
            found.iter().any(|violation| violation.promise == promise),
            "{promise:?} is broken by number {number}, and only this found: {found:?}"
        );
    }
    Ok(())
}

fn second(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

/// A channel is opened, a change notified, and the channel renewed; a run follows each time. What is asked for after
/// that is settled by a look.
fn good() -> History {
    let [id, user] = [1, 2].map(Uuid::from_u128);
    let state = |at, channel: Option<&str>, pending: Option<&str>, request: Option<u128>, last_sync| State {
        at: second(at),
        live: true,
        channel: channel.map(str::to_owned),
        pending: pending.map(str::to_owned),
        request: request.map(Uuid::from_u128),
        last_sync_at: Option::map(last_sync, second),
        seen: last_sync.filter(|at| *at >= 23).map(|_| "the calendar".to_owned()),
        streak: 0,
    };
    let run = |request, started_at, reason: &str| Run {
        connection_id: id,
        user_id: user,
        request_id: Uuid::from_u128(request),
        reason: reason.to_owned(),
        started_at: second(started_at),
        finished_at: Some(second(started_at + 1)),
        status: Some(200),
        overlapped: false,
    };
    let channel = |id: &str, opened_at, stopped_at: Option<i64>| Channel {
        id: id.to_owned(),
        email: EMAIL.to_owned(),
        calendar_id: EMAIL.to_owned(),
        address: String::new(),
        resource_id: String::new(),
        token: None,
        opened_at: second(opened_at),
        expiration: second(1_000),
        stopped_at: stopped_at.map(second),
        state: if stopped_at.is_some() { "stopped" } else { "live" }.to_owned(),
        last_message_number: 1,
    };
    let preferred = second(86_400);
    History {
        inhabitant: Inhabitant {
            connection: Connection {
                id,
                user,
                email: EMAIL.to_owned(),
                token: String::new(),
                token_hash: String::new(),
                calendar_token: String::new(),
            },
            habit: Habit::Busy,
            writes: false,
            preferred,
        },
        states: vec![
            state(0, None, None, None, None),
            state(1, None, Some("first"), None, None),
            state(3, Some("first"), None, Some(1), None),
            state(5, Some("first"), None, None, Some(5)),
            state(11, Some("first"), None, Some(2), Some(5)),
            state(13, Some("first"), None, None, Some(13)),
            state(19, Some("first"), Some("second"), None, Some(13)),
            state(21, Some("second"), None, Some(3), Some(13)),
            state(23, Some("second"), None, None, Some(23)),
            state(30, Some("second"), None, Some(4), Some(23)),
            state(32, Some("second"), None, None, Some(32)),
        ],
        runs: vec![run(1, 4, "channel_opened"), run(2, 12, "calendar_changed"), run(3, 22, "channel_opened")],
        channels: vec![channel("first", 2, Some(22)), channel("second", 20, None)],
        notifications: vec![Delivery {
            channel_id: "first".to_owned(),
            message_number: 2,
            resource_state: "exists".to_owned(),
            queued_at: second(10),
            attempts: 1,
            status: Some(200),
            at: second(10),
            duration_ms: 1_500,
        }],
        session: (preferred, preferred + TimeDelta::hours(1)),
        looks: vec![second(31), second(1)],
        lost_leases: 0,
        events: Vec::new(),
        written: Vec::new(),
    }
}
