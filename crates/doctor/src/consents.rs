//! How long consents live: while the OAuth consent screen is in "Testing", Google ends every consent after seven days.

use std::collections::{BTreeMap, BTreeSet};

use adapters::timestamp::parse_timestamp;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value as Json;
use uuid::Uuid;

/// The connections whose consent died because of "Testing", by the log of all connections and by those that are `well`
/// at a time: none where fewer than two consents died about seven days after they were given, or where even one lived
/// longer.
pub fn ended_by_testing(events: &[Json], well: &[Uuid], at: DateTime<Utc>) -> BTreeSet<Uuid> {
    // That a consent has died is noticed within hours.
    let about_a_week = TimeDelta::hours(6 * 24 + 12)..=TimeDelta::days(8);
    let mut log: Vec<_> = events.iter().filter_map(parse_event).collect();
    log.sort_by_key(|(at, ..)| *at);
    let first = log.first().map_or(at, |(at, ..)| *at);

    // When the consent of each connection was given; none once it has died, or may have.
    let mut given = BTreeMap::new();
    let mut longest = TimeDelta::zero();
    let mut deaths = 0;
    let mut ended = BTreeSet::new();
    for (at, connection, died) in log {
        let Some(word) = died else {
            given.insert(connection, Some(at));
            ended.remove(&connection);
            continue;
        };
        // It may have been given before the log began; and its death may be told twice.
        let before = given.insert(connection, None);
        let lived = before.unwrap_or(Some(first)).map_or(TimeDelta::zero(), |given| at - given);
        longest = longest.max(lived);
        if before.is_some() && word == "invalid_grant" && about_a_week.contains(&lived) {
            deaths += 1;
            ended.insert(connection);
        }
    }
    let living = well.iter().filter_map(|connection| *given.get(connection).unwrap_or(&Some(first)));
    longest = living.map(|given| at - given).fold(longest, TimeDelta::max);
    if deaths > 1 && longest <= *about_a_week.end() { ended } else { BTreeSet::new() }
}

