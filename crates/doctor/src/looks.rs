//! Whether calendars are looked at in time, though Google is silent, and whether looks find what Google should have
//! told.

use adapters::timestamp::{format_timestamp, parse_timestamp};
use chrono::TimeDelta;
use protocol::schedule::{LOOKS_PER_SWEEP, MOST_PARTS, RENEWAL_IS_LATE, RENEWALS_PER_SWEEP};
use serde_json::Value as Json;

use crate::check::{Affected, Check, Id, count};
use crate::health::{Health, Looks, NAMED, duration};

/// So many sweeps' looks may wait: with one sweep a minute, none waits longer than that many minutes.
const SWEEPS: u64 = 10;
/// A calendar that has been due for longer when a sweep ends was passed over by it, however seldom sweeps are made.
const LONG: TimeDelta = TimeDelta::minutes(30);
/// Google does not guarantee notifications: fewer missing ones within a day are no fault, nor is a smaller share of the
/// looks.
const MISSED: u64 = 3;
const LOOKS_PER_MISSED: u64 = 20;

/// `rows` reads from the Data API.
pub fn read(health: &Health, rows: impl Fn(&str) -> Vec<Json>) -> Looks {
    let now = format_timestamp(health.checked_at);
    let yesterday = format_timestamp(health.checked_at - TimeDelta::hours(24));
    // As calendar_webhook_backlog counts them.
    let late = format_timestamp(health.checked_at - RENEWAL_IS_LATE);
    let due = |time: &str, filters: &str| -> Vec<_> {
        let found = rows(&format!(
            "calendar_connections?select=id,{time}&provider=eq.google&is_active=is.true&sync_enabled=not.is.false\
             &{time}=lte.{now}&webhook_lease_until=lt.{now}{filters}&order={time}&limit={NAMED}"
        ));
        let read = |row: &Json| {
            let text = |name: &str| row.get(name)?.as_str();
            Some((text("id")?.parse().ok()?, parse_timestamp(text(time)?)?))
        };
        found.iter().filter_map(read).collect()
    };
    let looks = due(
        "sync_look_at",
        &format!(
            "&sync_request_id=is.null&webhook_error=isdistinct.reconnect_required\
             &webhook_error=isdistinct.permission_missing&webhook_error=isdistinct.blocked_by_policy\
             &or=(webhook_not_before.gt.{now},webhook_not_before.lt.{late})"
        ),
    );
    // Rows of before the installation are due since 'epoch'.
    let renewals = due("webhook_not_before", "&webhook_not_before=gt.1970-01-01T00:00:00Z");
    let sweeps = rows(&format!(
        "calendar_webhook_sweeps?select=looked,missed&looked=gt.0&finished_at=gt.{yesterday}\
         &order=finished_at.desc&limit=1000"
    ));
    let sum = |name: &str| sweeps.iter().filter_map(|sweep| sweep.get(name)?.as_u64()).sum();
    Looks { due: looks, renewals, made: sum("looked"), missed: sum("missed") }
}

pub fn judge(health: &Health, looks: &Looks, schedule_is_wrong: bool) -> Vec<Check> {
    let oldest =
        looks.due.first().map(|(_, since)| format!(", the oldest for {}", duration(health.since(*since))));
    let due = format!("{} due for a look{}", count(health.due_looks, "calendar"), oldest.unwrap_or_default());
    let wrong: Vec<Check> = overdue(health, looks, &due, schedule_is_wrong)
        .into_iter()
        .chain(renewals(health, looks, schedule_is_wrong))
        .chain(missed(looks))
        .collect();
    if !wrong.is_empty() {
        return wrong;
    }
    vec![Check::ok(Id::Looks, if health.due_looks == 0 { "none due".to_owned() } else { due })]
}

