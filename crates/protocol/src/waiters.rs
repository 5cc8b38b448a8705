//! What the requests of this instance share: a place to wait, a sleep, a new token, and how many channels may be stopped.
//! What another instance does is not known here, and nothing depends on it.

use std::cell::RefCell;
use std::rc::Rc;

use chrono::TimeDelta;
use futures_util::future::{AbortHandle, abortable};

use crate::Timestamp;
use crate::connection::{Connection, ConnectionId, Source, UserId};
use crate::grant::{Access, NoAccess};
use crate::in_flight::InFlight;
use crate::schedule::STOPS_A_MINUTE;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// For the answer to the claim of this connection's run.
    Claim(ConnectionId),
    /// For another setup of this user to end.
    Setup(Option<UserId>),
}

#[derive(Clone, Debug, Default)]
pub struct Waiters {
    waiting: Rc<RefCell<Waiting>>,
    renewals: Rc<InFlight<(ConnectionId, Source), Result<Access, NoAccess>>>,
}

/// Lists, for they are short.
#[derive(Debug, Default)]
struct Waiting {
    /// With the row that was left there.
    taken: Vec<(Wait, Option<Box<Connection>>)>,
    sleepers: Vec<(ConnectionId, AbortHandle)>,
    /// When a channel of a connection was allowed to be stopped, in the last minute.
    stops: Vec<(ConnectionId, Timestamp)>,
}

impl Waiters {
    /// A place among the `most` that may wait; it is free again when what is returned is dropped.
    pub(crate) fn take(&self, wait: Wait, most: usize) -> Option<Place> {
        let taken = &mut self.waiting.borrow_mut().taken;
        if taken.iter().filter(|(other, _)| *other == wait).count() >= most {
            return None;
        }
        taken.push((wait, None));
        Some(Place { waiters: self.clone(), wait })
    }

    /// Leaves a row for the invocation that claims its run: should the row that it claims be older, it has this one.
    pub(crate) fn leave(&self, row: Connection) {
        let taken = &mut self.waiting.borrow_mut().taken;
        if let Some((_, left)) = taken.iter_mut().find(|(wait, _)| *wait == Wait::Claim(row.id)) {
            *left = Some(Box::new(row));
        }
    }

    /// Sleeps until the connection's run is due. An invocation that comes later has read a newer row, and takes over:
    /// then this ends at once and returns false.
    pub(crate) async fn sleep_for_all(
        &self,
        connection: ConnectionId,
        sleep: impl Future<Output = ()>,
    ) -> bool {
        let (sleep, handle) = abortable(sleep);
        let before = self.forget_sleeper(connection);
        self.waiting.borrow_mut().sleepers.push((connection, handle));
        if let Some(before) = before {
            before.abort();
        }
        let is_over = sleep.await.is_ok();
        if is_over {
            self.forget_sleeper(connection);
        }
        is_over
    }

    /// What comes of renewing the access token of `row`. Many may find it expired at the same time: Google is asked
    /// once.
    pub(crate) async fn share_renewal(
        &self,
        row: &Connection,
        renew: impl Future<Output = Result<Access, NoAccess>>,
        patience: impl Future<Output = ()>,
    ) -> Result<Access, NoAccess> {
        self.renewals.share((row.id, row.webhook_source.clone()), renew, patience).await
    }

    /// Whether another channel of the connection may be stopped now that is not its own; if so, it counts.
    pub(crate) fn may_stop(&self, connection: ConnectionId, now: Timestamp) -> bool {
        let stops = &mut self.waiting.borrow_mut().stops;
        stops.retain(|(_, at)| now.signed_duration_since(*at).abs() < TimeDelta::minutes(1));
        let may_stop = stops.iter().filter(|(of, _)| *of == connection).count() < STOPS_A_MINUTE;
        if may_stop {
            stops.push((connection, now));
        }
        may_stop
    }

