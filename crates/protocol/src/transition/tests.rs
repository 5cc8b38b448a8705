//! Every step against the table in memory: the row that it takes, the changes of that row after which it takes none,
//! and the columns that it sets.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use uuid::Uuid;

use super::*;
use crate::connection::{AccessToken, RefreshToken, ResourceId, TokenHash};
use crate::failure::{RenewalFailure, Word};
use crate::look::{Anchor, CalendarName, Digest, Seen};
use crate::memory::Table;
use crate::notification::State;

const ID: ConnectionId = ConnectionId(Uuid::from_u128(1));
const ANOTHER: ConnectionId = ConnectionId(Uuid::from_u128(2));
const OLD: RequestId = RequestId(Uuid::from_u128(3));
const NEW: RequestId = RequestId(Uuid::from_u128(4));
const NULL: Value = Value::Null;
const TRUE: Value = Value::Boolean(true);
const FALSE: Value = Value::Boolean(false);
const NEVER: Timestamp = Timestamp::UNIX_EPOCH;
const DAY: i64 = 86_400;

/// So many seconds from now.
fn at(seconds: i64) -> Timestamp {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap() + TimeDelta::seconds(seconds)
}

type Columns = Vec<(Column, Value)>;

macro_rules! columns {
    ($($column:ident $value:expr),* $(,)?) => { vec![$((Column::$column, Value::from($value))),*] };
}

/// No column has a default, so that whatever a step sets shows. Times are where `<` and `<=` differ.
fn row() -> Columns {
    columns! {
        AccessToken "access", RefreshToken "consent", ExpiresAt at(60), WebhookToken "token",
        IsActive TRUE, SyncEnabled NULL, // Null is the default: enabled.
        WebhookId "current", WebhookResourceId "resource", WebhookExpiration at(DAY), WebhookOpenedAt at(-31),
        WebhookPendingId "pending", WebhookConfirmedId "confirmed", WebhookMessageNumber 5,
        WebhookLeaseUntil at(-1), WebhookNotBefore at(0), WebhookAttempts 2, WebhookError "google_rejected", WebhookErrorReason "undocumented",
        SyncRequestId OLD, SyncLeaseUntil at(-1), SyncNotBefore at(0), SyncAttempts 2, SyncStreak 1,
        SyncError "recalculate_404", LastSyncAt at(-DAY - 1), SyncSeen "before", SyncLookAt at(0),
    }
}

fn said(channel: &str, number: i64) -> Notification {
    Notification {
        channel: ChannelId::new(channel),
        token_hash: TokenHash::new("token"),
        resource: ResourceId::new("resource"),
        state: State::Change,
        number,
    }
}

fn claim(row: &Connection, trigger: Trigger) -> Update {
    claim_renewal(row, trigger, &ChannelId::new("next"), at(0), at(90), || 0)
}

fn held() -> Held {
    Held { connection: ID, lease: at(-1) }
}

/// After as many echoes as make the next run wait for 8 s.
fn success() -> Success {
    Success {
        ended_at: at(1),
        streak: 3,
        seen_before: Some("before".to_owned()),
        found: None,
        next_look: None,
    }
}

fn after_look() -> Success {
    Success { found: Some(found()), next_look: Some(at(DAY)), ..success() }
}

fn found() -> Found {
    Found {
        look: Look { size: 0, seen: seen(), calendar_name: CalendarName::parse("Work") },
        source: consent(),
    }
}

fn seen() -> Seen {
    Seen { anchor: Anchor::of_look(at(0), None), digest: Digest([7; 32]) }
}

fn pending(step: impl FnOnce(Pending<'_>) -> Update) -> Update {
    step(Pending { connection: ID, pending: &ChannelId::new("pending") })
}

fn consent() -> Source {
    Source::new("consent\nprimary")
}

fn opened() -> OpenedChannel {
    OpenedChannel { resource_id: ResourceId::new("theirs"), expiration: at(30 * DAY) }
}

fn refused(failure: RenewalFailure, reason: Option<&str>) -> Refused {
    Refused { reason: reason.and_then(Word::parse), ..failure.into() }
}

fn failed(refused: &Refused) -> Failed<'_> {
    Failed {
        told: Some(refused),
        told_before: Some("google_rejected"),
        lease_until: at(10),
        retry_at: at(30),
        look_at: None,
    }
}

