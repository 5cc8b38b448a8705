//! Why an invocation starts, as plain data: what causes it need not know how it is done.

use protocol::notification::Notification;
use protocol::sweep::Part;

use crate::world::executor::Reply;

pub(crate) enum Start {
    /// By a notification, of which connection if it is not forged; somebody waits for what Google hears.
    Receive {
        connection: Option<usize>,
        notification: Notification,
        heard: Reply<Heard>,
    },
    SetUp(usize),
    PressButton(usize),
    Sweep(Part),
}

/// What Google hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Delivered,
    /// Google drops the notification.
    Unknown,
    /// Google tries again.
    Unavailable,
    /// The invocation died, or its answer was lost.
    Nothing,
}
