//! A row of the view `calendar_connection_status`, which alone decides a status.

/// Milliseconds since 1970, as `Date.now()` tells them.
pub(crate) type Millis = f64;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Connection {
    pub(crate) id: String,
    /// `None` is the user's primary calendar.
    pub(crate) calendar_id: Option<String>,
    /// Google's, once the calendar has been looked at.
    pub(crate) calendar_name: Option<String>,
    pub(crate) status: Status,
    pub(crate) webhook_expiration: Option<Millis>,
    pub(crate) webhook_error: Option<String>,
    /// Google's own word for it.
    pub(crate) webhook_error_reason: Option<String>,
    pub(crate) webhook_notified_at: Option<Millis>,
    pub(crate) sync_status: SyncStatus,
    pub(crate) last_sync_at: Option<Millis>,
    pub(crate) sync_error: Option<String>,
    /// Whether the server looks at calendars: the first edition, whose view has fewer columns, waited for Google alone.
    pub(crate) has_looks: bool,
}

impl Connection {
    /// Whether looks do what Google, which sends no notifications for this calendar, does for others.
    pub(crate) fn is_looked_at(&self) -> bool {
        self.has_looks
            && self.status == Status::Unsupported
            && self.webhook_error.as_deref() == Some("push_not_supported")
    }

    /// Whether the status is good, but the last look or run is more than two days old. Looks come at least daily.
    pub(crate) fn is_unchecked(&self, now: Millis) -> bool {
        const TOO_LONG: Millis = 2.0 * 24.0 * 3_600_000.0;
        let is_well = matches!(self.status, Status::Active | Status::Expiring) || self.is_looked_at();
        let is_idle = self.sync_status == SyncStatus::Idle;
        self.has_looks
            && is_well
            && is_idle
            && self.last_sync_at.is_some_and(|checked| now - checked > TOO_LONG)
    }

    /// Whether only the user's consent, or another choice of theirs, leads out of its status.
    pub(crate) fn awaits_consent(&self) -> bool {
        matches!(self.status, Status::ReconnectRequired | Status::Unsupported | Status::Disconnected)
            && !self.is_looked_at()
    }
}

/// Variants and their names, in one table.
macro_rules! named {
    ($(#[$meta:meta])* $type:ident { $($variant:ident = $name:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $type { $($variant,)* }

        impl $type {
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)*];

            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            pub(crate) fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.name() == name)
            }
        }
    };
}
pub(crate) use named;

named! {
    Status {
        Active = "active",
        Expiring = "expiring",
        Expired = "expired",
        Unconfirmed = "unconfirmed",
        ReconnectRequired = "reconnect_required",
        Unsupported = "unsupported",
        Paused = "paused",
        Disconnected = "disconnected",
        NotSetUp = "not_set_up",
    }
}

impl Status {
    /// Whether Google is, or should be, telling of changes.
    pub(crate) const fn is_live(self) -> bool {
        !matches!(self, Self::Paused | Self::Disconnected)
    }
}

named! {
    SyncStatus {
        Idle = "idle",
        Pending = "pending",
        Failing = "failing",
    }
}

/// A row of the table `calendar_connection_events`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) event: EventKind,
    pub(crate) at: Millis,
    /// Of what is broken: the code, and Google's own word.
    pub(crate) reason: Option<String>,
    pub(crate) detail: Option<String>,
}

named! {
    EventKind {
        Connected = "connected",
        Broken = "broken",
        Healed = "healed",
        Paused = "paused",
        Resumed = "resumed",
        Disconnected = "disconnected",
        Reconnected = "reconnected",
    }
}

/// PostgreSQL's way to print a time, made into one that every browser's `Date.parse` reads: a `T` in the middle
/// and minutes in the offset.
pub(crate) fn iso_8601(time: &str) -> String {
    let mut iso = time.replacen(' ', "T", 1);
    let offset = iso.len().checked_sub(3).and_then(|at| iso.as_bytes().get(at));
    if iso.contains('T') && matches!(offset, Some(b'+' | b'-')) {
        iso.push_str(":00");
    }
    iso
}