fn renewed(refresh_token: Option<&str>) -> RenewedToken {
    RenewedToken {
        access_token: AccessToken::new("renewed"),
        expires_in: Duration::from_secs(3600),
        refresh_token: refresh_token.map(RefreshToken::new),
    }
}

struct Case {
    step: Update,
    /// Where the row that the step takes differs from [`row`].
    of: Columns,
    /// Each is a change of that row, which exactly one condition of the step refuses.
    unless: Columns,
    /// Every column that the step sets, and its value afterwards.
    sets: Columns,
}

macro_rules! cases {
    ($($step:expr, $(of { $($of:tt)* })? unless { $($unless:tt)* } sets { $($sets:tt)* })*) => {
        vec![$({
            let of = columns! { $($($of)*)? };
            let step: fn(&Connection) -> Update = $step;
            let step = step(&table(&of, None).connection(ID).unwrap());
            Case { step, of, unless: columns! { $($unless)* }, sets: columns! { $($sets)* } }
        }),*]
    };
}

fn cases() -> Vec<Case> {
    cases! {
        |_| confirm_pending(&said("pending", 1), at(1)),
            unless { WebhookToken "other", Provider "outlook", WebhookPendingId NULL }
            sets { WebhookConfirmedId "pending", WebhookNotifiedAt at(1) }
        |_| confirm_current(&said("current", 1), at(1)),
            of { WebhookMessageNumber 0 }
            unless { WebhookToken "other", Provider "outlook", WebhookId NULL, WebhookMessageNumber 1 }
            sets { WebhookMessageNumber 1, WebhookNotifiedAt at(1) }
        |_| note_opened_orphan(&said("former", 1), at(1)),
            of { WebhookPendingId NULL }
            unless { WebhookToken "other", Provider "outlook", WebhookId "former", WebhookPendingId "former" }
            sets { WebhookNotifiedAt at(1) }
        |_| note_resource(&said("pending", 1), at(1)),
            of { WebhookId NULL, WebhookResourceId NULL }
            unless { WebhookToken "other", Provider "outlook", WebhookPendingId NULL, WebhookId "current" }
            sets { WebhookResourceId "resource", WebhookNotifiedAt at(1) }
        |_| note_change(&said("current", 6), at(1), NEW),
            unless { WebhookToken "other", Provider "outlook", WebhookId "next", WebhookMessageNumber 6 }
            sets { WebhookMessageNumber 6, SyncRequestId NEW, WebhookNotifiedAt at(1) }
        |_| note_orphan(&said("former", 6), at(1), NEW),
            of { WebhookPendingId NULL }
            unless { WebhookToken "other", Provider "outlook", WebhookId "former", WebhookPendingId "former" }
            sets { SyncRequestId NEW, WebhookNotifiedAt at(1) }
        |_| note_pending(&said("pending", 6), at(1), NEW),
            unless { WebhookToken "other", Provider "outlook", WebhookPendingId "next" }
            sets { SyncRequestId NEW, WebhookNotifiedAt at(1) }

        |row| claim_run(row, at(0), at(180), 0),
            unless {
                Id ANOTHER, SyncRequestId NULL, SyncLeaseUntil at(0), SyncNotBefore at(1), SyncAttempts 3,
                Provider "outlook", IsActive NULL, SyncEnabled FALSE, WebhookError "reconnect_required",
                WebhookError "permission_missing", WebhookError "blocked_by_policy",
            }
            sets { SyncLeaseUntil at(180), SyncAttempts 3, SyncNotBefore at(184) }
        |_| finish_run(held(), OLD, &success()),
            unless { Id ANOTHER, SyncLeaseUntil at(180), SyncRequestId NEW }
            sets {
                SyncRequestId NULL, SyncLeaseUntil NEVER, SyncAttempts 0, SyncNotBefore at(9),
                LastSyncAt at(1), SyncError NULL, SyncStreak 3, SyncSeen NULL,
            }
        |_| finish_run(held(), OLD, &after_look()),
            unless { Id ANOTHER, SyncLeaseUntil at(180), SyncRequestId NEW, RefreshToken "another consent" }
            sets {
                SyncRequestId NULL, SyncLeaseUntil NEVER, SyncAttempts 0, SyncNotBefore at(9),
                LastSyncAt at(1), SyncError NULL, SyncStreak 3, SyncSeen &seen(), CalendarName "Work",
                SyncLookAt at(DAY),
            }
        |_| settle_run(held(), OLD, &after_look()),
            unless { Id ANOTHER, SyncLeaseUntil at(180), SyncRequestId NEW, RefreshToken "another consent" }
            sets {
                SyncRequestId NULL, SyncLeaseUntil NEVER, SyncAttempts 0, SyncNotBefore at(9),
                LastSyncAt at(1), SyncError NULL, SyncStreak 3, SyncSeen &seen(), CalendarName "Work",
                SyncLookAt at(DAY),
            }
        |_| keep_run(held(), &success(), at(181)),
            unless { Id ANOTHER, SyncLeaseUntil at(180), SyncRequestId NULL }
            sets {
                SyncLeaseUntil at(181), SyncAttempts 1, SyncNotBefore at(1),
                LastSyncAt at(1), SyncError NULL, SyncStreak 3, SyncSeen NULL,
            }
        |_| keep_run(held(), &after_look(), at(181)),
            unless {
                Id ANOTHER, SyncLeaseUntil at(180), SyncRequestId NULL, RefreshToken "another consent",
                SyncSeen "asked for meanwhile",
            }
            sets {
                SyncLeaseUntil at(181), SyncAttempts 1, SyncNotBefore at(1), LastSyncAt at(1), SyncError NULL,
                SyncStreak 3, SyncSeen &seen(), CalendarName "Work", SyncLookAt at(DAY),
            }
        |_| leave_run(held(), &success()),
            unless { Id ANOTHER, SyncLeaseUntil at(180), SyncRequestId NULL }
            sets {
                SyncLeaseUntil NEVER, SyncAttempts 0, SyncNotBefore at(9),
                LastSyncAt at(1), SyncError NULL, SyncStreak 3, SyncSeen NULL,
            }
        |_| leave_run(held(), &after_look()),
            unless {
                Id ANOTHER, SyncLeaseUntil at(180), SyncRequestId NULL, RefreshToken "another consent",
                SyncSeen "asked for meanwhile",
            }
            sets {
                SyncLeaseUntil NEVER, SyncAttempts 0, SyncNotBefore at(9), LastSyncAt at(1), SyncError NULL,
                SyncStreak 3, SyncSeen &seen(), CalendarName "Work", SyncLookAt at(DAY),
            }
        |_| pause_run(held(), at(1)),
            unless { Id ANOTHER, SyncLeaseUntil at(180) }
            sets { SyncLeaseUntil NEVER, SyncAttempts 0, SyncNotBefore at(1) }
        |_| fail_run(held(), 1, at(2), RunFailure::Answered(500)),
            unless { Id ANOTHER, SyncLeaseUntil at(180) }
            sets { SyncLeaseUntil NEVER, SyncAttempts 1, SyncNotBefore at(2), SyncError "recalculate_500" }
        |_| refuse_run(held(), 1, at(60)),
            unless { Id ANOTHER, SyncLeaseUntil at(180) }
            sets { SyncLeaseUntil NEVER, SyncAttempts 0, SyncNotBefore at(60) }
        |_| await_consent(held(), 1, at(1), RenewalFailure::ReconnectRequired),
            unless { Id ANOTHER, SyncLeaseUntil at(180) }
            sets {
                SyncLeaseUntil NEVER, SyncAttempts 0, SyncNotBefore at(1), SyncError "reconnect_required",
            }
        |_| doubt_run(held(), RunFailure::TimedOut),
            unless { Id ANOTHER, SyncLeaseUntil at(180) }
            sets { SyncError "recalculate_timeout" }
        |_| lose_run(ID, NEW),
            unless { Id ANOTHER }
            sets { SyncRequestId NEW, SyncSeen NEW.0.to_string().as_str() }
        |row| hasten_run(row, at(0)),
            of { SyncNotBefore at(3600) }
            unless { Id ANOTHER, SyncLeaseUntil at(0), SyncNotBefore at(3601) }
            sets { SyncNotBefore at(120) }

        |row| claim_look(row, at(DAY)),
            of { SyncRequestId NULL }
            unless {
                Id ANOTHER, SyncLookAt at(1), SyncRequestId OLD, Provider "outlook", IsActive NULL,
                SyncEnabled FALSE, WebhookError "reconnect_required", WebhookError "permission_missing",
                WebhookError "blocked_by_policy",
            }
            sets { SyncLookAt at(DAY) }
        |row| note_unchanged(row, &found(), at(1), at(DAY)),
            of { SyncRequestId NULL }
            unless { Id ANOTHER, SyncLookAt at(1), SyncRequestId OLD, RefreshToken "another consent" }
            sets { LastSyncAt at(1), SyncLookAt at(DAY), CalendarName "Work" }
        |row| note_unchanged(row, &found(), at(1), at(DAY)),
            of { SyncRequestId NULL, WebhookAttempts 0 }
            unless {
                Id ANOTHER, SyncLookAt at(1), SyncRequestId OLD, RefreshToken "another consent",
                WebhookError "google_unavailable", WebhookAttempts 1,
            }
            sets {
                LastSyncAt at(1), SyncLookAt at(DAY), CalendarName "Work", WebhookError NULL,
                WebhookErrorReason NULL,
            }
        |row| reconcile(row, NEW, true, None),
            of { SyncRequestId NULL }
            unless { Id ANOTHER, SyncRequestId OLD, Provider "outlook", IsActive NULL, SyncEnabled FALSE }
            sets { SyncRequestId NEW }
        |row| reconcile(row, NEW, true, Some(at(1))),
            of { SyncRequestId NULL }
            unless { Id ANOTHER, SyncRequestId OLD, Provider "outlook", IsActive NULL, SyncEnabled FALSE }
            sets { SyncRequestId NEW, WebhookNotBefore at(1) }
        |row| reconcile(row, NEW, true, None),
            of { SyncRequestId NULL, WebhookAttempts 0 }
            unless {
                Id ANOTHER, SyncRequestId OLD, Provider "outlook", IsActive NULL, SyncEnabled FALSE,
                WebhookError "google_unavailable", WebhookAttempts 1,
            }
            sets { SyncRequestId NEW, WebhookError NULL, WebhookErrorReason NULL }
        |row| reconcile(row, NEW, false, None),
            of { SyncRequestId NULL, WebhookAttempts 0 }
            unless { Id ANOTHER, SyncRequestId OLD, Provider "outlook", IsActive NULL, SyncEnabled FALSE }
            sets { SyncRequestId NEW }
        |row| postpone_look(row, at(900)),
            unless { Id ANOTHER, SyncLookAt at(1) }
            sets { SyncLookAt at(900) }
        |row| refuse_look(row, &refused(RenewalFailure::GoogleApiDisabled, None), at(900)),
            of { WebhookAttempts 0 }
            unless { Id ANOTHER, RefreshToken "another consent", WebhookAttempts 1 }
            sets { WebhookError "google_api_disabled", WebhookErrorReason NULL, SyncLookAt at(900) }
        |row| take_refusal_back(row),
            of { WebhookAttempts 0, WebhookError "google_api_disabled" }
            unless { Id ANOTHER, WebhookError "reconnect_required", WebhookAttempts 1 }
            sets { WebhookError NULL, WebhookErrorReason NULL }

        |row| claim(row, Trigger::Setup),
            of { WebhookPendingId NULL }
            unless {
                Id ANOTHER, WebhookLeaseUntil at(0), Provider "outlook", IsActive NULL, SyncEnabled FALSE,
                WebhookAttempts 3, WebhookPendingId "pending", WebhookOpenedAt at(-1),
            }
            sets {
                WebhookPendingId "next", WebhookLeaseUntil at(90), WebhookNotBefore at(120), WebhookAttempts 3,
            }
        |row| claim(row, Trigger::Button),
            unless {
                Id ANOTHER, WebhookLeaseUntil at(0), Provider "outlook", IsActive NULL, SyncEnabled FALSE,
                WebhookAttempts 3, WebhookPendingId NULL, WebhookOpenedAt at(-30),
            }
            sets {
                WebhookPendingId "next", WebhookLeaseUntil at(90), WebhookNotBefore at(120), WebhookAttempts 3,
                SyncRequestId RequestId::fresh(at(0), 0), SyncNotBefore at(0),
                SyncSeen RequestId::fresh(at(0), 0).0.to_string().as_str(),
            }
        |row| claim(row, Trigger::Sweep),
            of { WebhookAttempts 0 }
            unless {
                Id ANOTHER, WebhookLeaseUntil at(0), Provider "outlook", IsActive NULL, SyncEnabled FALSE,
                WebhookAttempts 1, WebhookPendingId "other", WebhookNotBefore at(1),
            }
            sets {
                WebhookPendingId "next", WebhookLeaseUntil at(90), WebhookNotBefore at(90), WebhookAttempts 1,
            }
        |_| pending(|opening| reissue_channel(opening, &ChannelId::new("next"))),
            unless { Id ANOTHER, WebhookPendingId "other" }
            sets { WebhookPendingId "next" }
        |_| pending(|opening| commit_channel(opening, &consent(), &opened(), at(1), at(6), NEW, 0)),
            unless {
                Id ANOTHER, WebhookPendingId "other", RefreshToken "another consent",
                Provider "outlook", IsActive NULL, SyncEnabled FALSE,
            }
            sets {
                WebhookId "pending", WebhookResourceId "theirs", WebhookExpiration at(30 * DAY),
                WebhookOpenedAt at(1), WebhookMessageNumber 0, WebhookPendingId NULL, WebhookLeaseUntil at(6),
                WebhookAttempts 0, WebhookError NULL, WebhookErrorReason NULL,
                WebhookNotBefore at(28 * DAY), SyncRequestId NEW, SyncLookAt at(901),
            }
        |_| pending(|opening| disown_channel(opening, at(6))),
            unless { Id ANOTHER, WebhookPendingId "other" }
            sets { WebhookPendingId NULL, WebhookLeaseUntil at(6) }
        |_| pending(look_up_channel),
            of { WebhookId "pending", WebhookPendingId NULL }
            unless { Id ANOTHER, WebhookId "current" }
            sets { WebhookId "pending" }
        |_| pending(|opening| {
            let refused = refused(RenewalFailure::GoogleUnavailable, Some("backendError"));
            fail_renewal(opening, &consent(), failed(&refused))
        }),
            unless {
                WebhookError "reconnect_required", Id ANOTHER, WebhookPendingId "other", RefreshToken "another consent",
                WebhookConfirmedId "pending",
            }
            sets {
                WebhookLeaseUntil at(10), WebhookNotBefore at(30), WebhookError "google_unavailable",
                WebhookErrorReason "backendError", WebhookPendingId NULL,
            }
        |_| pending(|opening| {
            let refused = refused(RenewalFailure::GoogleUnavailable, None);
            doubt_channel(opening, &consent(), failed(&refused))
        }),
            unless {
                WebhookError "reconnect_required", Id ANOTHER, WebhookPendingId "other",
                RefreshToken "another consent",
            }
            sets {
                WebhookLeaseUntil at(10), WebhookNotBefore at(30), WebhookError "google_unavailable",
                WebhookErrorReason NULL,
            }
        |_| pending(|opening| release_renewal(opening, 1, at(5))),
            unless { Id ANOTHER, WebhookPendingId "other" }
            sets { WebhookPendingId NULL, WebhookLeaseUntil NEVER, WebhookAttempts 1, WebhookNotBefore at(5) }
        |row| retire_channel(row),
            of { SyncEnabled FALSE }
            unless { Id ANOTHER, WebhookId "other", SyncEnabled NULL }
            sets {
                WebhookId NULL, WebhookExpiration NULL, WebhookResourceId NULL, WebhookPendingId NULL,
                WebhookError NULL, WebhookErrorReason NULL, WebhookMessageNumber 0, WebhookAttempts 0,
                WebhookOpenedAt NEVER, WebhookNotBefore NEVER,
            }
        |row| retire_channel(row),
            of { IsActive NULL, WebhookId NULL }
            unless { Id ANOTHER, WebhookId "other", IsActive TRUE }
            sets {
                WebhookId NULL, WebhookExpiration NULL, WebhookResourceId NULL, WebhookPendingId NULL,
                WebhookError NULL, WebhookErrorReason NULL, WebhookMessageNumber 0, WebhookAttempts 0,
                WebhookOpenedAt NEVER, WebhookNotBefore NEVER,
            }

        |row| book_refusal(row, &refused(RenewalFailure::ReconnectRequired, Some("invalid_grant")), at(DAY)),
            unless { Id ANOTHER, RefreshToken "another consent", WebhookError "reconnect_required" }
            sets {
                WebhookNotBefore at(DAY), WebhookError "reconnect_required",
                WebhookErrorReason "invalid_grant",
            }
        |row| book_refusal(row, &refused(RenewalFailure::GoogleApiDisabled, None), at(900)),
            unless {
                Id ANOTHER, RefreshToken "another consent", WebhookError "google_api_disabled",
                WebhookOpenedAt at(-1),
            }
            sets { WebhookNotBefore at(900), WebhookError "google_api_disabled", WebhookErrorReason NULL }
        |row| store_token(row, &renewed(None), at(3600)),
            unless { Id ANOTHER, RefreshToken "another consent" }
            sets { AccessToken &AccessToken::new("renewed"), ExpiresAt at(3600) }
        |row| store_token(row, &renewed(Some("rotated")), at(3600)),
            unless { Id ANOTHER, RefreshToken "another consent" }
            sets {
                AccessToken &AccessToken::new("renewed"), ExpiresAt at(3600),
                RefreshToken &RefreshToken::new("rotated"), WebhookSource "rotated\nprimary",
            }
    }
}

