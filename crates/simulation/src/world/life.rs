//! An invocation of a function, as the world deals with it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use protocol::Timestamp;

use crate::subject::Invocation;
use crate::time::Instant;
use crate::world::executor::TaskId;
use crate::world::instance::Instance;

pub(crate) struct Life {
    pub(crate) invocation: Invocation,
    pub(crate) instance: Instance,
    pub(crate) task: TaskId,
    pub(crate) crashed: Cell<bool>,
    /// The run lease that it wrote last, by connection.
    pub(crate) leases: RefCell<BTreeMap<usize, Timestamp>>,
    /// The connections that it ever began to renew.
    pub(crate) renewals: RefCell<BTreeSet<usize>>,
    /// The connections whose new channel it looked up and did not find.
    pub(crate) looked_up: RefCell<BTreeSet<usize>>,
    /// Whether the database refused it an update.
    pub(crate) is_refused: Cell<bool>,
}

impl Life {
    /// What its clock says at an instant.
    pub(crate) fn clock(&self, now: Instant) -> Instant {
        now + self.instance.skew
    }

    pub(crate) fn holds(&self, connection: usize) -> bool {
        self.leases.borrow().contains_key(&connection) || self.renewals.borrow().contains(&connection)
    }
}
