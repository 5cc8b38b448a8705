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
            last_sync_at: Some(1_000_000_000_000.0),
            sync_error: None,
            has_looks: true,
        }
    }
}

#[cfg(test)]
mod tests {
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
}
