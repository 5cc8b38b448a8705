//! The app's sessions as events in the watched calendar, which many apps keep there. Every such write makes Google
//! notify, also of a run that the notification before it led to.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use clap::ValueEnum;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::connected_calendar::{CalendarError, ConnectedCalendar, Event, Slot, Which, format_time};

/// How a run writes the sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum HostWrites {
    /// Not at all
    #[default]
    None,
    /// Only those that differ from what the calendar holds
    InPlace,
    /// All of them, after deleting all of them, in every run
    Recreate,
}

/// A session as a run has planned it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Planned {
    pub session: Uuid,
    pub title: String,
    pub slot: Slot,
}

/// A private extended property that all of the app's events have, and no other.
const OWN: (&str, &str) = ("app", "sessions-around-a-calendar");
/// And one that names the session, by which `recalculate-schedule` knows that it is not to make way.
const SESSION: &str = "session";

/// Whether the app has written the event itself.
fn is_own(event: &Event) -> bool {
    event.private_property(OWN.0) == Some(OWN.1)
}

/// Makes the calendar hold these sessions, in that style.
pub(crate) async fn write(
    style: HostWrites,
    calendar: &mut ConnectedCalendar<'_>,
    planned: &[Planned],
) -> Result<(), CalendarError> {
    let writes = match style {
        HostWrites::None => return Ok(()),
        HostWrites::InPlace => in_place,
        HostWrites::Recreate => recreate,
    };
    let written = own_events(calendar).await?;
    carry_out(writes(&written, planned), calendar).await
}

/// Takes the sessions out of the calendar.
pub(crate) async fn withdraw(calendar: &mut ConnectedCalendar<'_>) -> Result<(), CalendarError> {
    let written = own_events(calendar).await?;
    carry_out(recreate(&written, &[]), calendar).await
}

async fn own_events(calendar: &mut ConnectedCalendar<'_>) -> Result<Vec<Event>, CalendarError> {
    calendar.events(Which::With(&format!("{}={}", OWN.0, OWN.1))).await
}

#[derive(Debug, PartialEq)]
enum Write<'a> {
    Delete(&'a str),
    Patch(&'a str, Value),
    Insert(Value),
}

async fn carry_out(
    writes: Vec<Write<'_>>,
    calendar: &mut ConnectedCalendar<'_>,
) -> Result<(), CalendarError> {
    for write in writes {
        match write {
            Write::Insert(event) => drop(calendar.insert::<Value>(&event).await?),
            Write::Patch(id, change) => unless_gone(calendar.patch::<Value>(id, &change).await.map(drop))?,
            Write::Delete(id) => unless_gone(calendar.delete(id).await)?,
        }
    }
    Ok(())
}

/// The user may have deleted the event meanwhile; of that Google notifies.
fn unless_gone(result: Result<(), CalendarError>) -> Result<(), CalendarError> {
    match result {
        Err(CalendarError::Refused(StatusCode::NOT_FOUND | StatusCode::GONE)) => Ok(()),
        result => result,
    }
}

/// Only what differs.
fn in_place<'a>(written: &'a [Event], planned: &[Planned]) -> Vec<Write<'a>> {
    let mut of_session: HashMap<Uuid, &Event> = HashMap::new();
    for event in written {
        if let Some(session) = session_of(event) {
            of_session.entry(session).or_insert(event);
        }
    }
    let mut writes = Vec::new();
    let mut kept = HashSet::new();
    for session in planned {
        let Some(event) = of_session.get(&session.session) else {
            writes.push(Write::Insert(resource(session)));
            continue;
        };
        kept.insert(event.id.as_str());
        if event.slot() != Some(session.slot) || event.summary != session.title {
            writes.push(Write::Patch(&event.id, resource(session)));
        }
    }
    let left = written.iter().filter(|event| !kept.contains(event.id.as_str()));
    writes.extend(left.map(|event| Write::Delete(&event.id)));
    writes
}

/// Everything anew, whatever is there.
fn recreate<'a>(written: &'a [Event], planned: &[Planned]) -> Vec<Write<'a>> {
    let deleted = written.iter().map(|event| Write::Delete(&event.id));
    deleted.chain(planned.iter().map(|session| Write::Insert(resource(session)))).collect()
}

/// The session that an event of the app's own stands for.
pub(crate) fn session_of(event: &Event) -> Option<Uuid> {
    event.private_property(SESSION).filter(|_| is_own(event))?.parse().ok()
}

/// Always the same of the same session: an event that is deleted and written anew says what it said before.
fn resource(session: &Planned) -> Value {
    let time = |time: DateTime<Utc>| json!({ "dateTime": format_time(time), "timeZone": "UTC" });
    json!({
        "summary": session.title,
        "start": time(session.slot.start),
        "end": time(session.slot.end),
        "extendedProperties": { "private": { OWN.0: OWN.1, SESSION: session.session } },
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn planned(session: u128, title: &str, hour: i64) -> Planned {
        let start = DateTime::UNIX_EPOCH + TimeDelta::hours(hour);
        let slot = Slot { start, end: start + TimeDelta::hours(1) };
        Planned { session: Uuid::from_u128(session), title: title.to_owned(), slot }
    }

    /// An event as Google lists it after a session was written.
    fn event(id: &str, session: &Planned) -> Event {
        let mut event = resource(session);
        event["id"] = json!(id);
        event["status"] = json!("confirmed");
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn own_events_are_known_by_a_private_property() {
        assert!(is_own(&event("a", &planned(1, "Run", 9))));
        for event in [
            json!({ "summary": "Run" }),
            json!({ "extendedProperties": { "private": { "session": "1" } } }),
            json!({ "extendedProperties": { "shared": { OWN.0: OWN.1 } } }),
        ] {
            assert!(!is_own(&serde_json::from_value(event.clone()).unwrap()), "{event}");
        }
    }

    #[test]
    fn in_place_only_what_differs_is_written() {
        let (run, talk) = (planned(1, "Run", 9), planned(2, "Talk", 14));
        let written = [event("a", &run), event("b", &talk)];
        assert_eq!(in_place(&written, &[run.clone(), talk.clone()]), []);

        let moved = planned(1, "Run", 10);
        let renamed = planned(2, "Write the talk", 14);
        assert_eq!(
            in_place(&written, &[moved.clone(), renamed.clone()]),
            [Write::Patch("a", resource(&moved)), Write::Patch("b", resource(&renamed))]
        );

        let new = planned(3, "Read", 16);
        assert_eq!(
            in_place(&written, &[talk.clone(), new.clone()]),
            [Write::Insert(resource(&new)), Write::Delete("a")]
        );

        // Two runs at once may have written one session twice.
        let twice = [event("a", &run), event("b", &run)];
        assert_eq!(in_place(&twice, &[run]), [Write::Delete("b")]);
    }

    #[test]
    fn recreated_everything_is_written_anew_with_the_same_content() {
        let run = planned(1, "Run", 9);
        let written = [event("a", &run)];
        assert_eq!(
            recreate(&written, std::slice::from_ref(&run)),
            [Write::Delete("a"), Write::Insert(resource(&run))]
        );
        assert_eq!(recreate(&written, &[]), [Write::Delete("a")]);
    }
}