fn table(of: &Columns, change: Option<(Column, Value)>) -> Table {
    let table = Table::default();
    table.insert(ID, row().into_iter().chain(of.iter().cloned()).chain(change));
    table
}

#[test]
fn every_step_is_a_case() {
    let cases = cases();
    for step in Transition::ALL {
        assert!(cases.iter().any(|case| case.step.transition == *step), "{step:?}");
    }
}

#[test]
fn a_step_takes_no_row_that_breaks_one_of_its_conditions() {
    for Case { step, of, unless, .. } in cases() {
        let mut untested = step.filters.clone();
        for change in unless {
            let table = table(&of, Some(change.clone()));
            let refuses = |filter: &Filter| table.find(std::slice::from_ref(filter)).is_none();
            let refusing = step.filters.iter().filter(|filter| refuses(filter)).count();
            assert_eq!(refusing, 1, "conditions of {:?} that refuse {change:?}", step.transition);
            untested.retain(|filter| !refuses(filter));
        }
        assert!(untested.is_empty(), "{:?} takes the row whether or not {untested:?}", step.transition);
    }
}

#[test]
fn a_step_sets_its_columns_and_changes_no_other() {
    for Case { step, of, sets, .. } in cases() {
        let name = step.transition;
        let (before, after) = (table(&of, None), table(&of, None));
        assert!(after.update(&step).is_some(), "{name:?} does not take the row");
        let columns = |set: &Columns| set.iter().map(|(column, _)| *column).collect::<BTreeSet<_>>();
        assert_eq!(columns(&step.set), columns(&sets), "{name:?}");
        for column in Column::ALL {
            let set = sets.iter().find(|(set, _)| set == column).map(|(_, value)| value.clone());
            let expected = set.unwrap_or_else(|| before.value(ID, *column));
            assert_eq!(after.value(ID, *column), expected, "{name:?} {column:?}");
        }
    }
}
