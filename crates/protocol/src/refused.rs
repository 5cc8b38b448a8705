//! Telling on a row what Google refused while something else than a renewal was asked of it.

use crate::connection::Connection;
use crate::event::Event;
use crate::failure::{Mender, Refused, RenewalFailure};
use crate::ports::Ports;
use crate::schedule::{self, DATABASE_TIMEOUT};
use crate::transition::{book_refusal, refuse_look};

/// What mends a refusal that was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// A renewal, when it is due.
    Renewal,
    /// A look, at the time that was booked with the refusal: the channel is none the worse for it.
    Look,
}

/// Whether to tell a refusal: where a person has to act, and where it does not pass by itself or, being late, has not
/// for long. What a renewal told is left to it, unless it told that there are only looks, and they are late. What passes by
/// itself does not replace an error that a person must mend.
pub(crate) fn is_to_be_told(row: &Connection, refused: &Refused, is_late: bool) -> bool {
    let is_of_looks = row.webhook_error.is_none() || row.look_error().is_some();
    let has_only_looks = row.webhook_error.as_deref() == Some(RenewalFailure::PushNotSupported.code());
    match refused.failure {
        failure if failure.mender() != Mender::Nobody => true,
        RenewalFailure::DatabaseUnavailable => false,
        _ if has_only_looks => is_late,
        _ if row.error_for_a_person().is_some() => false,
        RenewalFailure::GoogleRejected if is_of_looks => true,
        _ => is_late && is_of_looks,
    }
}

/// Tells `refused` on the row, with the consent that it is about, and books when that is tried again.
pub(crate) async fn book<P: Ports>(ports: &P, row: &Connection, refused: Refused) -> Remedy {
    let is_of_look =
        row.webhook_id.is_some() && row.webhook_attempts == 0 && !refused.failure.is_consent_dead();
    let (now, random) = (ports.now(), ports.random());
    let (remedy, retry_at) = if is_of_look {
        (Remedy::Look, schedule::look_retry(row, now, &refused, random))
    } else {
        (Remedy::Renewal, schedule::renewal_retry(now, row.webhook_attempts, Some(&refused), random))
    };
    let update = match remedy {
        Remedy::Look => refuse_look(row, &refused, retry_at),
        Remedy::Renewal => book_refusal(row, &refused, retry_at),
    };
    let is_news = row.webhook_error.as_deref() != Some(refused.failure.code());
    if matches!(ports.update(update, DATABASE_TIMEOUT).await, Ok(Some(_))) && is_news {
        let Refused { failure, reason, .. } = refused;
        ports.log(Event::GoogleRefused { connection: row.id, failure, reason, retry_at });
    }
    remedy
}