fn overdue(health: &Health, looks: &Looks, due: &str, schedule_is_wrong: bool) -> Option<Check> {
    let last_sweep = health.last_sweep.as_ref().filter(|_| !schedule_is_wrong);
    let swept_at = last_sweep.map_or(health.checked_at, |sweep| sweep.finished_at);
    let is_late = health.due_looks > 0
        && looks.due.first().is_some_and(|(_, since)| swept_at.signed_duration_since(since) > LONG);
    if !is_late && health.due_looks <= SWEEPS * LOOKS_PER_SWEEP as u64 {
        return None;
    }
    let (why, next) = if schedule_is_wrong {
        (": the sweeps do not keep up", "put the schedule right first: sweeps look at calendars".to_owned())
    } else if health.due_looks > LOOKS_PER_SWEEP as u64 {
        (
            ": the sweeps do not keep up",
            format!(
                "a sweep looks at {LOOKS_PER_SWEEP} calendars: let more sweeps run at once, with a greater `parallel` (at \
                 most {MOST_PARTS}) in schedule_calendar_webhook_refresh, or look less often, by CALENDAR_LOOK_HOURS"
            ),
        )
    } else {
        (
            ", though sweeps are made",
            "the row may refuse its update, as by a trigger of yours (the one that has been due for longest is named \
             first): in the log of refresh-calendar-webhook, `call_failed` with the transition `claim_look`, or \
             `unreadable_row`, says why"
                .to_owned(),
        )
    };
    let ids = looks.due.iter().map(|(id, _)| *id).collect();
    let check = Check::wrong(Id::Looks, "looks_overdue", format!("{due}{why}"), next);
    Some(check.about(Affected { count: health.due_looks, ids }))
}

/// While a renewal is not made, a dead channel stays dead, and a newly chosen calendar has none.
fn renewals(health: &Health, looks: &Looks, schedule_is_wrong: bool) -> Option<Check> {
    let (_, since) = looks.renewals.first().filter(|_| health.due_renewals > 0)?;
    let swept_at = health.last_sweep.as_ref().filter(|_| !schedule_is_wrong)?.finished_at;
    (swept_at.signed_duration_since(since) > LONG).then(|| {
        let due = count(health.due_renewals, "channel");
        let (why, next) = if health.due_renewals > RENEWALS_PER_SWEEP as u64 {
            (
                ": the sweeps do not keep up",
                "wait; if the number does not fall, let more sweeps run at once, with a greater `parallel` in \
                 schedule_calendar_webhook_refresh",
            )
        } else {
            (
                ", though sweeps are made",
                "the row may refuse its update, as by a trigger of yours, or hold what the functions cannot read (the one \
                 that has been due for longest is named first): in the log of refresh-calendar-webhook, `call_failed` with \
                 the transition `claim_renewal`, or `unreadable_row`, says why",
            )
        };
        let line = format!("{due} due for renewal, the oldest for {}{why}", duration(health.since(*since)));
        let ids = looks.renewals.iter().map(|(id, _)| *id).collect();
        let check = Check::wrong(Id::Looks, "renewals_overdue", line, next);
        check.about(Affected { count: health.due_renewals, ids })
    })
}