/// When which connection was given a consent; or lost it, with Google's word for that. Of one that is paused, Google is
/// not asked.
fn parse_event(event: &Json) -> Option<(DateTime<Utc>, Uuid, Option<&str>)> {
    let text = |name: &str| event.get(name).and_then(Json::as_str);
    let died = match (text("event")?, text("reason")) {
        ("connected" | "reconnected", _) => None,
        ("paused", _) => Some("paused"),
        ("broken", Some("reconnect_required")) => Some(text("detail").unwrap_or("invalid_grant")),
        _ => return None,
    };
    Some((parse_timestamp(text("at")?)?, text("connection_id")?.parse().ok()?, died))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    /// A consent that was given, or died for a reason, so many hours ago.
    fn event(connection: u128, died: Option<&str>, hours_ago: i64) -> Json {
        json!({
            "connection_id": Uuid::from_u128(connection),
            "at": (NOW - TimeDelta::hours(hours_ago)).to_rfc3339(),
            "event": if died.is_some() { "broken" } else { "connected" },
            "reason": died.map(|_| "reconnect_required"),
            "detail": died,
        })
    }

    fn life(connection: u128, word: &str, given: i64, died: i64) -> Vec<Json> {
        vec![event(connection, Some(word), died), event(connection, None, given)]
    }

    fn ended(events: &[Vec<Json>], well: &[u128]) -> Vec<u128> {
        let well: Vec<Uuid> = well.iter().copied().map(Uuid::from_u128).collect();
        ended_by_testing(&events.concat(), &well, NOW).iter().map(Uuid::as_u128).collect()
    }

    #[test]
    fn testing_is_said_only_if_several_died_after_a_week_and_none_lived_longer() {
        const WEEK: i64 = 7 * 24;
        // Ages in hours of consents that died, of others that died for a reason of their own, and of those that are
        // well.
        for (died, otherwise, well, expected) in [
            (&[WEEK, WEEK + 3][..], &[][..], &[][..], &[0, 1][..]),
            (&[WEEK, 8 * 24, 72, 24], &[72], &[8 * 24, 48], &[0, 1]),
            (&[160, 72, WEEK], &[WEEK], &[], &[0, 2]),
            (&[], &[], &[], &[]),
            (&[WEEK], &[], &[], &[]),
            (&[WEEK, 150], &[WEEK], &[], &[]),
            (&[24, 30 * 24], &[], &[], &[]),
            (&[WEEK, WEEK, 60 * 24], &[], &[], &[]),
            (&[WEEK, WEEK + 3, 40 * 24, 90 * 24, 24], &[], &[], &[]),
            (&[WEEK, WEEK, WEEK, 8 * 24 + 1], &[], &[], &[]),
            (&[WEEK, WEEK], &[20 * 24], &[], &[]),
            (&[WEEK, WEEK, 200 * 24], &[], &[80 * 24, 90 * 24], &[]),
            (&[WEEK, WEEK, WEEK], &[], &[30 * 24, 30 * 24], &[]),
            (&[WEEK, WEEK, WEEK], &[], &[8 * 24 + 1], &[]),
        ] {
            let dead = |id, word| move |(place, age): (u128, &i64)| life(id + place, word, age + 24, 24);
            let mut events: Vec<_> = (0..).zip(died).map(dead(0, "invalid_grant")).collect();
            events.extend((0..).zip(otherwise).map(dead(100, "invalid_rapt")));
            events.extend((200..).zip(well).map(|(id, age)| vec![event(id, None, *age)]));
            let well: Vec<u128> = (200..).take(well.len()).collect();
            assert_eq!(ended(&events, &well), expected, "{died:?} {otherwise:?} {well:?}");
        }
    }

    #[test]
    fn a_consent_that_was_given_before_the_log_began_lived_longer_than_the_log() {
        for (begins, is_longer) in [(8 * 24, false), (30 * 24, true)] {
            let mut events = [1, 2].map(|id| life(id, "invalid_grant", 180, 12)).to_vec();
            events.push(life(9, "invalid_grant", begins, begins));
            assert_eq!(ended(&events, &[]), [1, 2]);
            assert_eq!(ended(&events, &[3]).is_empty(), is_longer);
            events.push(vec![event(3, Some("invalid_grant"), 0)]);
            assert_eq!(ended(&events, &[]).is_empty(), is_longer);
        }
    }

    #[test]
    fn a_consent_dies_once_and_a_connection_is_judged_by_its_last_one() {
        let week = |id, given| life(id, "invalid_grant", given, given - 168);
        let again = vec![event(1, Some("invalid_grant"), 24)];
        assert_eq!(ended(&[week(1, 480), week(1, 216)], &[]), [1]);
        assert_eq!(ended(&[week(1, 480), again.clone(), week(2, 216)], &[]), [1, 2]);
        assert_eq!(ended(&[week(1, 480), again], &[]), [0; 0]);
        assert_eq!(ended(&[week(1, 480), life(1, "invalid_grant", 96, 48), week(2, 216)], &[]), [2]);
    }

    #[test]
    fn a_consent_that_died_while_nobody_asked_tells_nothing() {
        let paused = |hours_ago| {
            let mut event = event(3, None, hours_ago);
            event["event"] = json!("paused");
            vec![event]
        };
        for (given, paused_at, expected) in [(480, 400, &[1, 2][..]), (480, 280, &[])] {
            let mut events = [1, 2].map(|id| life(id, "invalid_grant", 180, 12)).to_vec();
            events.extend([vec![event(3, None, given)], paused(paused_at)]);
            assert_eq!(ended(&events, &[3]), expected);
            events.push(vec![event(3, Some("invalid_grant"), 24)]);
            assert_eq!(ended(&events, &[]), expected);
        }
    }
}