#[cfg(test)]
impl Connection {
    /// Nothing is wrong with it, its status aside.
    pub(crate) fn example(id: &str, status: Status) -> Self {
        Self {
            id: id.to_owned(),
            calendar_id: None,
            calendar_name: None,
            status,
            webhook_expiration: Some(2_000_000_000_000.0),
            webhook_error: None,
            webhook_error_reason: None,
            webhook_notified_at: Some(1_000_000_000_000.0),
            sync_status: SyncStatus::Idle,
            last_sync_at: Some(1_499_999_940_000.0),
            sync_error: None,
            has_looks: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;

    use super::*;

    #[test]
    fn times_of_postgresql_and_postgrest_become_iso_8601() {
        for (time, iso) in [
            ("2026-01-02T03:04:05.678901+00:00", "2026-01-02T03:04:05.678901+00:00"),
            ("2026-01-02 03:04:05+00", "2026-01-02T03:04:05+00:00"),
            ("2026-01-02 03:04:05.5-07", "2026-01-02T03:04:05.5-07:00"),
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
            ("2026-01-02", "2026-01-02"),
            ("infinity", "infinity"),
            ("", ""),
        ] {
            assert_eq!(iso_8601(time), iso);
        }
    }

    #[test]
    fn a_status_is_parsed_by_the_name_that_the_view_gives_it() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.name()), Some(*status));
        }
        assert_eq!(Status::parse("not set up"), None);
    }

    /// What stands between the first `start` and the `end` that follows it.
    fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
        Some(text.split_once(start)?.1.split_once(end)?.0)
    }

    /// What stands in quotes there.
    fn quoted(text: &str, quote: char) -> BTreeSet<&str> {
        text.split(quote).skip(1).step_by(2).collect()
    }

    /// The newest migration that makes the view.
    fn view() -> String {
        // Cargo runs tests in the directory of their package.
        let files = fs::read_dir("../../supabase/migrations").unwrap().map(|file| file.unwrap().path());
        let migrations: BTreeMap<_, _> =
            files.map(|file| (file.clone(), fs::read_to_string(file).unwrap())).collect();
        let views = migrations
            .values()
            .rev()
            .filter_map(|sql| between(sql, "create or replace view public.calendar_connection_status ", ";"));
        views.map(str::to_owned).next().unwrap()
    }

    /// The statuses that the view decides.
    fn statuses(view: &str) -> BTreeSet<&str> {
        let cases = between(view, "    case\n", "\n    end as status,").unwrap();
        let outcomes = cases.split(&[' ', '\n'][..]).zip(cases.split(&[' ', '\n'][..]).skip(1));
        let outcomes = outcomes.filter(|(word, _)| matches!(*word, "then" | "else"));
        outcomes.map(|(_, status)| status.trim_matches('\'')).collect()
    }

    #[test]
    fn everything_that_tells_a_status_knows_those_of_the_view_and_no_other() {
        let view = view();
        let expected = statuses(&view);
        assert!(expected.contains("active"), "{expected:?}");
        let [types, page, contract, doctor] = [
            "npm/google-calendar-integration.d.ts",
            "../sample-app/page/statuses.js",
            "../../supabase/README.md",
            "../doctor/src/connections.rs",
        ]
        .map(|path| fs::read_to_string(path).unwrap());

        let of_types = quoted(between(&types, "  status:\n", ";").unwrap(), '"');
        let entries = between(&page, "STATUSES = {", "}").unwrap().lines();
        let of_page = entries.filter_map(|line| Some(line.trim().split_once(':')?.0)).collect();
        let table = between(&contract, "| `status` | means | who acts |\n|---|---|---|\n", "\n\n").unwrap();
        let names = table.lines().filter_map(|row| row.split('|').nth(1));
        let of_contract = names.flat_map(|names| quoted(names, '`')).collect();
        // It also names codes of errors.
        let (doctor, _) = doctor.split_once("#[cfg(test)]").unwrap();
        let of_doctor = expected.iter().copied().filter(|status| doctor.contains(&format!("\"{status}\"")));

        let told: [(&str, BTreeSet<&str>); 5] = [
            ("Status", Status::ALL.iter().map(|status| status.name()).collect()),
            ("element/npm/google-calendar-integration.d.ts", of_types),
            ("sample-app/page/statuses.js", of_page),
            ("supabase/README.md", of_contract),
            ("doctor/src/connections.rs", of_doctor.collect()),
        ];
        let wrong: Vec<_> = told.into_iter().filter(|(_, statuses)| *statuses != expected).collect();
        assert!(wrong.is_empty(), "the view: {expected:?}, but {wrong:#?}");
    }
}