fn missed(looks: &Looks) -> Option<Check> {
    let Looks { made, missed, .. } = looks;
    (*missed >= MISSED && missed * LOOKS_PER_MISSED >= *made).then(|| {
        Check::wrong(
            Id::Looks,
            "notifications_missed",
            format!("{missed} of {made} looks within 24 hours found a change for which Google sent no notification"),
            "see in the log of google-calendar-webhook whether each notification is answered with 200 (`request`), and \
             whether a proxy or firewall before CALENDAR_WEBHOOK_URL lets a POST with an empty body through. \
             `notification_missed` in the log of refresh-calendar-webhook names connection and channel",
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::health::{Sweep, healthy};

    /// Judges that many due calendars, the oldest for so long, after a sweep so long ago (in minutes).
    fn due(number: u64, oldest: i64, swept: i64, schedule_is_wrong: bool) -> Check {
        let mut health = Health { due_looks: number, ..healthy() };
        let ago = |minutes| health.checked_at - TimeDelta::minutes(minutes);
        let looks = Looks { due: vec![(Uuid::nil(), ago(oldest))], ..Looks::default() };
        health.last_sweep = Some(Sweep { finished_at: ago(swept), remaining: 0 });
        judge(&health, &looks, schedule_is_wrong).remove(0)
    }

    #[test]
    fn looks_may_wait_for_some_sweeps_but_not_for_many_nor_for_long() {
        for (number, oldest, swept, schedule_is_wrong, line, next) in [
            (500, 30, 0, true, "500 calendars due for a look, the oldest for 30 min", None),
            (1, 31, 0, false, "the oldest for 31 min, though sweeps are made", Some("claim_look")),
            (50, 1800, 0, false, "the oldest for 1 d 6 h, though sweeps are made", Some("claim_look")),
            (51, 31, 0, false, "the oldest for 31 min: the sweeps do not keep up", Some("`parallel`")),
            (1, 31, 0, true, "the oldest for 31 min: the sweeps do not keep up", Some("the schedule")),
            // A sweep an hour finds calendars that are due for as long.
            (1, 59, 29, false, "1 calendar due for a look, the oldest for 59 min", None),
            (1, 60, 29, false, "the oldest for 1 h, though sweeps are made", Some("claim_look")),
            (1, 31, 31, true, "the oldest for 31 min: the sweeps do not keep up", Some("the schedule")),
            (501, 1, 0, true, "501 calendars due for a look, the oldest for 1 min: ", Some("the schedule")),
            (501, 1, 0, false, "501 calendars due for a look, the oldest for 1 min: ", Some("parallel")),
        ] {
            let check = due(number, oldest, swept, schedule_is_wrong);
            assert!(check.line.contains(line), "{check:?}");
            match next {
                None => assert_eq!((check.next, check.line.as_str()), (None, line)),
                Some(says) => assert!(check.next.as_ref().unwrap().contains(says), "{check:?}"),
            }
        }
        let affected = due(2, 31, 0, false).affected.unwrap();
        assert_eq!(affected, Affected { count: 2, ids: vec![Uuid::nil()] });
    }

    #[test]
    fn renewals_are_made_within_half_an_hour() {
        for (number, minutes, schedule_is_wrong, why) in [
            (0, 31, false, None),
            (2, 30, false, None),
            (200, 31, false, Some(", though sweeps are made")),
            (201, 31, false, Some(": the sweeps do not keep up")),
            (2, 31, true, None),
        ] {
            let mut health = Health { due_renewals: number, ..healthy() };
            health.last_sweep = Some(Sweep { finished_at: health.checked_at, remaining: 0 });
            let renewals = vec![(Uuid::nil(), health.checked_at - TimeDelta::minutes(minutes))];
            let check = judge(&health, &Looks { renewals, ..Looks::default() }, schedule_is_wrong).remove(0);
            assert_eq!(check.next.is_some(), why.is_some(), "{check:?}");
            if let Some(why) = why {
                let line = format!("{number} channels due for renewal, the oldest for 31 min{why}");
                assert_eq!((check.line, check.affected.unwrap().count), (line, number));
            }
        }
    }

    #[test]
    fn notifications_may_be_missed_but_not_often() {
        for (missed, made, is_wrong) in
            [(0, 0, false), (2, 2, false), (3, 3, true), (3, 60, true), (3, 61, false), (10, 199, true)]
        {
            let checks = judge(&healthy(), &Looks { made, missed, ..Looks::default() }, false);
            assert_eq!(
                checks[0].code.as_deref() == Some("notifications_missed"),
                is_wrong,
                "{missed} {made}"
            );
            assert!(is_wrong || checks == [Check::ok(Id::Looks, "none due")], "{checks:?}");
        }
    }

    #[test]
    fn rows_are_summed_up_and_others_left_out() {
        let due =
            [json!({ "id": Uuid::nil(), "sync_look_at": "2026-11-22T11:00:00+00:00" }), json!({ "id": "?" })];
        let sweeps = [
            json!({ "looked": 40, "missed": 2 }),
            json!({ "looked": 2, "missed": 1 }),
            json!({ "looked": null }),
        ];
        let rows = |path: &str| {
            if path.starts_with("calendar_webhook_sweeps") { sweeps.to_vec() } else { due.to_vec() }
        };
        let looks = read(&healthy(), rows);
        assert_eq!((looks.made, looks.missed), (42, 3));
        assert_eq!(looks.due, [(Uuid::nil(), healthy().checked_at - TimeDelta::hours(1))]);
        assert_eq!(read(&healthy(), |_| vec![]).due, []);
    }
}