    fn forget_sleeper(&self, connection: ConnectionId) -> Option<AbortHandle> {
        let sleepers = &mut self.waiting.borrow_mut().sleepers;
        let place = sleepers.iter().position(|(of, _)| *of == connection)?;
        Some(sleepers.swap_remove(place).1)
    }
}

#[derive(Debug)]
pub(crate) struct Place {
    waiters: Waiters,
    wait: Wait,
}

impl Place {
    /// Gives the place up. → what was left for it
    pub(crate) fn left(self) -> Option<Connection> {
        let taken = &mut self.waiters.waiting.borrow_mut().taken;
        let (_, left) = taken.iter_mut().find(|(wait, _)| *wait == self.wait)?;
        left.take().map(|row| *row)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let taken = &mut self.waiters.waiting.borrow_mut().taken;
        if let Some(place) = taken.iter().position(|(wait, _)| *wait == self.wait) {
            taken.swap_remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::pin::pin;

    use futures_util::FutureExt;
    use futures_util::future::join;
    use uuid::Uuid;

    use super::*;
    use crate::table::{Column, Value};

    const ONE: ConnectionId = ConnectionId(Uuid::from_u128(1));
    const TWO: ConnectionId = ConnectionId(Uuid::from_u128(2));

    #[test]
    fn a_place_is_free_again_when_it_is_left() {
        let waiters = Waiters::default();
        let first = waiters.take(Wait::Claim(ONE), 1);
        assert!(first.is_some());
        assert!(waiters.take(Wait::Claim(ONE), 1).is_none());
        assert!(waiters.take(Wait::Claim(TWO), 1).is_some());
        drop(first);
        assert!(waiters.take(Wait::Claim(ONE), 1).is_some());
        let setup = Wait::Setup(Some(UserId(ONE.0)));
        let places: Vec<_> = (0..3).map(|_| waiters.take(setup, 3)).collect();
        assert!(places.iter().all(Option::is_some) && waiters.take(setup, 3).is_none());
        drop(places);
        assert!(waiters.waiting.borrow().taken.is_empty());
    }

    #[test]
    fn of_the_rows_that_were_left_the_last_counts() {
        let waiters = Waiters::default();
        let row = |attempts| {
            let value = |column| {
                Some(match column {
                    Column::Id => ONE.into(),
                    Column::SyncAttempts => Value::Integer(attempts),
                    _ => Value::Null,
                })
            };
            Connection::from_row(&value).unwrap()
        };
        let place = waiters.take(Wait::Claim(ONE), 1).unwrap();
        waiters.leave(row(1));
        waiters.leave(row(2));
        assert_eq!(place.left().map(|row| row.sync_attempts), Some(2));
    }

    #[test]
    fn so_many_channels_are_stopped_in_a_minute() {
        let waiters = Waiters::default();
        let second = |seconds| Timestamp::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let stopped = |from| (from..from + 20).filter(|at| waiters.may_stop(ONE, second(*at))).count();
        assert_eq!(stopped(0), STOPS_A_MINUTE);
        assert!(waiters.may_stop(TWO, second(20)));
        assert_eq!(stopped(60), STOPS_A_MINUTE);
        // A clock that was set back keeps none for long.
        assert_eq!(stopped(0), STOPS_A_MINUTE);
    }

    #[test]
    fn the_last_to_come_sleeps_for_all() {
        let waiters = Waiters::default();
        let early = waiters.sleep_for_all(ONE, pending());
        let late = waiters.sleep_for_all(ONE, ready(()));
        let another = waiters.sleep_for_all(TWO, ready(()));
        let mut all = pin!(join(early, join(late, another)));
        assert_eq!(all.as_mut().now_or_never(), None, "the first has gone to sleep before");
        assert_eq!(all.now_or_never(), Some((false, (true, true))));
        assert!(waiters.waiting.borrow().sleepers.is_empty());
    }
}
