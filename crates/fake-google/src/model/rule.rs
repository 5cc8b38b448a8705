//! How notifications are delivered, on demand.

use serde::Deserialize;
use uuid::Uuid;

use crate::model::message::Message;

/// How the notifications of an account's channels are delivered.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) email: Option<String>,
    #[serde(default)]
    pub(crate) sync: SyncOrder,
    pub(crate) sync_delay_ms: Option<u64>,
    #[serde(default)]
    pub(crate) delay_ms: u64,
    #[serde(default)]
    duplicate: u32,
    #[serde(default)]
    drop: u32,
    #[serde(default)]
    pub(crate) reorder: u32,
    /// With the keys of their channels, in the order of the changes.
    #[serde(skip)]
    pub(crate) held: Vec<(Uuid, Message)>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SyncOrder {
    #[default]
    After,
    Before,
    Dropped,
}

/// What happens to the notifications of one change.
#[derive(Clone, Copy)]
pub(crate) enum Fate {
    Drop,
    Hold,
    Send { copies: usize },
}

impl Rule {
    /// What happens to the notifications of the next change.
    pub(crate) fn judge(&mut self) -> Fate {
        if self.drop > 0 {
            self.drop -= 1;
            return Fate::Drop;
        }
        if self.reorder > 0 {
            self.reorder -= 1;
            return Fate::Hold;
        }
        if self.duplicate > 0 {
            self.duplicate -= 1;
            return Fate::Send { copies: 2 };
        }
        Fate::Send { copies: 1 }
    }
}
