//! What a history is made of besides its seed.

use crate::fault::Faults;
use crate::mutation::Mutation;

#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub mutation: Option<Mutation>,
    /// Kinds of faults that do not happen.
    pub without: Faults,
    /// At most so many connections.
    pub connections: Option<usize>,
    /// Faults end after so many minutes at the latest.
    pub minutes: Option<u32>,
    /// Also judges what the protocol is known not to see: a holder that lost its lease alive and then died.
    pub known_limit: bool,
}
